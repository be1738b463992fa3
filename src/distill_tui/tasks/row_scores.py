"""The score of each row for student, teacher and baseline, by metrics that are not just right or wrong.

A record's `scores`: metric → subject → whole numbers of 1/10,000, -1 where a row has none. `gates.RowScore` says how a
metric is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from distill_tui.gates.record import CERTAIN
from distill_tui.tasks import answer_text
from distill_tui.terms import Metric

Scores = dict[str, dict[str, tuple[int, ...]]]
_SCORER = CHRF()


def of_probabilities(gold: Any, probabilities: Mapping[str, Any]) -> Scores:
    """Score each subject's probabilities, (rows, labels), against the gold labels, (rows,) with -1 for none.

    A subject whose probabilities are all unknown (NaN) is left out, and every subject where no row has gold.
    """
    columns = {name: brier(gold, np.asarray(given, dtype=np.float64)) for name, given in probabilities.items()}
    return {Metric.BRIER.value: {name: column for name, column in columns.items() if max(column, default=-1) >= 0}}


def brier(gold: Any, probabilities: Any) -> tuple[int, ...]:
    """Compute half the squared distance of each row's probabilities from gold (Brier 1950, halved: 0 to 1)."""
    known = (gold >= 0) & np.isfinite(probabilities).all(axis=1)
    truth = np.eye(probabilities.shape[1])[np.where(gold >= 0, gold, 0)]
    distance = np.square(probabilities - truth).sum(axis=1) / 2
    scores = np.clip(np.rint(CERTAIN * np.where(known, distance, 0.0)), 0, CERTAIN)
    return tuple(int(each) for each in np.where(known, scores, -1))


def of_answers(gold: Sequence[str | None], given: Mapping[str, Sequence[str | None]]) -> Scores:
    """Score each subject's written answers against gold, by field F1 and by chrF.

    Every subject has chrF, all -1 where no row has gold; field F1 is there where any gold is JSON.
    """
    found: Scores = {Metric.FIELD_F1.value: {}, Metric.CHRF.value: {}}
    for name, answers in given.items():
        pairs = list(zip(answers, gold, strict=True))
        fields = [None if a is None or g is None else answer_text.field_f1(a, g) for a, g in pairs]
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


def _in_units(scores: Sequence[float | None]) -> tuple[int, ...]:
    return tuple(-1 if each is None else min(CERTAIN, max(0, round(CERTAIN * each))) for each in scores)
