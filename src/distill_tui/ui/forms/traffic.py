"""The forms that bring rows in: a file of traffic with its columns, and variations that the teacher writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions, tasks
from distill_tui.dataset.traces import call_mapping
from distill_tui.reports.data import clipped, gold_proposal
from distill_tui.review import controls
from distill_tui.rules import labels, typed
from distill_tui.rules.requests import Label
from distill_tui.serving import feed
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms import calls, teacher
from distill_tui.ui.forms.calls import Looked
from distill_tui.ui.forms.form import Call, Form, Say, Step, WrongField, call, objection, opens, whole, worker
from distill_tui.ui.forms.paths import PathSuggester, listing
from distill_tui.ui.forms.sheet import Body, Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.dataset.previews import Preview
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.rounds.variations import Waiting
    from distill_tui.ui.app import DistillApp

GATEWAY = "gateway"  # typed in the place of a file
SAMPLED = 5_000  # rows that are read before an import

# --- a file, and then which of its columns holds what -----------------------------------------------------------


@opens(Action.IMPORT_TRAFFIC)
def import_traffic(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> Values:
        if not values["file"]:
            raise ValueError("Name a file.")
        share = typed.number(values["most"])
        if share is None or not 0 <= share <= 1:
            raise WrongField(f"“{values['most']}” is not a share. Write a number like 0.05 or 5%.", "most")
        return {**values, "most": f"{share:f}"}

    def submit(asked: Values) -> Step:
        if asked["file"].strip() == GATEWAY and view.gateway is not None:
            return captured(app, view)
        path = Path(asked["file"]).expanduser()

        def follow(found: Looked) -> Step:
            return columns(app, view, found, asked["most"], scrub=asked["scrub"].casefold() in ("y", "yes"))

        def found(looked: Looked) -> Step:
            return calls.form(view, looked, follow) if looked.first else follow(looked)

        return Call(lambda project: look(project, view, path), then=found, before=f"Reading {path.name} …")

    about = (
        "A file, a folder or a pattern like logs/*.gz: JSONL, JSON, CSV, Parquet, packed or not, and the logs of "
        "Langfuse, LangSmith, Phoenix, OpenTelemetry, LiteLLM, Helicone, Bedrock, batch files and chats. You "
        "become a builder.",
        "The next sheet shows what was recognised, before anything is stored.",
    )
    return Form(
        None,
        "look into it",
        submit,
        about,
        [
            Field("file", "file or folder", hint=_hint(view), completes=PathSuggester),
            Field("scrub", "replace personal data", "no", "yes: a mail address becomes [mail address], and so on."),
            Field("most", "share of bad rows", "0.05", "With more unusable rows than this the import is rejected."),
        ],
        read,
        title=f"Import traffic into {view.play.code}",
        command=f"distill-tui import {view.play.code} FILE --preview",
        live=lambda values: listing(values["file"]) if values["file"] else about,
    )


def _hint(view: View) -> str:
    more = f", or {GATEWAY}: the calls that the gateway captured" if view.gateway is not None else ""
    return f"A path on this machine; tab completes it{more}."


def captured(app: DistillApp, view: View) -> Step:

    def taken(project: Project) -> feed.Captured:
        return feed.capture(project, view.play_id, view.play.code, view.actor)

    def follow(found: feed.Captured) -> Step:
        if not found.run:
            return Say(found.waits or "The gateway has captured no new calls with whole answers.", "warning")
        app.file_watch.await_run(found.run)
        return Say(f"{found.rows:,} captured calls are being imported. J shows the run.")

    return Call(taken, then=follow)


def look(project: Project, view: View, path: Path) -> Looked:
    """Guess the columns and read sample rows; where no column looks like the input, return the names alone."""
    from distill_tui.dataset import opening, previews, readers  # pyarrow, only in this thread
    from distill_tui.dataset.traces import stream
    from distill_tui.rounds import call_mappings

    names = readers.column_names(path)
    try:
        mapping = readers.guess_mapping(path, call_mappings.template_of(project.dossier(view.play_id)))
        how = {"several": tasks.of(view.play.task).several, "scale": labels.scale_text(view.play)}
        mapping = readers.with_answers(mapping, path, **how)  # type: ignore[arg-type]
    except opening.BadInput:
        return Looked(path, names, None, None)
    dossier = project.dossier(view.play_id)
    made = call_mappings.calls_of(dossier, path, mapping.teacher_output)
    sample = previews.preview(path, mapping, made or call_mapping.DEFAULT, sampled=SAMPLED)
    first = stream.sample_calls(stream.recognise(path), calls.SHOWN) if made is not None else []
    return Looked(path, names, mapping, sample, made, tuple(first), currency=dossier.project.currency)


def columns(app: DistillApp, view: View, looked: Looked, most: str, *, scrub: bool = False) -> Step:
    """Ask which column holds what; the guess is filled in."""
    from distill_tui.dataset import readers  # loaded by `look`

    path, names, mapping, sample = looked.path, looked.names, looked.mapping, looked.sample
    parts = list(readers.MEANINGS)

    def asked_for(part: str) -> Field:
        guessed = (getattr(mapping, part) if mapping else None) or ""
        values = f"{sample.values[guessed]:,} values. " if sample and guessed in sample.values else ""
        like = f"{values}Like: {clipped(sample.rows[0][part], 50)}" if sample and part in _first(sample) else ""
        return Field(part, part.replace("_", " "), guessed, like or "Optional. → completes a name.", tuple(names))

    def read(values: Values) -> Values:
        if not values["input"]:
            raise ValueError("Name the column of the input.")
        wrong = call_mapping.template_problem(values["input"]) if "{" in values["input"] else None
        if wrong:
            raise ValueError(wrong)
        holes = call_mapping.columns_in(values["input"])
        used = [*(holes or [values["input"]]), *(column for part, column in values.items() if part != "input")]
        unknown = next((column for column in used if column and column not in names), None)
        if unknown:
            raise ValueError(f"The file has no column “{unknown}”. Its columns: {', '.join(names[:12])}.")
        return values

    def submit(asked: Values) -> Step:
        chosen = readers.ColumnMapping(**{part: asked[part] or None for part in parts})  # type: ignore[arg-type]
        return worker(
            app,
            view,
            actions.import_traffic,
            path,
            chosen,
            calls=looked.calls,
            answers_of=looked.answers_of,
            scrub=scrub,
            most_rejects=float(most),
        )

    return Form(
        None,
        "import it",
        submit,
        held(names, sample, mapping, looked.calls.answer if looked.calls is not None and not looked.first else ""),
        [asked_for(part) for part in parts],
        read,
        title=f"Columns of {path.name}",
        command=f"distill-tui import {view.play.code} FILE --most-rejects {most}",
    )


def _first(sample: Preview) -> dict[str, object]:
    return sample.rows[0] if sample.rows else {}


def held(names: list[str], sample: Preview | None, mapping: ColumnMapping | None, part: str = "") -> Body:
    """List the columns, two rows, the first row that cannot be used, and which column is read as gold by its values."""
    listed = f"Columns: {', '.join(names[:20])}{f' and {len(names) - 20} more' if len(names) > 20 else ''}."
    if sample is None:
        return [("look", f"No column looks like the input. {listed}")]
    rows = [
        f"line {row['line']}: "
        + "  ".join(f"{name}: {clipped(value, 40)}" for name, value in row.items() if name != "line")
        for row in sample.rows[:2]
    ]
    proposal = (
        gold_proposal(sample.values, mapping.named(), "The field gold", "left empty") if mapping is not None else ""
    )
    notes: Body = [("look", proposal)] if proposal else []
    notes = [*notes, ("look", f"Answers are JSON, and {part} of them counts.")] if part else notes
    notes = [*notes, *(("look", f"{count:,} times are {form}.") for form, count in sample.time_forms)]
    notes += [("look", doubt) for doubt in sample.doubts]
    if not sample.rejects:
        return [*notes, listed, *rows]
    first, count = sample.rejects[0], f"{len(sample.rejects):,} of the first {sample.sampled:,} rows"
    return [("look", f"{count} cannot be used; line {first.line}: {first.reason}."), *notes, listed, *rows]


# --- variations ---------------------------------------------------------------------------------------------------


def variations(app: DistillApp, view: View) -> Step:
    """Show the variations that wait to be imported; where none does, have the teacher write some."""

    def known(wait: Waiting | None) -> Step:
        action, request = (Action.IMPORT_TRAFFIC, None) if wait else (Action.LABEL, Label(vary=True))
        if wrong := objection(action, view.dossier, view.actor, request):
            return Say(wrong, "warning")
        return take(app, view, wait) if wait else write(view)

    return Call(lambda project: waiting(project, view.play_id), then=known)


def waiting(project: Project, play_id: int) -> Waiting | None:
    from distill_tui.rounds import variations as written

    try:
        return written.waiting(project, project.dossier(play_id))
    except ProjectError:
        return None


def write(view: View) -> Step:
    paid = view.play.teacher_source is TeacherSource.ENDPOINT

    def read(values: Values) -> tuple[int, int, Values]:
        need = "Write two whole numbers: variations of a row, and rows."
        each, rows = (whole(values, name, need) for name in ("each", "rows"))
        return each, rows, teacher.limits(values)

    def submit(asked: tuple[int, int, Values]) -> Step:
        each, rows, limits = asked
        done = "A worker has the teacher write. V shows what it wrote."
        work = call(view, done, actions.vary, each, rows, (), limits)
        if not paid:
            return work

        def estimate(project: Project) -> teacher.Estimate:
            from distill_tui.rounds import cost_estimate  # pyarrow, only in this thread

            dossier = project.dossier(view.play_id)
            return cost_estimate.estimate_variations(project, dossier, limits, each, rows, ())

        return teacher.tried(view, estimate, work)

    return Form(
        Action.LABEL,
        "try a few rows" if paid else "start it",
        submit,
        (
            "Of validation rows that the last student gets wrong and the teacher gets right, at most a quarter of all. "
            "They are used for training, never for evaluation. No held-out row is shown to the teacher.",
            "What it writes is filtered and waits until you have read it: press V again.",
            *controls.before_paying(view.dossier),
            *((teacher.TRIED_FIRST, teacher.KEY) if paid else ()),
        ),
        [
            Field("each", "variations of a row", "3", "1 to 20."),
            Field("rows", "rows at most", "50", "Of the failures on validation."),
            *(teacher.limit_fields(view) if paid else ()),
        ],
        read,
        asks=lambda asked: Label(asked[2], vary=True),
        title=f"Have {view.play.teacher_name} write variations: {view.play.code}",
        command=f"distill-tui data vary {view.play.code} --each N --rows N",
    )


def take(app: DistillApp, view: View, wait: Waiting) -> Step:
    most = len(wait.written)
    written = [
        f"{place}  (of row {one.like_row}, {one.cell}, weight {wait.weights.get(one.cell, 1.0):g})  {one.input}"
        for place, one in enumerate(wait.written, 1)
    ]
    left_out = ", ".join(f"{count:,} {why}" for why, count in wait.left_out.items()) or "none"

    def read(values: Values) -> list[int]:
        words = values["without"].replace(",", " ").split()
        if not all(word.isdecimal() and 1 <= int(word) <= most for word in words):
            raise ValueError(f"Write numbers from 1 to {most}, separated by spaces.")
        return [int(word) for word in words]

    def submit(without: list[int]) -> Step:
        return worker(app, view, actions.take_variations, wait.run, without)

    return Form(
        None,
        "import them",
        submit,
        [
            "Read them: what you import is used for training. They are a source of their own; O then asks the teacher "
            f"about them. Filtered out: {left_out}.",
            *written,
        ],
        [Field("without", "leave out", "", "The numbers of bad variations, separated by spaces.")],
        read,
        title=f"Run {wait.run} wrote {most:,} variations: {view.play.code}",
        command=f"distill-tui data take {view.play.code} --without N",
    )
