"""Training runs of several arms (rungs, two controls, two seeds), one arm after the other, next to two at once.

    python benchmarks/arms.py [--rows 800] [--cores 2]

Each run is a process of its own that takes its core as a worker does; an arm uses one torch thread. The same student
must be kept, and each arm must have the same weights to the bit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import shared

# isort: split
import numpy as np

from distill_tui.digests import folder_digest
from distill_tui.runs.executors import cores
from distill_tui.spec import Spec
from distill_tui.terms import Control
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.ladder import Climb

RUNS = {  # the students of the ladder, and what share of the teacher's score is good enough
    "n-grams": ("ngram", 0.5),
    "static vectors": ("static", 0.5),
    "a transformer from scratch": ("scratch", 0.5),
    "a ladder of the three, the last is kept": ("ngram,static,scratch", 1.0),
    "a ladder of the three, the first is good enough": ("ngram,static,scratch", 0.5),
}
LABELS = ("a", "b", "c")


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--run", help="train this run in this process")
    given = parser.parse_args()
    if given.run:
        print(json.dumps(trained(given.run, given.rows)))
        return
    for name in RUNS:
        one, several = (in_process(name, given.rows, number) for number in (1, given.cores))
        assert one[1:] == several[1:], f"{name}: other results with {given.cores} cores"
        print(
            f"{name:<48} {len(one[1]):>2} arms {one[0]:6.1f} s one after the other, {several[0]:6.1f} s at once, "
            f"{one[0] / several[0]:.2f} times as fast, the same weights",
            flush=True,
        )


def in_process(name: str, rows: int, number: int) -> tuple[float, dict[str, str], str]:
    """Return the seconds of a run, the digest of each arm by its name, and the student that was kept."""
    with tempfile.TemporaryDirectory() as state:
        done = subprocess.run(
            [sys.executable, __file__, "--run", name, "--rows", str(rows)],
            env=os.environ | {cores.CORES: str(number), "XDG_STATE_HOME": state},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    seconds, arms, kept = json.loads(done.stdout)
    return seconds, arms, kept


def trained(name: str, rows: int) -> tuple[float, dict[str, str], str]:
    ladder, enough = RUNS[name]
    spec = Spec.from_mapping(
        {
            "ladder": ladder,
            "epochs": 4,
            "patience": 4,
            "threads": 1,
            "enough": enough,
            "controls": "hard,gold",
            "seeds": 2,
        }
    )
    assert cores.take(1, name, lambda why: True)
    with tempfile.TemporaryDirectory() as folder:
        climb = Climb(spec, made(rows), teacher=None, start=None, folder=Path(folder), spare=cores.spare(1))
        for _ in climb.steps():
            pass
        seconds = climb.clock.seconds
        arms = {arm.spec.rung: arm for arm in climb.rungs} | climb.controls | climb.seeds
        return seconds, {str(each): folder_digest(arm.folder) for each, arm in arms.items()}, climb.kept.spec.rung


def made(count: int) -> LabelRows:
    """Make texts whose label one word tells, for three of four rows, and a teacher that errs in one of ten."""
    random = np.random.default_rng(1)
    words = [f"word{number}" for number in range(4_000)]

    def rows(count: int) -> tuple[Examples, np.ndarray, np.ndarray]:
        gold = random.integers(0, 3, count)
        said = np.where(random.random(count) < 0.1, random.integers(0, 3, count), gold)
        shown = np.where(random.random(count) < 0.25, random.integers(0, 3, count), gold)
        soft = np.full((count, 3), 0.05, dtype=np.float32)
        soft[np.arange(count), said] = 0.9
        texts = tuple(" ".join([f"label{each}", *random.choice(words, 24)]) for each in shown)
        return Examples(texts, gold, soft, np.ones(count, dtype=np.float32)), gold, said

    (training, gold, said), (validation, truth, theirs) = rows(count), rows(300)
    arms = {kind: Examples(training.inputs, labels, None, training.weights)
            for kind, labels in ((Control.HARD, said), (Control.GOLD, gold))}  # fmt: skip
    return LabelRows(LABELS, training, arms, validation, truth, theirs)


if __name__ == "__main__":
    main()
