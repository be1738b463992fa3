"""Leave the terminal as it was found, whatever happens, and let nothing through that could steer it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

from rich.segment import Segment
from textual.color import Color
from textual.driver import Driver
from textual.filter import LineFilter

from distill_tui.ui.widgets import show

GRACE = 2.0  # seconds for a clean shutdown; a terminal that is gone can block Textual's last writes for ever


class VisibleOnly(LineFilter):
    """The last net under all output: control codes and bidi controls from anywhere become marks of one cell."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Replace them, and keep the line as wide as it was laid out."""
        if all(segment.control or show.visible(segment.text) == segment.text for segment in segments):
            return segments
        width = Segment.get_line_length(segments)
        cleaned = [s if s.control else Segment(show.visible(s.text), s.style) for s in segments]
        return Segment.adjust_line_length(cleaned, width, pad=False)


def watch_signals(leave: Callable[[int], None]) -> None:
    """On SIGTERM and SIGHUP call `leave` with the exit code, and make sure that the process ends soon after."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _leave, leave, 128 + number)


def watch_stops(driver: Driver, paint: Callable[[], object]) -> None:
    """After a stop take the terminal anew, from the state in which it was found, and paint all of it.

    A SIGSTOP is heard by nobody, so that the terminal was never given back. Textual would take it once more when it
    goes on, with the raw state in which it stands for the one that it was found in, and leave it like that in the end.
    """
    loop, given_back = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal given_back
        driver.suspend_application_mode()
        given_back = True
        os.kill(os.getpid(), signal.SIGSTOP)

    def go_on() -> None:
        nonlocal given_back
        if not given_back:
            driver.suspend_application_mode()
        given_back = False
        driver.resume_application_mode()
        paint()

    loop.add_signal_handler(signal.SIGTSTP, stop)
    loop.add_signal_handler(signal.SIGCONT, go_on)


def gone() -> bool:
    """Whether the terminal was taken away without a signal."""
    try:
        return not os.isatty(0)
    except OSError:
        return True


def _leave(leave: Callable[[int], None], code: int) -> None:
    end_soon(code)
    leave(code)


def end_soon(code: int) -> None:
    """End this process in a moment even where a clean shutdown hangs on a terminal that is gone."""
    timer = threading.Timer(GRACE, os._exit, [code])
    timer.daemon = True
    timer.start()
