"""One command while it runs: its project, play and person, how it prints, and how its errors are explained."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_tui.cli import deferred, terminal
from distill_tui.cli.exits import BAD_INPUT, DONE, FAILED, PROGRAM, REFUSED, USAGE
from distill_tui.people import identity
from distill_tui.reports import text
from distill_tui.rules import next_step
from distill_tui.rules.objection import Refused
from distill_tui.runs.executors import local
from distill_tui.store import project as projects
from distill_tui.store import project_file, queries, sqlite
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.people.ssh_server import Look
    from distill_tui.rules.actor import Actor
    from distill_tui.rules.dossier import PlayDossier, ProjectDossier
    from distill_tui.rules.objection import Objection
    from distill_tui.store.doctor import Finding
    from distill_tui.store.project import Project


class UsageError(click.UsageError):
    """The command line is wrong in a way that only the command can see, not the parser."""


class InputError(Exception):
    """Something that was given cannot be used; one sentence names it and the cure."""


class Call:
    """One command while it runs: the options for every command, and the project, play and person that it is about."""

    def __init__(self) -> None:
        self.project_file: str | None = None
        self.key_given: str | None = None
        self.json = False
        self.plain = False
        self.play = ""
        self.warned = ""  # what was printed when the project file was opened

    def data(self, value: object, lines: Iterable[str] = ()) -> None:
        """Print data to standard output: the value with --json, else the lines, which must be visible text."""
        if self.json:
            sys.stdout.write(json.dumps(value, indent=2, default=_jsonable) + "\n")
        else:
            sys.stdout.writelines(f"{line}\n" for line in lines)

    def talk(self, sentence: str) -> None:
        """Print a message to standard error."""
        sys.stderr.write(f"{visible(sentence)}\n")

    def see_no_link(self) -> None:
        """Check that no symbolic link is named as the project file. Raises ProjectError."""
        named = self.project_file or os.environ.get("DISTILL_PROJECT")
        if named and Path(named).is_symlink():
            project_file.see_no_link(Path(named))

    @cached_property
    def path(self) -> Path:
        """The project file. Raises UsageError unless exactly one is named or found, ProjectError at a link."""
        here = terminal.candidates(self.project_file)
        if len(here) == 1:
            project_file.see_no_link(here[0])
            return here[0]
        if not here:
            raise UsageError(
                "There is no project file here. Name one with --project FILE or DISTILL_PROJECT, or make one with "
                f"`{PROGRAM} init FILE.distill --name TEXT`."
            )
        names = ", ".join(path.name for path in here)
        raise UsageError(f"There are {len(here)} project files here ({names}). Name one with --project FILE.")

    @cached_property
    def project(self) -> Project:
        """The project, open; runs whose workers are gone are marked as lost."""
        project = projects.Project.open(self.path)
        trouble = queries.read_only(project)
        if trouble:
            self.warned = trouble
            self.talk(trouble)
        else:
            local.reap(project)
        return project

    def close(self) -> None:
        if "project" in self.__dict__:
            self.project.close()

    @cached_property
    def key(self) -> Path | None:
        return Path(self.key_given) if self.key_given else None

    @cached_property
    def actor(self) -> Actor:
        """The person: proved by a challenge to the key if one was named, else by the uid of this process."""
        return self.identify(self.project.project_dossier())

    def identify(self, dossier: ProjectDossier) -> Actor:
        """Find the person of this command among the people of a project."""
        return identity.by_account(dossier) if self.key is None else identity.by_key(dossier, self.key)

    @cached_property
    def play_id(self) -> int:
        return queries.find_play(self.project, self.play)

    def dossier(self, *, thorough: bool = False, shown: bool = False) -> PlayDossier:
        """Load everything that is known of the play now."""
        return self.project.dossier(self.play_id, thorough=thorough, shown=shown)

    @property
    def about(self) -> tuple[Project, int, Actor]:
        """The first arguments of every action on a play."""
        return self.project, self.play_id, self.actor

    def done(self, words: str = "", lines: Iterable[str] = (), **data: object) -> None:
        """Report that the action is done, where the play is now, and the next step."""
        dossier = self.dossier(shown=True)
        play, step = dossier.play, next_step.next_step(dossier)
        then = f" Next: `{text.command_line(step, play.code)}`." if step else ""
        if any(run.status.active for run in dossier.runs):  # which most next steps wait for
            then = f" `{PROGRAM} train status {play.code} --follow` follows the run."
        self.talk(f"{words} {play.code} is at {play.stage.value}, round {play.round}.{then}".strip())
        state = {"play": play.code, "stage": play.stage.value, "round": play.round}
        self.data(state | data, lines)

    def checked(self, found: Sequence[Finding | Look]) -> int:
        """Print what was checked and how; return the exit code."""
        rows = [("ok" if each.ok else "WRONG", each.name, each.says) for each in found]
        value = [{"check": each.name, "ok": each.ok, "says": each.says} for each in found]
        self.data(value, text.table(("", "CHECK", "RESULT"), rows, plain=self.plain))
        return DONE if all(each.ok for each in found) else FAILED


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# --- what can go wrong -----------------------------------------------------------------------------------------------


def explain(error: Exception, call: Call) -> int | None:
    """Print one line per reason and return the exit code; None for a bug, which keeps its traceback."""
    if isinstance(error, click.UsageError):
        call.talk(_usage(error))
        return USAGE
    if isinstance(error, Refused):
        for objection in error.objections:
            if objection.sentence != call.warned:
                call.talk(objection.sentence)
        if call.json:
            call.data(plain_objections(error.objections))
        return REFUSED
    sentence = bad_input(error, call)
    if sentence is None:
        return None
    lines = sentence.split("\n")
    for line in lines if isinstance(error, InputError) else [" ".join(lines)]:
        call.talk(line)
    return BAD_INPUT


def _usage(error: click.UsageError) -> str:
    sentence = " ".join(error.format_message().split())
    if isinstance(error, UsageError) or error.ctx is None:
        return sentence
    path = " ".join(error.ctx.command_path.split())
    end = "" if sentence.endswith((".", "?", ")")) and "extra argument" not in sentence else "."
    return f"{path}: {sentence}{end} See `{path} --help`."


_ANSWERS = (
    ("distill_tui.store.project", "ProjectError"),
    ("distill_tui.dataset.records", "BadInput"),
    ("distill_tui.people.keys", "BadSignature"),
    ("distill_tui.people.ssh_server", "ServerError"),
)


def bad_input(error: Exception, call: Call) -> str | None:
    known = [getattr(sys.modules[module], name) for module, name in _ANSWERS if deferred.loaded(module)]
    if isinstance(error, (InputError, *known)):
        return str(error)
    below = getattr(error, "orig", None) or error  # SQLAlchemy wraps what the driver raised
    if isinstance(below, sqlite.DatabaseErrors):
        return f"{_file_name(call)} cannot be used: {sqlite.sentence(below)}. `{PROGRAM} doctor` shows more."
    if sqlite.unknown_word(error):
        return (
            f"{_file_name(call)} contains a word that this release does not know ({error}); restore it from a backup."
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror}. Check that the file and its folder can be read and written, then try again."
    return None


def _file_name(call: Call) -> str:
    try:
        return call.path.name
    except UsageError:
        return "The project file"


@contextmanager
def reading() -> Iterator[None]:
    """Turn a ValueError of a reader into bad input."""
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from None


def text_of(file: str) -> str:
    """Read a text file; - is standard input. Raises InputError."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{Path(file).name} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{Path(file).name} cannot be read: {error.strerror}; give the path of a file.") from None


def plain_objections(reasons: Iterable[Objection]) -> list[dict[str, str]]:
    return [{"rule": reason.rule, "sentence": reason.sentence} for reason in reasons]
