"""The shape of extracted answers, and where in the input their values occur. Standard library only.

An answer is a JSON object, or a text, which counts as one field without a name. The fields of an object are its paths:
of a nested object `a.b`, of a list `a.0`. The shape is inferred from the teacher's answers: which fields there are, in
which order, and how each is read. A value is copied as it stands in the input; or read there and normalised, as a date,
a time, a number or a phone number; or it is one of a closed set. A field that is none of these is left out, and named.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from distill_tui.tasks.normalise import INSIDE, found_in, nearest, nested
from distill_tui.tasks.normalise import value as by_value

RARE = 0.01  # a field in a smaller share of the answers is a mistake of the teacher's
MOST = 24  # fields
PLACES = 16  # occurrences of one value that are considered
WRITTEN = {  # what an answer writes of each kind
    "date": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "time": re.compile(r"\d{2}:\d{2}"),
    "number": re.compile(r"-?\d+(\.\d+)?"),
    "phone": re.compile(r"\+?\d{6,15}"),
}
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
CHOICE = "choice"  # a closed set
MOST_CHOICES, ROWS_A_CHOICE = 40, 5  # values of a closed set, and rows that it needs for each
ENOUGH = 0.5  # share of a field's values that must be found in the inputs, else it cannot be taught
BETTER = 0.02  # by which a way to read a field must find more values than copying does
TRUTHS = ("true", "false")
FORMS = {  # how each kind may be written
    "date": ("dmy", "mdy"),
    "time": ("",),
    "number": (".", ","),
    "phone": ("",),
}
LETTERS = ("strip", "upper", "lower", "title")  # methods of str by which a value is written, the first as it stands

Span = tuple[int, int]  # first character, and the one after the last


class _Number(str):
    """A number in an answer, as it was written there."""


@dataclass(frozen=True)
class Field:
    """One value of an answer."""

    name: str  # empty: the answer is this value alone
    absent: str  # what is written where there is no value: "missing", "null" or "empty"
    always: bool  # whether every answer has a value
    bare: bool  # whether numbers stand without quotes
    letters: str = LETTERS[0]  # how the input's letters are written
    reads: str = ""  # a kind of `normalise`, or a closed set; empty: copied as it stands
    form: str = ""  # of that kind
    choices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The path as a person reads it."""
        return self.name.replace(INSIDE + "#", ".").replace(INSIDE, ".") or "the answer"


@dataclass(frozen=True)
class Shape:
    """The fields of an answer and how it is put together."""

    json: bool  # whether they are JSON objects; else there is one field
    fields: tuple[Field, ...]
    untaught: Mapping[str, str] = field(default_factory=dict)  # paths that cannot be taught, and why
    whole: bool = False  # whether values begin and end where words do

    @property
    def marked(self) -> list[int]:
        """The fields whose values are marked in the input."""
        return [at for at, each in enumerate(self.fields) if each.reads != CHOICE]

    @property
    def chosen(self) -> list[int]:
        """The fields that are chosen from a closed set."""
        return [at for at, each in enumerate(self.fields) if each.reads == CHOICE]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shape:
        """Read `to_dict` back. Raises KeyError or TypeError where it is something else."""
        fields = tuple(Field(**one | {"choices": tuple(one.get("choices", ()))}) for one in values["fields"])
        if any(each.letters not in LETTERS for each in fields):
            raise KeyError("letters")
        return cls(values["json"], fields, dict(values.get("untaught", {})), bool(values.get("whole")))

    def write(self, values: Sequence[str | None]) -> str:
        """Write one answer from a value for each field, None where there is none."""
        if not self.json:
            return str(getattr(values[0] or "", self.fields[0].letters)())
        pairs = [(each.name, _literal(each, value)) for each, value in zip(self.fields, values, strict=True)]
        there = [(name.split(INSIDE), literal) for name, literal in pairs if literal is not None]
        return nested(there) if there else "{}"

    def value(self, at: int, text: str, span: Span | None) -> str | None:
        """Return the value of a field from the span that was marked; None for none."""
        field = self.fields[at]
        if span is None or not field.reads:
            return None if span is None else text[slice(*span)].strip() or None
        return nearest(text, *span, field.reads, field.form)

    def values(self, answer: str) -> list[str | None] | None:
        """Parse an answer: a value for each field; None where it is not of this shape."""
        if not self.json:
            return [answer.strip() or None]
        found = flat(answer)
        if found is None or not found.keys() <= {each.name for each in self.fields} | self.untaught.keys():
            return None
        return [found.get(each.name) for each in self.fields]


@dataclass(frozen=True)
class Marked:
    """Where the values of each row's answer occur in its input."""

    shape: Shape
    spans: tuple[tuple[Span | None, ...] | None, ...]  # for each row a span for each field; None: the row cannot teach
    picks: tuple[tuple[int, ...], ...]  # for each row and closed set: which of its values, from 1; 0 for none
    misshapen: int  # answers that are not of the shape
    absent: int  # answers with a value that does not stand in the input

    @property
    def left_out(self) -> str:
        """One sentence about the rows that are left out; empty where there are none."""
        reasons = [
            f"{self.absent} with a value that does not stand in the input" if self.absent else "",
            f"{self.misshapen} that are not an object of the same plain fields as the others" if self.misshapen else "",
        ]
        listed = " and ".join(reason for reason in reasons if reason)
        rows = f"Of {len(self.spans)} answers a tagger cannot learn {listed}." if listed else ""
        return " ".join(filter(None, [rows, *self.shape.untaught.values()]))

    @property
    def by_field(self) -> tuple[str, ...]:
        """One sentence for each field: how it is taught, or why it is left out."""
        return (*map(_taught, self.shape.fields), *self.shape.untaught.values())


def _taught(field: Field) -> str:
    ways = {"": "copied", CHOICE: f"chosen from {len(field.choices)} values"}
    return f"{field.shown}: {ways.get(field.reads, f'read as a {field.reads}')}."


def mark(inputs: Sequence[str], answers: Sequence[str]) -> Marked:
    """Infer the shape of the answers and find each value in its input."""
    shape = _read(_shape(answers), inputs, answers)
    values = [shape.values(answer) for answer in answers]
    places = [
        None if row is None else _places(shape.fields, text, row) for text, row in zip(inputs, values, strict=True)
    ]
    usual = _usual(inputs, places, len(shape.fields))
    spans = [None if found is None else _chosen(text, found, usual) for text, found in zip(inputs, places, strict=True)]
    misshapen = sum(row is None for row in values)
    fields = tuple(_with_letters(each, at, inputs, values, spans) for at, each in enumerate(shape.fields))
    shape = replace(shape, fields=fields, whole=_whole(inputs, spans))
    picks = tuple(() if row is None else tuple(_pick(fields[at], row[at]) for at in shape.chosen) for row in values)
    return Marked(shape, tuple(spans), picks, misshapen, sum(one is None for one in spans) - misshapen)


def _pick(field: Field, value: str | None) -> int:
    return 0 if value is None or value not in field.choices else 1 + field.choices.index(value)


# --- how each field is read ------------------------------------------------------------------------------------------


def _read(shape: Shape, inputs: Sequence[str], answers: Sequence[str]) -> Shape:
    """Find how each field is read; what is found in no way is left out and named."""
    if not shape.json:
        return shape
    found = [flat(answer) or {} for answer in answers]
    fields, untaught = [], {}
    for each in shape.fields:
        pairs = [(text, value) for text, row in zip(inputs, found, strict=True) if (value := row.get(each.name))]
        read, share = _way(each, pairs)
        if read is None:
            untaught[each.name] = (
                f"{each.shown} is left out: {100 * share:.0f}% of its {len(pairs):,} values stand in the input in a "
                "form that can be read, and they are not a closed set."
            )
        else:
            fields.append(read)
    return replace(shape, fields=tuple(fields), untaught=untaught) if fields else shape


def _way(field: Field, pairs: Sequence[tuple[str, str]]) -> tuple[Field | None, float]:
    """Return a field with the way in which most of its values are found; None where too few are, and the share."""
    if not pairs:  # it has a place in the answers, and never a value
        return field, 1.0
    rows = len(pairs)
    copied = sum(bool(occurrences(text, value)) for text, value in pairs) / rows
    best, share = field, copied
    for kind, form in _kinds(value for _, value in pairs):
        hits = sum(any(made == value for _, _, made in found_in(text, kind, form)) for text, value in pairs) / rows
        if hits > share + (BETTER if not best.reads else 0):
            best, share = replace(field, reads=kind, form=form), hits
    values = Counter(value for _, value in pairs)
    closed = len(values) <= MOST_CHOICES and len(values) * ROWS_A_CHOICE <= len(pairs)
    if closed and (share < 1 - BETTER or set(values) <= set(TRUTHS)):
        return replace(field, reads=CHOICE, choices=tuple(sorted(values))), 1.0
    return (best if share >= ENOUGH else None), share


def _kinds(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the kinds, each with its forms, that could write these values."""
    written = list(values)
    most = ENOUGH * len(written)
    for kind, pattern in WRITTEN.items():
        fitting = [value for value in written if pattern.fullmatch(value)]
        if not written or len(fitting) < most:
            continue
        if kind == "number":
            places = Counter(len(value.partition(".")[2]) for value in fitting)
            ways = ["", *(str(count) for count in places if len(places) == 1 and count)]
            yield from ((kind, mark + way) for mark in FORMS[kind] for way in ways)
        elif kind == "phone":
            before = Counter(value[: 1 + size] for value in fitting if value[0] == "+" for size in (1, 2, 3))
            usual = [name for name, _ in before.most_common(6)]
            yield from ((kind, form) for form in (*usual, *FORMS[kind]))
        else:
            yield from ((kind, form) for form in FORMS[kind])


def _whole(inputs: Sequence[str], spans: Sequence[tuple[Span | None, ...] | None]) -> bool:
    """Whether values begin and end where words do; a few that split a word are mistakes of the teacher's."""
    found = [(text, span) for text, row in zip(inputs, spans, strict=True) for span in row or () if span]
    return sum(not _in_words(text, span) for text, span in found) <= RARE * len(found)


def splits(text: str, place: int) -> bool:
    """Whether a position is inside a word: there are letters or digits on both sides of it."""
    return 0 < place < len(text) and text[place - 1 : place + 1].isalnum()


def flat(answer: str) -> dict[str, str | None] | None:
    """Parse a JSON object into its paths: texts, numbers, truths and nulls, an empty text as null.

    None for anything else, also for an object with one name twice.
    """
    if not answer.lstrip().startswith("{"):
        return None
    try:
        read = json.loads(
            answer, parse_int=_Number, parse_float=_Number, parse_constant=_refuse, object_pairs_hook=_once
        )
        return dict(_paths(read, ""))
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs) or any(INSIDE in name or name.startswith("#") for name in found):
        raise ValueError("a name twice")
    return found


def _paths(value: object, path: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _paths(each, f"{path}{INSIDE}{name}" if path else name)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _paths(each, f"{path}{INSIDE}#{at}")
    elif isinstance(value, bool):
        yield path, _Number(TRUTHS[not value])
    elif isinstance(value, _Number):
        yield path, _Number(by_value(value))
    else:
        yield path, value if isinstance(value, str) and value.strip() else None


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _shape(answers: Sequence[str]) -> Shape:
    objects = [read for read in map(flat, answers) if read is not None]
    if 2 * len(objects) <= len(answers):
        return Shape(False, (Field("", "empty", all(answer.strip() for answer in answers), False),))
    rows = Counter(name for read in objects for name in read)
    often = {name for name, count in rows.most_common(MOST) if count >= RARE * len(objects)}
    names: list[str] = []
    for read in sorted(objects, key=len, reverse=True):  # the fullest answers give the order, the others fill in
        for before, name in pairwise([None, *(name for name in read if name in often)]):
            if name is not None and name not in names:
                names.insert(names.index(before) + 1 if before is not None else 0, name)
    return Shape(True, tuple(_field(name, objects, answers) for name in names))


def _field(name: str, objects: Sequence[Mapping[str, str | None]], answers: Sequence[str]) -> Field:
    given = [read[name] for read in objects if name in read]
    filled = [value for value in given if value is not None]
    ways = Counter({"missing": len(objects) - len(given)})
    if len(given) > len(filled):
        null = re.compile(re.escape(_quoted(name.rpartition(INSIDE)[2])) + r"\s*:\s*null")
        nulls = sum(null.search(answer) is not None for answer in answers)
        ways.update({"null": nulls, "empty": max(0, len(given) - len(filled) - nulls)})
    numbers = sum(isinstance(value, _Number) for value in filled)
    always = len(filled) == len(objects)
    absent = "empty" if always else ways.most_common(1)[0][0]
    return Field(name, absent, always, 2 * numbers > len(filled))


def _places(fields: Sequence[Field], text: str, values: Sequence[str | None]) -> list[list[Span] | None] | None:
    """Find the occurrences of each value, None for no value; None for the row where a value does not occur."""
    found = [None if value is None else _where(each, text, value) for each, value in zip(fields, values, strict=True)]
    return None if any(spans == [] for spans in found) else found


def _where(field: Field, text: str, value: str) -> list[Span] | None:
    if field.reads == CHOICE:
        return None if value in field.choices else []
    if not field.reads:
        return occurrences(text, value)
    made = found_in(text, field.reads, field.form)
    return [(first, last) for first, last, said in made if said == value][:PLACES]


def occurrences(text: str, value: str) -> list[Span]:
    """Find a value in a text: as it is written, else with other case and blanks; whole words before parts of words."""
    words = [re.escape(word) for word in value.split()]
    for pattern, flags in ((re.escape(value.strip()), 0), (r"\s*".join(words), re.IGNORECASE)):
        spans = [match.span() for match in re.finditer(pattern, text, flags)]
        if spans:
            return ([span for span in spans if _in_words(text, span)] or spans)[:PLACES]
    return []


def _in_words(text: str, span: Span) -> bool:
    """Whether a span begins and ends where words do."""
    return not any(splits(text, end) for end in span)


def _usual(inputs: Sequence[str], places: Sequence[list[list[Span] | None] | None], fields: int) -> list[float]:
    """Compute the usual relative position of each field in a text, 0 to 1, by the values that occur only once."""
    usual = []
    for at in range(fields):
        rows = [(text, found[at]) for text, found in zip(inputs, places, strict=True) if found is not None]
        known = [spans[0][0] / len(text) for text, spans in rows if spans is not None and len(spans) == 1]
        usual.append(sum(known) / len(known) if known else (at + 1) / (fields + 1))
    return usual


def _chosen(text: str, places: Sequence[list[Span] | None], usual: Sequence[float]) -> tuple[Span | None, ...] | None:
    """Choose one occurrence of each value: in the usual order where possible, then nearest to the usual position.

    No two overlap; None where that is impossible.
    """
    filled = sorted((at for at, spans in enumerate(places) if spans), key=lambda at: usual[at])
    chosen = _in_order(text, filled, places, usual) or _in_any_order(text, filled, places, usual)
    if chosen is None:
        return None
    return tuple(chosen.get(at) for at in range(len(places)))


def _in_order(
    text: str, filled: Sequence[int], places: Sequence[list[Span] | None], usual: Sequence[float]
) -> dict[int, Span] | None:
    """Find the cheapest sequence of spans of which each begins after the one before has ended."""
    paths: list[tuple[float, tuple[Span, ...]]] = [(0.0, ())]
    for at in filled:
        longer = []
        for span in places[at] or ():
            before = [path for path in paths if not path[1] or path[1][-1][1] <= span[0]]
            if before:
                cost, spans = min(before)
                longer.append((cost + abs(span[0] / len(text) - usual[at]), (*spans, span)))
        paths = longer
    return dict(zip(filled, min(paths)[1], strict=True)) if paths else None


def _in_any_order(
    text: str, filled: Sequence[int], places: Sequence[list[Span] | None], usual: Sequence[float]
) -> dict[int, Span] | None:
    chosen: dict[int, Span] = {}
    for at in sorted(filled, key=lambda at: len(places[at] or ())):
        free = [span for span in places[at] or () if all(span[1] <= a or b <= span[0] for a, b in chosen.values())]
        if not free:
            return None
        chosen[at] = min(free, key=lambda span: abs(span[0] / len(text) - usual[at]))
    return chosen


def _with_letters(
    field: Field,
    at: int,
    inputs: Sequence[str],
    values: Sequence[list[str | None] | None],
    spans: Sequence[tuple[Span | None, ...] | None],
) -> Field:
    """Choose the letter case of a field: the one that gives the teacher's values most often."""
    right: Counter[str] = Counter()
    for text, row, found in zip(inputs, values, spans, strict=True):
        span = found[at] if found is not None else None
        if row is not None and span is not None:
            written = text[slice(*span)]
            right.update(name for name in LETTERS if getattr(written, name)() == row[at])
    return field if field.reads else replace(field, letters=max(LETTERS, key=lambda name: right[name]))


def _literal(field: Field, value: str | None) -> str | None:
    """Write a value as JSON; None where it is left out."""
    if value is None:
        return {"missing": None, "null": "null", "empty": '""'}[field.absent]
    if field.bare and (NUMBER.fullmatch(value) or value in TRUTHS):
        return value
    return _quoted(value if field.reads else getattr(value, field.letters)())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
