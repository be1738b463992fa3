"""The sheets of the data stage that record what a person found out: the provider's terms, and accepted findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import rules
from distill_tui.terms import Action
from distill_tui.ui.asking import ask, objects, twin
from distill_tui.ui.forms import Body, Field, Sheet, Values
from distill_tui.ui.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

YES, NO = "permitted", "forbidden"


def terms(app: DistillApp, view: View) -> None:
    """Record what the provider's terms say of training on outputs."""
    known = view.dossier.terms
    says = "" if known is None else YES if known.permits else NO

    def check(values: Values) -> str:
        if values["says"] not in (YES, NO):
            return f"Write {YES} or {NO}: what do the terms say of training on outputs?"
        return objects(Action.CONFIRM_TERMS, view, {name: values[name] for name in ("provider", "version", "dated")})

    sheet = Sheet(
        f"The terms of the teacher's provider: {view.play.code}",
        (
            "Read what the provider permits before anything is built on its outputs. Your name stands beside it. "
            "A stability play cannot lock its gate without it.",
        ),
        [
            Field("provider", "provider", known.provider if known else "", "Whose terms they are."),
            Field("version", "version of the terms", known.version if known else "", "As the terms name it."),
            Field("dated", "date of the terms", known.dated if known else "", "Like 2026-11-24."),
            Field("says", "training on outputs is", says, f"{YES} or {NO}; → completes it.", (YES, NO)),
        ],
        does="record it",
        check=check,
        twin=twin(Action.CONFIRM_TERMS, view),
    )

    def record(values: Values) -> None:
        from distill_tui import actions

        told = (values["provider"], values["version"], values["dated"], values["says"] == YES)
        app.perform(actions.confirm_terms, view.play.id, app.actor, *told, done="The terms are recorded.")

    ask(app, sheet, record)


def accept(app: DistillApp, view: View) -> None:
    """Accept findings: one that is named, or all that are open."""
    still = sorted(rules.open_findings(view.dossier), key=lambda each: each["level"] != "must")
    names = [each["id"] for each in still]
    body: Body = [("misses" if each["level"] == "must" else "look", f"{each['id']}: {each['says']}") for each in still]

    def chosen(values: Values) -> list[str]:
        return [] if values["which"] == "all" else values["which"].split()

    def check(values: Values) -> str:
        if not values["which"]:
            return "Name findings by their ids, with spaces between them, or write all."
        request = {"findings": chosen(values), "reason": values["reason"]}
        return objects(Action.ACCEPT_FINDINGS, view, request)

    sheet = Sheet(
        f"Accept what the audit found: {view.play.code}",
        body,
        [
            Field(
                "which",
                "which",
                "all",
                "all, or ids; what you do not accept you mend and build again.",
                ("all", *names),
            ),
            Field("reason", "reason", hint="It stands in the log and on the model card."),
        ],
        does="accept",
        check=check,
        twin=twin(Action.ACCEPT_FINDINGS, view),
    )

    def record(values: Values) -> None:
        from distill_tui import actions

        done = "Accepted; it stands in the log."
        app.perform(actions.accept_findings, view.play.id, app.actor, chosen(values), values["reason"], done=done)

    ask(app, sheet, record)
