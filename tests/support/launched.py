"""What each process of a launch runs in the tests: `accelerate launch … tests/support/launched.py FOLDER KIND`.

Trains on rows that are made up and may be killed at any moment. FOLDER gets `student`, and of each process `said-RANK`:
step, loss and score, a line for each step.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from distill_tui.training import classification, loop, ranks
from distill_tui.training.examples import Examples

WORDS = {0: ("awful", "broken", "hate"), 1: ("lovely", "superb", "adore")}
FILLERS = [f"w{number}" for number in range(60)]


def rows(count: int, seed: int) -> Examples:
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, count)
    texts = tuple(
        " ".join([*chance.choice(FILLERS, chance.integers(3, 12)), chance.choice(WORDS[int(label)])])
        for label in labels
    )
    soft = np.where(labels[:, None] == np.arange(2), 0.9, 0.1).astype(np.float32)
    return Examples(texts, labels.astype(np.int64), soft, chance.uniform(0.5, 2, count).astype(np.float32))


def spec(kind: str) -> Spec:
    """Rows in batches of which the last of an epoch has a single one: fewer than there are processes."""
    return Spec(
        student=StudentKind(kind), hidden=32, depth=2, vocabulary=300, max_tokens=24, learning_rate=1e-2, epochs=6,
        patience=6, batch_size=8,
    )  # fmt: skip


def main(folder: Path, kind: str, seconds: float = 1e9) -> None:
    loop.CHECKPOINT_SECONDS = seconds
    labels, training, validation = ("bad", "good"), rows(193, 1), rows(60, 2)
    steps = classification.train(
        spec(kind), labels, training, validation, loop.Places(None, folder / "c", folder / "student")
    )
    folder.mkdir(exist_ok=True)
    (folder / f"pid-{ranks.rank()}").write_text(str(os.getpid()))
    with (folder / f"said-{ranks.rank()}").open("w") as said:
        for step in steps:
            print(step.number, f"{step.loss:.6f}", step.validation, file=said, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:]))
