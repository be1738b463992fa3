"""Variations that the teacher writes of rows on which the last student failed: requested, filtered, shown, imported.

Varied are rows of the validation split, or open rows that the driver names; the teacher never sees a held-out row. What
it writes is untrusted until the driver has read it: duplicates and near duplicates of the data set, and texts with
words of held-out rows, are left out and counted. A varied row and its variations are training rows from then on.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.duplicates import near_duplicates
from distill_tui.dataset.row_identity import input_digest
from distill_tui.rounds import requests, teacher_calls, weights
from distill_tui.rounds.weights import cell
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import VariationResult
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import Described
from distill_tui.terms import RunStatus, Split
from distill_tui.text import pair_of

TEMPLATE = (
    "Write {count} new texts that say what the text below says, in other words, as other people would write it. They "
    "must deserve the same answer. One text on each line, without numbers, and nothing else.\n\n{input}"
)
MOST_EACH = 20  # variations of one row
TOKENS_EACH = 160  # of an answer, for one variation
QUARTER = 4  # at most one in so many validation rows is varied; the others stay in validation
RUN = 8  # consecutive words that a held-out row has too: the teacher knows that row
LONG = 16  # characters of a word that only held-out rows have, such as an id or a planted word

_NUMBERED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+")


@dataclass(frozen=True)
class Source:
    """An open row to vary."""

    row: int
    digest: str
    input: str
    segment: str
    cell: str


@dataclass(frozen=True)
class Written:
    """One variation that may be imported, and the row that it varies."""

    input: str
    like_row: int
    like_digest: str
    segment: str
    cell: str


@dataclass(frozen=True)
class Waiting:
    """The variations of a run that are not imported yet."""

    run: int
    written: tuple[Written, ...]
    left_out: Mapping[str, int]
    weights: Mapping[str, float]  # cell → factor of its training rows in the next build


def writer(artifacts: Artifacts, play: entities.Play, each: int) -> Described:
    """Describe the play's teacher as a writer: the same model with another template, so another cache key."""
    if not play.teacher_source.can_write:
        raise ProjectError("A classifier cannot write. Use an endpoint or a causal model (--prompted).")
    if not 1 <= each <= MOST_EACH:
        raise ProjectError(f"Ask for 1 to {MOST_EACH} variations of a row.")
    teacher = Described.from_json(artifacts.text(play.teacher_digest))
    if teacher.api:
        raise ProjectError("A typed-decision API cannot write. Use an endpoint that chats, or a causal model.")
    words = TEMPLATE.replace("{count}", str(each))
    return dataclasses.replace(teacher, template=words, max_tokens=TOKENS_EACH * each, completes=False)


def sealed(project: Project, dossier: PlayDossier, numbers: Sequence[int]) -> list[int]:
    """Return which of these rows of the last frozen data set are held out."""
    splits = {row["row"]: row["split"] for row in _rows(project, dossier)} if numbers else {}
    return [number for number in numbers if splits.get(number) == Split.HELD_OUT]


def sources(project: Project, dossier: PlayDossier, rows: int, numbers: Sequence[int]) -> list[Source]:
    """Choose the rows to vary: those with the given numbers, or validation rows on which the last student fails.

    Of these only rows on which the teacher is right by gold, or it would teach its mistakes. Raises ProjectError.
    """
    chosen = _chosen(project, dossier, rows, numbers)
    if any(pair_of(each.input) for each in chosen):
        raise ProjectError(
            "The inputs are pairs, and a teacher writes single texts. Label or import more rows instead."
        )
    return chosen


def _chosen(project: Project, dossier: PlayDossier, rows: int, numbers: Sequence[int]) -> list[Source]:
    if numbers:
        wanted = set(numbers)
        task, labels = tasks.of(dossier.play.task), json.loads(_frozen(dossier).labels)
        open_rows = (row for row in _rows(project, dossier) if row["row"] in wanted and row["split"] != Split.HELD_OUT)
        return [
            Source(r["row"], r["input_digest"], r["input"], r["segment"],
                   cell(r["segment"], task.cell_label(r["gold"] or r["teacher_output"], labels)))
            for r in open_rows
        ]  # fmt: skip
    failed, data = requests.failures(project, dossier)
    most = max(1, len(frozen.load(data, Split.VALIDATION)) // QUARTER)
    chosen = sorted((each for each in failed if each.teacher_right), key=lambda each: each.digest)[: min(rows, most)]
    if not chosen:
        raise ProjectError("Where the last student fails, the teacher is wrong too. Label gold there instead.")
    return [Source(each.row, each.digest, each.input, each.segment, each.cell) for each in chosen]


def _rows(project: Project, dossier: PlayDossier) -> Iterator[dict[str, Any]]:
    yield from frozen.stored(project.artifacts.path(_frozen(dossier).artifact))


def _frozen(dossier: PlayDossier) -> entities.DataSet:
    data = next((d for d in reversed(dossier.data_sets) if d.frozen_at), None)
    if data is None:
        raise ProjectError("No data set is frozen yet, so there is no row to vary. Freeze one first.")
    return data


def sift(
    project: Project, dossier: PlayDossier, chosen: Sequence[Source], answers: Mapping[str, str], each: int
) -> tuple[list[Written], dict[str, int]]:
    """Read the variations out of the answers; returns the new ones, and why the others were left out."""
    made = [
        Written(t, s.row, s.digest, s.segment, s.cell) for s in chosen for t in texts(answers.get(s.digest, ""), each)
    ]
    rows = list(_rows(project, dossier))
    known = {row["input_digest"] for row in rows}
    held_out = [row["input"] for row in rows if row["split"] == Split.HELD_OUT]
    foreign = _foreign(held_out, [row["input"] for row in rows if row["split"] != Split.HELD_OUT])
    clusters = near_duplicates([*(row["input"] for row in rows), *(one.input for one in made)])
    secret = {clusters[at] for at, row in enumerate(rows) if row["split"] == Split.HELD_OUT}
    taken = set(clusters[: len(rows)])
    own = {source.digest: source.input for source in chosen}
    left: Counter[str] = Counter()
    kept = []
    for one, cluster in zip(made, clusters[len(rows) :], strict=True):
        if cluster in secret or _marks(one.input) & foreign - _marks(own[one.like_digest]):
            left["held-out"] += 1
        elif input_digest(one.input) in known:
            left["same"] += 1
        elif cluster in taken:
            left["near"] += 1
        else:
            kept.append(one)
            taken.add(cluster)
    return kept, dict(left)


def texts(answer: str, each: int) -> list[str]:
    """Split an answer into variations: one per line, without the numbers and quotes that models add."""
    lines = (_NUMBERED.sub("", line).strip().strip("\"'“”").strip() for line in answer.splitlines())
    return [line for line in lines if line][:each]


def _marks(text: str) -> frozenset[str]:
    """Return what identifies a text: every run of eight words, and its long words."""
    words = text.casefold().split()
    runs = (" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1))
    return frozenset([*runs, *(word for word in words if len(word) >= LONG)])


def _foreign(held_out: Sequence[str], others: Sequence[str]) -> frozenset[str]:
    """Return the marks that only held-out rows have."""
    found = {mark for text in held_out for mark in _marks(text)}
    for text in others:
        found -= _marks(text)
    return frozenset(found)


# --- variations that are not imported yet


def waiting(project: Project, dossier: PlayDossier, run_id: int | None = None) -> Waiting:
    """Return the variations of a run, else of the newest in this round. Raises ProjectError."""
    play = dossier.play
    gone = {held.run for held in map(teacher_calls.taken, dossier.traffic) if held is not None}
    done = [
        r for r in dossier.runs if teacher_calls.ask_of(r) and r.status is RunStatus.FINISHED and r.round == play.round
    ]
    run = next((r for r in reversed(done) if r.id not in gone and run_id in (None, r.id)), None)
    if run is None or run.id is None:
        raise ProjectError("No variations to import. Request some with `data vary`.")
    result = result_of(VariationResult, run)
    lines = project.artifacts.path(result.written).read_text(encoding="utf-8").splitlines()
    written = tuple(Written(**json.loads(line)) for line in lines)
    factors = weights.cell_factors(weights.failures_of(dossier))
    return Waiting(run.id, written, result.left_out, factors)


def lines(written: Sequence[Written]) -> str:
    """Format variations as JSONL."""
    return "".join(json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in written)


def rows(project: Project, dossier: PlayDossier, written: Sequence[Written]) -> Iterator[str]:
    """Format variations as traffic: without gold and output, with the time of the varied row, one group for each."""
    times = _times(project, dossier, {one.like_digest for one in written})
    for one in written:
        group = f"variation of {one.like_digest[:12]}"
        row = {"input": one.input, "segment": one.segment, "group": group, "time": times.get(one.like_digest)}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _times(project: Project, dossier: PlayDossier, wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    files = [project.artifacts.path(each.artifact) for each in dossier.traffic]
    for row in traffic.rows(files, ("input_digest", "time")):
        digest, time = row["input_digest"], row["time"]
        if digest in wanted and time is not None:
            found[digest] = min(time, found.get(digest, time))
    return found
