"""Leave out near duplicates of very large traffic before the import, by MinHash on many processes.

    python datatrove_near_duplicates.py TRAFFIC_FOLDER OUT_FOLDER [TASKS]
    distill-tui import P-001 OUT_FOLDER/kept

The folder has JSONL files with `input` and whatever else a row has; every row that is kept keeps all of it. What is
left out is in OUT_FOLDER/left_out. Texts are compared by their runs of five letters, which needs no words and no model
of a language. On a cluster, take SlurmPipelineExecutor for each of the four stages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.word_tokenizers import WordTokenizer

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)  # likely found from a likeness of 0.72 on
ADDED = ("file_path",)  # to each row, by the reader


class Letters(WordTokenizer):
    """Each letter stands for itself."""

    def word_tokenize(self, text: str) -> list[str]:
        return list(text)

    def sent_tokenize(self, text: str) -> list[str]:
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def as_read(_: Any, made: Any) -> dict[str, Any]:
    """Return the row of a document."""
    return {"input": made.text, **{name: value for name, value in made.metadata.items() if name not in ADDED}}


def document(_: Any, row: dict[str, Any], path: str, number: int) -> dict[str, Any]:
    """Make a document of a row."""
    return {"text": row.pop("input"), "id": f"{path}/{number}", "metadata": row}


def main(traffic: Path, out: Path, tasks: int = 2) -> None:
    work = out / "work"
    reader = JsonlReader(str(traffic), text_key="input", adapter=document, glob_pattern="*.jsonl")
    kept = JsonlWriter(str(out / "kept"), compression=None, adapter=as_read, output_filename="${rank}.jsonl")
    left = JsonlWriter(str(out / "left_out"), compression=None, adapter=as_read, output_filename="${rank}.jsonl")
    first = LocalPipelineExecutor(
        [reader, MinhashDedupSignature(str(work / "signatures"), config=CONFIG, language=Letters())],
        tasks=tasks, logging_dir=str(work / "logs-1"),
    )  # fmt: skip
    second = LocalPipelineExecutor(
        [MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=CONFIG)],
        tasks=CONFIG.num_buckets, workers=tasks, logging_dir=str(work / "logs-2"), depends=first,
    )  # fmt: skip
    third = LocalPipelineExecutor(
        [MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=CONFIG)],
        logging_dir=str(work / "logs-3"), depends=second,
    )  # fmt: skip
    LocalPipelineExecutor(
        [reader, MinhashDedupFilter(str(work / "remove"), exclusion_writer=left), kept],
        tasks=tasks, logging_dir=str(work / "logs-4"), depends=third,
    ).run()  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]))
