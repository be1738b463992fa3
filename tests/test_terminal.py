"""At home in a terminal, by the real program on a real pty: left as it was found, and nothing sent that steers it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import statistics
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.color import Color

from distill_tui import actions
from distill_tui.rules.actor import Actor
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind
from distill_tui.ui import themes
from support.terminal import Terminal

MINE = f"account uid {os.getuid()}"
HOSTILE = "\x1b[31mboo\x9b2J \u202eevil [@click=app.quit]q[/]"
LEAVES = [b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l"]  # screen, cursor, mouse, paste
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    project = Project.create(tmp_path / "support.distill", "support-bot", "dana", "Dana", Actor(None, MINE))
    dana = Actor("dana", MINE)
    actions.open_play(project, dana, "refund-intent", PlayKind.COST)
    actions.open_play(project, dana, HOSTILE, PlayKind.COST)
    project.close()
    return project.path


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*words: str, **more: object) -> Terminal:
        opened.append(Terminal(*words, **more))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=lambda how: how.name)
def test_a_terminated_app_leaves_the_terminal_as_it_was(
    path: Path, terminal: Callable[..., Terminal], how: signal.Signals
) -> None:
    it = terminal("open", str(path))
    before = it.mode()
    it.shows(b"refund-intent")
    it.press(b"j")
    assert it.mode() != before
    it.process.send_signal(how)
    assert it.ended() == 128 + how
    after = it.written[it.written.rindex(b"\x1b[?1049h") :]
    assert all(code in after for code in LEAVES), [code for code in LEAVES if code not in after]
    assert it.mode() == before


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTSTP], ids=lambda how: how.name)
def test_an_app_that_was_stopped_goes_on_and_leaves_the_terminal_as_it_was(
    path: Path, terminal: Callable[..., Terminal], how: signal.Signals
) -> None:
    it = terminal("open", str(path))
    before = it.mode()
    it.shows(b"ROLE PERSON")
    it.read(0.5)
    during = it.mode()
    it.process.send_signal(how)
    it.until(it.sleeps)
    termios.tcsetattr(it.master, termios.TCSANOW, before)  # as a shell does that takes its terminal back
    it.read(0.3)
    it.written = b""
    it.process.send_signal(signal.SIGCONT)
    it.shows(b"ROLE PERSON")  # all of the screen, to its last line
    assert b"\x1b[?1049h" in it.written and b"refund-intent" in it.written
    it.until(lambda: it.mode() == during)
    it.press(b"?")
    it.shows(b"Keys")
    it.press(b"\x1b")
    it.press(b"q")
    assert it.ended() == 0
    assert it.mode() == before
    after = it.written[it.written.rindex(b"\x1b[?1049h") :]
    assert all(code in after for code in LEAVES), [code for code in LEAVES if code not in after]


def test_an_app_that_is_told_to_go_on_without_a_stop_keeps_the_state_that_it_found(
    path: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("open", str(path))
    before = it.mode()
    it.shows(b"ROLE PERSON")
    it.read(0.5)
    it.written = b""
    it.process.send_signal(signal.SIGCONT)
    it.shows(b"ROLE PERSON")
    it.press(b"q")
    assert it.ended() == 0
    assert it.mode() == before


@pytest.mark.parametrize("ignore_hangup", [False, True])
def test_a_lost_terminal_ends_the_app_and_what_was_seen_comes_back(
    path: Path, terminal: Callable[..., Terminal], nothing_remembered: Path, ignore_hangup: bool
) -> None:
    it = terminal("open", str(path), ignore_hangup=ignore_hangup)
    it.shows(b"refund-intent")
    it.press(b"\r")
    it.shows(b"Overview")
    it.press(b"8")
    it.hang_up()
    code = it.process.wait(timeout=15)
    assert code in (129, 128 + signal.SIGHUP)
    (view,) = json.loads((nothing_remembered / "distill-tui" / "screens.json").read_text())["views"].values()
    assert (view["play"], view["opened"], view["tab"]) == (1, True, 8)


def test_no_color_sends_no_colour_and_hostile_names_steer_nothing(
    path: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("open", str(path), NO_COLOR="1")
    it.shows(b"refund-intent")
    for keys in (b"j", b"\r", b"8", b"?", b"\x1b", b"q", b"f"):
        it.press(keys)
    assert not COLOUR.findall(it.written)
    assert b"boo" in it.written and b"\x1b[31mboo" not in it.written
    assert "\x9b".encode() not in it.written and "\u202e".encode() not in it.written


def test_where_the_terminal_has_ascii_only_nothing_else_is_sent(path: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("open", str(path), DISTILL_ASCII="1", NO_COLOR="1")
    it.shows(b"refund-intent")
    for keys in (b"j", b"k", b"\r", b"2", b"3", b"6", b"8", b"?", b"\x1b", b"A", b"\x1b", b"J", b"\x1b", b"q", b"p"):
        it.press(keys)
    assert it.written.isascii(), sorted({c for c in it.written.decode() if not c.isascii()})


def test_a_copied_code_goes_to_the_terminals_own_clipboard(path: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("open", str(path))
    it.shows(b"refund-intent")
    it.press(b"y")
    it.shows(b"\x1b]52;c;" + base64.b64encode(b"P-001"))
    it.shows(b"ROLE PERSON")  # the selected play is loaded
    it.press(b"Y")
    it.shows(b"\x1b]52;c;" + base64.b64encode(b"distill-tui role P-001 ROLE PERSON"))


def test_what_is_no_project_is_said_in_a_line_before_the_terminal_is_taken(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    (tmp_path / "notes.distill").write_text("shopping: bread, milk")
    for words in (("open", "notes.distill"), ()):
        it = terminal(*words, cwd=tmp_path)
        assert it.ended(30) == 4
        assert b"notes.distill" in it.written and b"Traceback" not in it.written and b"\x1b" not in it.written


def test_a_dumb_terminal_gets_the_list_and_is_told_what_to_use(path: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("open", str(path), TERM="dumb")
    assert it.ended(30) == 0
    assert b"refund-intent" in it.written and b"The screens open in a terminal" in it.written
    assert b"\x1b" not in it.written


def test_a_cursor_move_is_a_small_write(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
    project = Project.create(tmp_path / "many.distill", "many", "dana", "Dana", Actor(None, MINE))
    for number in range(40):
        actions.open_play(project, Actor("dana", MINE), f"play-{number}", PlayKind.COST)
    project.close()
    it = terminal("open", str(project.path))
    it.shows(b"ROLE PERSON")  # below the board stands the selected play: all is loaded
    it.read(0.5)
    assert it.press(b"k") == b""  # there is nothing above the first
    sizes = [len(it.press(b"j")) for _ in range(12)]
    assert statistics.median(sizes) <= 1536, sizes  # two cards of a column that is half the board, and the look below


@pytest.mark.parametrize("theme", [themes.DARK, themes.LIGHT], ids=lambda theme: theme.name)
def test_every_tone_can_be_read_on_every_ground(theme: themes.Theme) -> None:
    grounds = [Color.parse(ground) for ground in (theme.background, theme.surface) if ground]
    shades = [*themes.tones(theme).values(), theme.foreground, theme.accent]
    for shade in filter(None, shades):
        for ground in grounds:
            light, dark = sorted((luminance(Color.parse(shade)), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (shade, ground)  # WCAG 2.1, 1.4.3


def luminance(colour: Color) -> float:
    """Relative luminance, as WCAG 2.1 defines it."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_open_without_a_project_offers_the_recent_ones(path: Path, terminal: Callable[..., Terminal]) -> None:
    it = terminal("open", str(path))
    it.shows(b"refund-intent")
    it.press(b"q")
    assert it.ended() == 0
    again = terminal("open", cwd=path.parent / "empty")
    again.shows(b"Which one? [1] ")
    assert str(path).encode() in again.written
    again.press(b"7\n")
    assert again.ended() == 2 and b"is not in the list" in again.written
    once_more = terminal("open", cwd=path.parent / "empty")
    once_more.shows(b"Which one? [1] ")
    once_more.press(b"\n")
    once_more.shows(b"refund-intent")
