"""What a worker does that tries a teacher: ask a model about a few rows of traffic, and accept or reject it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import zip_longest

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.requests import SetTeacher
from distill_tui.rules.results import encode
from distill_tui.runs import teacher_trial
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors.cores import label_threads
from distill_tui.runs.teacher_trial import Candidate, Row
from distill_tui.store.json_columns import stored
from distill_tui.store.project import Change
from distill_tui.teachers.choice import choose
from distill_tui.teachers.description import Described
from distill_tui.terms import Action, RunStatus, Split, TeacherSource
from distill_tui.training.folders import teacher_labels

SAMPLE = 4_096  # inputs that the rows of a trial are chosen from


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Try the model that the run's spec names; it becomes the play's teacher unless something is wrong with it."""
    artifacts, spec = claimed.project.artifacts, stored(claimed.run.spec, f"the spec of run {claimed.id}")
    source, name, digest = TeacherSource(spec["source"]), str(spec["name"]), str(spec["teacher"])
    described = None if source is TeacherSource.LOCAL else Described.from_json(artifacts.text(digest))
    model = digest if described is None else described.model
    for each in {digest, model}:
        if trouble := artifacts.trouble(each):
            raise ValueError(trouble)
    claimed.report(0, 1, f"trying {name} on rows of the traffic", always=True)
    candidate = Candidate(artifacts.path(model), described, name, label_threads())
    faults, found = teacher_trial.attempt(candidate, rows_of(claimed, dossier))
    chooses = described is None or bool(described.labels)
    request = SetTeacher(source, chooses, digest, tuple(faults), claimed.fence)
    claimed.ask_first(Action.SET_TEACHER, request)

    def edit(change: Change, row: entities.Run) -> None:
        play = change.play
        labels = teacher_labels(artifacts.path(digest)) if described is None else described.labels
        change.detail |= choose(play, source, name, digest, labels)
        change.session.add(play)
        row.result, row.message, row.step, row.total = encode(found), f"{name}. {found.sentence}", 1, 1
        change.detail |= {"tried": found.sentence}

    claimed.end(Action.SET_TEACHER, RunStatus.FINISHED, edit, request)


def rows_of(claimed: Claim, dossier: PlayDossier) -> list[Row]:
    """Choose rows of the traffic in an order that tells most: each gold answer in turn, the longest and shortest first.

    Rows that are held out are left out.
    """
    artifacts = claimed.project.artifacts
    data = next((each for each in reversed(dossier.data_sets) if each.frozen_at), None)
    splits = frozen.splits_of(artifacts.path(data.artifact)) if data is not None else {}
    files = [artifacts.path(each.artifact) for each in dossier.traffic]
    sealed = {digest for digest, split in splits.items() if split is Split.HELD_OUT}
    sample = _sample(traffic.rows(files, ("input_digest", "input", "gold")), sealed)
    return in_turn(sample, by_gold=tasks.of(dossier.play.task).has_labels)


def _sample(rows: Iterable[dict[str, str | None]], sealed: Collection[str]) -> list[Row]:
    open_rows = (row for row in rows if row["input_digest"] not in sealed and str(row["input"]).strip())
    chosen = heapq.nsmallest(SAMPLE, open_rows, key=lambda row: (str(row["input_digest"]), str(row["gold"] or "~")))
    once = {row["input_digest"]: (str(row["input"]), row["gold"]) for row in reversed(chosen)}
    return [*reversed(once.values())]


def in_turn(rows: list[Row], *, by_gold: bool) -> list[Row]:
    """Put the longest and the shortest row in front, then rows with gold, one of each answer in turn, then the rest."""
    groups = defaultdict[str | None, list[Row]](list)
    for row in rows:
        groups[row[1] if by_gold else "" if row[1] is not None else None].append(row)
    without = groups.pop(None, [])
    ordered = [row for turn in zip_longest(*(groups[gold] for gold in sorted(groups, key=str))) for row in turn if row]
    ordered += without
    ends = sorted(ordered, key=lambda row: len(row[0]))
    first = list(dict.fromkeys([*ends[-1:], *ends[:1]]))
    return first + [row for row in ordered if row not in first]
