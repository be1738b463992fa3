"""Ask a play's teacher, whatever kind it is: every answer is in the cache the moment it comes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from distill_tui import tasks
from distill_tui.dataset.counted import Names
from distill_tui.digests import EVERY_ROW, Part
from distill_tui.gates.cut import Cut
from distill_tui.gates.wording import money
from distill_tui.rules import entities
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import NO_NAMES
from distill_tui.runs.claim import Work
from distill_tui.runs.executors.cores import label_threads
from distill_tui.store.artifacts import Artifacts
from distill_tui.tasks.label_map import Vocabulary
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource
from distill_tui.training.arrays import Floats
from distill_tui.training.folders import teacher_labels

FREE = Limits()  # of a teacher on this machine


def labels_of(artifacts: Artifacts, play: entities.Play) -> tuple[str, ...]:
    """Return the labels that the teacher answers with: of a model folder, or as it was described."""
    if play.teacher_source is TeacherSource.LOCAL:
        return teacher_labels(artifacts.path(play.teacher_digest))
    return Described.from_json(artifacts.text(play.teacher_digest)).labels


def ask(
    claimed: Work,
    source: TeacherSource,
    teacher: str,
    todo: Sequence[tuple[str, str]],
    *,
    name: str = "",
    limits: Limits = FREE,
    spent: Decimal = Decimal(0),
    step: tuple[int, int] | None = None,
    before: int = 0,
    of: int | None = None,
) -> int:
    """Ask about (input digest, text) pairs, keep the answers under `name` or the teacher's, and count the retries.

    `limits` and what was `spent` before are an endpoint's. `step` is what is reported instead of the rows done;
    `before` and `of` count the inputs of other calls in. Raises ValueError with one sentence.
    """
    artifacts, name, started = claimed.project.artifacts, name or teacher, time.monotonic()
    all_inputs = len(todo) if of is None else of

    def tell(done: int, retries: int, spent: Decimal) -> None:
        paid = ""
        if source is TeacherSource.ENDPOINT:
            budget = f" of {money(limits.budget, limits.currency)}" if limits.budget.is_finite() else ""
            paid = f", {money(spent, limits.currency)}{budget} spent, {retries:,} retries"
        speed = f"{done / max(time.monotonic() - started, 1e-9):.0f} a second"
        message = f"the teacher answered {before + done:,} of {all_inputs:,} inputs, {speed}{paid}"
        claimed.report(*(step or (before + done, all_inputs)), message)

    described = None if source is TeacherSource.LOCAL else Described.from_json(artifacts.text(teacher))
    if described is not None and source is TeacherSource.ENDPOINT:
        keep = partial(cache.add_answer, artifacts.folder, name)
        key, choices = endpoint.key_for(described.base_url), bool(described.labels) and not described.several
        return endpoint.ask(described, todo, limits, spent=spent, keep=keep, tell=tell, key=key, logprobs=choices)
    if todo:
        model = artifacts.path(teacher if described is None else described.model)
        for done in _ask_here(claimed, source, name, model, described, todo):
            tell(done, 0, Decimal(0))
    return 0


def _ask_here(
    claimed: Work,
    source: TeacherSource,
    name: str,
    model: Path,
    described: Described | None,
    todo: Sequence[tuple[str, str]],
) -> Iterator[int]:
    """Ask a model on this machine, keep each answer, and yield how many there are. Raises Refused."""
    from distill_tui.runs import teacher_trial
    from distill_tui.training import decoding, local_teachers  # an endpoint's worker does not wait for torch

    folder, texts, done = claimed.project.artifacts.folder, [text for _, text in todo], 0

    def broken(rows: int, of: int) -> Refused:
        called = claimed.project.dossier(claimed.run.play_id).play.teacher_name
        return Refused([teacher_trial.not_finite(called, rows, of)])

    if described is not None and described.writes:
        written = local_teachers.written(model, texts, described, threads=label_threads())
        try:
            for done, (at, said, tokens_in, tokens_out) in enumerate(written, 1):
                answer = Answer(todo[at][0], described.read(said), said, None, tokens_in, tokens_out, Decimal(0))
                cache.add_answer(folder, name, answer)
                yield done
        except decoding.NotFinite:
            raise broken(1, done + 1) from None
        return
    with cache.adding(folder, name) as add:
        for positions, shares in _chosen(source, model, texts, described):
            if unread := int(np.isnan(shares).any(axis=1).sum()):
                raise broken(unread, len(positions))
            add((todo[at][0], row.tolist()) for at, row in zip(positions, shares, strict=True))
            done += len(positions)
            yield done


def _chosen(
    source: TeacherSource, model: Path, texts: Sequence[str], described: Described | None
) -> Iterator[tuple[list[int], Floats]]:
    """Yield the positions of a batch of texts, and the model's probabilities of their labels."""
    from distill_tui.training import local_teachers

    if described is None:
        return local_teachers.label(model, texts, threads=label_threads())
    of = local_teachers.zero_shot if source is TeacherSource.ZERO_SHOT else local_teachers.prompted
    return of(model, texts, described, threads=label_threads())


def cut_of(artifacts: Artifacts, play: entities.Play, texts: Sequence[str]) -> Cut | None:
    """Count what a play's teacher does not read of these texts; None where it is not a model on this machine."""
    if play.teacher_source is TeacherSource.ENDPOINT or not play.teacher_source.computes:
        return None
    from distill_tui.training import local_teachers

    local = play.teacher_source is TeacherSource.LOCAL
    described = None if local else Described.from_json(artifacts.text(play.teacher_digest))
    folder = artifacts.path(play.teacher_digest if described is None else described.model)
    return local_teachers.cut(folder, texts, described)


def answer_names(artifacts: Artifacts, play: entities.Play, inputs: Collection[str]) -> Vocabulary:
    """Count the names that a teacher with labels answered these inputs with, as written where it names no label."""
    if not tasks.of(play.task).has_labels:
        return NO_NAMES
    names = Names(tasks.of(play.task).several)
    add_names(names, artifacts, play, inputs)
    return names.vocabulary()


def add_names(
    names: Names, artifacts: Artifacts, play: entities.Play, inputs: Collection[str], part: Part = EVERY_ROW
) -> None:
    """Count the names of the answers to the inputs of a part."""
    folder, own = artifacts.folder, labels_of(artifacts, play)
    answers = cache.labelled(folder, play.teacher_source, play.teacher_digest, own, several=names.several, part=part)
    said = cache.said(folder, play.teacher_digest, part) if play.teacher_source.can_write else {}
    for digest in inputs:
        label, _ = answers.get(digest, (None, None))
        names.add(None, label if label is not None else said.get(digest) or None, None)
