"""The screens inside a session over SSH: no shell, no files, no child process; straight at what waits for this person.

The other end of the line is somebody's terminal, or says so: its size and silence are not trusted either.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from textual import events
from textual.app import SystemCommand
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Input, TextArea

from distill_tui.rules.actor import Actor
from distill_tui.store import glance
from distill_tui.terms import Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.far_end import ASK, FarEnd, clamp_terminal, clamped

CLOSED = ("suspend_process", "screenshot", "command_line", "people", "checkup", "new_play")
DECIDE_TAB = 6


class SessionApp(DistillApp):
    """A project over SSH, for one person who authenticated by key."""

    def __init__(self, path: Path, actor: Actor, *, key: Path | None = None, idle_minutes: float = 30) -> None:
        self._idle, self._touched = idle_minutes * 60, time.monotonic()
        self.waiting = [card for card in glance.cards(path) if actor.person and card.waits_for == actor.person]
        first = self.waiting[0].id if self.waiting else None
        super().__init__(path, key=key, actor=actor, play=first, restricted=True)
        self.driver_class = FarEnd
        self.set_class(True, "-session")

    def on_mount(self) -> None:
        """Open what waits, and watch for a line that nobody sits at any more."""
        super().on_mount()
        self.set_interval(1, self._leave_when_idle)
        self.set_interval(ASK, self._ask)
        codes = ", ".join(card.code for card in self.waiting)
        says = f"These plays wait for you: {codes}." if self.waiting else "Nothing waits for you."
        if any(card.stage is Stage.DECIDE for card in self.waiting) and self.key is None:
            says += f" To sign on your own machine: {self.via(codes.split(', ')[0])}"
        self.call_after_refresh(self.say, says)

    def via(self, code: str) -> str:
        """Give the command that signs on the validator's own machine, as far as this end knows its own address."""
        return f"distill-tui sign --via {self.actor.address or 'ssh://HOST'} {code} --approve -m TEXT --key FILE"

    def open_play(self, play: int, tab: int = 1) -> None:
        """Show a play that is to be decided where it is decided."""
        deciding = any(card.id == play and card.stage is Stage.DECIDE for card in self.waiting)
        super().open_play(play, DECIDE_TAB if deciding and tab == 1 else tab)

    async def on_event(self, event: events.Event) -> None:
        """Note that the person is active, and take no size beyond the bounds."""
        if isinstance(event, events.Key | events.MouseEvent | events.Paste):
            self._touched = time.monotonic()
        elif isinstance(event, events.Resize):
            clamp_terminal()
            size = Size(*clamped(event.size.width, event.size.height))
            event = events.Resize(size, size)
        await super().on_event(event)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Let no cursor blink: each blink is written to the line."""
        if isinstance(event.widget, Input | TextArea):
            event.widget.cursor_blink = False

    def _ask(self) -> None:
        if isinstance(self._driver, FarEnd):
            self._driver.ask()

    def _leave_when_idle(self) -> None:
        silent = isinstance(self._driver, FarEnd) and self._driver.silent
        if silent or time.monotonic() - self._touched > self._idle:
            self._leave(0)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer what neither writes a file nor starts anything."""
        for command in super().get_system_commands(screen):
            if command.title in ("Keys and help", "Jobs", "Theme", "Quit"):
                yield command

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Close whatever leads to a shell, a file or another program."""
        return action not in CLOSED

    def new_play(self) -> None:
        """Open none: a session is for what waits already."""
        self.say("A session over SSH opens no play; do this on the host: `distill-tui new NAME`.", "warning")

    def twin(self, *words: str, done: str = "", shows: bool = False) -> None:
        """Start nothing: a child would not be this person."""
        self.say("A session over SSH starts no command; do this on the host.", "warning")


def run(path: Path, actor: Actor, *, key: Path | None, idle_minutes: float) -> int:
    """Show the project until the person leaves, or is gone; gives the exit code."""
    clamp_terminal()
    app = SessionApp(path, actor, key=key, idle_minutes=idle_minutes)
    code = app.run()
    return code if isinstance(code, int) else (app.return_code or 0)
