"""The one metric that stands for a play's quality: what its gate judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distill_tui.gates.gate import ALL, BY_LABEL, QUALITY, ROW_SCORES, SCORED, Criterion, Gate
from distill_tui.gates.wording import DASH, percent, trim
from distill_tui.terms import Metric, Task

FIRST = {Task.MULTILABEL: Metric.MICRO_F1, Task.SCORE: Metric.MAE}  # where accuracy means little
SHARES = (*QUALITY, Metric.WITHIN_ONE)  # written as percent


def metric_of(gate: Gate | None, task: Task) -> Metric:
    """Return the metric of a play: of its binding criterion on quality, else of the first that counts."""
    known = (*QUALITY, *(each for each in SCORED if each not in BY_LABEL))
    found = [each for each in (gate.criteria if gate is not None else ()) if each.counts and each.metric in known]
    found.sort(key=lambda each: (not each.binding, each.scope != ALL))
    return found[0].metric if found else FIRST.get(task, Metric.ACCURACY)


def metric_in(criteria: Iterable[Mapping[str, object]], task: Task) -> Metric:
    """Return the metric by the stored criteria of a gate, without reading the rest of it."""
    read = []
    for each in criteria:
        metric, watched = str(each.get("metric")), each.get("watch_only")
        if metric in list(Metric) and not watched:
            read.append(Criterion(Metric(metric), scope=str(each.get("scope", ALL)), binding=bool(each.get("binding"))))
    return metric_of(Gate(tuple(read)), task)


def lower_is_better(metric: str) -> bool:
    return any(score.lower_is_better for known, score in ROW_SCORES.items() if known == metric)


def worded(metric: str, value: float | None) -> str:
    """Write a value: a share as percent, anything else on its own scale with three places."""
    if value is None:
        return DASH
    return percent(value) if metric not in SCORED or metric in SHARES else trim(f"{value:.3f}")
