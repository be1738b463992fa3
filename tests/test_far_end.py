"""The terminal at the other end of an SSH connection: its size, and a session that ends when its person is gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.geometry import Size

from distill_tui.cli.app import COMMANDS
from distill_tui.rules.actor import Actor
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.terms import Action, Assurance
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms import form
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.palette import Palette
from distill_tui.ui.play.screen import PlayScreen
from distill_tui.ui.session import CURSOR_POSITION, MUTE, SILENCE, TALLEST, WIDEST, FarEnd, SessionApp, clamped
from distill_tui.ui.widgets.frame import KeyLine
from support import real_play
from support.at_the_screen import settled, text_of, told
from support.ssh_host import Host, Session
from support.ssh_sessions import entries, sessions
from support.terminal import Terminal

SECONDS = 60


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


def test_a_session_that_nobody_touches_writes_only_its_question(session: Callable[..., Terminal]) -> None:
    """Twenty sessions share one machine: none blinks a cursor or redraws a clock while its person reads."""
    it = session()
    it.read(3.0)
    it.press(b"?")  # a sheet with a line to type in
    it.shows(b"search")
    it.until(lambda: written_in(it, 1.5) <= len(CURSOR_POSITION))  # once it is drawn; a cursor blinks within a second
    assert written_in(it, 3.0) <= 2 * len(CURSOR_POSITION)


def written_in(it: Terminal, seconds: float) -> int:
    """Return how many bytes come within a time."""
    before, end = len(it.written), time.monotonic() + seconds
    while time.monotonic() < end:
        it.read(0.1)
    return len(it.written) - before


def test_a_size_that_no_terminal_has_is_brought_within_bounds() -> None:
    assert clamped(80, 24) == (80, 24) and clamped(0, -1) == (80, 24)
    assert clamped(60_000, 60_000) == (WIDEST, TALLEST)


async def test_a_session_takes_no_size_beyond_the_bounds(play: real_play.Play) -> None:
    app = SessionApp(play.path, play.by("vera"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.post_message(events.Resize(Size(60_000, 60_000), Size(60_000, 60_000)))
        await pilot.pause()
        assert app.size == Size(WIDEST, TALLEST)


@pytest.mark.parametrize("ignore_hangup", [False, True])
def test_a_terminal_that_is_gone_ends_the_session_and_half_of_an_entry_is_none(
    play: real_play.Play, session: Callable[..., Terminal], ignore_hangup: bool
) -> None:
    it, before = session(ignore_hangup=ignore_hangup), entries(play)
    it.press(b"c")
    it.shows(b"nothing is done")  # the sheet is open
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
        end._spoke, end._answers, end._last_byte = spoke, answers, now - MUTE - 1
        assert end.silent is silent
        end._last_byte = now - SILENCE - 1
        assert end.silent is answers  # a person who never pressed a key may still be reading
        end._last_byte = now - 1
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
        assert "cannot open a play" in told(app) and not isinstance(app.screen, Sheet)


def over_ssh(play: real_play.Play, person: str) -> Actor:
    return replace(play.by(person), assurance=Assurance.SESSION, over_ssh=True, address="ssh://distill@host:2222")


def offered(app: DistillApp) -> set[str]:
    """Return the actions of the keys, and what the line of keys and the palette name."""
    keys = {active.binding.action for active in app.screen.active_bindings.values()}
    shown = {f"line: {key.does}" for key in app.screen.query_one(KeyLine)._all(app.screen)}
    titles = [entry.title.split("  ")[0].removesuffix(" P-001") for entry in Palette(app.screen).entries()]
    return keys | shown | {": a command" if title.startswith(":") else title for title in titles}


ON_THE_HOST = {  # what a session does not have, on the board and in a play
    True: {"new_play", "import_hint", "line: New play", "app.command_line", "new", "import", "teacher", ": a command"},
    False: {
        "take('open_play')",
        "take('import_traffic')",
        "app.command_line",
        "new",
        "import",
        "teacher",
        ": a command",
    },
}


@pytest.mark.parametrize("board", [True, False])
async def test_a_session_offers_neither_new_nor_import_nor_a_command_line(play: real_play.Play, board: bool) -> None:
    for kind in (DistillApp, SessionApp):
        more = {"commands": COMMANDS.typed} if kind is DistillApp else {}
        app = kind(play.path, actor=over_ssh(play, "dan"), **more)
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(pilot)
            if not board:
                app.open_play(play.id, 3)
                await settled(pilot)
            held = ON_THE_HOST[board] & offered(app)
            if kind is DistillApp:
                assert held >= ON_THE_HOST[board] - {"take('open_play')"}, "the test asks for what there is"
                continue
            assert not held
            before = app.screen
            for key in ("n", "i", "colon"):
                await pilot.press(key)
                await settled(pilot)
                assert app.screen is before


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_what_waits_for_a_person_comes_from_the_rules(play: real_play.Play, size: tuple[int, int]) -> None:
    """Each person holds a role in the play all the time; only the one whose turn it is reads that it waits."""
    turns = []
    for act in (lambda: None, play.sign, play.ship):
        act()
        dossier = play.project.dossier(play.id)
        turns.append(waits_for(dossier))
        for person in ("vera", "dan", "sam", "olga"):
            app = SessionApp(play.path, over_ssh(play, person))
            async with app.run_test(size=size) as pilot:
                await settled(pilot)
                says = told(app)
            if person != turns[-1]:
                assert says == "Nothing waits for you."
            else:
                assert says.startswith("These plays wait for you: P-001.")
                signs = next_step(dossier) is Action.SIGN_OFF
                assert ("sign --via ssh://distill@host:2222 P-001 --approve" in says) is signs, "a builder cannot sign"
    assert turns == ["vera", "dan", None]


async def test_the_next_step_of_a_session_is_a_command_of_the_persons_own_machine(play: real_play.Play) -> None:
    sign = "distill-tui sign --via ssh://distill@host:2222 P-001 --approve -m TEXT --key FILE"
    for act, command in ((lambda: None, sign), (play.sign, "ssh -t ssh://distill@host:2222"), (play.ship, "")):
        act()
        command = command or "ssh -t ssh://distill@host:2222"
        for person, opens in (("vera", False), ("dan", False), ("vera", True), ("dan", True)):
            app = SessionApp(play.path, over_ssh(play, person))
            async with app.run_test(size=(120, 36)) as pilot:
                await settled(pilot)
                if opens:
                    app.open_play(play.id)
                elif isinstance(app.screen, PlayScreen):
                    await pilot.press("q")
                await settled(pilot)
                if opens and next_step(play.project.dossier(play.id)) is not None:
                    assert f"CLI  {command}" in text_of(app)
                await pilot.press("Y")
                assert app.clipboard == command and told(app) == f"On the clipboard: {command}"


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
    """sshd does not report the end of a client's input; only unanswered queries show it."""
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
