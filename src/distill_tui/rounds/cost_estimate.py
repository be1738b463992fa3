"""Estimate what a paid teacher costs: label one row, cache its answer, and extrapolate to the others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from distill_tui.dataset.traffic import distinct_inputs
from distill_tui.digests import digest_of
from distill_tui.rounds import variations
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Project
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource


def estimate_labels(artifacts: Artifacts, dossier: PlayDossier, given: Mapping[str, Any]) -> dict[str, Any]:
    """Label one input at the endpoint, cache the answer, and extrapolate cost and time. Raises ValueError."""
    teacher = dossier.play.teacher_digest
    _check_paid(dossier.play.teacher_source)
    described = Described.from_json(artifacts.text(teacher))
    inputs = distinct_inputs([artifacts.path(traffic.artifact) for traffic in dossier.traffic])
    return _tried(artifacts, dossier, described, teacher, list(inputs.items()), given)


def estimate_variations(
    project: Project, dossier: PlayDossier, given: Mapping[str, Any], each: int, rows: int, numbers: Sequence[int]
) -> dict[str, Any]:
    """Have the endpoint vary one row, cache the answer, and extrapolate cost and time. Raises ValueError."""
    _check_paid(dossier.play.teacher_source)
    described = variations.writer(project.artifacts, dossier.play, each)
    todo = [(s.digest, s.input) for s in variations.sources(project, dossier, rows, numbers)]
    return _tried(project.artifacts, dossier, described, digest_of(described.to_json().encode()), todo, given)


def _check_paid(source: TeacherSource) -> None:
    if source is not TeacherSource.ENDPOINT:
        raise ValueError("Only an endpoint is paid; a local teacher costs only time.")


def _tried(
    artifacts: Artifacts,
    dossier: PlayDossier,
    described: Described,
    teacher: str,
    inputs: Sequence[tuple[str, str]],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    limits = Limits.read(given)
    known = cache.answered(artifacts.folder, teacher)
    todo = [(digest, text) for digest, text in inputs if digest not in known]
    if not todo:
        raise ValueError("Every input has a cached answer. Start the run without an estimate.")
    kept: list[Answer] = []

    def keep(answer: Answer) -> None:
        cache.add_answer(artifacts.folder, teacher, answer)
        kept.append(answer)

    began = time.monotonic()
    key = endpoint.key_for(described.base_url)
    paid = variations.paid(artifacts.folder, dossier, teacher).money
    endpoint.ask(described, todo[:1], limits, spent=paid, keep=keep, tell=lambda *_: None, key=key)
    seconds, answer = time.monotonic() - began, kept[0]
    size = len(described.prompt(todo[0][1]).encode())
    rest = sum(len(described.prompt(text).encode()) for _, text in todo[1:])
    tokens_in, tokens_out = round(rest * answer.tokens_in / size), (len(todo) - 1) * answer.tokens_out
    pace = max(seconds / limits.concurrency, 60 / limits.per_minute if limits.per_minute else 0.0)
    return {
        "input": todo[0][1],
        "said": answer.said,
        "label": answer.label,
        "probabilities": answer.probabilities is not None,
        "writes": described.writes,
        "seconds": seconds,
        "left": len(todo) - 1,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "money": f"{limits.money(tokens_in, tokens_out):.4f}",
        "minutes": (len(todo) - 1) * pace / 60,
        "concurrency": limits.concurrency,
    }
