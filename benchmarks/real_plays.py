"""Verdicts on real data whose truth is known: wrong ships, wrong kills, right ships; and the same student again.

    python benchmarks/real_plays.py CACHE [--plays 40] [--splits 50] [--kept build/real_plays.jsonl]

Each play draws documents of vader_rated (fetched once into CACHE, see sample_projects/feedback_sentiment) for a
teacher, for training and for validation. The teacher is TF-IDF with logistic regression or an n-gram student, trained
on people's labels; the student, n-grams or static vectors, learns from the teacher. All other rows are the reserve: on
them the truth is known. From the reserve held-out splits of whole documents are drawn and judged by the gate.

The bar is put exactly where the truth is (`+0`), so that a ship there is wrong, and a kill too: both should be at most
5%. With the bar 5 points easier (`+0.05`) a ship is right, with the bar 5 points harder (`-0.05`) a kill is.

The same student again: with another seed, judged as a lead over the first (margin 0), and in its place by the bar that
is 5 points easier: how often does the verdict differ? Results of a play are kept, so that a run continues.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import shared

# isort: split
import fetch
import numpy as np

from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates import aside, judging
from distill_tui.gates.deferred import chosen
from distill_tui.gates.gate import ALL, Criterion, Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.spec import Spec
from distill_tui.tasks import row_scores
from distill_tui.terms import Control, Metric, Reference, Verdict
from distill_tui.training import baseline, predict
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.ladder import Climb

TEACHER, TRAINING, VALIDATION, HELD_OUT = 4_000, 1_500, 600, 400
EASIER = Decimal("0.05")
DEFERRED = Decimal("0.2")
SPEC = {"hidden": 64, "epochs": 6, "controls": "", "threads": 1}
Rows = list[dict[str, Any]]
Counts = dict[str, dict[str, int]]
Plays = list[dict[str, Any]]


@dataclass(frozen=True)
class Reserve:
    """The rows of a play that nothing was trained on, and what teacher and students answer."""

    rows: Rows
    documents: list[np.ndarray]  # the numbers of each document's rows
    columns: dict[str, np.ndarray]  # gold, teacher, student, again; and their scores, confidence, segment, group, key
    segments: tuple[str, ...]
    deferred_below: int


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--plays", type=int, default=40)
    parser.add_argument("--splits", type=int, default=50, help="held-out splits of a play")
    parser.add_argument("--kept", type=Path, default=shared.ROOT / "build" / "real_plays.jsonl")
    options = parser.parse_args()
    rows = [json.loads(line) for line in fetch.fetch(options.cache, print).read_text(encoding="utf-8").splitlines()]
    done = continued(
        options.kept,
        options.plays,
        lambda number: judged(reserve(rows, number), np.random.default_rng(1_000 + number), options.splits),
    )
    print()
    table(done)


def continued(path: Path, plays: int, play: Callable[[int], Counts], task: str = "") -> Plays:
    """Play and keep what is missing; return the counts of all plays, so that a run continues where one ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: Plays = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = [each for each in kept if each["play"] < plays and each.get("task", "") == task]
    for number in sorted(set(range(plays)) - {each["play"] for each in done}):
        done.append({"play": number, "counts": play(number)} | ({"task": task} if task else {}))
        with path.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
        print(f"{task} play {number + 1} of {plays}".lstrip(), flush=True)
    return done


# --- a play -----------------------------------------------------------------------------------------------------------


def reserve(rows: Rows, number: int) -> Reserve:
    """Train teacher and students of a play; return what all of them answer to the rows that are left."""
    random = np.random.default_rng(number)
    for_teacher, training, validation, left = parts(rows, random, TEACHER, TRAINING, VALIDATION)
    answers = teacher(for_teacher, number)
    soft, checked = answers(training), answers(validation)
    spec = Spec.from_mapping(SPEC | {"student": ("ngram", "static")[number // 2 % 2], "seed": 7, "alpha": 0.7})
    known = LabelRows(
        tuple(fetch.LABELS),
        Examples(texts(training), np.full(len(training), -1), soft, np.ones(len(training), dtype=np.float32)),
        {Control.HARD: examples(training), Control.GOLD: examples(training)},
        Examples(texts(validation), gold(validation), checked, np.ones(len(validation), dtype=np.float32)),
        gold(validation),
        checked.argmax(axis=1),
    )
    with tempfile.TemporaryDirectory(prefix="real-plays-") as folder:
        climb = Climb(replace(spec, seeds=1), known, teacher=None, start=None, folder=Path(folder))
        for _ in climb.steps():
            pass
        other = climb.seeds[spec.seed + 1]
        first, again = (predict.predictions(arm.folder, texts(left), arm.spec) for arm in (climb.kept, other))
        sends_back = Gate((margin(Metric.ACCURACY, 0.0),), deferral=DEFERRED, held_out_rows=HELD_OUT)
        below = chosen(sends_back, record_of(validation, climb.kept.predictions, checked))
    return _reserve(left, answers(left), first, again, below)


def _reserve(left: Rows, taught: np.ndarray, first: np.ndarray, again: np.ndarray, below: int) -> Reserve:
    truth = gold(left)
    shares = {"teacher": taught, "student": first, "again": again}
    columns = {"gold": truth} | {name: each.argmax(axis=1) for name, each in shares.items()}
    columns |= {f"brier {name}": np.array(row_scores.brier(truth, each)) for name, each in shares.items()}
    columns["confidence"] = np.rint(CERTAIN * first.max(axis=1)).astype(int)
    segments = tuple(fetch.SEGMENTS)
    columns["segment"] = np.array([segments.index(row["segment"]) for row in left])
    names = {name: number for number, name in enumerate(dict.fromkeys(row["group"] or row["id"] for row in left))}
    columns["group"] = np.array([names[row["group"] or row["id"]] for row in left])
    columns["key"] = np.array([aside.key(input_digest(row["input"] + row["id"])) for row in left])
    return Reserve(left, by_document(columns["group"]), columns, segments, below)


def parts(rows: Rows, random: np.random.Generator, *wanted: int) -> list[Rows]:
    """Draw whole documents into parts of these sizes; what is left is the last part."""
    documents: dict[str, Rows] = {}
    for row in rows:
        documents.setdefault(row["group"] or row["id"], []).append(row)
    names, found = list(documents), [[]]  # type: list[str], list[Rows]
    for at in random.permutation(len(names)):
        if len(found) <= len(wanted) and len(found[-1]) >= wanted[len(found) - 1]:
            found.append([])
        found[-1] += documents[names[at]]
    return found


def teacher(rows: Rows, number: int) -> Any:
    """Return a cheap teacher of people's labels: TF-IDF with logistic regression, or n-grams."""
    if number % 2 == 0:
        answers = baseline.fit_probabilities(texts(rows), gold(rows), number, len(fetch.LABELS))
        return lambda asked: np.asarray(answers(texts(asked)), dtype=np.float32)
    spec = Spec.from_mapping(SPEC | {"student": "ngram", "seed": number, "alpha": 0.0})
    held = len(rows) // 8
    known = LabelRows(
        tuple(fetch.LABELS), examples(rows[held:]), {Control.HARD: examples(rows[held:])}, examples(rows[:held]),
        gold(rows[:held]), np.full(held, -1),
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="real-teacher-"))
    climb = Climb(spec, known, teacher=None, start=None, folder=folder)
    for _ in climb.steps():
        pass
    return lambda asked: predict.predictions(climb.kept.folder, texts(asked), climb.kept.spec)


def texts(rows: Rows) -> tuple[str, ...]:
    return tuple(row["input"] for row in rows)


def gold(rows: Rows) -> np.ndarray:
    return np.array([fetch.LABELS.index(row["gold"]) for row in rows])


def examples(rows: Rows) -> Examples:
    return Examples(texts(rows), gold(rows), None, np.ones(len(rows), dtype=np.float32))


# --- the gate ------------------------------------------------------------------------------------------------------


def record_of(rows: Rows, student: np.ndarray, taught: np.ndarray) -> Record:
    return record(_reserve(rows, taught, student, student, 0), np.arange(len(rows)))


def record(play: Reserve, chosen_: np.ndarray, student: str = "student", other: str = "teacher") -> Record:
    """Write the evaluation record of some rows of the reserve."""
    took = {name: tuple(column[chosen_].tolist()) for name, column in play.columns.items()}
    return Record(
        labels=tuple(fetch.LABELS),
        rows=tuple(range(len(chosen_))),
        gold=took["gold"],
        teacher=took["teacher"],
        student=took[student],
        baseline=took[other],  # where a lead may be asked for: no gate locks a margin below 0 against a teacher
        majority=0,
        segment=took["segment"],
        segments=play.segments,
        group=took["group"],
        confidence=took["confidence"],
        key=took["key"],
        scores={Metric.BRIER.value: {"student": took[f"brier {student}"], "baseline": took[f"brier {other}"]}},
        deferred_below=play.deferred_below,
    )


def judged(play: Reserve, random: np.random.Generator, splits: int) -> Counts:
    """Judge held-out splits of the reserve; count verdicts by row of the table."""
    counts: Counts = {}
    bars = list(_bars(play))
    for _ in range(splits):
        rows = split(play.documents, random)
        plain, flipped = record(play, rows), record(play, rows, student="again")
        for name, criterion, deferral in bars:
            for moved in (Decimal(0), EASIER, -EASIER):
                verdict = _verdict(eased(criterion, moved), plain, deferral)
                count(counts, f"{name} {moved:+}", verdict.value)
                if name == "overall" and moved == EASIER:
                    same = verdict == _verdict(eased(criterion, moved), flipped, None)
                    count(counts, "another seed: verdict", "same" if same else "differs")
        for name, one, other in (("leads", "again", "student"), ("is led", "student", "again")):
            criterion = Criterion(Metric.ACCURACY, Reference.BASELINE, margin=Decimal(0))
            verdict = _verdict(criterion, record(play, rows, student=one, other=other), None)
            count(counts, f"another seed {name}, margin 0", verdict.value)
    right = {name: play.columns[name] == play.columns["gold"] for name in ("student", "again", "teacher")}
    truth = {name: float(each.mean()) for name, each in right.items()}
    changed = float((play.columns["student"] != play.columns["again"]).mean())
    counts["truth"] = {name: round(10_000 * share) for name, share in (truth | {"changed": changed}).items()}
    return counts


def count(counts: Counts, name: str, verdict: str) -> None:
    counts.setdefault(name, {})[verdict] = counts.get(name, {}).get(verdict, 0) + 1


def split(documents: Sequence[np.ndarray], random: np.random.Generator, enough: int = HELD_OUT) -> np.ndarray:
    """Draw whole documents until there are enough rows."""
    found: list[np.ndarray] = []
    for at in random.permutation(len(documents)):
        found.append(documents[at])
        if sum(map(len, found)) >= enough:
            break
    return np.concatenate(found)


def by_document(groups: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of each document's rows."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _bars(play: Reserve) -> Iterator[tuple[str, Criterion, Decimal | None]]:
    """Yield each criterion with its bar exactly at the truth of the whole reserve, rounded to the harder side."""
    columns = play.columns
    right = {name: (columns[name] == columns["gold"]).astype(float) for name in ("student", "teacher")}
    behind = right["teacher"] - right["student"]
    yield "overall", margin(Metric.ACCURACY, behind.mean()), None
    for number, name in enumerate(play.segments):
        rows = columns["segment"] == number
        yield "segment", margin(Metric.ACCURACY, behind[rows].mean(), f"segment: {name}"), None
    floor = math.floor(10_000 * right["student"].mean() + 1) / 10_000
    yield "floor", Criterion(Metric.ACCURACY, threshold=_decimal(floor), binding=True), None
    worse = (columns["brier student"] - columns["brier teacher"]) / CERTAIN
    yield "Brier score", margin(Metric.BRIER, worse.mean()), None
    if play.deferred_below:
        answered = np.where(columns["confidence"] < play.deferred_below, right["teacher"], right["student"])
        yield "cascade", margin(Metric.ACCURACY, (right["teacher"] - answered).mean()), DEFERRED


def margin(metric: Metric, behind: float, scope: str = ALL) -> Criterion:
    harder = math.floor(10_000 * behind) / 10_000  # the student is a little further behind than the margin
    return Criterion(metric, Reference.BASELINE, scope, margin=_decimal(harder), binding=True)


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.4f}")


def eased(criterion: Criterion, easier: Decimal) -> Criterion:
    if criterion.margin is not None:
        return replace(criterion, margin=criterion.margin + easier)
    assert criterion.threshold is not None
    return replace(criterion, threshold=criterion.threshold - easier)


def _verdict(criterion: Criterion, measured: Record, deferral: Decimal | None) -> Verdict:
    return judgement(criterion, measured, deferral).verdict


def judgement(criterion: Criterion, measured: Record, deferral: Decimal | None = None) -> Judgement:
    """Judge one criterion in its one scope."""
    gate = Gate((criterion,), rounds=1, held_out_rows=HELD_OUT, deferral=deferral)
    (found,) = judging.judge(gate, measured)
    return found


# --- the table -----------------------------------------------------------------------------------------------------


def table(done: Sequence[dict[str, Any]]) -> None:
    """Print the share of each verdict, with the standard error over plays."""
    names = list(dict.fromkeys(name for play in done for name in play["counts"] if name != "truth"))
    print(f"{len(done)} plays; shares with two standard errors over plays")
    for name in names:
        plays = [play["counts"][name] for play in done if name in play["counts"]]
        total = sum(sum(each.values()) for each in plays)
        for verdict in sorted({verdict for each in plays for verdict in each}):
            shares = [each.get(verdict, 0) / sum(each.values()) for each in plays]
            error = 2 * float(np.std(shares, ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else float("nan")
            print(f"  {name:<36} {verdict:<10} {100 * np.mean(shares):5.1f}% ± {100 * error:.1f}  of {total:,}")
    for name in dict.fromkeys(name for play in done for name in play["counts"].get("truth", {})):
        values = [play["counts"]["truth"][name] / 100 for play in done]
        print(f"  {name}: {np.mean(values):.1f}% on the reserve, {min(values):.1f} to {max(values):.1f}")


if __name__ == "__main__":
    main()
