"""The teacher's outputs: label probabilities for texts, batch by batch, so that each can be stored as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from distill_tui.training import models
from distill_tui.training.folders import check_model_folder, teacher_labels
from distill_tui.training.models import Floats

__all__ = ["check_model_folder", "label", "teacher_labels"]


def label(
    folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 32, max_tokens: int = 96
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions in `texts`, probabilities (batch, labels) float32) until every text is labelled.

    Texts of like length go together, the longest first. Columns follow `teacher_labels(folder)`. Raises ValueError
    with one sentence where the folder is not a local safetensors classifier. Sets torch's threads for the process.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load(folder)
    rows = models.tokenise(tokenizer, texts, max_tokens)
    yield from models.probabilities(model, rows, models.by_length([len(row) for row in rows], batch_size))
