"""Ask a play's teacher, whatever kind it is: every answer is in the cache the moment it comes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from decimal import Decimal

from distill_tui.rules import entities
from distill_tui.runs.claim import Claim
from distill_tui.store.artifacts import Artifacts
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource
from distill_tui.training.folders import teacher_labels

FREE = Limits()  # of a teacher on this machine


def labels_of(artifacts: Artifacts, play: entities.Play) -> tuple[str, ...]:
    """Return the labels that the teacher answers with: of a model folder, or as it was described."""
    if play.teacher_source is TeacherSource.LOCAL:
        return teacher_labels(artifacts.path(play.teacher_digest))
    return Described.from_json(artifacts.text(play.teacher_digest)).labels


def ask(
    claimed: Claim,
    source: TeacherSource,
    teacher: str,
    todo: Sequence[tuple[str, str]],
    *,
    name: str = "",
    limits: Limits = FREE,
    spent: Decimal = Decimal(0),
    step: tuple[int, int] | None = None,
) -> int:
    """Ask about (input digest, text) pairs, keep the answers under `name` or the teacher's, and count the retries.

    `limits` and what was `spent` before are an endpoint's. `step` is what is reported instead of the rows done. Raises
    ValueError with one sentence.
    """
    artifacts, name, started = claimed.project.artifacts, name or teacher, time.monotonic()
    folder, texts, done = artifacts.folder, [text for _, text in todo], 0

    def tell(done: int, retries: int, spent: Decimal) -> None:
        budget = f" of {limits.budget}" if limits.budget.is_finite() else ""
        paid = f", {spent:.4f}{budget} spent, {retries:,} retries" if source is TeacherSource.ENDPOINT else ""
        speed = f"{done / max(time.monotonic() - started, 1e-9):.0f} a second"
        message = f"the teacher answered {done:,} of {len(todo):,} inputs, {speed}{paid}"
        claimed.report(*(step or (done, len(todo))), message)

    def keep(answer: Answer) -> None:
        cache.add_answer(folder, name, answer)

    described = None if source is TeacherSource.LOCAL else Described.from_json(artifacts.text(teacher))
    if described is not None and source is TeacherSource.ENDPOINT:
        key, choices = endpoint.key_for(described.base_url), bool(described.labels)
        return endpoint.ask(described, todo, limits, spent=spent, keep=keep, tell=tell, key=key, logprobs=choices)
    if not todo:
        return 0
    from distill_tui.training import local_teachers  # an endpoint's worker does not wait for torch

    model = artifacts.path(teacher if described is None else described.model)
    if described is not None and described.writes:
        written = local_teachers.written(model, texts, described, threads=threads())
        for done, (at, said, tokens_in, tokens_out) in enumerate(written, 1):
            keep(Answer(todo[at][0], described.read(said), said, None, tokens_in, tokens_out, Decimal(0)))
            tell(done, 0, Decimal(0))
        return 0
    if described is None:
        batches = local_teachers.label(model, texts, threads=threads())
    else:
        of = local_teachers.zero_shot if source is TeacherSource.ZERO_SHOT else local_teachers.prompted
        batches = of(model, texts, described, threads=threads())
    for positions, shares in batches:
        cache.add(folder, name, [(todo[at][0], row.tolist()) for at, row in zip(positions, shares, strict=True)])
        done += len(positions)
        tell(done, 0, Decimal(0))
    return 0


def threads() -> int:
    """Return the torch threads of a local teacher: one, so that a board on the same small machine stays quick."""
    return int(os.environ.get("DISTILL_THREADS", "1"))
