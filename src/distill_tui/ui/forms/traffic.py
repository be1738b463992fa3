"""The forms that bring rows in: a file of traffic with its columns, and variations that the teacher writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.reports.data import clipped
from distill_tui.review import controls
from distill_tui.rules.requests import Label
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms import teacher
from distill_tui.ui.forms.form import Call, Form, Say, Step, call, objection, opens, whole, worker
from distill_tui.ui.forms.sheet import Body, Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.dataset.readers import ColumnMapping, Preview
    from distill_tui.rounds.variations import Waiting
    from distill_tui.ui.app import DistillApp

# --- a file, and then which of its columns holds what -----------------------------------------------------------


@opens(Action.IMPORT_TRAFFIC)
def import_traffic(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> Values:
        if not values["file"]:
            raise ValueError("Name a file.")
        try:
            share = float(values["most"])
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise ValueError(f"“{values['most']}” is not a share. Write a number from 0 to 1, like 0.05.")
        return values

    def submit(asked: Values) -> Step:
        path = Path(asked["file"])
        return Call(lambda project: look(path), then=lambda found: columns(app, view, path, asked["most"], *found))

    return Form(
        None,
        "look into it",
        submit,
        (
            "JSONL, CSV, Parquet, a chat log, any of them gzipped, or a folder that `datasets` saved. You become a "
            "builder.",
            "The next sheet shows what the file holds, before anything is stored.",
        ),
        [
            Field("file", "file", hint="A path on this machine."),
            Field("most", "share of bad rows", "0.05", "With more unusable rows than this the import is rejected."),
        ],
        read,
        title=f"Import traffic into {view.play.code}",
        command=f"distill-tui import {view.play.code} FILE --preview",
    )


def look(path: Path) -> tuple[ColumnMapping | None, list[str], Preview | None]:
    """Guess the columns and read sample rows; where no column looks like the input, return the names alone."""
    from distill_tui.dataset import readers, records  # pyarrow, only in this thread

    names = records.column_names(path)
    try:
        mapping = readers.guess_mapping(path)
    except records.BadInput:
        return None, names, None
    return mapping, names, readers.preview(path, mapping)


def columns(
    app: DistillApp,
    view: View,
    path: Path,
    most: str,
    mapping: ColumnMapping | None,
    names: list[str],
    sample: Preview | None,
) -> Step:
    """Ask which column holds what; the guess is filled in."""
    from distill_tui.dataset import readers  # loaded by `look`

    parts = list(readers.ColumnMapping.__dataclass_fields__)

    def asked_for(part: str) -> Field:
        like = f"Like: {clipped(sample.rows[0][part], 50)}" if sample and sample.rows and part in sample.rows[0] else ""
        guessed = (getattr(mapping, part) if mapping else None) or ""
        return Field(part, part.replace("_", " "), guessed, like or "Optional. → completes a name.", tuple(names))

    def read(values: Values) -> Values:
        if not values["input"]:
            raise ValueError("Name the column of the input.")
        unknown = next((column for column in values.values() if column and column not in names), None)
        if unknown:
            raise ValueError(f"The file has no column “{unknown}”. Its columns: {', '.join(names[:12])}.")
        return values

    def submit(asked: Values) -> Step:
        chosen = readers.ColumnMapping(**{part: asked[part] or None for part in parts})  # type: ignore[arg-type]
        return worker(app, view, actions.import_traffic, path, chosen, most_rejects=float(most))

    return Form(
        None,
        "import it",
        submit,
        held(names, sample),
        [asked_for(part) for part in parts],
        read,
        title=f"Columns of {path.name}",
        command=f"distill-tui import {view.play.code} FILE --most-rejects {most}",
    )


def held(names: list[str], sample: Preview | None) -> Body:
    """List the columns, two rows, and the first row that cannot be used."""
    listed = f"Columns: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}."
    if sample is None:
        return [("look", f"No column looks like the input. {listed}")]
    rows = [
        f"line {row['line']}: "
        + "  ".join(f"{name}: {clipped(value, 40)}" for name, value in row.items() if name != "line")
        for row in sample.rows[:2]
    ]
    if not sample.rejects:
        return [listed, *rows]
    first, count = sample.rejects[0], f"{len(sample.rejects):,} of the first {sample.sampled:,} rows"
    return [("look", f"{count} cannot be used; line {first.line}: {first.reason}."), listed, *rows]


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
        done = "A worker has the teacher write. v shows what it wrote."
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
        "try one row" if paid else "start it",
        submit,
        (
            "Of validation rows that the last student gets wrong and the teacher gets right, at most a quarter of all. "
            "They are used for training, never for evaluation. No held-out row is shown to the teacher.",
            "What it writes is filtered and waits until you have read it: press v again.",
            *controls.before_paying(view.dossier),
            *((teacher.TRIED_FIRST, teacher.KEY) if paid else ()),
        ),
        [
            Field("each", "variations of a row", "3", "1 to 20."),
            Field("rows", "rows at most", "50", "Of the failures on validation."),
            *(teacher.LIMITS if paid else ()),
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
