"""The n-grams of a text, and the cheapest student opened from its folder: plain numpy, no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from distill_tui.gates.cut import Cut
from distill_tui.text import pair_of
from distill_tui.training.arrays import Floats, sigmoid, softmax
from distill_tui.training.folders import NGRAMS, SEVERAL
from distill_tui.training.predictor import Predictor

WORD = re.compile(r"\w+|[^\w\s]")
SHORTEST, LONGEST = 2, 5  # letters in a piece of a word, the marks of its two ends included
CACHED_WORDS = 20_000  # words whose n-grams are looked up only once while a student is open


def pieces(text: str, most_words: int, shortest: int = SHORTEST, longest: int = LONGEST) -> Iterator[str]:
    """Yield the n-grams of a text, some more than once: words, pairs of words, and letters inside a word after a #."""
    words = words_of(text, most_words)
    yield from pairs(words)
    for word in words:
        yield from of_word(word, shortest, longest)


def words_of(text: str, most: int) -> list[str]:
    """Return the words of a text, at most so many.

    Of a pair the words of the second part are marked, and after them come those that both parts have, and how many in
    ten of the second's: what a sum over single words could not see. The longer part is cut first.
    """
    parts = pair_of(text)
    if parts is None:
        return WORD.findall(text.lower())[:most]
    first, second = (WORD.findall(part.lower()) for part in parts)
    first = first[: max(most - len(second), most // 2)]
    second = second[: most - len(first)]
    if not second:
        return first
    both = sorted({*first} & {*second})
    shared = f"={10 * len(both) // len({*second})}"
    return [*first, *(f"2:{word}" for word in second), *(f"=:{word}" for word in both), shared]


def words_in(texts: Sequence[str]) -> list[int]:
    """Count the words of each text."""
    return [len(WORD.findall(text.lower())) for text in texts]


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
        words = words_of(text, self.most_words)
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


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[Floats]:
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
    shares = sigmoid if settings.get("problem_type") == SEVERAL else softmax
    # what an n-gram adds to each logit, and to the square of the text's length: one look-up and one sum for all
    adds = np.column_stack([rarity[:, None] * weight, rarity * rarity])

    def logits(rows: Sequence[int]) -> NDArray[np.float32]:
        if not rows:
            return bias  # type: ignore[no-any-return]
        summed = np.add.reduce(adds[np.fromiter(rows, np.int64, len(rows))])
        answer: NDArray[np.float32] = summed[:-1] / sqrt(summed[-1]) + bias
        return answer

    def cut(texts: Sequence[str]) -> Cut:
        lengths = words_in(texts)
        return Cut.of(lengths, [max(0, length - vocabulary.most_words) for length in lengths])

    return Predictor(
        lambda texts: [*map(vocabulary.numbers_of, texts)], lambda rows: shares(np.stack([*map(logits, rows)])), cut
    )
