"""The options for traffic: which columns a file has, over how many days it is measured, and at what prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.options import Function, stacked
from distill_tui.dataset import feeds, readers, records
from distill_tui.dataset import window as windows
from distill_tui.dataset.traces import call_mapping
from distill_tui.rounds import call_mappings, play_traffic

if TYPE_CHECKING:
    from distill_tui.dataset.opening import Source
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.dataset.window import Measured, TokenPrices
    from distill_tui.rules.dossier import PlayDossier

_NAMES = (
    *("input", "teacher-output", "teacher-probabilities", "gold", "segment", "group", "time", "cost", "latency-ms"),
    *("tokens-in", "tokens-out", "model"),
)
columns = stacked(
    *(
        click.option(
            f"--{name}",
            metavar="COLUMN",
            help=f"the column for {name.replace('-', ' ')}; empty for none (default: found by its usual names)",
        )
        for name in _NAMES
    )
)

call_options = stacked(
    click.option(
        "--take",
        type=click.Choice(["conversation", "user-turns", "last-user"]),
        help="for logged calls: the messages that make the input (default: proposed from the data, --preview shows it)",
    ),
    click.option("--with-system", is_flag=True, help="the system message is part of the input"),
    click.option("--after", metavar="TEXT", help="the input begins after this text; \\n is a line break"),
    click.option("--before", metavar="TEXT", help="the input ends before this text"),
    click.option("--pattern", metavar="REGEX", help="the groups of this regular expression are the input"),
    click.option(
        "--input-template", metavar="TEXT", help="how fields or groups make one input, like '{title}: {body}'"
    ),
    click.option("--answer", metavar="PATH", help="the part of the answer: a path like $.label, or tool-name"),
    click.option("--answers-of", metavar="MODEL", default="", show_default=False, help="the model that is the teacher"),
)
_CALLS = {"take": "take", "with_system": "system", "after": "after", "before": "before", "pattern": "pattern",
          "input_template": "template", "answer": "answer"}  # fmt: skip


def calls(
    dossier: PlayDossier, source: Source, given: Mapping[str, str | bool | None], answers: str | None
) -> call_mapping.CallMapping | None:
    """Return how calls become inputs: as stored or proposed, with what is given instead; None without calls.

    Of a plain table it is the part of the answers in its column `answers` that counts. Raises UsageError.
    """
    found = call_mappings.calls_of(dossier, source, answers)
    chosen = {_CALLS[name]: value for name, value in given.items() if value not in (None, False)}
    chosen |= {
        name: call_mapping.unescaped(str(chosen[name])) for name in ("after", "before", "template") if name in chosen
    }
    if not chosen:
        return found
    if not readers.is_log(source):
        _only_an_answer(chosen)
    found = found or call_mapping.DEFAULT
    cuts = {"after", "before", "pattern", "template"}
    kept = asdict(found) if not cuts & set(chosen) else {"answer": found.answer, "take": found.take}
    mapped = call_mapping.CallMapping(
        **kept | chosen | {"take": call_mapping.Take(str(chosen.get("take", kept["take"])))}
    )
    wrong = mapped.problem()
    if wrong:
        raise UsageError(wrong)
    return mapped


def _only_an_answer(chosen: Mapping[str, str | bool]) -> None:
    """Check that a plain table is given nothing that only calls have. Raises UsageError."""
    options = [option for option, name in _CALLS.items() if name in chosen and name != "answer"]
    if options or chosen.get("answer") == call_mapping.TOOL_NAME:
        given = f"--{options[0].replace('_', '-')}" if options else f"--answer {call_mapping.TOOL_NAME}"
        raise UsageError(f"The file holds no logged calls, so {given} has no meaning.")


def mapping(
    source: Source,
    named: dict[str, str | None],
    *,
    any_time: bool = False,
    template: str = "",
    several: bool = False,
    scale: str = "",
    separator: str = "",
    empty_set: bool = False,
) -> ColumnMapping:
    """Return the columns to read from a source: those named, over those found by their usual names.

    The template is that of the play's traffic so far. `several`: gold and the teacher's answers are sets of labels, as
    the other two say; or they are scores of a scale. Raises UsageError, BadInput.
    """
    if not several and (separator or empty_set):
        raise UsageError("--separator and --empty-set are for a play of several labels (--task multilabel).")
    found = _mapping(source, named, template)
    found = replace(found, any_time=any_time, separator=call_mapping.unescaped(separator))
    return replace(readers.with_answers(found, source, several=several, scale=scale), empty_set=empty_set)


def feed_mapping(source: Source, named: dict[str, str | None], own: str | None, template: str = "") -> ColumnMapping:
    """Return the columns of a feed: those named, over those found; `own` is the column of the application's ids.

    Without an input the file holds late answers. Raises UsageError, BadInput.
    """
    given = {name: column for name, column in named.items() if column is not None}
    if not given and own is None:
        return feeds.mapping_of(source, template)
    try:
        guess = feeds.mapping_of(source, template)
        found: dict[str, str | None] = {**guess.named(), "id": guess.id}
    except records.BadInput:
        found = {}
    used = {name: column or None for name, column in (found | given | ({} if own is None else {"id": own})).items()}
    column = used.pop("input", None) or ""
    if not column and not (used.get("id") and any(used.get(name) for name in feeds.ANSWERS)):
        raise UsageError("Name the input's column with --input; late answers need --id and a column of answers.")
    return readers.ColumnMapping(input=column, **used)  # type: ignore[arg-type]


def _mapping(source: Source, named: dict[str, str | None], template: str) -> ColumnMapping:
    given = {name: column for name, column in named.items() if column is not None}
    wrong = call_mapping.template_problem(given["input"]) if "{" in given.get("input", "") else None
    if wrong:
        raise UsageError(wrong)
    if not given:
        return readers.guess_mapping(source, template)
    try:
        found: dict[str, str | None] = dict(readers.guess_mapping(source, template).named())
    except records.BadInput:
        if not given.get("input"):
            raise
        found = {}
    used = {name: column or None for name, column in (found | given).items()}
    column = used.pop("input", None)
    if not column:
        raise UsageError("The input's column cannot be empty; name it with --input COLUMN.")
    return readers.ColumnMapping(input=column, **used)  # type: ignore[arg-type]


def measures(option: Callable[..., Any] = click.option) -> Callable[[Function], Function]:
    """Take how the traffic is measured, in options of this make."""
    return stacked(
        option("--days", metavar="N", type=click.IntRange(1, 366), default=90, help="the last N days of the traffic"),
        option("--price-in", metavar="MONEY", help="the price of a million input tokens, for calls without a cost"),
        option("--price-out", metavar="MONEY", help="the price of a million output tokens"),
        option("--price-source", metavar="TEXT", help="where the prices are published, and their date"),
    )


def window(call: Call, days: int, **prices: str | None) -> tuple[Measured, dict[str, str]]:
    """Measure the traffic; return the measures and the worksheet's numbers."""
    return play_traffic.window(call.project, call.play_id, days=days, prices=_prices(**prices))


def _prices(price_in: str | None, price_out: str | None, price_source: str | None) -> TokenPrices | None:
    if not any((price_in, price_out, price_source)):
        return None
    if not (price_in and price_out and price_source):
        raise UsageError("Set the prices together: --price-in, --price-out and --price-source.")
    try:
        per_in, per_out = Decimal(price_in), Decimal(price_out)
    except InvalidOperation:
        raise UsageError("A price is a number like 0.15, for a million tokens.") from None
    if not (per_in.is_finite() and per_out.is_finite() and per_in >= 0 and per_out >= 0):
        raise UsageError("A price is a number of 0 or more, like 0.15.")
    return windows.TokenPrices(per_in, per_out, price_source)
