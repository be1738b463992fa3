"""One evaluation as one value: `of(dossier)` computes a `Review`, and every printer only prints it. Pure.

Terminal, text, HTML and model card show the same `Review`; `sections` lays it out once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from distill_tui.gates import economics, interim
from distill_tui.gates.cut import Cut
from distill_tui.gates.gate import Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.label_scores import LabelRates, label_rates
from distill_tui.gates.record import Record
from distill_tui.review import controls, deferral, errors, headline, levels, payback, rates, serving_costs
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import advice
from distill_tui.rules.results import DataCounts, known
from distill_tui.terms import Advice, Metric, Task, Verdict


@dataclass(frozen=True)
class Review:
    """Everything that is shown of one evaluation, numbers first; sentences are made from them."""

    play: entities.Play
    evaluation: entities.Evaluation
    gate: Gate
    labels: tuple[str, ...]
    task: Task
    headline: headline.Headline
    segments: tuple[rates.SegmentRates, ...]  # the student alone: all rows, then the segment that may be worst
    scores: tuple[rates.ScoreMeans, ...]
    controls: tuple[controls.Comparison, ...]
    costs: tuple[serving_costs.Cost, ...]
    machine: Mapping[str, str | int]
    cut: tuple[tuple[str, Cut], ...]  # what student and teacher do not read of the held-out rows
    pair: deferral.Pair | None
    points: tuple[deferral.Point, ...]
    right_and_wrong: errors.RightAndWrong
    confusions: tuple[errors.Confusion, ...]
    classes: tuple[errors.ClassRates, ...]
    by_label: tuple[LabelRates, ...]  # of a task with several labels: the student's lowest F1 first
    by_level: tuple[levels.LevelRates, ...]  # of scores, in the order of the scale
    of_scale: tuple[str, ...]  # what else there is about scores, as sentences
    calibration: errors.Calibration | None
    change: errors.Change | None
    since_before: tuple[str, ...]  # how this round differs from the one before, as sentences
    worth: payback.Worth | None
    locked: str = ""  # when and by whom the gate was locked, or that it is not
    people: tuple[tuple[str, str], ...] = ()  # role, person
    passed: bool = False
    drift: tuple[str, ...] = ()  # what drifted of the live student since the onset, as sentences
    lead: str = ""  # over the live student on the same rows, in a refresh
    judgements: tuple[Judgement, ...] = ()
    more_rows: str = ""  # whether more rows would help
    seeds: str = ""  # how much of a difference is the seed's
    numbers: tuple[entities.WorksheetValue, ...] = ()  # those that the trigger asks for first
    reproduced: tuple[entities.Evaluation, ...] = ()  # the validator ran it again
    not_measured: tuple[str, ...] = ()
    advice: Advice = Advice.ITERATE
    reasons: tuple[str, ...] = ()

    @property
    def counting(self) -> tuple[Judgement, ...]:
        return tuple(each for each in self.judgements if each.criterion.counts)

    @property
    def holding(self) -> int:
        return sum(each.verdict is Verdict.HOLDS for each in self.counting)

    @property
    def latency(self) -> Judgement | None:
        return next((j for j in self.judgements if j.criterion.metric is Metric.P95_LATENCY and j.estimate), None)


def of(dossier: PlayDossier, earlier: Review | None = None) -> Review | None:
    """Review the evaluation of this round; None where there is none, or its record or gate cannot be used.

    What only depends on the record is taken from `earlier`, a review of the same record, where there is one.
    """
    record, gate, seen, row = dossier.record, dossier.gate, dossier.evaluation, dossier.gate_row
    if seen is None or record is None or gate is None:
        return None
    advised, reasons = advice(dossier)
    over_live = interim.lead(gate, record)
    asked = [question.name for question in economics.WORKSHEET[dossier.play.kind]]
    return replace(
        earlier or _measured(dossier, record, gate, seen),
        play=dossier.play,
        evaluation=seen,
        locked=f"locked {row.locked_at} by {row.locked_by}" if row is not None and row.locked_at else "not locked",
        people=tuple((role.value, person) for role, person in sorted(dossier.roles.items())),
        passed=dossier.passed,
        drift=dossier.drift.sentences if dossier.drift is not None else (),
        lead=over_live.sentence if over_live is not None else "",
        judgements=dossier.judgements,
        more_rows=controls.probed(dossier),
        seeds=controls.reseeded(dossier),
        numbers=tuple(sorted(dossier.worksheet.values(), key=lambda each: (each.name not in asked, each.name))),
        reproduced=tuple(each for each in dossier.round_evaluations if each.reproduced),
        not_measured=tuple(errors.not_measured(gate, record, dossier.judgements, len(dossier.burnt))),
        advice=advised,
        reasons=tuple(reasons),
    )


def _measured(dossier: PlayDossier, record: Record, gate: Gate, seen: entities.Evaluation) -> Review:
    before = dossier.before.record
    change = None if before is None else errors.change(before, record)
    return Review(
        play=dossier.play,
        evaluation=seen,
        gate=gate,
        labels=record.labels,
        task=record.task,
        headline=headline.of(dossier, interval=True),
        segments=tuple(errors.by_danger(rates.segment_rates(record))),
        scores=rates.score_means(record),
        controls=controls.comparisons(record),
        costs=serving_costs.costs(record),
        machine=record.machine,
        cut=tuple((name, Cut(*numbers)) for name, numbers in sorted(record.cut.items())),
        pair=deferral.pair(gate, record),
        points=deferral.curve(record),
        right_and_wrong=errors.right_and_wrong(record),
        confusions=tuple(errors.confusions(record)),
        classes=tuple(errors.classes(record)),
        by_label=label_rates(record) if record.task is Task.MULTILABEL else (),
        by_level=levels.by_level(record),
        of_scale=(*levels.sentences(record), *_asked_twice(dossier)),
        calibration=errors.calibration(record, dossier.validation(seen.run_id)),
        change=change,
        since_before=(*(() if change is None else (change.sentence,)), *_verdict_changes(dossier)),
        worth=payback.of(dossier),
    )


def _asked_twice(dossier: PlayDossier) -> Iterator[str]:
    counts = known(DataCounts, dossier.data_set.counts) if dossier.data_set is not None else None
    if counts is not None and counts.audit is not None and counts.audit.asked_twice:
        yield counts.audit.asked_twice


def _verdict_changes(dossier: PlayDossier) -> Iterator[str]:
    before = {(each.criterion, each.scope): each.verdict for each in dossier.before.judgements}
    for each in dossier.judgements:
        was = before.get((each.criterion, each.scope), each.verdict)
        if was is not each.verdict:
            yield f"{each.criterion.words}, {each.scope}: {was.value} before, {each.verdict.value} now."
