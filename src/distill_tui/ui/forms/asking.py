"""How a key asks before it acts: a sheet that says what will happen, then the verb that has the action's name.

Three strengths: enter does it; a reason is asked for; the play's code is to be typed. What takes long goes through the
command-line twin in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from distill_tui.reports import text
from distill_tui.rules.dossier import Request
from distill_tui.rules.permission import objections
from distill_tui.terms import Action
from distill_tui.ui.forms.sheets import Body, Field, Sheet, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


def ask(app: DistillApp, sheet: Sheet, then: Callable[[Values], object]) -> None:
    """Show a sheet, and go on with what it gives; nothing means nothing."""

    def answered(values: Values | None) -> None:
        if values is None:
            app.say("Nothing was done.")
        else:
            then(values)

    app.push_screen(sheet, answered)


def twin(action: Action, view: View) -> str:
    """Give the command that does the same."""
    return text.command_line(action, view.play.code) + _MORE.get(action, "")


_MORE = {
    Action.SIGN_OFF: " --approve -m TEXT",
    Action.REFUSE: " -m TEXT",
    Action.WITHDRAW: " -m TEXT",
    Action.COMMENT: " TEXT",
}


def objects(action: Action, view: View, request: Request) -> str:
    """Give the first thing that the rules have against exactly this, or nothing."""
    reasons = objections(action, view.dossier, view.actor, request)
    return reasons[0].sentence if reasons else ""


def typed(
    app: DistillApp,
    action: Action,
    view: View,
    title: str,
    body: Body,
    *,
    does: str,
    done: str = "",
    args: Sequence[object] = (),
    by_twin: bool = False,
) -> None:
    """Ask for the play's code to be typed, then do what cannot be undone."""
    sheet = Sheet(title, body, does=does, typed=view.play.code, twin=twin(action, view))
    ask(app, sheet, lambda _: _do(app, action, view, args, done, by_twin))


def _do(app: DistillApp, action: Action, view: View, args: Sequence[object], done: str, by_twin: bool) -> None:
    if by_twin and not app.restricted:  # a session over SSH has no shell to give to a child
        app.twin(*action.command.split(), view.play.code, done=done)
    else:
        app.perform(verb(action), view.play_id, app.actor, *args, done=done, **_key(app, action))


def _key(app: DistillApp, action: Action) -> dict[str, Any]:
    """Have what can be signed be signed, where the person acts by a key."""
    return {"key": app.key} if app.key is not None and action in SIGNED else {}


SIGNED = (Action.LOCK_GATE, Action.WITHDRAW, Action.SHIP)


def verb(action: Action) -> Callable[..., Any]:
    """Find the verb of an action, which has its name."""
    from distill_tui import actions

    verb: Callable[..., Any] = getattr(actions, action.value)
    return verb


def plain(
    app: DistillApp,
    action: Action,
    view: View,
    body: Body,
    *,
    does: str,
    done: str = "",
    args: Sequence[object] = (),
    by_twin: bool = False,
) -> None:
    """Say what will happen, and do it on enter."""
    title = f"{action.sentence.rstrip('.')}: {view.play.code}"
    sheet = Sheet(title, body, does=does, twin=twin(action, view))
    ask(app, sheet, lambda _: _do(app, action, view, args, done, by_twin))


def with_reason(
    app: DistillApp,
    action: Action,
    view: View,
    body: Body,
    *,
    does: str,
    done: str,
    code: str = "",
) -> None:
    """Ask for a reason, and where it cannot be undone for the play's code too; then do it."""
    sheet = Sheet(
        f"{action.sentence.rstrip('.')}: {view.play.code}",
        body,
        [Field("reason", "reason", hint="It stands in the log.")],
        does=does,
        check=lambda values: objects(action, view, {"reason": values["reason"]}),
        typed=code,
        twin=twin(action, view),
    )
    ask(app, sheet, lambda values: _do(app, action, view, (values["reason"],), done, by_twin=False))
