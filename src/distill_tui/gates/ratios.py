"""A mean of ratios of sums, such as F1 of a label or macro-F1, with bounds where rows of a group are dependent.

F1 is not a mean over rows, so no interval of a mean holds for it. Each group is left out in turn, and the empirical
likelihood of the jackknife's pseudo-values is put against t (Jing, Yuan and Zhou 2009, JASA 104:1224; groups as in
Miller 2024). Only groups that bear on a ratio count: a thousand rows without a label prove nothing about it. Pure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from distill_tui.gates import statistics
from distill_tui.gates.statistics import FEW_GROUPS, POWER

Part = str  # the label that a ratio is of


@dataclass(frozen=True)
class Share:
    """What a group, or all of them, adds to one ratio: numerator, denominator, and rows that make the ratio count."""

    over: int
    under: int
    present: int

    def __add__(self, other: Share) -> Share:
        return Share(self.over + other.over, self.under + other.under, self.present + other.present)

    def __sub__(self, other: Share) -> Share:
        return Share(self.over - other.over, self.under - other.under, self.present - other.present)

    @property
    def ratio(self) -> float | None:
        """The ratio; None where no row makes it count."""
        return self.over / self.under if self.present and self.under else None


NOTHING = Share(0, 0, 0)
Tally = Mapping[Part, Share]


def kish(weights: Iterable[int]) -> float:
    """Return Kish's number of groups, (Σw)²/Σw²: as many as groups of one weight would be."""
    each = [weight for weight in weights if weight]
    return sum(each) ** 2 / sum(weight * weight for weight in each) if each else 0.0


@dataclass(frozen=True)
class MeanRatio:
    """The mean of the ratios of one subject, in all groups together and with each group left out."""

    whole: float
    without: Mapping[int, float]  # group that bears on a ratio → the mean without it
    groups: Mapping[Part, float]  # part → groups that bear on it, as many as groups of one size would be
    effective: float  # groups that bear on any, likewise

    @classmethod
    def of(cls, rows: Iterable[tuple[int, Tally]]) -> MeanRatio | None:
        """Add up the shares of rows by group; None where no ratio counts."""
        by_group: dict[int, dict[Part, Share]] = defaultdict(dict)
        for group, tally in rows:
            here = by_group[group]
            for part, share in tally.items():
                here[part] = here.get(part, NOTHING) + share
        total: dict[Part, Share] = {}
        for here in by_group.values():
            for part, share in here.items():
                total[part] = total.get(part, NOTHING) + share
        ratios = {part: share.ratio for part, share in total.items()}
        known = {part: ratio for part, ratio in ratios.items() if ratio is not None}
        if not known:
            return None
        summed, count = math.fsum(known.values()), len(known)
        without, weights = {}, []
        for group, here in by_group.items():
            weight = sum(share.under for part, share in here.items() if part in known)
            if not weight:
                continue  # it bears on no ratio that counts
            weights.append(weight)
            rest, left = summed, count
            for part, share in here.items():
                if part in known:
                    again = (total[part] - share).ratio
                    rest += (0.0 if again is None else again) - known[part]
                    left -= again is None
            without[group] = rest / left if left else summed / count
        by_part = {part: kish([here[part].under for here in by_group.values() if part in here]) for part in known}
        return cls(summed / count, without, by_part, kish(weights))


@dataclass(frozen=True)
class Ratios:
    """The evidence on a mean of ratios, of the student alone or, `paired`, minus that of another on the same rows.

    It has the interface of `statistics.Scores`.
    """

    rows: int
    paired: bool
    estimate: float | None
    pseudo: tuple[float, ...]  # of each group that bears on a ratio
    spread: tuple[float, ...]  # groups that bear on each ratio, as many as groups of one size would be
    effective: float  # groups that bear on any, likewise
    lowest: float = 0.0  # that a value can be
    reach: float = 1.0  # how far a share of the rows, unlike all others, can move the mean: so many times the share

    @classmethod
    def of(
        cls,
        rows: int,
        student: MeanRatio | None,
        other: MeanRatio | None = None,
        *,
        lowest: float = 0.0,
        reach: float = 1.0,
    ) -> Ratios:
        if student is None:
            return cls(0, other is not None, None, (), (), 0.0)
        theirs = 0.0 if other is None else other.whole
        whole = student.whole - theirs
        groups = {*student.without, *(other.without if other is not None else ())}
        count, pseudo = len(groups), []
        for group in sorted(groups):
            left = student.without.get(group, student.whole)
            left -= 0.0 if other is None else other.without.get(group, other.whole)
            pseudo.append(round(count * whole - (count - 1) * left, 9))
        spread = [*student.groups.values()]
        effective = min(student.effective, other.effective if other is not None else student.effective)
        return cls(rows, other is not None, whole, tuple(pseudo), tuple(sorted(spread)), effective, lowest, reach)

    @property
    def groups(self) -> int:
        return len(self.pseudo)

    @property
    def rough(self) -> bool:
        return self.groups < FEW_GROUPS

    def by(self, methods: int) -> Ratios:
        """Return the evidence as a version of the methods judges it: the same in all."""
        return self

    def exceeds(self, value: float) -> float:
        """Return the p-value of "the true value is above this"."""
        return self._beyond(value, 1)

    def falls_below(self, value: float) -> float:
        return self._beyond(value, -1)

    def at_least(self, alpha: float) -> float:
        widest = 1.0 - self.lowest
        return statistics.greatest_refuted(self.exceeds, alpha, -widest if self.paired else self.lowest, self._highest)

    def at_most(self, alpha: float) -> float:
        most = self._highest
        least = statistics.greatest_refuted(lambda value: self.falls_below(-value), alpha, -most, most)
        return min(most, -least)

    @property
    def _highest(self) -> float:
        return 1.0 - self.lowest if self.paired else 1.0

    def rows_needed(self, bar: float, alpha: float) -> int | None:
        """Return how many such rows would separate the value from the bar, if it stays as it is; None if none would."""
        if self.estimate is None or self.estimate == bar or self.groups < 2:
            return None
        reach = statistics.normal_quantile(1 - alpha) + statistics.normal_quantile(POWER)
        gap = abs(self.estimate - bar)
        by_spread = math.ceil((reach * self._error / gap) ** 2 * self.rows)
        share = min(gap / self.reach, 1 - 1e-9)
        unseen = math.log(alpha) / math.log1p(-share) * self.rows / max(1, self.spread[0])
        return max(by_spread, math.ceil(unseen) if len(self.spread) == 1 else 0, self.rows + 1)

    @cached_property
    def _error(self) -> float:
        mean = math.fsum(self.pseudo) / self.groups
        squares = math.fsum((each - mean) ** 2 for each in self.pseudo)
        return math.sqrt(squares / (self.groups - 1) / self.groups)

    def _beyond(self, value: float, side: int) -> float:
        if self.estimate is None or self.groups < 2:
            return 1.0
        half = 0.5 * self.reach / self.effective  # what half a row can move: sums of labels are whole numbers
        sums = sorted(Counter(side * (each - value) - half for each in self.pseudo).items())
        gap = side * (self.estimate - value)
        if gap <= 0 or math.fsum(each * count for each, count in sums) <= 0:
            return 1.0
        unseen = self._unseen(gap / self.reach)
        if sums[0][0] >= 0:
            return unseen
        likelihood = math.sqrt(2 * statistics.log_likelihood(sums))
        return max(unseen, statistics.t_tail(likelihood, max(1.0, self.effective - 1)))

    def _unseen(self, gap: float) -> float:
        """Return how likely a loss of `gap` in the mean is to show in no group: the likeliest way to spread it.

        A ratio that n groups bear on loses a share e unseen with (1 − e)^n; the losses that make the whole likeliest
        are e = 1 − n/λ, with one λ for all ratios (the product is log-concave).
        """
        wanted = gap * len(self.spread)
        if wanted >= len(self.spread):
            return 0.0
        low, high = float(self.spread[0]), float(self.spread[-1]) * len(self.spread) / (len(self.spread) - wanted) + 1
        for _ in range(60):
            middle = (low + high) / 2
            lost = math.fsum(1 - n / middle for n in self.spread if n < middle)
            low, high = (middle, high) if lost < wanted else (low, middle)
        return math.exp(math.fsum(n * math.log(n / high) for n in self.spread if n < high))
