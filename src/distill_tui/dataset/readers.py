"""Read the mapped columns of a file as rows of traffic. A bad row comes as a reject with its reason; reading goes on.

`records` opens the files, `traffic` stores the rows. Text in a file is untrusted: it is never run, followed or shown.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice

from distill_tui.dataset import encodings, set_columns, times
from distill_tui.dataset.audit import privacy
from distill_tui.dataset.label_columns import Values, gold_of, label_like
from distill_tui.dataset.opening import BadInput, Source, source_name
from distill_tui.dataset.records import LINE_LIMIT, kind_word, listed, parse_json, short
from distill_tui.dataset.times import Time
from distill_tui.dataset.traces import chat, stream
from distill_tui.dataset.traces.call import PARAMETER, PassedOver
from distill_tui.dataset.traces.call_mapping import (
    DEFAULT,
    HOLE,
    CallMapping,
    NotMapped,
    columns_in,
    filled,
    pair_template,
    table_answer,
)
from distill_tui.dataset.traces.stream import PEEK, Line, Recognised
from distill_tui.gates.scale import Scale
from distill_tui.rules.results import Reject
from distill_tui.text import PAIR, pair_of

MOST_TOKENS = 1_000_000_000  # of one call
_VALUES = re.compile(r"('(?:[^'\\]|\\.)*')|“[^”]*”|(?<![\w.-])\d[\d.,:-]*")  # a column's name, or what varies by row
PROBABILITY_SLACK = 0.01  # teachers print rounded probabilities

SYNONYMS = {
    "input": ("chat_input", "input", "text", "prompt", "query", "question", "message", "content"),
    "teacher_output": (
        "chat_output",
        "teacher_output",
        "teacher",
        "output",
        "completion",
        "response",
        "answer",
        "prediction",
    ),
    "teacher_probabilities": ("teacher_probabilities", "probabilities", "probs", "soft_labels", "scores"),
    "gold": ("chat_gold", "gold", "label", "human", "human_label", "gold_label", "target", "expected"),
    "segment": ("chat_segment", "segment", "domain", "locale", "language", "category"),
    "group": (
        "chat_group",
        "group",
        "conversation_id",
        "document_id",
        "session_id",
        "thread_id",
        "user_id",
        "customer_id",
    ),
    "time": ("time", "chat_time", "timestamp", "created", "created_at", "date"),
    "cost": ("chat_cost", "cost", "price", "cost_usd"),
    "latency_ms": ("chat_latency_ms", "latency_ms", "latency", "duration_ms"),
    "tokens_in": ("chat_tokens_in", "tokens_in", "prompt_tokens", "input_tokens"),
    "tokens_out": ("chat_tokens_out", "tokens_out", "completion_tokens", "output_tokens"),
    "model": ("chat_model",),
}

Probabilities = dict[str, float] | list[float]


@dataclass(frozen=True)
class ColumnMapping:
    """The names of a file's columns by their meaning; only the input is required."""

    input: str  # a column, or a text with several in braces: "{title}: {body}"
    teacher_output: str | None = None
    teacher_probabilities: str | None = None  # an object label → p, or a list in the order of the task's labels
    gold: str | None = None
    segment: str | None = None
    group: str | None = None  # the conversation, customer or document: rows that must stay in one split
    time: str | None = None  # in a form that `times` reads; UTC where no zone is given
    cost: str | None = None
    latency_ms: str | None = None
    tokens_in: str | None = None  # of the prompt, as the teacher counted and charged them
    tokens_out: str | None = None
    model: str | None = None  # that answered, as the provider resolved it
    any_time: bool = False  # whether times before 2010 or in the future are kept
    several: bool = False  # whether gold and the teacher's outputs are sets of labels: see `set_columns`
    separator: str = ""  # between the labels of a text
    empty_set: bool = False  # whether an empty cell is the empty set, and not missing
    scale: str = ""  # of gold and the teacher's outputs, where they are scores: see `gates.scale`
    id: str | None = None  # the application's own name of a call: late answers are joined by it

    def columns(self) -> list[str]:
        """Return the names of the columns in use, each once."""
        others = [column for name, column in self.named().items() if name != "input"]
        named = [column for name in others for column in set_columns.columns_of(name)]
        inputs = (columns_in(self.input) or [self.input]) if self.input else []
        return list(dict.fromkeys([*inputs, *named, *([self.id] if self.id else [])]))

    def named(self) -> dict[str, str]:
        """Return the columns in use by their meaning."""
        return {name: column for name in MEANINGS if (column := getattr(self, name))}


HOW = ("any_time", "several", "separator", "empty_set", "scale")  # how columns are read, not which
MEANINGS = tuple(each.name for each in fields(ColumnMapping) if each.name not in (*HOW, "id"))
IDS = ("id", "request_id", "call_id", "trace_id", "custom_id", "uuid")  # usual names of such a column


@dataclass(frozen=True)
class TrafficRow:
    """One call of the teacher, or one example. `line` is the line in the file, or the row of a Parquet file, from 1."""

    line: int
    input: str
    teacher_output: str | None = None
    teacher_probabilities: Probabilities | None = None
    gold: str | None = None
    segment: str | None = None
    group: str | None = None
    time: datetime | None = None  # UTC
    time_form: str = ""  # how it was written, if that is unusual
    cost: Decimal | None = None
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str | None = None
    id: str | None = None
    file: str = ""  # of several


class BadRow(Exception):
    """The reason why a row is rejected."""


def guess_mapping(source: Source, template: str = "") -> ColumnMapping:
    """Find the columns by their usual names; the input is made by the template where its columns are there.

    Raises BadInput where none looks like the input.
    """
    names = column_names(source)
    known = {name.casefold(): name for name in reversed(names)}
    found = {part: next((known[word] for word in words if word in known), None) for part, words in SYNONYMS.items()}
    found["input"] = _of_several(names, known, template) or found["input"]
    if found["input"] is None:
        raise BadInput(f"{source_name(source)} has no column that looks like the input. Name it: {listed(names)}.")
    if found["gold"] is None:
        found |= _proposed(candidates(source), found, known)
    return ColumnMapping(**found)  # type: ignore[arg-type]


def _of_several(names: list[str], known: Mapping[str, str], template: str) -> str | None:
    """Return how several columns make the input: by the template, or as a pair by their usual names; None for one."""
    if template and set(columns_in(template)) <= set(names):
        return template
    alone = next((known[word] for word in SYNONYMS["input"] if word in known), "")
    made = pair_template(names)
    return made if made and (not alone or f"{{{alone}}}" in made) else None


def with_answers(mapping: ColumnMapping, source: Source, *, several: bool = False, scale: str = "") -> ColumnMapping:
    """Return the mapping as the answers of a play are read: labels, sets of labels, or scores of a scale."""
    return with_sets(mapping, source) if several else replace(mapping, scale=scale)


def with_sets(mapping: ColumnMapping, source: Source) -> ColumnMapping:
    """Return the mapping for answers of several labels: lists of columns, a column of gold, and the separator."""
    if mapping.several:
        return mapping
    there = column_names(source)
    lists = ("gold", "teacher_output", "teacher_probabilities")
    named = {
        name: column and set_columns.several(column, there) for name in lists if (column := getattr(mapping, name))
    }
    known = {name.casefold(): name for name in there}
    if not mapping.gold:
        usual = next((known[word] for word in set_columns.USUAL if word in known), None)
        named |= {"gold": usual} if usual and usual not in mapping.named().values() else {}
    mapping = replace(mapping, several=True, **named)  # type: ignore[arg-type]
    lines = islice(stream.lines(stream.recognise(source)), PEEK)
    found = [line.values for line in lines if isinstance(line.values, Mapping)]
    cells = [row.get(name) for row in found for name in (mapping.gold, mapping.teacher_output) if name]
    return replace(mapping, separator=mapping.separator or set_columns.separator_of(cells))


def column_names(source: Source) -> list[str]:
    """Return the names of a source's columns. Raises BadInput."""
    return stream.column_names(source)


def candidates(source: Source) -> dict[str, frozenset[str]]:
    """Return the columns that look like labels, with the values in the beginning of a source."""
    known = stream.recognise(source)
    lines = islice(stream.lines(known), PEEK)
    found = label_like(line.values for line in lines if isinstance(line.values, Mapping))
    calls = any(each.format is not None for each in known)
    made = {*chat.QUESTIONS, *chat.ANSWERS} if calls else set()  # of these the input and the answer are made
    return {name: own for name, own in found.items() if name not in made and not name.startswith(PARAMETER)}


def is_log(source: Source) -> bool:
    """Whether a source holds logged calls, and not plain tables alone."""
    return any(each.format is not None for each in stream.recognise(source))


def answers_in(source: Source, column: str | None) -> list[object]:
    """Return the answers in the beginning of a plain table; none of logs, whose answers are read as calls."""
    if column is None or is_log(source):
        return []
    lines = islice(stream.lines(stream.recognise(source)), PEEK)
    return [line.values.get(column) for line in lines if isinstance(line.values, Mapping)]


def different_values(source: Source) -> dict[str, int]:
    """Return how many different values each column has that looks like labels."""
    return {name: len(values) for name, values in candidates(source).items()}


def _proposed(values: Values, found: Mapping[str, str | None], known: Mapping[str, str]) -> dict[str, str | None]:
    """Propose gold by its values; a column that was taken for the segment gives way to the next name of a segment."""
    gold = gold_of(values, found)
    segments = (known[word] for word in SYNONYMS["segment"] if word in known and known[word] != gold)
    return {"gold": gold, "segment": next(segments, None)}


def read_rows(
    source: Source,
    mapping: ColumnMapping,
    calls: CallMapping = DEFAULT,
    *,
    answers_of: str = "",
    scrubbed: Counter[str] | None = None,
) -> Iterator[TrafficRow | Reject]:
    """Stream the rows of a source; an unusable row comes as a Reject.

    `calls` makes inputs and answers of logged calls. Of `answers_of`, the name of a model, only its answers are taken.
    `scrubbed` counts the personal data that was replaced, where the mapping asks for that.
    Raises BadInput for an unusable source: at once, or at the end where no row of JSON has a wanted column.
    """
    known = stream.recognise(source)
    tables = [each for each in known if each.format is None]
    for each in tables:
        names = stream.headed(each)
        for wanted in mapping.columns() if names else ():
            if names.count(wanted) != 1:
                problem = "no column" if wanted not in names else "more than one column"
                cure = " Import it on its own." if len(known) > 1 else ""
                raise BadInput(f"{each.part.name} has {problem} '{wanted}'; it has {listed(names)}.{cure}")
    lines = stream.lines(known, replace(calls, scrub=False), mapping.columns())
    answers = TableAnswers.of(known, mapping, calls)
    rows = _rows(source_name(source), mapping, lines, answers_of, answers, several=len(known) > 1)
    return _scrubbed(rows, Counter() if scrubbed is None else scrubbed) if calls.scrub else rows


def _scrubbed(rows: Iterator[TrafficRow | Reject], counted: Counter[str]) -> Iterator[TrafficRow | Reject]:
    """Replace personal data in inputs, answers and gold."""
    for row in rows:
        if isinstance(row, TrafficRow):
            texts = {"input": row.input, "teacher_output": row.teacher_output, "gold": row.gold}
            for name, text in texts.items():
                if text is not None:
                    texts[name], found = privacy.scrub(text)
                    counted.update(found)
            row = replace(row, **texts)  # type: ignore[arg-type]
        yield row


@dataclass(frozen=True)
class TableAnswers:
    """Plain tables whose answers are JSON, and the part that counts."""

    files: frozenset[str]
    column: str
    calls: CallMapping

    @classmethod
    def of(cls, known: Sequence[Recognised], mapping: ColumnMapping, calls: CallMapping) -> TableAnswers:
        tables = frozenset(each.part.name for each in known if each.format is None)
        return cls(tables if calls.answer else frozenset(), mapping.teacher_output or "", calls)

    def read(self, file: str, record: Mapping[str, object]) -> Mapping[str, object]:
        """Return a record with the part of its answer in place of the whole. Raises BadRow."""
        if file not in self.files or self.column not in record:
            return record
        try:
            return {**record, self.column: table_answer(record[self.column], self.calls)}
        except NotMapped as reason:
            raise BadRow(f"'{self.column}': {reason}") from None


def _rows(
    name: str,
    mapping: ColumnMapping,
    lines: Iterator[Line],
    answers_of: str,
    answers: TableAnswers,
    *,
    several: bool,
) -> Iterator[TrafficRow | Reject]:
    unseen = set(mapping.columns())
    names: dict[str, None] = {}
    read = 0
    for file, line, values in lines:
        read += 1
        where = file if several else ""
        if isinstance(values, str):
            yield Reject(line, values, where)
            continue
        if isinstance(values, PassedOver):
            yield Reject(line, values.reason, where, passed_over=True, joined=values.joined)
            continue
        unseen.difference_update(values)
        if unseen and len(names) < PEEK:
            names.update(dict.fromkeys(values))
        try:
            row = row_of(line, answers.read(file, values), mapping, where)
        except BadRow as bad:
            yield Reject(line, str(bad), where)
            continue
        if answers_of and row.teacher_output is not None and row.model != answers_of:
            named = row.model or "a model that is not named"
            yield Reject(line, f"answered by {named}, not by {answers_of}", where, passed_over=True)
        else:
            yield row
    if not read:
        raise BadInput(f"{name} has a header and no rows. Give a file with at least one row.")
    if unseen and names:
        raise BadInput(f"{name} has no column '{min(unseen)}'; it has {listed(list(names))}.")


def row_of(line: int, record: Mapping[str, object], mapping: ColumnMapping, file: str = "") -> TrafficRow:
    def value(name: str | None) -> object:
        return None if name is None else _there(record.get(name))

    latency = _amount(value(mapping.latency_ms), mapping.latency_ms)
    time = _time(value(mapping.time), mapping)
    output, shares = _answer(record, mapping.teacher_output, mapping), _all_probabilities(record, mapping)
    if mapping.scale and shares and Scale.read(mapping.scale).ranged:
        output, shares = Scale.read(mapping.scale).mean(shares), None
    return TrafficRow(
        line,
        _input(record, mapping.input) if mapping.input else "",
        output,
        shares,
        _answer(record, mapping.gold, mapping),
        _word(value(mapping.segment), mapping.segment),
        _word(value(mapping.group), mapping.group),
        None if time is None else time.moment,
        "" if time is None or time.usual else time.form,
        _amount(value(mapping.cost), mapping.cost),
        None if latency is None else float(latency),
        _tokens(value(mapping.tokens_in), mapping.tokens_in),
        _tokens(value(mapping.tokens_out), mapping.tokens_out),
        _word(value(mapping.model), mapping.model),
        _word(value(mapping.id), mapping.id),
        file,
    )


# --- values


def _there(value: object) -> object:
    """Take NaN, which pandas writes for a missing value, as missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _input(record: Mapping[str, object], name: str) -> str:
    value = _there(record.get(name))
    if value is None and HOLE.search(name):
        try:
            value = filled(name, record)
        except NotMapped as reason:
            raise BadRow(str(reason)) from None
    if value is None:
        raise BadRow(f"the input ('{name}') is missing")
    if not isinstance(value, str):
        raise BadRow(f"the input ('{name}') is {kind_word(value)}, not text")
    if not value.strip():
        raise BadRow(f"the input ('{name}') is empty")
    if PAIR in value and pair_of(value) is None:
        raise BadRow(f"the input ('{name}') holds U+001F, which separates the parts of a pair, and is not a pair")
    return _clean(value, f"the input ('{name}')")


def _word(value: object, name: str | None) -> str | None:
    """Read a label, a name or an output, stripped; an empty one is None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):  # a column of whole numbers with gaps is read as floats
        if value != value:
            return None
        if math.isfinite(value) and value == int(value):
            return str(int(value))
        raise BadRow(f"'{name}' is {short(value)}: a label or a name is text or a whole number")
    if value is None or isinstance(value, str):
        return _clean(value.strip(), f"'{name}'") or None if value else None
    raise BadRow(f"'{name}' is {kind_word(value)}, not text")


def _answer(record: Mapping[str, object], name: str | None, mapping: ColumnMapping) -> str | None:
    """Read an answer: a word or a text, a set of labels, or a score."""
    if name is not None and mapping.scale:
        return _score(_there(record.get(name)), name, Scale.read(mapping.scale))
    if name is None or not mapping.several:
        return _word(None if name is None else _there(record.get(name)), name)
    try:
        found = set_columns.read(record, name, mapping.separator, empty_set=mapping.empty_set and name == mapping.gold)
    except ValueError as error:
        raise BadRow(str(error)) from None
    return found and _clean(found, f"'{name}'")


def _score(value: object, name: str, scale: Scale) -> str | None:
    """Read a score: a number, a number as text, or an object with nothing but one, as models write it."""
    if isinstance(value, str):
        if not value.strip():
            return None
        with suppress(ValueError, RecursionError):
            value = parse_json(value)
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if value is None:
        return None
    try:
        return scale.number(value)
    except ValueError as reason:
        raise BadRow(f"'{name}' {_quoted(value)} {reason}") from None


def _quoted(value: object) -> str:
    """Quote a value such that `kind_of_reason` can leave it out and keep the column's name."""
    return f"“{short(value).strip(chr(39)).replace('”', chr(39))}”"


def kind_of_reason(reason: str) -> str:
    """Return the reason of a reject without what varies from row to row: its values and numbers."""
    return _VALUES.sub(lambda found: found[1] or "…", reason)


def _clean(text: str, what: str) -> str:
    if "\0" in text:
        raise BadRow(f"{what} holds a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        if all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff"):
            raise BadRow(f"{what} is not UTF-8; {encodings.cure(encodings.escaped(text))}") from None
        raise BadRow(f"{what} holds half a character (a lone surrogate)") from None
    if size > LINE_LIMIT:
        raise BadRow(f"{what} is over 1 MB")
    return text


def _number(value: object, name: str | None) -> Decimal | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise ValueError
        number = Decimal(str(value).strip())
    except (ValueError, InvalidOperation):
        raise BadRow(f"'{name}' {_quoted(value)} is not a number") from None
    if not number.is_finite():
        raise BadRow(f"'{name}' {_quoted(value)} is not finite")
    if number and abs(number.adjusted()) > 30:  # printing an exponent of a million would take all memory
        raise BadRow(f"'{name}' {_quoted(value)} is out of range")
    return number


def _amount(value: object, name: str | None) -> Decimal | None:
    amount = _number(value, name)
    if amount is not None and amount < 0:
        raise BadRow(f"'{name}' {_quoted(value)} is negative")
    return amount


def _tokens(value: object, name: str | None) -> int | None:
    tokens = _number(value, name)
    if tokens is not None and (tokens < 0 or tokens != int(tokens) or tokens > MOST_TOKENS):
        raise BadRow(f"'{name}' {_quoted(value)} is not a whole number of tokens, 0 or more")
    return None if tokens is None else int(tokens)


def _time(value: object, mapping: ColumnMapping) -> Time | None:
    """Read a time, and question one that is unlikely for traffic."""
    now = datetime.now(UTC)
    try:
        found = times.read(value, now)
    except ValueError:
        raise BadRow(f"'{mapping.time}' {_quoted(value)} is not an ISO 8601 time, like 2026-11-28T10:15:00Z") from None
    problem = found.problem(now) if found is not None and not mapping.any_time else ""
    if found is not None and problem:
        day = found.moment.date()
        raise BadRow(f"'{mapping.time}' {_quoted(value)} is read as {day}, {problem}; --any-time keeps such times")
    return found


def _all_probabilities(record: Mapping[str, object], mapping: ColumnMapping) -> Probabilities | None:
    """Read probabilities from their column, or of several labels from one column each."""
    name = mapping.teacher_probabilities
    columns = [] if name is None else set_columns.columns_of(name)
    if len(columns) < 2:
        shares = _probabilities(None if name is None else _there(record.get(name)), name, one_label=not mapping.several)
        return _of_levels(shares, name, Scale.read(mapping.scale)) if mapping.scale and shares else shares
    numbers = {column: _number(_there(record.get(column)), column) for column in columns}
    if all(number is None for number in numbers.values()):
        return None
    return {column: _share(number, column) for column, number in numbers.items()}


def _probabilities(value: object, name: str | None, *, one_label: bool = True) -> Probabilities | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = parse_json(value)
        except (ValueError, RecursionError):
            raise BadRow(f"the probabilities ('{name}') are not JSON") from None
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # a Parquet map
    if isinstance(value, dict):
        # a Parquet struct has every field in every row
        there = {label: p for label, p in value.items() if p is not None}
        named = {_clean(str(label), f"a label of '{name}'"): _share(p, name) for label, p in there.items()}
        return _whole(named, list(named.values()), name) if one_label else named
    if isinstance(value, list):
        shares = [_share(p, name) for p in value]
        return _whole(shares, shares, name) if one_label else shares
    raise BadRow(f"the probabilities ('{name}') are {kind_word(value)}, not an object or a list")


def _of_levels(shares: Probabilities, name: str | None, scale: Scale) -> Probabilities:
    """Return a distribution over the levels of a scale, in their order; of a range the mean is taken by `_row`."""
    if isinstance(shares, list):
        if scale.ranged or len(shares) != len(scale.points):
            what = f"the range {scale.text}: write an object of numbers" if scale.ranged else f"the levels {scale.text}"
            raise BadRow(f"the probabilities ('{name}') are a list of {len(shares)}, which does not fit {what}")
        return dict(zip(scale.labels, shares, strict=True))
    found: dict[str, float] = {}
    for level, share in shares.items():
        if share:
            try:
                number = scale.number(level)
            except ValueError as reason:
                raise BadRow(f"the probabilities ('{name}') name {_quoted(level)}, which {reason}") from None
            found[number] = found.get(number, 0.0) + share
    return found


def _share(value: object, name: str | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadRow(f"'{name}' has the probability {_quoted(value)}, which is not a number")
    try:
        share = float(value)
    except OverflowError:
        share = math.inf
    if not 0 <= share <= 1 + PROBABILITY_SLACK:
        like = "a log-probability" if share < 0 else "a percentage" if share <= 100 else "a score"
        raise BadRow(f"'{name}' has the probability {_quoted(value)}, outside 0 to 1: it looks like {like}")
    return share


def _whole(probabilities: Probabilities, shares: list[float], name: str | None) -> Probabilities:
    if not abs(math.fsum(shares) - 1) <= PROBABILITY_SLACK + 1e-9:
        raise BadRow(f"the probabilities ('{name}') sum to {math.fsum(shares):.4g}, not to 1")
    return probabilities
