"""How often would the gate pass a student that is exactly at the margin? At most as often as it promises.

    python benchmarks/gate_errors.py [--sims 2000] [--seed 1]

Each line is one setting: the share of simulated evaluations on which the rule passes though the truth is at the margin,
at the floor or at the target, beside what a common wrong rule does on the same samples. Nominal: 5 %.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np

from distill_tui import statistics
from distill_tui.statistics import Cluster, Scores

ALPHA = 0.05
Z = statistics.normal_quantile(1 - ALPHA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=2000, help="simulated evaluations for each setting")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    error = math.sqrt(ALPHA * (1 - ALPHA) / options.sims)
    print(f"{options.sims} simulations a setting; the standard error of a 5 % rate is {100 * error:.2f} points\n")
    paired(random, options.sims)
    clustered(random, options.sims)
    lumpy(random, options.sims)
    floors(random, options.sims)
    latency(random, options.sims)


def line(setting: str, gate: float, other: float | None, name: str = "") -> None:
    beside = "" if other is None else f"   {name} {100 * other:5.1f} %"
    print(f"  {setting:<46} gate {100 * gate:5.1f} %{beside}")


def paired(random: np.random.Generator, sims: int) -> None:
    print("paired rows, student exactly `margin` behind (Tango; beside it: 'McNemar finds no difference')")
    for margin, discordance, rows in (
        (0.02, 0.04, 50),
        (0.02, 0.10, 80),
        (0.02, 0.10, 200),
        (0.05, 0.07, 100),
        (0.05, 0.13, 80),
        (0.05, 0.13, 400),
        (0.10, 0.30, 200),
    ):
        holds = _cached(lambda b, c, n=rows, m=margin: statistics.not_inferior(b, c, n, m, ALPHA))
        same = _cached(lambda b, c: min(1.0, 2 * statistics.binomial_tail(max(b, c), b + c, 0.5)) > ALPHA)
        lose, win = (discordance + margin) / 2, (discordance - margin) / 2
        counts = random.multinomial(rows, [lose, win, 1 - discordance], size=sims)
        passes = sum(holds(int(b), int(c)) for b, c, _ in counts) / sims
        naive = sum(same(int(b), int(c)) for b, c, _ in counts) / sims
        line(f"margin {margin:.2f}, discordance {discordance:.2f}, {rows} rows", passes, naive, "no difference found")


def _cached(rule: Callable[[int, int], bool]) -> Callable[[int, int], bool]:
    return lru_cache(maxsize=None)(rule)


def clustered(random: np.random.Generator, sims: int) -> None:
    print("\ndependent rows, student exactly 0.05 behind, correlation .2 (beside it: rows taken as independent)")
    for groups, size in ((10, 20), (20, 10), (40, 5), (100, 5), (200, 5)):
        for uneven in (False, True):
            passes = naive = 0
            for _ in range(sims):
                scores = _scores(_drawn(random, groups, size, uneven))
                passes += scores.exceeds(-0.05) <= ALPHA
                naive += statistics.not_inferior(scores.losses, scores.wins, scores.rows, 0.05, ALPHA)
            sizes = f"1 to {2 * size - 1}" if uneven else f"{size}"
            line(f"{groups} groups of {sizes} rows", passes / sims, naive / sims, "as independent")


def _drawn(random: np.random.Generator, groups: int, size: int, uneven: bool) -> list[tuple[int, int, int, int]]:
    """Give (losses, wins, size, other's right answers) of each group; Dirichlet within groups."""
    sizes = random.integers(1, 2 * size, groups) if uneven else np.full(groups, size)
    found = []
    for rows in sizes:
        lose, win, tie = random.multinomial(rows, random.dirichlet(np.array([0.09, 0.04, 0.87]) * 4))
        found.append((int(lose), int(win), int(rows), int(lose + random.binomial(tie, 0.7))))
    return found


def _scores(drawn: list[tuple[int, int, int, int]]) -> Scores:
    clusters = Counter(Cluster(win - lose, size, size - right) for lose, win, size, right in drawn)
    return Scores(clusters, True, sum(each[0] for each in drawn), sum(each[1] for each in drawn))


def lumpy(random: np.random.Generator, sims: int) -> None:
    print("\nharm in whole groups: 5 points lost, all in 1 of 15 groups (beside it: t bound on group sums alone)")
    for groups in (20, 40, 60, 100, 300):
        passes = studentised = 0
        for _ in range(sims):
            right = random.binomial(5, 0.75, groups)
            lost = random.random(groups) < 0.05 / 0.75
            scores = _scores([(int(r) if x else 0, 0, 5, int(r)) for r, x in zip(right, lost, strict=True)])
            passes += scores.exceeds(-0.05) <= ALPHA
            error = statistics.clustered_standard_error(scores.clusters.elements())
            studentised += (scores.estimate or 0) - _t(groups - 1) * error > -0.05
        line(f"{groups} groups of 5 rows", passes / sims, studentised / sims, "t bound alone")


@cache
def _t(degrees: int) -> float:
    return statistics.t_quantile(1 - ALPHA, degrees)


def floors(random: np.random.Generator, sims: int) -> None:
    print("\na share exactly at its floor (Clopper-Pearson; beside it: point estimate at the floor or above)")
    for floor, rows in ((0.80, 80), (0.85, 150), (0.90, 300), (0.95, 400)):
        hits = random.binomial(rows, floor, sims)
        holds = _cached(lambda h, n, f=floor: statistics.share_exceeds(f, h, n) <= ALPHA)
        line(
            f"floor {floor:.2f}, {rows} rows",
            sum(holds(int(each), rows) for each in hits) / sims,
            float(np.mean(hits >= floor * rows)),
            "point estimate",
        )


def latency(random: np.random.Generator, sims: int) -> None:
    print("\na p95 exactly at the target, lognormal (each run's bound below it; beside it: the sample's p95 is)")
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
