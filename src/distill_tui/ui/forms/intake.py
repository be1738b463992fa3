"""The two sheets that bring traffic in: which file, and then which of its columns is read as what.

The columns are found by their usual names and shown with sample rows; every one of them can be changed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.reports.data import clipped
from distill_tui.terms import Action
from distill_tui.ui.forms.asking import ask, twin
from distill_tui.ui.forms.sheets import Body, Field, Sheet, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.dataset.readers import Mapping, Preview
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp


def bring_traffic(app: DistillApp, view: View) -> None:
    """Ask for a file, look into it, and ask how it is read."""
    sheet = Sheet(
        f"Import traffic into {view.play.code}",
        (
            "JSONL, CSV, Parquet, a chat log, gzip of one, or a folder that `datasets` saved. You become a builder.",
            "What it holds is shown before anything is stored.",
        ),
        [
            Field("file", "file", hint="A path on this machine."),
            Field("most", "share of bad rows", "0.05", "With more unusable rows than this the import is refused."),
        ],
        does="look into it",
        check=_wrong,
        twin=twin(Action.IMPORT_TRAFFIC, view) + " --preview",
    )

    def look(values: Values) -> None:
        path = Path(values["file"])
        app.perform(partial(_look, path), then=lambda found: _map(app, view, path, values["most"], *found))

    ask(app, sheet, look)


def _wrong(values: Values) -> str:
    if not values["file"]:
        return "Name a file."
    try:
        share = float(values["most"])
    except ValueError:
        share = -1.0
    return "" if 0 <= share <= 1 else f"“{values['most']}” is no share; write one from 0 to 1, like 0.05."


def _look(path: Path, project: Project) -> tuple[Mapping | None, list[str], Preview | None]:
    """Guess the columns and read sample rows; where no column looks like the input, give the names alone."""
    from distill_tui.dataset import readers

    names = readers.column_names(path)
    try:
        mapping = readers.guess_mapping(path)
    except readers.BadInput:
        return None, names, None
    return mapping, names, readers.preview(path, mapping)


def _map(
    app: DistillApp, view: View, path: Path, most: str, mapping: Mapping | None, names: list[str], look: Preview | None
) -> None:
    """Show what each column is read as, and let it be changed."""
    from distill_tui.dataset import readers

    parts = list(readers.Mapping.__dataclass_fields__)

    def check(values: Values) -> str:
        if not values["input"]:
            return "The input needs a column; name it."
        unknown = next((column for column in values.values() if column and column not in names), None)
        return f"The file has no column “{unknown}”; it has {', '.join(names[:12])}." if unknown else ""

    fields = [
        Field(
            part,
            part.replace("_", " "),
            (getattr(mapping, part) if mapping else None) or "",
            _sample(part, look) or "Empty for none; → completes a name.",
            tuple(names),
        )
        for part in parts
    ]
    sheet = Sheet(
        f"How {path.name} is read",
        _body(names, look),
        fields,
        does="import it",
        check=check,
        twin=twin(Action.IMPORT_TRAFFIC, view) + f" --most-rejects {most}",
    )

    def bring(values: Values) -> None:
        columns = [word for part in parts for word in (f"--{part.replace('_', '-')}", values[part])]
        app.twin("import", view.play.code, "--most-rejects", most, *columns, "--", str(path))

    ask(app, sheet, bring)


def _body(names: list[str], look: Preview | None) -> Body:
    listed = f"Its columns: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}."
    if look is None:
        return [("look", f"No column looks like the input. {listed}")]
    found: list[Any] = [listed]
    found += [f"line {row['line']}: {_told(row)}" for row in look.rows[:2]]
    if look.rejects:
        first = look.rejects[0]
        told = f"{len(look.rejects):,} of the first {look.sampled:,} rows cannot be used"
        found.insert(0, ("look", f"{told}; line {first.line}: {first.reason}."))
    return found


def _told(row: dict[str, object]) -> str:
    return "  ".join(f"{name}: {clipped(value, 40)}" for name, value in row.items() if name != "line")


def _sample(part: str, look: Preview | None) -> str:
    """Quote what the first sample row has there."""
    if look is None or not look.rows or part not in look.rows[0]:
        return ""
    return f"Like: {clipped(look.rows[0][part], 50)}"
