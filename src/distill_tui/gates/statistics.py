"""What a number of held-out rows can and cannot prove: p-values, bounds, rows needed.

Pure, and fast to import. Nothing here knows a gate, a play or a file. All errors are one-sided:
`alpha` is the chance of a bound on the wrong side. A bound is always found by asking a p-value where it crosses
`alpha`, so that a verdict and the interval shown with it can never disagree.

Sources: Clopper and Pearson 1934 and Wilson 1927 for one share; Tango 1998 (Statistics in Medicine 17:891) for two
shares on the same rows; Wilks 1942 (Annals of Mathematical Statistics 13:400) for later rows below an order statistic;
Owen 1988 (Biometrika 75:237), Korn and Graubard 1998 (Survey Methodology 24:193) and Miller 2024 (arXiv 2411.00640)
for rows that depend on each other; Holm 1979 for several claims at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from importlib import import_module
from statistics import NormalDist
from types import ModuleType
from typing import NamedTuple

POWER = 0.8  # how often a true tie is to be recognised, where rows are counted beforehand
FEW_DIFFERENT = 100  # up to so many rows that differ, counts are too coarse for a normal formula
FEW_GROUPS = 20  # below this many groups a clustered bound is rough

_HALVINGS = 46  # of an interval at most 2 wide: bounds are good to 3e-14


# --- distributions ---------------------------------------------------------------------------------------------------


@cache
def _special() -> ModuleType:
    return import_module("scipy.special")  # takes 0.25 s: only where something is judged, never for a first screen


def normal_quantile(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def normal_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


def t_tail(t: float, degrees: float) -> float:
    return float(_special().stdtr(degrees, -t))


def t_quantile(probability: float, degrees: int) -> float:
    return float(_special().stdtrit(degrees, probability))


def binomial_tail(hits: int, rows: int, share: float) -> float:
    """Return the probability of at least so many hits where each row is one with probability `share`."""
    if hits <= 0:
        return 1.0
    return 0.0 if hits > rows else float(_special().betainc(hits, rows - hits + 1, min(max(share, 0.0), 1.0)))


def later_rows_exceed(most: int, rows: int, below: float, above: float) -> float:
    """Return the chance that more than `most` of `rows` later rows fall below a value that splits the earlier ones so.

    The beta-binomial tail: the share below an order statistic has the law beta(below, above).
    """
    beta = math.lgamma(below) + math.lgamma(above) - math.lgamma(below + above)
    whole = math.lgamma(rows + 1) - beta - math.lgamma(rows + below + above)
    up_to = math.fsum(
        math.exp(
            whole
            - math.lgamma(hits + 1)
            - math.lgamma(rows - hits + 1)
            + math.lgamma(hits + below)
            + math.lgamma(rows - hits + above)
        )
        for hits in range(most + 1)
    )
    return min(1.0, max(0.0, 1 - up_to))


# --- one share -------------------------------------------------------------------------------------------------------


def share_at_least(hits: int, rows: int, alpha: float) -> float:
    """Return the Clopper-Pearson lower bound of a share; 0 without rows."""
    return greatest_refuted(lambda share: binomial_tail(hits, rows, share), alpha, 0.0, 1.0)


def share_at_most(hits: int, rows: int, alpha: float) -> float:
    """Return the Clopper-Pearson upper bound of a share; 1 without rows."""
    return 1 - share_at_least(rows - hits, rows, alpha)


def wilson_interval(hits: float, rows: float, alpha: float) -> tuple[float, float]:
    """Return Wilson's interval of a share, `alpha` on each side: to show, never to decide."""
    if rows <= 0:
        return 0.0, 1.0
    z = normal_quantile(1 - alpha)
    share, square = hits / rows, z * z / rows
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(max(0.0, share * (1 - share) * square + square * square / 4)) / (1 + square)
    return (0.0 if hits <= 0 else max(0.0, middle - half)), (1.0 if hits >= rows else min(1.0, middle + half))


# --- two shares on the same rows -------------------------------------------------------------------------------------


def difference_exceeds(delta: float, losses: int, wins: int, rows: int) -> float:
    """Return the p-value of "student minus other is above `delta`" by Tango's score statistic for paired shares.

    `losses` are the rows on which only the other is right, `wins` those on which only the student is. The statistic is
    z(δ) = (c − b − nδ) / √(n(2p + δ(1 − δ))), where p is the share of losses that is most likely given δ.
    """
    gap = wins - losses - rows * delta
    if rows == 0 or gap <= 0:
        return 1.0
    linear = -losses - wins + (2 * rows - wins + losses) * delta
    root = math.sqrt(max(0.0, linear * linear + 8 * rows * losses * delta * (1 - delta)))
    variance = rows * (2 * (root - linear) / (4 * rows) + delta * (1 - delta))
    if variance <= 0:  # only at -1, where the data cannot be, or within rounding of 0
        return 0.0 if delta < -0.5 else 1.0
    return normal_tail(gap / math.sqrt(variance))


def difference_at_least(losses: int, wins: int, rows: int, alpha: float) -> float:
    """Return Tango's lower bound of student minus other; -1 without rows."""
    return greatest_refuted(lambda delta: difference_exceeds(delta, losses, wins, rows), alpha, -1.0, 1.0)


def difference_at_most(losses: int, wins: int, rows: int, alpha: float) -> float:
    """Return Tango's upper bound of student minus other; 1 without rows."""
    return -difference_at_least(wins, losses, rows, alpha)


def not_inferior(losses: int, wins: int, rows: int, margin: float, alpha: float) -> bool:
    """Return whether the rows prove that the student trails the other by less than the margin."""
    return difference_exceeds(-margin, losses, wins, rows) <= alpha


# --- rows that depend on each other ----------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Cluster:
    """One group of dependent rows: the sum of its scores, its size, and its sum at the student's best.

    A row's score is student right (1 or 0) minus other right (1 or 0), or of what each scores from 0 to 1. For a plain
    share there is no other: 0.
    """

    total: float
    size: int
    best: float


def _rows(clusters: Counter[Cluster]) -> int:
    return sum(each.size * count for each, count in clusters.items())


def _mean(clusters: Counter[Cluster]) -> float:
    return math.fsum(each.total * count for each, count in clusters.items()) / _rows(clusters)


def _kish(clusters: Counter[Cluster]) -> float:
    """Return Kish's number of groups, n²/Σsize²: as many as groups of one size would be."""
    return _rows(clusters) ** 2 / sum(each.size * each.size * count for each, count in clusters.items())


def clustered_standard_error(clusters: Iterable[Cluster]) -> float:
    """Return the cluster-robust standard error √(G/(G−1)·Σ(Σ(d−d̄))²)/n, as in Miller 2024 and Inspect; inf for one."""
    each = list(clusters)
    rows = sum(cluster.size for cluster in each)
    if len(each) < 2:
        return math.inf
    mean = sum(cluster.total for cluster in each) / rows
    squares = math.fsum((cluster.total - cluster.size * mean) ** 2 for cluster in each)
    return math.sqrt(len(each) / (len(each) - 1) * squares) / rows


def clustered_exceeds(delta: float, clusters: Counter[Cluster]) -> float:
    """Return the p-value of "the mean score is above `delta`" where rows of one group depend on each other.

    With yₘ = Σ over group m of (score − δ), the empirical likelihood of a mean of 0 is what the best weights of the
    groups leave: ℓ = max Σ log(1 + λyₘ) over λ ≥ 0 (Owen 1988), and √(2ℓ) is put against t on G−1 degrees of freedom.
    A t statistic trusts the spread of the sample, and where harm is rare and comes in lumps a lucky sample
    shows little of both; the likelihood follows the skew. As it grows with every yₘ, a worse student never looks
    better, and a lower δ is never harder to refute. Two cautions are added:

    * half a row, as a continuity correction: sums of right answers are whole numbers.
    * G groups cannot exclude what would happen in fewer than about 3/G of them: the bound stays at least
      1 − alpha^(1/G') away from the mean, G' = n²/Σsize² (Kish), which is Clopper-Pearson for groups without an error.
    """
    groups = clusters.total()
    if groups < 2:
        return 1.0
    shifted = delta + 0.5 / _rows(clusters)
    sums = sorted((each.total - each.size * shifted, count) for each, count in clusters.items())
    if math.fsum(each * count for each, count in sums) <= 0:
        return 1.0
    if sums[0][0] >= 0:
        return _unseen(delta, clusters)
    return max(_unseen(delta, clusters), t_tail(math.sqrt(2 * log_likelihood(sums)), groups - 1))


class Lumps(NamedTuple):
    """The harm that groups show, as lumps: for each number of lost rows, taken from the largest losses on."""

    lost: float  # rows in all
    rows: tuple[int, ...]  # 1, 2, … of them
    sizes: tuple[float, ...]  # Σh² / Σh over the losses h that make up so many

    @classmethod
    def of(cls, clusters: Counter[Cluster], paired: bool) -> Lumps:
        """Count what each group loses, against the other where they are `paired`, else against all of its rows."""
        losses = ((-each.total if paired else each.size - each.total, count) for each, count in clusters.items())
        ranked = sorted(((loss, count) for loss, count in losses if loss > 0), reverse=True)
        lost = math.fsum(loss * count for loss, count in ranked)
        sizes, full, squares = [], 0.0, 0.0
        each = (loss for loss, count in ranked for _ in range(count))
        next_loss = next(each, 0.0)
        for rows in range(1, math.floor(lost + 1e-9) + 1):
            while full + next_loss <= rows - 1e-9 and next_loss:
                full, squares = full + next_loss, squares + next_loss * next_loss
                next_loss = next(each, 0.0)
            sizes.append((squares + (rows - full) ** 2) / rows)
        return cls(lost, tuple(range(1, len(sizes) + 1)), tuple(sizes))


def lumps_exceed(gap: float, rows: int, groups: float, lumps: Lumps) -> float:
    """Return the p-value of a mean score that is above a value by at least `gap`, where harm comes in lumps.

    Where a group is lost whole or not at all, the sum moves in steps of a group, and neither half a row nor a smooth
    likelihood allows for that. Losses h of the groups count as Σh / ℓ lumps of ℓ = Σh² / Σh rows, and a mean that is
    lower by the gap as gap·rows / ℓ more: the p-value is that of Clopper and Pearson for so many among `groups`, as
    Korn and Graubard 1998 (Survey Methodology 24:193) take an effective number of rows. It is exact for whole groups of
    one size. Where rows of a group depend weakly, lumps are small and the likelihood is stricter.

    A small loss next to large ones makes lumps smaller. The greatest p-value over all smaller losses is taken, so that
    a worse student never looks better: for each number of lost rows, those that lie in the largest losses.
    """
    if gap <= 0:
        return 1.0
    whole, left, share = lumps.lost + gap * rows, [], []
    for seen, size in zip(lumps.rows, lumps.sizes, strict=True):
        if seen < groups * size:  # else there are more losses than groups, and they are not lumps
            left.append(groups - seen / size)
            share.append(min(1.0, max(0.0, 1 - whole / size / groups)))
    return float(_special().betainc(left, [groups - each + 1 for each in left], share).max(initial=0.0))


def _unseen(delta: float, clusters: Counter[Cluster]) -> float:
    return math.pow(max(0.0, 1 - (_mean(clusters) - delta)), _kish(clusters))


def log_likelihood(sums: Sequence[tuple[float, int]]) -> float:
    """Return max Σ count·log(1 + λy) over λ ≥ 0 for sums with a mean above 0, some below: bracketed Newton."""
    low, high, tilt = 0.0, -1 / sums[0][0], 0.0
    for _ in range(100):
        shares = [(each / (1 + tilt * each), count) for each, count in sums]
        slope = math.fsum(share * count for share, count in shares)
        low, high = (tilt, high) if slope > 0 else (low, tilt)
        step = slope / math.fsum(share * share * count for share, count in shares)
        moved = tilt + step if low < tilt + step < high else (low + high) / 2
        if abs(moved - tilt) <= 1e-12 * moved:
            break
        tilt = moved
    return max(0.0, math.fsum(count * math.log1p(tilt * each) for each, count in sums))  # not below 0 by rounding


@dataclass(frozen=True)
class Scores:
    """The evidence of one sample on a mean: of the student alone (`paired` false), or student minus other per row.

    Rows that are right or wrong take the exact binomial or Tango where every group has one row, else the clustered
    p-value, and never a smaller one than independent rows would give. Rows that are `graded`, from 0 to 1 with more for
    better, always take the clustered one. With `lumps` groups of rows take that of `lumps_exceed` where it is greater.
    No bound rises where the student does worse on a row.
    """

    clusters: Counter[Cluster]
    paired: bool
    losses: int = 0  # rows that only the other, and only the student, has right
    wins: int = 0
    graded: bool = False
    lumps: bool = False

    @classmethod
    def of(cls, rows: Iterable[tuple[bool, bool, int]], *, paired: bool) -> Scores:
        """Count rows of (student right, other right, group); give False for the other where there is none."""
        rows = list(rows)
        losses = sum(other and not student for student, other, _ in rows)
        wins = sum(student and not other for student, other, _ in rows)
        return cls(_clusters(rows, 1), paired, losses, wins)

    @classmethod
    def of_graded(cls, rows: Iterable[tuple[int, int, int]], unit: int, *, paired: bool) -> Scores:
        """Add up rows of (student's score, other's score, group) in `unit` parts; 0 where there is no other."""
        return cls(_clusters(rows, unit), paired, graded=True)

    @cached_property
    def rows(self) -> int:
        return _rows(self.clusters)

    @cached_property
    def groups(self) -> int:
        """How many independent groups the rows come from."""
        return self.clusters.total()

    @property
    def clustered(self) -> bool:
        return self.groups < self.rows

    @property
    def rough(self) -> bool:
        """Whether the groups are too few for a bound to be trusted to its last digit."""
        return (self.clustered or self.graded) and self.groups < FEW_GROUPS

    @property
    def estimate(self) -> float | None:
        return sum(each.total * count for each, count in self.clusters.items()) / self.rows if self.rows else None

    @property
    def discordance(self) -> float:
        """The share of rows on which student and other differ; for a share, its hits."""
        return (self.wins + self.losses) / self.rows if self.rows else 0.0

    @property
    def design_effect(self) -> float:
        """How many dependent rows are worth one independent row, as seen in this sample; 1 at least."""
        if not self.clustered or self.groups < 2:
            return 1.0
        mean = self.estimate or 0.0
        alone = (self.discordance - mean * mean) / self.rows
        return max(1.0, clustered_standard_error(self.clusters.elements()) ** 2 / alone) if alone > 0 else 1.0

    def rows_needed(self, bar: float, alpha: float) -> int | None:
        """Return how many such rows would separate the mean from the bar, if it stays as it is; None if none would."""
        if self.estimate is None or self.estimate == bar or ((self.clustered or self.graded) and self.groups < 2):
            return None
        gap = abs(self.estimate - bar)
        needed = self._rows_by_spread(bar, alpha)
        if needed is None:
            return None
        if (self.clustered or self.graded) and gap < 1:  # and enough groups for none to be unseen
            unseen = math.log(alpha) / math.log1p(-gap) * self.rows / _kish(self.clusters)
            needed = max(needed, math.ceil(unseen))
        return max(needed, self.rows + 1)

    def _rows_by_spread(self, bar: float, alpha: float) -> int | None:
        mean = self.estimate or 0.0
        if self.graded:
            reach = normal_quantile(1 - alpha) + normal_quantile(POWER)
            error = clustered_standard_error(self.clusters.elements())
            return math.ceil((reach * error / (mean - bar)) ** 2 * self.rows)
        if self.paired:
            sign = 1 if mean > bar else -1
            needed = rows_for_difference(-sign * bar, self.discordance, alpha, difference=sign * mean)
        else:
            needed = rows_for_share(bar, mean, alpha)
        return None if needed is None else math.ceil(needed * self.design_effect)

    def exceeds(self, value: float) -> float:
        """Return the p-value of "the true mean is above this value"."""
        if not self.clustered and not self.graded:
            return self._alone(value)
        found = clustered_exceeds(value, self.clusters)
        if self.clustered and self.lumps:
            gap = (self.estimate or 0.0) - value
            found = max(found, lumps_exceed(gap, self.rows, _kish(self.clusters), self._lumps))
        return found if self.graded else max(found, self._alone(value))

    def by(self, methods: int) -> Scores:
        """Return the same evidence as a version of the methods judges it; see `gate.METHODS`."""
        return replace(self, lumps=methods >= 2)

    @cached_property
    def _lumps(self) -> Lumps:
        return Lumps.of(self.clusters, self.paired)

    def _alone(self, value: float) -> float:
        """Return the p-value of rows that are right or wrong, as if they were independent."""
        if self.paired:
            return difference_exceeds(value, self.losses, self.wins, self.rows)
        return binomial_tail(self.wins, self.rows, value)

    def falls_below(self, value: float) -> float:
        """Return the p-value of "the true mean is below this value"."""
        return self._mirror.exceeds((0 if self.paired else 1) - value)

    def at_least(self, alpha: float) -> float:
        return greatest_refuted(self.exceeds, alpha, -1.0 if self.paired else 0.0, 1.0)

    def at_most(self, alpha: float) -> float:
        return (0 if self.paired else 1) - self._mirror.at_least(alpha)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return both bounds of a share, to show: Wilson's where rows are independent, else the clustered ones."""
        return (
            (self.at_least(alpha), self.at_most(alpha))
            if self.clustered
            else wilson_interval(self.wins, self.rows, alpha)
        )

    @cached_property
    def _mirror(self) -> Scores:
        """Return the scores turned round: their lower bound is the upper bound here, and worse is better."""
        turned = Counter[Cluster]()
        for each, count in self.clusters.items():
            if self.paired:  # other minus student: at most the other's right answers
                turned[Cluster(-each.total, each.size, each.size - each.best)] += count
            else:  # student wrong
                turned[Cluster(each.size - each.total, each.size, each.size)] += count
        losses, wins = (self.wins, self.losses) if self.paired else (0, self.rows - self.wins)
        return replace(self, clusters=turned, losses=losses, wins=wins)


def _clusters(rows: Iterable[tuple[int, int, int]], unit: int) -> Counter[Cluster]:
    """Add up rows of (student's score, other's score, group), in parts of 1/`unit`."""
    groups: dict[int, list[int]] = {}
    for student, other, group in rows:
        entry = groups.setdefault(group, [0, 0, 0])
        entry[0] += student - other
        entry[1] += 1
        entry[2] += unit - other
    counted = sorted(Counter(map(tuple, groups.values())).items())
    return Counter({Cluster(total / unit, size, best / unit): count for (total, size, best), count in counted})


def greatest_refuted(p_value: Callable[[float], float], alpha: float, low: float, high: float) -> float:
    """Halve one fixed interval: the same midpoints for every sample, so that bounds keep the order of p-values."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle) <= alpha else (low, middle)
    return low


# --- latency ---------------------------------------------------------------------------------------------------------


def requests_to_bound(quantile: float, alpha: float) -> int:
    """Return how many requests are the fewest that can bound a quantile from above: 59 for p95 at 95%.

    As many independent rows are the fewest that can prove a share of `quantile`, when not one of them is wrong.
    """
    count = max(1, math.ceil(math.log(alpha) / math.log(quantile)) - 1)
    while binomial_tail(count, count, quantile) > alpha:
        count += 1
    return count


def rank_at_most(count: int, quantile: float, alpha: float) -> int | None:
    """Return which of `count` sorted values (from 1) bounds the quantile from above, or nothing where none does.

    The smallest k with P(Bin(n, q) ≤ k−1) ≥ 1−alpha: free of any assumption on the shape of the distribution.
    """
    if count < 1 or binomial_tail(count, count, quantile) > alpha:
        return None
    low, high = 0, count  # the rank is in (low, high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if binomial_tail(middle, count, quantile) <= alpha else (middle, high)
    return high


def rank_at_least(count: int, quantile: float, alpha: float) -> int | None:
    """Return which of `count` sorted values (from 1) bounds the quantile from below, or nothing where none does."""
    turned = rank_at_most(count, 1 - quantile, alpha)
    return None if turned is None else count + 1 - turned


def sample_rank(count: int, quantile: float) -> int:
    """Return which of `count` sorted values (from 1) is the sample's quantile."""
    return max(1, math.ceil(round(quantile * count, 9)))


def mean_interval(runs: Sequence[Sequence[int]], alpha: float) -> tuple[float, float, float] | None:
    """Return mean, lower and upper bound of a latency measured in several runs; nothing for fewer than two values.

    Requests of one run share the machine's mood: with two runs or more each run is one group (Miller 2024), with t on
    runs−1 degrees of freedom. With a single run the requests have to stand for themselves.
    """
    filled = [run for run in runs if run]
    groups = [Cluster(sum(run), len(run), 0) for run in filled]
    if len(filled) == 1:
        groups = [Cluster(value, 1, 0) for value in filled[0]]
    if len(groups) < 2:
        return None
    mean = sum(each.total for each in groups) / sum(each.size for each in groups)
    error = clustered_standard_error(groups)
    half = t_quantile(1 - alpha, len(groups) - 1) * error
    return mean, max(0.0, mean - half), mean + half


# --- several questions at once, and rows counted beforehand ----------------------------------------------------------


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Return which of several claims hold together (Holm 1979): the chance of any wrong one is at most alpha."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    stands = [False] * len(p_values)
    for step, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        stands[index] = True
    return tuple(stands)


def rows_for_difference(
    margin: float, discordance: float, alpha: float, *, difference: float = 0.0, power: float = POWER
) -> int | None:
    """Return how many independent rows prove that the student trails by less than the margin, or nothing where none do.

    n = (z₁₋α·√V₀ + z_power·√(ψ − Δ²))²/(m + Δ)² for a true difference Δ, where V₀ is the variance at the margin that
    Tango's statistic divides by; with ψ in its place, as often printed, the power falls short by up to 36 points where
    the margin is as large as ψ. Never fewer than rows without one single difference need (the bound is −z²/(n + z²)).
    Where few rows differ, counts are too coarse for any formula, and the rows are found by `power_of_difference`.
    """
    if margin + difference <= 0:
        return None
    rows = max(1, math.ceil(_rows_for_difference(margin, discordance, alpha, difference, power) - 1e-9))
    if not _coarse(rows, discordance, difference):
        return rows
    low, high = 0, rows  # the rows are in (low, high]
    while power_of_difference(high, margin, discordance, alpha, difference) < power:
        low, high = high, high + high // 8 + 1
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of_difference(middle, margin, discordance, alpha, difference) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _coarse(rows: float, discordance: float, difference: float) -> bool:
    return 0 < rows * discordance <= FEW_DIFFERENT and abs(difference) <= discordance


@lru_cache(maxsize=4096)
def power_of_difference(rows: int, margin: float, discordance: float, alpha: float, difference: float = 0.0) -> float:
    """Return how often so many independent rows prove that the student trails by less than the margin: exactly.

    Summed over how many rows differ, and over how many of these the student loses; what is rarer than 1e-9 is left out.
    """
    loses, found = (discordance - difference) / (2 * discordance), 0.0
    spread = 7 * math.sqrt(rows * discordance) + 20
    for differ in range(max(0, int(rows * discordance - spread)), min(rows, int(rows * discordance + spread)) + 1):
        chance = _binomial(differ, rows, discordance)
        if chance < 1e-9:
            continue
        most, too_many = -1, differ + 1  # losses with which it is still proven
        while too_many - most > 1:
            middle = (most + too_many) // 2
            proven = not_inferior(middle, differ - middle, rows, margin, alpha)
            most, too_many = (middle, too_many) if proven else (most, middle)
        found += chance * (1 - binomial_tail(most + 1, differ, loses))
    return found


def _binomial(hits: int, rows: int, share: float) -> float:
    if share >= 1:
        return float(hits == rows)
    ways = math.lgamma(rows + 1) - math.lgamma(hits + 1) - math.lgamma(rows - hits + 1)
    return math.exp(ways + hits * math.log(share) + (rows - hits) * math.log1p(-share))


def _rows_for_difference(margin: float, discordance: float, alpha: float, difference: float, power: float) -> float:
    z, gap = normal_quantile(1 - alpha), margin + difference
    at_margin = math.sqrt(_spread_at(-margin, discordance, difference))
    truth = math.sqrt(max(0.0, discordance - difference * difference))
    rows = (z * at_margin + normal_quantile(power) * truth) ** 2 / (gap * gap)
    return max(rows, z * z * (1 - gap) / gap)


def _spread_at(delta: float, discordance: float, difference: float) -> float:
    """Return n times the variance that `difference_exceeds` takes at δ, for the table that is to be expected."""
    losses = max(0.0, discordance - difference) / 2
    linear = (2 - difference) * delta - discordance
    root = math.sqrt(max(0.0, linear * linear + 8 * losses * delta * (1 - delta)))
    return max(0.0, (root - linear) / 2 + delta * (1 - delta))


def smallest_provable_margin(rows: float, discordance: float, alpha: float, *, power: float = POWER) -> float:
    """Return from which margin on so many independent rows recognise a true tie, with this power."""
    low, high = 0.0, 1.0  # the margin is in (low, high]; rows fall as it grows
    for _ in range(_HALVINGS if rows > 0 else 0):
        middle = (low + high) / 2
        if _coarse(rows, discordance, 0.0):
            enough = power_of_difference(int(rows), middle, discordance, alpha) >= power
        else:
            enough = _rows_for_difference(middle, discordance, alpha, 0.0, power) <= rows
        low, high = (low, middle) if enough else (middle, high)
    return high


def rows_for_share(floor: float, share: float, alpha: float, *, power: float = POWER) -> int | None:
    """Return how many independent rows separate a true share from a floor, on either side; None where they are equal.

    n = (z₁₋α√(f(1−f)) + z_power√(p(1−p)))²/(p−f)², and never fewer than `requests_to_bound`.
    """
    if share == floor:
        return None
    spread = normal_quantile(1 - alpha) * math.sqrt(floor * (1 - floor))
    spread += normal_quantile(power) * math.sqrt(share * (1 - share))
    rows = math.ceil(spread * spread / (share - floor) ** 2)
    return max(rows, requests_to_bound(floor if share > floor else 1 - floor, alpha))


def errors_allowed(rows: int, floor: float, alpha: float) -> int | None:
    """Return with how many errors at most so many rows still prove a floor; nothing where even 0 are too many."""
    rank = rank_at_most(rows, floor, alpha)
    return None if rank is None else rows - rank
