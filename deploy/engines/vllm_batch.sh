#!/bin/sh
# vllm_batch.sh PLAY MODEL: have vLLM label a play's traffic as one batch, without a server.
# The teacher of the play is an endpoint of the same MODEL; the labels come back through the cache like any batch.
set -eu
distill-tui label "$1" --export batch.jsonl
mkdir -p results
for part in batch*.jsonl; do
  vllm run-batch -i "$part" -o "results/$part" --model "$2"
done
distill-tui label "$1" --import results --price-in 0 --price-out 0
