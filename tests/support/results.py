"""Results of runs for tests: complete, with the few fields that a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill_tui.gates.usable import SegmentRows
from distill_tui.rules.results import DataCounts, Finding, ImportReport, RehearsalResult, TrainResult, encode
from distill_tui.terms import Split


def train_result(score: float | None = 0.9, **more: Any) -> TrainResult:
    """What a training run reports."""
    known: dict[str, Any] = {
        "validation_score": score, "validation_rows": 40, "score_name": "accuracy", "agreement": score,
        "failures": {}, "findings": (), "validation": "", "seconds": 1.0, "parameters": 10,
        "bytes": 40, "data": "", "rung": "static", "form": "transformers", "rungs": (),
        "enough": None, "terms": (), "controls": {},
    }  # fmt: skip
    return TrainResult(**known | more)


def trained(score: float | None = 0.9, **more: Any) -> str:
    """The same, as it is stored."""
    return encode(train_result(score, **more))


def rehearsal(same: bool = True) -> RehearsalResult:
    """What a rehearsal reports."""
    return RehearsalResult(same=same, student="", seconds=1.0, data="")


def data_counts(splits: dict[Split, int], findings: Sequence[Finding] = (), **more: Any) -> str:
    """The counts of a data set, as they are stored."""
    known: dict[str, Any] = {"cells": (), "groups": 0, "tally": {}, "weights": {}, "audit": None}
    return encode(DataCounts(splits=splits, findings=tuple(findings), **known | more))


def import_report(segments: Sequence[tuple[str, int]] = (), **more: Any) -> str:
    """The report of an import, as it is stored; rows of a segment have gold and a teacher's answer."""
    known: dict[str, Any] = {"usable": tuple(SegmentRows(name, rows, rows, rows, rows, 0) for name, rows in segments)}
    return encode(ImportReport(rows=400, rejects=0, gold_share=0.0, segments=tuple(segments), **known | more))
