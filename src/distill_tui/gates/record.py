"""What one evaluation measured, in integers and strings, so that every reader can compute the verdicts again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

from distill_tui.digests import canonical, digest_of
from distill_tui.gates.canonical import a_number, plain, show, strict_json
from distill_tui.gates.gate import ALL, SEGMENT, Criterion
from distill_tui.gates.scale import Scale
from distill_tui.gates.scale import value as number_of
from distill_tui.terms import Metric, Task

SUBJECTS = ("student", "teacher", "baseline")
TOGETHER = "together"  # the student, and behind it the teacher for what goes back: timed as one
TIMED = (*SUBJECTS, TOGETHER)
CERTAIN = 10_000  # a confidence of 1


@dataclass(frozen=True)
class Record:
    """Everything that one evaluation measured on the held-out rows, in integers and strings only.

    Labels, gold and predictions are indices into `labels`; -1 means none (the student always answers).
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
    # columns that not every record has: empty, or one number a row
    confidence: tuple[int, ...] = ()  # the student's probability of its answer, in 1/10,000
    pattern: tuple[int, ...] = ()  # rank of the row's interaction pattern by how often it is asked; 0 the commonest
    key: tuple[int, ...] = ()  # the first 60 bits of the input's digest: a row's name in every round
    controls: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # arm -> predictions: see `controls`
    running: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # subject -> what else it takes: see `costs`
    # student or teacher -> held-out texts, of them cut, their tokens, of them cut: see `cut.Cut`
    cut: Mapping[str, tuple[int, ...]] = field(default_factory=dict, metadata={"silent": True})
    # metric -> subject -> each row's score in 1/10,000, -1 where it has none: see `RowScore`
    scores: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    # in 1/10,000: what the student is less sure of goes back to the teacher; fixed on the calibration rows, 0 for none
    deferred_below: int = field(default=0, metadata={"silent": True})
    # of a refresh: what the live student answers on the same rows, -1 for none of `labels`; and its digest
    live: tuple[int, ...] = field(default=(), metadata={"silent": True})
    live_model: str = field(default="", metadata={"silent": True})
    # of a generation task, `labels` are the distinct answers, as they are spelled
    task: Task = field(default=Task.CLASSIFICATION, metadata={"silent": True})

    def __post_init__(self) -> None:
        problem = next(_record_problems(self), None)
        if problem:
            raise ValueError(problem)

    @property
    def truth(self) -> tuple[int, ...]:
        """What being right is judged by: gold where any row has it, else the teacher's answer."""
        return self.gold if any(label >= 0 for label in self.gold) else self.teacher

    @property
    def mean_latency_us(self) -> Decimal | None:
        """The student's mean latency over all timed requests; None where none was timed."""
        times = [time for run in self.latency_us.get("student", ()) for time in run]
        return Decimal(sum(times)) / len(times) if times else None

    def to_json(self) -> str:
        return canonical(plain(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read `to_json` back. Raises ValueError with one sentence."""
        values = strict_json(text, "evaluation record")
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"An evaluation record has no {show(name)}; it has {', '.join(known)}.")
        missing = [name for name in known if name not in values and name not in _LATER]
        if missing:
            raise ValueError(f"The evaluation record lacks {', '.join(missing)}.")
        task = values.pop("task", Task.CLASSIFICATION)
        if task not in list(Task):
            raise ValueError(f"The evaluation record is of the task {show(task)}; it can be {', '.join(Task)}.")
        read = {name: _tuples(value) for name, value in values.items()}
        return cls(**read, task=Task(str(task)))  # type: ignore[arg-type]

    def digest(self) -> str:
        return digest_of(self.to_json())


def _tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(_tuples(each) for each in value)
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return value


_OPTIONAL = ("confidence", "pattern", "key")
# what a record may lack
_LATER = ("cut", "controls", "running", "scores", "deferred_below", "task", "live", "live_model", *_OPTIONAL)


def _record_problems(record: Record) -> Iterator[str]:
    for name in ("labels", "segments"):
        words = getattr(record, name)
        if not isinstance(words, tuple) or not all(isinstance(each, str) for each in words):
            yield f"{name} of the evaluation record is not a list of texts."
        elif len(set(words)) < len(words):
            yield f"{name} of the evaluation record names one thing twice."
    labels, bounds = len(record.labels), dict.fromkeys(("rows", "group", *_OPTIONAL), (0, 2**63))
    bounds |= dict.fromkeys(("gold", "teacher", "baseline", "live"), (-1, labels))
    bounds |= {"student": (0, labels), "segment": (-1, len(record.segments)), "confidence": (0, CERTAIN + 1)}
    for name, (low, high) in bounds.items():
        column = getattr(record, name)
        if column != () or name not in (*_OPTIONAL, "live"):
            yield from _column_problems(record, name, column, low, high)
    for name in ("rows", "key"):
        if len(set(getattr(record, name))) < len(getattr(record, name)):
            yield f"{name} of the evaluation record names one row twice."
    for name, low, high in (("majority", -1, labels), ("deferred_below", 0, CERTAIN + 2)):
        value = getattr(record, name)
        if not _is_whole(value) or not low <= value < high:
            yield f"{name} of the evaluation record is {show(value)}, which is out of range."
    if record.deferred_below and len(record.confidence) != len(record.rows):
        yield "The evaluation record has deferred_below, and no confidence of the student's to compare with it."
    yield from _mapping_problems(record)


def _column_problems(record: Record, name: str, column: object, low: int, high: int) -> Iterator[str]:
    if not isinstance(column, tuple):
        yield f"{name} of the evaluation record is not a list."
        return
    if not all(_is_whole(each) for each in column):
        wrong = next(each for each in column if not _is_whole(each))
        yield f"{name} of the evaluation record holds {show(wrong)}; it takes whole numbers only."
    if len(column) != len(record.rows):
        yield f"{name} of the evaluation record has {len(column)} values for {len(record.rows)} rows."
    if column and (min(column) < low or max(column) >= high):
        wrong = next(each for each in column if not low <= each < high)
        yield f"{name} of the evaluation record holds {wrong}, which is out of range."


def _mapping_problems(record: Record) -> Iterator[str]:
    for name in ("latency_us", "parameters", "bytes", "machine", "payback_inputs", "controls", "running", "scores"):
        values = getattr(record, name)
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            yield f"{name} of the evaluation record is not a table of names and values."
            return
    for subject, runs in record.latency_us.items():
        if subject not in TIMED:
            yield f"latency_us of the evaluation record has {show(subject)}; it has {', '.join(TIMED)}."
        if not isinstance(runs, tuple) or not all(isinstance(run, tuple) for run in runs):
            yield f"latency_us of the {subject} is not a list of runs."
        elif not all(_is_whole(each) and each >= 0 for run in runs for each in run):
            yield f"latency_us of the {subject} holds something else than whole microseconds."
    for name in ("parameters", "bytes"):
        for subject, number in getattr(record, name).items():
            if not _is_whole(number) or number < 0:
                yield f"{name} of the {subject} is {show(number)}; it takes whole numbers from 0."
    for subject, numbers in record.running.items():
        if subject not in SUBJECTS or not isinstance(numbers, Mapping):
            yield f"running of the evaluation record has {show(subject)}; it has {', '.join(SUBJECTS)}."
        elif not all(_is_whole(each) and each >= 0 for each in numbers.values()):
            yield f"running of the {subject} holds something else than whole numbers from 0."
    for arm, column in record.controls.items():
        yield from _column_problems(record, f"controls {show(arm)}", column, 0, len(record.labels))
    for metric, columns in record.scores.items():
        if not isinstance(columns, Mapping) or not all(subject in SUBJECTS for subject in columns):
            yield f"scores {show(metric)} of the evaluation record is not a table of {', '.join(SUBJECTS)}."
            return
        for subject, column in columns.items():
            yield from _column_problems(record, f"scores {show(metric)} of the {subject}", column, -1, CERTAIN + 1)
    for name, value in record.machine.items():
        if not isinstance(value, str) and not _is_whole(value):
            yield f"machine {show(name)} is {show(value)}; it takes text and whole numbers."
    for name in ("data_set", "model", "teacher_model", "live_model"):
        if not isinstance(getattr(record, name), str):
            yield f"{name} of the evaluation record is {show(getattr(record, name))}; it takes text."
    for name, value in record.payback_inputs.items():
        try:
            a_number(value if isinstance(value, str) else None, name)
        except ValueError:
            yield f"payback_inputs {show(name)} is {show(value)}; it takes a number as text."


def _is_whole(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def scale_of(record: Record) -> Scale | None:
    """Return the scale of a record of scores; its labels are the levels, and perhaps one for what is none of them."""
    if record.task is not Task.SCORE:
        return None
    return Scale.of([label for label in record.labels if number_of(label) is not None])


def rows_in(record: Record, scope: str) -> list[int]:
    """Return the positions of the rows in a scope, in an order that does not depend on that of the record."""
    if scope == ALL:
        return list(range(len(record.rows)))
    patterns = Criterion(Metric.ACCURACY, scope=scope).patterns
    if patterns is not None:
        most, others = patterns
        return [row for row, rank in enumerate(record.pattern) if (rank >= most) is others]
    name = scope.removeprefix(SEGMENT)
    index = record.segments.index(name) if scope.startswith(SEGMENT) and name in record.segments else None
    return [row for row, segment in enumerate(record.segment) if segment == index]
