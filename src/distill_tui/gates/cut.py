"""How much of the texts a model did not read, because they are longer than what it reads at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MANY = 0.01  # of the texts


@dataclass(frozen=True)
class Cut:
    """How much of some texts was not read because they are longer than what a model reads at once."""

    texts: int
    texts_cut: int
    tokens: int  # of the whole texts
    tokens_cut: int

    @classmethod
    def of(cls, whole: Sequence[int], cut: Sequence[int]) -> Cut:
        """Count from the length of each whole text and how much of it was cut, in tokens."""
        return cls(texts=len(whole), texts_cut=sum(each > 0 for each in cut), tokens=sum(whole), tokens_cut=sum(cut))

    def __add__(self, other: Cut) -> Cut:
        """Add what is counted of other texts."""
        return Cut(*(one + more for one, more in zip(self.numbers, other.numbers, strict=True)))

    @property
    def share(self) -> float:
        return self.texts_cut / self.texts if self.texts else 0.0

    @property
    def is_finding(self) -> bool:
        """Whether so many texts are cut that a person must have seen it."""
        return self.share > MANY

    @property
    def numbers(self) -> tuple[int, ...]:
        return self.texts, self.texts_cut, self.tokens, self.tokens_cut

    @property
    def sentence(self) -> str:
        if not self.texts_cut:
            return f"none of {self.texts:,} texts is cut"
        return (
            f"{self.texts_cut:,} of {self.texts:,} texts are cut ({100 * self.share:.1f}%), and with them "
            f"{100 * self.tokens_cut / self.tokens:.1f}% of all tokens"
        )
