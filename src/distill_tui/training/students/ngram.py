"""The cheapest student: words, pairs of words and pieces of words, weighted by rarity and summed to logits.

A linear softmax over n-grams (Joachims 1998; Wang and Manning 2012 on how hard it is to beat), here trained on soft
labels. It ships as three small files, and a page of plain numpy runs it: the model card prints that page.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from math import sqrt
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from distill_tui.spec import Spec
from distill_tui.training import models
from distill_tui.training.folders import NGRAMS
from distill_tui.training.models import Floats
from distill_tui.training.predictor import Predictor

MODEL_TYPE = "distill-tui-ngram"
WORD = re.compile(r"\w+|[^\w\s]")
SHORTEST, LONGEST = 2, 5  # letters in a piece of a word, the marks of its two ends included
MIN_ROWS = 2  # texts that an n-gram must occur in to be kept
CACHED_WORDS = 20_000  # words whose n-grams are looked up only once while a student is open
MAX_NGRAMS = 200_000  # n-grams that are kept, the most frequent first


def pieces(text: str, most_words: int, shortest: int = SHORTEST, longest: int = LONGEST) -> Iterator[str]:
    """Yield the n-grams of a text, some more than once: words, pairs of words, and letters inside a word after a #."""
    words = WORD.findall(text.lower())[:most_words]
    yield from pairs(words)
    for word in words:
        yield from of_word(word, shortest, longest)


def pairs(words: Sequence[str]) -> list[str]:
    return [f"{first} {second}" for first, second in pairwise(words)]


def of_word(word: str, shortest: int, longest: int) -> list[str]:
    """Return a word and the letter n-grams inside it, its two ends marked."""
    ends = f"<{word}>"
    sizes = range(shortest, longest + 1)
    return [word, *("#" + ends[start : start + size] for size in sizes for start in range(len(ends) - size + 1))]


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams of a student, each with its row in the weights, and how rare each is among the training rows."""

    numbers: dict[str, int]
    rarity: NDArray[np.float32]  # (n-grams,) ln((1 + rows) / (1 + rows with it)) + 1, as TF-IDF has it
    most_words: int  # longer texts are cut
    shortest: int = SHORTEST
    longest: int = LONGEST

    def numbers_of(self, text: str) -> list[int]:
        """Return the rows of a text's n-grams, each once, in order; unknown ones are left out."""
        words = WORD.findall(text.lower())[: self.most_words]
        found = set(map(self.numbers.get, pairs(words))).union(*map(self.rows_of, words))
        found.discard(None)
        return sorted(found)  # type: ignore[arg-type]

    @cached_property
    def rows_of(self) -> Callable[[str], frozenset[int]]:
        """A word's own rows, cached: looking up its letters is most of the work, and texts repeat their words."""
        get, sizes = self.numbers.get, (self.shortest, self.longest)

        def rows(word: str) -> frozenset[int]:
            return frozenset(row for row in map(get, of_word(word, *sizes)) if row is not None)

        return lru_cache(CACHED_WORDS)(rows)


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

    def tokenise(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
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
    vocabulary = fit(texts, spec.max_tokens)
    if not vocabulary.numbers:
        raise ValueError("No n-gram occurs in two training rows, so an ngram student would learn nothing; add rows.")
    return NGramStudent(Weights(vocabulary, len(labels)), vocabulary, labels)


def open_folder(folder: Path, threads: int, max_tokens: int) -> Predictor[Floats]:
    """Open a folder that `save` wrote, in plain numpy; texts are cut where they were in training."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = json.loads((folder / NGRAMS).read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", framework="np") as file:
        weight, bias, rarity = (file.get_tensor(name) for name in ("weight", "bias", "rarity"))
    sizes = (int(settings[name]) for name in ("most_words", "shortest", "longest"))
    vocabulary = Vocabulary({name: row for row, name in enumerate(names)}, rarity, *sizes)
    words = (name for name in names if " " not in name and not name.startswith("#"))
    for word in islice(words, CACHED_WORDS // 2):
        vocabulary.rows_of(word)  # so that the first text with a word is as fast as the next
    # what an n-gram adds to each logit, and to the square of the text's length: one look-up and one sum for all
    adds = np.column_stack([rarity[:, None] * weight, rarity * rarity])

    def logits(rows: Sequence[int]) -> NDArray[np.float32]:
        if not rows:
            return bias  # type: ignore[no-any-return]
        summed = np.add.reduce(adds[np.fromiter(rows, np.int64, len(rows))])
        answer: NDArray[np.float32] = summed[:-1] / sqrt(summed[-1]) + bias
        return answer

    return Predictor(
        lambda texts: [*map(vocabulary.numbers_of, texts)], lambda rows: models.softmax(np.stack([*map(logits, rows)]))
    )
