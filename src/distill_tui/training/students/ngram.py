"""The cheapest student: words, pairs of words and pieces of words, weighted by rarity and summed to logits.

A linear softmax over n-grams (Joachims 1998; Wang and Manning 2012 on how hard it is to beat), here trained on soft
labels. It ships as three small files, and a page of plain numpy runs it: the model card prints that page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from distill_tui.spec import Spec
from distill_tui.training import lengths
from distill_tui.training.folders import NGRAMS
from distill_tui.training.students.ngram_vocabulary import Vocabulary, words_in
from distill_tui.training.students.ngram_vocabulary import pieces as pieces

MODEL_TYPE = "distill-tui-ngram"
MIN_ROWS = 2  # texts that an n-gram must occur in to be kept
MAX_NGRAMS = 200_000  # n-grams that are kept, the most frequent first


def fit(texts: Sequence[str], most_words: int) -> Vocabulary:
    """Collect the n-grams that occur in two texts or more; the same texts give the same vocabulary."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(pieces(text, most_words)))
    frequent = sorted(
        (gram for gram, rows in counts.items() if rows >= MIN_ROWS), key=lambda gram: (-counts[gram], gram)
    )
    kept = sorted(frequent[:MAX_NGRAMS])
    rows = np.array([counts[gram] for gram in kept], dtype=np.float64)
    rarity = np.log((1 + len(texts)) / (1 + rows)) + 1
    return Vocabulary({gram: row for row, gram in enumerate(kept)}, rarity.astype(np.float32), most_words)


class Weights(torch.nn.Module):
    """One row of weights for each n-gram, and a bias. It starts from zeros: the problem is convex."""

    rarity: torch.Tensor

    def __init__(self, vocabulary: Vocabulary, labels: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(len(vocabulary.numbers), labels))
        self.bias = torch.nn.Parameter(torch.zeros(labels))
        self.register_buffer("rarity", torch.from_numpy(vocabulary.rarity), persistent=False)

    def forward(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Compute logits (rows, labels) of texts as n-gram rows: the sum of their weights, each text of unit length."""
        place = self.weight.device
        lengths = torch.tensor([len(row) for row in rows], device=place)
        flat = torch.from_numpy(np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])).to(place)
        which = torch.repeat_interleave(torch.arange(len(rows), device=place), lengths)
        rarity = self.rarity[flat]
        squares = torch.zeros(len(rows), device=place).index_add_(0, which, rarity * rarity)
        shares = rarity / squares.sqrt()[which]
        starts = lengths.cumsum(0) - lengths
        return F.embedding_bag(flat, self.weight, starts, mode="sum", per_sample_weights=shares) + self.bias


@dataclass(frozen=True)
class NGramStudent:
    """A vocabulary and its weights, with the interface of `LabelStudent`."""

    model: Weights
    vocabulary: Vocabulary
    labels: tuple[str, ...]

    @property
    def max_tokens(self) -> int:
        return self.vocabulary.most_words

    def tokenise(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        return [self.vocabulary.numbers_of(text) for text in texts]

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        logits: torch.Tensor = self.model(rows)
        return logits

    def description(self) -> str:
        return json.dumps([list(self.vocabulary.numbers), self.vocabulary.most_words])

    def save(self, folder: Path) -> None:
        """Write config.json, the n-grams in the order of their rows, and the weights."""
        settings = {
            "model_type": MODEL_TYPE,
            "id2label": dict(enumerate(self.labels)),
            "shortest": self.vocabulary.shortest,
            "longest": self.vocabulary.longest,
            "most_words": self.vocabulary.most_words,
        }
        (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (folder / NGRAMS).write_text(json.dumps(list(self.vocabulary.numbers)) + "\n", encoding="utf-8")
        tensors = {"weight": self.model.weight, "bias": self.model.bias, "rarity": self.model.rarity}
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors"
        )


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None = None, start: Path | None = None
) -> NGramStudent:
    """Make the untrained student; a pure function of its arguments. Raises ValueError where no n-gram repeats."""
    spec = lengths.settled(spec, lambda: words_in(texts), lengths.MOST_AVERAGED)
    vocabulary = fit(texts, spec.max_tokens)
    if not vocabulary.numbers:
        raise ValueError("No n-gram occurs in two training rows, so an ngram student would learn nothing; add rows.")
    return NGramStudent(Weights(vocabulary, len(labels)), vocabulary, labels)
