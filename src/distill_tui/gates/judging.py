"""The verdict: a record put against a gate. A point estimate never decides; only the whole interval does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from distill_tui.gates import deferred
from distill_tui.gates.deferred import handed_back, together
from distill_tui.gates.gate import ROW_SCORES, Criterion, Gate, bar_of
from distill_tui.gates.judgement import Judgement, unmeasured
from distill_tui.gates.measures import judge_deferred, judge_latency, judge_payback, judge_size
from distill_tui.gates.problems import criterion_problems
from distill_tui.gates.quality import judge_quality
from distill_tui.gates.record import Record
from distill_tui.terms import Metric, Verdict

METHODS = {  # the version of what each metric means and how it is judged
    Metric.ACCURACY: "1: exact label; Clopper-Pearson, Tango's score for differences, likelihood of groups",
    Metric.AGREEMENT: "1: same label as the teacher; Clopper-Pearson, likelihood of groups",
    Metric.BRIER: "1: half the squared distance of the probabilities from gold; likelihood of groups of row scores",
    Metric.FIELD_F1: "1: mean F1 of the fields of JSON answers; likelihood of groups of row scores",
    Metric.CHRF: "1: mean sentence chrF (6 characters, no words, beta 2) of 0 to 1; likelihood of groups of row scores",
    Metric.HAMMING: "1: share of the labels that are wrong; likelihood of groups of row scores",
    Metric.MAE: "1: mean distance from gold as a share of the scale; likelihood of groups of row scores",
    Metric.WITHIN_ONE: "1: within one level of gold, or a tenth of a range; the methods of accuracy",
    Metric.KAPPA: "1: quadratic weighted kappa with gold; jackknife likelihood of groups",
    Metric.SPEARMAN: "1: correlation of mean ranks with gold; likelihood of the groups' influence",
    Metric.MICRO_F1: "1: F1 of all labels together; jackknife likelihood of groups",
    Metric.MACRO_F1: "1: mean F1 of the labels in gold; jackknife likelihood of groups",
    Metric.LABEL_F1: "1: F1 of one label; jackknife likelihood of groups",
    Metric.PRECISION: "1: of one label; Clopper-Pearson, likelihood of groups, jackknife likelihood for differences",
    Metric.RECALL: "1: of one label; Clopper-Pearson, Tango's score for differences, likelihood of groups",
    Metric.P95_LATENCY: "1: one request at a time, every run; order statistics",
    Metric.PAYBACK: "1: build over saving, at the t bounds of the mean latency, over the locked ranges",
    Metric.SIZE: "1: bytes on disk, in units of 1,000,000",
    Metric.DEFERRED: "1: held-out rows below the calibrated threshold; Clopper-Pearson, likelihood of groups",
}
LUMPS = ", groups lost whole"  # what version 2 adds where groups are judged by their likelihood
TOGETHER = "; student and teacher together"  # what a method is of where the gate sends requests back


def methods(gate: Gate) -> dict[Metric, str]:
    """Return the version of what each metric of a gate means and how it is judged; a lock names them."""
    alone = (Metric.SIZE, Metric.DEFERRED) if gate.deferral is not None else tuple(METHODS)
    return {each.metric: _method(gate, each.metric) + TOGETHER * (each.metric not in alone) for each in gate.criteria}


def _method(gate: Gate, metric: Metric) -> str:
    method = METHODS[metric]
    lumps = gate.methods >= 2 and (metric in ROW_SCORES or " likelihood of groups" in method)
    if not lumps or metric is Metric.DEFERRED or "jackknife likelihood of groups" in method:
        return method
    return f"{gate.methods}{method.removeprefix('1')}{LUMPS}"


def judge(gate: Gate, record: Record, looks_split: int | None = None) -> tuple[Judgement, ...]:
    """Judge every criterion in its concrete scopes; the error budget is split over the rounds (`looks_split`).

    No correction for the number of criteria: all must hold, so the chance of a wrong pass is that of the worst one
    (intersection-union, Berger 1982). Claims that single segments miss are corrected by Holm.
    Where the gate sends requests back to the teacher, quality, latency and cost are those of the two together.
    """
    alpha = float((1 - gate.confidence) / max(1, gate.rounds if looks_split is None else looks_split))
    alpha = min(max(alpha, 1e-12), 0.5)
    return tuple(judgement for each in gate.criteria for judgement in _judge(each, gate, record, alpha))


def passed(judgements: Iterable[Judgement]) -> bool:
    """Whether the gate is passed: at least one criterion counts, and each that counts holds."""
    counting = [judgement.verdict for judgement in judgements if judgement.criterion.counts]
    return bool(counting) and all(verdict is Verdict.HOLDS for verdict in counting)


def _judge(criterion: Criterion, gate: Gate, record: Record, alpha: float) -> tuple[Judgement, ...]:
    problem, bar = next(criterion_problems(criterion), None), bar_of(criterion)
    problem = problem or (deferred.unusable(gate, record) if criterion.metric is not Metric.SIZE else "")
    if problem:  # no gate is locked with it, and nothing is ever passed on it
        return (unmeasured(criterion, criterion.scope, alpha, problem.rstrip(".")),)
    match criterion.metric:
        case Metric.P95_LATENCY:
            return (_with_teacher(judge_latency(criterion, bar, together(gate, record), alpha), gate, record),)
        case Metric.PAYBACK:
            return (judge_payback(criterion, bar, gate, record, alpha),)
        case Metric.SIZE:
            return (judge_size(criterion, bar, record, alpha),)
        case Metric.DEFERRED:
            return (judge_deferred(criterion, bar, record, alpha),)
        case _:
            found = judge_quality(criterion, gate, together(gate, record), alpha)
            return tuple(_with_teacher(each, gate, record) for each in found)


def _with_teacher(judgement: Judgement, gate: Gate, record: Record) -> Judgement:
    back = handed_back(gate, record)
    return judgement if back is None or judgement.reason else replace(judgement, sent_back=float(back))
