"""What drifted of a live student since the onset, against before: one value that every printer shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """How often the student answered one thing where the teacher answered another."""

    answer: str
    teacher: str
    hits: int  # since the onset
    hits_before: int


@dataclass(frozen=True)
class Moved:
    """A share that moved: rows of a segment that differ, or rows with a term."""

    name: str
    before: float | None  # None where there are no rows
    since: float

    @property
    def words(self) -> str:
        before = "new" if self.before is None else f"{100 * self.before:.1f}%"
        return f"{self.name} {100 * self.since:.1f}% ({before})"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What drifted: pairs of answers, segments and terms, most first. Figures before the onset stand in brackets."""

    since: str  # the day
    rows: int  # with an answer to compare with, since the onset
    differ: int
    rows_before: int
    differ_before: int
    pairs: tuple[Pair, ...] = ()
    segments: tuple[Moved, ...] = ()  # rows that differ
    rose: tuple[Moved, ...] = ()  # terms, by the rows that have them; of open rows only
    fell: tuple[Moved, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(self._sentences())

    @property
    def line(self) -> str:
        return " ".join(self.sentences)

    def _sentences(self) -> Iterator[str]:
        yield (
            f"Since {self.since} (before in brackets): {_share(self.differ, self.rows)} rows disagree "
            f"({_share(self.differ_before, self.rows_before)})."
        )
        if self.pairs:
            pairs = (
                f"{each.answer}, teacher {each.teacher} {each.hits:,} ({each.hits_before:,})" for each in self.pairs
            )
            yield f"Student {'; student '.join(pairs)}."
        if self.segments:
            yield f"By segment: {_listed(self.segments)}."
        if self.rose or self.fell:
            rose, fell = (_listed(each) if each else "none" for each in (self.rose, self.fell))
            yield f"Terms that rose: {rose}; that fell: {fell}."


def _share(hits: int, rows: int) -> str:
    return f"{100 * hits / rows:.1f}% of {rows:,}" if rows else "none"


def _listed(moved: tuple[Moved, ...]) -> str:
    return ", ".join(each.words for each in moved)
