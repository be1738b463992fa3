"""What a worker does with a feed: student and teacher answer it, the teacher as far as the budget goes.

All observations of a feed are recorded in one transaction, or none: a worker that dies is resumed, and what the
teacher answered by then is in its cache. Runs in workers only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui.dataset import frozen, traffic
from distill_tui.digests import digest_of, sorted_json
from distill_tui.monitor import history
from distill_tui.monitor import plan as observe
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import ObserveResult, encode
from distill_tui.runs import observe_teacher
from distill_tui.runs.claim import Claim
from distill_tui.runs.observe_teacher import Row
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import stored
from distill_tui.store.project import ProjectError
from distill_tui.store.sessions import driver
from distill_tui.tasks import answer_text
from distill_tui.terms import Action, RunStatus, Split, TeacherSource
from distill_tui.training.models import speakable
from distill_tui.training.predict import outputs

CENTRE_ROWS, CALIBRATION = 2_000, 1_000  # training rows that make the centre, held-out scores that are kept


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Observe one feed, and record what was seen and how the student stands."""
    project = claimed.project
    feed_id = stored(claimed.run.spec, f"the spec of run {claimed.id}").get("feed")
    feed = next((each for each in dossier.feeds if each.id == feed_id), None)
    if feed is None:
        raise ProjectError(f"The spec of run {claimed.id} names no feed that is here; restore a backup.")
    bundle = next(each for each in dossier.bundles if each.id == feed.bundle_id)
    judged = next(e for e in dossier.evaluations if e.round == bundle.round and not e.reproduced)
    data = next(each for each in dossier.data_sets if each.round == bundle.round)
    trained = dossier.run(judged.run_id)
    assert trained is not None and trained.artifact is not None
    for digest in (feed.artifact, trained.artifact, data.artifact):
        trouble = project.artifacts.trouble(digest)
        if trouble:
            raise ValueError(trouble)
    spec, student = Spec.from_json(trained.spec), project.artifacts.path(trained.artifact)
    options = {"threads": spec.threads, "max_tokens": spec.max_tokens}
    path = project.artifacts.path(data.artifact)
    claimed.report(0, 3, "the scores at the gate", always=True)
    watches = [watch for watch in dossier.watches if watch.bundle_id == bundle.id]
    reference = history.plan_of(watches[-1]).reference if watches else ""
    reference = reference or _reference(project.artifacts, path, student, options)
    known = history.read_reference(project.artifacts, reference)
    rows = _read(project.artifacts.path(feed.artifact), feed.received_at[:10], known["probe"], frozen.labels_of(path))
    with project.view() as connection:
        seen = _observed(connection, feed)
        asked = _asked_by_month(connection, feed.play_id)
        room = observe_teacher.room(connection, project.artifacts, dossier, feed)
    rows = [row for row in rows if (row.day, row.digest, row.probe) not in seen]
    claimed.report(1, 3, f"{len(rows):,} rows that were not observed before", always=True)
    rows = _with_teacher(claimed, dossier, rows, asked, room, known, seen)
    claimed.report(2, 3, f"the live student answers {len(rows):,} rows", always=True)
    observations = _observations(rows, feed, student, known, options)
    _record(claimed, feed, reference, known, observations)


# --- the scores at the gate ------------------------------------------------------------------------------------------


def _reference(artifacts: Artifacts, data: Path, student: Path, options: Mapping[str, int]) -> str:
    """Score the held-out rows as the gate saw them: numbers only, and never what makes a number a row.

    A row that came often in the traffic counts as often. The probe is of training rows, which everyone may see.
    """
    training, held_out = frozen.load(data, Split.TRAIN), frozen.load(data, Split.HELD_OUT)
    chosen = sorted(range(len(training)), key=lambda row: observe.order("", training.digests[row]))
    embeddings = outputs(student, [training.inputs[row] for row in chosen[:CENTRE_ROWS]], **options).embeddings
    centre, spread = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
    found = outputs(student, held_out.inputs, **options)
    distance = np.sqrt((((found.embeddings - centre) / spread) ** 2).mean(axis=1))
    often = np.repeat(np.arange(len(held_out)), np.maximum(1, held_out.weights.round().astype(int)))
    kept = sorted(range(len(often)), key=lambda at: observe.order(str(at), held_out.digests[often[at]]))[:CALIBRATION]
    rows = [int(often[at]) for at in kept]
    taught = [_answer(text, training.labels) for text in training.teacher_texts]
    probed = [row for row in chosen if taught[row] is not None][: observe.PROBE_ROWS]
    value = {
        "uncertainty": [float(1 - found.confidence[row]) for row in rows],
        "distance": [float(distance[row]) for row in rows],
        "length": [len(held_out.inputs[row]) for row in rows],
        "labels": Counter(found.answers[row] for row in rows if held_out.labels),
        "segments": Counter(held_out.segments[row] for row in rows),
        "centre": [float(x) for x in centre],
        "spread": [float(x) for x in spread],
        "probe": {training.digests[row]: [training.inputs[row], taught[row]] for row in probed},
    }
    return artifacts.store_bytes(sorted_json(value).encode())


# --- the rows of a feed ----------------------------------------------------------------------------------------------


def _read(path: Path, received: str, probe: Mapping[str, Any], labels: Sequence[str]) -> list[Row]:
    """Read a feed, each input of a day once; a row without a time is of the day on which the feed was received."""
    found: dict[tuple[str, str], Row] = {}
    for each in traffic.rows([path]):
        day = (each["time"] or received)[:10]
        key = (day, each["input_digest"])
        teacher = _label(each, labels)
        if key not in found or (found[key].teacher is None and teacher is not None):
            is_probe = each["input_digest"] in probe and teacher is not None
            found[key] = Row(*key, each["input"], each["segment"] or "all", teacher, is_probe)
    return sorted(found.values(), key=lambda row: (row.day, observe.order(row.day, row.digest)))


def _answer(text: str | None, labels: Sequence[str]) -> str | None:
    """Return an answer as it is compared: one of the labels, or where there are none the text as it is spelled."""
    if text is None or labels:
        return text if text in labels else None
    return answer_text.spelled(text)


def _label(row: Mapping[str, Any], labels: Sequence[str]) -> str | None:
    """Return the teacher's answer, a label or a text; without one, the label with the largest probability."""
    answer = _answer(row["teacher_output"], labels)
    if answer is not None or row["teacher_probabilities"] is None or not labels:
        return answer
    shares = json.loads(row["teacher_probabilities"])
    if not isinstance(shares, dict):
        shares = dict(zip(labels, shares, strict=True)) if len(shares) == len(labels) else {}
    best = max(shares, key=lambda label: shares[label], default=None)
    return best if best in labels else None


def _observed(connection: Any, feed: entities.Feed) -> set[tuple[str, str, bool]]:
    query = "SELECT day, input_digest, probe FROM observation WHERE bundle_id = ?"
    return {(day, digest, bool(probe)) for day, digest, probe in connection.execute(query, (feed.bundle_id,))}


def _asked_by_month(connection: Any, play_id: int) -> Counter[str]:
    query = "SELECT substr(day, 1, 7), count(*) FROM observation WHERE play_id = ? AND asked = 1 GROUP BY 1"
    return Counter(dict(connection.execute(query, (play_id,)).fetchall()))


# --- the teacher -----------------------------------------------------------------------------------------------------


def _with_teacher(
    claimed: Claim,
    dossier: PlayDossier,
    rows: list[Row],
    asked: Counter[str],
    room: int,
    known: Mapping[str, Any],
    seen: set[tuple[str, str, bool]],
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
        if row.teacher is not None:
            chosen.append(row)
        elif asks and room > 0 and (row.probe or observe.allowance(budget, row.day, asked[row.day[:7]])):
            chosen.append(replace(row, asked=True))
            asked[row.day[:7]] += 1
            room -= 1
        elif watched[row.day] < observe.WATCHED:
            chosen.append(row)
            watched[row.day] += 1
    to_ask = [row for row in chosen if row.asked]
    said = observe_teacher.ask(claimed, dossier, to_ask) if to_ask else {}
    return [replace(row, teacher=said[row.digest]) if row.asked else row for row in chosen]


def _probe_again(rows: Sequence[Row], known: Mapping[str, Any], seen: set[tuple[str, str, bool]]) -> list[Row]:
    """Return the rows of the probe, once in four weeks."""
    if not rows:
        return []
    day = rows[-1].day
    before = max((probed for probed, _, probe in seen if probe), default="")
    if before and (date.fromisoformat(day) - date.fromisoformat(before)).days < observe.PROBE_DAYS:
        return []
    probe = [Row(day, digest, text, "", None, probe=True) for digest, (text, _) in sorted(known["probe"].items())]
    return [row for row in probe if (row.day, row.digest, True) not in seen]


# --- the student, and the record -------------------------------------------------------------------------------------


def _observations(
    rows: Sequence[Row], feed: entities.Feed, student: Path, known: Mapping[str, Any], options: Mapping[str, int]
) -> list[entities.Observation]:
    given = outputs(student, [row.input for row in rows], **options)
    away = (given.embeddings - np.array(known["centre"])) / np.array(known["spread"])
    distance = np.sqrt((away**2).mean(axis=1))
    found = []
    for at, row in enumerate(rows):
        answer = known["probe"][row.digest][1] if row.probe else given.answers[at]
        shown = not row.probe and row.teacher not in (None, answer) and not traffic.sealed(row.digest)
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
            )
        )
    return found


def _record(
    claimed: Claim,
    feed: entities.Feed,
    reference: str,
    known: Mapping[str, Any],
    observations: Sequence[entities.Observation],
) -> None:
    def edit(change: Any, row: entities.Run) -> None:
        change.session.add_all(observations)
        change.session.flush()
        watch = _watched(claimed, change, feed, reference, known)
        change.session.add(watch)
        labelled = sum(each.teacher is not None for each in observations)
        asked = sum(each.asked for each in observations)
        result = ObserveResult(rows=len(observations), labelled=labelled, asked=asked, standing=watch.standing)
        row.result, row.message = encode(result), watch.standing.value
        row.step = row.total = 3
        row.artifact = row.artifact or None
        change.detail |= {"feed": feed.id, **vars(result)}
        change.detail["state"] = digest_of(watch.state)

    claimed.end(Action.RECORD_OBSERVATIONS, RunStatus.FINISHED, edit)


def _watched(
    claimed: Claim, change: Any, feed: entities.Feed, reference: str, known: Mapping[str, Any]
) -> entities.Watch:
    dossier: PlayDossier = change.dossier
    bundle = next(each for each in dossier.bundles if each.id == feed.bundle_id)
    begun = [w for w in dossier.watches if w.bundle_id == feed.bundle_id and w.feed_id > dossier.watched_from]
    plan = history.plan_of(begun[0]) if begun else history.new_plan(claimed.project, dossier, bundle, reference)
    feeds = [each for each in dossier.feeds if each.bundle_id == feed.bundle_id]
    monitor = observe.replay(plan, known, history.read_feeds(driver(change.session), feeds, dossier.watched_from))
    return tables.Watch(
        feed_id=feed.id or 0,
        play_id=feed.play_id,
        bundle_id=feed.bundle_id,
        standing=monitor.standing,
        plan=plan.to_json(),
        state=sorted_json(monitor.state()),
        findings=json.dumps([vars(each) | {"sentence": each.sentence} for each in monitor.findings()]),
        recorded_at=change.at,
    )
