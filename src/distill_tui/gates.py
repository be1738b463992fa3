"""What success means, fixed beforehand; what an evaluation measured; and what the one says of the other.

A `Gate` is written, locked by its digest, and never changes. A `Record` is everything that an evaluation measured, in
integers and strings, so that anybody can compute the verdicts again. `judge` puts one against the other: a criterion
holds only where the whole interval is on the right side, and a point estimate never decides.

Pure: no file, no play, no person. Standard library, `terms`, `statistics` and `economics` only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from distill_tui import economics, statistics
from distill_tui.statistics import Scores
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Verdict

ALL = "all"
EVERY_SEGMENT = "every segment"
BASELINES = ("tfidf", "majority")
SUBJECTS = ("student", "teacher", "baseline")
QUALITY = (Metric.ACCURACY, Metric.AGREEMENT)
ASSUMED_DISCORDANCE = 0.2  # share of rows on which student and teacher differ in being right, before there is a student
P95 = 0.95

_SEGMENT = "segment: "
_DIGITS = 18  # the longest number that a gate may hold, before and after the point


# --- the gate --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Criterion:
    """One thing that a student must show. Either a margin against a reference, or a threshold without one.

    `scope` is "all", "every segment" or "segment: NAME". A segment that has a criterion of its own (same metric and
    reference) is not among "every segment": a looser tolerance for rare inputs is written down that way.
    """

    metric: Metric
    reference: Reference = Reference.NONE
    scope: str = ALL
    margin: Decimal | None = None  # how far the student may trail the reference; negative: must lead by that much
    threshold: Decimal | None = None  # at least (accuracy, agreement), below (p95), at most (payback, size)
    binding: bool = False  # the win metric of the play: exactly one
    watch_only: str = ""  # a reason: measured and shown, does not count

    @property
    def counts(self) -> bool:
        """Whether the student must hold it."""
        return not self.watch_only

    @property
    def segment(self) -> str | None:
        """The one segment that it is about, if it is about one."""
        return self.scope.removeprefix(_SEGMENT) if self.scope.startswith(_SEGMENT) else None

    @property
    def words(self) -> str:
        """A name to call it by in a sentence."""
        against = "" if self.reference is Reference.NONE else f" against the {self.reference}"
        return f"{self.metric}{against}{'' if self.scope == ALL else f' ({self.scope})'}"


@dataclass(frozen=True)
class Gate:
    """What success means for one play. Locked by its digest before any data is seen."""

    criteria: tuple[Criterion, ...]
    confidence: Decimal = Decimal(
        "0.95"
    )  # of the whole gate over all rounds: the chance of a wrong pass is at most 1-c
    rounds: int = 3  # the most looks at the held-out split; each spends its part of the error budget
    held_out_rows: int = 1000
    validation_share: Decimal = Decimal("0.1")
    seed: int = 1  # of the rule that draws the splits
    baseline: str = "tfidf"
    minimum_assurance: Assurance = Assurance.ACCOUNT
    window_from: str = ""  # ISO date of the first day of traffic; empty: no limit
    window_to: str = ""
    statement: str = ""  # what the sponsor says good enough means
    predecessor: str = ""  # the killed play whose goalposts these replace


def default_gate(kind: PlayKind) -> Gate:
    """Suggest a gate for a kind of play, to be edited before the lock."""
    accuracy, teacher, baseline = Metric.ACCURACY, Reference.TEACHER, Reference.BASELINE
    within = Criterion(accuracy, teacher, margin=Decimal("0.05"))
    segments = Criterion(accuracy, teacher, EVERY_SEGMENT, margin=Decimal("0.1"))
    binding = Criterion(accuracy, teacher, margin=Decimal("0.05"), binding=True)
    match kind:
        case PlayKind.COST:
            return Gate((binding, segments, Criterion(Metric.PAYBACK, threshold=Decimal(6))))
        case PlayKind.LATENCY:
            return Gate((Criterion(Metric.P95_LATENCY, threshold=Decimal(50), binding=True), within, segments))
        case PlayKind.STABILITY:
            return Gate((binding, segments))
        case PlayKind.SPECIALIZATION:
            optional = "A smaller model is welcome, but not what this play is for."
            return Gate(
                (
                    Criterion(accuracy, baseline, margin=Decimal(0), binding=True),
                    Criterion(accuracy, baseline, EVERY_SEGMENT, margin=Decimal("0.1")),
                    Criterion(Metric.SIZE, threshold=Decimal(100), watch_only=optional),
                )
            )


def problems(gate: Gate, kind: PlayKind) -> list[str]:
    """Say what stands against locking this gate for this kind of play, in full sentences; nothing means lockable."""
    found = list(_gate_problems(gate))
    for criterion in gate.criteria:
        found.extend(_criterion_problems(criterion))
    found.extend(_duplicates(gate))
    found.extend(_binding_problems(gate, kind))
    return found


def _gate_problems(gate: Gate) -> Iterator[str]:
    if not gate.criteria:
        yield "The gate has no criteria; add at least one."
    if not (gate.confidence.is_finite() and Decimal("0.5") < gate.confidence < 1):
        yield f"confidence is {gate.confidence}; it lies above 0.5 and below 1, like 0.95."
    if gate.rounds < 1:
        yield f"rounds is {gate.rounds}; the student must be looked at once at least."
    if gate.held_out_rows < 1:
        yield f"held_out_rows is {gate.held_out_rows}; without held-out rows nothing can be proven."
    if not (gate.validation_share.is_finite() and 0 < gate.validation_share < 1):
        yield f"validation_share is {gate.validation_share}; it lies above 0 and below 1, like 0.1."
    if gate.seed < 0:
        yield f"seed is {gate.seed}; it is 0 or more."
    if gate.baseline not in BASELINES:
        yield f"baseline is '{gate.baseline}'; it is {' or '.join(BASELINES)}."
    dates = [("window_from", gate.window_from), ("window_to", gate.window_to)]
    wrong = [f"{name} is '{day}'; write a date like 2026-01-31." for name, day in dates if day and not _is_date(day)]
    yield from wrong
    if not wrong and gate.window_from and gate.window_to and gate.window_from > gate.window_to:
        yield f"window_from {gate.window_from} is after window_to {gate.window_to}; exchange them."


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _criterion_problems(criterion: Criterion) -> Iterator[str]:
    name = criterion.words
    if criterion.segment is None and criterion.scope not in (ALL, EVERY_SEGMENT):
        yield f"The scope of {name} is none of 'all', 'every segment' and 'segment: NAME'; write one of them."
    if criterion.segment is not None and not criterion.segment.strip():
        yield f"The scope of {name} names no segment; write 'segment: NAME'."
    if criterion.metric not in QUALITY and criterion.scope != ALL:
        yield f"{name} is measured over all requests; give it the scope 'all'."
    if criterion.metric is not Metric.ACCURACY and criterion.reference is not Reference.NONE:
        if criterion.metric is Metric.AGREEMENT:
            yield f"{name}: agreement already compares with the teacher; give it a threshold and the reference none."
        else:
            yield f"{name} has no reference to trail; give a threshold and the reference none."
    elif criterion.reference is Reference.NONE:
        yield from _threshold_problems(criterion)
    else:
        yield from _margin_problems(criterion)
    if criterion.watch_only and criterion.binding:
        yield f"{name} is binding and only watched; it is one or the other."
    if criterion.watch_only and not criterion.watch_only.strip():
        yield f"{name} is only watched, without a reason; say why it does not count."


def _threshold_problems(criterion: Criterion) -> Iterator[str]:
    name, threshold = criterion.words, criterion.threshold
    if criterion.margin is not None:
        yield f"{name} has a margin but no reference; name the teacher or the baseline, or give a threshold instead."
        return
    if threshold is None:
        yield f"{name} has no threshold; give one, or a reference and a margin."
    elif not threshold.is_finite() or _too_long(threshold):
        yield f"The threshold of {name} is {threshold}; give a number of at most {_DIGITS} digits."
    elif criterion.metric in QUALITY and threshold >= 1:
        yield f"The threshold of {name} is {threshold}, which no sample proves; give a share below 1, like 0.9."
    elif criterion.metric in QUALITY and threshold <= 0:
        yield f"The threshold of {name} is {threshold}, which cannot fail; give a share above 0, like 0.9."
    elif threshold <= 0:
        yield f"The threshold of {name} is {threshold}, which cannot pass; give a number above 0."


def _margin_problems(criterion: Criterion) -> Iterator[str]:
    name, margin = criterion.words, criterion.margin
    if criterion.threshold is not None:
        yield f"{name} has a reference and a threshold; give a margin, or the reference none."
        return
    if margin is None:
        yield f"{name} has no margin; say how far the student may trail the {criterion.reference}, like 0.05."
    elif not margin.is_finite() or _too_long(margin):
        yield f"The margin of {name} is {margin}; give a number of at most {_DIGITS} digits."
    elif margin >= 1:
        yield f"The margin of {name} is {margin}, which cannot fail; 5 points are written 0.05."
    elif margin <= -1:
        yield f"The margin of {name} is {margin}, which cannot pass; a lead of 5 points is written -0.05."
    elif criterion.reference is Reference.TEACHER and margin <= 0:
        yield (
            f"The margin of {name} is {margin}, and a student that learns from the teacher proves no lead over it; "
            "allow it to trail by something above 0, like 0.02."
        )


def _duplicates(gate: Gate) -> Iterator[str]:
    seen = set()
    for criterion in gate.criteria:
        key = (criterion.metric, criterion.reference, criterion.scope)
        if key in seen:
            yield f"{criterion.words} stands in the gate twice; keep one of them."
        seen.add(key)


def _binding_problems(gate: Gate, kind: PlayKind) -> Iterator[str]:
    binding = [criterion for criterion in gate.criteria if criterion.binding]
    counting = {criterion.metric for criterion in gate.criteria if criterion.counts}
    if gate.criteria and len(binding) != 1:
        count = "No criterion is" if not binding else f"{len(binding)} criteria are"
        yield f"{count} binding; mark exactly one, the win metric of a {kind} play: {_fit(kind)}."
    for criterion in binding if len(binding) == 1 else ():
        if not _fits(criterion, kind):
            yield f"{criterion.words} is binding, but a {kind} play is won by {_fit(kind)}; mark that."
    if gate.criteria and kind is PlayKind.COST and Metric.PAYBACK not in counting:
        yield "A cost play must pay back within a window; add a payback_months criterion that counts."
    if gate.criteria and kind is PlayKind.LATENCY and not counting.intersection(QUALITY):
        yield "A latency play must not buy speed with quality; add an accuracy or agreement criterion that counts."


def _fits(criterion: Criterion, kind: PlayKind) -> bool:
    if kind is PlayKind.LATENCY:
        return criterion.metric is Metric.P95_LATENCY
    if kind is PlayKind.SPECIALIZATION:
        lead = criterion.margin is None or criterion.margin.is_nan() or criterion.margin <= 0
        return criterion.metric is Metric.ACCURACY and criterion.reference is Reference.BASELINE and lead
    return criterion.metric in QUALITY


def _fit(kind: PlayKind) -> str:
    if kind is PlayKind.LATENCY:
        return "p95_latency_ms below a threshold"
    if kind is PlayKind.SPECIALIZATION:
        return "accuracy against the baseline with a margin of 0 or less"
    return "accuracy or agreement"


def _too_long(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return number != 0 and (number.adjusted() >= _DIGITS or not isinstance(exponent, int) or exponent < -_DIGITS)


# --- the gate as text ------------------------------------------------------------------------------------------------


def to_toml(gate: Gate) -> str:
    """Write the gate as the TOML that people edit and bundles carry."""
    import tomli_w

    whole: dict[str, Any] = {name: value for name, value in _plain(gate).items() if name != "criteria"}
    for name in ("confidence", "validation_share"):
        whole[name] = Decimal(whole[name])
    whole["criteria"] = [
        {
            name: Decimal(value) if name in ("margin", "threshold") else value
            for name, value in _plain(criterion).items()
            if value is not None and (name, value) not in (("watch_only", ""), ("binding", False))
        }
        for criterion in gate.criteria
    ]
    return tomli_w.dumps(whole)


def from_toml(text: str) -> Gate:
    """Read a gate from TOML. Raises ValueError with one sentence; whether it can be locked is for `problems` to say."""
    import tomllib

    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise ValueError(f"The gate is not TOML: {reason}.") from None
    return _read_gate(values, text)


def to_json(gate: Gate) -> str:
    """Write the gate as canonical JSON: sorted keys, no spaces, ASCII, decimals as normalised strings."""
    return json.dumps(_plain(gate), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Gate:
    """Read `to_json` back. Raises ValueError with one sentence."""
    return _read_gate(_strict_json(text, "gate"), "")


def digest(gate: Gate) -> str:
    """Give the digest that a lock fixes: SHA-256 of the canonical JSON."""
    return _sha256(to_json(gate))


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: Any) -> Any:
    """Turn a gate or a record into dicts, lists, strings, integers, booleans and None."""
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Gate | Criterion | Record):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _decimal_text(number: Decimal) -> str:
    if not number.is_finite():
        return str(number)
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _read_gate(values: Mapping[str, object], text: str) -> Gate:
    where = _finder(text)
    known = {each.name for each in fields(Gate)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"A gate has no '{name}'{where(name)}; it has {', '.join(sorted(known))}.")
        if name == "criteria":
            if not isinstance(value, list):
                raise ValueError(f"criteria{where(name)} is no list; write each one under [[criteria]].")
            read[name] = tuple(_read_criterion(each, index, where) for index, each in enumerate(value, 1))
        else:
            read[name] = _GATE_READERS[name](value, f"{name}{where(name)}")
    read.setdefault("criteria", ())
    return Gate(**read)


def _read_criterion(values: object, index: int, where: Callable[[str], str]) -> Criterion:
    if not isinstance(values, dict):
        raise ValueError(f"Criterion {index} is no table; write it under [[criteria]].")
    known = {each.name for each in fields(Criterion)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"Criterion {index} has an unknown '{name}'{where(name)}; it may have {', '.join(sorted(known))}."
            )
        read[name] = None if value is None else _CRITERION_READERS[name](value, f"{name} of criterion {index}")
    if read.get("metric") is None:
        raise ValueError(f"Criterion {index} has no metric; name one of {', '.join(Metric)}.")
    return Criterion(**{name: value for name, value in read.items() if value is not None})


def _finder(text: str) -> Callable[[str], str]:
    """Say on which line a key stands, as far as that is plain to see."""

    def where(name: str) -> str:
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[].=]", line):
                return f" (line {number})"
        return ""

    return where


def _a_string(value: object, name: str) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_show(value)}; write it as text in quotes.")
    return value


def _a_whole_number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 10**_DIGITS:
        raise ValueError(f"{name} is {_show(value)}; give a whole number.")
    return value


def _a_boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {_show(value)}; write true or false.")
    return value


def _a_number(value: object, name: str) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or _too_long(number):
        raise ValueError(f"{name} is {_show(value)}; give a number of at most {_DIGITS} digits, like 0.05.")
    return number


def _one_of(words: type[Metric] | type[Reference] | type[Assurance]) -> Callable[[object, str], object]:
    def read(value: object, name: str) -> object:
        try:
            return words(str(value) if isinstance(value, str) else "")
        except ValueError:
            raise ValueError(f"{name} is {_show(value)}; it is one of {', '.join(words)}.") from None

    return read


def _show(value: object) -> str:
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_GATE_READERS: dict[str, Callable[[object, str], object]] = {
    "confidence": _a_number,
    "rounds": _a_whole_number,
    "held_out_rows": _a_whole_number,
    "validation_share": _a_number,
    "seed": _a_whole_number,
    "baseline": _a_string,
    "minimum_assurance": _one_of(Assurance),
    "window_from": _a_string,
    "window_to": _a_string,
    "statement": _a_string,
    "predecessor": _a_string,
}
_CRITERION_READERS: dict[str, Callable[[object, str], object]] = {
    "metric": _one_of(Metric),
    "reference": _one_of(Reference),
    "scope": _a_string,
    "margin": _a_number,
    "threshold": _a_number,
    "binding": _a_boolean,
    "watch_only": _a_string,
}


def _strict_json(text: str, thing: str) -> dict[str, object]:
    """Read JSON without duplicate names, floats, NaN or infinity."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = dict(pairs)
        if len(names) < len(pairs):
            twice = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
            raise ValueError(f"The {thing} has {_show(twice)} twice; keep one.")
        return names

    def refuse(number: str) -> object:
        raise ValueError(f"The {thing} holds {_show(number)}; it takes whole numbers and text only.")

    try:
        values = json.loads(text, object_pairs_hook=once, parse_float=refuse, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"The {thing} is not JSON: {error}.") from None
    except RecursionError:
        raise ValueError(f"The {thing} is not JSON: it is nested too deeply.") from None
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            reason if reason.startswith("The ") else f"The {thing} holds a number that is too long."
        ) from None
    if not isinstance(values, dict):
        raise ValueError(f"The {thing} is no JSON object.")
    return values


# --- what an evaluation measured -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """Everything that one evaluation measured on the held-out rows, in integers and strings only.

    Labels, gold and predictions are indices into `labels`; -1 says that there is none (the student always answers).
    Rows that share a `group` depend on each other. It is checked when it is made: a wrong one raises ValueError.
    """

    labels: tuple[str, ...]
    rows: tuple[int, ...]  # numbers of the rows in the data set
    gold: tuple[int, ...]
    teacher: tuple[int, ...]
    student: tuple[int, ...]
    baseline: tuple[int, ...]
    majority: int  # the label that is most frequent in training
    segment: tuple[int, ...]  # indices into `segments`; -1 none
    segments: tuple[str, ...]
    group: tuple[int, ...]
    latency_us: Mapping[str, tuple[tuple[int, ...], ...]] = field(
        default_factory=dict
    )  # subject -> runs, one at a time
    parameters: Mapping[str, int] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    machine: Mapping[str, str | int] = field(default_factory=dict)
    data_set: str = ""  # digests of what was measured with what
    model: str = ""
    teacher_model: str = ""
    payback_inputs: Mapping[str, str] = field(default_factory=dict)  # worksheet numbers as decimal text

    def __post_init__(self) -> None:
        problem = next(_record_problems(self), None)
        if problem:
            raise ValueError(problem)

    def to_json(self) -> str:
        """Write canonical JSON: sorted keys, no spaces, ASCII, no floats."""
        return json.dumps(_plain(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read `to_json` back. Raises ValueError with one sentence."""
        values = _strict_json(text, "evaluation record")
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"An evaluation record has no {_show(name)}; it has {', '.join(known)}.")
        missing = [name for name in known if name not in values]
        if missing:
            raise ValueError(f"The evaluation record lacks {', '.join(missing)}.")
        return cls(**{name: _tuples(value) for name, value in values.items()})  # type: ignore[arg-type]

    def digest(self) -> str:
        """Give SHA-256 of the canonical JSON."""
        return _sha256(self.to_json())


def _tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(_tuples(each) for each in value)
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return value


_COLUMNS = ("rows", "gold", "teacher", "student", "baseline", "segment", "group")


def _record_problems(record: Record) -> Iterator[str]:
    for name in ("labels", "segments"):
        words = getattr(record, name)
        if not isinstance(words, tuple) or not all(isinstance(each, str) for each in words):
            yield f"{name} of the evaluation record is not a list of texts."
        elif len(set(words)) < len(words):
            yield f"{name} of the evaluation record names one thing twice."
    for name in _COLUMNS:
        yield from _column_problems(name, getattr(record, name))
    count = len(record.rows)
    for name in _COLUMNS:
        if len(getattr(record, name)) != count:
            yield f"{name} of the evaluation record has {len(getattr(record, name))} values for {count} rows."
    if len(set(record.rows)) < count:
        yield "rows of the evaluation record names one row twice."
    bounds = {"rows": (0, None), "group": (0, None), "segment": (-1, len(record.segments))}
    for name in ("gold", "teacher", "student", "baseline"):
        bounds[name] = (0 if name == "student" else -1, len(record.labels))
    for name, (low, high) in bounds.items():
        column = getattr(record, name)
        if column and (min(column) < low or (high is not None and max(column) >= high)):
            wrong = next(each for each in column if each < low or (high is not None and each >= high))
            yield f"{name} of the evaluation record holds {wrong}, which is out of range."
    if not _is_whole(record.majority) or not -1 <= record.majority < len(record.labels):
        yield f"majority of the evaluation record is {_show(record.majority)}, which is out of range."
    yield from _mapping_problems(record)


def _column_problems(name: str, column: object) -> Iterator[str]:
    if not isinstance(column, tuple):
        yield f"{name} of the evaluation record is not a list."
    elif not all(_is_whole(each) for each in column):
        wrong = next(each for each in column if not _is_whole(each))
        yield f"{name} of the evaluation record holds {_show(wrong)}; it takes whole numbers only."


def _mapping_problems(record: Record) -> Iterator[str]:
    for name in ("latency_us", "parameters", "bytes", "machine", "payback_inputs"):
        values = getattr(record, name)
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            yield f"{name} of the evaluation record is not a table of names and values."
            return
    for subject, runs in record.latency_us.items():
        if subject not in SUBJECTS:
            yield f"latency_us of the evaluation record has {_show(subject)}; it has {', '.join(SUBJECTS)}."
        if not isinstance(runs, tuple) or not all(isinstance(run, tuple) for run in runs):
            yield f"latency_us of the {subject} is not a list of runs."
        elif not all(_is_whole(each) and each >= 0 for run in runs for each in run):
            yield f"latency_us of the {subject} holds something else than whole microseconds."
    for name in ("parameters", "bytes"):
        for subject, number in getattr(record, name).items():
            if not _is_whole(number) or number < 0:
                yield f"{name} of the {subject} is {_show(number)}; it takes whole numbers from 0."
    for name, value in record.machine.items():
        if not isinstance(value, str) and not _is_whole(value):
            yield f"machine {_show(name)} is {_show(value)}; it takes text and whole numbers."
    for name in ("data_set", "model", "teacher_model"):
        if not isinstance(getattr(record, name), str):
            yield f"{name} of the evaluation record is {_show(getattr(record, name))}; it takes text."
    for name, value in record.payback_inputs.items():
        try:
            _a_number(value if isinstance(value, str) else None, name)
        except ValueError:
            yield f"payback_inputs {_show(name)} is {_show(value)}; it takes a number as text."


def _is_whole(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


# --- the verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What a record says of one criterion in one scope."""

    criterion: Criterion
    scope: str  # "all" or "segment: NAME"
    verdict: Verdict
    n: int  # rows, or requests, that were counted
    groups: int  # how many of them are independent
    estimate: float | None  # of what is judged: a difference, a share, milliseconds, months or megabytes
    lower: float | None
    upper: float | None  # None beside an estimate: there is no bound on that side
    student: float | None  # accuracy or agreement, to show
    reference: float | None
    level: float  # the one-sided error that this look may spend
    rows_needed: int | None  # rows in all that would decide, where the verdict is unproven and some number would
    sentence: str


def judge(gate: Gate, record: Record, looks_split: int | None = None) -> tuple[Judgement, ...]:
    """Judge every criterion in its concrete scopes; the error budget is split over the rounds (`looks_split`).

    No correction for the number of criteria: all must hold, so the chance of a wrong pass is that of the worst one
    (intersection-union, Berger 1982). To name single segments as missing is an accusation, and goes by Holm.
    """
    alpha = float((1 - gate.confidence) / max(1, gate.rounds if looks_split is None else looks_split))
    alpha = min(max(alpha, 1e-12), 0.5)
    return tuple(judgement for each in gate.criteria for judgement in _judge(each, gate, record, alpha))


def passed(judgements: Iterable[Judgement]) -> bool:
    """Say whether the gate is passed: something counts, and everything that counts holds."""
    counting = [judgement.verdict for judgement in judgements if judgement.criterion.counts]
    return bool(counting) and all(verdict is Verdict.HOLDS for verdict in counting)


def _judge(criterion: Criterion, gate: Gate, record: Record, alpha: float) -> tuple[Judgement, ...]:
    problem, bar = next(_criterion_problems(criterion), None), _bar(criterion)
    if problem:  # no gate is locked with it, and nothing is ever passed on it
        return (_unmeasured(criterion, criterion.scope, alpha, problem.rstrip(".")),)
    match criterion.metric:
        case Metric.P95_LATENCY:
            return (_judge_latency(criterion, bar, record, alpha),)
        case Metric.PAYBACK:
            return (_judge_payback(criterion, bar, record, alpha),)
        case Metric.SIZE:
            return (_judge_size(criterion, bar, record, alpha),)
        case _:
            return tuple(_judge_quality(criterion, gate, record, alpha))


def _bar(criterion: Criterion) -> Decimal:
    bar = criterion.threshold if criterion.reference is Reference.NONE else criterion.margin
    return Decimal(0) if bar is None else bar


def _unmeasured(criterion: Criterion, scope: str, alpha: float, reason: str) -> Judgement:
    name = _name(criterion, scope)
    sentence = _sentence(criterion, f"{name} is unmeasured: {reason}")
    return Judgement(criterion, scope, Verdict.UNMEASURED, 0, 0, None, None, None, None, None, alpha, None, sentence)


def _sentence(criterion: Criterion, text: str) -> str:
    watched = f" (watched only: {criterion.watch_only.rstrip('. ')})" if criterion.watch_only else ""
    return f"{text[:1].upper()}{text[1:]}{watched}."


def _name(criterion: Criterion, scope: str) -> str:
    words = {Metric.P95_LATENCY: "the student's p95 latency", Metric.PAYBACK: "payback", Metric.SIZE: "size"}
    where = f" in segment '{scope.removeprefix(_SEGMENT)}'" if scope.startswith(_SEGMENT) else ""
    return words.get(criterion.metric, str(criterion.metric)) + where


# --- the verdict on quality ------------------------------------------------------------------------------------------


def _judge_quality(criterion: Criterion, gate: Gate, record: Record, alpha: float) -> Iterator[Judgement]:
    scopes = _scopes(criterion, gate, record)
    if not scopes:
        yield _unmeasured(criterion, criterion.scope, alpha, "the rows name no segment that it could be about")
        return
    samples = [_Sample.of(criterion, gate, record, scope) for scope in scopes]
    accusations = [1.0 if each.one_sided else each.scores.falls_below(each.bar) for each in samples if each.scores.rows]
    stands = iter(statistics.holm(accusations, alpha))
    for sample in samples:
        if sample.scores.rows:
            yield sample.judgement(alpha, misses=next(stands), among=len(accusations))
        else:
            yield _unmeasured(criterion, sample.scope, alpha, sample.lacks)


def _scopes(criterion: Criterion, gate: Gate, record: Record) -> list[str]:
    if criterion.scope != EVERY_SEGMENT:
        return [criterion.scope]
    own = {
        each.segment
        for each in gate.criteria
        if (each.metric, each.reference) == (criterion.metric, criterion.reference)
    }
    return [f"{_SEGMENT}{name}" for name in record.segments if name not in own]


@dataclass(frozen=True)
class _Sample:
    """The rows that bear on one criterion in one scope, and where its bar lies on their scale."""

    criterion: Criterion
    scope: str
    scores: Scores
    bar: float  # the mean score must be above it
    through_agreement: bool  # no gold: accuracy against the teacher is shown by agreement
    students: int  # rows that the student has right
    others: int  # rows that the reference has right
    other_name: str
    lacks: str  # why there are no rows, where there are none

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> _Sample:
        """Pick and score the rows."""
        rows = _rows_in(record, scope)
        against_teacher = criterion.metric is Metric.ACCURACY and criterion.reference is Reference.TEACHER
        through = against_teacher and not any(record.gold[row] >= 0 for row in rows)
        truth = record.teacher if through or criterion.metric is Metric.AGREEMENT else record.gold
        rival, rival_name = _rival(criterion, gate, record)
        paired = not through and criterion.metric is Metric.ACCURACY and criterion.reference is not Reference.NONE
        usable = [row for row in rows if truth[row] >= 0 and (not paired or rival[row] >= 0)]
        right = [(record.student[row] == truth[row], paired and rival[row] == truth[row]) for row in usable]
        bar = _bar(criterion)
        if criterion.reference is not Reference.NONE:
            bar = 1 - bar if through else -bar
        return cls(
            criterion=criterion,
            scope=scope,
            scores=Scores.of(
                ((*each, record.group[row]) for each, row in zip(right, usable, strict=True)), paired=paired
            ),
            bar=float(bar),
            through_agreement=through,
            students=sum(student for student, _ in right),
            others=sum(other for _, other in right),
            other_name=rival_name,
            lacks=_lacking(rows, truth is record.gold, rival_name if paired else ""),
        )

    @property
    def one_sided(self) -> bool:
        """Whether these rows can prove the criterion but never refute it: to disagree is not to be worse."""
        return self.through_agreement

    def judgement(self, alpha: float, *, misses: bool, among: int) -> Judgement:
        """Compare the interval with the bar."""
        scores = self.scores
        holds = scores.exceeds(self.bar) <= alpha
        verdict = Verdict.HOLDS if holds else Verdict.MISSES if misses else Verdict.UNPROVEN
        needed = scores.rows_needed(self.bar, alpha) if verdict is Verdict.UNPROVEN else None
        if self.one_sided and (scores.estimate or 0.0) <= self.bar:
            needed = None
        estimate, lower, upper = scores.estimate, scores.at_least(alpha), scores.at_most(alpha)
        if self.through_agreement:  # as a difference in accuracy: at worst, every disagreement is a loss
            estimate, lower = (estimate or 0.0) - 1, lower - 1
        text = self._what(alpha, verdict, estimate or 0.0, lower, upper) + f": {verdict}"
        if verdict is Verdict.UNPROVEN and not self.one_sided and scores.falls_below(self.bar) <= alpha:
            text += f", as one of {among} segments (alone it would miss)"
        if needed is not None:
            text += f", and about {_count(needed - scores.rows, 'more row')} would decide"
        if scores.rough:
            groups = "a single group" if scores.groups == 1 else f"only {scores.groups} groups"
            text += f" (its rows come from {groups}, so the bound is rough)"
        return Judgement(
            criterion=self.criterion,
            scope=self.scope,
            verdict=verdict,
            n=scores.rows,
            groups=scores.groups,
            estimate=estimate,
            lower=lower,
            upper=None if self.one_sided else upper,
            student=None if self.one_sided else self.students / scores.rows,
            reference=self.others / scores.rows if scores.paired else None,
            level=alpha,
            rows_needed=needed,
            sentence=_sentence(self.criterion, text),
        )

    def _what(self, alpha: float, verdict: Verdict, estimate: float, lower: float, upper: float) -> str:
        """Say what was measured, its bound and what the gate asks for."""
        name, level = _name(self.criterion, self.scope), f"{_points(1 - alpha)} %"
        if self.through_agreement:
            asked = _points(1 - self.bar)
            bound = _points(-lower, unlike=1 - self.bar)
            return (
                f"{name} cannot trail the teacher by more than they disagree, as no row has gold: on "
                f"{_points(-estimate)} % of rows ({level} bound: {bound}); the gate allows {asked}"
            )
        if not self.scores.paired:
            bounds = {Verdict.HOLDS: f"bound: {_points(lower, unlike=self.bar)}"}
            bounds[Verdict.MISSES] = f"bound: at most {_points(upper, unlike=self.bar)}"
            bounds[Verdict.UNPROVEN] = f"bounds: {_points(lower, unlike=self.bar)} to {_points(upper, unlike=self.bar)}"
            of = "agreement with the teacher" if self.criterion.metric is Metric.AGREEMENT else "accuracy"
            name = name.replace(str(self.criterion.metric), of, 1)
            asked = f"the gate asks for {_points(self.bar)}"
            return f"{name} is {_points(estimate)} % ({level} {bounds[verdict]}); {asked}"
        allowed = -self.bar
        asked = f"the gate allows {_points(allowed)}" if allowed > 0 else "the gate asks for a lead"
        asked += f" of {_points(-allowed)}" if allowed < 0 else ""
        low, high = _lead(lower, self.bar), _lead(upper, self.bar)
        if verdict is Verdict.HOLDS:
            bound = f"bound: {_points(-lower, unlike=allowed)}" if lower <= 0 and estimate < 0 else f"bound: {low}"
        elif verdict is Verdict.MISSES:
            bound = f"bound: {high} at best"
        else:
            bound = f"bounds: {low} to {high}"
        return f"{name} {_distance(estimate, self.other_name)} ({level} {bound}); {asked}"


def _rows_in(record: Record, scope: str) -> list[int]:
    """Give the positions of the rows in a scope, in an order that does not depend on that of the record."""
    if scope == ALL:
        return list(range(len(record.rows)))
    name = scope.removeprefix(_SEGMENT)
    index = record.segments.index(name) if scope.startswith(_SEGMENT) and name in record.segments else None
    return [row for row, segment in enumerate(record.segment) if segment == index]


def _rival(criterion: Criterion, gate: Gate, record: Record) -> tuple[tuple[int, ...], str]:
    if criterion.reference is Reference.BASELINE:
        if gate.baseline == "majority":
            return (record.majority,) * len(record.rows), "the majority baseline"
        return record.baseline, f"the {gate.baseline} baseline"
    return record.teacher, "the teacher"


def _lacking(rows: list[int], needs_gold: bool, rival: str) -> str:
    if not rows:
        return "no held-out row is in its scope"
    if not needs_gold:
        return "no row has an output of the teacher"
    return f"no row has gold and an output of {rival}" if rival else "no row has gold"


def _points(share: float, unlike: float | None = None) -> str:
    """Write a share in points; with as many places as it takes to differ from a number that it does differ from."""
    for places in (1, 2, 3, 4):
        text = _trim(f"{100 * share:.{places}f}")
        if unlike is None or share == unlike or text != _trim(f"{100 * unlike:.{places}f}"):
            break
    return text


def _trim(text: str) -> str:
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _lead(difference: float, bar: float) -> str:
    if difference == 0:
        return "no difference"
    points = _points(abs(difference), unlike=abs(bar) if bar * difference > 0 else None)
    return f"{'leads' if difference > 0 else 'trails'} by {points}"


def _distance(difference: float, other: str) -> str:
    if difference == 0:
        return f"is that of {other}"
    points = _points(abs(difference))
    return f"{'leads' if difference > 0 else 'trails'} {other} by {points} point{'' if points == '1' else 's'}"


# --- the verdict on latency, payback and size ------------------------------------------------------------------------


def _judge_latency(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Hold where every run's order-statistic upper bound of the p95 is below the target.

    All runs must hold, so each may spend the whole level; to miss, one run is accused among several (Bonferroni).
    """
    runs = [sorted(run) for run in record.latency_us.get("student", ())]
    if not runs or not all(runs):
        return _unmeasured(criterion, ALL, alpha, "no request of the student was timed, or none in one of the runs")
    fewest, least = min(len(run) for run in runs), statistics.requests_to_bound(P95, alpha)
    samples = [run[statistics.sample_rank(len(run), P95) - 1] for run in runs]
    uppers = [_at_rank(run, statistics.rank_at_most(len(run), P95, alpha)) for run in runs]
    lowers = [_at_rank(run, statistics.rank_at_least(len(run), P95, alpha / len(runs))) for run in runs]
    target, worst, needed = bar * 1000, max(samples), None
    highest = None if None in uppers else max(each for each in uppers if each is not None)
    lowest = max((each for each in lowers if each is not None), default=None)
    if highest is not None and highest < target:
        verdict = Verdict.HOLDS
    elif lowest is not None and lowest >= target:
        verdict = Verdict.MISSES
    else:
        verdict = Verdict.UNPROVEN
        shares = [sum(each < target for each in run) / len(run) for run in runs]
        needed = least if fewest < least else statistics.rows_for_share(P95, min(shares), alpha)
        needed = None if needed is None else max(needed, fewest + 1)
    bound = "none" if highest is None else f"{_ms(lowest if verdict is Verdict.MISSES else highest)}"
    text = (
        f"the student's p95 latency is {_ms(worst)} ms in {_runs(len(runs))} ({_points(1 - alpha)} % bound: {bound}); "
        f"the gate asks for less than {_decimal_text(bar)}: {verdict}"
    )
    if needed is not None:
        text += f", and about {needed:,} requests in each run would decide"
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=sum(len(run) for run in runs),
        groups=len(runs),
        estimate=worst / 1000,
        lower=None if lowest is None else lowest / 1000,
        upper=None if highest is None else highest / 1000,
        student=worst / 1000,
        reference=_teacher_p95(record),
        level=alpha,
        rows_needed=needed,
        sentence=_sentence(criterion, text),
    )


def _at_rank(run: list[int], rank: int | None) -> int | None:
    return None if rank is None else run[rank - 1]


def _runs(count: int) -> str:
    return "its only run" if count == 1 else f"the slowest of {count} runs"


def _ms(microseconds: int | None) -> str:
    return "none" if microseconds is None else _trim(f"{microseconds / 1000:.3f}")


def _teacher_p95(record: Record) -> float | None:
    worst = [
        sorted(run)[statistics.sample_rank(len(run), P95) - 1] for run in record.latency_us.get("teacher", ()) if run
    ]
    return max(worst) / 1000 if worst else None


def _judge_payback(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Compute payback from the worksheet and from the bounds of the student's mean latency, which is what it costs."""
    runs = record.latency_us.get("student", ())
    interval = statistics.mean_interval(runs, alpha)
    if interval is None:
        return _unmeasured(criterion, ALL, alpha, "the student's latency, which decides its cost, was not timed twice")
    try:
        prices = economics.Prices.from_values({name: Decimal(text) for name, text in record.payback_inputs.items()})
    except ValueError as error:
        return _unmeasured(criterion, ALL, alpha, str(error)[:1].lower() + str(error)[1:].rstrip("."))
    middle, best, worst = (_payback(prices, microseconds) for microseconds in interval)
    if worst is not None and worst <= bar:
        verdict = Verdict.HOLDS
    elif best is None or best > bar:
        verdict = Verdict.MISSES
    else:
        verdict = Verdict.UNPROVEN
    pays = "never pays the build back" if middle is None else f"pays the build back in {_months(middle)} months"
    bound = _months(best if verdict is Verdict.MISSES else worst)
    text = (
        f"the student {pays} ({_points(1 - alpha)} % bound: {bound}); the gate allows {_decimal_text(bar)}: {verdict}"
    )
    if verdict is Verdict.UNPROVEN:
        text += ", and more timed runs would decide"
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=sum(len(run) for run in runs),
        groups=sum(1 for run in runs if run),
        estimate=None if middle is None else float(middle),
        lower=None if best is None else float(best),
        upper=None if worst is None else float(worst),
        student=None,
        reference=None,
        level=alpha,
        rows_needed=None,
        sentence=_sentence(criterion, text),
    )


def _payback(prices: economics.Prices, microseconds: float) -> Decimal | None:
    exact = Decimal(f"{microseconds:.3f}")
    cost = economics.student_cost_per_1k(exact, prices.machine_price_per_hour)
    return economics.payback_months(prices, cost)


def _months(months: Decimal | None) -> str:
    return "never" if months is None else _trim(f"{months:.1f}") if months >= 1 else _trim(f"{months:.3f}")


def _judge_size(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Compare bytes with the threshold; nothing is sampled, so there is no interval."""
    size = record.bytes.get("student")
    if size is None:
        return _unmeasured(criterion, ALL, alpha, "the record has no size of the student")
    verdict = Verdict.HOLDS if size <= bar * 1_000_000 else Verdict.MISSES
    megabytes = size / 1_000_000
    shown = _trim(f"{Decimal(size) / 1_000_000:.6f}" if megabytes < 1 else f"{Decimal(size) / 1_000_000:.1f}")
    if verdict is Verdict.MISSES and Decimal(shown) <= bar:
        shown = _decimal_text(Decimal(size) / 1_000_000)
    text = f"the student takes {shown} MB; the gate allows {_decimal_text(bar)}: {verdict}"
    teacher = record.bytes.get("teacher")
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=1,
        groups=1,
        estimate=megabytes,
        lower=megabytes,
        upper=megabytes,
        student=megabytes,
        reference=None if teacher is None else teacher / 1_000_000,
        level=alpha,
        rows_needed=None,
        sentence=_sentence(criterion, text),
    )


# --- what the rows will be able to prove -----------------------------------------------------------------------------


@dataclass(frozen=True)
class PowerNote:
    """What a criterion's rows can and cannot prove, said before the lock."""

    criterion: Criterion
    scope: str
    rows: int | None  # that will bear on it; None where that is not known yet
    enough: bool | None  # None: it depends on what nobody knows yet
    smallest: float | None  # smallest provable margin or lead, where there is one
    rows_needed: int | None  # in all
    sentence: str


def power(
    gate: Gate,
    discordance: float = ASSUMED_DISCORDANCE,
    segment_shares: Mapping[str, float] | None = None,
    design_effect: float = 1,
) -> list[PowerNote]:
    """Say for each criterion what the held-out rows can prove (80 % power, the error budget split over the rounds).

    `discordance` is the share of rows on which exactly one of the two is right; `segment_shares` the share of each
    segment; `design_effect` how many dependent rows are worth one independent row. Each row is taken to have gold.
    """
    alpha = min(max(float((1 - gate.confidence) / max(1, gate.rounds)), 1e-12), 0.5)
    notes = []
    for criterion in gate.criteria:
        for scope, rows in _expected_rows(criterion, gate, segment_shares):
            notes.append(_power_note(criterion, gate, scope, rows, alpha, discordance, max(1.0, design_effect)))
    return notes


def _expected_rows(
    criterion: Criterion, gate: Gate, shares: Mapping[str, float] | None
) -> Iterator[tuple[str, int | None]]:
    segment = criterion.segment
    if segment is not None:
        yield criterion.scope, None if shares is None else int(gate.held_out_rows * shares.get(segment, 0.0))
    elif criterion.scope != EVERY_SEGMENT:
        yield criterion.scope, gate.held_out_rows
    elif not shares:
        yield criterion.scope, None
    else:
        own = {
            each.segment
            for each in gate.criteria
            if (each.metric, each.reference) == (criterion.metric, criterion.reference)
        }
        for name, share in shares.items():
            if name not in own:
                yield f"{_SEGMENT}{name}", int(gate.held_out_rows * share)


def _power_note(
    criterion: Criterion, gate: Gate, scope: str, rows: int | None, alpha: float, discordance: float, effect: float
) -> PowerNote:
    problem, bar = next(_criterion_problems(criterion), None), _bar(criterion)
    if problem:
        return PowerNote(criterion, scope, rows, False, None, None, problem)
    if criterion.metric is Metric.P95_LATENCY:
        return _latency_power(criterion, gate, alpha)
    if criterion.metric not in QUALITY:
        said = "nothing is sampled" if criterion.metric is Metric.SIZE else "it hangs on timed runs and prices"
        return PowerNote(
            criterion, scope, None, True, None, None, f"{_title(criterion, scope)}: needs no rows, as {said}."
        )
    if criterion.reference is Reference.NONE:
        return _floor_power(criterion, scope, rows, float(bar), alpha, effect)
    if bar > 0:
        return _margin_power(criterion, scope, rows, float(bar), alpha, discordance, effect)
    return _lead_power(criterion, gate, scope, rows, -float(bar), alpha, discordance, effect)


def _title(criterion: Criterion, scope: str) -> str:
    name = _name(criterion, scope)
    where = " in every segment" if scope == EVERY_SEGMENT else ""
    return f"{name[:1].upper()}{name[1:]}{where}"


def _margin_power(
    criterion: Criterion, scope: str, rows: int | None, margin: float, alpha: float, discordance: float, effect: float
) -> PowerNote:
    needed = statistics.rows_for_difference(margin, discordance, alpha)
    needed = None if needed is None else _ceil(needed * effect)
    title, asked = _title(criterion, scope), _points(margin)
    if rows is None or needed is None:
        text = f"{title}: a margin of {asked} needs {needed or 0:,} rows in each segment to recognise a true tie"
        return PowerNote(criterion, scope, rows, None, None, needed, f"{text}.")
    smallest = _ceil(1000 * statistics.smallest_provable_margin(rows / effect, discordance, alpha) - 1e-9) / 1000
    if rows >= needed:
        text = f"{title}: with {rows:,} rows a true tie is recognised from a margin of {_points(smallest)} points on"
        return PowerNote(criterion, scope, rows, True, smallest, needed, f"{text}; you asked for {asked}.")
    accept = f"accept {_points(smallest)}, " if smallest < 1 else ""
    text = (
        f"{title}: with {rows:,} rows a true tie is recognised only with a margin of {_points(smallest)} points; "
        f"you asked for {asked}: add {_count(needed - rows, 'row')}, {accept}or lock knowing that the answer "
        "will most likely be unproven."
    )
    return PowerNote(criterion, scope, rows, False, smallest, needed, text)


def _lead_power(
    criterion: Criterion,
    gate: Gate,
    scope: str,
    rows: int | None,
    lead: float,
    alpha: float,
    discordance: float,
    effect: float,
) -> PowerNote:
    title, rival = _title(criterion, scope), f"the {gate.baseline} baseline"
    if rows is None:
        text = f"{title}: how large a lead over {rival} can be proven hangs on the rows of each segment, not known yet"
        return PowerNote(criterion, scope, rows, None, None, None, f"{text}.")
    smallest = lead + statistics.smallest_provable_margin(rows / effect, discordance, alpha)
    if smallest >= 1:
        text = f"{title}: with {rows:,} rows no lead over {rival} can be proven; add rows"
        return PowerNote(criterion, scope, rows, False, None, None, f"{text}.")
    smallest = _ceil(1000 * smallest - 1e-9) / 1000
    text = f"{title}: with {rows:,} rows a lead over {rival} is recognised from {_points(smallest)} points on"
    return PowerNote(criterion, scope, rows, None, smallest, None, f"{text}; you asked for {_points(lead)}.")


def _floor_power(
    criterion: Criterion, scope: str, rows: int | None, floor: float, alpha: float, effect: float
) -> PowerNote:
    title, least = _title(criterion, scope), _ceil(statistics.rows_without_error(floor, alpha) * effect)
    if rows is None:
        text = f"{title}: a floor of {_points(floor)} % needs {least:,} rows in each segment, with 0 errors in them"
        return PowerNote(criterion, scope, rows, None, None, least, f"{text}.")
    errors = statistics.errors_allowed(int(rows / effect), floor, alpha)
    if errors is None:
        text = (
            f"{title}: with {rows:,} rows a floor of {_points(floor)} % can never be proven, even with 0 errors: "
            f"it takes {least:,}, so add {_count(least - rows, 'row')}, lower the floor, or only watch it."
        )
        return PowerNote(criterion, scope, rows, False, None, least, text)
    errors = int(errors * effect)
    text = f"{title}: with {rows:,} rows a floor of {_points(floor)} % is proven by {_count(errors, 'error')} at most"
    return PowerNote(criterion, scope, rows, True, None, least, f"{text}.")


def _latency_power(criterion: Criterion, gate: Gate, alpha: float) -> PowerNote:
    rows, least = gate.held_out_rows, statistics.requests_to_bound(P95, alpha)
    text = f"the p95 is bounded from above by {least} timed requests in each run, or more"
    if rows < least:
        text = (
            f"with {rows:,} held-out rows to time, no p95 can be bounded from above: that takes {least} requests in "
            f"each run, so add {_count(least - rows, 'row')}"
        )
    return PowerNote(criterion, ALL, rows, rows >= least, None, least, f"{_title(criterion, ALL)}: {text}.")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _ceil(number: float) -> int:
    return -int(-number // 1)


# --- what to show ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    hits: int
    n: int
    share: float
    lower: float
    upper: float


@dataclass(frozen=True)
class SegmentRates:
    """How everyone did in one scope; None where there is nothing to count."""

    scope: str
    n: int
    student: Rate | None
    teacher: Rate | None
    baseline: Rate | None
    agreement: Rate | None
    difference: tuple[float, float, float] | None  # student minus teacher in accuracy, with its bounds


def segment_rates(record: Record, confidence: float = 0.95) -> tuple[SegmentRates, ...]:
    """Count accuracy, agreement and difference for "all" and for each segment, with two-sided intervals.

    Shares have Wilson's interval where rows are independent, else the clustered one; the difference is as in `judge`.
    The baseline is the trained one; nothing here decides.
    """
    alpha = (1 - confidence) / 2
    scopes = [ALL, *(f"{_SEGMENT}{name}" for name in record.segments)]
    return tuple(_rates(record, scope, alpha) for scope in scopes)


def _rates(record: Record, scope: str, alpha: float) -> SegmentRates:
    rows = _rows_in(record, scope)
    marked = [row for row in rows if record.gold[row] >= 0]

    def rate(column: tuple[int, ...], truth: tuple[int, ...]) -> Rate | None:
        usable = [row for row in rows if truth[row] >= 0 and column[row] >= 0]
        scores = Scores.of(((column[row] == truth[row], False, record.group[row]) for row in usable), paired=False)
        if not scores.rows:
            return None
        bounds = (scores.at_least(alpha), scores.at_most(alpha)) if scores.clustered else None
        lower, upper = bounds or statistics.wilson_interval(scores.wins, scores.rows, alpha)
        return Rate(scores.wins, scores.rows, scores.wins / scores.rows, lower, upper)

    both = [row for row in marked if record.teacher[row] >= 0]
    scores = Scores.of(
        (
            (record.student[row] == record.gold[row], record.teacher[row] == record.gold[row], record.group[row])
            for row in both
        ),
        paired=True,
    )
    return SegmentRates(
        scope=scope,
        n=len(rows),
        student=rate(record.student, record.gold),
        teacher=rate(record.teacher, record.gold),
        baseline=rate(record.baseline, record.gold),
        agreement=rate(record.student, record.teacher),
        difference=None
        if scores.estimate is None
        else (scores.estimate, scores.at_least(alpha), scores.at_most(alpha)),
    )


@dataclass(frozen=True)
class Subject:
    """One of student, teacher and baseline: how large and how fast it is, as far as that was measured."""

    name: str
    parameters: int | None
    bytes: int | None
    p50_ms: float | None  # of the requests of all runs
    p95_ms: float | None


def subjects(record: Record) -> tuple[Subject, ...]:
    """Give sizes and latencies of student, teacher and baseline, side by side."""
    found = []
    for name in SUBJECTS:
        times = sorted(each for run in record.latency_us.get(name, ()) for each in run)
        p50, p95 = (
            times[statistics.sample_rank(len(times), quantile) - 1] / 1000 if times else None for quantile in (0.5, P95)
        )
        found.append(Subject(name, record.parameters.get(name), record.bytes.get(name), p50, p95))
    return tuple(found)
