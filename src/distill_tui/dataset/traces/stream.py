"""Read a source of traffic as plain records: logs of calls are recognised, joined and mapped; other records pass.

A question in one file and its answer in another are joined (`join`). Every record comes out: as values, as a reject
with its reason, or as passed over with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from distill_tui.dataset import records
from distill_tui.dataset.opening import BadInput, Part, Source, by_record, kind_of, parts_of
from distill_tui.dataset.traces import (
    batch_files,
    bedrock,
    chat,
    helicone,
    langfuse,
    langsmith,
    litellm,
    openinference,
    otel,
    stored_completions,
)
from distill_tui.dataset.traces.call import COLUMNS, Call, PassedOver, columns_of
from distill_tui.dataset.traces.call_mapping import DEFAULT, CallMapping
from distill_tui.dataset.traces.format import Event, Format, Found, Question, Score
from distill_tui.dataset.traces.join import joining

FORMATS = (
    batch_files.RESULTS,
    batch_files.REQUESTS,
    bedrock.LOGS,
    langsmith.RUNS,
    litellm.LOGS,
    helicone.REQUESTS,
    langfuse.OBSERVATIONS,
    langfuse.SCORES,
    langfuse.TRACES,
    openinference.ANNOTATIONS,
    openinference.SPANS,
    otel.SPANS,
    otel.LOGS,
    stored_completions.COMPLETIONS,
    stored_completions.MESSAGES,
    chat.LOGS,
)
SNIFFED = 50  # records of a part that decide its format
PEEK = 1_000  # records that decide the names of columns


class Line(NamedTuple):
    """One record of a source: its values, or why it has none."""

    file: str
    line: int
    values: Mapping[str, object] | PassedOver | str


@dataclass(frozen=True)
class Recognised:
    """One part of a source, and the kind of log that it is; None for a plain table."""

    part: Part
    format: Format | None

    @property
    def name(self) -> str:
        return self.format.name if self.format is not None else kind_of(self.part)


def recognise(source: Source) -> list[Recognised]:
    """Find out what each part of a source is, from its first records. Raises BadInput."""
    return [Recognised(part, _format(part)) for whole in parts_of(source) for part in by_record(whole)]


def _format(part: Part) -> Format | None:
    sample = [values for _, values in islice(records.records(part), SNIFFED) if not isinstance(values, str)]
    return next((each for each in FORMATS if any(map(each.looks, sample))), None)


def column_names(source: Source, known: Sequence[Recognised] | None = None) -> list[str]:
    """Return the names of a source's columns: of calls, of headers, of the first 1,000 records. Raises BadInput."""
    names: dict[str, None] = {}
    first = ""
    found = recognise(source) if known is None else known
    for each in found:
        there = records.column_names(each.part) if each.format is None or each.format.keeps else None
        names.update(dict.fromkeys(there or ()))
        if there is None or each.format is not None:
            for line in islice(lines([each]), PEEK):
                names.update(dict.fromkeys(line.values if isinstance(line.values, Mapping) else ()))
                first = first or (f"line {line.line}: {line.values}" if isinstance(line.values, str) else "")
    if not names and any(each.format is not None for each in found):
        return list(COLUMNS)
    if not names:
        raise BadInput(f"{found[0].part.name} holds no JSON object on its first lines. {first[:1].upper()}{first[1:]}.")
    return list(names)


def doubts(known: Sequence[Recognised]) -> tuple[str, ...]:
    """Return what files of calls state about themselves: that they are not the whole."""
    pages = open_pages = 0
    stored = any(each.format is stored_completions.COMPLETIONS for each in known)
    for each in known:
        last = each.format in (stored_completions.COMPLETIONS, None)  # a page without completions has no format
        if stored and last and kind_of(each.part) == "json":
            for more in records.outer_values(each.part, "has_more"):
                pages, open_pages = pages + 1, open_pages + (more is True)
    found = stored_completions.unfinished(open_pages, pages)
    return (found,) if found else ()


def headed(known: Recognised) -> list[str]:
    """Return the columns that a table's header or schema names; empty where each record names its own."""
    return records.column_names(known.part) or []


def lines(known: Sequence[Recognised], calls: CallMapping = DEFAULT, wanted: list[str] | None = None) -> Iterator[Line]:
    """Stream the records of recognised parts, with at least the `wanted` columns. Raises BadInput."""
    for file, line, record, found in _joined(known, wanted):
        if not isinstance(found, Call):
            yield Line(file, line, found)
            continue
        columns = _columns(found, calls)
        if record is not None and isinstance(columns, Mapping):
            own = {name: value for name, value in columns.items() if name in COLUMNS and value is not None}
            columns = {**columns, **record, **own}
            columns = {name: value for name, value in columns.items() if name not in COLUMNS or name in own}
        yield Line(file, line, columns)


def sample_calls(known: Sequence[Recognised], most: int) -> list[Call]:
    """Return the first calls of a source, joined."""
    return list(islice((found for _, _, _, found in _joined(known, None) if isinstance(found, Call)), most))


_Step = tuple[str, int, Mapping[str, object] | None, Call | Mapping[str, object] | PassedOver | str]


def _joined(known: Sequence[Recognised], wanted: list[str] | None) -> Iterator[_Step]:
    """Yield each record as (file, line, its own columns, what it is); questions without an answer come last."""
    first = halves(known)
    with joining() as join:
        for each in first:
            for line, record in records.records(each.part):
                found = _read(each, record)
                stays = join.put(each.part.name, line, found) if isinstance(found, Question | Score | Event) else found
                if stays is not None:
                    yield each.part.name, line, None, stays
        for each in known:
            if each not in first:
                for line, record in records.records(each.part, wanted if each.format is None else None):
                    found = _read(each, record)
                    found = found.alone if isinstance(found, Event) else found
                    joined = join.complete(found) if isinstance(found, Call | PassedOver) and first else found
                    keeps = each.format is not None and each.format.keeps and not isinstance(record, str)
                    assert not isinstance(joined, Question | Score | Event)
                    yield each.part.name, line, record if keeps else None, joined  # type: ignore[misc]
        for file, line, became in join.rest():
            yield file, line, None, became


def halves(known: Sequence[Recognised]) -> list[Recognised]:
    """Return the parts that are read first; log records only where there are spans, since they may be whole calls."""
    spans = any(each.format is otel.SPANS for each in known)
    found = [each for each in known if each.format is not None and each.format.halves]
    return [each for each in found if each.format is not otel.LOGS or spans]


def _read(each: Recognised, record: Mapping[str, object] | str) -> Found | Mapping[str, object]:
    if isinstance(record, str) or each.format is None:
        return record
    if each.format.keeps and not each.format.looks(record):
        return record
    try:
        return each.format.read(record)
    except RecursionError:
        return "the record is nested too deeply"
    except (
        TypeError,
        AttributeError,
        LookupError,
        ValueError,
        StopIteration,
    ) as error:  # any shape may come from outside
        return f"the record is not as {each.format.name} are written ({type(error).__name__})"


def _columns(call: Call, calls: CallMapping) -> Mapping[str, object] | PassedOver | str:
    try:
        return columns_of(call, calls)
    except RecursionError:
        return "the answer is nested too deeply"
    except ValueError:
        return "the answer's JSON holds NaN or Infinity"
