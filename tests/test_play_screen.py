"""The play's screen: keys are dimmed as the rules say, sheets ask for what they must, and it draws at every stage."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from distill_tui import actions
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import covers
from distill_tui.rules.next_step import next_step
from distill_tui.rules.permission import objections
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import glance, tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, PlayKind, Role, RunKind, RunStatus, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms import decide, sheet
from distill_tui.ui.forms.gate_sheet import GateSheet
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.play import log_tab
from distill_tui.ui.play.screen import MATTERS, TABS, PlayScreen
from distill_tui.ui.widgets import chart, show
from distill_tui.ui.widgets.frame import KeyLine, MessageLine
from support import data_runs
from support import traces as logs
from support.screens import (
    DAN,
    DANA,
    HOSTILE,
    MAKERS,
    NARROW,
    NUMBERS,
    ROLES,
    VERA,
    WIDE,
    a_project,
    an_app,
    at_data,
    at_gate,
    deciding,
    frozen,
    put,
    qualifying,
    settled,
    training,
    with_draft,
)
from support.sheets import fill


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = a_project(tmp_path)
    yield made
    made.close()


# --- plays in every stage, through the door as far as it goes without a worker -----------------------------------


Staged = tuple[Project, dict[str, int]]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: Any) -> Iterable[Staged]:
    """A project with a play in every stage, for tests that only look."""
    made = a_project(tmp_path_factory.mktemp("staged"))
    yield made, {make.__name__: make(made, make.__name__) for make in MAKERS}
    made.close()


# --- the app, and its keys ---------------------------------------------------------------------------------------


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
    assert log_tab.detail(json.dumps(entry)) == "passed: yes  again: no  stage: data → train  open: a; b; c"
    two = {"open": ["a", "b"], "build_cost": ["", "4000"], "calls_per_month": ["1", "2"]}
    assert log_tab.detail(json.dumps(two)) == "open: a; b  build_cost: 4000  calls_per_month: 1 → 2", (
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
            for action in Action:
                if action.key:
                    screen.tab = action.tab or screen.tab  # where two share a key, it is the open tab's
                    active, reasons = screen.active_bindings[action.key], objections(action, dossier, actor)
                    mine = active.binding.action == f"take('{action.value}')"
                    assert mine or dossier.play.stage not in action.stages, action
                    assert not mine or active.enabled is not bool(reasons), action
                    says = screen.blocked("take", (action.value,)) or ""
                    assert says.startswith(reasons[0].sentence) if reasons else not says
            keys = screen.active_bindings
            step = next_step(dossier)
            assert keys["a"].enabled is (step is not None and not objections(step, dossier, actor))


async def test_a_dimmed_key_says_why_and_does_nothing(project: Project) -> None:
    play = at_gate(project)
    before = project.dossier(play).project.audit_size
    app = an_app(project, play, DAN)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("L")
        assert message(app) == "Only the sponsor (dana) may do this; you are dan."
        await pilot.press("H")
        assert "“ship” works in decide" in message(app) and isinstance(app.screen, PlayScreen)
        await pilot.press("a")
        assert message(app).startswith("Only the sponsor")
    assert project.dossier(play).project.audit_size == before


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
                if action.key and not screen.objections(action) and action not in (Action.UNDO, Action.REDO):
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


async def test_a_legal_change_of_several_roles_is_not_refused_by_their_order(project: Project) -> None:
    play = qualifying(project)
    people = {Role.SPONSOR: "dana", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olaf"}
    for role, person in people.items():
        actions.assign_role(project, play, DANA, role, person)
    app = an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("A")
        fill(app, driver="vera", validator="dan")
        await pilot.press("ctrl+s")
        assert "dan is a builder of this play" in text_of(app)
        fill(app, driver="vera", validator="olaf", operator="dan")
        await pilot.press("ctrl+s")
        await settled(pilot)
    swapped = {Role.DRIVER: "vera", Role.VALIDATOR: "olaf", Role.OPERATOR: "dan"}
    assert dict(project.dossier(play).roles) == people | swapped


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
        assert "dan cannot be driver and validator. Name two people." in text_of(app)
        await pilot.press("down", *["backspace"] * 3)  # the cursor is on the driver, whom the sentence names first
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
        assert "calls_per_month: “many” is not a number" in text_of(app)
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


def becomes(project: Project, play: int, **columns: object) -> None:
    """Change the newest run, as its worker would."""
    with put(project, play) as session:
        run = session.get(tables.Run, project.dossier(play).runs[-1].id)
        for name, value in columns.items():
            setattr(run, name, value)
        session.add(run)


@pytest.mark.parametrize(
    ("keys", "code", "kind", "result"),
    [
        ("B", "", RunKind.BUILD, "Built a draft of 600 rows."),
        ("F", "P-001", RunKind.FREEZE, "The data set is frozen."),
    ],
)
async def test_what_takes_long_is_a_run_whose_result_is_shown(
    project: Project, monkeypatch: Any, keys: str, code: str, kind: RunKind, result: str
) -> None:
    play = with_draft(project)
    monkeypatch.setattr(local, "start", lambda project, run: None)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press(keys)
        await typed(pilot, code)
        await pilot.press("enter")
        await settled(pilot)
        run = project.dossier(play).runs[-1]
        assert (run.kind, run.status) == (kind, RunStatus.QUEUED) and "A worker has started" in text_of(app)
        for status, shown in ((RunStatus.RUNNING, "A worker has started"), (RunStatus.FINISHED, result)):
            message = "600 rows" if kind is RunKind.BUILD else "frozen"
            becomes(project, play, status=status, message=message)
            app.file_watch.poll()
            await settled(pilot)
            assert shown in text_of(app)
        app.say("")
        app.file_watch.reload()
        await settled(pilot)
        assert result not in text_of(app)  # it is shown once


async def test_the_failure_of_a_run_that_was_started_here_is_shown(project: Project, monkeypatch: Any) -> None:
    play = with_draft(project)
    monkeypatch.setattr(local, "start", lambda project, run: None)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("B", "enter")
        await settled(pilot)
        run = project.dossier(play).runs[-1]
        becomes(project, play, status=RunStatus.FAILED, error="The disk is full.")
        app.file_watch.poll()
        await settled(pilot)
        assert f"Run {run.id} (build) failed: The disk is full." in text_of(app)


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


async def read_on(pilot: Pilot[Any]) -> None:
    """Read a sheet that is signed to its last line."""
    assert isinstance(pilot.app.screen, Sheet)
    while not pilot.app.screen.read_all:
        await pilot.press("pagedown")


async def test_the_validator_signs_what_was_shown(project: Project, monkeypatch: Any) -> None:
    play = deciding(project)
    signed: list[Any] = []
    monkeypatch.setattr(actions, "sign_off", lambda *args, **named: signed.append((args[2:], named)))
    app = an_app(project, play, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("S")
        await listening(pilot)
        await read_on(pilot)
        await typed(pilot, "seen")
        await pilot.press("enter")
        wanted = decide.intent("P-001", covers(project.dossier(play)))
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
    monkeypatch.setattr(sheet, "DEAF", 3.0)  # however slowly a busy machine takes the keys
    app = an_app(project, play, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("S", "enter")
        await typed(pilot, decide.intent("P-001", covers(project.dossier(play))))
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
        await read_on(pilot)
        await pilot.press("enter")
        await typed(pilot, decide.intent("P-001", covers(project.dossier(play))))
        await pilot.press("enter")
        assert "A rejection needs a reason." in text_of(app) and not signed
        await typed(pilot, "thin")  # the cursor is on the reason
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
        await typed(pilot, "costs")  # the cursor is on the reason
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
        assert "RECOMMENDED  ITERATE" in said and "driver dan: I iterate, Z kill" in said
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
        assert "Gate held: 6 of 6" in lines[4]
        assert any("student 95.0%" in line and "saves" in line for line in lines)
        assert any("en-US" in line and "95.2%" in line and "99.6%" in line for line in lines)


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
        app.file_watch.poll()
        await settled(pilot)
        assert the_play(app).view.play.stage is Stage.DATA  # type: ignore[union-attr]
        assert "Data ●" in text_of(app)


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
        assert isinstance(app.screen, Sheet) and "Start with a cost play" in text_of(app)
        await typed(pilot, "refund-intent")
        await pilot.press("ctrl+s")
        assert "A play “refund-intent” already exists" in text_of(app)
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
    monkeypatch.setattr(local, "start", lambda project, run: None)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("i")
        pilot.app.screen.query_one("#field-file", Input).value = str(path)
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert pilot.app.screen.query_one("#field-input", Input).value == "query"
        pilot.app.screen.query_one("#field-gold", Input).value = "no such column"
        await pilot.press("ctrl+s")
        assert not project.dossier(play).runs
        pilot.app.screen.query_one("#field-gold", Input).value = "verdict"
        await pilot.press("ctrl+s")
        await settled(pilot)
    (run,) = project.dossier(play).runs
    spec = json.loads(run.spec)
    assert (run.kind, spec["most_rejects"], spec["sources"]) == (RunKind.IMPORT, 0.05, [str(path)])
    assert (spec["mapping"]["gold"], spec["mapping"]["input"]) == ("verdict", "query")


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
        await pilot.press("ctrl+s")
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
    data_runs.import_traffic(project, play, DAN, path)
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


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_the_mapping_of_logged_calls_is_shown_live_and_stored(
    project: Project, monkeypatch: Any, size: tuple[int, int]
) -> None:
    play, path = at_data(project), project.path.parent / "calls.jsonl"
    asked = "Ticket of today:\n{} is {}\n\nAnswer with the queue only."
    records = [
        logs.litellm(asked.format(n, n * n), "", n, response=logs.completion("ab"[n % 2], model=f"big-{n % 2}"))
        for n in range(20)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    app = an_app(project, play, DAN)
    monkeypatch.setattr(local, "start", lambda project, run: None)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        pilot.app.screen.query_one("#field-file", Input).value = str(path)
        await pilot.press("ctrl+s")
        await settled(pilot)
        shown = text_of(app)
        assert "LiteLLM spend logs · 20 of 20 rows usable" in shown and "a ← 0 is 0" in shown
        assert pilot.app.screen.query_one("#field-after", Input).value == r"Ticket of today:\n"
        pilot.app.screen.query_one("#field-after", Input).value = "is"
        await pilot.pause()
        assert "a ← 0\n" not in text_of(app) and "b ← 1" in text_of(app)
        pilot.app.screen.query_one("#field-model", Input).value = "big-1"
        await pilot.press("ctrl+s", "ctrl+s")
        await settled(pilot)
    (run,) = project.dossier(play).runs
    spec = json.loads(run.spec)
    assert (json.loads(spec["calls"])["after"], spec["answers_of"]) == ("is", "big-1")


async def test_the_data_tab_says_what_a_log_was_and_what_in_it_is_not_traffic(project: Project) -> None:
    play, path = at_data(project), project.path.parent / "calls.jsonl"
    kinds = ("aembedding", "acompletion", "acompletion")
    records = [logs.litellm(f"ann{n}@example.org, {n}", "a", n, call_type=kinds[n % 3]) for n in range(18)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    data_runs.import_traffic(project, play, DAN, path, scrub=True)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await settled(pilot)
        shown = text_of(app)
        assert f"LiteLLM spend logs: answered by {logs.MODEL} (12)" in shown
        assert "passed over 6: not a model call (aembedding)" in shown
        assert "personal data replaced: mail address 12" in shown


KEY_NAMED = re.compile(
    r"""(?:[".;(] ?|, )([A-Za-z]) (?!are|is|has|was)[a-z]+s (?:it|one|all|them|the|its|a|an|with|what|back)\b"""
)


def test_a_key_that_a_text_of_a_play_names_is_one_of_its_keys() -> None:
    keys = [each.key.split(",") for each in PlayScreen.BINDINGS if isinstance(each, Binding)]
    bound = {"J", *(key for each in keys for key in each)}
    named = {
        (path.name, found[1])
        for path in Path(log_tab.__file__).parent.glob("*.py")
        for found in KEY_NAMED.finditer(path.read_text())
    }
    assert len(named) > 8
    assert not {(name, key) for name, key in named if key not in bound}
