"""A task of many labels: short requests to a bank in 77 intents, from two files that are not in this repository.

FOLDER holds `train.csv` and `test.csv` with the columns `text` and `category`, as a published set of 13,083 requests
has them (CC BY 4.0). The teacher is MiniLM with a head, trained on twenty rows of each intent with people's labels; its
answers to the other training rows are all that a student learns from.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui.spec import Spec
from distill_tui.training import classification, predict
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places

OF_TEACHER = 20  # rows of each intent that the teacher learns from
VALIDATION = 1_000


def prepared(cache: Path, data: Path, encoder: Path) -> tuple[dict[str, dict[str, Any]], Path, tuple[str, ...]]:
    """Read the files, train the teacher and have it answer: (splits, teacher, labels)."""
    found = {name: list(csv.DictReader((data / f"{name}.csv").open(encoding="utf-8"))) for name in ("train", "test")}
    labels = tuple(sorted({row["category"] for row in found["train"]}))
    rows, of = found["train"], dict[str, list[int]]()
    random.Random(0).shuffle(rows)
    for at, row in enumerate(rows):
        of.setdefault(row["category"], []).append(at)
    taught = {at for rows_of in of.values() for at in rows_of[:OF_TEACHER]}
    rest = [row for at, row in enumerate(rows) if at not in taught]
    teacher = cache / "teacher"
    if not teacher.exists():
        train_teacher([rows[at] for at in sorted(taught)], rest[:VALIDATION], labels, cache, encoder)
    parts = {"held_out": found["test"], "validation": rest[:VALIDATION], "train": rest[VALIDATION:]}
    return {name: answered(cache, name, part, teacher, labels) for name, part in parts.items()}, teacher, labels


def examples(rows: list[dict[str, str]], labels: tuple[str, ...]) -> Examples:
    numbers = np.array([labels.index(row["category"]) for row in rows], dtype=np.int64)
    return Examples(tuple(row["text"] for row in rows), numbers, None, np.ones(len(rows), dtype=np.float32))


def train_teacher(
    rows: list[dict[str, str]], ahead: list[dict[str, str]], labels: tuple[str, ...], cache: Path, encoder: Path
) -> None:
    """Train a frozen student on gold alone: a teacher that is not perfect, as one that a team pays for."""
    spec = Spec.from_mapping({"student": "frozen", "folder": "minilm", "alpha": 0, "epochs": 60, "depth": 1})
    places = Places(None, cache / "teacher-checkpoints", cache / "teacher", encoder, cache / "shared")
    for _ in classification.train(spec, labels, examples(rows, labels), examples(ahead, labels), places):
        pass


def answered(
    cache: Path, name: str, rows: list[dict[str, str]], teacher: Path, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Return a split with the teacher's probabilities, asked once; each row is a group of its own."""
    kept = cache / f"answers-{name}.npy"
    if not kept.exists():
        np.save(kept, predict.probabilities(teacher, [row["text"] for row in rows], threads=1))
    gold = np.array([labels.index(row["category"]) for row in rows], dtype=np.int64)
    found = [{"input": row["text"], "segment": "all", "key": f"{at}"} for at, row in enumerate(rows)]
    return {"rows": found, "soft": np.load(kept), "gold": gold}
