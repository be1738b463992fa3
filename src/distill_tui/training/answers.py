"""What a student says of texts, and where they lie for it: the artifact that ships answers, whatever its form."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distill_tui.tasks import generation
from distill_tui.training import answering, models
from distill_tui.training.evaluate import predict
from distill_tui.training.folders import form, teacher_labels
from distill_tui.training.models import Floats

HASHED = 64  # columns that stand for a text where the student has no embedding of it
PIECE = 3  # letters


@dataclass(frozen=True)
class Heard:
    """What a student says of `n` texts."""

    said: tuple[str, ...]  # labels, or the answers of a generation task as they are spelled
    sure: Floats  # (n,) its probability of what it says
    lies: Floats  # (n, width) where each text lies


def hear(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int) -> Heard:
    """Ask a student. Raises ValueError with one sentence where the folder is none. Sets torch's threads."""
    kind = form(folder)
    if kind in answering.FORMS:
        written = answering.answer(folder, texts, threads=threads, max_tokens=max_tokens)
        sure = np.array([each.confidence for each in written], dtype=np.float32)
        return Heard(tuple(generation.spelled(each.text) for each in written), sure, _hashed(texts))
    shares = predict(folder, texts, threads=threads, max_tokens=max_tokens)
    labels = teacher_labels(folder)
    lies = _hashed(texts) if kind in ("ngram", "onnx") else _embedded(folder, texts, max_tokens)
    return Heard(tuple(labels[int(row.argmax())] for row in shares), shares.max(axis=1), lies)


def _embedded(folder: Path, texts: Sequence[str], max_tokens: int, batch_size: int = 64) -> Floats:
    """Average what the classification head is given, over the tokens of a text."""
    model, tokenizer = models.load(folder)
    rows = models.tokenise(tokenizer, texts, max_tokens)
    lies = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for positions in models.by_length([len(row) for row in rows], batch_size):
        ids, mask = models.pad([rows[position] for position in positions], model.config.pad_token_id or 0)
        with torch.inference_mode():
            given = model.base_model(input_ids=ids, attention_mask=mask)[0]
            weights = mask[:, :, None].float()
            lies[positions] = ((given * weights).sum(dim=1) / weights.sum(dim=1)).numpy()
    return lies


def _hashed(texts: Sequence[str]) -> Floats:
    """Add up a text's pieces of letters in hashed columns of either sign, to unit length (Weinberger et al. 2009)."""
    lies = np.zeros((len(texts), HASHED), dtype=np.float32)
    for row, text in enumerate(texts):
        for start in range(max(1, len(text) - PIECE + 1)):
            key = zlib.crc32(text[start : start + PIECE].lower().encode("utf-8", "replace"))
            lies[row, key % HASHED] += 1 if key >> 16 & 1 else -1
        lies[row] /= max(1e-6, float(np.linalg.norm(lies[row])))
    return lies
