"""A student that misses its floor and is proven better than the live one: refused, shipped for a while, and over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from distill_tui import actions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.gates.gate import Criterion, Interim
from distill_tui.gates.interim import lead
from distill_tui.people import identity
from distill_tui.rules.next_step import advice, next_step
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import ServeMode
from distill_tui.serving.stand import ProjectSource
from distill_tui.store import glance, project_file
from distill_tui.terms import Action, Advice, Metric, ServingMode
from support import data_runs, live_play, real_play

DAYS = 30
NEW = {"money": ("rebate", "chargeback", "reversal"), "post": ("dispatch", "depot", "transit")}
GATE = real_play.gate_with(
    criteria=(
        Criterion(Metric.AGREEMENT, threshold=Decimal("0.8"), binding=True),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    held_out_rows=200,
    interim=Interim(Decimal("0.05"), DAYS),
)
SPEC = replace(real_play.SPEC, controls=())


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with live_play.workers_here():
        yield


def shifted() -> list[dict[str, str]]:
    """Make 700 calls in words that the live student does not know; a fifth of the teacher's answers is noise."""
    chance, made = Random(7), []
    for number in range(700):
        label = ("money", "post")[number % 2]
        words = ["".join(chance.choices("bdfgklmnprstvz", k=6)) for _ in range(3)] + [chance.choice(NEW[label])]
        said = label if chance.random() > 0.2 else {"money": "post", "post": "money"}[label]
        day = date(2026, 1, 1) + timedelta(number * 30 // 700)
        made.append({"input": " ".join(words), "teacher_output": said, "segment": "de", "time": f"{day}T12:00:00Z"})
    return made


def refused(play: real_play.Play, rule: str) -> None:
    """Try to ship."""
    with pytest.raises(Refused) as refusal:
        play.ship()
    assert any(each.rule.startswith(rule) for each in refusal.value.objections)


def test_a_student_proven_better_than_the_live_one_ships_for_its_days_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = real_play.copy_to(tmp_path, SPEC, gate=GATE)
    project, olga = play.project, play.by("olga")
    play.sign(comment="Read 30 cases; fine.")
    play.ship()
    live_play.replay(project, play.id, olga, live_play.write(tmp_path / "new.jsonl", shifted()))
    actions.refresh(project, play.id, olga, "The words changed.")

    dan = play.by("dan")
    data_runs.build_data(project, play.id, dan)
    data_runs.freeze_data(project, play.id, dan)
    refused(play, "stage.")
    actions.start_run(project, play.id, dan, SPEC)
    actions.evaluate(project, play.id, dan)
    actions.rehearse(project, play.id, olga)

    seen = project.dossier(play.id)
    assert not seen.passed and seen.record is not None
    found = lead(GATE, seen.record)
    assert found is not None and found.proven and 0.05 < found.lower < found.estimate < 0.5, found
    for asked in (None, Interim(Decimal("0.5"), DAYS)):  # not in the gate; a lead that is not reached
        other = replace(seen, gate=replace(GATE, interim=asked))
        assert other.verdict == "missed" and advice(other)[0] is Advice.ITERATE
        rules = {each.rule for each in objections(Action.SHIP, other, dan)}
        assert rules & {"gate.misses", "gate.unproven"}
    said, why = advice(seen)
    assert seen.verdict == "interim" and said is Advice.SHIP and f"may ship for {DAYS} days" in why[0]
    refused(play, "sign_off.")
    play.sign(comment="Better than what is live; for a month.")
    statement = json.loads(project.dossier(play.id).sign_offs[-1].row.statement)
    assert statement["predicate"]["covers"]["verdict"] == "interim"
    bundle = play.ship()
    report = verify_bundle(bundle, play.public("vera").fingerprint)
    assert not report.problems and report.facts["gate"] == "not held"
    assert f"for {DAYS} days after the ship" in report.facts["interim"]
    seen = project.dossier(play.id)
    until = (date.fromisoformat(seen.project.now[:10]) + timedelta(DAYS)).isoformat()
    assert seen.interim_until == seen.refresh_due == until and seen.answering == seen.live

    card = glance.cards(play.path)[0]
    assert card.state == ("look", f"interim to {until}") and card.refresh_due == until and card.next_step is None

    def live() -> str:
        monkeypatch.setattr(identity, "by_account", lambda dossier: play.by("olga"))
        capsys.readouterr()
        main(["--project", str(play.path), "live", "P-001"])
        return capsys.readouterr().out

    assert f"interim: it missed its gate and was better than what was live; until {until}" in live()
    canary = ServeMode(ServingMode.CANARY, percent=50)
    actions.set_mode(project, play.id, olga, canary)
    source = ProjectSource(play.path, "P-001")
    assert [*source.stands()][-1].student is not None

    monkeypatch.setattr(project_file, "now", lambda: f"{until}T00:00:00Z")
    last = [*source.stands()][-1]
    assert last.student is None and "the gate's interim" in last.wrong, "the gateway falls back by itself"
    source.close()
    seen = project.dossier(play.id)
    assert seen.interim_over and seen.answering is None and next_step(seen) is Action.REFRESH
    assert f"ended on {until}" in live() and card.on(until).next_step is Action.REFRESH
    with pytest.raises(Refused) as refusal:
        actions.set_mode(project, play.id, olga, canary)
    assert "serve.interim" in {each.rule for each in refusal.value.objections}
    project.close()
