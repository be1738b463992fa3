"""What is done in threads with the open project: loading for a screen, a person's action, a command."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.screen import Screen
from textual.worker import get_current_worker

from distill_tui.people import identity
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.runs.executors import local
from distill_tui.store import glance, queries, sqlite
from distill_tui.store.project import Project, ProjectError
from distill_tui.ui import command_line
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.output import OutputSheet

if TYPE_CHECKING:
    from distill_tui.rules.entities import Run
    from distill_tui.ui.app import DistillApp

T = TypeVar("T")


def answers() -> tuple[type[Exception], ...]:
    """Return the errors that are answers to show, not faults: a refusal, bad input, an unusable file."""
    return (Refused, ProjectError, ValueError, *sqlite.errors())


def identify(path: Path, key: Path | None) -> Actor | None:
    """Return whose key it is: ssh-keygen may ask for a passphrase. Raises ProjectError, BadSignature."""
    project = Project.open(path)
    actor = identity.by_key(project.project_dossier(), key) if key is not None else None
    project.close()
    return actor


def open_project(app: DistillApp) -> None:
    try:
        project = Project.open(app.path)
        seen = project.version()
        header = glance.header(app.path, app.header)  # changes since the first frame
        read_only = queries.read_only(project)
    except answers() as error:
        app.call_from_thread(app.say, sqlite.sentence(error), "error")
        return
    app.call_from_thread(app.opened, Work(app, project), header, seen)
    app.call_from_thread(app.warn, read_only)


@dataclass(frozen=True)
class Work:
    """The open project of an app, and what is done with it beyond the screens' own thread."""

    app: DistillApp
    project: Project

    def load(self, screen: Screen[None], read: Callable[[Project], T], then: Callable[[T], object]) -> None:
        work = partial(self._load, screen, read, then)
        screen.run_worker(work, thread=True, exclusive=True, group="load")

    def _load(self, screen: Screen[None], read: Callable[[Project], T], then: Callable[[T], object]) -> None:
        try:
            found = read(self.project)
        except sqlite.errors() as error:
            self.app.unreadable(error)
            return
        if not get_current_worker().is_cancelled and screen.is_mounted:
            self.app.call_from_thread(then, found)

    def perform(
        self,
        work: Callable[[Project], T],
        then: Callable[[T], object] | None,
        done: str,
        rejected: Callable[[str], object] | None = None,
    ) -> None:
        self.app.run_worker(partial(self._perform, work, then, done, rejected), thread=True)

    def _perform(
        self,
        work: Callable[[Project], T],
        then: Callable[[T], object] | None,
        done: str,
        rejected: Callable[[str], object] | None,
    ) -> None:
        try:
            result = work(self.project)
        except answers() as error:
            said = sqlite.sentence(error) or type(error).__name__
            self.app.call_from_thread(self.app.say, said, "error")
            if rejected is not None:
                self.app.call_from_thread(rejected, said)
            return
        self.app.call_from_thread(self._performed, result, then, done)

    def _performed(self, result: T, then: Callable[[T], object] | None, done: str) -> None:
        app, before = self.app, self.app.screen
        if done:
            app.say(done, "success")
        if then is not None:
            then(result)
        if done and app.screen is not before:
            app.call_after_refresh(app.say, done, "success")
        app.file_watch.poll()

    def run_command(self, words: tuple[str, ...]) -> None:
        self.app.say(f"{' '.join(words[:3])} {show.glyph('dots')} is running", "running")
        self.app.run_worker(self._run_command(words), group="command")

    async def _run_command(self, words: tuple[str, ...]) -> None:
        app = self.app
        code, data, last = await command_line.run(app.path, app.key, words)
        app.say(last, "success" if not code else "error")
        if code == command_line.USAGE:  # what was typed is kept, to be corrected
            app.action_command_line(shlex.join(words), last)
        if len(data) > 1:
            app.push_screen(OutputSheet(f"distill-tui {' '.join(words)}", data))
        app.file_watch.poll()

    def run(self, number: int) -> Run:
        run = queries.run(self.project, number)
        assert run is not None
        return run

    def reap(self) -> None:
        local.reap(self.project)
