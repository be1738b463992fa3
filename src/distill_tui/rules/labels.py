"""Rules of the label map: which label each name stands for that gold, or the teacher, is written with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from distill_tui import tasks
from distill_tui.gates.scale import NEAR, Scale
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, read_list, read_object
from distill_tui.rules.measurable import traffic_rows
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import MapLabels
from distill_tui.rules.results import DataCounts, ImportReport, LabelResult, known
from distill_tui.rules.who import PlayRule, held_by
from distill_tui.tasks.label_map import LONGEST, LabelMap, Reading, Vocabulary, listed, read
from distill_tui.terms import Action, Role, RunKind, RunStatus, Task

FEW = 100  # labels; more than these, and than half of the rows, are taken for free text until they are confirmed


def vocabulary(dossier: PlayDossier) -> Vocabulary:
    """Return the names of gold and of the teacher's answers in this play; a teacher that computes has its own."""
    found = Vocabulary()
    for traffic in dossier.traffic:
        report = known(ImportReport, traffic.report)
        found = found.with_rows(report.names) if report is not None else found
    found = replace(found, choices=tuple(read_list(dossier.play.teacher_labels)))
    if not dossier.play.teacher_source.computes:
        return found
    answered = _answered(dossier)
    return replace(found, named=(), answers=answered.answers, more_answers=answered.more_answers)


def first_map(scale: str) -> str:
    """Return the label map that a play begins with: the levels of its scale; an empty map where it is not one."""
    try:
        levels = Scale.read(scale).labels if scale else ()
    except ValueError:
        levels = ()
    return json.dumps({level: level for level in levels}, sort_keys=True)


def scale_of(play: entities.Play) -> Scale | None:
    """Return the scale of a play of scores, which was fixed when it was opened; None for any other play."""
    if play.task is not Task.SCORE:
        return None
    levels = {name for name, label in read_object(play.label_map).items() if name == label}
    if not levels:
        return None  # of a plan whose scale is none
    return Scale.of(sorted(levels, key=lambda level: float(level.removeprefix(NEAR))))


def scale_text(play: entities.Play) -> str:
    """Return the scale of a play as it is typed; empty for a play without one."""
    scale = scale_of(play)
    return "" if scale is None else scale.text


def _in_order(dossier: PlayDossier, found: Reading) -> Reading:
    """Put the levels of a scale in their order; what a person calls another label is none."""
    scale = scale_of(dossier.play)
    if scale is None:
        return found
    names = (each if each.label in (None, *scale.labels) else replace(each, label=None, way="") for each in found.names)
    return replace(found, labels=scale.labels, names=tuple(names))


def _answered(dossier: PlayDossier) -> Vocabulary:
    """Return the names in the answers of the newest labelling run of this teacher."""
    for run in reversed(dossier.runs):
        if run.kind is RunKind.LABEL and run.status is RunStatus.FINISHED:
            result = known(LabelResult, run.result)
            if result is not None and result.teacher == dossier.play.teacher_digest:
                return result.names
    return Vocabulary()


def confirmed(dossier: PlayDossier) -> dict[str, str | None]:
    """Return what a person confirmed, and what a frozen data set was built by: name as written → label, None for none.

    Later rounds keep the labels of the last frozen data set: what comes new is a label only once it is confirmed.
    """
    found = read_object(dossier.play.label_map)
    mine = {name: label for name, label in found.items() if label is None or isinstance(label, str)}
    last = _last_frozen(dossier)
    return mine if last is None else mine | {label: label for label in last[1].labels} | dict(last[1].names)


def _last_frozen(dossier: PlayDossier) -> tuple[int, LabelMap] | None:
    """Return the round of the newest frozen data set, and the label map that it was built by."""
    data = next((each for each in reversed(dossier.data_sets) if each.frozen_at), None)
    counts = known(DataCounts, data.counts) if data is not None else None
    if data is None or counts is None or not tasks.of(dossier.play.task).has_labels:
        return None
    return data.round, LabelMap(tuple(read_list(data.labels)), counts.names)


def draft_map_moved(dossier: PlayDossier) -> Iterator[Objection]:
    """The draft was built by the label map as it is now."""
    counts = known(DataCounts, dossier.data_set.counts) if dossier.data_set is not None else None
    if dossier.data_set is None or counts is None or not counts.built_of or not tasks.of(dossier.play.task).has_labels:
        return
    if LabelMap(tuple(read_list(dossier.data_set.labels)), counts.names) != reading(dossier).map:
        yield Objection(
            "labels.moved",
            "The label map, or the names in the traffic, changed after the build: "
            f"`distill-tui data build {dossier.code}`.",
        )


def reading(dossier: PlayDossier) -> Reading:
    """Return what every name of this play stands for."""
    return _in_order(dossier, read(vocabulary(dossier), confirmed(dossier)))


def read_with(dossier: PlayDossier, more: Vocabulary) -> Reading:
    """Return what the names of a file that is not imported yet would stand for in this play."""
    here = vocabulary(dossier)
    answers = {} if dossier.play.teacher_source.computes else more.answers
    return _in_order(dossier, read(replace(more, choices=here.choices, answers=answers), confirmed(dossier)))


def with_names(dossier: PlayDossier, request: MapLabels) -> PlayDossier:
    """Return the dossier as it is once this is confirmed."""
    return replace(dossier, play=replace(dossier.play, label_map=json.dumps(settled(dossier, request))))


def settled(dossier: PlayDossier, request: MapLabels) -> dict[str, str | None]:
    """Return all that is confirmed once this is: what was before, the labels as they stand, and this."""
    stays = {label: label for label in reading(dossier).labels if label not in request.names}
    return {**stays, **confirmed(dossier), **request.names}


def matched(dossier: PlayDossier) -> Iterator[Objection]:
    """Every match that is proposed has been confirmed, and the labels are a person's where they are many."""
    if not tasks.of(dossier.play.task).has_labels:
        return
    found = reading(dossier)
    if traffic_rows(dossier):
        yield from enough(found.labels, dossier)
    if found.proposed:
        names = [f"“{each.name}” as {each.label} ({each.gold + each.answers:,} rows)" for each in found.proposed[:3]]
        more = f" and {len(found.proposed) - 3:,} more" if len(found.proposed) > 3 else ""
        yield Objection(
            "labels.unconfirmed",
            f"Gold and the teacher's answers are written with different names: {', '.join(names)}{more}. See "
            f"`distill-tui labels {dossier.code}`, and confirm it with --confirm.",
        )
    rows = max(found.gold[1], found.answers[1])
    chosen = dossier.play.teacher_labels != "[]" or confirmed(dossier)
    if not chosen and (like_text(found) or found.more_gold or found.more_answers):
        yield Objection(
            "labels.many",
            f"The traffic has {len(found.labels):,} different labels on {rows:,} rows, like free text. If they are "
            f"labels, confirm them: `distill-tui labels {dossier.code} --confirm`. For free text open a play with "
            "--task generation.",
        )


def like_text(found: Reading) -> bool:
    """Whether the labels are as many as texts would be."""
    return len(found.labels) > max(FEW, max(found.gold[1], found.answers[1]) // 2)


def enough(labels: tuple[str, ...], dossier: PlayDossier) -> Iterator[Objection]:
    """A task with labels has at least two."""
    if tasks.of(dossier.play.task).has_labels and len(labels) < 2:
        what = f"only one label ({labels[0]})" if labels else "no label"
        yield Objection(
            "labels.few",
            f"Gold and the teacher's answers have {what}; a task with labels needs two or more. Check the columns of "
            f"the traffic with `distill-tui import {dossier.code} FILE --preview`, and import it with the right ones.",
        )


def lost(found: Reading) -> Iterator[str]:
    """Count in a sentence each how many rows stand for no label."""
    for what, (count, rows), of in (
        ("rows with gold", found.gold, lambda each: each.gold),
        ("answers of the teacher", found.answers, lambda each: each.answers),
    ):
        if count < rows:
            names = listed(found.unmatched, of)
            yield f"{rows - count:,} of the {rows:,} {what} stand for no label{f': {names}' if names else ''}."


def map_labels(dossier: PlayDossier, actor: Actor, request: MapLabels | None) -> Iterator[Objection]:
    """The driver confirms the label map before the freeze, for names that the traffic or the teacher uses."""
    yield from held_by(dossier, actor, Role.DRIVER)
    if dossier.data_set is not None and dossier.data_set.frozen_at is not None:
        yield Objection("data.frozen", "The data set of this round is frozen; iterate to build another.")
    if not tasks.of(dossier.play.task).has_labels:
        yield Objection("labels.texts", f"The answers of {dossier.code} are texts, so it has no labels.")
        return
    scale = scale_of(dossier.play)
    if scale is not None and scale.ranged:
        yield Objection("labels.range", f"Answers of {dossier.code} are numbers of {scale.text}; they need no map.")
        return
    found = reading(dossier)
    if not found.names:
        yield Objection(
            "labels.none",
            f"There is no gold and no answer of a teacher yet: `distill-tui import {dossier.code} FILE`, or choose the "
            "teacher.",
        )
    elif request is not None:
        yield from _settles(dossier, found, request)


def _settles(dossier: PlayDossier, found: Reading, request: MapLabels) -> Iterator[Objection]:
    there, frozen = {each.name for each in found.names}, confirmed(dossier)
    scale = scale_of(dossier.play)
    levels = () if scale is None else scale.labels
    for name, label in request.names.items() if scale is not None else ():
        if (name in levels and label != name) or (label is not None and label not in levels):
            yield Objection(
                "labels.levels",
                f"The levels of {dossier.code} are {scale_text(dossier.play)} for good; “{name}” cannot stand for "
                f"{label or 'no level'}.",
            )
            return
    for name, label in request.names.items():
        if name not in there and name not in frozen:
            yield Objection("labels.unknown", f"Neither gold nor the teacher uses “{name}”; check how it is written.")
        if label is not None and not 1 <= len(label.strip()) <= LONGEST:
            yield Objection("labels.long", f"“{name}”: a label has 1 to {LONGEST} characters.")
        yield from _judged_by(dossier, name, label)
        onward = request.names.get(label, label) if label is not None else None
        if onward != label:
            yield Objection(
                "labels.chain",
                f"“{name}” stands for {label}, and {label} for {onward or 'no label'}; name the last one for both.",
            )
    yield from enough(reading(with_names(dossier, request)).labels, dossier)


def _judged_by(dossier: PlayDossier, name: str, label: str | None) -> Iterator[Objection]:
    """A name keeps the meaning by which an earlier round was judged: its held-out rows are judged again."""
    last = _last_frozen(dossier)
    if last is None:
        return
    number, before = last
    there = vocabulary(
        replace(
            dossier,
            traffic=tuple(each for each in dossier.traffic if each.round <= number),
            runs=tuple(each for each in dossier.runs if each.round <= number),
        )
    )
    if name not in {*before.labels, *before.names, *there.gold, *there.answers} or before.of(name) == label:
        return
    yield Objection(
        "labels.judged",
        f"In round {number} “{name}” stood for {before.of(name) or 'no label'}, and the rounds are judged by that. To "
        f"have it stand for {label or 'no label'}, open a new play.",
    )


def settling(found: Reading, given: Mapping[str, str | None]) -> MapLabels:
    """Return the request that confirms what is proposed, and over it what is given."""
    return MapLabels({each.name: each.label for each in found.proposed} | dict(given))


RULES: dict[Action, PlayRule] = {Action.MAP_LABELS: map_labels}
