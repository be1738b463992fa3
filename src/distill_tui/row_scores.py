"""The score that each row gets from student, teacher and baseline, by metrics that are not just right or wrong.

What a worker writes into a record as `scores`: metric → subject → whole numbers of 1/10,000, -1 where a row has none.
How one more metric is added is told at `gates.RowScore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill_tui.gates import CERTAIN
from distill_tui.terms import Metric

Scores = dict[str, dict[str, tuple[int, ...]]]


def of_probabilities(gold: Any, probabilities: Mapping[str, Any]) -> Scores:
    """Score what each subject's probabilities, (rows, labels), say of the gold labels, (rows,) with -1 for none.

    A subject whose probabilities are all unknown (NaN) is left out, and everybody is where no row has gold.
    """
    columns = {name: brier(gold, np.asarray(given, dtype=np.float64)) for name, given in probabilities.items()}
    return {Metric.BRIER.value: {name: column for name, column in columns.items() if max(column, default=-1) >= 0}}


def brier(gold: Any, probabilities: Any) -> tuple[int, ...]:
    """Give half the squared distance of each row's probabilities from its gold label (Brier 1950, halved: 0 to 1)."""
    known = (gold >= 0) & np.isfinite(probabilities).all(axis=1)
    truth = np.eye(probabilities.shape[1])[np.where(gold >= 0, gold, 0)]
    distance = np.square(probabilities - truth).sum(axis=1) / 2
    scores = np.clip(np.rint(CERTAIN * np.where(known, distance, 0.0)), 0, CERTAIN)
    return tuple(int(each) for each in np.where(known, scores, -1))
