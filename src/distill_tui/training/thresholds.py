"""From which probability on each label is in an answer: fitted on rows that neither trained nor chose the student.

For each label, the threshold of the highest F1 on these rows. Labels that are rare there share one threshold, that of
the highest F1 of all labels together, because a threshold of three rows is an accident.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill_tui.training.arrays import Floats

ENOUGH = 10  # rows with a label, from which on it has a threshold of its own
LEAST, MOST = 0.02, 0.98  # thresholds outside of these say more of the few rows than of the label


def fitted(shares: Floats, truth: NDArray[np.int64]) -> list[float]:
    """Return the threshold of each label; shares and truth are (rows, labels), truth of 0 and 1."""
    common = best(shares.ravel(), truth.ravel() > 0)
    return [
        best(shares[:, label], truth[:, label] > 0) if int((truth[:, label] > 0).sum()) >= ENOUGH else common
        for label in range(truth.shape[1])
    ]


def best(shares: Floats, has: NDArray[np.bool_]) -> float:
    """Return the threshold of the highest F1, midway between two probabilities; of equals the highest."""
    order = np.argsort(-shares, kind="stable")
    sure, right = shares[order].astype(np.float64), np.cumsum(has[order])
    f1 = 2 * right / (np.arange(1, len(sure) + 1) + max(1, int(has.sum())))
    last = np.append(sure[1:] < sure[:-1], True)  # rows of one probability are all in, or none is
    at = int(np.argmax(np.where(last, f1, -1.0)))
    below = sure[at + 1] if at + 1 < len(sure) else 0.0
    return round(float(min(MOST, max(LEAST, (sure[at] + below) / 2))), 4)
