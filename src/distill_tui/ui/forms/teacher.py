"""The forms of the teacher: which it is and how it is asked, its provider's terms, and labelling within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions, tasks
from distill_tui.reports import data
from distill_tui.review import controls
from distill_tui.rules.measurable import recorded_outputs
from distill_tui.rules.requests import ConfirmTerms, Label
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import ANSWER_TOKENS, APIS, Described
from distill_tui.teachers.limits import Limits
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms.form import STARTED, Call, Form, Say, Step, call, file_text, opens, plain, whole
from distill_tui.ui.forms.paths import PathSuggester
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

ADDRESS = ("http://", "https://")
CLASSIFIER = "as a classifier"
KINDS = {CLASSIFIER: None, "zero-shot": TeacherSource.ZERO_SHOT, "prompted": TeacherSource.PROMPTED}
KIND = Field("kind", "it is asked", CLASSIFIER, f"{', '.join(KINDS)}; → completes it.", tuple(KINDS))
MODEL = Field("model", "model", "", "The model's name at the endpoint.")
CHAT = "chat"
API = Field(
    "api", "it speaks", CHAT, f"{CHAT}, or a typed-decision API: {', '.join(APIS)}; → completes it.", (CHAT, *APIS)
)
SCHEMA = Field("schema", "JSON schema file", "", "By which it answers. Empty: as it likes.", completes=PathSuggester)
LABELS = Field("labels", "labels", "", "Like bad,fine,good; quote a comma; or a file. Not for a classifier.")
ANSWER = (
    Field(
        "template",
        "template file",
        "",
        "The prompt, with {input} in it. Empty: the input alone.",
        completes=PathSuggester,
    ),
    Field("tokens", "tokens of an answer", str(ANSWER_TOKENS), "The most that the teacher may write."),
)
IN_YOUR_WORDS = "Each request holds one input, in the words of your template. What the teacher writes is the answer."
AMONG_LABELS = (
    "Each request holds one input and the labels to choose from. A typed-decision API gives the probability of every "
    "label in one call. The command also takes a --template FILE."
)
A_WRITER = f"A causal language model. {IN_YOUR_WORDS}"
A_CHOOSER = (
    "A classifier answers with its own labels. An NLI model (zero-shot) and a causal language model (prompted) choose "
    "from the labels that you name."
)


def choose(
    app: DistillApp, view: View, source: TeacherSource | None, folder: str | None, url: str, asked: Values
) -> Step:
    """Choose a teacher; a folder is copied in and tried by a worker. `source` is that of a teacher that is prompted."""

    def described() -> Described | None:
        if source is None:
            return None
        file, tokens = asked.get("template"), asked.get("tokens")
        words = file_text(file, "Name the file of the template.") if file else ""
        model, labels = asked.get("model", ""), asked.get("labels", "")
        shape = file_text(asked["schema"], "Name the file of the schema.") if asked.get("schema") else ""
        api = asked.get("api", CHAT).replace(CHAT, "")
        most = int(tokens) if tokens else None
        return Described.chosen(source, model, labels, words, url, tokens=most, api=api, schema=shape.strip())

    if folder:
        tried = lambda project: actions.try_teacher(  # noqa: E731
            project, view.play_id, view.actor, Path(folder), described()
        )
        return Call(tried, STARTED, app.file_watch.await_run)

    def work(project: Project) -> str:
        actions.set_teacher(project, view.play_id, view.actor, described())
        return project.dossier(view.play_id).play.teacher_name

    done = lambda name: Say(f"The teacher is {name}.", "success")  # noqa: E731
    return Call(work, then=done, before="Setting the teacher.")


@opens(Action.SET_TEACHER)
def set_teacher(app: DistillApp, view: View) -> Step:
    usual = "recorded" if recorded_outputs(view.dossier) else ""  # what the traffic has

    def read(values: Values) -> str:
        named = values["teacher"]
        if not named:
            raise ValueError("Write “recorded”, or name a folder or an endpoint.")
        if not (named == "recorded" or named.startswith(ADDRESS) or Path(named).is_dir()):
            raise ValueError(f"There is no folder {named}. Write “recorded”, a folder, or an https:// address.")
        return named

    def submit(named: str) -> Step:
        return choose(app, view, None, None, "", {}) if named == "recorded" else asked_how(app, view, named)

    return Form(
        None,
        "choose it",
        submit,
        (
            "recorded: the outputs in the traffic.",
            "A folder: a local model. It is copied in, and a worker tries it on a few rows.",
            "An address: an OpenAI-compatible endpoint. Its key is read from DISTILL_TEACHER_KEY, or the keyring.",
        ),
        [
            Field(
                "teacher",
                "teacher",
                usual,
                "recorded, a folder, or https://host/v1; tab completes.",
                completes=PathSuggester,
            )
        ],
        read,
        title=f"Teacher of {view.play.code}",
        command=f"distill-tui teacher {view.play.code} FOLDER|--recorded|--endpoint URL",
    )


def asked_how(app: DistillApp, view: View, named: str) -> Step:
    """Ask how an endpoint, or the model of a folder, is asked."""
    remote, writes = named.startswith(ADDRESS), not tasks.of(view.play.task).has_labels
    folder_fields = ANSWER if writes else (KIND, LABELS)
    options = " --template FILE" if writes else " --labels A,B,C"
    command = f"--endpoint {named} --model NAME{options}" if remote else f"{named} --prompted{options}"

    def read(values: Values) -> Values:
        kind = values.get("kind", "")
        if kind and kind not in KINDS:
            raise ValueError(f"A folder is asked in one of these ways: {', '.join(KINDS)}.")
        if values.get("api", CHAT) not in (CHAT, *APIS):
            raise ValueError(f"An endpoint speaks one of these: {CHAT}, {', '.join(APIS)}.")
        if values.get("model") == "":
            raise ValueError("Name the model.")
        if values.get("labels") == "" and kind != CLASSIFIER:
            raise ValueError("Name the labels, separated by commas.")
        if values.get("template") and not Path(values["template"]).is_file():
            raise ValueError(f"There is no file {values['template']}.")
        if writes:
            whole(values, "tokens", "Write a whole number: the most tokens an answer may have.")
        return values

    def submit(asked: Values) -> Step:
        if remote:
            return choose(app, view, TeacherSource.ENDPOINT, None, named, asked)
        return choose(app, view, TeacherSource.PROMPTED if writes else KINDS[asked["kind"]], named, "", asked)

    return Form(
        None,
        "choose it",
        submit,
        ((IN_YOUR_WORDS if writes else AMONG_LABELS) if remote else A_WRITER if writes else A_CHOOSER,),
        (MODEL, *((*ANSWER, SCHEMA) if writes else (LABELS, API))) if remote else folder_fields,
        read,
        title=f"How {named if remote else Path(named).name} is asked",
        command=f"distill-tui teacher {view.play.code} {command}",
    )


# --- terms --------------------------------------------------------------------------------------------------------

YES, NO = "permitted", "forbidden"


@opens(Action.CONFIRM_TERMS)
def confirm_terms(app: DistillApp, view: View) -> Step:
    known = view.dossier.terms
    says = "" if known is None else YES if known.permits else NO

    def read(values: Values) -> ConfirmTerms:
        if values["says"] not in (YES, NO):
            raise ValueError(f"Write {YES} or {NO}: what the terms allow about training on outputs.")
        return ConfirmTerms(values["provider"], values["version"], values["dated"], values["says"] == YES)

    def submit(asked: ConfirmTerms) -> Step:
        terms = asked.provider, asked.version, asked.dated, asked.permits
        return call(view, "The terms are recorded.", actions.confirm_terms, *terms)

    return Form(
        Action.CONFIRM_TERMS,
        "record it",
        submit,
        (
            "Read what the provider permits before you build on its outputs. The record carries your name. "
            "A stability play cannot lock its gate without it.",
        ),
        [
            Field("provider", "provider", known.provider if known else "", "The company or project behind the model."),
            Field("version", "version of the terms", known.version if known else "", "As the terms name it."),
            Field("dated", "date of the terms", known.dated if known else "", "Like 2026-11-24."),
            Field("says", "training on outputs is", says, f"{YES} or {NO}; → completes it.", (YES, NO)),
        ],
        read,
        title=f"Terms of the teacher's provider: {view.play.code}",
    )


# --- labelling ----------------------------------------------------------------------------------------------------

Estimate = Mapping[str, object]
TRIED_FIRST = "A few rows are labelled first, to show an answer and what all rows would cost. They are paid once."
KEY = "The key is read from DISTILL_TEACHER_KEY, or the keyring. It is never stored."
NAMES = ("budget", "price_in", "price_out", "price_cached", "concurrency", "per_minute")


def limit_fields(view: View) -> tuple[Field, ...]:
    currency = view.dossier.project.currency
    cached = "Of input tokens that the provider reads from its cache; empty: price in."
    return (
        Field("budget", f"budget, {currency}", "", "The most that this teacher may cost in all. The run ends before."),
        Field("price_in", f"price in, {currency}", "", "Of a million tokens; 0 if free."),
        Field("price_out", f"price out, {currency}", "", "Of a million tokens; 0 if free."),
        Field("price_cached", f"price cached, {currency}", "", cached),
        Field("concurrency", "requests at once", "4", "1 to 256."),
        Field("per_minute", "requests a minute", "0", "At most; 0 for no limit."),
    )


def limits(values: Values) -> Values:
    given = {name: value for name, value in values.items() if value and name in NAMES}
    Limits.read(given)
    return given


BATCH = (
    Field("out", "or write a batch to", "", "A new file, like batch.jsonl, for the provider's batch service.", (),
          PathSuggester),
    Field("results", "or take results from", "", "A file or folder of a batch's results. Set both prices.", (),
          PathSuggester),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How the traffic is labelled: by requests within limits, or by the files of a batch."""

    limits: Values
    out: str = ""
    results: str = ""


@opens(Action.LABEL)
def label(app: DistillApp, view: View) -> Step:
    rows = sum(traffic.rows for traffic in view.dossier.traffic)
    body = f"A worker asks {view.play.teacher_name} for {rows:,} rows. Cached answers are not asked for again."
    done = "A worker asks the teacher."
    if view.play.teacher_source is not TeacherSource.ENDPOINT:
        return plain(view, Action.LABEL, "start it", call(view, done, actions.label), body)

    def follow(asked: Asked) -> Step:
        if asked.out:
            return Call(lambda project: exported(project, view, Path(asked.out).expanduser()), then=Say)
        if asked.results:
            paths = [Path(asked.results).expanduser()]
            taken = "A worker takes the results. J shows its progress."
            return call(view, taken, actions.label_results, paths, asked.limits)

        def few_rows(project: Project) -> Estimate:
            from distill_tui.rounds import cost_estimate  # pyarrow, only in this thread

            return cost_estimate.estimate_labels(project.artifacts, project.dossier(view.play_id), asked.limits)

        return tried(view, few_rows, call(view, done, actions.label, asked.limits))

    def read(values: Values) -> Asked:
        asked = Asked(limits(values), values.get("out", ""), values.get("results", ""))
        if asked.out and asked.results:
            raise ValueError("Either write a batch or take its results; empty one of the two.")
        if asked.results and not {"price_in", "price_out"} <= asked.limits.keys():
            raise ValueError("Set price in and price out, the list prices; 0 if free.")
        return asked

    return Form(
        Action.LABEL,
        "go on",
        follow,
        (body, *controls.before_paying(view.dossier), TRIED_FIRST, KEY),
        limit_fields(view) if app.restricted else (*limit_fields(view), *BATCH),
        read,
        asks=lambda asked: Label() if asked.out or asked.results else Label(asked.limits),
        title=f"Label with the teacher: {view.play.code}",
        more=" --estimate --budget MONEY --price-in MONEY --price-out MONEY",
    )


def exported(project: Project, view: View, out: Path) -> str:
    from distill_tui.rounds import batches  # pyarrow, only in this thread

    dossier = project.ask_first(Action.LABEL, view.play_id, view.actor, Label())
    try:
        made = batches.export(project.artifacts, dossier, out)
    except (ValueError, OSError) as error:
        raise ProjectError(str(error)) from None
    known = f"{made.answered:,} inputs are answered, {made.waiting:,} wait for the results of an earlier export"
    files = f"{made.files[0].name}{f' and {len(made.files) - 1} more' if made.files[1:] else ''}" if made.files else ""
    return f"Wrote {made.requests:,} requests to {files}; {known}." if files else f"Nothing to write: {known}."


def tried(view: View, estimate: Callable[[Project], Estimate], start: Step) -> Step:
    """Label a few rows, show an answer and what all rows would cost, and start the run on enter."""

    def work(project: Project) -> Estimate:
        try:
            return estimate(project)
        except ValueError as error:
            raise ProjectError(str(error)) from None

    def shown(found: Estimate) -> Step:
        return Form(
            None,
            "start it",
            lambda asked: start,
            list(data.estimate(found)),
            title=f"A few rows were labelled, and their answers are cached: {view.play.code}",
            command=f"distill-tui label {view.play.code} --budget MONEY --price-in MONEY --price-out MONEY",
        )

    return Call(work, then=shown, before="Labelling a few rows.")
