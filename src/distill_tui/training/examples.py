"""Training rows of a student that gives labels, in plain numpy: what is judged needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Examples:
    """`n` training rows with their targets."""

    inputs: tuple[str, ...]
    labels: NDArray[np.int64]  # (n,) hard label, or (n, k) whether each label is in the answer; -1 where unknown
    soft: NDArray[np.float32] | None  # (n, k) the teacher's probabilities, NaN in rows without any
    weights: NDArray[np.float32]  # (n,)

    @property
    def hard(self) -> NDArray[np.bool_]:
        """The rows with a hard label, or a set of them, (n,)."""
        return known(self.labels)


def known(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the rows whose answer is known, (n,)."""
    there: NDArray[np.bool_] = labels >= 0
    return there if there.ndim == 1 else np.asarray(there.all(axis=1), dtype=np.bool_)
