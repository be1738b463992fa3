"""Leave the terminal as it was found, whatever happens, and filter what could steer it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.segment import Segment
from textual.color import Color
from textual.driver import Driver
from textual.filter import LineFilter

from distill_tui.ui.widgets import show

GRACE = 2.0  # seconds for a clean shutdown; writes to a terminal that is gone can block forever


class VisibleOnly(LineFilter):
    """The last filter of all output: control codes and bidi controls become marks of one cell."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Replace them and keep the width of the line."""
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
    """After a stop restore the terminal's original state, take it again, and repaint.

    SIGSTOP cannot be handled, so the terminal was not restored before it. On SIGCONT Textual would save the raw state
    as the original one, and leave the terminal raw at the end.
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


def what_broke(error: BaseException | None, *, restricted: bool) -> str:
    """Return a traceback without locals, which hold people's rows; a restricted session gets only the place.

    Textual would print its own traceback, with both locals and codes that steer the terminal.
    """
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    if restricted and error is not None:
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" at {Path(frame[0].filename).name}:{frame[0].lineno}" if frame else ""
        lines = [f"The screens failed ({type(error).__name__}{place}). What was not confirmed was not recorded."]
    return "\n".join(map(show.visible, lines))


def in_browser() -> bool:
    """Whether textual-serve shows the screens in a browser: then there is no terminal, and no one to leave with."""
    return "TEXTUAL_DRIVER" in os.environ


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
    """End this process soon, even if a clean shutdown hangs on a terminal that is gone."""
    timer = threading.Timer(GRACE, os._exit, [code])
    timer.daemon = True
    timer.start()
