"""The mouse in sheets: a click presses what stands in the last line, moves the cursor, picks; the wheel scrolls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.events import MouseScrollDown
from textual.widget import Widget

from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.forms import sheet
from distill_tui.ui.forms.entry import Entry
from distill_tui.ui.forms.sheet import Label, Sheet
from distill_tui.ui.widgets.choices import Menu
from distill_tui.ui.widgets.foot import Foot
from support import data_runs, screens
from support.at_the_screen import settled, text_of, typed
from support.screens import DAN, DANA, NARROW, WIDE
from support.terminal import Terminal


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return screens.a_project(tmp_path)


def place(app: Any, words: str) -> tuple[int, int]:
    """Find where words stand on the screen: column, line."""
    for line, text in enumerate(text_of(app).splitlines()):
        if words in text:
            return text.index(words) + 1, line
    raise AssertionError(f"no {words!r} in\n{text_of(app)}")


async def click(pilot: Any, words: str) -> None:
    await pilot.click(offset=place(pilot.app, words))
    await settled(pilot)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=str)
async def test_a_form_is_filled_and_left_by_the_mouse(size: tuple[int, int], project: Project) -> None:
    play = screens.at_gate(project)
    app = screens.an_app(project, play, DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        before = len(queries.entries(project, play))
        await pilot.press("c")
        await settled(pilot)
        await click(pilot, "nothing is done")
        assert not isinstance(app.screen, Sheet) and len(queries.entries(project, play)) == before
        await pilot.press("e")
        await settled(pilot)
        labels = list(app.screen.query(Label))
        await pilot.click(labels[1])
        assert app.focused is labels[1].box
        await pilot.press("ctrl+u")
        await typed(pilot, "12")
        await pilot.click(app.screen.query(Entry)[0])
        assert app.focused is labels[0].box and labels[1].box.value == "12"
        await click(pilot, "ctrl+s")
        assert not isinstance(app.screen, Sheet), text_of(app)
    assert len(queries.entries(project, play)) == before + 1


async def test_no_click_consents_before_the_sheet_was_seen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "DEAF", 30.0)
    play = screens.at_gate(project)
    app = screens.an_app(project, play, DANA)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        app.push_screen(Sheet("Consent", ["Read this."], does="sign", deaf=True))
        await pilot.pause()
        await click(pilot, "sign")
        assert isinstance(app.screen, Sheet) and app.screen.deaf


async def test_a_menu_picks_by_a_click_and_stays_until_done(project: Project) -> None:
    screens.at_gate(project)
    app = DistillApp(project.path, actor=DAN)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("f")
        await pilot.pause()
        await click(pilot, "kind:cost")
        assert isinstance(app.screen, Menu)
        await click(pilot, "esc done")
        board = app.screen
        assert isinstance(board, BoardScreen) and "kind:cost" in board.board.shelf.words.split()


@pytest.mark.parametrize("size", [NARROW], ids=str)
async def test_four_hundred_names_scroll_to_the_last(size: tuple[int, int], project: Project, tmp_path: Path) -> None:
    play = screens.at_data(project)
    rows = [
        {"input": f"message {n}", "teacher_output": f"Label-{n % 400:03}", "gold": f"label {n % 400:03}"}
        for n in range(800)
    ]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data_runs.import_traffic(project, play, DAN, tmp_path / "many.jsonl")
    app = screens.an_app(project, play, DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("3", "m")
        await settled(pilot)
        assert isinstance(app.screen, Sheet) and "Label-399" not in text_of(app)
        listed = app.screen.query_one(".form-body")
        x, y = listed.region.x + 4, listed.region.y + 2
        for _ in range(16):
            if "Label-399" in text_of(app):
                break
            for _ in range(50):
                app.post_message(wheel(listed, x, y))
            await settled(pilot)
        assert "Label-399" in text_of(app)
        await pilot.press("pageup")
        await pilot.pause()
        assert "Label-399" not in text_of(app)


def wheel(over: Widget, x: int, y: int) -> MouseScrollDown:
    """One notch down, as a terminal reports it."""
    return MouseScrollDown(None, x, y, 0, 1, 0, False, False, False, x, y)


async def test_a_terminals_own_mouse_reports_do_the_same(project: Project, tmp_path: Path) -> None:
    screens.at_gate(project)
    app = DistillApp(project.path, actor=DAN)
    async with app.run_test(size=WIDE) as pilot:  # where it stands is the same on every terminal of this size
        await settled(pilot)
        await pilot.press("s")
        await pilot.pause()
        x, y = place(app, "esc back")
    terminal = Terminal("open", str(project.path), XDG_STATE_HOME=str(tmp_path / "state"), COLUMNS="120", LINES="36")
    try:
        terminal.shows(b"next step")
        terminal.press(b"s")
        terminal.shows(b"Sort each column")
        terminal.written = b""
        terminal.press(b"\x1b[<0;%d;%dM\x1b[<0;%d;%dm" % (x + 1, y + 1, x + 1, y + 1))
        terminal.shows(b"next step")
        terminal.press(b"q")  # it would only close the menu, were that still open
        assert terminal.ended(20) == 0
    finally:
        terminal.process.kill()


def test_a_click_between_two_parts_presses_nothing() -> None:
    foot = Foot("words", ("enter", "⏎ does"), ("escape", "esc back"))
    assert str(foot.content) == "words   ⏎ does   esc back"
