"""Paired scores on any scale: a mean difference with its bounds, and whether the rounds left can still close a gap.

`statistics` judges shares of right answers; here a row's score may be anything that two students get on the same row.
A percentile bootstrap does no better for a mean: `benchmarks/gate_errors.py` prints both. Pure.
Source: Miller 2024 (arXiv 2411.00640) for the clustered error.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from distill_tui.gates import statistics
from distill_tui.gates.record import Record
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
        """Average the differences of one row after another. Raises ValueError without rows."""
        if not differences:
            raise ValueError("There are no rows to compare.")
        totals: dict[int, list[float]] = defaultdict(list)
        for difference, group in zip(differences, groups, strict=True):
            totals[group].append(difference)
        clusters = [Cluster(math.fsum(each), len(each), 0) for each in totals.values()]
        rows, error = len(differences), statistics.clustered_standard_error(clusters)
        return cls(math.fsum(differences) / rows, error, rows, len(clusters))

    @classmethod
    def between(cls, first: Mapping[int, float], last: Mapping[int, float], record: Record) -> Gain | None:
        """Average last minus first over the keys of rows that both have; `record` groups them. None without any."""
        groups, shared = dict(zip(record.key, record.group, strict=False)), sorted(first.keys() & last.keys())
        return cls.of([last[key] - first[key] for key in shared], [groups[key] for key in shared]) if shared else None

    def at_least(self, alpha: float) -> float:
        """Return the lower t bound of the mean; minus infinity for a single group.

        Under 200 rows it is approximate: with skewed scores 50 rows pass 7% and not 5% of what is at the margin.
        """
        return self.mean - self._reach(alpha)

    def at_most(self, alpha: float) -> float:
        return self.mean + self._reach(alpha)

    def _reach(self, alpha: float) -> float:
        return math.inf if self.groups < 2 else statistics.t_quantile(1 - alpha, self.groups - 1) * self.error


# --- whether more rounds will do -------------------------------------------------------------------------------------


class Prospect(StrEnum):
    """The outlook for the rounds that are left, from the gain of the last two."""

    REACHED = "reached"  # the score is at its target
    HOPELESS = "hopeless"  # even a generous reading of the gain falls short of the pace that is needed
    ON_TRACK = "on track"
    UNCLEAR = "unclear"  # too few rows to decide


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
