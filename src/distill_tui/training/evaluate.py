"""Predictions of a student or teacher folder; those of the baselines that any student has to beat are `baseline`'s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_tui.training import teachers
from distill_tui.training.baseline import Labels, Predictor, fit_baseline, majority
from distill_tui.training.folders import teacher_labels
from distill_tui.training.models import Floats

__all__ = ["Labels", "Predictor", "fit_baseline", "majority", "predict"]


def predict(folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 64, max_tokens: int = 96) -> Floats:
    """Give the label probabilities of each text, (texts, labels) float32, in the order of `teacher_labels(folder)`."""
    result = np.zeros((len(texts), len(teacher_labels(folder))), dtype=np.float32)
    for positions, rows in teachers.label(folder, texts, threads=threads, batch_size=batch_size, max_tokens=max_tokens):
        result[positions] = rows
    return result
