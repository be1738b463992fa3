"""The `:` line: a command of the command line is typed, and runs in a process of its own."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from distill_tui.ui.widgets import show

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


USAGE = 2  # the exit code of a command that is wrong as it was typed


class CommandLine(ModalScreen[list[str] | None]):
    """One line for a command of the command line, for this project."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab", "complete", show=False, priority=True),
    ]
    history: ClassVar[list[str]] = []

    def __init__(self, begun: str, code: str, wrong: str = "") -> None:
        super().__init__()
        self.begun, self.code, self.wrong, self.back = begun, code, wrong, 0

    def compose(self) -> ComposeResult:
        with Vertical(id="command-line"):
            yield Input(
                self.begun,
                placeholder="a command, as after distill-tui in a shell; tab completes",
                suggester=SuggestFromList([begun for begun, _ in commands(self.app, self.code)]),
                select_on_focus=False,
                compact=True,
            )
            yield Static(show.visible(self.wrong), id="command-wrong", markup=False)

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
            self._say(f"{error}: close the quotation.")
            return
        known = [begun.split() for begun, _ in commands(self.app)]
        if words and known and (wrong := unknown(words, known)):
            self._say(wrong)
            return
        if words:
            self.history.append(event.value)
        self.dismiss(words or None)

    def _say(self, text: str) -> None:
        self.query_one("#command-wrong", Static).update(show.visible(text))


def unknown(words: Sequence[str], known: Sequence[Sequence[str]]) -> str:
    """Return that no command begins so, with those that are written most alike; empty where one does."""
    bare = [[word for word in each if word != "PLAY"] for each in known]
    if words[0].startswith("-") or any(list(words[: len(each)]) == each for each in bare):
        return ""
    two = " ".join(words[:2])
    if any(each[0] == words[0] for each in bare):  # the first of two words
        alike = [" ".join(each) for each in bare if each[0] == words[0]]
    else:
        alike = get_close_matches(two, [" ".join(each) for each in bare], 3, 0.5)
        alike += get_close_matches(words[0], [" ".join(each) for each in bare], 3, 0.6)
    proposed = ", ".join(dict.fromkeys(alike))
    return (
        f"“{two}” is not a command. {f'Did you mean: {proposed}?' if proposed else '? lists the keys, help the words.'}"
    )


def commands(app: DistillApp, code: str = "") -> list[tuple[str, str]]:
    """Return each command as one begins to type it, with the code of the play that is open, and its sentence."""
    listed = app.commands()
    play = f" {code}" if code else ""
    return sorted((f"{words.replace(' PLAY', play)} ", sentence) for words, sentence in listed)


async def run(path: Path, key: Path | None, words: Sequence[str]) -> tuple[int, list[str], str]:
    """Run `distill-tui --project PATH words…`; return its exit code, the data it printed, and its last line."""
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
    code = child.returncode if child.returncode is not None else 1
    return code, data, ["Done." if not code else f"It ended with code {code}.", *data, *talk][-1]


def _lines(output: bytes) -> list[str]:
    return [line.rstrip() for line in output.decode(errors="replace").splitlines() if line.strip()]
