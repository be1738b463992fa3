"""What drifted since the onset: pairs of answers, segments, and the terms of open rows. Runs in workers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log, sqrt
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.words import distinctive
from distill_tui.gates.scale import Scale, apart
from distill_tui.monitor import plan
from distill_tui.rules import entities
from distill_tui.rules.drifted import Drift, Moved, Pair
from distill_tui.terms import Split, Task

PAIRS, SEGMENTS, TERMS = 3, 3, 3  # that are shown
FEW = 50  # rows before the onset under which training rows stand for them
SEEN, SURE = 5, 2.0  # rows that a term must be in; standard errors that its share must have moved
LONGEST = 30  # characters of a term
TRAINING = 2_000  # training rows at most


def onset(findings: Sequence[plan.Divergence]) -> str:
    """Return the day on which the disagreement began, else that on which the inputs did; empty where nothing did."""
    for what in (plan.DISAGREEMENT, plan.INPUTS):
        days = [each.since for each in findings if each.what == what]
        if days:
            return min(days)
    return ""


def measured(
    task: Task,
    since: str,
    observed: Sequence[entities.Observation],
    files: Mapping[Path, str],
    data: Path,
    scale: Scale | None = None,
) -> Drift:
    """Compare what was observed since a day with before; `files` are the feeds, and when each came in."""
    label = tasks.of(task).cell_label
    rows, pairs = Counter[tuple[bool, str]](), (Counter[tuple[str, str]](), Counter[tuple[str, str]]())
    differ = Counter[tuple[bool, str]]()
    for row in observed:
        if row.probe or row.teacher is None:
            continue
        late = row.day >= since
        for name in ("", row.segment):
            rows[late, name] += 1
            differ[late, name] += apart(scale, row.answer, row.teacher)
        if apart(scale, row.answer, row.teacher):
            pairs[late][label(row.answer) or row.answer, label(row.teacher) or row.teacher] += 1
    rose, fell = _terms(since, {(row.day, row.input_digest) for row in observed if not row.probe}, files, data)
    return Drift(
        since=since,
        rows=rows[True, ""],
        differ=differ[True, ""],
        rows_before=rows[False, ""],
        differ_before=differ[False, ""],
        pairs=tuple(_pairs(pairs[1], pairs[0], rows[True, ""], rows[False, ""])),
        segments=tuple(_segments(rows, differ)),
        rose=rose,
        fell=fell,
    )


def _pairs(
    now: Counter[tuple[str, str]], before: Counter[tuple[str, str]], rows: int, rows_before: int
) -> Iterator[Pair]:
    """Yield the pairs that rose most over what was usual before."""
    usual = {pair: before[pair] * rows / max(1, rows_before) for pair in now}
    for pair in sorted(now, key=lambda pair: (usual[pair] - now[pair], pair))[:PAIRS]:
        if now[pair] > usual[pair]:
            yield Pair(*pair, now[pair], before[pair])


def _segments(rows: Counter[tuple[bool, str]], differ: Counter[tuple[bool, str]]) -> Iterator[Moved]:
    """Yield the segments with most differing rows more than were usual."""
    found = []
    for late, name in rows:
        if not late or not name:
            continue
        before = differ[False, name] / rows[False, name] if rows[False, name] else None
        more = differ[True, name] - (before or 0.0) * rows[True, name]
        if more > 0:
            found.append((-more, Moved(name, before, differ[True, name] / rows[True, name])))
    if len({name for _, name in rows} - {""}) > 1:
        yield from (moved for _, moved in sorted(found, key=lambda each: (each[0], each[1].name))[:SEGMENTS])


# --- terms -----------------------------------------------------------------------------------------------------------


def _terms(
    since: str, observed: set[tuple[str, str]], files: Mapping[Path, str], data: Path
) -> tuple[tuple[Moved, ...], tuple[Moved, ...]]:
    """Return the terms whose share of open rows rose and fell most, in standard errors of the log odds."""
    texts: tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]] = ({}, {})
    for path, received in files.items():
        for row in traffic.rows([path], ("input", "input_digest", "time")):
            key = ((row["time"] or received)[:10], row["input_digest"])
            if key in observed and not traffic.sealed(row["input_digest"]):
                texts[key[0] >= since][key] = row["input"]
    before: Iterable[str] = texts[0].values()
    if len(texts[0]) < FEW:
        before = frozen.load(data, Split.TRAIN).inputs[:TRAINING]
    (n0, old), (n1, new) = _counted(before), _counted(texts[1].values())
    if not n0 or not n1:
        return (), ()
    scores = {}
    for term in old.keys() | new.keys():
        if max(old[term], new[term]) >= SEEN:
            a, b = (new[term] + 0.5) / (n1 + 1), (old[term] + 0.5) / (n0 + 1)
            error = sqrt(1 / (new[term] + 0.5) + 1 / (old[term] + 0.5))
            scores[term] = (log(a / (1 - a)) - log(b / (1 - b))) / error
    ranked = sorted(scores, key=lambda term: (-scores[term], term))
    rose = [term for term in ranked[:TERMS] if scores[term] > SURE]
    fell = [term for term in ranked[::-1][:TERMS] if scores[term] < -SURE]
    shares = {term: Moved(term, old[term] / n0, new[term] / n1) for term in (*rose, *fell)}
    return tuple(shares[term] for term in rose), tuple(shares[term] for term in fell)


def _counted(texts: Iterable[str]) -> tuple[int, Counter[str]]:
    rows, found = 0, Counter[str]()
    for text in texts:
        rows += 1
        found.update({term[:LONGEST] for term in distinctive(text)})
    return rows, found
