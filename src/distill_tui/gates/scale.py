"""The scale of scores: levels in order, or a range of numbers, and how it is kept as labels of a student. Pure.

A range is learnt as a distribution over points of it (Imani and White 2018, "Improving regression performance with
distributional losses"): a number between two points is shared by them, and a student's number is the mean. A point is
written with a `~`, so that labels alone say which of the two a scale is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from itertools import accumulate

from distill_tui.gates.wording import trim

NEAR = "~"
STEPS = 20  # from the lowest point of a range to its highest
FEWEST, MOST = 3, 100  # levels
DIGITS = 4  # decimals of a number, at most
TOLERANCE = Decimal("0.1")  # of a range: what counts as within one level


@dataclass(frozen=True)
class Scale:
    """Levels, or the points of a range, in order."""

    points: tuple[Decimal, ...]
    ranged: bool

    @staticmethod
    @lru_cache(maxsize=32)
    def read(text: str) -> Scale:
        """Read `1,2,3,4,5` or `0..1`. Raises ValueError with one sentence."""
        if ".." in text:
            low, high = (_decimal(part) for part in text.split("..", 1))
            if low is None or high is None or low >= high:
                raise ValueError(f"“{text[:60]}” is not a range. Write the lowest and the highest number, like 0..1.")
            step = (high - low) / STEPS
            return Scale(tuple(low + at * step for at in range(STEPS + 1)), ranged=True)
        found = [_decimal(part) for part in text.split(",")]
        levels = [each for each in found if each is not None]
        if len(levels) < len(found) or sorted(set(levels)) != levels or not FEWEST <= len(levels) <= MOST:
            raise ValueError(
                f"“{text[:60]}” is not a list of levels. Write {FEWEST} to {MOST} numbers that rise, like 1,2,3,4,5, "
                "or a range, like 0..1; two levels are labels of a classification."
            )
        return Scale(tuple(levels), ranged=False)

    @staticmethod
    def of(labels: Sequence[str]) -> Scale:
        """Return the scale that labels are of. Raises ValueError where they are of none."""
        return _of(tuple(labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that a student gives shares to, in order."""
        return tuple(f"{NEAR if self.ranged else ''}{spelled(point)}" for point in self.points)

    @property
    def text(self) -> str:
        """The scale as it is typed."""
        ends = (self.points[0], self.points[-1])
        return "..".join(map(spelled, ends)) if self.ranged else ",".join(map(spelled, self.points))

    @property
    def span(self) -> Decimal:
        return self.points[-1] - self.points[0]

    @cached_property
    def _places(self) -> dict[Decimal, int]:
        return {point: at for at, point in enumerate(self.points)}

    def number(self, value: object) -> str:
        """Return a score in its one spelling. Raises ValueError with the reason where it is not on the scale."""
        found = None if isinstance(value, bool) else _decimal(str(value))
        if found is None:
            raise ValueError("is not a number")
        if self.ranged and not self.points[0] <= found <= self.points[-1]:
            raise ValueError(f"is outside {self.text}")
        if not self.ranged and found not in self._places:
            raise ValueError(f"is none of the levels {self.text}")
        return spelled(round(found, DIGITS)) if self.ranged else spelled(found)

    def known(self, text: str | None) -> str | None:
        """Return a score in its one spelling; None for what is not on the scale."""
        try:
            return None if text is None else self.number(text)
        except ValueError:
            return None

    def nearest(self, text: str) -> int:
        """Return the place of the label nearest to a score."""
        value = Decimal(text)
        return min(range(len(self.points)), key=lambda at: (abs(self.points[at] - value), at))

    def shares(self, value: float) -> tuple[float, ...]:
        """Share a number among the two labels that it lies between; one outside is moved to the nearest end."""
        points = [float(point) for point in self.points]
        value = min(max(value, points[0]), points[-1])
        above = next(at for at in range(1, len(points)) if value <= points[at])
        part = (value - points[above - 1]) / (points[above] - points[above - 1])
        found = [0.0] * len(points)
        found[above - 1], found[above] = 1 - part, part
        return tuple(found)

    def answer(self, shares: Sequence[float]) -> str:
        """Return the score of a distribution over the labels: of levels the median, of a range the mean.

        The median has the least expected distance of all levels; the likeliest may have much on one side of it.
        """
        return self.mean(shares) if self.ranged else self.labels[median(shares)]

    def mean(self, shares: Mapping[str, float] | Sequence[float]) -> str:
        """Return the mean of a distribution over numbers, to a thousandth of the range."""
        named = shares if isinstance(shares, Mapping) else dict(zip(map(spelled, self.points), shares, strict=True))
        mean = math.fsum(float(point) * share for point, share in named.items()) / math.fsum(named.values())
        decimals = max(0, 3 - math.floor(math.log10(float(self.span))))
        return spelled(round(Decimal(f"{mean:.12f}"), min(DIGITS, decimals)))

    def within_one(self, one: str, other: str) -> bool:
        """Whether two scores are at most one level apart, or a tenth of the range."""
        first, second = Decimal(one), Decimal(other)
        if self.ranged:
            return abs(first - second) <= TOLERANCE * self.span
        return abs(self._places[first] - self._places[second]) <= 1


@lru_cache(maxsize=32)
def _of(labels: tuple[str, ...]) -> Scale:
    ranged = bool(labels) and all(label.startswith(NEAR) for label in labels)
    found = [_decimal(label.removeprefix(NEAR)) for label in labels]
    points = [each for each in found if each is not None]
    if len(points) < len(labels) or sorted(set(points)) != points or len(points) < 2:
        raise ValueError(f"The labels {', '.join(labels[:5])} are not the levels of a scale.")
    return Scale(tuple(points), ranged)


def apart(scale: Scale | None, one: str, other: str) -> bool:
    """Whether two answers count as different: of scores, those more than one level apart, or a tenth of a range."""
    if scale is None or one == other:
        return one != other
    known = [scale.known(each.removeprefix(NEAR)) for each in (one, other)]
    return known[0] is None or known[1] is None or not scale.within_one(known[0], known[1])


def median(shares: Sequence[float]) -> int:
    """Return the place of the level at which half of a distribution is reached."""
    half = math.fsum(shares) / 2
    return next((at for at, below in enumerate(accumulate(shares)) if below >= half - 1e-9), len(shares) - 1)


def is_range(labels: Sequence[str]) -> bool:
    """Whether labels are the points of a range, so that an answer is a number and not one of them."""
    return bool(labels) and all(label.startswith(NEAR) for label in labels)


@lru_cache(maxsize=100_000)
def value(text: str) -> float | None:
    """Return the number that a label or an answer is; None where it is none."""
    found = _decimal(text.removeprefix(NEAR))
    return None if found is None else float(found)


def spelled(number: Decimal) -> str:
    """Write a number without an exponent and without zeros that say nothing."""
    text = trim(f"{number:f}") if "." in f"{number:f}" else f"{number:f}"
    return "0" if text == "-0" else text


def _decimal(text: str) -> Decimal | None:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) <= 12 and len(found.as_tuple().digits) <= 15 else None
