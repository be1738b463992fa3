"""What a student says of texts, and where they lie for it: the artifact that ships answers, whatever its form."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from distill_tui.training import models
from distill_tui.training.evaluate import predict
from distill_tui.training.folders import form
from distill_tui.training.models import Floats

HASHED = 64  # columns that stand for a text where the student has no embedding of it
PIECE = 3  # letters


def answers(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int) -> tuple[Floats, Floats]:
    """Give probabilities (texts, labels) and embeddings (texts, width).

    Raises ValueError with one sentence where the folder is no student. Sets torch's threads.
    """
    said = predict(folder, texts, threads=threads, max_tokens=max_tokens)
    if form(folder) in ("ngram", "onnx"):
        return said, _hashed(texts)
    return said, _embedded(folder, texts, max_tokens)


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
