"""The results of worker runs: one class per kind, and one codec between them and JSON columns.

Reading is strict: an unknown field, a missing field or a wrong type is an error. A field with a default was added
later, or does not apply to every result; it is written only where it differs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import EnumType
from functools import cache, lru_cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from distill_tui.gates.cut import Cut
from distill_tui.gates.headline import lower_is_better, worded
from distill_tui.gates.usable import SegmentRows
from distill_tui.rules import entities
from distill_tui.rules.drifted import Drift
from distill_tui.tasks.label_map import Vocabulary
from distill_tui.terms import FindingLevel, RunKind, RunStatus, Split, Standing, TeacherSource

T = TypeVar("T")
NO_NAMES = Vocabulary()


# --- training, evaluation, rehearsal ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TrainedArm:
    """One student that a training run trained: a rung of its ladder, or a control arm."""

    rung: str
    score: float | None
    good_enough: bool
    seconds: float
    parameters: int
    bytes: int
    artifact: str = ""  # digest of its folder; a rung that was not kept has none


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The student's results on the validation split, which builders may see."""

    validation_score: float | None  # share of right answers; None where no row has gold or a teacher's answer
    validation_rows: int
    score_name: str  # "accuracy" against gold, or "agreement" with the teacher
    agreement: float | None
    failures: Mapping[str, tuple[int, int]]  # cell → (failed rows, rows)
    findings: tuple[str, ...]
    validation: str  # digest of the record with every answer
    deferred_below: int = 0  # in 1/10,000: requests with less confidence go back to the teacher
    judged: str = ""  # the metric that the gate judges, where it is not accuracy or agreement and rows have gold
    judged_score: float | None = None  # on that metric's own scale

    @property
    def quality(self) -> tuple[str, float | None]:
        """The name of the score to show, and the score: what the gate judges, else the share of right answers."""
        return (self.judged, self.judged_score) if self.judged else (self.score_name, self.validation_score)

    @property
    def shown(self) -> str:
        return worded(*self.quality)


@dataclass(frozen=True, kw_only=True)
class TrainResult(Validation):
    """The result of a training run."""

    seconds: float
    parameters: int
    bytes: int
    data: str
    rung: str
    form: str
    rungs: tuple[TrainedArm, ...]
    enough: float | None  # the score that a rung must reach to end the ladder
    terms: tuple[Mapping[str, float], ...]  # for each epoch: the mean of each term of the loss
    controls: Mapping[str, TrainedArm]
    cut: Cut | None = None  # what the student does not read of the training and validation rows
    compared: int = 0  # validation rows that chose among the rungs; 0 in a result from before it was recorded

    @property
    def score(self) -> float:
        """The score by which students are ranked: more is better."""
        name, score = self.quality
        return 0.0 if score is None else 1 - score if lower_is_better(name) else score


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The result of an evaluation run; its measurements are in its record."""

    seconds: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class RehearsalResult:
    """The result of a rehearsal: whether the recipe gave the same student again."""

    same: bool
    student: str
    seconds: float
    data: str


@dataclass(frozen=True, kw_only=True)
class RepeatSpec:
    """What determines a repeat: how many further seeds."""

    seeds: int


@dataclass(frozen=True, kw_only=True)
class RepeatResult:
    """The result of a repeat: how much of a score is the seed's, on the validation rows."""

    findings: tuple[str, ...]
    scores: tuple[float | None, ...]  # of the evaluated student, then of each further seed
    seconds: float
    data: str


# --- a teacher's trial, labelling and observing ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TeacherTrial:
    """The result of the trial of a model on this machine, before it becomes the teacher."""

    rows: int  # that it answered; 0 where there was no traffic, and fixed texts were used
    judged: int = 0  # of them, those with gold
    right: int = 0
    by_chance: float = 0.0  # rows that would be right if answers and gold had nothing to do with each other

    @property
    def sentence(self) -> str:
        if not self.rows:
            return "It loads and answers fixed texts; there is no traffic to try it on yet."
        if not self.judged:
            return f"It was tried on {self.rows:,} rows; none has gold, so its quality is unknown."
        return (
            f"It was tried on {self.rows:,} rows: {self.right:,} of {self.judged:,} as gold "
            f"({self.by_chance:.1f} expected by chance)."
        )


@dataclass(frozen=True, kw_only=True)
class LabelResult:
    """The result of a labelling run."""

    rows: int
    new: int
    cached: int
    seconds: float
    teacher: str
    traffic: tuple[str, ...]  # digests of the files whose inputs are all answered now
    retries: int | None = None
    money: Decimal | None = None  # what an endpoint cost
    unread: int | None = None  # answers that name no label
    models: Mapping[str, int] = field(default_factory=dict)  # that answered, as the provider resolved them → answers
    failed: tuple[tuple[str, int], ...] = ()  # results of a batch that were not taken: reason, results
    missing: int = 0  # inputs without an answer after a batch
    names: Vocabulary = NO_NAMES  # of the answers to these files
    cut: Cut | None = None  # what a teacher on this machine does not read of the inputs


@dataclass(frozen=True, kw_only=True)
class VariationResult:
    """The result of a run that had the teacher write variations."""

    rows: int
    new: int
    cached: int
    written: str  # digest of the variations, as JSONL
    variations: int
    left_out: Mapping[str, int]  # reason → variations
    seconds: float
    teacher: str
    retries: int | None = None
    money: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class ObserveResult:
    """The result of an observing run."""

    rows: int
    labelled: int
    asked: int
    standing: Standing
    outside: Mapping[str, int] = field(default_factory=dict)  # the commonest answers outside the labels → rows
    outside_rows: int = 0
    spelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of these: the labels that it is spelled like
    spelled_rows: int = 0
    late: int = 0  # of the rows: answers to inputs that were recorded before
    people: int = 0  # rows with a person's answer
    known: int = 0  # rows of the feed that add nothing: recorded before, or scored without an answer beyond the limit
    drift: Drift | None = None  # what drifted since the onset
    trained: int = 0  # rows of before the ship of this bundle that are left out: it was trained or judged on them
    contradictions: str = ""  # how many answers in the feed are not what their probabilities say; empty for none


# --- data ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reject:
    """A row that was not imported."""

    line: int
    reason: str
    file: str = ""  # of several
    passed_over: bool = False  # by its nature, not by a fault: another kind of span, an error, another teacher's answer
    joined: bool = False  # passed over because it is a half of a row: what another file holds of the same call


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """The result of an import, from which a worksheet can be filled in."""

    rows: int
    rejects: int
    gold_share: float  # of the rows
    file_name: str = ""
    source_digest: str = ""  # SHA-256 of the source file, or of a folder's names and digests
    parquet_digest: str = ""  # SHA-256 of the Parquet file written
    first_rejects: tuple[Reject, ...] = ()  # at most 20
    reasons: tuple[tuple[str, int], ...] = ()  # the most frequent reasons, without what differs from line to line
    first_time: str | None = None  # ISO 8601, UTC
    last_time: str | None = None
    time_forms: tuple[tuple[str, int], ...] = ()  # unusual forms of times: form, rows
    mean_cost: Decimal | None = None  # of the rows that state one
    total_cost: Decimal | None = None
    p95_latency_ms: float | None = None  # nearest rank
    tokens: int | None = None  # in and out, of the rows that state them
    teacher_share: float = 0.0  # of the rows: with an output or probabilities of the teacher
    disagreement: float | None = None  # share of the rows with both on which the teacher's output is not the gold label
    names: Vocabulary = NO_NAMES  # of gold and answers, as written
    usable: tuple[SegmentRows, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()  # most rows first; empty when there are over 1,000
    rejects_file: str = ""  # digest of the list of all rejects
    held_out: Mapping[str, int] = field(default_factory=dict)  # rows too close to held-out rows: reason → rows
    variations: TakenVariations | None = None
    observed: bool = False  # rows on which a live student was observed
    formats: tuple[tuple[str, int], ...] = ()  # what was recognised: kind of log, files
    models: tuple[tuple[str, int], ...] = ()  # that answered, as the provider resolved them: name, rows
    passed_over: tuple[tuple[str, int], ...] = ()  # records that are not traffic by their nature: reason, records
    scrubbed: Mapping[str, int] = field(default_factory=dict)  # personal data replaced by placeholders: kind, times
    doubts: tuple[str, ...] = ()  # what was read as it stands, and is probably not what was meant: a sentence each
    lacking: Mapping[str, str] = field(default_factory=dict)  # of the doubts: what some files lack
    contradictions: str = ""  # how many answers are not what their probabilities say; empty for none


@dataclass(frozen=True, kw_only=True)
class TakenVariations:
    """Variations that a teacher wrote, taken in as traffic."""

    run: int
    by: str  # the teacher that wrote them
    varied: tuple[str, ...]  # input digests of the rows that they vary


@dataclass(frozen=True)
class Finding:
    """A finding of a data set's audit; it is accepted word for word, under its ID."""

    id: str  # like thin-3fa2b1: the same finding has the same id in every build
    level: FindingLevel
    says: str  # one sentence with figures; if they change, an acceptance no longer holds
    accepted: str = ""  # the reason with which it was accepted; not stored with the data set

    @classmethod
    def of(cls, kind: str, level: FindingLevel, about: str, says: str) -> Finding:
        """Make a finding whose ID is derived from its kind and its subject."""
        return cls(f"{kind}-{hashlib.sha256(about.encode()).hexdigest()[:6]}", level, says)


@dataclass(frozen=True)
class Cell:
    """A cell of the coverage table."""

    split: Split
    label: str | None
    segment: str
    rows: int


@dataclass(frozen=True)
class AxisValue:
    """The coverage of one value of an audit axis."""

    value: str
    traffic: float  # share of the calls
    train: int
    validation: int
    held_out: int
    judged: int  # rows outside the held-out split with gold and a teacher's label
    differ: int  # of them, those on which the two differ


@dataclass(frozen=True)
class Screened:
    """Rows that may contain one kind of personal data."""

    kind: str
    rows: int
    examples: tuple[str, ...]  # with every letter and digit but the first hidden


@dataclass(frozen=True, kw_only=True)
class AuditTables:
    """The tables of a data set's audit."""

    axes: Mapping[str, tuple[AxisValue, ...]]
    pii: tuple[Screened, ...]
    teacher: Mapping[str, int] | None  # teacher and baseline compared on the same gold: counts
    teacher_says: str
    more: Mapping[str, int] = field(default_factory=dict)  # axis → values that are not listed
    asked_twice: str = ""  # of scores: how far the teacher is from itself, as a sentence


@dataclass(frozen=True, kw_only=True)
class DataCounts:
    """The counts and findings of a data set."""

    splits: Mapping[Split, int]
    cells: tuple[Cell, ...]
    groups: int
    tally: Mapping[str, int]  # rows read, merged, left out: by reason
    weights: Mapping[str, float]  # cell → factor of its training rows' weights
    findings: tuple[Finding, ...]
    audit: AuditTables | None = None
    usable: tuple[SegmentRows, ...] = ()  # of the held-out rows
    trained: tuple[str, ...] = ()  # the labels that occur among the training rows
    names: Mapping[str, str] = field(default_factory=dict)  # the label map that it was built by
    built_of: tuple[str, ...] = ()  # the files of traffic, and the teacher
    dropped: tuple[str, ...] = ()  # input digests of the rows that a person dropped


# --- what a lock fixes, and what runs are asked for ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LockedTeacher:
    """The teacher that a gate was locked with."""

    source: TeacherSource
    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class LockFacts:
    """What a lock fixes in addition to the gate."""

    methods: Mapping[str, str] = field(default_factory=dict)  # metric → how it is judged
    teacher: LockedTeacher | None = None
    segments: Mapping[str, str] = field(default_factory=dict)  # segment → its share of the calls
    numbers: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)  # name → value, source, filled in at
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObserveSpec:
    """What an observing run is asked for."""

    feed: int
    reasons: tuple[tuple[str, int], ...] = ()  # why rows of the file could not be used, the most frequent first
    doubts: tuple[str, ...] = ()  # what was read as it stands, and is probably not what was meant


@dataclass(frozen=True, kw_only=True)
class RefreshDetail:
    """What a refresh was opened with."""

    failures: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # cell → rows that differ, rows; open rows
    judged_from: str = ""  # the day from which on rows may judge


@dataclass(frozen=True, kw_only=True)
class VariationsSpec:
    """What a labelling run is asked for that has the teacher write variations."""

    writer: str  # digest of the prompt's description
    teacher: str
    each: int  # variations of a row
    rows: int
    numbers: tuple[int, ...] = ()


# --- the codec -------------------------------------------------------------------------------------------------------


def encode(value: object) -> str:
    """Write a result as JSON."""
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def decode(kind: type[T], text: str) -> T:
    """Read what `encode` wrote. Raises ValueError with the first field that does not fit."""
    try:
        value: T = _typed(kind, json.loads(text), "it")
    except RecursionError:
        raise ValueError("the result is nested too deeply") from None
    return value


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {
            each.name: _plain(own) for each in fields(value) if (own := getattr(value, each.name)) != _default(each)
        }
    if isinstance(value, Mapping):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Decimal) else value


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


_hints = cache(get_type_hints)


def _typed(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed JSON into a value of this type, or raise ValueError."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is UnionType:  # X | None
        return None if value is None else _typed(inner[0], value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_typed(*each, where) for each in zip(kinds, value, strict=True))
    elif origin in (Mapping, dict) and isinstance(value, dict):
        return {_typed(inner[0], name, where): _typed(inner[1], own, f"{where}.{name}") for name, own in value.items()}
    elif is_dataclass(origin) and isinstance(value, dict):
        types = _hints(kind)
        unknown = [name for name in value if name not in types]
        missing = [each.name for each in fields(kind) if each.name not in value and _default(each) is MISSING]
        if unknown or missing:
            raise ValueError(
                f"{where.removeprefix('it.')}: {', '.join(unknown or missing)} is {'unknown' if unknown else 'missing'}"
            )
        return kind(**{name: _typed(types[name], own, f"{where}.{name}") for name, own in value.items()})
    elif origin is float and type(value) in (int, float):
        return float(value)
    elif origin is Decimal and isinstance(value, str):
        with suppress(InvalidOperation):
            return Decimal(value)
    elif isinstance(origin, EnumType) and value in list(origin):
        return origin(value)
    elif type(value) is origin:
        return value
    raise ValueError(f"{where.removeprefix('it.')} is {value!r:.60}")


def known(kind: type[T], text: str) -> T | None:
    """Read a result; None if it is invalid. For rules, which have an answer for any dossier."""
    found: T | None = _kept(cast(Hashable, kind), text)
    return found


@lru_cache(maxsize=128)
def _kept(kind: Any, text: str) -> Any:
    """Read the same text once: rules and cards ask for it again and again."""
    try:
        return decode(kind, text)
    except ValueError:
        return None


def train_result(run: entities.Run) -> TrainResult | None:
    """Return the result of a finished training run; None if there is none or it is invalid."""
    finished = run.kind is RunKind.TRAIN and run.status is RunStatus.FINISHED
    return known(TrainResult, run.result) if finished else None


def label_result(run: entities.Run) -> LabelResult | VariationResult | None:
    """Return the result of a finished labelling run; None if there is none or it is invalid."""
    if run.kind is not RunKind.LABEL or run.status is not RunStatus.FINISHED:
        return None
    return known(LabelResult, run.result) or known(VariationResult, run.result)


def observed(runs: Iterable[entities.Run], feed: int) -> ObserveResult | None:
    """Return the result of the run that observed a feed; None if there is none or it is invalid."""
    run = run_of_feed(runs, feed)
    return known(ObserveResult, run.result) if run is not None and run.status is RunStatus.FINISHED else None


def run_of_feed(runs: Iterable[entities.Run], feed: int) -> entities.Run | None:
    """Return the run that observes a feed."""
    observing = (run for run in runs if run.kind is RunKind.OBSERVE)
    return next((run for run in observing if (spec := known(ObserveSpec, run.spec)) and spec.feed == feed), None)


def refusals(run: entities.Run) -> tuple[Mapping[str, Any], ...]:
    """Return the objections with which the rules ended a run early: it cannot end otherwise when it is resumed."""
    with suppress(ValueError):
        found = json.loads(run.result)
        if isinstance(found, dict) and isinstance(found.get("refused"), list):
            return tuple(each for each in found["refused"] if isinstance(each, dict))
    return ()


Result = TrainResult | EvaluationResult | RehearsalResult | RepeatResult | LabelResult | VariationResult | ObserveResult


def message(result: Result) -> str:
    """Return the last message of a run with this result: what was not read belongs to it."""
    cut = result.cut if isinstance(result, (TrainResult, LabelResult)) else None
    return "done" if cut is None else f"done; {cut.sentence}"


_KINDS: dict[RunKind, tuple[type[Result], ...]] = {
    RunKind.LABEL: (LabelResult, VariationResult),
    RunKind.TRAIN: (TrainResult,),
    RunKind.EVALUATE: (EvaluationResult,),
    RunKind.REPRODUCE: (EvaluationResult,),
    RunKind.REHEARSE: (RehearsalResult,),
    RunKind.REPEAT: (RepeatResult,),
}


def seconds(run: entities.Run) -> float | None:
    """Return the duration of a finished run, from its result."""
    for kind in _KINDS.get(run.kind, ()) if run.status is RunStatus.FINISHED else ():
        result = known(kind, run.result)
        if result is not None and not isinstance(result, ObserveResult):
            return result.seconds
    return None
