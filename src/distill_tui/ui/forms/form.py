"""Forms: what a key opens before anything is written. An action's form is one declaration; this file does the rest.

A form shows what will happen, reads its fields, asks the rules about exactly that, and performs it. What follows a form
is another step: a call of a verb in a thread, a second form, another sheet, or a message. Three strengths of
confirmation: enter; a reason; the play's code, typed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from textual.screen import ModalScreen

from distill_tui.reports import text
from distill_tui.rules import typed
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import Request
from distill_tui.terms import Action
from distill_tui.ui.forms.sheet import Body, Field, Live, Sheet, Values, Wrong
from distill_tui.ui.play.view import OF_THE_HOST, View

if TYPE_CHECKING:
    from distill_tui.rules.actor import Actor
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
STARTED = "A worker has started. J shows its progress."
About = ProjectDossier | PlayDossier | None  # what the rules are asked with
REASON = Field("reason", "reason", hint="It is kept in the log.")


class Step(Protocol):
    """What happens next: a form, a call, another sheet, or a message."""

    def take(self, app: DistillApp, dossier: About) -> None: ...


class WrongField(ValueError):
    """What is wrong with what was typed into one field."""

    def __init__(self, sentence: str, field: str) -> None:
        super().__init__(sentence)
        self.field = field


def nothing(values: Values) -> None:
    """Read nothing: only enter is asked for."""


@dataclass(frozen=True)
class Form(Generic[R]):
    """A sheet that is filled in, checked by the rules, and performed.

    `read` turns the fields into what is asked for, and raises ValueError with a sentence where it cannot. If that is a
    request, the rules are asked about exactly it. `submit` returns what follows.
    """

    action: Action | None  # what the rules are asked about; without one `read` alone decides
    does: str  # what enter does, like “lock it”
    submit: Callable[[R], Step]
    body: Body = ()
    fields: Sequence[Field] = ()
    read: Callable[[Values], R] = nothing  # type: ignore[assignment]
    title: str = ""  # else the action's sentence and the play's code
    typed: str = ""  # what has to be typed
    command: str = ""  # the same from a shell; else the action's command
    more: str = ""  # behind the action's command
    elsewhere: str = ""  # the same from one's own machine, which a session over SSH shows instead
    deaf: bool = False  # ignores what was typed before it was seen
    asks: Callable[[R], Request] | None = None  # the request, where more is read than the rules are asked about
    live: Live | None = None  # what the body shows about the typed values

    def take(self, app: DistillApp, dossier: About) -> None:
        code = dossier.play.code if isinstance(dossier, PlayDossier) else ""
        self._ask(app, dossier, code, {}, "")

    def _ask(self, app: DistillApp, dossier: About, code: str, before: Values, wrong: str) -> None:
        """Show the sheet; again, with what was typed `before` and what was `wrong` with it, where a verb rejects it."""
        title, command = self.title, self.command
        if self.action is not None:
            title = title or f"{self.action.sentence.rstrip('.')}: {code}"
            command = command or text.command_line(self.action, code) + self.more
        sheet = Sheet(
            title,
            self.body,
            [dataclasses.replace(field, value=before.get(field.name, field.value)) for field in self.fields],
            does=self.does,
            check=lambda values: self.problem(values, app, dossier),
            typed=self.typed,
            twin=self.elsewhere if app.restricted else command,
            deaf=self.deaf,
            live=self.live,
            wrong=wrong,
        )

        def then(values: Values) -> Step:
            step = self.submit(self.read(values))
            if self.fields and isinstance(step, Call):
                return dataclasses.replace(step, again=lambda said: self._ask(app, dossier, code, values, said))
            return step

        Ask(sheet, then).take(app, dossier)

    def problem(self, values: Values, app: DistillApp, dossier: About) -> str:
        """Return the first thing wrong with what was typed, or the rules' first objection to it."""
        try:
            asked = self.read(values)
        except ValueError as error:
            return Wrong(str(error), getattr(error, "field", ""))
        if self.action is None or dossier is None:
            return ""
        request = self.asks(asked) if self.asks is not None else asked if isinstance(asked, Request) else None
        return objection(self.action, dossier, app.actor, request)


def objection(action: Action, dossier: About, actor: Actor, request: Request | None = None) -> str:
    """Return the rules' first objection to exactly this, or nothing."""
    reasons = objections(action, dossier, actor, request)
    return reasons[0].sentence if reasons else ""


@dataclass(frozen=True)
class Ask(Generic[T]):
    """A sheet of its own kind, and what follows what it returns."""

    screen: ModalScreen[T | None]
    then: Callable[[T], Step]
    otherwise: str = "Nothing was done."

    def take(self, app: DistillApp, dossier: About) -> None:
        def answered(found: T | None) -> None:
            if found is None:
                app.say(self.otherwise)
            else:
                self.then(found).take(app, dossier)

        app.push_screen(self.screen, answered)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A verb, or a look into the project, in a thread; then `done` on the message line, and what `then` returns."""

    work: Callable[[Project], T]
    done: str = ""
    then: Callable[[T], Step | None] | None = None
    before: str = ""
    again: Callable[[str], object] | None = None  # asks once more, with why the verb rejected it

    def take(self, app: DistillApp, dossier: About) -> None:
        def follow(found: T) -> None:
            step = self.then(found) if self.then is not None else None
            if step is not None:
                step.take(app, dossier)

        if self.before:
            app.say(self.before, "running")
        seen = app.screen

        def rejected(said: str) -> None:
            if self.again is not None and app.screen is seen:  # else the person went on to something else
                self.again(said)

        app.perform(self.work, follow, self.done, rejected)


@dataclass(frozen=True)
class Say:
    """Nothing but a message."""

    text: str
    severity: str = "information"

    def take(self, app: DistillApp, dossier: About) -> None:
        app.say(self.text, self.severity)


@dataclass(frozen=True)
class Show:
    """A sheet to read."""

    screen: ModalScreen[None]

    def take(self, app: DistillApp, dossier: About) -> None:
        app.push_screen(self.screen)


# --- the forms of a play's actions -------------------------------------------------------------------------------

Opens = Callable[["DistillApp", View], Step]
FIRST: dict[Action, Opens] = {}  # the step that an action's key begins with


def opens(action: Action) -> Callable[[Opens], Opens]:
    """Declare the step that an action's key begins with."""

    def declare(first: Opens) -> Opens:
        FIRST[action] = first
        return first

    return declare


def take(app: DistillApp, action: Action, view: View) -> None:
    if app.restricted and action is Action.OPEN_PLAY:
        app.new_play()  # shows where one is opened
        return
    if app.restricted and action in OF_THE_HOST:
        command = f"distill-tui {action.command} {view.play.code}"
        app.say(f"A session over SSH reads no file of the host. Run `{command}` there.", "warning")
        return
    if action not in FIRST:
        where = "on the host" if app.restricted else "in a shell"
        app.say(f"Run `{text.command_line(action, view.play.code)}` {where}.", "warning")
        return
    FIRST[action](app, view).take(app, view.dossier)


def call(
    view: View, done: str, verb: Callable[Concatenate[Project, int, Actor, P], object], *args: P.args, **more: P.kwargs
) -> Call[object]:
    """Return the call of a play's verb by the person who looks at it."""
    return Call(lambda project: verb(project, view.play_id, view.actor, *args, **more), done)


def worker(
    app: DistillApp,
    view: View,
    verb: Callable[Concatenate[Project, int, Actor, P], int],
    *args: P.args,
    **more: P.kwargs,
) -> Call[int]:
    """Return the call of a verb that queues a run whose result the person waits for."""
    work = lambda project: verb(project, view.play_id, view.actor, *args, **more)  # noqa: E731
    return Call(work, STARTED, app.file_watch.await_run)


def plain(
    view: View,
    action: Action,
    does: str,
    step: Step,
    *body: str | tuple[str, str],
    request: Request | None = None,
    title: str = "",
    typed: bool = False,
) -> Step:
    """Return the form of an action that needs nothing but enter, or the play's code."""
    code = view.play.code if typed else ""
    return Form(action, does, lambda asked: step, body, read=lambda values: request, title=title, typed=code)


def filled(
    view: View,
    action: Action,
    does: str,
    verb: Callable[..., object],
    done: str,
    request: type[Request],
    fields: Sequence[Field] = (REASON,),
    body: Body = (),
    *,
    title: str = "",
    typed: bool = False,
    more: str = "",
    **given: object,
) -> Step:
    """Return the form of an action whose fields are those of its request, and the arguments of its verb."""

    def read(values: Values) -> Request:
        return parsed(request, values)

    def submit(asked: Request) -> Step:
        args = [getattr(asked, field.name) for field in fields]
        return call(view, done.format_map(vars(asked)), verb, *args, **given)

    code = view.play.code
    return Form(action, does, submit, body, fields, read, title=title, typed=code if typed else "", more=more)


def parsed(request: type[Request], values: Values) -> Request:
    """Read the fields of a request that were asked for. Raises ValueError for what is not a whole number."""
    made: Callable[..., Request] = request
    types = {field.name: field.type for field in dataclasses.fields(request) if field.name in values}
    return made(**{name: whole(values, name) if type_ == "int" else values[name] for name, type_ in types.items()})


def whole(values: Values, name: str, what: str = "") -> int:
    """Read a whole number above 0. Raises ValueError with `what`."""
    text = values[name]
    number = typed.number(text)
    if number is None or number <= 0 or number != int(number):
        raise WrongField(
            what or f"“{text}” is not a whole number above 0, which {name.replace('_', ' ')} must be.", name
        )
    return int(number)


def file_text(name: str, cure: str) -> str:
    """Read a small file of text. Raises ValueError with the reason and the cure."""
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{Path(name).name} cannot be read: {why}. {cure}") from None
