"""How fast a run goes and how long it takes, as every front end shows it."""

from __future__ import annotations

import dataclasses

import pytest

from distill_tui.reports import pace, text
from distill_tui.rules import entities
from distill_tui.terms import RunKind, RunStatus


def run(step: int, total: int = 100, kind: RunKind = RunKind.TRAIN, message: str = "") -> entities.Run:
    return entities.Run(
        id=7, play_id=1, round=1, kind=kind, status=RunStatus.RUNNING, spec="{}", step=step, total=total,
        message=message, started_by="dana", created_at="2026-11-30T08:00:00Z",
    )  # fmt: skip


def test_a_run_that_was_not_seen_to_move_has_no_rate() -> None:
    seen = pace.Pace()
    assert seen.rate(run(0), 0) is None
    assert seen.rate(run(5), 1) is None
    assert seen.rate(run(5), 2) is None


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    seen, rates = pace.Pace(), []
    for second in range(60):  # one step a second, then ten
        step = 1 + second if second < 30 else 30 + 10 * (second - 30)
        rates.append(seen.rate(run(step, 1000), float(second)))
    assert rates[25] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(10.0)


def test_a_resumed_run_is_measured_from_where_it_resumes() -> None:
    seen = pace.Pace()
    for second, step in enumerate((50, 60, 10, 12)):
        rate = seen.rate(run(step), float(second))
    assert rate == pytest.approx(2.0)


def test_a_run_at_its_last_step_says_what_it_still_does() -> None:
    line = text.progress(run(100, message="writing the student"), None)
    assert "99%" in line and "finishing" in line and line.endswith("writing the student") and "100%" not in line
    done = dataclasses.replace(run(100), status=RunStatus.FINISHED)
    assert "100%" in text.progress(done, None) and "finishing" not in text.progress(done, None)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (99, "99 s"), (130, "2 min"), (5000, "83 min"), (7200, "2.0 h")]
)
def test_a_duration_has_its_unit(seconds: float, words: str) -> None:
    assert pace.duration(seconds) == words


def test_parts_of_an_evaluation_have_no_rate_and_rows_of_an_import_do() -> None:
    seen = pace.Pace()
    assert [seen.rate(run(step, 5, RunKind.EVALUATE), float(step)) for step in (1, 2, 3)] == [None] * 3
    assert text.progress(run(2, 5, RunKind.EVALUATE, "the baseline"), None).endswith("part 2/5 · the baseline")
    line = text.progress(run(300, 1000, RunKind.IMPORT, "read: 300 of 1,000 rows"), 150.0)
    assert line == "run 7 import running · 30% · 150 rows/s · 5 s left · read: 300 of 1,000 rows"
