"""Quadratic weighted kappa and Spearman's rank correlation of scores, with each group's part in them. Pure.

Neither is a mean over rows, so both are judged as F1 is: by the likelihood of the groups' pseudo-values (`ratios`).
Kappa without a group is computed again from sums. Of Spearman each row has its influence (the linear term of leaving
it out, ranks of the others included), which is added up by group.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from distill_tui.gates.gate import Criterion
from distill_tui.gates.label_scores import Column, Evidence
from distill_tui.gates.ratios import MeanRatio, Ratios, kish
from distill_tui.gates.record import Record, rows_in
from distill_tui.gates.scale import value
from distill_tui.gates.statistics import Scores
from distill_tui.terms import Metric

REACH_OF_RANKS = 6.0  # how far a share of rows can move a rank correlation, at most: 1 - 6Σd²/(n³ - n)
Pair = tuple[float, float]  # gold and a score
Row = tuple[float, float, int]  # gold, a score and the row's group


def evidence(criterion: Criterion, record: Record, scope: str, rival: Column | None, name: str) -> Evidence:
    """Return the evidence on a criterion: of the student alone, or, with a rival's answers, of the difference."""
    columns = (record.gold, record.student) if rival is None else (record.gold, record.student, rival)
    there = rows_in(record, scope)
    rows = [(row, [_number(record, column[row]) for column in columns]) for row in there]
    known = [(row, [each for each in numbers if each is not None]) for row, numbers in rows]
    known = [(row, numbers) for row, numbers in known if len(numbers) == len(columns)]
    if not known:
        needs = f"gold and a score of {name}" if rival is not None else "gold"
        lacks = f"no row has {needs}" if there else "no held-out row is in its scope"
        return Evidence(Scores.of((), paired=False), 0.0, None, lacks)
    measured = [
        measure(criterion.metric, [(numbers[0], numbers[at], record.group[row]) for row, numbers in known])
        for at in range(1, len(columns))
    ]
    found = [each for each in measured if each is not None]
    if len(found) < len(measured):
        return Evidence(
            Scores.of((), paired=False), 0.0, None, "every row has the same score, so nothing can be ranked"
        )
    other = found[1] if rival is not None else None
    reach = max(each.reach for each in found)
    ratios = Ratios.of(len(known), found[0].mean, None if other is None else other.mean, lowest=-1.0, reach=reach)
    return Evidence(ratios, found[0].mean.whole, None if other is None else other.mean.whole)


def _number(record: Record, answer: int) -> float | None:
    return value(record.labels[answer]) if answer >= 0 else None


@dataclass(frozen=True)
class Measured:
    """A value in all groups together and with each left out, and how far a share of the rows can move it at most."""

    mean: MeanRatio
    reach: float


def measure(metric: Metric, rows: Sequence[Row]) -> Measured | None:
    """Compute kappa or Spearman's correlation; None where it is undefined: all scores, or all gold, are equal."""
    return _kappa(rows) if metric is Metric.KAPPA else _spearman(rows)


def kappa(pairs: Iterable[Pair]) -> float | None:
    """Compute quadratic weighted kappa (Cohen 1968); of numbers it is Lin's concordance correlation."""
    return _of_sums(_sums(pairs))


def spearman(pairs: Iterable[Pair]) -> float | None:
    """Compute Spearman's correlation: Pearson's of the ranks, equal values sharing their mean rank."""
    found = _spearman([(*pair, at) for at, pair in enumerate(pairs)])
    return None if found is None else found.mean.whole


Sums = tuple[float, ...]  # rows, Σg, Σs, Σg², Σs², Σgs


def _sums(pairs: Iterable[Pair]) -> Sums:
    columns = list(zip(*((1.0, g, s, g * g, s * s, g * s) for g, s in pairs), strict=True))
    return tuple(math.fsum(column) for column in columns) if columns else (0.0,) * 6


def _of_sums(sums: Sums) -> float | None:
    rows, gold, said, gold2, said2, both = sums
    by_chance = gold2 + said2 - 2 * gold * said / rows if rows else 0.0
    return 1 - (gold2 + said2 - 2 * both) / by_chance if by_chance > 1e-9 * max(1.0, gold2) else None


def _kappa(rows: Sequence[Row]) -> Measured | None:
    middle = math.fsum(gold for gold, _, _ in rows) / max(1, len(rows))  # around it the sums lose no digits
    groups: dict[int, list[Pair]] = defaultdict(list)
    for gold, said, group in rows:
        groups[group].append((gold - middle, said - middle))
    parts = {group: _sums(pairs) for group, pairs in groups.items()}
    total = tuple(math.fsum(column) for column in zip(*parts.values(), strict=True)) if parts else (0.0,) * 6
    whole = _of_sums(total)
    if whole is None:
        return None
    without = {}
    for group, part in parts.items():
        left = _of_sums(tuple(all_ - own for all_, own in zip(total, part, strict=True)))
        without[group] = whole if left is None else left
    values = [each for gold, said, _ in rows for each in (gold, said)]
    by_chance = (total[3] + total[4] - 2 * total[1] * total[2] / total[0]) / total[0]
    return Measured(_mean(whole, without, groups), max(1.0, (max(values) - min(values)) ** 2 / by_chance))


def _mean(whole: float, without: dict[int, float], groups: dict[int, list[Pair]]) -> MeanRatio:
    effective = kish(len(each) for each in groups.values())
    return MeanRatio(whole, without, {"": effective}, effective)


def _spearman(rows: Sequence[Row]) -> Measured | None:
    """Add up the influence of the rows of each group on Pearson's correlation of the ranks."""
    count = len(rows)
    ranks = [_ranks([row[side] for row in rows]) for side in (0, 1)]
    of_gold, of_said = ranks
    both = math.fsum(a * b for a, b in zip(of_gold, of_said, strict=True)) / max(1, count)
    spread = [math.fsum(a * a for a in each) / max(1, count) for each in ranks]
    if min(spread) <= 1e-12:
        return None
    scale = math.sqrt(spread[0] * spread[1])
    whole = both / scale
    above = [[_above(of, other) for other in (of_gold, of_said)] for of in ranks]  # [ranked by][summed]
    groups: dict[int, list[Pair]] = defaultdict(list)
    influence: dict[int, float] = defaultdict(float)
    for at, (gold, said, group) in enumerate(rows):
        own = [each[at] for each in ranks]
        of_both = own[0] * own[1] + above[0][1][at] + above[1][0][at] - 3 * both
        of_spread = [own[side] ** 2 + 2 * above[side][side][at] - 3 * spread[side] for side in (0, 1)]
        influence[group] += of_both / scale - whole / 2 * sum(of_spread[side] / spread[side] for side in (0, 1))
        groups[group].append((gold, said))
    weight = len(groups) / max(1, len(groups) - 1) / count
    without = {group: whole - weight * each for group, each in influence.items()}
    return Measured(_mean(whole, without, groups), REACH_OF_RANKS / (12 * scale))


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's mean rank as a share of all, around 0."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    found, start = [0.0] * len(values), 0
    for at in range(1, len(order) + 1):
        if at == len(order) or values[order[at]] != values[order[start]]:
            for place in order[start:at]:
                found[place] = (start + at) / 2 / len(values) - 0.5
            start = at
    return found


def _above(ranks: Sequence[float], summed: Sequence[float]) -> list[float]:
    """Return for each row the mean over all rows of `summed` where the rank is higher, and half where it is equal."""
    totals: dict[float, float] = defaultdict(float)
    for rank, each in zip(ranks, summed, strict=True):
        totals[rank] += each
    order = sorted(totals, reverse=True)
    higher = [0.0, *accumulate(totals[rank] for rank in order)]
    found = {rank: (higher[at] + totals[rank] / 2) / len(ranks) for at, rank in enumerate(order)}
    return [found[rank] for rank in ranks]
