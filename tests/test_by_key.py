"""Every day by keys: undo, marks, a successor, a cursor of students, forms that complete and keep what is typed."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from distill_tui import actions
from distill_tui.gates.currencies import CODES
from distill_tui.rules.actor import Actor
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Action, Role, RunStatus, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.command_line import CommandLine, unknown
from distill_tui.ui.forms.entry import as_path
from distill_tui.ui.forms.gate_sheet import GateSheet
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.play import evidence
from distill_tui.ui.play import screen as play_screen
from distill_tui.ui.play.screen import PlayScreen
from distill_tui.ui.widgets import page
from support import screens
from support.at_the_screen import settled, text_of, typed
from support.results import trained
from support.screens import DAN, DANA, NARROW, WIDE


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return screens.a_project(tmp_path)


def the_play(app: DistillApp) -> PlayScreen:
    found = app.screen
    assert isinstance(found, PlayScreen)
    return found


async def shows(pilot: Any, words: str) -> str:
    """Wait until the screen shows these words; give what it shows."""
    for _ in range(1500):
        if words in text_of(pilot.app):
            break
        await pilot.pause(0.02)
    shown = text_of(pilot.app)
    assert words in shown, shown
    return shown


@asynccontextmanager
async def a_form(
    project: Project, play: int | None, key: str, person: Actor = DAN
) -> AsyncIterator[tuple[DistillApp, Pilot[int]]]:
    """Open the form of a key on a narrow screen."""
    app = screens.an_app(project, play, person)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        yield app, pilot


# --- undo ------------------------------------------------------------------------------------------------------------


async def test_numbers_are_undone_and_redone_by_key(project: Project) -> None:
    play = screens.at_gate(project)
    actions.fill_worksheet(project, play, DAN, {"build_cost": "7"})
    before = len(queries.entries(project, play))
    app = screens.an_app(project, play, DAN)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("u")
        await shows(pilot, "Undid: worksheet")
        assert project.dossier(play).worksheet["build_cost"].value != "7"
        await pilot.press("ctrl+r")
        await shows(pilot, "Redid: worksheet")
        assert project.dossier(play).worksheet["build_cost"].value == "7"
        app.actor = DANA  # who changed no draft
        app.changed()
        await settled(pilot)
        await pilot.press("u")
        await shows(pilot, "dana has nothing to undo")
    assert len(queries.entries(project, play)) == before + 2


# --- several plays ---------------------------------------------------------------------------------------------------


async def test_marked_plays_get_a_comment_and_roles_at_once(project: Project) -> None:
    plays = [screens.qualifying(project, f"play-{number}") for number in range(3)]
    app = DistillApp(project.path)
    app.actor = DANA
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, BoardScreen)
        await pilot.press("v", "v")
        assert "2 marked" in text_of(app)
        await pilot.press("c")
        await typed(pilot, "asked in the meeting", "enter")
        shown = await shows(pilot, "2 plays commented.")
        assert "marked" not in shown
        await pilot.press("g", "v", "v", "A")
        await settled(pilot)
        field = app.screen.query_one("#field-operator", Input)
        field.value = "olaf"
        await pilot.press("ctrl+s")
        await settled(pilot)
        await pilot.press("v", "escape")
        assert "marked" not in text_of(app)
    said = [sum(e.action is Action.COMMENT for e in queries.entries(project, play)) for play in plays]
    assert said == [1, 1, 0]
    assert [project.dossier(play).roles.get(Role.OPERATOR) for play in plays] == ["olaf", "olaf", None]


async def test_a_play_that_refuses_is_named_and_the_others_are_changed(project: Project) -> None:
    screens.qualifying(project, "play-0")
    driven = screens.at_gate(project, "play-1")
    app = DistillApp(project.path)
    app.actor = DANA
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("escape", "h", "v", "l", "v", "A")  # esc: what waits for me comes first
        await settled(pilot)
        app.screen.query_one("#field-validator", Input).value = "dan"
        await pilot.press("ctrl+s")
        await settled(pilot)
        shown = await shows(pilot, "1 play changed. 1 not:")
        assert "P-002 play-1: dan is a builder" in shown
    assert project.dossier(1).roles[Role.VALIDATOR] == "dan"
    assert project.dossier(driven).roles[Role.VALIDATOR] == "vera"


# --- a successor -----------------------------------------------------------------------------------------------------


async def test_a_killed_play_gets_its_successor_by_key_with_the_difference(project: Project) -> None:
    play = screens.killed(project, "refund-3")
    app = screens.an_app(project, play, DAN)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        assert app.screen.query_one("#field-name", Input).value == "refund-4"
        await pilot.press("ctrl+s")
        await settled(pilot)
        shown = await shows(pilot, "P-002 refund-4 follows P-001")
        assert "never carried over" in shown
        await pilot.press("escape")
        await settled(pilot)
        assert the_play(app).play_id == 2
    new = project.dossier(2)
    assert new.play.predecessor == play and new.roles == project.dossier(play).roles
    assert new.play.stage is Stage.QUALIFY


# --- students --------------------------------------------------------------------------------------------------------


async def test_a_cursor_chooses_the_student_that_is_evaluated(project: Project) -> None:
    play = screens.frozen(project)
    for score in (0.91, 0.95):
        screens.add_run(
            project, play, RunStatus.FINISHED, artifact=screens.DIGEST, result=trained(score, validation_rows=780)
        )
    app = screens.an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("5")
        view = the_play(app).view
        assert view is not None and evidence.chosen_student(view).id == 2  # type: ignore[union-attr]
        assert "95.0%" in text_of(app) and "91.0%" in text_of(app)
        await pilot.press("j", "j")
        view = the_play(app).view
        assert view is not None and evidence.chosen_student(view).id == 1  # type: ignore[union-attr]
        await pilot.press("R")
        await settled(pilot)
        assert "Evaluate the student of run 1" in text_of(app) and "run 2 is better on it" in text_of(app)


async def test_a_play_shows_what_it_is_before_its_evaluation_is_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, read, whole = screens.deciding(project), threading.Event(), play_screen.load
    monkeypatch.setattr(play_screen, "load", lambda *args, **named: read.wait(60) and whole(*args, **named))
    app = screens.an_app(project, play)
    async with app.run_test(size=WIDE) as pilot:
        for _ in range(600):
            await pilot.pause(0.02)
            if "The evaluation is being read." in text_of(app):
                break
        shown = text_of(app)
        assert "sponsor    dana" in shown and "NEXT  a" in shown
        await pilot.press("H")  # waits for what the rules are asked with
        assert the_play(app).view is not None and the_play(app).view.partial  # type: ignore[union-attr]
        read.set()
        assert "being read" not in await shows(pilot, "held-out accuracy")


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_pasted_path_loses_what_was_put_around_it() -> None:
    assert [as_path(text) for text in ("'/a b'", "/a\\ b", "file:///a%20b", "/a")] == ["/a b"] * 3 + ["/a"]


async def test_a_form_comes_back_with_what_was_typed_where_its_verb_rejects_it(project: Project) -> None:
    async with a_form(project, screens.at_data(project), "i") as (app, pilot):
        await typed(pilot, "/no/such/calls.jsonl")
        app.screen.query_one("#field-most", Input).value = "5%"
        await pilot.press("ctrl+s")
        await shows(pilot, "calls.jsonl is not a file.")
        await settled(pilot)
        assert isinstance(app.screen, Sheet), text_of(app)
        field = app.screen.query_one("#field-file", Input)
        assert field.value == "/no/such/calls.jsonl" and field.has_focus
        assert app.screen.query_one("#field-most", Input).value == "5%"
        await pilot.press("x")
        assert field.value == "x", "what is typed next replaces the path; the screen behind does not take it"


async def test_roles_without_a_name_are_not_called_assigned(project: Project) -> None:
    play = screens.at_gate(project)
    app = screens.an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("A", "ctrl+s")
        await shows(pilot, "Name a person for a role")
        assert isinstance(app.screen, Sheet)
        field = app.screen.query_one("#field-operator", Input)
        field.value = "stranger"
        await pilot.press("ctrl+s")
        await shows(pilot, "“stranger” is not enrolled")
        assert field.has_focus


async def test_pasted_line_breaks_and_control_characters_become_blanks(project: Project) -> None:
    async with a_form(project, None, "n", DANA) as (app, pilot):
        app.screen.focused.post_message(events.Paste("first\rsecond\r\nthird\tline \x07"))  # type: ignore[union-attr]
        await settled(pilot)
        assert app.screen.query_one("#field-name", Input).value == "first second third line"


async def test_a_number_out_of_its_range_is_rejected_where_it_is_typed(project: Project) -> None:
    async with a_form(project, screens.at_gate(project), "e") as (app, pilot):
        field = app.screen.query_one("#field-calls_per_month", Input)
        for wrong, said in (("-5", "cannot be below 0"), ("1e400", "more than 18 digits"), ("٤٠", "is not a number")):
            field.value = wrong
            app.screen.query_one("#field-source", Input).focus()
            await pilot.press("ctrl+s")
            await shows(pilot, said)
            assert isinstance(app.screen, Sheet) and field.has_focus


async def test_the_import_form_completes_takes_a_paste_and_puts_the_cursor_on_what_is_wrong(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "calls.jsonl").write_text('{"input": "a"}\n')
    async with a_form(project, screens.at_data(project), "i") as (app, pilot):
        field = app.screen.query_one("#field-file", Input)
        app.screen.focused.post_message(events.Paste(f"'{tmp_path}/cal'\n"))  # type: ignore[union-attr]
        await settled(pilot)
        assert field.value == f"{tmp_path}/cal"
        await pilot.press("tab")
        assert field.value == f"{tmp_path}/calls.jsonl" and field.has_focus
        await pilot.press("tab", "tab")
        most = app.screen.query_one("#field-most", Input)
        assert most.has_focus
        most.value = "many"
        field.focus()
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert isinstance(app.screen, Sheet) and most.has_focus, text_of(app)


async def test_the_gate_editor_keeps_every_key_from_the_first_on(project: Project) -> None:
    play = screens.at_gate(project)
    app = screens.an_app(project, play, DAN)
    text = "# one two three " * 12
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        for key in ("E", *text):  # as a terminal sends them: without a pause
            key = {" ": "space", "#": "number_sign"}.get(key, key)
            app.post_message(events.Key(key, " " if key == "space" else "#" if key == "number_sign" else key))
        await settled(pilot)
        assert isinstance(app.screen, GateSheet)
        assert app.screen.query_one(TextArea).text.startswith(text)


async def test_a_wrong_command_stays_with_what_could_be_meant(project: Project) -> None:
    play = screens.qualifying(project)
    app = screens.an_app(project, play)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("colon")
        await typed(pilot, "gat lock P-001", "enter")
        await pilot.pause()
        assert isinstance(app.screen, CommandLine) and app.screen.query_one(Input).value == "gat lock P-001"
        await shows(pilot, "Did you mean: gate lock")


def test_what_is_typed_is_compared_with_whole_commands() -> None:
    known = [["gate", "lock", "PLAY"], ["gate", "show", "PLAY"], ["list"]]
    assert not unknown(["gate", "lock", "P-001"], known) and not unknown(["list", "--json"], known)
    assert "gate lock, gate show" in unknown(["gate", "unlock"], known)
    assert unknown(["frobnicate"], known)


def test_a_heading_is_cut_between_words() -> None:
    (cut,) = page.fitted([page.heading("RUNS", "a run goes on when you leave the screen")], 30)
    assert cut.plain == " RUNS  a run goes on when you…" and cut.cell_length <= 30
    (whole,) = page.fitted([page.heading("RUNS", "short")], 30)
    assert whole.plain == " RUNS  short"


# --- one currency, everywhere ----------------------------------------------------------------------------------------


async def test_no_screen_and_no_command_shows_another_currency(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    from distill_tui.cli.app import main
    from distill_tui.reports import html, model_card
    from distill_tui.review import review

    actions.set_currency(project, DANA, "CHF")
    play = screens.deciding(project)
    seen = review.of(project.dossier(play))
    assert seen is not None
    texts: list[Any] = [html.report(seen, ())]
    assert model_card.SHOWN
    for words in ("list", "show P-001", "worksheet P-001", "eval show P-001"):
        assert main([*words.split(), "--project", str(project.path)]) == 0
        texts.append(capsys.readouterr().out)
    app = screens.an_app(project, play)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        for tab in "12456":
            await pilot.press(tab)
            texts.append(text_of(app))
        await pilot.press("q")
        await settled(pilot)
        texts.append(text_of(app))
    amounts = sum(text.count("CHF ") for text in texts)
    assert amounts > 10 and not any("USD" in text.replace("(USD 0.042 to 0.10", "") for text in texts)
    assert {"CHF", "USD", "EUR"} <= CODES
