"""The screens inside a session over SSH: no shell, no files, no child process; they open at what waits for this person.

The size and the silence of the terminal at the other end are not trusted. sshd does not report to a session that the
client's input has ended, and notices a broken connection late. A terminal answers a query for the position of its
cursor. One that answered before and no longer does is gone, and so is one that never sent a byte.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from textual import events
from textual.app import SystemCommand
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, TextArea

from distill_tui.rules.actor import Actor
from distill_tui.store import glance
from distill_tui.terms import Action, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board import preview

CLOSED = ("suspend_process", "screenshot", "command_line", "people", "checkup", "act_as")
DECIDE_TAB = 6
WIDEST, TALLEST = 500, 200  # cells: no terminal is larger, and a larger size would be drawn all the same
ASK, SILENCE = 10.0, 30.0  # seconds: between two questions, and without an answer before the session ends
MUTE = 120.0  # seconds for a terminal that never sent a byte: its person may be reading the first screen
CURSOR_POSITION = "\x1b[6n"


class FarEnd(LinuxDriver):
    """A driver that queries its terminal and notes whether an answer came."""

    _answers = _spoke = False
    _last_byte = 0.0

    def start_application_mode(self) -> None:
        self._last_byte = time.monotonic()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def ask(self) -> None:
        self.write(CURSOR_POSITION)
        self.flush()

    @property
    def silent(self) -> bool:
        """Whether the terminal is gone: no answer from one that answers, or never a byte from it."""
        quiet = time.monotonic() - self._last_byte
        return (self._answers and quiet > SILENCE) or (not self._spoke and quiet > MUTE)

    def process_message(self, message: Message) -> None:
        self._last_byte, self._spoke = time.monotonic(), True
        self._answers = self._answers or isinstance(message, events.CursorPosition)
        super().process_message(message)


def clamp_terminal() -> None:
    """Set this end's terminal to a size within bounds, for whatever else reads it."""
    with suppress(OSError):
        size = os.get_terminal_size(0)
        within = clamped(size.columns, size.lines)
        if within != (size.columns, size.lines):
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", within[1], within[0], 0, 0))


def clamped(width: int, height: int) -> tuple[int, int]:
    """Bring a size within bounds; a missing one is 80 by 24."""
    return min(width, WIDEST) if width > 0 else 80, min(height, TALLEST) if height > 0 else 24


class SessionApp(DistillApp):
    """A project over SSH, for one person who authenticated by key."""

    def __init__(self, path: Path, actor: Actor, *, key: Path | None = None, idle_minutes: float = 30) -> None:
        self._idle, self._touched = idle_minutes * 60, time.monotonic()
        self.cards = glance.cards(path)
        self.waiting = [card for card in self.cards if actor.person and card.waits_for == actor.person]
        first = self.waiting[0].id if self.waiting else None
        super().__init__(path, key=key, actor=actor, play=first, restricted=True)
        self.driver_class = FarEnd
        self.set_class(True, "-session")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(1, self._leave_when_idle)
        self.set_interval(ASK, self._ask)
        codes = ", ".join(card.code for card in self.waiting)
        text = f"These plays wait for you: {codes}." if self.waiting else "Nothing waits for you."
        to_sign = next((card.code for card in self.waiting if card.next_step is Action.SIGN_OFF), "")
        if to_sign and self.key is None:
            text += f" To sign on your own machine: {self.via(to_sign)}"
        objected = [card.code for card in self.cards if card.objection_concerns(self.actor.person)]
        if objected:
            text += f" The validator objects to {', '.join(objected)}."
        self.call_after_refresh(self.say, text)

    def via(self, code: str, approves: bool = True) -> str:
        return preview.elsewhere(Action.SIGN_OFF if approves else Action.REFUSE, code, self.actor.address)

    def open_play(self, play: int, tab: int = 1) -> None:
        """Open a play that waits for a decision on the tab Decide."""
        deciding = any(card.id == play and card.stage is Stage.DECIDE for card in self.waiting)
        super().open_play(play, DECIDE_TAB if deciding and tab == 1 else tab)

    async def on_event(self, event: events.Event) -> None:
        """Note that the person is active, and accept no size beyond the bounds."""
        if isinstance(event, events.Key | events.MouseEvent | events.Paste):
            self._touched = time.monotonic()
        elif isinstance(event, events.Resize):
            clamp_terminal()
            size = Size(*clamped(event.size.width, event.size.height))
            event = events.Resize(size, size)
        await super().on_event(event)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Stop the cursor from blinking: each blink is written to the line."""
        if isinstance(event.widget, Input | TextArea):
            event.widget.cursor_blink = False

    def _ask(self) -> None:
        if isinstance(self._driver, FarEnd):
            self._driver.ask()

    def _leave_when_idle(self) -> None:
        silent = isinstance(self._driver, FarEnd) and self._driver.silent
        if silent or time.monotonic() - self._touched > self._idle:
            self._leave(0)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the commands that neither write a file nor start a process."""
        for command in super().get_system_commands(screen):
            if command.title in ("Keys and help", "Jobs", "Theme", "Quit"):
                yield command

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Close what leads to a shell, a file or another program."""
        return action not in CLOSED

    def new_play(self) -> None:
        self.say("A session over SSH cannot open a play. Run `distill-tui new NAME` on the host.", "warning")


def run(path: Path, actor: Actor, *, key: Path | None, idle_minutes: float) -> int:
    clamp_terminal()
    app = SessionApp(path, actor, key=key, idle_minutes=idle_minutes)
    code = app.run()
    return code if isinstance(code, int) else (app.return_code or 0)
