"""One evaluation as one value: `of(dossier)` computes a `Review`, and every printer only prints it. Pure.

Terminal, text, HTML and model card show the same `Review`; `sections` lays it out once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from distill_tui.gates import economics
from distill_tui.gates.gate import Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import Record
from distill_tui.review import controls, deferral, errors, headline, payback, rates, serving_costs
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import advice
from distill_tui.terms import Advice, Metric, PlayKind, Task, Verdict


@dataclass(frozen=True)
class About:
    """What was evaluated: the play, and the digests of gate, data, student and record."""

    code: str
    name: str
    summary: str
    kind: PlayKind
    round: int
    run: int
    recorded_at: str
    gate: str
    data: str
    model: str
    record: str
    locked: str  # when and by whom, or that it is not
    people: tuple[tuple[str, str], ...]  # role, person


@dataclass(frozen=True)
class Number:
    """A number of the worksheet, with its source."""

    name: str
    value: str
    at: str
    source: str


@dataclass(frozen=True)
class VerdictChange:
    """A criterion whose verdict is not that of the round before."""

    words: str
    scope: str
    before: Verdict
    now: Verdict

    @property
    def sentence(self) -> str:
        return f"{self.words}, {self.scope}: {self.before.value} before, {self.now.value} now."


@dataclass(frozen=True)
class Reproduction:
    """An evaluation that the validator ran again."""

    at: str
    same: bool  # whether it passed or failed as this one did

    @property
    def sentence(self) -> str:
        return f"Reproduced by the validator on {self.at}: {'same' if self.same else 'different'} result."


@dataclass(frozen=True)
class Review:
    """Everything that is shown of one evaluation, numbers first; sentences are made from them."""

    about: About
    gate: Gate
    labels: tuple[str, ...]
    task: Task
    passed: bool
    judgements: tuple[Judgement, ...]
    headline: headline.Headline
    segments: tuple[rates.SegmentRates, ...]  # the student alone: all rows, then the segment that may be worst
    scores: tuple[rates.ScoreMeans, ...]
    controls: tuple[controls.Comparison, ...]
    costs: tuple[serving_costs.Cost, ...]
    machine: Mapping[str, str | int]
    pair: deferral.Pair | None
    points: tuple[deferral.Point, ...]
    right_and_wrong: errors.RightAndWrong
    confusions: tuple[errors.Confusion, ...]
    calibration: errors.Calibration | None
    change: errors.Change | None
    verdict_changes: tuple[VerdictChange, ...]
    worth: payback.Worth | None
    more_rows: str = ""  # whether more rows would help
    numbers: tuple[Number, ...] = ()
    reproduced: tuple[Reproduction, ...] = ()
    not_measured: tuple[str, ...] = ()
    advice: Advice = Advice.ITERATE
    reasons: tuple[str, ...] = ()

    @property
    def counting(self) -> tuple[Judgement, ...]:
        return tuple(each for each in self.judgements if each.criterion.counts)

    @property
    def holding(self) -> int:
        """How many of the judgements that count hold."""
        return sum(each.verdict is Verdict.HOLDS for each in self.counting)

    @property
    def latency(self) -> Judgement | None:
        """The judgement on latency, where one was measured."""
        return next((j for j in self.judgements if j.criterion.metric is Metric.P95_LATENCY and j.estimate), None)

    @property
    def since_before(self) -> tuple[str, ...]:
        """How this round differs from the one before, as sentences."""
        changed = () if self.change is None else (self.change.sentence,)
        return (*changed, *(each.sentence for each in self.verdict_changes))


def of(dossier: PlayDossier, earlier: Review | None = None) -> Review | None:
    """Review the evaluation of this round; None where there is none, or its record or gate cannot be used.

    What only depends on the record is taken from `earlier`, a review of the same record, where there is one.
    """
    record, gate = dossier.record, dossier.gate
    if dossier.evaluation is None or record is None or gate is None:
        return None
    found, (advised, reasons) = earlier or _measured(dossier, record, gate), advice(dossier)
    return replace(
        found,
        about=_about(dossier),
        passed=dossier.passed,
        judgements=tuple(dossier.judgements),
        more_rows=controls.probed(dossier),
        numbers=tuple(_numbers(dossier)),
        reproduced=tuple(_reproduced(dossier)),
        not_measured=tuple(errors.not_measured(gate, record, dossier.judgements, len(dossier.burnt))),
        advice=advised,
        reasons=tuple(reasons),
    )


def _measured(dossier: PlayDossier, record: Record, gate: Gate) -> Review:
    before = dossier.record_before
    return Review(
        about=_about(dossier),
        gate=gate,
        labels=record.labels,
        task=record.task,
        passed=dossier.passed,
        judgements=tuple(dossier.judgements),
        headline=headline.of(dossier),
        segments=tuple(errors.by_danger(rates.segment_rates(record))),
        scores=rates.score_means(record),
        controls=controls.comparisons(record),
        costs=serving_costs.costs(record),
        machine=record.machine,
        pair=deferral.pair(gate, record),
        points=deferral.curve(record),
        right_and_wrong=errors.right_and_wrong(record),
        confusions=tuple(errors.confusions(record)),
        calibration=errors.calibration(record),
        change=None if before is None else errors.change(before, record),
        verdict_changes=() if before is None else tuple(_verdict_changes(dossier)),
        worth=payback.of(dossier),
    )


def _about(dossier: PlayDossier) -> About:
    play, seen, row = dossier.play, dossier.evaluation, dossier.gate_row
    assert seen is not None
    return About(
        code=play.code,
        name=play.name,
        summary=play.summary,
        kind=play.kind,
        round=seen.round,
        run=seen.run_id,
        recorded_at=seen.recorded_at,
        gate=seen.gate_digest,
        data=seen.data_digest,
        model=seen.model,
        record=seen.record,
        locked=f"locked {row.locked_at} by {row.locked_by}" if row is not None and row.locked_at else "not locked",
        people=tuple((role.value, person) for role, person in sorted(dossier.roles.items())),
    )


def _verdict_changes(dossier: PlayDossier) -> Iterator[VerdictChange]:
    before = {(each.criterion, each.scope): each.verdict for each in dossier.judgements_before}
    for each in dossier.judgements:
        was = before.get((each.criterion, each.scope), each.verdict)
        if was is not each.verdict:
            yield VerdictChange(each.criterion.words, each.scope, was, each.verdict)


def _numbers(dossier: PlayDossier) -> Iterator[Number]:
    """Yield the numbers of the worksheet, those that the trigger asks for first."""
    asked = [question.name for question in economics.WORKSHEET[dossier.play.kind]]
    for name, row in sorted(dossier.worksheet.items(), key=lambda each: (each[0] not in asked, each[0])):
        yield Number(name, row.value, row.at[:10], row.source)


def _reproduced(dossier: PlayDossier) -> Iterator[Reproduction]:
    seen = dossier.evaluation
    assert seen is not None
    for again in dossier.round_evaluations:
        if again.reproduced:
            yield Reproduction(again.recorded_at, again.passed == seen.passed)
