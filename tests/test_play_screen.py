"""The play's screen: keys are dimmed as the rules say, sheets ask for what they must, and it draws at every stage."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Input, TextArea

from distill_tui import actions, gates
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import covers
from distill_tui.rules.next_step import next_step
from distill_tui.rules.permission import objections
from distill_tui.spec import Spec
from distill_tui.store import glance, tables
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, PlayKind, Role, RunKind, RunStatus, Stage, Task
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms import review, sheets
from distill_tui.ui.forms.sheets import GateSheet, NewPlaySheet, Sheet
from distill_tui.ui.play import tabs
from distill_tui.ui.play.screen import MATTERS, TABS, PlayScreen
from distill_tui.ui.widgets import chart, show
from distill_tui.ui.widgets.frame import KeyLine, MessageLine

HOSTILE = "[red]x[/] \x1b[31mboo\x07 \u202eevil\u202c [@click=app.quit]q[/] 宽"
WIDE, NARROW = (120, 36), (80, 24)
MINE = f"account uid {os.getuid()}"
DANA, DAN, VERA = Actor("dana", MINE), Actor("dan", "account uid 4001"), Actor("vera", "account uid 4002")
NUMBERS = {
    "calls_per_month": "900000",
    "teacher_cost_per_1k": "2.40",
    "threshold_per_month": "1000",
    "window_days": "60",
    "machine_price_per_hour": "0.08",
    "serving_cost_per_month": "60",
    "build_cost": "4000",
    "sample_share": "0.01",
}
ROLES = {Role.SPONSOR: "dana", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olaf"}
DIGEST = "sha256:" + "5e" * 32


def a_project(folder: Path) -> Project:
    made = Project.create(folder / "support.distill", "support-bot", "dana", "Dana", Actor(None, MINE))
    for number, person in enumerate(("dan", "vera", "olaf"), start=4001):
        actions.enrol_person(made, DANA, person, person, uid=number)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = a_project(tmp_path)
    yield made
    made.close()


# --- plays in every stage, through the door as far as it goes without a worker -----------------------------------


def qualifying(
    project: Project, name: str = "refund-intent", kind: PlayKind = PlayKind.COST, task: Task = Task.CLASSIFICATION
) -> int:
    return actions.open_play(project, DANA, name, kind, summary="Which refund does the customer mean?", task=task)


def at_gate(project: Project, name: str = "refund-intent", task: Task = Task.CLASSIFICATION) -> int:
    play = qualifying(project, name, task=task)
    for role, person in ROLES.items():
        actions.assign_role(project, play, DANA, role, person)
    actions.fill_worksheet(project, play, DAN, NUMBERS, "billing of May")
    actions.qualify(project, play, DAN)
    return play


def at_data(project: Project, name: str = "refund-intent", task: Task = Task.CLASSIFICATION) -> int:
    play = at_gate(project, name, task)
    actions.lock_gate(project, play, DANA)
    return play


def with_draft(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = at_data(project, name)
    report = {"gold_share": 0.98, "first_rejects": [{"line": 7, "reason": f"no input in {text}"}]}
    splits = {"train": 7020, "validation": 780, "held-out": 1000}
    cells = [
        {"split": split, "segment": segment, "label": label, "rows": rows // 6}
        for split, rows in splits.items()
        for segment in ("en-US", "de-DE", text)
        for label in ("refund", "invoice")
    ]
    counts = {
        "splits": splits,
        "cells": cells,
        "groups": 5120,
        "findings": [{"id": "thin-0a1b2c", "level": "note", "says": f"Segment {text} has 21 held-out rows only."}],
        "audit": {
            "axes": {
                "segment": [
                    {
                        "value": text,
                        "traffic": 0.4,
                        "train": 20,
                        "validation": 9,
                        "held_out": 21,
                        "judged": 9,
                        "differ": 1,
                    }
                ]
            },
            "pii": [],
            "teacher_says": "The teacher is right on 91.0 % (88.0 % to 93.2 %) of 500 rows with gold.",
        },
        "tally": {"duplicates_merged": 412, "gold_conflicts": 3},
    }
    with project.telemetry() as session:
        found = session.get(tables.Play, play)
        assert found is not None
        found.teacher_source, found.teacher_name = "recorded", f"recorded outputs {text}"[:60]
        session.add(found)
        session.add(
            tables.Traffic(
                play_id=play, round=1, name=f"{text}.jsonl", source_digest=DIGEST, artifact=DIGEST, mapping="{}",
                rows=9212, rejects=14, report=json.dumps(report), imported_at=now(),
            )
        )  # fmt: skip
        session.add(
            tables.DataSet(
                play_id=play, round=1, artifact=DIGEST, digest=DIGEST, labels="[]", counts=json.dumps(counts),
                built_at=now(),
            )
        )  # fmt: skip
    return play


def set_stage(project: Project, play: int, stage: Stage) -> None:
    with project.telemetry() as session:
        found = session.get(tables.Play, play)
        assert found is not None
        found.stage, found.stage_since = stage, now()
        session.add(found)


def frozen(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = with_draft(project, name, text)
    with project.telemetry() as session:
        data = session.get(tables.DataSet, project.dossier(play).data_set.id)  # type: ignore[union-attr]
        assert data is not None
        data.frozen_at = now()
        session.add(data)
    set_stage(project, play, Stage.TRAIN)
    return play


def add_run(project: Project, play: int, status: RunStatus, **more: Any) -> int:
    columns = {"kind": RunKind.TRAIN, "step": 474, "total": 1000, "message": "epoch 1 of 2"} | more
    with project.telemetry() as session:
        run = tables.Run(
            play_id=play, round=1, status=status, spec=Spec().to_json(), started_by="dan", created_at=now(), **columns
        )
        session.add(run)
        session.flush()
        assert run.id is not None
        for step in range(0, run.step + 1, 10):
            score = 0.9 + step / 20000 if step and step % 100 == 0 else None
            session.add(
                tables.RunPoint(
                    run_id=run.id, step=step, loss=2.4 / (1 + step / 80), validation=score, rows_per_second=210
                )
            )
        return run.id


def training(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = frozen(project, name, text)
    add_run(project, play, RunStatus.RUNNING, message=f"epoch 1 of 2 {text}")
    return play


def record(right: int = 940, text: str = "de-DE") -> gates.Record:
    rows = 1000
    gold = tuple(i % 3 for i in range(rows))
    wrong = [(g + 1) % 3 for g in gold]
    said = {name: tuple(gold[i] if (i * 7) % rows < n else wrong[i] for i in range(rows)) for name, n in
            (("student", right), ("teacher", 955), ("baseline", 820))}  # fmt: skip
    return gates.Record(
        labels=("refund", "invoice", "delivery"),
        rows=tuple(range(rows)),
        gold=gold,
        teacher=said["teacher"],
        student=said["student"],
        baseline=said["baseline"],
        majority=0,
        segment=tuple(i % 4 for i in range(rows)),
        segments=("en-US", text, "fr-FR", "es-MX"),
        group=tuple(range(rows)),
        latency_us={
            "student": tuple(tuple(2000 + (i * 13) % 900 for i in range(100)) for _ in range(3)),
            "teacher": tuple(tuple(21000 + (i * 13) % 9000 for i in range(100)) for _ in range(3)),
        },
        parameters={"student": 4_400_000, "teacher": 22_700_000},
        bytes={"student": 17_600_000, "teacher": 90_900_000},
        payback_inputs=NUMBERS,
    )


def deciding(project: Project, name: str = "refund-intent", right: int = 950, text: str = "de-DE") -> int:
    play = frozen(project, name, text)
    result = json.dumps({"validation_score": 0.947, "validation_rows": 780, "score_name": "accuracy", "seconds": 84.2})
    student = add_run(
        project, play, RunStatus.FINISHED, step=1000, artifact=DIGEST, result=result, message="", ended_at=now()
    )
    judged = record(right, text)
    digest = project.artifacts.store_bytes(judged.to_json().encode())
    run = add_run(project, play, RunStatus.FINISHED, kind=RunKind.EVALUATE, step=0, total=0, student_run=student)
    dossier = project.dossier(play)
    assert dossier.gate is not None and dossier.gate_row is not None and dossier.gate_row.digest is not None
    with project.telemetry() as session:
        session.add(
            tables.Evaluation(
                play_id=play, round=1, run_id=student, evaluation_run=run, gate_digest=dossier.gate_row.digest,
                data_digest=DIGEST, model=DIGEST, record=digest, passed=1, reproduced=0, recorded_at=now(),
            )
        )  # fmt: skip
    set_stage(project, play, Stage.DECIDE)
    return play


def killed(project: Project, name: str = "refund-intent") -> int:
    play = at_data(project, name)
    actions.kill(project, play, DANA, "The provider's terms changed.")
    return play


def live(project: Project, name: str = "refund-intent") -> int:
    play = deciding(project, name)
    with project.telemetry() as session:
        session.add(
            tables.SignOff(
                play_id=play, round=1, person_id="vera", opinion="approve", assurance="account", statement=b"{}",
                comment="checked de-DE by hand", recorded_at=now(),
            )
        )  # fmt: skip
        session.flush()
        session.add(
            tables.Bundle(play_id=play, round=1, digest=DIGEST, sign_off_id=1, shipped_by="dan", shipped_at=now())
        )
    set_stage(project, play, Stage.LIVE)
    return play


MAKERS = (qualifying, at_gate, at_data, with_draft, frozen, training, deciding, killed, live)


Staged = tuple[Project, dict[str, int]]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: Any) -> Iterable[Staged]:
    """A project with a play in every stage, for tests that only look."""
    made = a_project(tmp_path_factory.mktemp("staged"))
    yield made, {make.__name__: make(made, make.__name__) for make in MAKERS}
    made.close()


# --- the app, and its keys ---------------------------------------------------------------------------------------


async def settled(pilot: Any) -> None:
    """Wait until the play is loaded and everything that was asked for is done."""
    for _ in range(300):
        await pilot.pause(0.02)
        screens = [s for s in pilot.app.screen_stack if isinstance(s, PlayScreen)]
        busy = [worker for worker in pilot.app.workers if not worker.is_finished]
        if screens and all(screen.view is not None for screen in screens) and not busy:
            break
    await pilot.pause()


def an_app(project: Project, play: int, actor: Actor = DANA) -> DistillApp:
    app = DistillApp(project.path, play=play)
    app.actor = actor
    app._reap = lambda: None  # type: ignore[method-assign]  # no worker stands behind the runs made here
    app.look_up = lambda: None  # type: ignore[method-assign]  # the actor is who this test says
    return app


def text_of(app: DistillApp) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def the_play(app: DistillApp) -> PlayScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, PlayScreen))


def message(app: DistillApp) -> str:
    return the_play(app).query_one(MessageLine).text


async def typed(pilot: Any, text: str) -> None:
    await pilot.press(*("space" if each == " " else each for each in text))


async def shows(pilot: Any, play: int) -> PlayScreen:
    """Have the screen show another play."""
    screen = the_play(pilot.app)
    screen.play_id = play
    screen.on_project_changed()
    await settled(pilot)
    assert screen.view is not None and screen.view.play.id == play
    return screen


# --- keys and rules ----------------------------------------------------------------------------------------------


def test_the_detail_of_an_entry_is_told_in_words() -> None:
    entry = {"passed": True, "again": False, "stage": ["data", "train"], "open": ["a", "b", "c"], "spec": "{}"}
    assert tabs.detail(json.dumps(entry)) == "passed: yes  again: no  stage: data → train  open: a; b; c"
    two = {"open": ["a", "b"], "build_cost": ["", "4000"], "calls_per_month": ["1", "2"]}
    assert tabs.detail(json.dumps(two)) == "open: a; b  build_cost: 4000  calls_per_month: 1 → 2", (
        "two findings, no change"
    )


@pytest.mark.parametrize("actor", [DANA, DAN, VERA, Actor(None, "account uid 9")])
async def test_a_key_is_dimmed_exactly_when_the_rules_object(actor: Actor, staged: Staged) -> None:
    project, plays = staged
    app = an_app(project, 1, actor)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        for play in plays.values():
            screen, dossier = await shows(pilot, play), project.dossier(play)
            keys = screen.active_bindings
            for action in Action:
                if action.key:
                    reasons = objections(action, dossier, actor)
                    assert keys[action.key].enabled is not bool(reasons), action
                    says = screen.blocked("take", (action.value,)) or ""
                    assert says.startswith(reasons[0].sentence) if reasons else not says
            step = next_step(dossier)
            assert keys["a"].enabled is (step is not None and not objections(step, dossier, actor))


async def test_a_dimmed_key_says_why_and_does_nothing(project: Project) -> None:
    play = at_gate(project)
    before = project.dossier(play).audit_size
    app = an_app(project, play, DAN)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("L")
        assert message(app) == "Only the sponsor (dana) may do this; you are dan."
        await pilot.press("H")
        assert "“ship” belongs to decide" in message(app) and isinstance(app.screen, PlayScreen)
        await pilot.press("a")
        assert message(app).startswith("Only the sponsor")
    assert project.dossier(play).audit_size == before


@pytest.mark.parametrize("actor", [DANA, DAN])
async def test_no_key_writes_by_itself(actor: Actor, staged: Staged) -> None:
    project, plays = staged
    app = an_app(project, 1, actor)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        before = (glance.header(project.path).head, len(app.screen_stack))
        for play in plays.values():
            screen = await shows(pilot, play)
            for action in Action:
                if action.key and not screen.objections(action):
                    await pilot.press(action.key)
                    await settled(pilot)
                    assert len(app.screen_stack) > before[1] or message(app), action
                    while len(app.screen_stack) > before[1]:
                        app.pop_screen()
                        await pilot.pause()
        assert (glance.header(project.path).head, len(app.screen_stack)) == before


async def test_the_line_of_keys_never_wraps_and_shows_what_matters(staged: Staged) -> None:
    project, plays = staged
    app = an_app(project, 1)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        for play in plays.values():
            screen = await shows(pilot, play)
            line = screen.query_one(KeyLine)
            shown = str(line.render())
            assert line.size.height == 1 and cell_len(shown.rstrip()) <= NARROW[0]
            assert "? help" in shown and "q back" in shown and "a next step" in shown
            assert screen.view is not None
            stage, bindings = screen.view.play.stage, screen.active_bindings
            assert all(bindings[action.key].binding.show for action in MATTERS[stage])
            assert ("ship" in shown) == (stage is Stage.DECIDE)


async def test_a_key_pressed_before_the_play_is_loaded_is_kept_for_it(project: Project) -> None:
    play = qualifying(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await pilot.press("A")
        for _ in range(100):
            await pilot.pause(0.02)
            if isinstance(app.screen, Sheet):
                break
        assert isinstance(app.screen, Sheet)


# --- the first two stages, by keys only, by two persons ----------------------------------------------------------


async def test_roles_numbers_gate_and_lock_by_keys_only(project: Project) -> None:
    play = qualifying(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert isinstance(app.screen, Sheet)
        for person in ("dana", "dan", "dan"):
            await typed(pilot, person)
            await pilot.press("enter")
        await typed(pilot, "olaf")
        await pilot.press("enter")
        assert "dan drives and validate" in text_of(app) or "name two persons" in text_of(app)
        await pilot.press("up", *["backspace"] * 3)
        await typed(pilot, "vera")
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert dict(project.dossier(play).roles) == ROLES
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await typed(pilot, "many")
        await pilot.press("ctrl+s")
        assert "“many” is no number for calls_per_month" in text_of(app)
        await pilot.press(*["backspace"] * 4)
        for value in NUMBERS.values():
            await typed(pilot, value)
            await pilot.press("enter")
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert {n: v.value for n, v in project.dossier(play).worksheet.items()} == NUMBERS
        await pilot.press("a", "enter")
        await settled(pilot)
        assert project.dossier(play).play.stage is Stage.GATE  # type: ignore[union-attr]
        await pilot.press("E")
        assert isinstance(app.screen, GateSheet)
        editor = app.screen.query_one(TextArea)
        good = editor.text
        editor.text = good.replace("rounds = 3", "rounds = nine")
        await pilot.pause()
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, GateSheet) and "Not saved: The gate is not TOML" in text_of(app)
        editor.text = good.replace("rounds = 3", "rounds = 4")
        await pilot.pause()
        await pilot.press("ctrl+s")
        await settled(pilot)
        gate = project.dossier(play).gate
        assert gate is not None and gate.rounds == 4
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert "digest" in text_of(app) and "recognise" in text_of(app)
        await typed(pilot, "P-002")
        await pilot.press("enter")
        assert isinstance(app.screen, Sheet) and "Nothing was done: type P-001" in text_of(app)
        assert not project.dossier(play).locked
        await pilot.press("backspace", "1", "enter")
        await settled(pilot)
        assert project.dossier(play).locked and message(app) == "The gate is locked."
        await pilot.press("2")
        assert "it never changes" in text_of(app)


async def test_a_gate_that_was_edited_meanwhile_is_not_locked(project: Project) -> None:
    play = at_gate(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("L")
        gate = project.dossier(play).gate
        assert gate is not None
        actions.edit_gate(project, play, DAN, dataclasses.replace(gate, rounds=9))
        await typed(pilot, "P-001")
        await pilot.press("enter")
        await settled(pilot)
        assert not project.dossier(play).locked and "edited after you opened it" in message(app)


async def test_escape_loses_a_draft_of_the_gate_only_when_it_was_said(project: Project) -> None:
    play = at_gate(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("E", "x", "escape")
        assert isinstance(app.screen, GateSheet) and "not saved" in text_of(app)
        await pilot.press("escape")
        assert isinstance(app.screen, PlayScreen)


# --- data, runs --------------------------------------------------------------------------------------------------


async def test_what_takes_long_goes_through_the_command_line(project: Project, monkeypatch: Any) -> None:
    play = with_draft(project)
    app = an_app(project, play, DAN)
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(app, "twin", lambda *words, done="": said.append(words))
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("B", "enter")
        await pilot.press("F")
        await typed(pilot, "P-001")
        await pilot.press("enter")
        await pilot.press("U", "enter")
        await pilot.pause()
    assert said == [
        ("data", "build", "P-001"),
        ("data", "freeze", "P-001"),
        ("teacher", "P-001", "--recorded"),
    ]


async def test_a_bad_spec_is_refused_in_place_and_a_good_one_starts_a_run(project: Project, monkeypatch: Any) -> None:
    play = frozen(project)
    started: list[Spec] = []
    monkeypatch.setattr(actions, "start_run", lambda project, play, actor, spec: started.append(spec))
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("a")
        box = app.screen.query_one("#field-alpha", Input)
        box.value = "2"
        await pilot.press("ctrl+s")
        assert "alpha is 2; it is a weight from 0 to 1." in text_of(app) and not started
        box.value = "0.5"
        await pilot.press("ctrl+s")
        await settled(pilot)
    assert started == [Spec.from_mapping({"student": "static", "alpha": 0.5})]  # the rest as suits a static student


async def test_stopping_a_run_asks_once_and_names_it(project: Project) -> None:
    play = training(project)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("K")
        assert "keeps its checkpoint" in text_of(app)
        await pilot.press("escape")
        assert message(app) == "Nothing was done." and not project.dossier(play).runs[0].stop_requested
        await pilot.press("K", "enter")
        await settled(pilot)
        assert project.dossier(play).runs[0].stop_requested


# --- decide ------------------------------------------------------------------------------------------------------


async def listening(pilot: Any) -> None:
    """Wait until a sheet that asks for consent listens."""
    for _ in range(100):
        await pilot.pause(0.05)
        if not pilot.app.screen.deaf:
            break


async def test_the_validator_signs_what_was_shown(project: Project, monkeypatch: Any) -> None:
    play = deciding(project)
    signed: list[Any] = []
    monkeypatch.setattr(actions, "sign_off", lambda *args, **named: signed.append((args[2:], named)))
    app = an_app(project, play, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("S")
        await listening(pilot)
        await typed(pilot, "seen")
        await pilot.press("enter")
        wanted = review.intent("P-001", covers(project.dossier(play)))
        await typed(pilot, wanted.lower())
        await pilot.press("enter")
        assert not signed and f"type {wanted}" in text_of(app)
        await pilot.press(*["backspace"] * len(wanted))
        await typed(pilot, wanted)
        await pilot.press("enter")
        await settled(pilot)
    ((args, named),) = signed
    assert args == (VERA, "approve", "seen") and named["covers"] == covers(project.dossier(play))
    assert named["key"] is None


async def test_keys_typed_before_the_sign_sheet_was_seen_are_not_consent(project: Project, monkeypatch: Any) -> None:
    play = deciding(project)
    signed: list[Any] = []
    monkeypatch.setattr(actions, "sign_off", lambda *args, **named: signed.append(args))
    monkeypatch.setattr(sheets, "DEAF", 3.0)  # however slowly a busy machine takes the keys
    app = an_app(project, play, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("S", "enter")
        await typed(pilot, review.intent("P-001", covers(project.dossier(play))))
        await pilot.press("enter")
        assert isinstance(app.screen, Sheet) and app.screen.deaf and not any(app.screen.values.values())
        await pilot.pause(3.5)
        assert not signed and not any(app.screen.values.values()) and not app.screen.deaf


async def test_a_refusal_needs_its_reason(project: Project, monkeypatch: Any) -> None:
    play = deciding(project)
    signed: list[Any] = []
    monkeypatch.setattr(actions, "sign_off", lambda *args, **named: signed.append(args[3:]))
    app = an_app(project, play, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("X")
        await listening(pilot)
        await pilot.press("enter")
        await typed(pilot, review.intent("P-001", covers(project.dossier(play))))
        await pilot.press("enter")
        assert "A refusal needs a reason." in text_of(app) and not signed
        await pilot.press("up")
        await typed(pilot, "thin")
        await pilot.press("ctrl+s")
        await settled(pilot)
    assert signed == [("refuse", "thin")]


async def test_a_kill_asks_for_a_reason_and_the_code(project: Project) -> None:
    play = at_data(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("Z", "enter")
        await typed(pilot, "P-001")
        await pilot.press("enter")
        assert "A kill needs a reason" in text_of(app)
        await pilot.press("up")
        await typed(pilot, "costs")
        await pilot.press("down", *["backspace"] * 5, "x", "enter")
        assert "Nothing was done: type P-001" in text_of(app)
        assert project.dossier(play).play.stage is Stage.DATA  # type: ignore[union-attr]
        await pilot.press("backspace")
        await typed(pilot, "P-001")
        await pilot.press("enter")
        await settled(pilot)
        assert project.dossier(play).play.stage is Stage.KILLED  # type: ignore[union-attr]
        assert "killed" in text_of(app)


async def test_the_decide_tab_says_who_can_lift_what(project: Project) -> None:
    app = an_app(project, deciding(project, right=600))
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("6")
        said = text_of(app)
        assert "RECOMMENDED  ITERATE" in said and "driver dan: I iterates, Z kills" in said
        assert said.count("leads") + said.count("trails the teacher") == 5  # each reason stands there once
        await pilot.press("G")
        said = text_of(app)
        assert "validator vera" in said and "dan: drive" in said


async def test_the_eval_tab_puts_the_verdict_first_and_savings_beside_quality(project: Project) -> None:
    app = an_app(project, deciding(project))
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("5")
        lines = text_of(app).splitlines()
        assert "GATE HELD: 6 of 6" in lines[4]
        assert any("student 95.0 %" in line and "saves" in line for line in lines)
        assert any("en-US" in line and "0.952" in line and "0.996" in line for line in lines)


# --- what it looks like ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_every_tab_draws_at_every_stage(size: tuple[int, int], staged: Staged) -> None:
    project, plays = staged
    app = an_app(project, 1)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for play in plays.values():
            screen = await shows(pilot, play)
            assert screen.view is not None
            for _, draw in TABS:
                lines = draw(screen.view, size[0] - 2)
                assert lines and all(line.cell_length <= size[0] - 2 for line in lines), draw
        await pilot.press("right_square_bracket")
        await settled(pilot)
        assert screen.view is not None and screen.view.play.id == 1


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_hostile_text_is_inert_everywhere(size: tuple[int, int], project: Project) -> None:
    play = training(project, HOSTILE, HOSTILE)
    other = deciding(project, f"{HOSTILE} 2", text=HOSTILE)
    actions.comment(project, play, DANA, HOSTILE)
    app = an_app(project, play)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for each in (play, other):
            await shows(pilot, each)
            for tab in range(1, len(TABS) + 1):
                await pilot.press(str(tab))
                await pilot.pause()
                shown = text_of(app)
                assert not any(c in shown for c in "\x1b\x07\u202e\u202c\x9b")
                if tab == 8 and each == play:
                    assert "[red]x[/]" in shown


def test_a_curve_is_drawn_in_braille_or_in_ascii(monkeypatch: Any) -> None:
    points = [(float(x), 2.0 / (1 + x)) for x in range(50)]
    show.ascii_only.cache_clear()
    lines = chart.curve(points, 60, 10)
    assert len(lines) == 10 and max(map(cell_len, lines)) <= 60
    assert any("⠀" < c <= "⣿" for line in lines for c in line) and "2┤" in lines[0]
    monkeypatch.setenv("DISTILL_ASCII", "1")
    show.ascii_only.cache_clear()
    plain = chart.curve([*points, (50.0, float("nan"))], 60, 10)
    show.ascii_only.cache_clear()
    assert "\n".join(plain).isascii() and "*" in plain[0] and len(plain) == 10
    assert chart.curve([], 60, 10)[0].startswith(" no points yet")


async def test_a_change_by_somebody_else_is_shown(project: Project) -> None:
    play = at_gate(project)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        actions.lock_gate(project, play, DANA)
        app.poll()
        await settled(pilot)
        assert the_play(app).view.play.stage is Stage.DATA  # type: ignore[union-attr]
        assert "3 Data ●" in text_of(app)


async def test_copying_gives_the_code_and_the_command(project: Project) -> None:
    app = an_app(project, at_gate(project))
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("y")
        assert app.clipboard == "P-001"
        await pilot.press("Y")
        assert app.clipboard == "distill-tui gate lock P-001 --confirm P-001"


async def test_a_new_play_is_suggested_as_a_cost_play(project: Project) -> None:
    qualifying(project)
    app = an_app(project, 1)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("n")
        assert isinstance(app.screen, NewPlaySheet) and "Begin with a cost play" in text_of(app)
        await typed(pilot, "refund-intent")
        await pilot.press("ctrl+s")
        assert "There is a play “refund-intent” already" in text_of(app)
        await typed(pilot, "2")
        await pilot.press("ctrl+s")
        await settled(pilot)
    made = project.dossier(2).play
    assert made is not None and (made.name, made.kind) == ("refund-intent2", PlayKind.COST)


async def test_columns_are_shown_and_can_be_changed_before_traffic_comes_in(project: Project, monkeypatch: Any) -> None:
    play = at_data(project)
    path = project.path.parent / "calls.jsonl"
    path.write_text('{"query": "where is my parcel?", "verdict": "delivery"}\n' * 3)
    app = an_app(project, play, DAN)
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(app, "twin", lambda *words, done="": said.append(words))
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("i")
        pilot.app.screen.query_one("#field-file", Input).value = str(path)
        await pilot.press("enter", "enter")
        await settled(pilot)
        assert pilot.app.screen.query_one("#field-input", Input).value == "query"
        pilot.app.screen.query_one("#field-gold", Input).value = "no such column"
        await pilot.press("ctrl+s")
        assert not said
        pilot.app.screen.query_one("#field-gold", Input).value = "verdict"
        await pilot.press("ctrl+s")
        await pilot.pause(0.1)
    (words,) = said
    assert words[:4] == ("import", "P-001", "--most-rejects", "0.05") and words[-1] == str(path)
    assert words[words.index("--gold") + 1] == "verdict" and words[words.index("--input") + 1] == "query"


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_preview_of_hostile_traffic_is_text(project: Project, size: tuple[int, int]) -> None:
    play = at_data(project)
    path = project.path.parent / "calls.jsonl"
    row = {f"{HOSTILE} 1": HOSTILE, "input": f"{HOSTILE} parcel", "gold": HOSTILE, "segment": HOSTILE}
    path.write_text("".join(f"{json.dumps(row)}\n{HOSTILE}\n" for _ in range(9)))
    app = an_app(project, play, DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        pilot.app.screen.query_one("#field-file", Input).value = str(path)
        await pilot.press("enter", "enter")
        await settled(pilot)
        assert pilot.app.screen.query_one("#field-input", Input).value == "input"
        shown = text_of(app)
        assert "[red]x[/]" in shown and not any(c in shown for c in "\x1b\x07\u202e\u202c\x9b")


async def test_the_trigger_is_offered_what_the_traffic_says(project: Project) -> None:
    play = qualifying(project)
    for role, person in ROLES.items():
        actions.assign_role(project, play, DANA, role, person)
    path = project.path.parent / "calls.jsonl"
    path.write_text("".join(f'{{"input": "text {n}", "time": "2026-10-{n:02}", "cost": 0.01}}\n' for n in range(1, 31)))
    actions.import_traffic(project, play, DAN, path)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await settled(pilot)
        assert pilot.app.screen.query_one("#field-window_days", Input).value == "30"
        pilot.app.screen.query_one("#field-build_cost", Input).value = "4000"
        await pilot.press("ctrl+s")
        await settled(pilot)
    rows = project.dossier(play).worksheet
    assert rows["teacher_cost_per_1k"].value == "10.0000"
    assert rows["calls_per_month"].source.startswith("traffic 2026-10-01 to 2026-10-30, 30 calls; costs logged")
    assert (rows["build_cost"].value, rows["build_cost"].source) == ("4000", "typed")
