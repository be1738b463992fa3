"""The far end of an SSH line: no more bytes than a frame needs, and a session that ends with whoever sat there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from distill_tui.terms import Action
from distill_tui.ui import thin
from distill_tui.ui.app import DistillApp
from distill_tui.ui.far_end import MUTE, SILENCE, WHERE_IS_THE_CURSOR, FarEnd
from distill_tui.ui.forms import form
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.session import SessionApp
from support import real_play
from support.at_the_screen import told
from support.ssh_host import Host, Session
from support.ssh_sessions import entries, sessions
from support.terminal import Terminal

SECONDS = 60
STYLES = ("1", "4", "38;5;9", "1;38;5;9;48;5;17", "7;31;44", "48;5;17", "38;2;1;2;3;48;2;4;5;6", "2;97;100")
CODES = re.compile(r"\x1b\[([\d;]*)([HmC])|(\n)|(.)", re.DOTALL)


class Seen:
    """A terminal of its own making: what somebody sees, after whatever was written."""

    def __init__(self, width: int = 24, height: int = 6) -> None:
        self.width, self.height, self.cursor = width, height, (0, 0)
        self.cells = {(y, x): (" ", thin.PLAIN) for y in range(height) for x in range(width)}

    def write(self, data: str) -> None:
        y, x = self.cursor
        style = thin.PLAIN
        for codes, kind, line_end, char in CODES.findall(data):
            if kind == "H":
                y, x = (int(each) - 1 for each in codes.split(";"))
            elif kind == "C":
                x += int(codes)
            elif kind == "m":
                style = self._styled(style, codes)
            elif line_end:
                y, x = y + 1, 0
            elif cell_len(char) == 0:
                before = self.cells[y, x - 1]
                self.cells[y, x - 1] = (before[0] + char, before[1])
            else:
                for more in range(cell_len(char)):
                    self.cells[y, x + more] = ("" if more else char, style)
                x += cell_len(char)
        self.cursor = y, x

    @staticmethod
    def _styled(old: thin.Style, codes: str) -> thin.Style:
        """Take codes as a terminal does: they add to what is set, until a 0 clears it."""
        new = thin.read(codes)
        if codes.split(";")[0] in ("", "0"):
            return new
        ground = "" if re.search(r"(?:^|;)49(?:;|$)", codes) else new.ground or old.ground
        colour = "" if re.search(r"(?:^|;)39(?:;|$)", codes) else new.colour or old.colour
        return thin.Style(old.flags + new.flags, colour, ground)

    def picture(self) -> dict[tuple[int, int], object]:
        """What is seen: of a blank, its ground and its lines."""
        return {
            place: (char, style.ground, style.flags)
            if char == " " and thin.DRAWN.intersection(style.flags)
            else (char, style.ground)
            if char == " "
            else (char, style)
            for place, (char, style) in self.cells.items()
        }


TEXTS = st.text(st.sampled_from("ab  ─●é漢字\u0301"), min_size=1, max_size=6).filter(lambda t: t[0] != "\u0301")
SPANS = st.tuples(
    st.integers(0, 5), st.integers(0, 12), st.lists(st.tuples(st.sampled_from(STYLES), TEXTS), max_size=2)
)
FRAMES = st.lists(st.lists(SPANS, min_size=1, max_size=4), min_size=1, max_size=6)


def as_textual_writes(spans: list[tuple[int, int, list[tuple[str, str]]]]) -> str:
    """Write spans, each run in its style in full, and the cursor at the end."""
    runs = [
        f"\x1b[{y + 1};{x + 1}H" + "".join(f"\x1b[{style}m{text}\x1b[0m" for style, text in parts)
        for y, x, parts in spans
    ]
    return "".join(runs) + "\x1b[1;1H"


@settings(max_examples=300, deadline=None)
@given(FRAMES)
def test_fewer_bytes_show_the_same(frames: list[list[tuple[int, int, list[tuple[str, str]]]]]) -> None:
    whole, less, shown = Seen(), Seen(), thin.Shown()
    for number, spans in enumerate(frames):
        data = as_textual_writes(spans)
        whole.write(data)
        less.write(shown.thin(data))
        assert less.picture() == whole.picture(), (number, data)
        assert less.cursor == whole.cursor
        again = shown.thin(data) if all(cell_len(c) == 1 for _, _, p in spans for _, t in p for c in t) else ""
        less.write(again)
        assert less.picture() == whole.picture()


def test_a_frame_that_changes_nothing_costs_nothing_and_one_cell_costs_little() -> None:
    shown, frame = thin.Shown(), "\x1b[1;1H\x1b[1;38;5;9;48;5;17mone two three\x1b[0m\x1b[1;1H"
    assert len(shown.thin(frame)) <= len(frame)
    assert shown.thin(frame) == ""
    assert shown.thin(frame.replace("two", "twO")) == "\x1b[1;7H\x1b[1;38;5;9;48;5;17mO\x1b[1;1H\x1b[0m"


@pytest.mark.parametrize("other", ["\x1b[?1049h", "\x1b[2J", "\x1b[3;1Hx\x1b]8;;y\x1b\\", "x", "\x1b[1;1Hx\r"])
def test_what_is_not_understood_passes_and_nothing_is_known_after_it(other: str) -> None:
    shown, frame = thin.Shown(), "\x1b[1;1Hone\x1b[1;1H"
    first = shown.thin(frame)
    assert shown.thin(other) == other
    assert shown.thin(frame) == first


# --- real sessions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    made.path.chmod(0o600)
    yield made
    made.project.close()


@pytest.fixture
def session(play: real_play.Play, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """What sshd starts for vera, on a pty of 80 by 24."""
    auth, opened = tmp_path / "auth", []
    auth.write_text(f"publickey {play.public('vera').line}\n")

    def start(**more: object) -> Terminal:
        words = ("--project", str(play.path), "ssh", "session")
        opened.append(Terminal(*words, size=(80, 24), SSH_USER_AUTH=str(auth), **more))  # type: ignore[arg-type]
        opened[-1].until(lambda: b"Decide" in opened[-1].written and b"mail-topic" in opened[-1].written)
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_session_reads_on_a_slow_line(session: Callable[..., Terminal]) -> None:
    """At 9,600 bit/s a second is 960 bytes: the first screen whole within 8, another tab within 5, a page within 2."""
    it = session()
    it.read(3.0)
    assert len(it.written) < 8 * 960
    assert b"\x1b[?1003h" not in it.written  # no byte for every move of a mouse
    sizes = {key: len(it.press(key)) for key in (b"1", b"2", b"5", b"6", b"7")}
    assert max(sizes.values()) < 5 * 960, sizes
    assert max(len(it.press(key)) for key in (b"j", b"k")) < 2 * 960
    it.press(b"?")  # a sheet with a line to type in: its cursor does not blink
    it.shows(b"search")
    it.read(1.0)
    assert len(it.read(1.2)) <= len(WHERE_IS_THE_CURSOR)


@pytest.mark.parametrize("ignore_hangup", [False, True])
def test_a_terminal_that_is_gone_ends_the_session_and_half_of_a_decision_is_none(
    play: real_play.Play, session: Callable[..., Terminal], ignore_hangup: bool
) -> None:
    it, before = session(ignore_hangup=ignore_hangup), entries(play)
    it.press(b"X")
    it.press(b"this is not fin")
    it.hang_up()
    assert it.process.wait(timeout=15) == 128 + signal.SIGHUP
    assert entries(play) == before and not play.project.dossier(play.id).sign_offs


def test_a_client_that_was_killed_ends_its_session_at_once(play: real_play.Play, tmp_path: Path) -> None:
    host, mine, before = Host(play, tmp_path), f"--project {play.path}", entries(play)
    try:
        it = Session(host, "vera")
        it.wait_for(b"mail-topic", SECONDS)
        it.press(b"X")
        it.read(1)
        it.press(b"this is not fin")
        it.process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while sessions(mine) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert sessions(mine) == 0
        it.close()
    finally:
        host.close()
    assert entries(play) == before


def test_only_a_terminal_that_answered_or_never_spoke_can_fall_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    end, now = object.__new__(FarEnd), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for spoke, answers, silent in ((False, False, True), (True, False, False), (True, True, True)):
        end._spoke, end._answers, end._heard = spoke, answers, now - MUTE - 1
        assert end.silent is silent
        end._heard = now - SILENCE - 1
        assert end.silent is answers  # whoever never pressed a key may still be reading
        end._heard = now - 1
        assert not end.silent


async def test_no_sheet_of_a_session_reads_a_file_of_the_host(play: real_play.Play) -> None:
    """The account that serves can read what the person cannot: its other projects, and keys."""
    app = SessionApp(play.path, play.by("dan"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_play(play.id)
        while (view := getattr(app.screen, "view", None)) is None:
            await pilot.pause(0.05)
        for action in (Action.IMPORT_TRAFFIC, Action.SET_TEACHER, Action.OBSERVE):
            form.take(app, action, view)
            await pilot.pause()
            assert "reads no file of the host" in told(app) and not isinstance(app.screen, Sheet)
            app.say("")
        app.new_play()
        await pilot.pause()
        assert "opens no play" in told(app) and not isinstance(app.screen, Sheet)


@pytest.mark.parametrize("app", [DistillApp, SessionApp])
def test_a_fault_of_ours_shows_no_rows_and_steers_nothing(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch, app: type[DistillApp]
) -> None:
    made = app(play.path, actor=play.by("vera"))
    monkeypatch.setattr(made, "_close_messages_no_wait", lambda: None)
    somebodys_row = "a text of a customer"
    try:
        raise ValueError("\x1b[2J\x9b31m" + somebodys_row[:0])
    except ValueError as error:
        made._handle_exception(error)
    told = "".join(segment.text for part in made._exit_renderables for segment in part.segments)
    assert "ValueError" in told and "customer" not in told
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told)
    assert ("Traceback" in told) is (app is DistillApp)  # a session says what broke, and not where its files are


@pytest.mark.slow
@pytest.mark.parametrize("answers", [True, False])
def test_an_input_that_ended_ends_the_session_long_before_the_idle_limit(
    play: real_play.Play, tmp_path: Path, answers: bool
) -> None:
    """sshd passes the end of a client's input on to nobody; only questions that stay unanswered tell."""
    host = Host(play, tmp_path)
    command = host.command("vera", options=("-tt",))
    env = host.env | {"TERM": "xterm-256color"}
    it = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    try:
        assert it.stdin is not None and it.stdout is not None
        seen = b""
        while answers and b"\x1b[6n" not in seen:
            seen += os.read(it.stdout.fileno(), 65536)
        if answers:
            it.stdin.write(b"\x1b[1;1R")
            it.stdin.flush()
            time.sleep(1)
        it.stdin.close()
        started = time.monotonic()
        while os.read(it.stdout.fileno(), 65536):
            pass
        assert it.wait(10) == 0 and time.monotonic() - started < (SILENCE if answers else MUTE) + 20
    finally:
        it.kill()
        host.close()
