"""What success means for one play: its criteria, rounds and splits. Inert; `problems` lists what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from distill_tui.gates.economics import Range
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task


@dataclass(frozen=True)
class RowScore:
    """A metric that gives each row a score from 0 to 1, not just right or wrong; it is judged by the mean.

    To add one: a word in `terms.Metric`, a line in `ROW_SCORES` here, a line in `judging.METHODS` that defines what it
    means in a version of its own, and the scores of student, teacher and baseline in the worker's record (`scores`, in
    1/10,000; `row_scores` computes them). Reading, refusing, judging, power and the screens need nothing more.
    """

    name: str  # in a sentence
    lower_is_better: bool = False


ALL = "all"
EVERY_SEGMENT = "every segment"
SEGMENT = "segment: "  # and its name
EVERY_LABEL = "every label"
LABEL = "label: "  # and its name
BASELINES = ("tfidf", "majority")  # as a gate stores them; `baseline_name` has what they are
_OF_SCORES = {"tfidf": "ridge regression", "majority": "median"}
QUALITY = (Metric.ACCURACY, Metric.AGREEMENT)
ROW_SCORES = {
    Metric.BRIER: RowScore("the Brier score", lower_is_better=True),
    Metric.HAMMING: RowScore("the Hamming loss", lower_is_better=True),
    Metric.MAE: RowScore("the mean absolute error", lower_is_better=True),
    Metric.WITHIN_ONE: RowScore("the share within one level"),
    Metric.FIELD_F1: RowScore("field F1"),
    Metric.CHRF: RowScore("chrF"),
}
LABEL_SCORES = {  # metrics that are ratios of sums over labels, with their names in a sentence
    Metric.MICRO_F1: "micro-F1",
    Metric.MACRO_F1: "macro-F1",
    Metric.LABEL_F1: "F1",
    Metric.PRECISION: "precision",
    Metric.RECALL: "recall",
}
SCALE_SCORES = {  # of scores, and not means of rows either
    Metric.KAPPA: "quadratic weighted kappa",
    Metric.SPEARMAN: "Spearman's correlation",
}
OF_SCORES = (Metric.MAE, Metric.WITHIN_ONE, *SCALE_SCORES)  # that compare scores
NOT_MEANS = {**LABEL_SCORES, **SCALE_SCORES}
BY_LABEL = (Metric.LABEL_F1, Metric.PRECISION, Metric.RECALL)  # of one label each
SCORED = (*ROW_SCORES, *NOT_MEANS)  # from 0 to 1, not shares of right rows
P95 = 0.95
ORDERED, ANY_ORDER = LISTS = ("ordered", "any order")  # how lists in written answers are compared
METHODS_NOW = 2  # the version of how verdicts are computed that a new gate gets
METHODS = (1, 2)  # all versions; 2: groups that are lost whole count as such (see `statistics.lumps_exceed`)
_PATTERNS = re.compile(r"(beyond the )?top ([1-9]\d{0,5}) patterns")

# left out of the canonical form where it has its default, so that an older gate keeps its digest
_SILENT = {"silent": True}


@dataclass(frozen=True)
class Criterion:
    """One thing that a student must show. Either a margin against a reference, or a threshold without one.

    `scope` is "all", "every segment", "segment: NAME", "top K patterns" or "beyond the top K patterns": the rows of the
    K interaction patterns that are asked most often among the held-out rows, and the others. A segment that has a
    criterion of its own (same metric and reference) is not among "every segment": a looser tolerance for it is written
    down that way. Precision, recall and F1 of labels have the scope "every label" or "label: NAME" instead.
    """

    metric: Metric
    reference: Reference = Reference.NONE
    scope: str = ALL
    margin: Decimal | None = None  # how far the student may trail the reference; negative: must lead by that much
    threshold: Decimal | None = None  # at least (accuracy, agreement), below (p95), at most (payback, size, Brier)
    binding: bool = False  # the win metric of the play: exactly one
    watch_only: str = ""  # a reason: measured and shown, does not count
    agreed_with: str = field(default="", metadata=_SILENT)  # the product owner, where rare inputs may trail further

    @property
    def counts(self) -> bool:
        return not self.watch_only

    @property
    def at_least(self) -> bool:
        """Whether its threshold is a floor; else it is a ceiling."""
        score = ROW_SCORES.get(self.metric)
        return self.metric in (*QUALITY, *NOT_MEANS) if score is None else not score.lower_is_better

    @property
    def segment(self) -> str | None:
        return self.scope.removeprefix(SEGMENT) if self.scope.startswith(SEGMENT) else None

    @property
    def label(self) -> str | None:
        return self.scope.removeprefix(LABEL) if self.scope.startswith(LABEL) else None

    @property
    def patterns(self) -> tuple[int, bool] | None:
        """How many of the commonest interaction patterns it is about, and whether it is about the others."""
        found = _PATTERNS.fullmatch(self.scope)
        return (int(found[2]), bool(found[1])) if found else None

    @property
    def words(self) -> str:
        against = "" if self.reference is Reference.NONE else f" against the {self.reference}"
        return f"{self.metric}{against}{'' if self.scope == ALL else f' ({self.scope})'}"


@dataclass(frozen=True)
class Interim:
    """When a refresh may ship although it misses a floor: proven better than what is live by a lead, for some days."""

    lead: Decimal  # of the share of right rows, above 0
    days: int  # after which it answers nothing any more


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
    statement: str = ""  # what good enough means, in the sponsor's words
    predecessor: str = ""  # the killed play whose goalposts these replace
    minimum_spot_check: int = 0  # held-out answers that the validator judges blind before a sign-off
    by_time: bool = field(default=False, metadata=_SILENT)  # the latest rows are held out; training ends before them
    teacher_agreement: Decimal | None = field(
        default=None, metadata=_SILENT
    )  # of the teacher with itself: the same prompt twice
    ranges: tuple[Range, ...] = field(default=(), metadata=_SILENT)  # how far prices may be off
    payback_chance: Decimal = field(default=Decimal("0.8"), metadata=_SILENT)  # of paying back in time, over the ranges
    # the share of requests, the least confident, that goes back to the teacher: student and teacher are judged together
    deferral: Decimal | None = field(default=None, metadata=_SILENT)
    interim: Interim | None = field(default=None, metadata=_SILENT)
    lists: str = field(default=ORDERED, metadata=_SILENT)  # in JSON answers: how two lists are compared
    methods: int = METHODS_NOW  # how verdicts are computed, see `judging.methods`


def baseline_name(gate: Gate, task: Task | None = None) -> str:
    """Name a gate's baseline as what it is: of scores, neither is a classifier. Without a task the metrics tell."""
    of_scores = task is Task.SCORE or (task is None and any(each.metric in OF_SCORES for each in gate.criteria))
    return _OF_SCORES.get(gate.baseline, gate.baseline) if of_scores else gate.baseline


DEFAULT_P95 = Decimal(50)  # ms, until the worksheet has a target


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
            fast = Criterion(Metric.P95_LATENCY, threshold=DEFAULT_P95, binding=True)
            top = Criterion(accuracy, teacher, "top 500 patterns", margin=Decimal("0.05"))
            return Gate((fast, top, within, segments))
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


def bar_of(criterion: Criterion) -> Decimal:
    """Return what a criterion asks for: its threshold, or its margin where it has a reference."""
    bar = criterion.threshold if criterion.reference is Reference.NONE else criterion.margin
    return Decimal(0) if bar is None else bar
