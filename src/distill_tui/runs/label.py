"""What a labelling worker does: ask the teacher for labels of the traffic, or for variations of rows that failed.

It asks for what is not in the cache.
"""

from __future__ import annotations

import time
from decimal import Decimal

from distill_tui import tasks
from distill_tui.dataset.counted import Names
from distill_tui.dataset.traffic import distinct_inputs, rows_in
from distill_tui.digests import EVERY_ROW
from distill_tui.digests import parts as parts_of
from distill_tui.rounds import teacher_calls, variations
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import NO_NAMES, LabelResult, VariationResult, VariationsSpec
from distill_tui.runs import label_batch
from distill_tui.runs.ask import add_names, ask, cut_of
from distill_tui.runs.claim import Claim, Work
from distill_tui.store.json_columns import stored
from distill_tui.teachers import cache
from distill_tui.teachers.description import Described
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource

AT_ONCE = 200_000  # rows of traffic whose inputs, tokens and answers are in memory at once


def run(claimed: Claim, dossier: PlayDossier) -> None:
    wanted, spec = teacher_calls.ask_of(claimed.run), stored(claimed.run.spec, f"the spec of run {claimed.id}")
    if "results" in spec:
        taken = label_batch.take(claimed, dossier, spec)
        claimed.finish(taken, taken.new, None)
        return
    result = vary(claimed, dossier, wanted) if wanted else label(claimed, dossier)
    claimed.finish(result, result.new, None)


def vary(claimed: Claim, dossier: PlayDossier, wanted: VariationsSpec) -> VariationResult:
    """Have the teacher write variations; the new ones wait to be taken in."""
    project = claimed.project
    folder, name, started = project.artifacts.folder, wanted.writer, time.monotonic()
    sources = variations.sources(project, dossier, wanted.rows, wanted.numbers)
    known = cache.answered(folder, name)
    todo = [(source.digest, source.input) for source in sources if source.digest not in known]
    claimed.report(0, len(todo), f"{len(sources) - len(todo):,} rows were varied before", always=True)
    retries, money = _ask(claimed, dossier, name, todo)
    written, left = variations.sift(project, dossier, sources, cache.said(folder, name), wanted.each)
    kept = project.artifacts.store_bytes(variations.lines(written).encode())
    return VariationResult(
        rows=len(sources),
        new=len(todo),
        cached=len(sources) - len(todo),
        written=kept,
        variations=len(written),
        left_out=left,
        seconds=round(time.monotonic() - started, 1),
        teacher=dossier.play.teacher_digest,
        retries=retries,
        money=money,
    )


def label(claimed: Work, dossier: PlayDossier) -> LabelResult:
    """Ask the play's teacher for every input that it has not answered yet, in parts that fit the memory."""
    artifacts, play, started = claimed.project.artifacts, dossier.play, time.monotonic()
    files = [traffic.artifact for traffic in dossier.traffic]
    paths = [artifacts.path(artifact) for artifact in files]
    of_labels, names = tasks.of(play.task).has_labels, Names(tasks.of(play.task).several)
    rows = new = 0
    retries, money, cut = None, None, None
    all_rows = rows_in(paths)
    parts = parts_of(all_rows, AT_ONCE) if play.teacher_source is not TeacherSource.ENDPOINT else [EVERY_ROW]
    for part in parts:
        inputs = distinct_inputs(paths, part)
        known = cache.answered(artifacts.folder, play.teacher_digest, part)
        todo = [(digest, text) for digest, text in inputs.items() if digest not in known]
        of = len(todo) if len(parts) == 1 else all_rows
        claimed.report(rows, of, f"{len(inputs) - len(todo):,} inputs were answered before", always=True)
        retries, money = _ask(claimed, dossier, play.teacher_digest, todo, rows, of)
        rows, new = rows + len(inputs), new + len(todo)
        if of_labels:
            add_names(names, artifacts, play, inputs.keys(), part)
        found = cut_of(artifacts, play, list(inputs.values()))
        cut = found if cut is None or found is None else cut + found
    described = None
    if play.teacher_source is not TeacherSource.LOCAL:
        described = Described.from_json(artifacts.text(play.teacher_digest))
    reads = described is not None and (described.writes or play.teacher_source is TeacherSource.ENDPOINT)
    return LabelResult(
        rows=rows,
        new=new,
        cached=rows - new,
        seconds=round(time.monotonic() - started, 1),
        teacher=play.teacher_digest,
        traffic=tuple(files),
        retries=retries,
        money=money,
        unread=cache.ledger(artifacts.folder, play.teacher_digest).unread if reads else None,
        names=names.vocabulary() if of_labels else NO_NAMES,
        models=cache.models(artifacts.folder, play.teacher_digest),
        cut=cut,
    )


def _ask(
    claimed: Work, dossier: PlayDossier, teacher: str, todo: list[tuple[str, str]], rows: int = 0, of: int | None = None
) -> tuple[int | None, Decimal | None]:
    """Ask, and return an endpoint's retries and cost; labels and variations count against one budget."""
    source, folder = dossier.play.teacher_source, claimed.project.artifacts.folder
    if source is not TeacherSource.ENDPOINT:
        ask(claimed, source, teacher, todo, before=rows, of=of)
        return None, None
    limits = Limits.read(stored(claimed.run.spec, f"the spec of run {claimed.id}"))
    before = teacher_calls.paid(folder, dossier, teacher).money
    retries = ask(claimed, source, teacher, todo, limits=limits, spent=before)
    return retries, teacher_calls.paid(folder, dossier, teacher).money - before
