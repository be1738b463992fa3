"""Does the kernel of the gate's statistics agree with scipy, and with statsmodels where it is installed?

    python benchmarks/gate_oracles.py [--tables 5000] [--seed 1]

Random tables of paired rows, of shares, of clusters and of p-values. Each line is the largest difference found between
`statistics` (standard library) and an oracle that is computed another way. The goal is 1e-9.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import shared
from scipy import optimize, stats

from distill_tui.gates import statistics
from distill_tui.gates.paired import Gain
from distill_tui.gates.statistics import Cluster

GOAL = 1e-9


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--tables", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    print(f"{options.tables:,} random tables for each line; the largest difference from the oracle")
    found = [
        line("Tango's p-value, by scipy's root of the likelihood", tango(random, options.tables)),
        line("Clopper-Pearson bounds, by scipy's beta quantiles", shares(random, options.tables)),
        line("Wilson's interval, by scipy's binomtest", wilson(random, options.tables)),
        line("binomial tail, by scipy", tails(random, options.tables)),
        line("t quantile (relative), by scipy", quantiles(random, options.tables)),
        line("rank that bounds a p95 (ranks), by scipy's binomial", ranks(random, options.tables)),
        line("clustered standard error, by numpy", clusters(random, options.tables)),
        line("paired t bound, by scipy's ttest_1samp", gains(random, options.tables)),
    ]
    found += with_statsmodels(random, options.tables)
    print("agrees" if max(found) <= GOAL else "DOES NOT AGREE")
    return int(max(found) > GOAL)


def line(name: str, worst: float) -> float:
    print(f"  {name:<60} {worst:.1e}")
    return worst


def tango(random: np.random.Generator, tables: int) -> float:
    """Find the share of losses that is most likely given δ by the root of the score equation, not by its formula."""
    worst = 0.0
    for _ in range(tables):
        rows = int(random.integers(1, 2000))
        losses, wins = (int(each) for each in random.multinomial(rows, random.dirichlet([1, 1, 4]))[:2])
        spread = math.sqrt((losses + wins + 1) / rows / rows)
        delta = float(np.clip((wins - losses) / rows - random.uniform(0, 4) * spread, -0.99, 0.99))
        expected = _tango(losses, wins, rows, delta)
        worst = max(worst, abs(statistics.difference_exceeds(delta, losses, wins, rows) - expected))
    return worst


def _tango(losses: int, wins: int, rows: int, delta: float) -> float:
    gap, same = wins - losses - rows * delta, rows - losses - wins
    if gap <= 0:
        return 1.0
    low, high = max(0.0, -delta), (1 - delta) / 2

    def score(p: float) -> float:
        """The derivative of the log-likelihood, times what makes it finite at the ends."""
        q, rest = p + delta, 1 - 2 * p - delta
        return losses * q * rest + wins * p * rest - 2 * same * p * q

    p = low if score(low + 1e-15) <= 0 else optimize.brentq(score, low + 1e-15, high, xtol=1e-16, rtol=1e-15)
    variance = rows * (2 * p + delta - delta * delta)
    return float(stats.norm.sf(gap / math.sqrt(variance))) if variance > 0 else 1.0


def shares(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(tables):
        rows = int(random.integers(1, 3000))
        hits, alpha = int(random.integers(0, rows + 1)), float(random.choice([0.05, 0.05 / 3, 0.001]))
        low = 0.0 if hits == 0 else stats.beta.ppf(alpha, hits, rows - hits + 1)
        high = 1.0 if hits == rows else stats.beta.ppf(1 - alpha, hits + 1, rows - hits)
        worst = max(worst, abs(statistics.share_at_least(hits, rows, alpha) - low))
        worst = max(worst, abs(statistics.share_at_most(hits, rows, alpha) - high))
    return float(worst)


def wilson(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(tables):
        rows = int(random.integers(1, 3000))
        hits = int(random.integers(0, rows + 1))
        expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
        low, high = statistics.wilson_interval(hits, rows, 0.025)
        worst = max(worst, abs(low - expected.low), abs(high - expected.high))
    return float(worst)


def tails(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(tables):
        rows, share = int(random.integers(1, 3000)), float(random.random())
        hits = int(random.integers(0, rows + 1))
        worst = max(worst, abs(statistics.binomial_tail(hits, rows, share) - stats.binom.sf(hits - 1, rows, share)))
    return float(worst)


def quantiles(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(tables):
        degrees, probability = int(random.integers(1, 5000)), float(random.uniform(0.5001, 0.9999))
        expected = stats.t.ppf(probability, degrees)
        worst = max(worst, abs(statistics.t_quantile(probability, degrees) - expected) / max(1.0, expected))
    return float(worst)


def ranks(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(min(tables, 1000)):
        count, alpha = int(random.integers(1, 3000)), float(random.choice([0.05, 0.05 / 3, 0.001]))
        rank = statistics.rank_at_most(count, 0.95, alpha)
        expected = stats.binom.ppf(1 - alpha, count, 0.95) + 1
        worst = max(worst, abs((rank if rank is not None else count + 1) - expected))
    return float(worst)


def clusters(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(tables):
        sizes = random.integers(1, 9, int(random.integers(2, 60)))
        totals = random.binomial(sizes, 0.8)
        mean = totals.sum() / sizes.sum()
        squares = np.square(totals - sizes * mean).sum()
        expected = math.sqrt(len(sizes) / (len(sizes) - 1) * squares) / sizes.sum()
        counted = Counter(Cluster(int(t), int(s), int(s)) for t, s in zip(totals, sizes, strict=True))
        worst = max(worst, abs(statistics.clustered_standard_error(counted.elements()) - expected))
    return float(worst)


def gains(random: np.random.Generator, tables: int) -> float:
    worst = 0.0
    for _ in range(min(tables, 1000)):
        scores = random.normal(0.1, 1, int(random.integers(3, 300)))
        expected = stats.ttest_1samp(scores, 0).confidence_interval(0.9).low
        worst = max(worst, abs(Gain.of(scores.tolist(), range(len(scores))).at_least(0.05) - expected))
    return float(worst)


def with_statsmodels(random: np.random.Generator, tables: int) -> list[float]:
    try:
        from statsmodels.stats.multitest import multipletests
        from statsmodels.stats.proportion import proportion_confint
    except ImportError:
        print("  statsmodels is not installed here: Holm and its proportion_confint were not compared")
        return []
    holm = exact = 0.0
    for _ in range(tables):
        p_values = random.beta(0.3, 1, int(random.integers(1, 12)))
        stands = multipletests(p_values, 0.05, method="holm")[0]
        holm += statistics.holm(p_values.tolist(), 0.05) != tuple(bool(each) for each in stands)
        rows = int(random.integers(1, 3000))
        hits = int(random.integers(0, rows + 1))
        low, high = proportion_confint(hits, rows, 0.1, method="beta")
        exact = max(exact, abs(statistics.share_at_least(hits, rows, 0.05) - low))
        exact = max(exact, abs(statistics.share_at_most(hits, rows, 0.05) - high))
    return [
        line("Holm's accusations (tables that differ), by statsmodels", float(holm)),
        line("Clopper-Pearson bounds, by statsmodels' beta method", float(exact)),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
