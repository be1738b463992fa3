"""What a student or teacher folder says, in the form that ships; baselines that it has to beat are in `baseline`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_tui.training import models, serving
from distill_tui.training.baseline import Labels, Predictor, base_rates, fit_baseline, fit_nearest, fit_shares, majority
from distill_tui.training.folders import teacher_labels
from distill_tui.training.models import Floats

__all__ = ["Labels", "Predictor", "base_rates", "fit_baseline", "fit_nearest", "fit_shares", "majority", "predict"]


def predict(folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 64, max_tokens: int = 96) -> Floats:
    """Give the label probabilities of each text, (texts, labels) float32, in the order of `teacher_labels(folder)`."""
    result = np.zeros((len(texts), len(teacher_labels(folder))), dtype=np.float32)
    served = serving.open_folder(folder, threads=threads, max_tokens=max_tokens)
    rows = served.cut(texts)
    for positions in models.by_length([len(row) for row in rows], 1 if served.alone else batch_size):
        result[positions] = served.run([rows[position] for position in positions])
    return result
