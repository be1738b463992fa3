"""The terminal at the other end of an SSH connection: its size within bounds, and whether it still answers.

sshd does not tell a session that the client's input has ended, and notices a broken connection late. A terminal
answers when it is asked for the position of its cursor. One that did and no longer does is gone, and so is one that
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
from textual.message import Message

WIDEST, TALLEST = 500, 200  # cells: no terminal is larger, and a larger size would be drawn all the same
ASK, SILENCE = 10.0, 30.0  # seconds: between two questions, and without an answer before the session ends
MUTE = 120.0  # seconds for a terminal that never sent a byte: its person may be reading the first screen
CURSOR_POSITION = "\x1b[6n"


class FarEnd(LinuxDriver):
    """A driver that asks its terminal for a sign of life and notes whether one came."""

    _answers = _spoke = False
    _heard = 0.0

    def start_application_mode(self) -> None:
        """Begin to count the silence."""
        self._heard = time.monotonic()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def ask(self) -> None:
        """Ask for a sign of life."""
        self.write(CURSOR_POSITION)
        self.flush()

    @property
    def silent(self) -> bool:
        """Whether the terminal is gone: no answer from one that answers, or never a byte from it."""
        quiet = time.monotonic() - self._heard
        return (self._answers and quiet > SILENCE) or (not self._spoke and quiet > MUTE)

    def process_message(self, message: Message) -> None:
        """Note that the terminal sent something."""
        self._heard, self._spoke = time.monotonic(), True
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
