"""The terminal at the other end of an SSH line: its size within bounds, few bytes to it, and whether it still answers.

sshd does not tell a session that the client's input has ended, and a line that was cut without a word is noticed late.
A terminal answers when it is asked where its cursor is. One that did and does no more has ended, and so has one that
never sent anything at all.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time
from contextlib import suppress

from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message import Message

from distill_tui.ui.thin import Shown

WIDEST, TALLEST = 500, 200  # cells: more is no terminal, and would be drawn all the same
ASK, SILENCE = 10.0, 30.0  # seconds: between two questions, and until no answer means that nobody is there
MUTE = 120.0  # seconds for a terminal that never sent a byte: its person may be reading the first screen
WHERE_IS_THE_CURSOR = "\x1b[6n"


class FarEnd(LinuxDriver):
    """A terminal that is believed within bounds, and told no more than it has to be."""

    _shown: Shown
    _stale = _answers = _spoke = False
    _heard = 0.0

    def start_application_mode(self) -> None:
        """Begin with a terminal of which nothing is known."""
        self._shown, self._heard = Shown(), time.monotonic()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def write(self, data: str) -> None:
        """Write what differs from what is shown."""
        if self._stale:
            self._stale = False
            self._shown.forget()
        if thinner := self._shown.thin(data):
            super().write(thinner)

    def ask(self) -> None:
        """Ask for a sign of life."""
        self.write(WHERE_IS_THE_CURSOR)
        self.flush()

    @property
    def silent(self) -> bool:
        """Whether nobody is there any more: no answer from a terminal that answers, or never a byte from it."""
        quiet = time.monotonic() - self._heard
        return (self._answers and quiet > SILENCE) or (not self._spoke and quiet > MUTE)

    def process_message(self, message: Message) -> None:
        """Take a size that the terminal reports in its input no more seriously than another; note that it spoke."""
        self._heard, self._spoke = time.monotonic(), True
        self._answers = self._answers or isinstance(message, events.CursorPosition)
        if isinstance(message, events.Resize):
            size = Size(*clamped(message.size.width, message.size.height))
            message = events.Resize(size, size)
            self._stale = True
        super().process_message(message)

    def _get_terminal_size(self) -> tuple[int, int]:
        self._stale = True  # it is asked for when it has changed
        clamp_terminal()
        return clamped(*super()._get_terminal_size())

    def _enable_mouse_support(self) -> None:
        """Hear of clicks and the wheel, not of every move."""
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1006h")
            self.flush()

    def _request_terminal_sync_mode_support(self) -> None:
        """Ask for no frames at once: on a slow line, what has come is read while the rest is coming."""


def clamp_terminal() -> None:
    """Tell this end of the line a size within bounds, for whatever else asks for it."""
    with suppress(OSError):
        size = os.get_terminal_size(0)
        within = clamped(size.columns, size.lines)
        if within != (size.columns, size.lines):
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", within[1], within[0], 0, 0))


def clamped(width: int, height: int) -> tuple[int, int]:
    """Bring a size within bounds; none at all is 80 by 24."""
    return min(width, WIDEST) if width > 0 else 80, min(height, TALLEST) if height > 0 else 24
