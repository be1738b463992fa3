"""Find words in texts of any script. Combining marks belong to their letters; some scripts have no spaces. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import regex

# Scripts that write no spaces between words, with how many of their letters make a word, roughly.
LETTERS_A_WORD = {
    **dict.fromkeys(("Han", "Hiragana", "Katakana"), 2),
    **dict.fromkeys(("Thai", "Lao", "Khmer", "Myanmar", "Tibetan"), 4),
}
_LETTER = r"[\p{L}\p{M}]"
_WORD = regex.compile(r"[\w\p{M}]{2,}")
_CHARACTER = regex.compile(r"\w")
_ONE = regex.compile(r"\p{L}\p{M}*")
_LONG = regex.compile(rf"{_LETTER}{{3,}}")
_UNSPACED = regex.compile("".join((r"[", *(rf"\p{{Script_Extensions={name}}}" for name in LETTERS_A_WORD), r"]+")))
_OF_SCRIPT = {name: regex.compile(rf"\p{{Script={name}}}") for name in LETTERS_A_WORD}


def words(text: str) -> list[str]:
    """Return the words of two characters or more, as a word n-gram model counts them."""
    return list(_WORD.findall(text))


def distinctive(text: str) -> list[str]:
    """Return what may name a topic: words of three letters or more, and pairs of letters where there are no spaces."""
    lower = text.casefold()
    return [*_pairs(lower), *_LONG.findall(_UNSPACED.sub(" ", lower))]


def _pairs(text: str) -> Iterator[str]:
    for run in _UNSPACED.findall(text):
        letters = _ONE.findall(run)
        yield from (first + second for first, second in pairwise(letters))


def count(text: str) -> int:
    """Count the words of a text; of scripts without spaces about as many as their letters make."""
    if text.isascii():
        return len(text.split())
    unspaced = sum(ceil(len(of.findall(text)) / LETTERS_A_WORD[name]) for name, of in _OF_SCRIPT.items())
    return unspaced + sum(bool(_CHARACTER.search(word)) for word in _UNSPACED.sub(" ", text).split())


def without_spaces(text: str) -> bool:
    """Whether most letters of a text are of a script that writes no spaces between words."""
    return 2 * sum(map(len, _UNSPACED.findall(text))) > len(text)
