"""What a labelling worker does, for each kind of teacher: ask for what is not in the cache, and keep each answer.

It asks for labels of the traffic, or for variations of rows that the last student failed on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.dataset.traffic import distinct_inputs
from distill_tui.rounds import variations
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import LabelResult, VariationResult
from distill_tui.runs.claim import Claim
from distill_tui.store.json_columns import stored
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource

if TYPE_CHECKING:
    from distill_tui.training.models import Floats

Todo = list[tuple[str, str]]


@dataclass(frozen=True)
class Spent:
    """What asking a teacher took."""

    retries: int | None = None
    money: Decimal | None = None
    unread: int | None = None  # answers that name no label


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Label what the teacher has not answered yet, or have it write variations."""
    wanted = variations.ask_of(claimed.run)
    result = vary(claimed, dossier, wanted) if wanted else label(claimed, dossier)
    claimed.finish(result, result.new, None)


def vary(claimed: Claim, dossier: PlayDossier, wanted: Mapping[str, Any]) -> VariationResult:
    """Have the teacher write variations; the new ones wait to be taken in."""
    project, play = claimed.project, dossier.play
    folder, name, started = project.artifacts.folder, wanted["writer"], time.monotonic()
    sources = variations.sources(project, dossier, wanted["rows"], wanted["numbers"])
    known = cache.answered(folder, name)
    todo = [(source.digest, source.input) for source in sources if source.digest not in known]
    claimed.report(0, len(todo), f"{len(sources) - len(todo):,} rows were varied before", always=True)
    if play.teacher_source is TeacherSource.ENDPOINT:
        spent = _endpoint(claimed, dossier, name, todo)
    else:
        local_writer(claimed, name, todo, "varied")
        spent = Spent()
    written, left = variations.sift(project, dossier, sources, cache.said(folder, name), wanted["each"])
    kept = project.artifacts.store_bytes(variations.lines(written).encode())
    return VariationResult(
        rows=len(sources),
        new=len(todo),
        cached=len(sources) - len(todo),
        written=kept,
        variations=len(written),
        left_out=left,
        seconds=round(time.monotonic() - started, 1),
        teacher=play.teacher_digest,
        retries=spent.retries,
        money=spent.money,
    )


def local_writer(claimed: Claim, teacher: str, todo: Todo, done_to: str, *, name: str = "") -> None:
    """Have a causal model on this machine write an answer to each text; each is kept as it arrives, under a name."""
    from distill_tui.training import local_teachers

    artifacts, texts = claimed.project.artifacts, [text for _, text in todo]
    if not texts:
        return
    described = Described.from_json(artifacts.text(teacher))
    written = local_teachers.written(artifacts.path(described.model), texts, described, threads=threads())
    for done, (at, said, tokens_in, tokens_out) in enumerate(written, 1):
        answer = Answer(todo[at][0], described.read(said), said, None, tokens_in, tokens_out, Decimal(0))
        cache.add_answer(artifacts.folder, name or teacher, answer)
        claimed.report(done, len(todo), f"{done:,} of {len(todo):,} rows are {done_to}")


def label(claimed: Claim, dossier: PlayDossier) -> LabelResult:
    """Ask the play's teacher for every input that it has not answered yet."""
    artifacts, play = claimed.project.artifacts, dossier.play
    started = time.monotonic()
    files = [traffic.artifact for traffic in dossier.traffic]
    inputs = distinct_inputs([artifacts.path(artifact) for artifact in files])
    described = Described.of(artifacts, play)
    writes = described is not None and described.writes
    answered = cache.answered if writes or play.teacher_source is TeacherSource.ENDPOINT else cache.known
    known = answered(artifacts.folder, play.teacher_digest)
    todo = [(digest, text) for digest, text in inputs.items() if digest not in known]
    claimed.report(0, len(todo), f"{len(inputs) - len(todo):,} inputs were answered before", always=True)
    if play.teacher_source is TeacherSource.ENDPOINT:
        spent = _endpoint(claimed, dossier, play.teacher_digest, todo)
    elif writes:
        local_writer(claimed, play.teacher_digest, todo, "answered")
        spent = Spent(unread=cache.ledger(artifacts.folder, play.teacher_digest).unread)
    else:
        _local(claimed, play.teacher_source, play.teacher_digest, todo, started)
        spent = Spent()
    return LabelResult(
        rows=len(inputs),
        new=len(todo),
        cached=len(inputs) - len(todo),
        seconds=round(time.monotonic() - started, 1),
        teacher=play.teacher_digest,
        traffic=tuple(files),
        retries=spent.retries,
        money=spent.money,
        unread=spent.unread,
    )


def threads() -> int:
    """The torch threads of a worker that labels: one, so that a board on the same small machine stays quick."""
    return int(os.environ.get("DISTILL_THREADS", "1"))


def _local(claimed: Claim, source: TeacherSource, teacher: str, todo: Todo, started: float) -> None:
    artifacts, done = claimed.project.artifacts, 0
    for positions, probabilities in batches(artifacts.path, source, teacher, [text for _, text in todo]):
        answers = [(todo[at][0], row.tolist()) for at, row in zip(positions, probabilities, strict=True)]
        cache.add(artifacts.folder, teacher, answers)
        done += len(answers)
        claimed.report(done, len(todo), f"{done / max(time.monotonic() - started, 1e-9):.0f} inputs a second")


def batches(
    path: Callable[[str], Path], source: TeacherSource, teacher: str, texts: list[str]
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions in `texts`, probabilities (batch, labels)) of a teacher that is a model on this machine."""
    from distill_tui.training import local_teachers

    if not texts:
        return iter(())
    if source is TeacherSource.LOCAL:
        return local_teachers.label(path(teacher), texts, threads=threads())
    described = Described.from_json(path(teacher).read_text(encoding="utf-8"))
    of = local_teachers.zero_shot if source is TeacherSource.ZERO_SHOT else local_teachers.prompted
    return of(path(described.model), texts, described, threads=threads())


def _endpoint(claimed: Claim, dossier: PlayDossier, teacher: str, todo: Todo) -> Spent:
    """Ask an endpoint, for labels or for variations; both count against one budget."""
    artifacts = claimed.project.artifacts
    described = Described.from_json(artifacts.text(teacher))
    limits = Limits.read(stored(claimed.run.spec, f"the spec of run {claimed.id}"))
    before = variations.paid(artifacts.folder, dossier, teacher)
    answers = teacher == dossier.play.teacher_digest
    choices = answers and bool(described.labels)

    def keep(answer: Answer) -> None:
        cache.add_answer(artifacts.folder, teacher, answer)

    def tell(done: int, retries: int, spent: Decimal) -> None:
        claimed.report(done, len(todo), f"{spent:.4f} of {limits.budget} spent, {retries:,} retries")

    key = endpoint.key_for(described.base_url)
    retries = endpoint.ask(described, todo, limits, spent=before.money, keep=keep, tell=tell, key=key, logprobs=choices)
    after = variations.paid(artifacts.folder, dossier, teacher)
    unread = cache.ledger(artifacts.folder, teacher).unread if answers else None
    return Spent(retries, after.money - before.money, unread)
