"""How fast teacher (labelling) and student (evaluation) answer texts, compared with transformers.pipeline.

    python benchmarks/answering.py [--rows 1200] [--threads 1] [--teacher FOLDER] [--rounds 3]

The same folders, the same texts (made up, with the lengths of short messages), the same number of threads, in one
process and in turn, so that whatever else the machine does falls on all alike. The pipeline is asked at several batch
sizes, and its best is what counts. Both must give the same labels. A student in 8-bit ONNX is asked text by text, since
its answers depend on its neighbours in a batch; the pipeline has no such form and runs the float one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shared
import training
import transformers

from distill_tui.spec import Spec
from distill_tui.terms import Export
from distill_tui.training import export, folders, ladder, measure, predict

BATCHES = (1, 4, 8, 16, 32, 64)
Answers = Callable[[], list[int]]


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--teacher", type=Path)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.utils.logging.set_verbosity_error()
    texts = training.rows(options.rows, 1)[0]
    print(f"{len(texts):,} texts; {measure.machine(options.threads)}; rows a second, median of {options.rounds}\n")
    with tempfile.TemporaryDirectory() as folder:
        teacher = options.teacher or training.made_teacher(Path(folder) / "teacher")
        student, shipped = made_student(Path(folder), options)
        contest("teacher", texts, options, {"ours": teacher}, teacher)
        contest("student", texts, options, {"ours": student, "ours, 8-bit ONNX": shipped}, student)


def made_student(folder: Path, options: argparse.Namespace) -> tuple[Path, Path]:
    """Write a two-layer student of random weights, as a transformers folder and as it ships in 8 bits."""
    options.epochs = 1
    made = training.student(options)
    export.write(made.model.eval(), made.tokenizer, folder / "student")
    spec = Spec.from_mapping({"export": Export.ONNX_INT8.value})
    return folder / "student", ladder.ship(folder / "student", spec, folder / "shipped")


def contest(what: str, texts: list[str], options: argparse.Namespace, mine: dict[str, Path], plain: Path) -> None:
    """Ask ours and the pipeline in turn, and print each one's speed."""
    asked: dict[str, Answers] = {
        name: lambda at=at: predict.probabilities(at, texts, threads=options.threads).argmax(axis=1).tolist()  # type: ignore[misc]
        for name, at in mine.items()
    }
    asked |= {f"pipeline, batches of {size}": pipeline(plain, texts, size) for size in BATCHES}
    speeds: dict[str, list[float]] = {name: [] for name in asked}
    said: dict[str, list[int]] = {}
    for _ in range(options.rounds):
        for name, answers in asked.items():
            started = time.perf_counter()
            said[name] = answers()
            speeds[name].append(len(texts) / (time.perf_counter() - started))
    best = max(statistics.median(each) for name, each in speeds.items() if name.startswith("pipeline"))
    print(what)
    for name, each in speeds.items():
        same = np.mean(np.array(said[name]) == np.array(said["ours"]))
        middle = statistics.median(each)
        print(f"  {name:24}{middle:9,.0f}{middle / best:8.2f} times the pipeline's best; same labels {100 * same:.1f}%")


def pipeline(folder: Path, texts: list[str], size: int) -> Answers:
    """Return transformers' own way of asking a classifier; what it loads is loaded before the clock starts."""
    numbers = {label: number for number, label in enumerate(folders.teacher_labels(folder))}
    pipe: Any = transformers.pipeline("text-classification", model=str(folder), tokenizer=str(folder), device=-1)
    return lambda: [numbers[each["label"]] for each in pipe(texts, batch_size=size, truncation=True, max_length=96)]


if __name__ == "__main__":
    main()
