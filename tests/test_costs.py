"""What running a student costs is shown with its spread, and with the source of each number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distill_tui.gates.record import Record
from distill_tui.review import serving_costs
from support.records import record


def timed(**changes: object) -> Record:
    passes = tuple(tuple(1000 * scale + at for at in range(100)) for scale in (1, 2, 3, 4, 5))
    return replace(record(0.9), latency_us={"student": passes}, bytes={"student": 2_500_000}, **changes)  # type: ignore[arg-type]


def test_nothing_is_told_of_what_was_not_measured() -> None:
    assert serving_costs.costs(record(0.9)) == () and list(serving_costs.sentences((), {})) == []


def test_a_number_of_the_worksheet_is_not_passed_off_as_measured() -> None:
    _, teacher = serving_costs.costs(timed(payback_inputs={"teacher_p95_ms": "35"}))
    assert teacher.quantiles == {0.95: serving_costs.Spread(35, 35, 35)} and "not measured here" in teacher.source
    both = timed(payback_inputs={"teacher_p95_ms": "35"})
    both = replace(both, latency_us={**both.latency_us, "teacher": ((7000,) * 20,)})
    assert (
        serving_costs.costs(both)[1].quantiles[0.95].middle == 7
        and "measured here" in serving_costs.costs(both)[1].source
    )


def test_the_spread_is_that_of_the_passes() -> None:
    (student,) = serving_costs.costs(timed())
    assert student.quantiles[0.5] == serving_costs.Spread(3.049, 1.049, 5.049)
    assert student.quantiles[0.99].middle == pytest.approx(3.098)


def test_everything_measured_is_told() -> None:
    running = {"student": {"cold_start_us": 1_500_000, "peak_kb": 120_000, "batch_1": 900, "batch_32": 4000}}
    one = timed(running=running, machine={"cpu": "x", "load_x100": 150, "threads": 1})
    told, teacher, machine = serving_costs.sentences(serving_costs.costs(one), one.machine)
    assert "p95 3.1 ms (1.1–5.1 in 5 runs)" in told
    assert "900 at batch 1, 4,000 at batch 32; cold start 1,500 ms, peak memory 120 MB" in told
    assert machine == "Measured one request at a time on: cpu x, load 1.50, threads 1."
    assert teacher.startswith("teacher: its latency is unknown")


@pytest.mark.parametrize(
    "wrong", [{"driver": {}}, {"student": 7}, {"student": {"peak_kb": -1}}, {"student": {"a": 0.5}}]
)
def test_a_cost_that_is_no_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="running of the"):
        timed(running=wrong)
