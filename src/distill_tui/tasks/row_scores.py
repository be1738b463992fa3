"""The score of each row for student, teacher and baseline, by metrics that are not just right or wrong.

A record's `scores`: metric → subject → whole numbers of 1/10,000, -1 where a row has none. `gates.RowScore` says how a
metric is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from distill_tui.gates.gate import ORDERED
from distill_tui.gates.record import CERTAIN
from distill_tui.gates.scale import Scale
from distill_tui.tasks import answer_text
from distill_tui.terms import Metric

Scores = dict[str, dict[str, tuple[int, ...]]]
_SCORER = CHRF()


def of_probabilities(gold: Any, probabilities: Mapping[str, Any]) -> Scores:
    """Score each subject's probabilities, (rows, labels), against the gold labels, (rows,) with -1 for none.

    A subject whose probabilities are all unknown (NaN) is left out, and every subject where no row has gold.
    """
    columns = {name: brier(gold, np.asarray(given, dtype=np.float64)) for name, given in probabilities.items()}
    return {Metric.BRIER.value: _with_scores(columns)}


def brier(gold: Any, probabilities: Any) -> tuple[int, ...]:
    """Compute half the squared distance of each row's probabilities from gold (Brier 1950, halved: 0 to 1)."""
    known = (gold >= 0) & np.isfinite(probabilities).all(axis=1)
    truth = np.eye(probabilities.shape[1])[np.where(gold >= 0, gold, 0)]
    distance = np.square(probabilities - truth).sum(axis=1) / 2
    return _where(known, distance)


def of_sets(gold: Any, said: Mapping[str, Any], probabilities: Mapping[str, Any]) -> Scores:
    """Score each subject's sets of labels against gold, both (rows, labels) of 0 and 1, -1 for none.

    Hamming loss: the share of labels that are wrong. Brier: the mean over labels of the squared distance of the
    probabilities from gold. A subject whose probabilities are all unknown (NaN) has no Brier score.
    """
    known = (gold >= 0).all(axis=1)
    hamming = {
        name: _where(known & (np.asarray(marks) >= 0).all(axis=1), (marks != gold).mean(axis=1))
        for name, marks in said.items()
    }
    squared = {
        name: _where(known & np.isfinite(shares).all(axis=1), np.square(np.nan_to_num(shares) - gold).mean(axis=1))
        for name, shares in probabilities.items()
    }
    return {Metric.HAMMING.value: hamming, Metric.BRIER.value: _with_scores(squared)}


def of_scores(scale: Scale, gold: Sequence[str | None], said: Mapping[str, Sequence[str | None]]) -> Scores:
    """Score each subject's scores against gold: how far off, as a share of the scale, and whether within one level.

    An answer outside the scale is as wrong as one can be; without an answer the row has no score.
    """
    distance, within = {}, {}
    for name, column in said.items():
        pairs = [(None if g is None else scale.known(g), answer) for g, answer in zip(gold, column, strict=True)]
        both = [None if g is None or answer is None else (g, scale.known(answer)) for g, answer in pairs]
        distance[name] = _in_units([pair and _distance(scale, *pair) for pair in both])
        within[name] = _in_units([pair and _within(scale, *pair) for pair in both])
    return {Metric.MAE.value: _with_scores(distance), Metric.WITHIN_ONE.value: _with_scores(within)}


def _distance(scale: Scale, gold: str, answer: str | None) -> float:
    return 1.0 if answer is None else abs(float(gold) - float(answer)) / float(scale.span)


def _within(scale: Scale, gold: str, answer: str | None) -> float:
    return float(answer is not None and scale.within_one(gold, answer))


def of_answers(gold: Sequence[str | None], given: Mapping[str, Sequence[str | None]], lists: str = ORDERED) -> Scores:
    """Score each subject's written answers against gold, by field F1 and by chrF.

    Every subject has chrF, all -1 where no row has gold; field F1 is there where any gold is JSON.
    """
    found: Scores = {Metric.FIELD_F1.value: {}, Metric.CHRF.value: {}}
    for name, answers in given.items():
        pairs = list(zip(answers, gold, strict=True))
        fields = [None if a is None or g is None else answer_text.field_f1(a, g, lists) for a, g in pairs]
        letters = [None if a is None or g is None else _chrf(a, g) for a, g in pairs]
        found[Metric.FIELD_F1.value][name] = _in_units(fields)
        found[Metric.CHRF.value][name] = _in_units(letters)
    if all(max(column, default=-1) < 0 for column in found[Metric.FIELD_F1.value].values()):
        del found[Metric.FIELD_F1.value]
    return found


def _chrf(answer: str, gold: str) -> float:
    """Compute sentence chrF of characters 1 to 6, beta 2 (Popović 2015), by sacrebleu: 0 to 1."""
    if not answer or not gold:
        return float(answer == gold)  # no characters to compare
    return float(_SCORER.sentence_score(answer, [gold]).score) / 100


def _where(known: Any, scores: Any) -> tuple[int, ...]:
    """Write scores in units of a record, -1 where a row is not known."""
    units = np.clip(np.rint(CERTAIN * np.where(known, scores, 0.0)), 0, CERTAIN)
    return tuple(int(each) for each in np.where(known, units, -1))


def _with_scores(columns: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Leave out the subjects of which no row has a score."""
    return {name: column for name, column in columns.items() if max(column, default=-1) >= 0}


def _in_units(scores: Sequence[float | None]) -> tuple[int, ...]:
    return tuple(-1 if each is None else min(CERTAIN, max(0, round(CERTAIN * each))) for each in scores)
