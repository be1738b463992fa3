"""Records of evaluations, written by hand."""

from __future__ import annotations

import numpy as np

from distill_tui.gates.record import Record


def record(student: float, *, gold: bool = True, rows: int = 1000, **arms: float) -> Record:
    """A record of two labels where the student, and each arm, is right on such a share of rows, spread evenly."""
    chance = np.random.default_rng(1)

    def column(share: float) -> tuple[int, ...]:
        return tuple(int(wrong) for wrong in chance.random(rows) >= share)

    truth = (0,) * rows
    return Record(
        labels=("yes", "no"),
        rows=tuple(range(rows)),
        gold=truth if gold else (-1,) * rows,
        teacher=truth,
        student=column(student),
        baseline=column(0.5),
        majority=0,
        segment=(-1,) * rows,
        segments=(),
        group=tuple(range(rows)),
        controls={name: column(share) for name, share in arms.items()},
    )
