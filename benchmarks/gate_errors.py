"""How often would the gate pass a student that is exactly at the margin? At most as often as it promises.

    python benchmarks/gate_errors.py [--sims 2000] [--many 200000] [--seed 1] [--only "20 labels"]

Each line is one setting: the share of simulated evaluations on which the rule passes though the truth is at the margin,
at the floor or at the target, next to what a common wrong rule does on the same samples. Nominal: 5%. Then what the
gate promises besides: false ships over the rounds, power, and what the kill advice does.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache

import numpy as np
import shared
from scipy import special

from distill_tui.gates import scale_scores, statistics
from distill_tui.gates.gate import ALL, METHODS, Criterion, Gate
from distill_tui.gates.label_sets import written
from distill_tui.gates.paired import Gain, Prospect, outlook
from distill_tui.gates.quality import Sample
from distill_tui.gates.ratios import Ratios
from distill_tui.gates.record import Record
from distill_tui.gates.scale import Scale
from distill_tui.gates.statistics import Cluster, Scores
from distill_tui.tasks import row_scores
from distill_tui.terms import Metric, Reference, Task

ALPHA = 0.05
CHECKED = 3  # samples of a setting that the gate itself judges too
Z = statistics.normal_quantile(1 - ALPHA)


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--sims", type=int, default=2000, help="simulations of a setting whose rule takes long")
    parser.add_argument("--many", type=int, default=200_000, help="simulations of a setting whose rule is quick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only settings of labels and scores whose line matches this pattern")
    options = parser.parse_args()
    random, only = np.random.default_rng(options.seed), re.compile(options.only)
    for sims in (options.many, options.sims, options.sims // 4):
        error = math.sqrt(ALPHA * (1 - ALPHA) / sims)
        print(f"with {sims:,} simulations the standard error of a 5% rate is {100 * error:.2f} points")
    if not options.only:
        of_rows(random, options)
    of_labels(random, options.sims // 4, only)
    of_scores(random, options.sims // 4, only)


def of_rows(random: np.random.Generator, options: argparse.Namespace) -> None:
    paired(random, options.many)
    rounds(random, options.many)
    power(random, options.many)
    kill_advice(random, options.many)
    clustered(random, options.many)
    whole_groups()
    scored(random, options.sims)
    floors(random, options.sims)
    latency(random, options.sims)


def line(setting: str, gate: float, other: float | None, name: str = "") -> None:
    next_to_it = "" if other is None else f"   {name} {100 * other:5.1f}%"
    print(f"  {setting:<46} gate {100 * gate:5.1f}%{next_to_it}", flush=True)


def paired(random: np.random.Generator, sims: int) -> None:
    print("\npaired rows, student exactly `margin` behind (Tango; next to it: the point estimate is inside the margin)")
    worst = 0.0
    for margin in (0.02, 0.05, 0.10):
        for discordance in (margin + 0.02, margin + 0.08):
            for rows in (50, 80, 100, 200, 400, 1000):
                tables = _tables(random, rows, discordance, -margin, sims)
                passes = _share(tables, lambda b, c, n=rows, m=margin: statistics.not_inferior(b, c, n, m, ALPHA))
                naive = _share(tables, lambda b, c, n=rows, m=margin: (c - b) / n > -m + 1e-12)
                worst = max(worst, passes)
                line(
                    f"margin {margin:.2f}, discordance {discordance:.2f}, {rows} rows", passes, naive, "point estimate"
                )
    line("the worst of the 36", worst, None)


def _tables(
    random: np.random.Generator, rows: int, discordance: float, difference: float, sims: int
) -> Counter[tuple[int, int]]:
    """Draw (losses, wins) of many evaluations, and count the equal ones: a rule is asked once for each."""
    lose, win = (discordance - difference) / 2, (discordance + difference) / 2
    drawn = random.multinomial(rows, [lose, win, 1 - discordance], size=sims)[:, :2]
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    return Counter({(int(b), int(c)): int(count) for (b, c), count in zip(pairs, counts, strict=True)})


def _share(tables: Counter[tuple[int, int]], rule: Callable[[int, int], bool]) -> float:
    return sum(count for table, count in tables.items() if rule(*table)) / tables.total()


def rounds(random: np.random.Generator, sims: int) -> None:
    print("\nthree rounds on one held-out split, every student exactly 0.05 behind (next to it: each look at 5%)")
    rows, margin, discordance, looks = 400, 0.05, 0.15, 3
    sims = min(sims, 50_000)  # rows are drawn one by one here
    lose, win = (discordance + margin) / 2, (discordance - margin) / 2
    for kept in (0.0, 0.5, 0.9):
        split, unsplit = np.zeros(sims, bool), np.zeros(sims, bool)
        fate = np.zeros((sims, rows), dtype=np.float32)
        for look in range(looks):
            fresh = random.random((sims, rows), dtype=np.float32)
            fate = fresh if look == 0 else np.where(random.random((sims, rows), dtype=np.float32) < kept, fate, fresh)
            losses, wins = (fate < lose).sum(axis=1), ((fate >= lose) & (fate < lose + win)).sum(axis=1)
            for level, passed in ((ALPHA / looks, split), (ALPHA, unsplit)):
                rule = _cached(lambda b, c, at=level: statistics.not_inferior(b, c, rows, margin, at))
                passed |= [rule(int(b), int(c)) for b, c in zip(losses, wins, strict=True)]
        name = f"{kept:.0%} of the rows' outcomes kept from round to round"
        line(name, float(split.mean()), float(unsplit.mean()), "unsplit")


def power(random: np.random.Generator, sims: int) -> None:
    print("\na true tie on as many rows as `gate power` says (promised: 80%; next to it: on the usual formula's rows)")
    z = Z + statistics.normal_quantile(0.8)
    for margin in (0.02, 0.03, 0.05, 0.10):
        for discordance in (0.05, 0.10, 0.20, 0.30):
            needed = statistics.rows_for_difference(margin, discordance, ALPHA)
            assert needed is not None
            usual = math.ceil(z * z * discordance / margin**2)
            found = [
                _share(
                    _tables(random, rows, discordance, 0.0, sims),
                    lambda b, c, n=rows, m=margin: statistics.not_inferior(b, c, n, m, ALPHA),
                )
                for rows in (needed, usual)
            ]
            line(f"margin {margin:.2f}, discordance {discordance:.2f}, {needed} rows", *found, f"{usual} rows")


def kill_advice(random: np.random.Generator, sims: int) -> None:
    print("\nadvice to kill after round 3 (next to it: 'two rounds gained less than a point each')")
    for allowed, gap in ((5, 0.05), (6, 0.075)):
        pace = gap / (allowed - 1)
        named = ((0.0, "flat"), (0.005, "half a point a round"), (pace, "exactly at the pace"))
        for gain, name in (*named, (0.025, "on track: 2.5 points a round")):
            for rows in (80, 200, 500, 1000):
                advised, naive = _advised(random, rows, allowed, gap, gain, sims)
                setting = f"{allowed} rounds, first {100 * gap:.1f} short, {rows} rows, {name}"
                print(f"  {setting:<66} kill {100 * advised:5.1f}%   less than a point {100 * naive:5.1f}%")


def _advised(
    random: np.random.Generator, rows: int, allowed: int, gap: float, gain: float, sims: int
) -> tuple[float, float]:
    """Draw students of rounds 1 and 3 that differ on a tenth of the rows; the target is 90% right."""
    first, discordance = 0.9 - gap, max(0.1, 2 * gain)
    lose, win = (discordance - 2 * gain) / 2, (discordance + 2 * gain) / 2
    drawn = random.multinomial(rows, [lose, win, first - lose, 1 - first - win], size=sims)
    tables, counts = np.unique(drawn, axis=0, return_counts=True)
    advised = 0
    for (losses, wins, both, _), count in zip(tables.tolist(), counts.tolist(), strict=True):
        mean = (wins - losses) / rows
        error = math.sqrt(max(0.0, (wins + losses) / rows - mean * mean) / (rows - 1))
        seen = outlook(Gain(mean, error, rows, rows), 0.9 - (both + wins) / rows, allowed - 3)
        advised += count * (seen.prospect is Prospect.HOPELESS)
    middle = random.binomial(drawn[:, 1], 0.5) - random.binomial(drawn[:, 0], 0.5)  # half of the change by round 2
    total = drawn[:, 1] - drawn[:, 0]
    naive = ((middle < 0.01 * rows) & (total - middle < 0.01 * rows)).mean()
    return advised / sims, float(naive)


def _cached(rule: Callable[[int, int], bool]) -> Callable[[int, int], bool]:
    return lru_cache(maxsize=None)(rule)


def clustered(random: np.random.Generator, sims: int) -> None:
    print("\ndependent rows, correlation .2 in groups; next to it: Miller's t bound, and rows taken as independent")
    alike = Alike()
    for groups, size in ((10, 20), (20, 10), (40, 5), (100, 5), (200, 5)):
        for uneven in (False, True):
            sizes = f"1 to {2 * size - 1}" if uneven else f"{size}"
            drawn = _drawn(random, groups, size, uneven, 0.05, 0.13)
            alike.line(f"{groups} groups of {sizes} rows, margin 0.05", drawn, 0.05, sims)
    print("the 36 settings, their rows in groups of 5")
    for margin in (0.02, 0.05, 0.10):
        for discordance in (margin + 0.02, margin + 0.08):
            for rows in (50, 80, 100, 200, 400, 1000):
                drawn = _drawn(random, rows // 5, 5, False, margin, discordance)
                alike.line(f"margin {margin:.2f}, discordance {discordance:.2f}, {rows} rows", drawn, margin, sims)
    print("harm in whole groups: 5 points lost, all in 1 of 15 groups")
    for groups in (20, 40, 60, 100, 300):
        alike.line(f"{groups} groups of 5 rows, margin 0.05", _lumpy(random, groups), 0.05, sims)
    alike.told()


class Alike:
    """The rule in numpy for many samples at once, the kernel's verdict on the first of each setting, and the worst."""

    def __init__(self) -> None:
        self.worst, self.checked, self.same = (0.0, 0.0), 0, 0

    def line(self, setting: str, draw: Draw, margin: float, sims: int) -> None:
        done, counts = 0, np.zeros(4)
        while done < sims:
            some = min(sims - done, 20_000)
            lost, won, sizes, others = draw(some)
            passes, *beside = _verdicts(lost, won, sizes, margin)
            counts += [passes.sum(), *(each.sum() for each in beside)]
            for at in range(200 if done == 0 else 0):
                groups = zip(*(each[at].tolist() for each in (lost, won, sizes, others)), strict=True)
                self.checked += 1
                scores, by_kernel = _scores(list(groups)), []
                for version in METHODS:
                    by_kernel.append(scores.by(version).exceeds(-margin) <= ALPHA)
                self.same += by_kernel == [passes[at], beside[0][at]]
            done += some
        gate, second, by_t, naive = map(float, counts / sims)
        self.worst = tuple(map(max, self.worst, (gate, second)))
        line(setting, gate, by_t, "t bound")
        print(f"{'by methods 2':>52} {100 * second:5.1f}% {'as independent':>15} {100 * naive:5.1f}%")

    def told(self) -> None:
        line("the worst of all with dependent rows", *self.worst, "by methods 2")
        print(f"  decided alike by the kernel of the gate: {self.same:,} of {self.checked:,} samples")


Draw = Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def _drawn(
    random: np.random.Generator, groups: int, size: int, uneven: bool, margin: float, discordance: float
) -> Draw:
    """Return (losses, wins, size, other's right answers) of each group in each sample; Dirichlet within groups."""
    lose, win = (discordance + margin) / 2, (discordance - margin) / 2

    def draw(sims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        sizes = random.integers(1, 2 * size, (sims, groups)) if uneven else np.full((sims, groups), size)
        counts = random.multinomial(sizes, random.dirichlet(np.array([lose, win, 1 - lose - win]) * 4, (sims, groups)))
        lost, won, ties = counts[..., 0], counts[..., 1], counts[..., 2]
        return lost, won, sizes, lost + random.binomial(ties, 0.7)

    return draw


def _lumpy(random: np.random.Generator, groups: int) -> Draw:
    def draw(sims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        right = random.binomial(5, 0.75, (sims, groups))
        lost = np.where(random.random((sims, groups)) < 0.05 / 0.75, right, 0)
        return lost, np.zeros_like(lost), np.full_like(lost, 5), right

    return draw


def _verdicts(lost: np.ndarray, won: np.ndarray, sizes: np.ndarray, margin: float) -> list[np.ndarray]:
    """Return for each sample whether either version of the rule, Miller's t bound and independent rows pass it."""
    groups, rows, totals = sizes.shape[1], sizes.sum(axis=1), won - lost
    mean = totals.sum(axis=1) / rows
    alone = _tango(lost.sum(axis=1), won.sum(axis=1), rows, margin)
    kish = rows**2 / np.square(sizes).sum(axis=1)
    passes = alone & (mean > -margin) & (np.maximum(0, 1 - (mean + margin)) ** kish <= ALPHA)
    at = np.flatnonzero(passes)  # the likelihood is asked only where the rest holds
    sums = totals[at] - sizes[at] * (-margin + 0.5 / rows[at])[:, None]
    passes[at] = np.sqrt(2 * _likelihood(sums)) >= _t(groups - 1)
    second, at = passes.copy(), np.flatnonzero(passes)
    second[at] = _lumps(-totals[at].astype(float), mean[at] + margin, sizes[at]) <= ALPHA
    squares = np.square(totals - sizes * mean[:, None]).sum(axis=1)
    error = np.sqrt(groups / (groups - 1) * squares) / rows
    return [passes, second, mean - _t(groups - 1) * error > -margin, alone]


def _tango(losses: np.ndarray, wins: np.ndarray, rows: np.ndarray, margin: float) -> np.ndarray:
    delta = -margin
    linear = -losses - wins + (2 * rows - wins + losses) * delta
    root = np.sqrt(np.maximum(0, linear**2 + 8 * rows * losses * delta * (1 - delta)))
    variance = (root - linear) / 2 + rows * delta * (1 - delta)
    return np.asarray((wins - losses - rows * delta) >= Z * np.sqrt(variance))


def _likelihood(sums: np.ndarray) -> np.ndarray:
    """Return max Σ log(1 + λy) over λ ≥ 0 for each line of sums; infinite where none is below 0."""
    least, low = sums.min(axis=1), np.zeros(len(sums))
    high = np.where(least < 0, -1 / np.minimum(least, -1e-300), 1e300)
    tilt = low.copy()
    for _ in range(60):
        shares = sums / (1 + tilt[:, None] * sums)
        slope = shares.sum(axis=1)
        low, high = np.where(slope > 0, tilt, low), np.where(slope > 0, high, tilt)
        moved = tilt + slope / np.square(shares).sum(axis=1)
        tilt = np.where((moved > low) & (moved < high), moved, np.where(least < 0, (low + high) / 2, 0.0))
    found = np.log1p(tilt[:, None] * sums).sum(axis=1)
    return np.where(least >= 0, np.inf, np.where(sums.mean(axis=1) > 0, np.maximum(found, 0), 0))


def _lumps(losses: np.ndarray, gap: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the p-value of so many lumps of harm among the groups, the greatest over all smaller losses."""
    groups = sizes.sum(axis=1) ** 2 / np.square(sizes).sum(axis=1)
    ranked = -np.sort(-np.maximum(0, losses), axis=1)
    before, found = ranked.cumsum(axis=1) - ranked, np.zeros(len(losses))
    lost = ranked.sum(axis=1)
    for rows in range(1, int(lost.max(initial=0)) + 1):
        lump = np.square(np.clip(rows - before, 0, ranked)).sum(axis=1) / rows
        share = np.clip(1 - (lost + gap * sizes.sum(axis=1)) / np.maximum(lump, 1e-9) / groups, 0, 1)
        left = groups - rows / np.maximum(lump, 1e-9)
        some = special.betainc(np.maximum(left, 1e-9), groups - left + 1, share)
        found = np.where((rows <= lost) & (left > 0), np.maximum(found, some), found)
    return np.asarray(found)


def whole_groups() -> None:
    """Print the exact chance of a false pass where a group is lost whole or not at all, by the kernel itself."""
    print("\nwhole groups of 5 lost or none, in all numbers of groups from 20 to 1,000: the exact chance at its worst")
    for name, paired in (("margin", True), ("floor", False)):
        for margin in (0.02, 0.05, 0.10):
            setting = f"{name}, {margin:.2f} of the rows lost"
            first, second = (
                max(_of_whole_groups(groups, margin, paired, version) for groups in range(20, 1001))
                for version in METHODS
            )
            line(setting, first, second, "by methods 2")


def _of_whole_groups(groups: int, margin: float, paired: bool, version: int, size: int = 5) -> float:
    def passes(lost: int) -> bool:
        kept, gone = (
            (Cluster(0, size, 0), Cluster(-size, size, 0))
            if paired
            else (Cluster(size, size, size), Cluster(0, size, size))
        )
        clusters = Counter({kept: groups - lost, gone: lost})
        scores = Scores(+clusters, paired, size * lost if paired else 0, 0 if paired else size * (groups - lost))
        return scores.by(version).exceeds(-margin if paired else 1 - margin) <= ALPHA

    most, too_many = -1, int(groups * margin) + 1  # groups that may be lost
    while too_many - most > 1:
        middle = (most + too_many) // 2
        most, too_many = (middle, too_many) if passes(middle) else (most, middle)
    return 1 - statistics.binomial_tail(most + 1, groups, margin)


def _scores(drawn: list[tuple[int, int, int, int]]) -> Scores:
    clusters = Counter(Cluster(win - lose, size, size - right) for lose, win, size, right in drawn)
    return Scores(clusters, True, sum(each[0] for each in drawn), sum(each[1] for each in drawn))


def scored(random: np.random.Generator, sims: int) -> None:
    print("\nrow scores, student exactly 0.05 behind; next to it: the percentile bootstrap of 500 draws")
    for rows in (50, 100, 200, 500):
        for skew, shape in (("even", (2.0, 2.0)), ("harm is rare and large", (0.1, 1.9))):
            passes = bootstrap = 0
            for _ in range(sims):
                behind = random.beta(*shape, rows) - (shape[0] / sum(shape)) + 0.05
                points = np.clip(np.rint(10_000 * behind), -10_000, 10_000).astype(int)
                student, other = (10_000 - np.maximum(0, points)).tolist(), (10_000 + np.minimum(0, points)).tolist()
                sample = Scores.of_graded(zip(student, other, range(rows), strict=True), 10_000, paired=True)
                passes += sample.exceeds(-0.05) <= ALPHA
                means = -behind[random.integers(0, rows, (500, rows))].mean(axis=1)
                bootstrap += np.quantile(means, ALPHA) > -0.05
            line(f"{rows} rows, {skew}", passes / sims, bootstrap / sims, "bootstrap")


@cache
def _t(degrees: int) -> float:
    return statistics.t_quantile(1 - ALPHA, degrees)


def of_labels(random: np.random.Generator, sims: int, only: re.Pattern[str]) -> None:
    """Judge F1 of students whose true F1 is exactly at the bar, or exactly `margin` behind the teacher's."""
    print("\nF1 of labels, at the bar or exactly at the margin (next to it: a percentile bootstrap of groups)")
    for rows, sizes, labels, rare in (
        (300, (1,), 5, 0.05),
        (600, (1,), 20, 0.005),
        (600, (1, 1, 1, 8), 20, 0.005),
        (1000, (1,), 50, 0.002),
        (2000, (1,), 200, 0.001),
    ):
        rates = np.geomspace(0.3, rare, labels)
        for metric in (Metric.MICRO_F1, Metric.MACRO_F1, Metric.LABEL_F1):
            scope = "label: L2" if metric is Metric.LABEL_F1 else ALL
            for paired_with in (False, True):
                setting = f"{metric}{', paired' if paired_with else ''}, {labels} labels, {rows} rows"
                setting += ", groups" if len(sizes) > 1 else ""
                if only.search(setting):
                    shares = _at_the_bar(random, rows, sizes, rates, metric, scope, paired_with, sims)
                    line(setting, *shares, "bootstrap")


def _at_the_bar(
    random: np.random.Generator,
    rows: int,
    sizes: tuple[int, ...],
    rates: np.ndarray,
    metric: Metric,
    scope: str,
    paired_with: bool,
    sims: int,
) -> tuple[float, float]:
    """Return how often a student exactly at the bar passes, by the gate and by the bootstrap's lower bound."""
    found, better = (
        (0.80, 0.002),
        (0.86, 0.0015),
    )  # share of a label's rows that are found, and of others that are taken
    truth = _true_f1(rates, *found, metric)
    margin = _true_f1(rates, *better, metric) - truth
    bar = Decimal(f"{margin if paired_with else truth:.12f}")
    reference = Reference.TEACHER if paired_with else Reference.NONE
    how = {"margin": bar} if paired_with else {"threshold": bar}
    criterion = Criterion(metric, reference, scope, **how)
    passes = naive = 0
    for number in range(sims):
        gold, student, teacher, group = _labelled(random, rows, sizes, rates, found, better)
        rival = teacher if paired_with else None
        scores, least = _ratios_of(metric, gold, student, rival, group), -margin if paired_with else truth
        if number < CHECKED:
            record = _record_of(gold, student, teacher, group)
            sample = Sample.of(criterion, Gate((criterion,)), record, scope)
            assert abs(sample.scores.exceeds(least) - scores.exceeds(least)) < 1e-6, "the gate itself says otherwise"
        passes += scores.exceeds(least) <= ALPHA
        naive += _bootstrap(random, metric, scope, gold, student, rival, group) > least
    return passes / sims, naive / sims


def _ratios_of(
    metric: Metric, gold: np.ndarray, student: np.ndarray, rival: np.ndarray | None, group: np.ndarray
) -> Ratios:
    """Make the evidence as `gates.ratios` does, but for all groups at once."""
    picked = slice(2, 3) if metric is Metric.LABEL_F1 else slice(None)
    groups = int(group.max()) + 1

    def summed(marks: np.ndarray) -> np.ndarray:
        found = np.zeros((groups, marks.shape[1]))
        np.add.at(found, group, marks)
        return found.sum(axis=1, keepdims=True) if metric is Metric.MICRO_F1 else found

    has = summed(gold[:, picked])
    bears = np.zeros(groups, dtype=bool)
    whole, left, spread, effective = 0.0, np.zeros(groups), [], []
    for said, sign in ((student, 1), (rival, -1)):
        if said is None:
            continue
        over, under = 2 * summed((gold & said)[:, picked]), has + summed(said[:, picked])
        total = over.sum(axis=0), under.sum(axis=0), has.sum(axis=0)
        known = total[2] > 0
        bears |= under[:, known].any(axis=1)
        whole += sign * float((total[0][known] / total[1][known]).mean())
        rest = total[2] - has > 0
        ratio = np.where(rest, (total[0] - over) / np.maximum(1, total[1] - under), 0.0)
        left += sign * ratio.sum(axis=1) / np.maximum(1, rest.sum(axis=1))
        spread = spread or sorted(_kish(under[:, known]).tolist())
        effective.append(float(_kish(under[:, known].sum(axis=1, keepdims=True))[0]))
    count = int(bears.sum())
    pseudo = np.round(count * whole - (count - 1) * left[bears], 9)
    return Ratios(len(gold), rival is not None, whole, tuple(map(float, pseudo)), tuple(spread), min(effective))


def _kish(weights: np.ndarray) -> np.ndarray:
    return weights.sum(axis=0) ** 2 / np.square(weights).sum(axis=0)


def _true_f1(rates: np.ndarray, hit: float, taken: float, metric: Metric) -> float:
    each = np.stack([2 * rates * hit, rates * hit + rates * (1 - hit) + rates * hit + (1 - rates) * taken])
    if metric is Metric.MICRO_F1:
        return float(each[0].sum() / each[1].sum())
    one = each[0] / each[1]
    return float(one[2] if metric is Metric.LABEL_F1 else one.mean())


def _labelled(
    random: np.random.Generator,
    rows: int,
    sizes: tuple[int, ...],
    rates: np.ndarray,
    found: tuple[float, float],
    better: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw gold and two subjects; rows of a group share their fate, which keeps the rates as they are."""
    chosen, group = [], []
    while len(group) < rows:
        size = int(random.choice(sizes))
        group += [len(chosen)] * size
        chosen.append(size)
    group = np.array(group[:rows])
    groups, count = int(group.max()) + 1, len(rates)
    gold = (random.random((groups, count)) < rates)[group]
    said = []
    luck = random.random((groups, count))[group]  # shared by both, so that they err on the same rows more often
    for hit, taken in (found, better):
        own = np.where(random.random((groups, count))[group] < 0.5, luck, random.random((groups, count))[group])
        said.append(np.where(gold, own < hit, own < taken))
    return gold, said[0], said[1], group


def _record_of(gold: np.ndarray, student: np.ndarray, teacher: np.ndarray, group: np.ndarray) -> Record:
    names = [f"L{number}" for number in range(gold.shape[1])]
    texts = [[written(names[at] for at in np.flatnonzero(row)) for row in marks] for marks in (gold, student, teacher)]
    answers = tuple(sorted({text for column in texts for text in column}))
    number = {text: at for at, text in enumerate(answers)}
    columns = [tuple(number[text] for text in column) for column in texts]
    rows = tuple(range(len(gold)))
    return Record(
        answers, rows, columns[0], columns[2], columns[1], columns[2], 0, (-1,) * len(rows), (),
        tuple(int(each) for each in group), task=Task.MULTILABEL,
    )  # fmt: skip


def _bootstrap(
    random: np.random.Generator,
    metric: Metric,
    scope: str,
    gold: np.ndarray,
    student: np.ndarray,
    teacher: np.ndarray | None,
    group: np.ndarray,
    draws: int = 200,
) -> float:
    groups = int(group.max()) + 1
    weights = random.multinomial(groups, np.full(groups, 1 / groups), size=draws)[:, group].astype(np.float32)

    def score(said: np.ndarray) -> np.ndarray:
        both, either = (weights @ marks.astype(np.float32) for marks in (gold & said, gold.astype(int) + said))
        if metric is Metric.MICRO_F1:
            return 2 * both.sum(axis=1) / either.sum(axis=1)
        ratio = np.where(weights @ gold > 0, 2 * both / np.maximum(1, either), np.nan)
        return ratio[:, 2] if metric is Metric.LABEL_F1 else np.nanmean(ratio, axis=1)

    values = score(student) - (0 if teacher is None else score(teacher))
    return float(np.nanquantile(values, ALPHA))


# --- scores ----------------------------------------------------------------------------------------------------------

LEVELS, RARE = (0.1, 0.2, 0.4, 0.2, 0.1), (0.9, 0.06, 0.02, 0.01, 0.01)  # how often gold has each of five levels
POPULATION = 4_000_000  # rows that the truth is computed on


@dataclass(frozen=True)
class Judges:
    """How gold, a student and a teacher score: rows of a group share their luck."""

    levels: tuple[float, ...]  # empty: numbers from 0 to 1
    noise: tuple[float, float] = (0.9, 0.75)  # of student and teacher, in levels
    blunder: tuple[float, float] = (0.03, 0.025)  # share of rows on which a score is drawn from all levels

    def draw(self, random: np.random.Generator, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups, count = int(group.max()) + 1, len(self.levels)
        if count:
            gold = random.choice(count, groups, p=self.levels)[group].astype(float)
        else:
            gold = np.round(4 * random.beta(0.7, 1.5, groups)[group], 4)
        shared, said = random.normal(size=groups)[group], []
        for noise, blunder in zip(self.noise, self.blunder, strict=True):
            own = gold + noise * (0.5 * shared + math.sqrt(0.75) * random.normal(size=groups)[group])
            lost = (random.random(groups) < blunder)[group]
            own = np.clip(np.where(lost, random.uniform(-0.5, 4.5, groups)[group], own), 0, 4)
            said.append(np.rint(own) if count else np.round(own, 4))
        return gold, said[0], said[1]


def of_scores(random: np.random.Generator, sims: int, only: re.Pattern[str]) -> None:
    """Judge scores of students exactly at the bar, or exactly as far behind the teacher as the margin."""
    print("\nscores, at the bar or exactly at the margin (next to it: a percentile bootstrap of 200 draws of groups)")
    for name, judges in (
        ("five levels", Judges(LEVELS)),
        ("nine in ten one level", Judges(RARE)),
        ("numbers", Judges(())),
    ):
        truth = judges.draw(random, np.arange(POPULATION))
        for rows, sizes in ((100, (1,)), (300, (1,)), (1000, (1,)), (300, (1, 1, 1, 8))):
            for metric in (Metric.KAPPA, Metric.SPEARMAN, Metric.MAE, Metric.WITHIN_ONE):
                for paired_with in (False, True):
                    setting = f"{metric}{', paired' if paired_with else ''}, {name}, {rows} rows"
                    setting += ", groups" if len(sizes) > 1 else ""
                    if only.search(setting):
                        shares = _scores_at_the_bar(random, rows, sizes, judges, truth, metric, paired_with, sims)
                        line(setting, *shares, "bootstrap")


def _scores_at_the_bar(
    random: np.random.Generator,
    rows: int,
    sizes: tuple[int, ...],
    judges: Judges,
    population: tuple[np.ndarray, np.ndarray, np.ndarray],
    metric: Metric,
    paired_with: bool,
    sims: int,
) -> tuple[float, float]:
    """Return how often a student exactly at the bar passes, by the gate and by the bootstrap's lower bound."""
    gold, *said = population
    student, teacher = (_score_of(metric, gold, each, bool(judges.levels)) for each in said)
    bar = student - teacher if paired_with else student
    passes = naive = 0
    for number in range(sims):
        group = _grouped(random, rows, sizes)
        drawn = judges.draw(random, group)
        scores, least = _evidence_of(metric, drawn, group, paired_with, bool(judges.levels)), bar
        if number < CHECKED:
            _gate_agrees(metric, drawn, group, paired_with, bool(judges.levels), bar, scores)
        passes += scores.exceeds(least) <= ALPHA
        groups = int(group.max()) + 1
        weights = random.multinomial(groups, np.full(groups, 1 / groups), size=200)[:, group]
        values = [
            _score_of(metric, drawn[0], drawn[1], bool(judges.levels), each)
            - (_score_of(metric, drawn[0], drawn[2], bool(judges.levels), each) if paired_with else 0)
            for each in weights
        ]
        naive += float(np.nanquantile(values, ALPHA)) > least
    return passes / sims, naive / sims


def _grouped(random: np.random.Generator, rows: int, sizes: tuple[int, ...]) -> np.ndarray:
    chosen = random.choice(sizes, rows)
    return np.repeat(np.arange(rows), chosen)[:rows]


def _score_of(
    metric: Metric, gold: np.ndarray, said: np.ndarray, levels: bool, weights: np.ndarray | None = None
) -> float:
    """Compute a metric of many rows, more is better: of numpy, apart from what the gate computes it with."""
    if metric in (Metric.MAE, Metric.WITHIN_ONE):
        each = _row_score(metric, gold, said, levels)
        return float(np.average(each, weights=weights))
    if metric is Metric.SPEARMAN:
        gold, said = (_weighted_ranks(column, weights) for column in (gold, said))
    means = [float(np.average(column, weights=weights)) for column in (gold, said)]
    spread = [float(np.average((c - m) ** 2, weights=weights)) for c, m in zip((gold, said), means, strict=True)]
    both = float(np.average((gold - means[0]) * (said - means[1]), weights=weights))
    if metric is Metric.SPEARMAN:
        return both / math.sqrt(spread[0] * spread[1]) if min(spread) > 0 else math.nan
    return 2 * both / (spread[0] + spread[1] + (means[0] - means[1]) ** 2)


def _weighted_ranks(column: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    _, place = np.unique(column, return_inverse=True)
    counts = np.bincount(place, weights)
    return (np.cumsum(counts) - counts / 2)[place]


def _row_score(metric: Metric, gold: np.ndarray, said: np.ndarray, levels: bool) -> np.ndarray:
    distance = np.abs(gold - said)
    if metric is Metric.MAE:
        return 1 - distance / 4
    return (distance <= (1 if levels else 0.4) + 1e-9).astype(float)


def _evidence_of(
    metric: Metric, drawn: tuple[np.ndarray, ...], group: np.ndarray, paired_with: bool, levels: bool
) -> Scores | Ratios:
    """Make the evidence as the gate does, from numbers."""
    gold, *said = drawn
    if metric in (Metric.MAE, Metric.WITHIN_ONE):
        each = [np.rint(10_000 * _row_score(metric, gold, one, levels)).astype(int).tolist() for one in said]
        other = each[1] if paired_with else [0] * len(group)
        if metric is Metric.WITHIN_ONE:
            right = ((one > 0, two > 0, at) for one, two, at in zip(each[0], other, group.tolist(), strict=True))
            return Scores.of(right, paired=paired_with)
        return Scores.of_graded(zip(each[0], other, group.tolist(), strict=True), 10_000, paired=paired_with)
    columns = [[*zip(gold.tolist(), one.tolist(), group.tolist(), strict=True)] for one in said[: 1 + paired_with]]
    found = [scale_scores.measure(metric, column) for column in columns]
    assert all(each is not None for each in found)
    means = [each.mean for each in found if each is not None]
    reach = max(each.reach for each in found if each is not None)
    return Ratios.of(len(group), *means, lowest=-1.0, reach=reach)


def _gate_agrees(
    metric: Metric,
    drawn: tuple[np.ndarray, ...],
    group: np.ndarray,
    paired_with: bool,
    levels: bool,
    bar: float,
    scores: Scores | Ratios,
) -> None:
    """Put the same rows into a record, and see that the gate itself comes to the same p-value."""
    scale = Scale.read("0,1,2,3,4" if levels else "0..4")
    texts = [[scale.number(f"{each:.12g}") for each in column] for column in drawn]
    answers = tuple(sorted({text for column in texts for text in column}))
    place = {text: at for at, text in enumerate(answers)}
    gold, student, teacher = (tuple(place[text] for text in column) for column in texts)
    count = len(group)
    record = Record(
        answers, tuple(range(count)), gold, teacher, student, teacher, 0, (-1,) * count, (), tuple(group.tolist()),
        scores=row_scores.of_scores(scale, texts[0], {"student": texts[1], "teacher": texts[2]}), task=Task.SCORE,
    )  # fmt: skip
    reference = Reference.TEACHER if paired_with else Reference.NONE
    asked = Decimal(f"{-bar if paired_with else 1 - bar if metric is Metric.MAE else bar:.12f}")
    how = {"margin": asked} if paired_with else {"threshold": asked}
    criterion = Criterion(metric, reference, **how)
    sample = Sample.of(criterion, Gate((criterion,)), record, ALL)
    assert abs(sample.scores.exceeds(bar) - scores.exceeds(bar)) < 1e-3, "the gate itself says otherwise"


def floors(random: np.random.Generator, sims: int) -> None:
    print("\na share exactly at its floor (Clopper-Pearson; next to it: point estimate at the floor or above)")
    for floor, rows in ((0.80, 80), (0.85, 150), (0.90, 300), (0.95, 400)):
        hits = random.binomial(rows, floor, sims)
        holds = _cached(lambda h, n, f=floor: statistics.binomial_tail(h, n, f) <= ALPHA)
        line(
            f"floor {floor:.2f}, {rows} rows",
            sum(holds(int(each), rows) for each in hits) / sims,
            float(np.mean(hits >= floor * rows)),
            "point estimate",
        )


def latency(random: np.random.Generator, sims: int) -> None:
    print("\na p95 exactly at the target, lognormal (each run's bound below it; next to it: the sample's p95 is)")
    target = math.exp(0.6 * statistics.normal_quantile(0.95))
    for count, runs in ((59, 1), (100, 1), (200, 1), (500, 1), (200, 5)):
        times = np.sort(random.lognormal(0, 0.6, size=(sims, runs, count)), axis=2)
        rank, sample = statistics.rank_at_most(count, 0.95, ALPHA), statistics.sample_rank(count, 0.95)
        assert rank is not None
        passes = (times[:, :, rank - 1] < target).all(axis=1).mean()
        naive = (times[:, :, sample - 1] < target).all(axis=1).mean()
        line(f"{count} requests, {runs} {'run' if runs == 1 else 'runs'}", float(passes), float(naive), "sample p95")
    for correlation in (0.5, 0.9):
        for runs in (1, 5):
            noise = random.normal(size=(sims, runs, 200))
            for step in range(1, 200):
                noise[:, :, step] = correlation * noise[:, :, step - 1] + (
                    math.sqrt(1 - correlation**2) * noise[:, :, step]
                )
            times = np.sort(np.exp(0.6 * noise), axis=2)
            rank = statistics.rank_at_most(200, 0.95, ALPHA)
            assert rank is not None
            passes = (times[:, :, rank - 1] < target).all(axis=1).mean()
            named = "1 run" if runs == 1 else f"{runs} runs"
            line(f"200 requests, {named}, serial correlation {correlation}", float(passes), None)


if __name__ == "__main__":
    main()
