"""Paired scores on any scale: a mean difference with its bounds, and whether the rounds left can still close a gap.

`statistics` judges shares of right answers; here a row's score may be anything that two students get on the same row.
A percentile bootstrap is no better for a mean: `benchmarks/gate_errors.py` prints both. Pure.
Source: Miller 2024 (arXiv 2411.00640) for the clustered error.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from distill_tui.gates import statistics
from distill_tui.gates.statistics import Cluster

ROUNDS_COMPARED = 2  # how many rounds a gain is looked at over
CAUTION = 0.125  # the one-sided error of the gain with which rounds are given up or counted as on track


@dataclass(frozen=True)
class Gain:
    """The mean of paired differences, and its standard error where rows of one group depend on each other."""

    mean: float
    error: float  # infinite for a single group
    rows: int
    groups: int

    @classmethod
    def of(cls, differences: Sequence[float], groups: Sequence[int]) -> Gain:
        """Average the differences of one row after another. Raises ValueError without rows.

        SE = √(G/(G−1)·Σ(Σ(d−d̄))²)/n over G groups, as in Miller 2024; for groups of one row it is the usual one.
        """
        if not differences:
            raise ValueError("There are no rows to compare.")
        totals: dict[int, list[float]] = defaultdict(list)
        for difference, group in zip(differences, groups, strict=True):
            totals[group].append(difference)
        rows, count = len(differences), len(totals)
        mean = math.fsum(differences) / rows
        squares = math.fsum((math.fsum(each) - len(each) * mean) ** 2 for each in totals.values())
        error = math.sqrt(count / (count - 1) * squares) / rows if count > 1 else math.inf
        return cls(mean, error, rows, count)

    def at_least(self, alpha: float) -> float:
        """Return the lower t bound of the mean; minus infinity for a single group.

        Under 200 rows it is approximate: with skewed scores 50 rows pass 7% and not 5% of what is at the margin.
        """
        return self.mean - self._reach(alpha)

    def at_most(self, alpha: float) -> float:
        """Return the upper t bound of the mean."""
        return self.mean + self._reach(alpha)

    def _reach(self, alpha: float) -> float:
        return math.inf if self.groups < 2 else statistics.t_quantile(1 - alpha, self.groups - 1) * self.error


@dataclass(frozen=True)
class RowScores:
    """One sample of row scores and its mean: the student's, or student minus other on the same rows.

    A score is from 0 to 1 and more is better. Bounds are those of `statistics.clustered_exceeds`, over groups of one
    row or more: they follow the skew of the scores, and never rise where the student scores less on a row.
    """

    clusters: Counter[Cluster]  # totals in shares of a score
    paired: bool

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int]], unit: int, *, paired: bool) -> RowScores:
        """Add up rows of (student's score, other's score, group) in `unit` parts; 0 where there is no other."""
        groups: dict[int, list[int]] = {}
        for student, other, group in rows:
            entry = groups.setdefault(group, [0, 0, 0])
            entry[0] += student - other
            entry[1] += 1
            entry[2] += unit - other
        counted = Counter(map(tuple, groups.values()))
        clusters = {Cluster(total / unit, size, best / unit): n for (total, size, best), n in sorted(counted.items())}
        return cls(Counter(clusters), paired)

    @cached_property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(each.size * count for each, count in self.clusters.items())

    @cached_property
    def groups(self) -> int:
        """How many independent groups they come from."""
        return self.clusters.total()

    @property
    def rough(self) -> bool:
        """Whether there are too few groups for a bound to be trusted to its last digit."""
        return self.groups < statistics.FEW_GROUPS

    @property
    def estimate(self) -> float | None:
        """The mean score, or nothing without rows."""
        return sum(each.total * count for each, count in self.clusters.items()) / self.rows if self.rows else None

    def exceeds(self, value: float) -> float:
        """Return the p-value of "the true mean is above this value"."""
        return statistics.clustered_exceeds(value, self.clusters)

    def falls_below(self, value: float) -> float:
        """Return the p-value of "the true mean is below this value"."""
        return self._mirror.exceeds((0 if self.paired else 1) - value)

    def at_least(self, alpha: float) -> float:
        """Return the lower bound of the mean."""
        return statistics.greatest_refuted(self.exceeds, alpha, -1.0 if self.paired else 0.0, 1.0)

    def at_most(self, alpha: float) -> float:
        """Return the upper bound of the mean."""
        return (0 if self.paired else 1) - self._mirror.at_least(alpha)

    def rows_needed(self, bar: float, alpha: float) -> int | None:
        """Return how many such rows would separate the mean from the bar, if it stays as it is; None if none would."""
        gap = abs((self.estimate or 0.0) - bar)
        if self.groups < 2 or not gap:
            return None
        error = statistics.clustered_standard_error(self.clusters.elements())
        reach = statistics.normal_quantile(1 - alpha) + statistics.normal_quantile(statistics.POWER)
        squares = sum(each.size * each.size * count for each, count in self.clusters.items())
        unseen = math.log(alpha) / math.log1p(-gap) * squares / self.rows if gap < 1 else 1
        return max(math.ceil((reach * error / gap) ** 2 * self.rows), math.ceil(unseen), self.rows + 1)

    @cached_property
    def _mirror(self) -> RowScores:
        """Return the scores turned round, as `statistics.Scores` does."""
        turned = Counter[Cluster]()
        for each, count in self.clusters.items():
            rest = each.size - each.best if self.paired else each.size
            turned[Cluster((0 if self.paired else each.size) - each.total, each.size, rest)] += count
        return RowScores(turned, self.paired)


# --- whether more rounds will do -------------------------------------------------------------------------------------


class Prospect(StrEnum):
    """The outlook for the rounds that are left, from the gain of the last two."""

    REACHED = "reached"  # the score is at its target
    HOPELESS = "hopeless"  # even a generous reading of the gain falls short of the pace that is needed
    ON_TRACK = "on track"
    UNCLEAR = "unclear"  # too few rows to tell


@dataclass(frozen=True)
class Outlook:
    """A futility test, with the figures that it rests on: shares of rows, gains over two rounds."""

    prospect: Prospect
    gain: Gain
    gap: float  # from the score now to the target
    need: float  # gain that two of the rounds left must bring
    best: float  # gain that the last two rounds may at most have brought
    rounds_left: int


def outlook(gain: Gain, gap: float, rounds_left: int) -> Outlook:
    """Return whether the rounds left can close the gap, at the pace of the last two.

    need = 2·gap / rounds left. Hopeless where gain + z·SE < need: not even the upper bound of the pace suffices.
    On track where gain ≥ need and gain − z·SE ≥ 0, z = 1.15. SE is that of the gain alone: the gap was measured on the
    same rows, so a play that is exactly at the pace is given up more often than one time in eight; see the benchmark.
    """
    reach = statistics.normal_quantile(1 - CAUTION) * gain.error
    need = ROUNDS_COMPARED * gap / rounds_left if rounds_left > 0 else math.inf
    if gap <= 0:
        prospect = Prospect.REACHED
    elif gain.mean + reach < need:
        prospect = Prospect.HOPELESS
    elif gain.mean >= need and gain.mean - reach >= 0:
        prospect = Prospect.ON_TRACK
    else:
        prospect = Prospect.UNCLEAR
    return Outlook(prospect, gain, gap, need, gain.mean + reach, rounds_left)
