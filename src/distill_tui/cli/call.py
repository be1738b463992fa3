"""One command under way: what it is about, how it speaks, and how what goes wrong is told. It knows no command."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.cli import start, table
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.rules.actor import Actor
    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.rules.objection import Objection
    from distill_tui.store.project import Project


class UsageError(Exception):
    """The command line lacks something that no parser could know."""


class InputError(Exception):
    """Something that was given cannot be used; one sentence says what and the cure."""


class Call:
    """One command under way: its arguments, and the project, play and actor that it is about."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.json: bool = args.json
        self.plain: bool = args.plain

    def data(self, value: object, lines: Iterable[str] = ()) -> None:
        """Print data to standard output: the value with --json, else the lines (made visible by whoever wrote them)."""
        if self.json:
            sys.stdout.write(json.dumps(value, indent=2, default=_jsonable) + "\n")
        else:
            sys.stdout.writelines(f"{line}\n" for line in lines)

    def talk(self, sentence: str) -> None:
        """Say something to whoever reads along, on standard error."""
        sys.stderr.write(f"{visible(sentence)}\n")

    @cached_property
    def path(self) -> Path:
        """The project file that is meant. Raises UsageError where that is not clear."""
        here = start.candidates(self.args.project)
        if len(here) == 1:
            return here[0]
        if not here:
            raise UsageError(
                "There is no project file here; name one with --project FILE or DISTILL_PROJECT, or make one with "
                f"`{table.PROGRAM} init FILE.distill --name TEXT`."
            )
        raise UsageError(f"There are {len(here)} project files here ({_and(here)}); name one with --project FILE.")

    @cached_property
    def project(self) -> Project:
        """The project, opened; runs whose workers are gone are called lost."""
        from distill_tui.runs.executors import local
        from distill_tui.store import queries
        from distill_tui.store.project import Project

        project = Project.open(self.path)
        local.reap(project)
        trouble = queries.look_back(project)
        if trouble:
            self.talk(trouble)
        return project

    @cached_property
    def key(self) -> Path | None:
        """The key that was given."""
        return Path(self.args.key) if self.args.key else None

    @cached_property
    def actor(self) -> Actor:
        """Who acts: by a challenge to the key, where one was given, else by the uid of this process."""
        from distill_tui.people import identity

        dossier = self.project.project_dossier()
        return identity.by_account(dossier) if self.key is None else identity.by_key(dossier, self.key)

    @cached_property
    def play_id(self) -> int:
        """The play that is meant."""
        from distill_tui.store import queries

        return queries.find_play(self.project, self.args.play)

    def dossier(self, *, thorough: bool = False) -> PlayDossier:
        """All that is known of the play now."""
        return self.project.dossier(self.play_id, thorough=thorough)

    @property
    def about(self) -> tuple[Project, int, Actor]:
        """What every verb about a play begins with."""
        return self.project, self.play_id, self.actor

    def done(self, words: str = "", lines: Iterable[str] = (), **data: object) -> None:
        """Say that it is done, how the play stands, and what comes next."""
        from distill_tui.reports import text
        from distill_tui.rules.next_step import next_step

        dossier = self.dossier()
        play, step = dossier.play, next_step(dossier)
        then = f" Next: `{text.command_line(step, play.code)}`." if step else ""
        self.talk(f"{words} {play.code} stands at {play.stage.value}, round {play.round}.{then}".strip())
        state = {"play": play.code, "stage": play.stage.value, "round": play.round}
        self.data(state | data, lines)


def _jsonable(value: object) -> object:
    """JSON for what json does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _and(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)


# --- what can go wrong -----------------------------------------------------------------------------------------------


def explain(error: Exception, call: Call) -> int | None:
    """Say in one line each what is wrong, and give the exit code; None for a bug, which keeps its traceback."""
    from distill_tui.rules.objection import Refused

    if isinstance(error, Refused):
        for objection in error.objections:
            call.talk(objection.sentence)
        if call.json:
            call.data(plain_objections(error.objections))
        return table.REFUSED
    if isinstance(error, UsageError):
        call.talk(str(error))
        return table.USAGE
    said = _said(error, call)
    if said is None:
        return None
    call.talk(" ".join(said.split("\n")))
    return table.BAD_INPUT


_ANSWERS = (
    ("distill_tui.store.project", "ProjectError"),
    ("distill_tui.dataset.readers", "BadInput"),
    ("distill_tui.people.signatures", "BadSignature"),
)


def _said(error: Exception, call: Call) -> str | None:
    from distill_tui.store import sqlite

    known = [getattr(sys.modules[module], name) for module, name in _ANSWERS if module in sys.modules]
    if isinstance(error, (InputError, *known)):
        return str(error)
    below = getattr(error, "orig", None) or error  # SQLAlchemy wraps what the driver raised
    if isinstance(below, sqlite.DatabaseErrors):
        return f"{_file_name(call)} cannot be used: {below}; `{table.PROGRAM} doctor` says more."
    if sqlite.unknown_word(error):
        return f"{_file_name(call)} holds a word that this release does not know ({error}); restore it from a backup."
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror}; see that the file and its folder can be used, and try again."
    return None


def _file_name(call: Call) -> str:
    try:
        return call.path.name
    except UsageError:
        return "The project file"


@contextmanager
def reading() -> Iterator[None]:
    """Take a ValueError from a reader of what was given as what it is: bad input."""
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from None


def text_of(file: str) -> str:
    """Read a text file that was named; - is standard input. Raises InputError."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{Path(file).name} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{Path(file).name} cannot be read: {error.strerror}; give the path of a file.") from None


def plain_objections(reasons: Iterable[Objection]) -> list[dict[str, str]]:
    """Give objections as plain values."""
    return [{"rule": reason.rule, "sentence": reason.sentence} for reason in reasons]


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Read NAME=VALUE words. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"“{word}” is no NAME=VALUE; write it like calls_per_month=900000.")
        if name in found:
            raise UsageError(f"“{name}” is given twice; give it once.")
        found[name] = value
    return found
