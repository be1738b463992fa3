"""The form that asks how logged calls become inputs and answers, with the first calls as they would be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.dataset.traces.call_mapping import CallMapping, Take, escaped, unescaped
from distill_tui.gates.currencies import USUAL
from distill_tui.reports.data import clipped, preview_head
from distill_tui.ui.forms.form import Form, Step
from distill_tui.ui.forms.sheet import Body, Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.dataset.previews import Preview
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.dataset.traces.call import Call as LoggedCall

SHOWN = 5  # calls in the preview


@dataclass(frozen=True)
class Looked:
    """What was found in a source before it is imported."""

    path: Path
    names: list[str]
    mapping: ColumnMapping | None
    sample: Preview | None
    calls: CallMapping | None = None  # as stored or proposed, where the source holds logged calls
    first: tuple[LoggedCall, ...] = ()
    answers_of: str = ""
    currency: str = USUAL  # of what was logged as spent


def form(view: View, looked: Looked, then: Callable[[Looked], Step]) -> Step:
    """Return the form; what follows takes the source with the mapping that was chosen."""
    assert looked.calls is not None and looked.sample is not None
    fixed = any('"calls"' in each.mapping for each in view.dossier.traffic)
    models = [name for name, _ in looked.sample.models]

    def read(values: Values) -> Looked:
        if len(models) > 1 and values["model"] not in models:
            raise ValueError(f"{len(models)} models answered. Choose the teacher: {', '.join(models[:6])}.")
        return replace(looked, calls=mapped(values), answers_of=values["model"] if len(models) > 1 else "")

    def live(values: Values) -> Body:
        try:
            return rows(looked, mapped(values))
        except ValueError as error:
            return [("look", str(error))]

    return Form(
        None,
        "see the columns",
        then,
        rows(looked, looked.calls),
        list(_fields(looked.calls, looked.sample, fixed=fixed)),
        read,
        title=f"How calls of {looked.path.name} become inputs",
        command=f"distill-tui import {view.play.code} FILE --take {looked.calls.take} --preview",
        live=live,
    )


def mapped(values: Values) -> CallMapping:
    """Read the fields. Raises ValueError with one sentence."""
    if values["take"] not in list(Take):
        raise ValueError(f"“{values['take']}” is not a choice. Write {', '.join(Take)}.")
    made = CallMapping(
        take=Take(values["take"]),
        system=values["system"].casefold() in ("yes", "y"),
        after=unescaped(values["after"]),
        before=unescaped(values["before"]),
        pattern=values["pattern"],
        template=unescaped(values["template"]),
        answer=values["answer"],
    )
    wrong = made.problem()
    if wrong:
        raise ValueError(wrong)
    return made


def rows(looked: Looked, calls: CallMapping) -> Body:
    """Show what was recognised, and the first calls as an import would read them, one line each."""
    assert looked.sample is not None
    lines: list[str | tuple[str, str]] = [preview_head(looked.sample, looked.currency)]
    for each in looked.first[:SHOWN]:
        columns = each.read(calls)
        if isinstance(columns, Mapping):
            answer = columns["chat_output"] if columns["chat_output"] is not None else "no answer"
            lines.append(f"{clipped(answer, 14)} ← {clipped(columns['chat_input'], 48)}")
        else:
            lines.append(("look", clipped(columns if isinstance(columns, str) else columns.reason, 60)))
    lines += [("look", doubt) for doubt in looked.sample.doubts]
    lines += [("look", f"{count:,} left out: {clipped(reason, 70)}") for reason, count in looked.sample.reasons[:3]]
    return lines


def _fields(calls: CallMapping, sample: Preview, *, fixed: bool) -> list[Field]:
    """Return the fields, filled with the mapping of the play or the proposal."""
    hint = "Fixed for this play: all its traffic is read alike." if fixed else ""
    found = [
        Field("take", "messages", calls.take, hint or "conversation, user-turns or last-user.", tuple(Take)),
        Field("system", "system message", "yes" if calls.system else "no", hint or "yes: it is part of the input."),
        Field("after", "input begins after", escaped(calls.after), hint or r"A fixed text; \n is a line break."),
        Field("before", "input ends before", escaped(calls.before), hint or "A fixed text."),
        Field("pattern", "or a pattern", calls.pattern, hint or "A regular expression; its groups are the input."),
        Field("template", "template", escaped(calls.template), hint or "Of JSON fields or groups: {title}: {body}."),
        Field("answer", "part of the answer", calls.answer, hint or "A path like $.label, tool-name, or empty."),
    ]
    models = [name for name, _ in sample.models]
    if len(models) > 1:
        named = ", ".join(f"{name} ({count:,})" for name, count in sample.models[:4])
        found.append(Field("model", "teacher", models[0], f"The others are left out: {named}.", tuple(models)))
    return found
