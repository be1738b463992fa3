"""What tests of the screens do as a person would: type, look, and wait until nothing moves."""

from __future__ import annotations

from typing import Any

from textual.pilot import Pilot

from distill_tui.ui.app import DistillApp
from distill_tui.ui.board.widget import Board
from distill_tui.ui.widgets.frame import MessageLine


def text_of(app: Any) -> str:
    """What the screen shows."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def board_text(board: Board) -> str:
    """What the board shows."""
    return "\n".join(board.render_line(y).text.rstrip() for y in range(board.size.height))


def told(app: DistillApp) -> str:
    """What the nearest message line says."""
    lines = [line for screen in reversed(app.screen_stack) for line in screen.query(MessageLine)]
    return lines[0].text


async def typed(pilot: Pilot[int], text: str, then: str = "") -> None:
    """Type a text, and then press a key."""
    await pilot.press(*("space" if each == " " else each for each in text), *([then] if then else []))


async def settled(pilot: Any) -> None:
    """Wait until the project is open and, for a moment, nothing more is loading."""
    quiet = 0
    for _ in range(600):
        await pilot.pause(0.02)
        busy = pilot.app.project is None or not all(worker.is_finished for worker in pilot.app.workers)
        quiet = 0 if busy else quiet + 1
        if quiet > 5:
            return
