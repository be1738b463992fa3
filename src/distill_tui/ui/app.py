"""The app: one project file, who acts on it, and what its screens share.

Its first frame comes from `glance`; the project itself, and SQLModel with it, is opened in a thread afterwards.
`file_watch` notices what others change. The app decides nothing: verbs ask the rules, and it shows their answers.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual import events
from textual.actions import ActionParseResult
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.screen import ModalScreen, Screen
from textual.worker import WorkerFailed

from distill_tui.people import practice_keys, remembered
from distill_tui.rules.actor import Actor
from distill_tui.store import glance, migrations
from distill_tui.ui import file_watch, terminal, themes
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.frame import Heading, MessageLine, why_dimmed

if TYPE_CHECKING:
    from textual.command import Provider

    from distill_tui.store.project import Project
    from distill_tui.ui.play.view import View
    from distill_tui.ui.screens import Screens
    from distill_tui.ui.work import Work

T = TypeVar("T")
STILL_OPENING = "The project is still being opened. Try again in a moment."
AFTER_FIRST_FRAME = 0.03  # seconds; `call_after_refresh` is lost with its screen, if that goes before it is drawn again
MOST_KEYS = 200  # typed ahead of a form
TURN = 0.001  # seconds a loading thread may delay a key; Python's default is 0.005


def _palette() -> type[Provider]:
    from distill_tui.ui.palette import Palette

    return Palette


Commands = Callable[[], Iterable[tuple[str, str]]]  # each as it is typed, PLAY for a play's code, with its sentence


class DistillApp(App[int]):
    """One project file on a terminal."""

    TITLE = "distill-tui"
    CSS_PATH = Path(__file__).with_name("distill.tcss")
    COMMANDS = {_palette}
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit now", show=False, priority=True),
        Binding("colon", "command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "keys", "Help", key_display="?", show=True),
        Binding("J", "jobs", "Jobs: follow, stop", show=False),
        Binding("at", "act_as", "Act as another person (practice projects)", key_display="@", show=False),
    ]

    def __init__(
        self,
        path: Path,
        *,
        key: Path | None = None,
        actor: Actor | None = None,
        play: int | None = None,
        restricted: bool = False,
        commands: Commands = tuple,
    ) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)  # the one way to no colour codes at all
        self.set_class(show.ascii_only(), "-ascii")
        self.path, self.key, self.first_play, self.restricted = path, key, play, restricted
        self.commands = commands
        self.practice = {} if restricted else practice_keys.near(path)  # the keys that `@` may use
        self.work: Work | None = None  # once the project is open
        self.header = glance.header(path)
        self.actor = actor or Actor(None, f"account uid {os.getuid()}")
        self.file_watch = file_watch.FileWatch(self)
        self.read_only = ""  # why nothing can be decided in this file
        self.pressed_at = time.monotonic()  # when a key or the mouse was used last
        self._typed_at: dict[int, Screen[object]] = {}  # by key event: the screen that was open
        self.views: dict[int, View] = {}  # of the plays opened last, by number
        self._clean = terminal.VisibleOnly()
        if os.environ.get("SSH_CONNECTION"):
            self.animation_level = "none"  # every frame crosses the line
        self.register_theme(themes.DARK)
        self.register_theme(themes.LIGHT)
        chosen = remembered.theme()
        self.theme = "ansi-dark" if self.no_color else chosen if chosen in self.available_themes else themes.DARK.name
        self.file_watch.look_up()
        self.left = remembered.left(path, self.actor.person)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.tones(self.current_theme, colour=not self.no_color)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filter everything that is written to the terminal, last of all."""
        return [self._clean, *super().get_line_filters()]

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer few: the palette is for plays and actions."""
        yield SystemCommand("Keys and help", "Every key that works here", self.action_keys)
        yield SystemCommand("Jobs", "What workers do now, and what they did last", self.action_jobs)
        yield SystemCommand("People", "Who is enrolled, and who holds which role", self.action_people)
        yield SystemCommand("Checkup", "What is wrong with this machine or this file", self.action_checkup)
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        yield SystemCommand("Quit", "Leave; runs continue", self.action_quit)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self.pressed_at = time.monotonic()
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed_at = {id(event): self.screen, **dict(list(self._typed_at.items())[:MOST_KEYS])}
        await super().on_event(event)

    async def on_key(self, event: events.Key) -> None:
        """Pass a key that was typed ahead on to the form that opened meanwhile."""
        screen = self._typed_at.pop(id(event), self.screen)
        if screen is not self.screen and isinstance(self.screen, ModalScreen):
            self.screen.post_message(events.Key(event.key, event.character))

    # --- start and end

    def get_default_screen(self) -> BoardScreen:
        return BoardScreen()

    def on_mount(self) -> None:
        if not self.no_color:
            self.theme_changed_signal.subscribe(self, lambda theme: remembered.choose_theme(theme.name))
        if self.first_play is not None:
            self.open_play(self.first_play)
        elif self.left is not None and self.left.opened and glance.has_play(self.path, self.left.play):
            self.open_play(self.left.play, self.left.tab)
        if not self.is_headless:
            terminal.watch_signals(self._leave)
            if self._driver is not None:
                terminal.watch_stops(self._driver, partial(self.refresh, layout=True))
            if not terminal.in_browser():
                self.set_interval(1, self._leave_with_terminal)
        self.set_timer(AFTER_FIRST_FRAME, partial(self.run_worker, self._open, thread=True, group="open"))

    def _leave(self, code: int) -> None:
        self.remember()
        self.exit(code, return_code=code)

    async def action_quit(self) -> None:
        self.remember()
        self.exit()

    def remember(self) -> None:
        """Save the state of the screens for the next start: filter, order, cursor, open play and tab."""
        left = self.screens.left(self.left.tab if self.left is not None else 1)
        if left is not None:
            self.left = left
            remembered.leave(self.path, self.actor.person, left)

    def _leave_with_terminal(self) -> None:
        if terminal.gone():
            terminal.end_soon(129)
            self._leave(129)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Close what a restricted session may not do: suspend to a shell, write files."""
        return not (self.restricted and action in ("suspend_process", "screenshot", "command_line"))

    def _open(self) -> None:
        from distill_tui.ui import work

        try:
            work.open_project(self)
        finally:
            gc.freeze()  # the collector skips what exists now, so that it does not pause between two keys
            gc.enable()

    def opened(self, work: Work, header: glance.Header, seen: int) -> None:
        """Have the screens load; the project file is open from now on."""
        self.work, self.header = work, header
        self.file_watch.begin(seen)
        self.changed()

    @property
    def project(self) -> Project | None:
        return self.work.project if self.work is not None else None

    def on_unmount(self) -> None:
        if self.project is not None:
            self.project.close()

    def _handle_exception(self, error: Exception) -> None:
        """Fail, unless what still loads for a screen finds it gone because the app is being left."""
        if self._exit and isinstance(error, WorkerFailed) and isinstance(error.error, NoMatches):
            return
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self.panic(Text(terminal.what_broke(self._exception, restricted=self.restricted)))

    # --- what the screens share

    def changed(self, *, everything: bool = False) -> None:
        """Have every screen load again what it shows."""
        for screen in self.screen_stack:
            screen.post_message(ProjectChanged(everything=everything))
            for heading in screen.query(Heading):
                heading.draw()

    def say(self, text: str, severity: str = "information") -> None:
        """Show one line on the message line of the nearest screen that has one; severity as in `notify`."""
        for screen in reversed(self.screen_stack):
            lines = screen.query(MessageLine)
            if lines:
                lines.first().say(text, severity)
                return
        self.notify(text, markup=False)

    def warn(self, trouble: str) -> None:
        """Show why nothing can be decided in this file, and keep it in the headings until it is over."""
        if trouble != self.read_only:
            self.read_only = trouble
            if trouble:
                self.say(trouble, "error")
            for heading in self.screen.query(Heading):
                heading.draw()

    def unreadable(self, error: Exception) -> None:
        self.call_from_thread(self.say, file_watch.unreadable(error), "error")

    def load(self, screen: Screen[None], read: Callable[[Project], T], then: Callable[[T], object]) -> None:
        """Read in a thread what a screen shows, and call `then` with it; a later call replaces an earlier one."""
        if self.work is not None:  # until then its opening is followed by a change
            self.work.load(screen, read, then)

    def perform(
        self,
        work: Callable[[Project], T],
        then: Callable[[T], object] | None = None,
        done: str = "",
        rejected: Callable[[str], object] | None = None,
    ) -> None:
        """Run `work` in a thread, then show `done` and call `then` with its result; or show why it was rejected.

        `rejected` is called with that reason too.
        """
        if self.work is None:
            self.say(STILL_OPENING, "warning")
        else:
            self.work.perform(work, then, done, rejected)

    def run_command(self, *words: str) -> None:
        """Run a command as a child process, then show its last line, and all that it printed if that is more."""
        if self.work is None:
            self.say(STILL_OPENING, "warning")
        else:
            self.work.run_command(words)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run an action; if its key is dimmed, show why."""
        if await super().run_action(action, default_namespace, namespaces):
            return True
        target, name, parameters = self._parse_action(action, default_namespace or self, namespaces)
        if target.check_action(name, parameters) is not None:
            return False
        self.say(why_dimmed(target, self.screen, name, parameters), "warning")
        return True

    # --- screens

    def via(self, code: str, approves: bool = True) -> str:
        """Return the command that signs this on another machine; only a session over SSH has one."""
        return ""

    @cached_property
    def screens(self) -> Screens:
        from distill_tui.ui.screens import Screens

        return Screens(self)

    def open_play(self, play: int, tab: int = 1) -> None:
        self.screens.play(play, tab)

    def new_play(self) -> None:
        self.screens.new_play()

    def action_keys(self) -> None:
        self.screens.keys()

    def action_jobs(self) -> None:
        self.screens.jobs()

    def action_act_as(self) -> None:
        """Choose whom to act as; only a practice project has keys for that."""
        if not self.practice or self.project is None:
            self.say("Only a practice project has keys to act as another person. `--key FILE` proves who you are.")
        else:
            self.screens.act_as()

    def become(self, actor: Actor, key: Path | None) -> None:
        self.actor, self.key = actor, key
        self.changed(everything=True)

    def action_people(self) -> None:
        self.screens.people()

    def action_checkup(self) -> None:
        self.screens.checkup()

    def action_command_line(self, begun: str = "", wrong: str = "") -> None:
        """Ask for a command, as in a shell, with `begun` already typed and what is `wrong` with it below."""
        self.screens.command_line(begun, wrong)


def run(path: Path, *, key: Path | None = None, play: int | None = None, commands: Commands = tuple) -> int:
    """Show a project file until the person leaves; return the exit code. Raises ProjectError, BadSignature."""
    on_a_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if not (on_a_terminal or terminal.in_browser()):
        sys.stderr.write("The screens need a terminal; `distill-tui list` and the other commands do not.\n")
        return 2
    sys.setswitchinterval(TURN)
    actor = None
    if key is not None or not migrations.is_present(path):  # before the screens take the terminal
        from distill_tui.ui import work

        actor = work.identify(path, key)
    remembered.opened(path)
    app = DistillApp(path, key=key, actor=actor, play=play, commands=commands)
    code = app.run(mouse=os.environ.get("DISTILL_MOUSE", "1") != "0")
    return code if isinstance(code, int) else (app.return_code or 0)
