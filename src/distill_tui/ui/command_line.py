"""The `:` line: a command of the command line is typed, and runs in a process of its own."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


class CommandLine(ModalScreen[list[str] | None]):
    """One line for a command of the command line, for this project."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab", "complete", show=False, priority=True),
    ]
    history: ClassVar[list[str]] = []

    def __init__(self, begun: str, code: str) -> None:
        super().__init__()
        self.begun, self.code, self.back = begun, code, 0

    def compose(self) -> ComposeResult:
        with Vertical(id="command-line"):
            yield Input(
                self.begun,
                placeholder="a command, as after distill-tui in a shell; tab completes",
                suggester=SuggestFromList([begun for begun, _ in commands(self.app, self.code)]),
                select_on_focus=False,
                compact=True,
            )

    def on_mount(self) -> None:
        box = self.query_one(Input)
        box.focus()
        box.action_end()

    def action_recall(self, by: int) -> None:
        self.back = max(0, min(self.back - by, len(self.history)))
        box = self.query_one(Input)
        box.value = self.history[-self.back] if self.back else self.begun
        box.action_end()

    def action_complete(self) -> None:
        self.query_one(Input).action_cursor_right()

    @on(Input.Submitted)
    def _run(self, event: Input.Submitted) -> None:
        text = event.value.strip().removeprefix("distill-tui ")
        try:
            words = shlex.split(text)
        except ValueError as error:
            self.notify(f"{error}", markup=False, severity="warning")
            return
        if words:
            self.history.append(event.value)
        self.dismiss(words or None)


def commands(app: App[Any], code: str = "") -> list[tuple[str, str]]:
    """Return each command as one begins to type it, with the code of the play that is open, and its sentence."""
    listed = cast("DistillApp", app).commands()
    play = f" {code}" if code else ""
    return sorted((f"{words.replace(' PLAY', play)} ", sentence) for words, sentence in listed)


async def run(path: Path, key: Path | None, words: Sequence[str]) -> tuple[bool, list[str], str]:
    """Run `distill-tui --project PATH words…`; return whether it succeeded, the data it printed, and its last line."""
    prove = ("--key", str(key)) if key is not None else ()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "distill_tui", "--project", str(path), *prove, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # nothing that it asks reaches our terminal, and it survives the terminal's end
    )
    output, errors = await child.communicate()
    data, talk = _lines(output), _lines(errors)
    well = child.returncode == 0
    return well, data, ["Done." if well else f"It ended with code {child.returncode}.", *data, *talk][-1]


def _lines(output: bytes) -> list[str]:
    return [line.rstrip() for line in output.decode(errors="replace").splitlines() if line.strip()]
