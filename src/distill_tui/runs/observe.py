"""What a worker does with a feed: student and teacher answer it, the teacher as far as the budget goes.

All observations of a feed are recorded in one transaction, or none: a worker that dies is resumed, and what the
teacher answered by then is in its cache. Runs in workers only.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.contradictions import Compared, by_label
from distill_tui.dataset.row_identity import sealed
from distill_tui.digests import digest_of
from distill_tui.gates.label_sets import likely
from distill_tui.gates.scale import Scale, apart
from distill_tui.monitor import history
from distill_tui.monitor import plan as observe
from distill_tui.monitor.plan import Scored
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.drifted import Drift
from distill_tui.rules.labels import scale_of
from distill_tui.rules.results import ObserveResult, ObserveSpec, encode
from distill_tui.runs import observe_drift, observe_teacher, pass_on
from distill_tui.runs.claim import Claim
from distill_tui.runs.observe_teacher import Row
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import read
from distill_tui.store.project import Change, Project, ProjectError
from distill_tui.store.sqlite import Connection
from distill_tui.tasks.definition import Definition
from distill_tui.tasks.label_map import LONGEST, LabelMap, Spelled
from distill_tui.terms import Action, RunStatus, Split, Task, TeacherSource
from distill_tui.training.arrays import speakable
from distill_tui.training.predict import outputs

MOST_OUTSIDE = 20  # answers that are none of the labels, of which the rows are listed
CENTRE_ROWS, CALIBRATION = 2_000, 1_000  # training rows that make the centre, held-out scores that are kept


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Observe one feed, and record what was seen and how the student stands."""
    project = claimed.project
    feed_id = read(ObserveSpec, claimed.run.spec, f"the spec of run {claimed.id}").feed
    feed = next((each for each in dossier.feeds if each.id == feed_id), None)
    if feed is None:
        raise ProjectError(f"The spec of run {claimed.id} names no feed that is here; restore a backup.")
    bundle = next(each for each in dossier.bundles if each.id == feed.bundle_id)
    judged = dossier.evaluation_of(bundle)
    assert judged is not None
    data = next(each for each in dossier.data_sets if each.round == bundle.round)
    trained = dossier.run(judged.run_id)
    assert trained is not None and trained.artifact is not None
    for digest in (feed.artifact, trained.artifact, data.artifact):
        trouble = project.artifacts.trouble(digest)
        if trouble:
            raise ValueError(trouble)
    spec, student = Spec.from_json(trained.spec), project.artifacts.path(trained.artifact)
    options = {"threads": spec.threads}
    path = project.artifacts.path(data.artifact)
    claimed.report(0, 3, "the scores at the gate", always=True)
    watches = [watch for watch in dossier.watches if watch.bundle_id == bundle.id]
    reference = history.plan_of(watches[-1]).reference if watches else ""
    reference = reference or _reference(project.artifacts, path, student, options)
    known = history.read_scored(project.artifacts, reference)
    named, of = frozen.label_map_of(path), tasks.compared(dossier.play.task, frozen.lists_of(path))
    rows, compared = _read(project.artifacts.path(feed.artifact), feed.received_at[:10], known.probe, named, of)
    with project.view() as connection:
        seen = _observed(connection, feed)
        asked = _asked_by_month(connection, feed.play_id)
        room = observe_teacher.room(connection, project.artifacts, dossier, feed)
    own, read_rows = _own(path, bundle, rows), len(rows)
    adding = (_adding(row, seen.get((row.day, row.digest, row.probe))) for row in rows if row not in own)
    rows = [row for row in adding if row is not None]
    claimed.report(1, 3, f"{len(rows):,} rows that add something", always=True)
    rows = _with_teacher(claimed, dossier, rows, asked, room, known, seen, named, of)
    if not known.people:  # no gold was judged at the gate: a person's answer stands for the teacher's
        rows = [replace(row, teacher=row.gold) if row.teacher is None and not row.probe else row for row in rows]
    claimed.report(2, 3, f"the live student answers {len(rows):,} rows", always=True)
    observations = _observations(rows, feed, student, known, options, of)
    again = sum(not row.segment for row in rows)  # the probe that was asked again
    left_out = {"trained": len(own), "known": read_rows - len(own) - len(rows) + again}
    replay = partial(_replayed, project, feed=feed, reference=reference, known=known, observations=observations)
    replayed = replay(dossier)
    drift = _drift(claimed, dossier, path, feed, replayed)
    _record(claimed, feed, replayed, replay, drift, observations, named, left_out, of, compared.says())
    try:
        pass_on.pass_on(project, dossier, claimed.actor)
    except Exception as error:  # the observation is recorded: nothing about the alarm may fail it
        sys.stdout.write(f"alarm: not passed on: {type(error).__name__}: {error}\n")


# --- the scores at the gate ------------------------------------------------------------------------------------------


def _reference(artifacts: Artifacts, data: Path, student: Path, options: Mapping[str, int]) -> str:
    """Score the held-out rows as the gate saw them: numbers only, and never what makes a number a row.

    A row that came often in the traffic counts as often. The probe is of training rows, which everyone may see.
    """
    training, held_out = frozen.load(data, Split.TRAIN), frozen.load(data, Split.HELD_OUT)
    named = frozen.label_map_of(data)
    chosen = sorted(range(len(training)), key=lambda row: observe.order("", training.digests[row]))
    embeddings = outputs(student, [training.inputs[row] for row in chosen[:CENTRE_ROWS]], **options).embeddings
    centre, spread = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
    found = outputs(student, held_out.inputs, **options)
    distance = np.sqrt((((found.embeddings - centre) / spread) ** 2).mean(axis=1))
    often = np.repeat(np.arange(len(held_out)), np.maximum(1, held_out.weights.round().astype(int)))
    kept = sorted(range(len(often)), key=lambda at: observe.order(str(at), held_out.digests[often[at]]))[:CALIBRATION]
    rows = [int(often[at]) for at in kept]
    of = tasks.compared(training.task, training.lists)
    taught = [_answer(text, named, of) for text in training.teacher_texts]
    probed = [row for row in chosen if taught[row] is not None and not training.outside[row]][: observe.PROBE_ROWS]
    answered = held_out.outside | (held_out.teacher >= 0)
    scored = Scored(
        uncertainty=tuple(float(1 - found.confidence[row]) for row in rows),
        distance=tuple(float(distance[row]) for row in rows),
        length=tuple(len(held_out.inputs[row]) for row in rows),
        labels=Counter(_said(found.answers[row], named.labels, of) for row in rows if held_out.labels),
        segments=Counter(held_out.segments[row] for row in rows),
        answers=named.labels,
        several=of.several,
        of_scale=training.task is Task.SCORE,
        outside=int(held_out.outside.sum()) / max(1, int(answered.sum())),
        centre=tuple(float(x) for x in centre),
        spread=tuple(float(x) for x in spread),
        probe={training.digests[row]: (training.inputs[row], taught[row] or "") for row in probed},
        people=bool((held_out.gold >= 0).any()) if named.labels else any(held_out.gold_texts),
    )
    return artifacts.store_bytes(encode(scored).encode())


# --- the rows of a feed ----------------------------------------------------------------------------------------------


def _read(
    path: Path, received: str, probe: Collection[str], named: LabelMap, of: Definition
) -> tuple[list[Row], Compared]:
    """Read a feed, each input of a day once; a row without a time is of the day on which the feed was received.

    An answer that the feed recorded stays as it is, also where it is none of the labels, and is compared with its
    probabilities.
    """
    found: dict[tuple[str, str], Row] = {}
    compared = Compared(of.several)
    for each in traffic.rows([path]):
        if named.labels and each["teacher_output"] and each["teacher_probabilities"]:
            shares = by_label(json.loads(each["teacher_probabilities"]), named.labels, named.of)
            compared.add(of.label_of(named, each["teacher_output"]), shares)
        day = (each["time"] or received)[:10]
        key = (day, each["input_digest"])
        teacher, gold = _recorded(each, named, of), _answer(each["gold"], named, of)
        is_probe = each["input_digest"] in probe and teacher is not None
        row, before = Row(*key, each["input"], each["segment"] or "all", teacher, is_probe, gold=gold), found.get(key)
        found[key] = row if before is None else _merged(before, row)
    compared.check("the feed")
    return sorted(found.values(), key=lambda row: (row.day, observe.order(row.day, row.digest))), compared


def _merged(first: Row, second: Row) -> Row:
    return replace(
        first,
        teacher=second.teacher if first.teacher is None else first.teacher,
        gold=second.gold if first.gold is None else first.gold,
        probe=first.probe or second.probe,
    )


def _answer(text: str | None, named: LabelMap, of: Definition) -> str | None:
    """Return an answer as it is compared: the label that it stands for, or where there are none the text as spelled.

    What stands for none of the labels is returned as it is written, cut to a line; None stays None.
    """
    if text is None:
        return None
    if not named.labels:
        return of.spelled(text)
    return of.label_of(named, of.spelled(text)) or " ".join(speakable(text).split())[:LONGEST]


def _recorded(row: Mapping[str, Any], named: LabelMap, of: Definition) -> str | None:
    """Return the teacher's answer, a label or a text; without one, the name with the largest probability."""
    said, shares = row["teacher_output"], row["teacher_probabilities"]
    if said is None and shares is not None and named.labels:
        read = json.loads(shares)
        if isinstance(read, list):
            read = dict(zip(named.labels, read, strict=True)) if len(read) == len(named.labels) else {}
        if of.several:
            said = likely(read, read.values()) if read else None
        else:
            said = max(read, key=lambda name: read[name], default=None)
    return _answer(said, named, of)


@dataclass(frozen=True)
class Recorded:
    """What was recorded before of an input on a day."""

    times: int
    teacher: bool
    gold: bool


_Seen = Mapping[tuple[str, str, bool], Recorded]  # by day, digest, and whether it is of the probe


def _observed(connection: Connection, feed: entities.Feed) -> _Seen:
    query = """SELECT day, input_digest, probe, count(*), max(teacher IS NOT NULL), max(gold IS NOT NULL)
        FROM observation WHERE bundle_id = ? GROUP BY 1, 2, 3"""
    return {
        (day, digest, bool(probe)): Recorded(times, bool(teacher), bool(gold))
        for day, digest, probe, times, teacher, gold in connection.execute(query, (feed.bundle_id,))
    }


def _adding(row: Row, before: Recorded | None) -> Row | None:
    """Return what a row adds to what was recorded of its input on its day; None for nothing."""
    if before is None:
        return row
    teacher, gold = None if before.teacher else row.teacher, None if before.gold else row.gold
    return None if teacher is None and gold is None else replace(row, teacher=teacher, gold=gold, late=before.times)


def _own(data: Path, bundle: entities.Bundle, rows: Sequence[Row]) -> set[Row]:
    """Return rows of before a bundle's ship that its student was trained or judged on: they would flatter it."""
    older = [row for row in rows if row.day < bundle.shipped_at[:10] and not row.probe]
    known = frozen.splits_of(data) if older else {}
    return {row for row in older if row.digest in known}


def _asked_by_month(connection: Connection, play_id: int) -> Counter[str]:
    query = "SELECT substr(day, 1, 7), count(*) FROM observation WHERE play_id = ? AND asked = 1 GROUP BY 1"
    return Counter(dict(connection.execute(query, (play_id,)).fetchall()))


# --- the teacher -----------------------------------------------------------------------------------------------------


def _with_teacher(
    claimed: Claim,
    dossier: PlayDossier,
    rows: list[Row],
    asked: Counter[str],
    room: int,
    known: Scored,
    seen: _Seen,
    named: LabelMap,
    of: Definition,
) -> list[Row]:
    """Attach the teacher's answers to the rows that the budget allows; the others are only scored.

    Each call of an endpoint counts against the month, the probe's too, and no more than `room` are made; a local model
    answers the probe for free. A recorded teacher is never asked: the feed brings its answers.
    """
    play = dossier.play
    budget, asks = play.sampling_per_month or 0, play.teacher_source.computes
    probe = _probe_again(rows, known, seen) if asks else []
    paid = play.teacher_source is TeacherSource.ENDPOINT
    if probe and paid and len(probe) > min(room, budget - asked[probe[0].day[:7]]):
        probe = []
    rows = [*probe, *rows]
    chosen, watched = [], Counter[str]()
    for row in rows:
        if row.teacher is not None or row.late:
            chosen.append(row)
        elif asks and room > 0 and (row.probe or observe.allowance(budget, row.day, asked[row.day[:7]])):
            chosen.append(replace(row, asked=True))
            asked[row.day[:7]] += 1
            room -= 1
        elif row.gold is not None:
            chosen.append(row)
        elif watched[row.day] < observe.WATCHED:
            chosen.append(row)
            watched[row.day] += 1
    to_ask = [row for row in chosen if row.asked]
    said = observe_teacher.ask(claimed, dossier, to_ask) if to_ask else {}
    return [replace(row, teacher=_answer(said[row.digest], named, of)) if row.asked else row for row in chosen]


def _probe_again(rows: Sequence[Row], known: Scored, seen: _Seen) -> list[Row]:
    """Return the rows of the probe, once in four weeks."""
    if not rows:
        return []
    day = rows[-1].day
    before = max((probed for probed, _, probe in seen if probe), default="")
    if before and (date.fromisoformat(day) - date.fromisoformat(before)).days < observe.PROBE_DAYS:
        return []
    probe = [Row(day, digest, text, "", None, probe=True) for digest, (text, _) in sorted(known.probe.items())]
    return [row for row in probe if (row.day, row.digest, True) not in seen]


# --- the student, and the record -------------------------------------------------------------------------------------


def _said(answer: str, labels: Sequence[str], of: Definition) -> str:
    """Return a student's answer as it is counted: its label, of a number the nearest point, or the text as spelled."""
    if not of.has_labels:
        return of.spelled(answer)
    return of.cell_label(answer, labels) or answer


def _observations(
    rows: Sequence[Row], feed: entities.Feed, student: Path, known: Scored, options: Mapping[str, int], of: Definition
) -> list[entities.Observation]:
    given = outputs(student, [row.input for row in rows], **options)
    away = (given.embeddings - np.array(known.centre)) / np.array(known.spread)
    distance = np.sqrt((away**2).mean(axis=1))
    found, scale = [], Scale.of(known.answers) if known.of_scale else None
    for at, row in enumerate(rows):
        said = _said(given.answers[at], known.answers, of)
        answer = known.probe[row.digest][1] if row.probe else said
        off = row.teacher is not None and apart(scale, answer, row.teacher)
        shown = not row.probe and off and not sealed(row.digest)
        found.append(
            tables.Observation(
                play_id=feed.play_id,
                bundle_id=feed.bundle_id,
                feed_id=feed.id or 0,
                day=row.day,
                input_digest=row.digest,
                probe=int(row.probe),
                segment=row.segment,
                answer=answer,
                teacher=row.teacher,
                asked=int(row.asked),
                uncertainty=float(1 - given.confidence[at]),
                distance=float(distance[at]),
                length=len(row.input),
                excerpt=speakable(row.input[: observe.EXCERPT]).replace("\0", "␀") if shown else "",
                gold=row.gold,
                late=row.late,
            )
        )
    return found


@dataclass(frozen=True)
class Replayed:
    """The watch with this feed in it, before it is recorded."""

    plan: observe.Plan
    watched_from: int
    monitor: observe.Monitor
    rows: tuple[entities.Observation, ...]


def _replayed(
    project: Project,
    dossier: PlayDossier,
    *,
    feed: entities.Feed,
    reference: str,
    known: Scored,
    observations: Sequence[entities.Observation],
) -> Replayed:
    start = dossier.watched_from
    bundle = next(each for each in dossier.bundles if each.id == feed.bundle_id)
    begun = [w for w in dossier.watches if w.bundle_id == feed.bundle_id and w.feed_id > start]
    plan = history.plan_of(begun[0]) if begun else history.new_plan(project, dossier, bundle, reference)
    feeds = [each for each in dossier.feeds if each.bundle_id == feed.bundle_id and each.id != feed.id]
    with project.view() as connection:
        earlier = history.read_feeds(connection, feeds, start)
    monitor = observe.replay(plan, known, earlier)
    if begun:
        trouble = history.state_trouble(monitor, begun[-1])
        if trouble:
            raise ProjectError(trouble)
    observe.feed(monitor, feed.received_at, observations)
    rows = (*(row for _, each in earlier for row in each), *observations)
    return Replayed(plan, start, monitor, rows)


def _drift(claimed: Claim, dossier: PlayDossier, data: Path, feed: entities.Feed, replayed: Replayed) -> Drift | None:
    since = observe_drift.onset(replayed.monitor.findings())
    if not since:
        return None
    watched = [f for f in dossier.feeds if f.bundle_id == feed.bundle_id and f.id > replayed.watched_from]
    files = {claimed.project.artifacts.path(each.artifact): each.received_at for each in watched}
    return observe_drift.measured(dossier.play.task, since, replayed.rows, files, data, scale_of(dossier.play))


def _record(
    claimed: Claim,
    feed: entities.Feed,
    replayed: Replayed,
    replay: Callable[[PlayDossier], Replayed],
    drift: Drift | None,
    observations: Sequence[entities.Observation],
    named: LabelMap,
    left_out: Mapping[str, int],
    of: Definition,
    contradictions: str,
) -> None:
    said = [each.teacher for each in observations if named.labels and each.teacher is not None]
    outside = Counter(answer for answer in said if of.label_of(named, answer) is None)

    spelled = Spelled(named.labels)
    like = {answer: found for answer in outside if (found := spelled.like(of.names_in(answer)))}

    def edit(change: Change, row: entities.Run) -> None:
        change.session.add_all(observations)
        change.session.flush()
        same = change.dossier.watched_from == replayed.watched_from  # else an alarm was answered meanwhile
        watch = _watch(feed, replayed if same else replay(change.dossier), change.at)
        change.session.add(watch)
        labelled = sum(each.teacher is not None for each in observations)
        asked = sum(each.asked for each in observations)
        result = ObserveResult(
            rows=len(observations),
            labelled=labelled,
            asked=asked,
            standing=watch.standing,
            outside=dict(outside.most_common(MOST_OUTSIDE)),
            outside_rows=outside.total(),
            spelled={answer: like[answer] for answer, _ in outside.most_common(MOST_OUTSIDE) if answer in like},
            spelled_rows=sum(outside[answer] for answer in like),
            late=sum(each.late > 0 for each in observations),
            people=sum(each.gold is not None for each in observations),
            drift=drift,
            contradictions=contradictions,
            **left_out,
        )
        row.result, row.message = encode(result), watch.standing.value
        row.step = row.total = 3
        row.artifact = row.artifact or None
        change.detail |= {"feed": feed.id, **vars(result), "drift": drift.line if drift else ""}
        change.detail["state"] = digest_of(watch.state)

    claimed.end(Action.RECORD_OBSERVATIONS, RunStatus.FINISHED, edit)


def _watch(feed: entities.Feed, replayed: Replayed, at: str) -> entities.Watch:
    monitor = replayed.monitor
    return tables.Watch(
        feed_id=feed.id or 0,
        play_id=feed.play_id,
        bundle_id=feed.bundle_id,
        standing=monitor.standing,
        plan=replayed.plan.to_json(),
        state=encode(monitor.state()),
        findings=json.dumps([vars(each) | {"sentence": each.sentence} for each in monitor.findings()]),
        recorded_at=at,
    )
