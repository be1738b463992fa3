"""Makes this sample's teacher: MiniLM, a small general encoder, taught to mark the parts of an address; and asks it.

    python teacher.py LESSONS QUESTIONS ANSWERS

Each is a file of JSON lines. It stands for the large model that a team already pays for, and it learns from lines that
the play never sees. What it answers is written down as recorded outputs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import addresses
import numpy as np

from distill_tui.spec import Spec
from distill_tui.training import generation, predict
from distill_tui.training.generation import Pairs
from distill_tui.training.loop import Places


def spec(threads: int) -> Spec:
    """Return the teacher's recipe: all six layers, five passes over its lessons."""
    return Spec.from_mapping(
        {"student": "tagger", "folder": "minilm", "epochs": 5, "patience": 5, "learning_rate": 1e-4,
         "vocabulary": 30_000, "controls": "", "threads": threads}
    )  # fmt: skip


def pairs(path: Path) -> Pairs:
    """Read lines that hold `input` and `gold`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    ones = np.ones(len(rows), dtype=np.float32)
    return Pairs(tuple(row["input"] for row in rows), tuple(row["gold"] for row in rows), ones)


def main(lessons: Path, questions: Path, answers: Path) -> None:
    """Teach the teacher, ask it every question, and write its answers, a line each, in the order of the questions."""
    recipe = spec(int(os.environ.get("DISTILL_THREADS", "1")))
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(None, Path(scratch) / "checkpoints", Path(scratch) / "teacher", addresses.encoder())
        for step in generation.train(recipe, pairs(lessons), pairs(lessons), places):
            if step.number % 50 == 0:
                print(f"    Teacher: step {step.number:,} of {step.total:,}, loss {step.loss:.3f}.", flush=True)
        texts = [json.loads(line)["input"] for line in questions.read_text(encoding="utf-8").splitlines()]
        said = predict.answers(places.out, texts, threads=recipe.threads, max_tokens=recipe.max_tokens)
    answers.write_text("".join(json.dumps(each.text, ensure_ascii=False) + "\n" for each in said), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
