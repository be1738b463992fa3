"""The beginning of a source as an import would read it: rows, rejects, what was recognised, and doubts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from statistics import median

from distill_tui.dataset.counted import Names, p95
from distill_tui.dataset.doubts import Doubts
from distill_tui.dataset.opening import Source
from distill_tui.dataset.readers import (
    BadRow,
    ColumnMapping,
    TableAnswers,
    TrafficRow,
    column_names,
    different_values,
    kind_of_reason,
    read_rows,
    row_of,
)
from distill_tui.dataset.traces import stream
from distill_tui.dataset.traces.call_mapping import DEFAULT, CallMapping
from distill_tui.dataset.traces.stream import SNIFFED, Recognised
from distill_tui.rules.results import NO_NAMES, Reject
from distill_tui.tasks.label_map import Vocabulary

PREVIEWED = 20_000  # rows at most that a preview reads
MILLISECONDS = ("ms", "millis", "milliseconds")  # how the name of a column says so


@dataclass(frozen=True)
class Preview:
    """The beginning of a source as an import would read it."""

    columns: list[str]  # of the source
    rows: list[dict[str, object]]  # without empty values
    rejects: list[Reject]
    sampled: int  # rows that were read
    joined: int = 0  # records that went into these rows from other files
    recognised: tuple[tuple[str, int], ...] = ()  # kind of log or table, files
    whole: bool = False  # whether every row was read
    taken: int = 0  # rows that an import would store
    models: tuple[tuple[str, int], ...] = ()  # that answered: most rows first
    spend: Decimal | None = None
    p95_ms: float | None = None
    reasons: tuple[tuple[str, int], ...] = ()  # why rows are rejected or passed over: reason, rows
    time_forms: tuple[tuple[str, int], ...] = ()  # unusual forms of times: form, rows
    values: Mapping[str, int] = field(default_factory=dict)  # columns that look like labels, and their different values
    names: Vocabulary = NO_NAMES  # of gold and answers in them
    doubts: tuple[str, ...] = ()  # what is read as it stands, and is probably not what was meant, or not the whole


def preview(
    source: Source,
    mapping: ColumnMapping,
    calls: CallMapping = DEFAULT,
    *,
    answers_of: str = "",
    shown: int = 5,
    sampled: int = 200,
) -> Preview:
    """Read the beginning of a source as an import would, without storing it. Raises BadInput."""
    rows: list[dict[str, object]] = []
    rejects: list[Reject] = []
    models, reasons, forms = Counter[str](), Counter[str](), Counter[str]()
    costs: list[Decimal] = []
    latencies: list[float] = []
    known, looked, taken, joined = stream.recognise(source), 0, 0, 0
    names, doubts = Names(mapping.several), Doubts.of(known, mapping)
    read = read_rows(source, mapping, calls, answers_of=answers_of)
    for row in islice(read, sampled):
        if isinstance(row, Reject) and row.joined:
            joined += 1
            continue
        looked += 1
        if isinstance(row, Reject):
            reasons[kind_of_reason(row.reason)] += 1
            rejects += [] if row.passed_over else [row]
            continue
        taken += 1
        forms[row.time_form] += bool(row.time_form)
        models[row.model or ""] += row.model is not None
        costs += [] if row.cost is None else [row.cost]
        latencies += [] if row.latency_ms is None else [row.latency_ms]
        names.add(row.gold, row.teacher_output, row.teacher_probabilities)
        doubts.add(row)
        rows += [_without_empty(row)] if len(rows) < shown else []
    whole = next(read, None) is None
    if not whole:
        _look_into_the_rest(known, mapping, calls, doubts)
    return Preview(
        column_names(source),
        rows,
        rejects,
        looked,
        joined,
        tuple(Counter(each.name for each in known).most_common()),
        whole,
        taken,
        tuple((name, count) for name, count in models.most_common() if count),
        sum(costs, Decimal(0)) if costs else None,
        p95(latencies),
        tuple(reasons.most_common()),
        tuple((+forms).most_common()),
        different_values(source),
        names.vocabulary(),
        (
            *stream.doubts(known),
            *doubts.sentences(),
            *filter(None, [doubts.compared.says(), _unit(mapping.latency_ms, latencies)]),
        ),
    )


def _without_empty(row: TrafficRow) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if value not in (None, "")}


def _look_into_the_rest(
    known: Sequence[Recognised], mapping: ColumnMapping, calls: CallMapping, doubts: Doubts
) -> None:
    """Read the first rows of each file that a preview did not reach, to compare which columns it has.

    Not where an answer's question is in another file: one file alone has no rows then.
    """
    if stream.halves(known):
        return
    reached, answers = set(doubts.files.rows), TableAnswers.of(known, mapping, calls)
    for each in (each for each in known if each.part.name not in reached):
        for file, line, values in islice(stream.lines([each], calls, mapping.columns()), SNIFFED):
            if isinstance(values, Mapping):
                with suppress(BadRow):
                    doubts.compare(row_of(line, answers.read(file, values), mapping, file))


def _unit(column: str | None, latencies: Sequence[float]) -> str:
    """Show in which unit latencies are read, where the column's name does not end in it."""
    if column is None or not latencies or column.casefold().endswith(MILLISECONDS):
        return ""
    middle = median(latencies)
    shown = f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"
    return f"'{column}' is read as milliseconds, with a median of {shown} ms. Leave it out if these are seconds."
