"""A sequential monitor that stays valid however often one looks: of disagreement, of inputs, of the teacher.

Evidence is an e-process: the wealth of a gambler who bets that a rate is above its ceiling, with bets that are fair or
worse as long as it is not. It restarts a little at every row, so that late drift is found as fast as early drift:

    S_k <- (S_k + 1/H) * (1 + lambda_k * (x - r0))            x in [0, 1], r0 the ceiling, H the horizon

Under E[x | past] <= r0 the mean of S_k plus what is left of the budget is a non-negative supermartingale that starts at
1, so that by Ville's inequality P(it ever reaches 1/level within the horizon) <= level, whatever the sampling and
whenever one looks (Shin, Ramdas and Rinaldo, E-detectors; Shekhar and Ramdas 2024). Weighted means of such processes
are such processes, under any dependence: that is how segments share one alarm, and 1/S is a p-value for each.

Pure; standard library and `statistics` only. A state is a few numbers, made with additions, products and square roots
alone, which IEEE 754 rounds alike everywhere: the same observations give the same state, to the bit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import comb, fsum, log, sqrt
from random import Random

from distill_tui.gates import statistics

LEVEL = 0.05  # of a false alarm within one horizon
ROW_RISES = (1.25, 1.5, 2.0, 3.0, 5.0)  # the rises over the ceiling that are bet on, row by row
BATCH_STAKES = (0.1, 0.25, 0.5, 0.75, 0.95)  # the share of the wealth that is staked on a batch's mean
ENOUGH = 1e200  # evidence beyond any doubt; more is not counted, so that no number overflows


# --- one process, and several under one alarm ------------------------------------------------------------------------


def ceiling(hits: int, rows: int, locked: float | None = None) -> float:
    """Return the rate that a live student is held to: the locked one, or the 90% bound of what was seen, if higher.

    The bound is Clopper-Pearson's upper one: a ceiling at the point estimate would cry wolf in up to a third of lives,
    because half of all estimates lie below the truth.
    """
    return max(locked or 0.0, statistics.share_at_most(hits, rows, 0.10))


def row_bets(limit: float) -> tuple[float, ...]:
    """Return the stakes of bets on single rows: the likelihood ratios of rates above the ceiling."""
    highest = 1 - (1 - limit) / 4  # a bet on a rate of 1 would lose everything at the first agreement
    rates = (min(rise * limit, highest) for rise in ROW_RISES)
    return tuple((rate - limit) / (limit * (1 - limit)) for rate in rates)


def batch_bets(limit: float) -> tuple[float, ...]:
    """Return the stakes of bets on the mean of a batch, valid however rows of one batch depend on each other."""
    return tuple(stake / limit for stake in BATCH_STAKES)


def factors(share: float, limit: float, bets: Sequence[float]) -> tuple[float, ...]:
    """Return what each bet's wealth is multiplied with when a row, or the mean of a batch, differs by `share`."""
    return tuple(1 + bet * (share - limit) for bet in bets)


class Evidence:
    """The evidence of one process: a sum for each bet, and where its latest climb began."""

    __slots__ = ("climbs", "since", "sums")

    def __init__(self, bets: int) -> None:
        self.sums = [0.0] * bets
        self.climbs = [1.0] * bets
        self.since = [""] * bets

    def add(self, by: Sequence[float], weight: float, place: str) -> None:
        """Let every bet win or lose."""
        sums, climbs, since = self.sums, self.climbs, self.since
        for k, factor in enumerate(by):  # comparisons, because this is nearly all that a year of rows takes
            wealth = (sums[k] + weight) * factor
            sums[k] = wealth if wealth < ENOUGH else ENOUGH
            climb = climbs[k] * factor
            if climb <= 1:
                climbs[k], since[k] = 1.0, ""
            else:
                climbs[k] = climb if climb < ENOUGH else ENOUGH
                if not since[k]:
                    since[k] = place

    @property
    def value(self) -> float:
        """The e-value: 20 is as strong as p = 0.05, and one may look at any time."""
        return fsum(self.sums) / len(self.sums)

    @property
    def began(self) -> str:
        """The place where the climb of the strongest bet began: the best guess of when it changed (Page 1954)."""
        return self.since[max(range(len(self.sums)), key=lambda k: self.sums[k])]


@dataclass(frozen=True)
class GroupState:
    """All that the next step of a group depends on; floats come back from JSON to the bit."""

    seen: int
    total: int
    horizons: int
    alarm: str
    each: Mapping[str, tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]]  # name → sums, climbs, since


class Group:
    """Several processes under one alarm: `weights` by name, 1 in all. The alarm, once raised, stays."""

    def __init__(self, weights: Mapping[str, float], bets: int, horizon: int, level: float = LEVEL) -> None:
        self.weights, self.bets, self.horizon, self.level = dict(weights), bets, max(1, horizon), level
        self.each = {name: Evidence(bets) for name in weights}
        self.seen = self.total = self.horizons = 0
        self.alarm = ""  # the place of the first alarm
        self.at_alarm: dict[str, tuple[float, str]] = {}  # what each process had then, and where its climb began

    def add(self, by: Mapping[str, Sequence[float]], place: str) -> None:
        """Let the processes that saw something bet; when a horizon is used up, the next begins with nothing."""
        if self.seen == self.horizon:
            self.each = {name: Evidence(self.bets) for name in self.weights}
            self.seen, self.horizons = 0, self.horizons + 1
        for name, changes in by.items():
            self.each[name].add(changes, 1 / self.horizon, place)
        self.seen, self.total = self.seen + 1, self.total + 1
        if not self.alarm and self._near() and self.value >= 1 / self.level:
            self.alarm = place
            self.at_alarm = {name: (one.value, one.began or place) for name, one in self.each.items()}

    def _near(self) -> bool:
        """Whether the mean of all sums can be at the bar: none of them is not enough, and is quickly seen."""
        bar = 0.999 / self.level
        return any(max(one.sums) >= bar for one in self.each.values())

    def strongest(self, name: str) -> tuple[float, str]:
        """Return the evidence of a process and where its climb began: now, or at the alarm where that was stronger."""
        one, then = self.each[name], self.at_alarm.get(name, (0.0, ""))
        return max((one.value, one.began or self.alarm), then, key=lambda each: each[0])

    def began(self, name: str) -> str:
        """Return the best guess of when a process changed: what was proven at the alarm never moves to a later day."""
        one, then = self.each[name], self.at_alarm.get(name, (0.0, ""))
        proven = [since for value, since in (then, (one.value, one.began)) if value >= 1 / self.level and since]
        return min(proven) if proven else self.strongest(name)[1]

    @property
    def value(self) -> float:
        """The evidence of all together."""
        return fsum(self.weights[name] * evidence.value for name, evidence in self.each.items())

    def flagged(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of these processes are above their ceiling (Holm on 1/e): a wrong one at most at the level."""
        chosen = [name for name in names if name in self.each]
        p_values = [min(1.0, 1 / max(self.strongest(name)[0], 1e-300)) for name in chosen]
        stands = statistics.holm(p_values, self.level)
        return tuple(name for name, stands_ in zip(chosen, stands, strict=True) if stands_)

    def state(self) -> GroupState:
        each = {name: (tuple(one.sums), tuple(one.climbs), tuple(one.since)) for name, one in sorted(self.each.items())}
        return GroupState(self.seen, self.total, self.horizons, self.alarm, each)


# --- disagreement ----------------------------------------------------------------------------------------------------

OVERALL = ""


class Rates:
    """A rate of disagreement, overall and by segment, held to ceilings; bets on rows, or on the means of batches.

    `ceilings` by segment, the overall one under `OVERALL`. Overall and segments each carry half of the alarm.
    """

    def __init__(self, ceilings: Mapping[str, float], horizon: int, *, batches: bool, level: float = LEVEL) -> None:
        bets = batch_bets if batches else row_bets
        self.ceilings = {name: limit for name, limit in ceilings.items() if limit < 1}
        self.bets = {name: bets(limit) for name, limit in self.ceilings.items()}
        segments = [name for name in self.ceilings if name != OVERALL]
        weights = dict.fromkeys(segments, 0.5 / max(1, len(segments)))
        if OVERALL in self.ceilings:
            weights[OVERALL] = 0.5 if segments else 1.0
        self.segments = segments
        self.group = Group(weights, len(BATCH_STAKES if batches else ROW_RISES), horizon, level)

    def add(self, shares: Mapping[str, float], place: str) -> None:
        """Take in one row (share 0 or 1) or one batch (a mean), for overall and the segments that it has rows of."""
        self.group.add(
            {
                name: factors(share, self.ceilings[name], self.bets[name])
                for name, share in shares.items()
                if name in self.bets
            },
            place,
        )


# --- inputs ----------------------------------------------------------------------------------------------------------

INPUT_BETS = 9


class Conformal:
    """Ranks of new scores among those before: exact p-values for as long as old and new come from the same source.

    Vovk et al. 2021 (Retrain or not retrain). Ties are broken by `chance`, a number in (0, 1] that has nothing to do
    with the score.
    """

    def __init__(self, calibration: Sequence[float]) -> None:
        self.past = sorted(calibration)

    def p_value(self, score: float, chance: float) -> float:
        low, high = bisect_left(self.past, score), bisect_right(self.past, score)
        p = (len(self.past) - high + chance * (high - low + 1)) / (len(self.past) + 1)
        self.past.insert(high, score)
        return p


def input_factors(p: float) -> tuple[float, ...]:
    """Bet against uniform p-values: on a shift up, on a shift down, on few high scores, on a wider spread.

    Each integrates to 1 over (0, 1), so that each is fair while the p-values are uniform.
    """
    root, away = sqrt(p), p - 0.5
    return (
        *(1 + -1.9 * away, 1 + -away, 1 + -0.5 * away, 1 + 0.5 * away, 1 + away, 1 + 1.9 * away),
        *(0.5 / root, 0.25 / (root * sqrt(root)), 2 * abs(2 * p - 1)),
    )


class Inputs:
    """Scores of inputs, each watched by its ranks among the scores at the gate; `weights` by name of score."""

    def __init__(
        self,
        calibration: Mapping[str, Sequence[float]],
        weights: Mapping[str, float],
        horizon: int,
        level: float = LEVEL,
    ) -> None:
        self.ranks = {name: Conformal(calibration[name]) for name in weights}
        self.group = Group(weights, INPUT_BETS, horizon, level)

    def add(self, scores: Mapping[str, float], chance: float, place: str) -> None:
        """Take in the scores of one input."""
        self.group.add(
            {name: input_factors(ranks.p_value(scores[name], chance)) for name, ranks in self.ranks.items()}, place
        )


# --- what a sample can notice ----------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def rows_to_notice(
    rate: float, limit: float, horizon: int, *, batch: int = 1, share: float = 1.0, lives: int = 201, most: int = 20_000
) -> int | None:
    """Return after how many labelled rows in the median a rate is noticed that holds from the first row on.

    By simulation of `lives` lives (seeded: always the same answer); None where half of them do not notice within
    `most` rows. `batch` rows are one bet (1: each row is). `share` is the part of the alarm that the rate carries.
    """
    if rate <= limit or limit >= 1:
        return None
    bets = row_bets(limit) if batch == 1 else batch_bets(limit)
    random, bar, weight = Random(7), len(bets) / (LEVEL * share), 1 / max(1, horizon // batch)
    table = [factors(hits / batch, limit, bets) for hits in range(batch + 1)]
    chances = list(accumulate(comb(batch, hits) * rate**hits * (1 - rate) ** (batch - hits) for hits in range(batch)))
    found = sorted(_one_life(random.random, chances, table, weight, bar, most // batch) for _ in range(lives))
    middle = found[lives // 2] * batch
    return middle if middle <= most else None


def _one_life(
    draw: Callable[[], float],
    chances: list[float],
    table: list[tuple[float, ...]],
    weight: float,
    bar: float,
    most: int,
) -> int:
    """Return after how many batches the evidence reaches the bar. `chances`: of at most so many hits in a batch.

    Batches without a hit only lose, so a run of them is one step: S <- S*m^k + w*(m + … + m^k).
    """
    sums, batches, none, empty = [0.0] * len(table[0]), 0, table[0], chances[0]
    while batches < most:
        run = int(log(1 - draw()) / log(empty)) if empty > 0 else 0
        won = table[bisect_right(chances, empty + (1 - empty) * draw())]
        lost = [factor**run for factor in none]
        sums = [
            (s * left + weight * (m * (1 - left) / (1 - m) + 1)) * factor
            for s, left, m, factor in zip(sums, lost, none, won, strict=True)
        ]
        batches += run + 1
        if sum(sums) >= bar:
            return batches
    return most + 1
