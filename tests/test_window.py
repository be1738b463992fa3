"""What imported traffic says for a trigger: counted over fixed days, priced as logged or named, no row shown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping as Named
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.dataset import play_data, repeats, traffic, window
from distill_tui.dataset.readers import ColumnMapping
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.window import TokenPrices
from distill_tui.gates.gate import default_gate
from distill_tui.gates.written import from_toml, to_toml
from distill_tui.rounds import play_traffic
from distill_tui.rules.actor import Actor
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role
from support import data_runs

PRICES = TokenPrices(Decimal("0.50"), Decimal("2"), "price list, 2026-11-01")
MIA = Actor("mia", f"account uid {os.getuid()}")


def imported(folder: Path, rows: list[dict[str, object]], name: str = "calls") -> Path:
    source = folder / f"{name}.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {key: key for row in rows for key in row}
    traffic.import_traffic(source, ColumnMapping(**columns), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def calls() -> list[dict[str, object]]:
    """Two calls on each of 40 days, 1 October to 9 November; in the last ten days three dear ones a day more."""
    rows: list[dict[str, object]] = []
    for n in range(80):
        day = n // 2
        date = f"2026-10-{day + 1:02}" if day < 31 else f"2026-11-{day - 30:02}"
        rows.append({"input": f"text {n}", "time": date, "segment": "web" if n % 4 else "mail", "latency_ms": n + 1})
    for row in rows[:20]:
        row |= {"gold": "a", "teacher_output": "b" if row["input"] in ("text 3", "text 7") else "a"}
    for n, row in enumerate(rows):
        row |= {"cost": "0.01"} if n < 40 else {"tokens_in": 1000, "tokens_out": 100}
    return rows


def test_without_traffic_there_is_nothing_to_measure() -> None:
    with pytest.raises(BadInput, match="no traffic to measure"):
        window.measure([])


def test_rows_without_a_time_are_in_no_month_and_told(tmp_path: Path) -> None:
    found = window.measure([imported(tmp_path, [*calls(), {"input": "undated"}])])
    assert (found.calls, found.undated) == (80, 1)
    bare = window.measure([imported(tmp_path, [{"input": "a"}, {"input": "a"}, {"input": "b"}], "bare")])
    assert (bare.calls, bare.days, bare.months, bare.calls_per_month) == (3, 0, (), None)
    assert bare.patterns == ((bare.patterns[0][0], 2 / 3),) and bare.pattern_of == "input"


def test_a_window_has_fixed_days_and_months_add_up(tmp_path: Path) -> None:
    found = window.measure([imported(tmp_path, calls())])
    assert (found.first_day, found.last_day, found.days, found.calls) == ("2026-10-01", "2026-11-09", 40, 80)
    assert [(month.month, month.calls) for month in found.months] == [("2026-10", 62), ("2026-11", 18)]
    assert sum(month.calls for month in found.months) == found.calls
    assert found.calls_per_month == (80 / Decimal(40) * Decimal("30.4375")).quantize(Decimal(1)) == 61
    assert found.p95_ms == 76
    assert found.months[1].p95_ms == 80


def test_only_the_last_days_count(tmp_path: Path) -> None:
    found = window.measure([imported(tmp_path, calls())], days=9)
    assert (found.first_day, found.days, found.calls, found.judged) == ("2026-11-01", 9, 18, 0)


def test_money_is_logged_or_priced_and_says_which(tmp_path: Path) -> None:
    path = imported(tmp_path, calls())
    logged = window.measure([path])
    assert logged.cost_per_1k == 10 and logged.priced == "costs logged with 40 calls"
    both = window.measure([path], prices=PRICES)
    a_call = (1000 * Decimal("0.50") + 100 * Decimal(2)) / 1_000_000
    assert both.cost_per_1k == ((40 * Decimal("0.01") + 40 * a_call) / 80 * 1000).quantize(Decimal("0.0001"))
    assert "0.50 in and 2 out a million tokens for 40 calls (price list, 2026-11-01)" in both.priced
    assert both.months[1].tokens == 18 * 1100


def test_the_teachers_disagreement_and_the_top_patterns_are_shares(tmp_path: Path) -> None:
    found = window.measure([imported(tmp_path, calls())])
    assert (found.judged, found.disagreement, found.examples) == (20, 0.1, 20)
    assert found.patterns == (("web", 0.75), ("mail", 0.25)) and found.top_share == 1


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MIA.proof))
    source = tmp_path / "calls.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in calls()))
    for kind in PlayKind:
        play = actions.open_play(made, MIA, kind.value, kind)
        actions.assign_role(made, play, MIA, Role.DRIVER, "mia")
        data_runs.import_traffic(made, play, MIA, source)
    return made


FILLED: Named[PlayKind, set[str]] = {
    PlayKind.COST: {"calls_per_month", "teacher_cost_per_1k", "window_days"},
    PlayKind.LATENCY: {"calls_per_month", "teacher_p95_ms"},
    PlayKind.STABILITY: {"calls_per_month", "days_of_traffic"},
    PlayKind.SPECIALIZATION: {"domain_examples", "generalist_accuracy"},
}


@pytest.mark.parametrize("kind", list(PlayKind))
def test_every_kind_gets_the_numbers_that_it_asks_for(project: Project, kind: PlayKind) -> None:
    _, numbers = play_traffic.window(project, list(PlayKind).index(kind) + 1)
    assert set(numbers) == FILLED[kind]


def test_the_worksheet_is_filled_from_traffic_with_dates_and_prices(project: Project) -> None:
    prices = ["--price-in", "0.50", "--price-out", "2", "--price-source", "price list, 2026-11-01"]
    about = ["--project", str(project.path), "worksheet", "P-001"]
    assert main([*about, "--from-traffic", *prices, "window_days=45"]) == 0
    rows = project.dossier(1).worksheet
    assert rows["calls_per_month"].value == "61" and rows["window_days"].value == "45"
    assert rows["calls_per_month"].source.startswith("traffic 2026-10-01 to 2026-11-09, 80 calls; costs logged")
    assert "price list, 2026-11-01" in rows["teacher_cost_per_1k"].source
    assert rows["window_days"].source == "typed"


@pytest.mark.parametrize(
    "words", [["--days", "0"], ["--price-in", "1"], ["--price-in", "x", "--price-out", "1", "--price-source", "y"]]
)
def test_half_a_price_and_no_days_are_refused(project: Project, words: list[str]) -> None:
    assert main(["--project", str(project.path), "data", "window", "P-001", *words]) == 2


# --- how often the teacher agrees with itself ------------------------------------------------------------------------


def asked_again(inputs: int, differ: int) -> list[dict[str, object]]:
    """Ask each input twice; the first few get two answers."""
    return [
        {"input": f"question {n}", "teacher_output": "no" if again and n < differ else "yes"}
        for again in (False, True)
        for n in range(inputs)
    ]


def test_too_few_inputs_that_were_asked_twice_say_nothing(tmp_path: Path) -> None:
    assert repeats.measure([]) is None
    assert repeats.measure([imported(tmp_path, asked_again(repeats.LEAST - 1, 0))]) is None
    once = [{"input": f"question {n}", "teacher_output": "yes"} for n in range(200)]
    assert repeats.measure([imported(tmp_path, once, "once")]) is None


def test_the_teacher_agrees_with_itself_as_often_as_two_of_its_answers_are_the_same(tmp_path: Path) -> None:
    rows = asked_again(80, 4)
    first, second = imported(tmp_path, rows[:80], "first"), imported(tmp_path, list(reversed(rows[80:])), "second")
    found = repeats.measure([first, second])
    assert found == repeats.measure([second, first]) == repeats.Repeats(80, Decimal("0.95"))
    thrice = imported(tmp_path, [{"input": "question 0", "teacher_output": "yes"}], "third")
    assert repeats.measure([first, second, thrice]).share == Decimal("0.9542")  # type: ignore[union-attr]


def test_the_draft_of_the_gate_proposes_what_was_measured_and_keeps_what_was_typed(tmp_path: Path) -> None:
    typed = default_gate(PlayKind.COST)
    text = play_data.draft(typed, repeats.Repeats(80, Decimal("0.95")))
    assert text.startswith(
        "# teacher_agreement is measured. The teacher agrees with itself on 95.00% of 80 repeated inputs"
    )
    assert from_toml(text).teacher_agreement == Decimal("0.95")
    assert play_data.draft(typed, None) == to_toml(typed)


def test_the_command_proposes_it_until_the_gate_says_something(tmp_path: Path, capsys) -> None:
    made = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MIA.proof))
    source = tmp_path / "calls.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in asked_again(100, 3)))
    play = actions.open_play(made, MIA, "spam", PlayKind.STABILITY)
    actions.assign_role(made, play, MIA, Role.DRIVER, "mia")
    data_runs.import_traffic(made, play, MIA, source)
    found = play_data.repeats(made, made.dossier(play))
    assert found == repeats.Repeats(100, Decimal("0.97"))
    gate = default_gate(PlayKind.STABILITY)
    assert (
        play_data.repeats(made, replace(made.dossier(play), gate=replace(gate, teacher_agreement=Decimal("0.9"))))
        is None
    )
    assert main(["--project", str(made.path), "gate", "show", "P-001", "--toml"]) == 0
    assert "teacher_agreement = 0.97\n" in capsys.readouterr().out
    assert main(["--project", str(made.path), "gate", "power", "P-001"]) == 0
    assert "agrees with itself on 97.00% of 100 repeated inputs" in capsys.readouterr().out
