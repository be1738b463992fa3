"""A classifier exported to ONNX with 8-bit weights, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import tokenizers

from distill_tui.training import models
from distill_tui.training.folders import ONNX, tokens_read
from distill_tui.training.models import Floats
from distill_tui.training.predictor import Predictor


def open_folder(folder: Path, threads: int, max_tokens: int) -> Predictor[Floats]:
    """Open the folder; `tokenizers` alone cuts its texts, because transformers takes longer to cut than to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(max_tokens, tokens_read(folder)))

    def prepare(texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:  # one request needs no second thread
            return [tokenizer.encode(models.speakable(texts[0])).ids]
        return [encoded.ids for encoded in tokenizer.encode_batch([models.speakable(text) for text in texts])]

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        ids, mask = models.side_by_side(rows, 0)  # padding is masked, so its id does not matter
        return models.softmax(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])

    return Predictor(prepare, run, one_by_one=True)  # activations are rounded by a scale that the whole batch shares
