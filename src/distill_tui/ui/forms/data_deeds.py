"""The sheets of the data stage: the teacher and how it is asked, its provider's terms, and accepted findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.review import controls
from distill_tui.rules.data import open_findings
from distill_tui.teachers.description import ANSWER_TOKENS
from distill_tui.terms import Action, FindingLevel, Task, TeacherSource
from distill_tui.ui.forms.asking import ask, objects, plain, twin
from distill_tui.ui.forms.sheets import Body, Field, Sheet, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

YES, NO = "permitted", "forbidden"
HOW = ("as a classifier", "zero-shot", "prompted")


def teacher(app: DistillApp, view: View) -> None:
    """Choose the teacher: recorded outputs, a model folder, or an endpoint; how it is asked comes on a second sheet."""
    sheet = Sheet(
        f"The teacher of {view.play.code}",
        (
            "recorded: the outputs that stand in the traffic.",
            "A folder: a local model, which is copied in.",
            "An address: an OpenAI-compatible endpoint. Its key is read from DISTILL_TEACHER_KEY, or the keyring.",
        ),
        [Field("teacher", "teacher", "recorded", "recorded, a folder, or https://host/v1", ("recorded",))],
        does="choose it",
        check=_no_teacher,
        twin=twin(Action.SET_TEACHER, view),
    )

    def choose(values: Values) -> None:
        if values["teacher"] == "recorded":
            app.twin("teacher", view.play.code, "--recorded")
        elif values["teacher"].startswith(ADDRESS):
            _ask_endpoint(app, view, values["teacher"])
        else:
            _ask_folder(app, view, values["teacher"])

    ask(app, sheet, choose)


def _no_teacher(values: Values) -> str:
    named = values["teacher"]
    if not named:
        return "Write recorded, or name a folder or an endpoint."
    there = named == "recorded" or named.startswith(ADDRESS) or Path(named).is_dir()
    return "" if there else f"There is no folder {named}; write recorded, a folder, or an address with https://."


def _ask_endpoint(app: DistillApp, view: View, url: str) -> None:
    writes = view.play.task is Task.GENERATION
    model = Field("model", "model", "", "The model's name at the endpoint.")
    labels = Field("labels", "labels", "", "With commas, like bad,fine,good.")
    need = "Name the model." if writes else "Name the model, and labels with commas."
    sheet = Sheet(
        f"How {url} is asked",
        (IN_YOUR_WORDS,)
        if writes
        else ("Each request holds one input and the labels to choose from; the command also takes a --template FILE.",),
        [model, *(WORDS if writes else [labels])],
        does="choose it",
        check=lambda values: need if not values["model"] or values.get("labels") == "" else _no_words(values),
        twin=f"distill-tui teacher {view.play.code} --endpoint {url} --model NAME"
        + (" --template FILE" if writes else " --labels A,B,C"),
    )

    def choose(values: Values) -> None:
        more = _said(values) if writes else ("--labels", values["labels"])
        app.twin("teacher", view.play.code, "--endpoint", url, "--model", values["model"], *more)

    ask(app, sheet, choose)


def _ask_writer(app: DistillApp, view: View, folder: str) -> None:
    sheet = Sheet(
        f"How {Path(folder).name} is asked",
        (f"A causal language model. {IN_YOUR_WORDS}",),
        WORDS,
        does="choose it",
        check=_no_words,
        twin=f"distill-tui teacher {view.play.code} {folder} --prompted --template FILE",
    )
    ask(app, sheet, lambda values: app.twin("teacher", view.play.code, "--prompted", *_said(values), "--", folder))


ADDRESS = ("http://", "https://")
IN_YOUR_WORDS = "It is asked for one input at a time, in the words of your template; what it writes is the answer."
WORDS = (
    Field("template", "template file", "", "What is asked, with {input} in it; empty: the input alone."),
    Field("tokens", "tokens of an answer", str(ANSWER_TOKENS), "The most that it may write."),
)


def _no_words(values: Values) -> str:
    if values.get("template") and not Path(values["template"]).is_file():
        return f"There is no file {values['template']}."
    tokens = values.get("tokens", "1")
    return "" if tokens.isdecimal() and int(tokens) else "Say in a whole number how many tokens an answer may have."


def _said(values: Values) -> tuple[str, ...]:
    words = ("--template", values["template"]) if values["template"] else ()
    return (*words, "--answer-tokens", values["tokens"])


def _ask_folder(app: DistillApp, view: View, folder: str) -> None:
    if view.play.task is Task.GENERATION:
        _ask_writer(app, view, folder)
        return

    def check(values: Values) -> str:
        if values["how"] not in HOW:
            return f"A folder is asked in one of these ways: {', '.join(HOW)}."
        return "Name the labels, with commas." if values["how"] != HOW[0] and not values["labels"] else ""

    sheet = Sheet(
        f"How {Path(folder).name} is asked",
        (
            "A classifier answers with its own labels. An NLI model (zero-shot) and a causal language model (prompted) "
            "are asked in words, with the labels that you name.",
        ),
        [
            Field("how", "it is asked", HOW[0], f"{', '.join(HOW)}; → completes it.", HOW),
            Field("labels", "labels", "", "With commas, like bad,fine,good; not for a classifier."),
        ],
        does="choose it",
        check=check,
        twin=f"distill-tui teacher {view.play.code} {folder}",
    )

    def choose(values: Values) -> None:
        how = () if values["how"] == HOW[0] else (f"--{values['how']}", "--labels", values["labels"])
        app.twin("teacher", view.play.code, *how, "--", folder)

    ask(app, sheet, choose)


def label(app: DistillApp, view: View) -> None:
    """Have the teacher asked; an endpoint within a budget."""
    rows = sum(traffic.rows for traffic in view.dossier.traffic)
    body = f"A worker asks {view.play.teacher_name} for {rows:,} rows; answers that are known are not asked again."
    done = "A worker asks the teacher."
    if view.play.teacher_source is not TeacherSource.ENDPOINT:
        plain(app, Action.LABEL, view, (body,), does="start it", done=done)
        return
    sheet = Sheet(
        f"Have the teacher asked: {view.play.code}",
        (body, *controls.before_paying(view.dossier), TRIED_FIRST, KEY),
        LIMITS,
        does="try one row",
        check=lambda values: limits_wrong(view, values),
        twin=twin(Action.LABEL, view) + " --estimate --budget MONEY --price-in MONEY --price-out MONEY",
    )

    def try_one(values: Values) -> None:
        from distill_tui.rounds import cost_estimate

        def estimate(project: Project) -> Found:
            return cost_estimate.estimate_labels(project.artifacts, project.dossier(view.play_id), limits)

        limits = given(values)
        tried(app, view, estimate, lambda verbs: (verbs.label, limits), done)

    ask(app, sheet, try_one)


def tried(
    app: DistillApp, view: View, estimate: Callable[[Project], Found], then: Callable[[Any], Sequence[Any]], done: str
) -> None:
    """Try one row in a thread, show what it said and what all would cost, and start the run on enter.

    `then` gives the verb and what it takes.
    """

    def look(found: Found) -> None:
        from distill_tui import actions
        from distill_tui.reports import data

        sheet = Sheet(
            f"One row was tried, and its answer is kept: {view.play.code}",
            list(data.estimate(found)),
            does="start it",
            twin=twin(Action.LABEL, view) + " --budget MONEY --price-in MONEY --price-out MONEY",
        )
        verb, *more = then(actions)
        ask(app, sheet, lambda _: app.perform(verb, view.play_id, app.actor, *more, done=done))

    def answer(project: Project) -> Found:
        try:
            return estimate(project)
        except ValueError as error:
            raise ProjectError(str(error)) from None

    from distill_tui.store.project import ProjectError

    app.say("One row is tried.", "running")
    app.perform(answer, then=look)


Found = Mapping[str, Any]
TRIED_FIRST = "One row is tried first and shown with what all would cost; its answer is kept, and paid for once."
KEY = "The key is read from DISTILL_TEACHER_KEY, or the keyring; it is written nowhere."
LIMITS = (
    Field("budget", "budget", "", "The most that this teacher may cost in all; the run ends before."),
    Field("price_in", "price in", "", "Of a million tokens; 0 where it is free."),
    Field("price_out", "price out", "", "Of a million tokens; 0 where it is free."),
    Field("concurrency", "requests at once", "4", "1 to 256."),
    Field("per_minute", "requests a minute", "0", "At most; 0 for no limit."),
)


def given(values: Values) -> Values:
    """Give the limits that were filled in."""
    names = [field.name for field in LIMITS]
    return {name: value for name, value in values.items() if value and name in names}


def limits_wrong(view: View, values: Values, more: Mapping[str, object] = {}) -> str:
    """Say what is wrong with the limits, or what the rules have against asking so."""
    from distill_tui.teachers import estimate as asked

    limits = given(values)
    try:
        asked.read_limits(limits)
    except ValueError as error:
        return str(error)
    return objects(Action.LABEL, view, {"limits": limits, **more})


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
        app.perform(actions.confirm_terms, view.play_id, app.actor, *told, done="The terms are recorded.")

    ask(app, sheet, record)


def accept(app: DistillApp, view: View) -> None:
    """Accept findings: one that is named, or all that are open."""
    still = sorted(open_findings(view.dossier), key=lambda each: each["level"] != FindingLevel.MUST)
    names = [each["id"] for each in still]
    body: Body = [
        ("misses" if each["level"] == FindingLevel.MUST else "look", f"{each['id']}: {each['says']}") for each in still
    ]

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
        app.perform(actions.accept_findings, view.play_id, app.actor, chosen(values), values["reason"], done=done)

    ask(app, sheet, record)
