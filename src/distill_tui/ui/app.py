"""The app: one project file, who acts on it, and what its screens share.

Its first frame comes from `glance`; the project itself, and SQLModel with it, is opened in a thread afterwards.
`file_watch` notices what others change. The app decides nothing: verbs ask the rules, and it shows their answers.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.text import Text
from textual.actions import ActionParseResult
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import get_current_worker

from distill_tui.people import remembered
from distill_tui.rules.actor import Actor
from distill_tui.store import glance, sqlite
from distill_tui.ui import file_watch, terminal, themes
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.frame import Heading, MessageLine, why_dimmed
from distill_tui.ui.widgets.output import OutputSheet

if TYPE_CHECKING:
    from textual.command import Provider

    from distill_tui.store.project import Project
    from distill_tui.ui.play.view import View

T = TypeVar("T")
TURN = 0.001  # seconds a loading thread may delay a key; Python's default is 0.005


def _palette() -> type[Provider]:
    from distill_tui.ui.palette import Palette

    return Palette


Commands = Callable[[], Iterable[tuple[str, str]]]  # each as it is typed, PLAY for a play's code, with its sentence


class DistillApp(App[int]):
    """One project file on a terminal."""

    TITLE = "distill-tui"
    CSS_PATH = Path(__file__).with_name("distill.tcss")
    COMMANDS: ClassVar[set[Any]] = {_palette}
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit now", show=False, priority=True),
        Binding("colon", "command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "keys", "Help", key_display="?", show=True),
        Binding("J", "jobs", "Jobs: follow, stop", show=False),
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
        self.project: Project | None = None
        self.header = glance.header(path)
        self.actor = actor or Actor(None, f"account uid {os.getuid()}")
        self.file_watch = file_watch.FileWatch(self)
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

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer few: the palette is for plays and actions."""
        yield SystemCommand("Keys and help", "Every key that works here", self.action_keys)
        yield SystemCommand("Jobs", "What workers do now, and what they did last", self.action_jobs)
        yield SystemCommand("People", "Who is enrolled, and who holds which role", self.action_people)
        yield SystemCommand("Checkup", "What is wrong with this machine or this file", self.action_checkup)
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        yield SystemCommand("Quit", "Leave; runs continue", self.action_quit)

    # --- start and end

    def get_default_screen(self) -> Screen[Any]:
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
            self.set_interval(1, self._leave_with_terminal)
        self.call_after_refresh(self.run_worker, self._open, thread=True, group="open")

    def _leave(self, code: int) -> None:
        self.remember()
        self.exit(code, return_code=code)

    async def action_quit(self) -> None:
        self.remember()
        self.exit()

    def remember(self) -> None:
        """Save the state of the screens for the next start: filter, order, cursor, open play and tab."""
        from distill_tui.ui.play.screen import PlayScreen

        board = next((screen for screen in self.screen_stack if isinstance(screen, BoardScreen)), None)
        play = next((screen for screen in reversed(self.screen_stack) if isinstance(screen, PlayScreen)), None)
        if board is None:
            return
        shelf = board.board.shelf
        at = play.play_id if play is not None else shelf.selected.id if shelf.selected else 0
        tab = play.tab if play is not None else self.left.tab if self.left is not None else 1
        self.left = remembered.Left(shelf.words, shelf.order, shelf.killed, at, play is not None, tab)
        remembered.leave(self.path, self.actor.person, self.left)

    def _leave_with_terminal(self) -> None:
        if terminal.gone():
            terminal.end_soon(129)
            self._leave(129)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Close what a restricted session may not do: suspend to a shell, write files."""
        return not (self.restricted and action in ("suspend_process", "screenshot", "command_line"))

    def _open(self) -> None:
        try:
            self._open_project()
        finally:
            gc.freeze()  # the collector skips what exists now, so that it does not pause between two keys
            gc.enable()

    def _open_project(self) -> None:
        from distill_tui.store import queries
        from distill_tui.store.project import Project

        try:
            project = Project.open(self.path)
            seen = project.version()
            header = glance.header(self.path, self.header)  # changes since the first frame
            trouble = queries.look_back(project)
        except answers() as error:
            self.call_from_thread(self.say, sqlite.sentence(error), "error")
            return
        self.call_from_thread(self._opened, project, header, seen)
        if trouble:
            self.call_from_thread(self.say, trouble, "error")

    def _opened(self, project: Project, header: glance.Header, seen: int) -> None:
        self.project, self.header = project, header
        self.file_watch.begin(seen)
        self.changed()

    def on_unmount(self) -> None:
        if self.project is not None:
            self.project.close()

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

    def unreadable(self, error: Exception) -> None:
        """Show, from a thread, that the file cannot be read."""
        self.call_from_thread(self.say, file_watch.unreadable(error), "error")

    def load(self, screen: Screen[Any], read: Callable[[Project], T], then: Callable[[T], object]) -> None:
        """Read in a thread what a screen shows, and call `then` with it; a later call replaces an earlier one."""
        if self.project is not None:  # until then its opening is followed by a change
            work = partial(self._load, self.project, screen, read, then)
            screen.run_worker(work, thread=True, exclusive=True, group="load")

    def _load(
        self, project: Project, screen: Screen[Any], read: Callable[[Project], T], then: Callable[[T], object]
    ) -> None:
        try:
            found = read(project)
        except sqlite.errors() as error:
            self.unreadable(error)
            return
        if not get_current_worker().is_cancelled and screen.is_mounted:
            self.call_from_thread(then, found)

    def perform(self, work: Callable[[Project], T], then: Callable[[T], object] | None = None, done: str = "") -> None:
        """Run `work` in a thread, then show `done` and call `then` with its result; or show why it was refused."""
        if self.project is None:
            self.say("The project is still being opened. Try again in a moment.", "warning")
            return
        self.run_worker(partial(self._perform, self.project, work, then, done), thread=True)

    def _perform(
        self, project: Project, work: Callable[[Project], T], then: Callable[[T], object] | None, done: str
    ) -> None:
        try:
            result = work(project)
        except answers() as error:
            self.call_from_thread(self.say, sqlite.sentence(error) or type(error).__name__, "error")
            return
        self.call_from_thread(self._performed, result, then, done)

    def _performed(self, result: T, then: Callable[[T], object] | None, done: str) -> None:
        before = self.screen
        if done:
            self.say(done, "success")
        if then is not None:
            then(result)
        if done and self.screen is not before:
            self.call_after_refresh(self.say, done, "success")
        self.file_watch.poll()

    def run_command(self, *words: str) -> None:
        """Run a command as a child process, then show its last line, and all that it printed if that is more."""
        self.say(f"{' '.join(words[:3])} {show.glyph('dots')} is running", "running")
        self.run_worker(self._run_command(words), group="command")

    async def _run_command(self, words: tuple[str, ...]) -> None:
        from distill_tui.ui import command_line

        well, data, last = await command_line.run(self.path, self.key, words)
        self.say(last, "success" if well else "error")
        if len(data) > 1:
            self.push_screen(OutputSheet(f"distill-tui {' '.join(words)}", data))
        self.file_watch.poll()

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

    def via(self, code: str) -> str:
        """Return the command that signs this on another machine; only a session over SSH has one."""
        return ""

    def open_play(self, play: int, tab: int = 1) -> None:
        from distill_tui.ui.play.screen import PlayScreen

        self.push_screen(PlayScreen(play, tab))

    def new_play(self) -> None:
        from distill_tui.ui.forms import gate

        gate.new_play(self).take(self, None)

    def action_keys(self) -> None:
        from distill_tui.ui.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_jobs(self) -> None:
        from distill_tui.ui.jobs import JobsScreen

        self.push_screen(JobsScreen())

    def action_people(self) -> None:
        from distill_tui.ui.roster import RosterScreen

        self.push_screen(RosterScreen())

    def action_checkup(self) -> None:
        from distill_tui.ui.checkup import CheckupScreen

        self.push_screen(CheckupScreen())

    def action_command_line(self, begun: str = "") -> None:
        """Ask for a command, as in a shell, with `begun` already typed."""
        from distill_tui.ui.command_line import CommandLine

        dossiers = (getattr(screen, "dossier", None) for screen in reversed(self.screen_stack))
        code = next((dossier.code for dossier in dossiers if dossier is not None), "")
        self.push_screen(CommandLine(begun, code), lambda words: self.run_command(*words) if words else None)


def answers() -> tuple[type[Exception], ...]:
    """Return the errors that are answers to show, not faults: a refusal, bad input, an unusable file."""
    from distill_tui.rules.objection import Refused
    from distill_tui.store.project import ProjectError

    return (Refused, ProjectError, ValueError, *sqlite.errors())


def run(path: Path, *, key: Path | None = None, play: int | None = None, commands: Commands = tuple) -> int:
    """Show a project file until the person leaves; return the exit code. Raises ProjectError, BadSignature."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        sys.stderr.write("The screens need a terminal; `distill-tui list` and the other commands do not.\n")
        return 2
    sys.setswitchinterval(TURN)
    actor = None
    if key is not None:  # before the screens take the terminal: ssh-keygen may ask for a passphrase
        from distill_tui.people import identity
        from distill_tui.store.project import Project

        project = Project.open(path)
        actor = identity.by_key(project.project_dossier(), key)
        project.close()
    else:
        _check(path)
    remembered.opened(path)
    app = DistillApp(path, key=key, actor=actor, play=play, commands=commands)
    code = app.run(mouse=os.environ.get("DISTILL_MOUSE", "1") != "0")
    return code if isinstance(code, int) else (app.return_code or 0)


def _check(path: Path) -> None:
    """Check the file's format. Raises ProjectError with the reason where the screens cannot read it."""
    from distill_tui.store import migrations

    try:
        connection = sqlite.connect(path, read_only=True)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
        finally:
            connection.close()
    except sqlite.DatabaseErrors:
        version, application = None, None
    if (version, application) != (migrations.VERSION, migrations.APPLICATION_ID):
        from distill_tui.store.project import Project

        Project.open(path).close()
