"""The screens that open over the board; they load when the first of them opens, so that the first frame waits for none.

The forms load with SQLModel, so that what needs them is imported when it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_tui.people.remembered import Left
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import waits_for
from distill_tui.ui import act_as
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.checkup import CheckupScreen
from distill_tui.ui.command_line import CommandLine
from distill_tui.ui.help import HelpScreen
from distill_tui.ui.play.screen import PlayScreen

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@dataclass(frozen=True)
class Screens:
    """Opens each of them over what an app shows."""

    app: DistillApp

    @property
    def _dossier(self) -> PlayDossier | None:
        dossiers = (getattr(screen, "dossier", None) for screen in reversed(self.app.screen_stack))
        return next((dossier for dossier in dossiers if dossier is not None), None)

    def left(self, tab: int) -> Left | None:
        """Return the state of the screens for the next start; `tab` where no play is open. None without a board."""
        stack = self.app.screen_stack
        board = next((screen for screen in stack if isinstance(screen, BoardScreen)), None)
        play = next((screen for screen in reversed(stack) if isinstance(screen, PlayScreen)), None)
        if board is None:
            return None
        shelf = board.board.shelf
        at = play.play_id if play is not None else shelf.selected.id if shelf.selected else 0
        return Left(shelf.words, shelf.order, shelf.killed, at, play is not None, play.tab if play is not None else tab)

    def play(self, number: int, tab: int) -> None:
        self.app.push_screen(PlayScreen(number, tab))

    def new_play(self) -> None:
        from distill_tui.ui.forms import gate

        gate.new_play(self.app).take(self.app, None)

    def keys(self) -> None:
        if not isinstance(self.app.screen, HelpScreen):
            self.app.push_screen(HelpScreen(self.app.screen))

    def jobs(self) -> None:
        from distill_tui.ui.jobs import JobsScreen

        self.app.push_screen(JobsScreen())

    def people(self) -> None:
        from distill_tui.ui.roster import RosterScreen

        self.app.push_screen(RosterScreen())

    def checkup(self) -> None:
        self.app.push_screen(CheckupScreen())

    def act_as(self) -> None:
        dossier = self._dossier
        self.app.push_screen(act_as.menu(self.app, waits_for(dossier) if dossier is not None else None))

    def command_line(self, begun: str, wrong: str = "") -> None:
        code = self._dossier.code if self._dossier is not None else ""
        self.app.push_screen(
            CommandLine(begun, code, wrong), lambda words: self.app.run_command(*words) if words else None
        )
