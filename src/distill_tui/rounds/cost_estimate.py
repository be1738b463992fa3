"""Estimate what a paid teacher costs: label a few rows, cache their answers, and extrapolate to the others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from distill_tui.dataset.traffic import distinct_inputs
from distill_tui.digests import digest_of
from distill_tui.rounds import teacher_calls, variations
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Project
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource

TIMED = 8  # inputs at most that are timed after the first, which is slow


def estimate_labels(artifacts: Artifacts, dossier: PlayDossier, given: Mapping[str, object]) -> dict[str, object]:
    """Label a few inputs at the endpoint, cache the answers, and extrapolate cost and time. Raises ValueError."""
    teacher = dossier.play.teacher_digest
    _check_paid(dossier.play.teacher_source)
    described = Described.from_json(artifacts.text(teacher))
    inputs = distinct_inputs([artifacts.path(traffic.artifact) for traffic in dossier.traffic])
    return _tried(artifacts, dossier, described, teacher, list(inputs.items()), given)


def estimate_variations(
    project: Project, dossier: PlayDossier, given: Mapping[str, object], each: int, rows: int, numbers: Sequence[int]
) -> dict[str, object]:
    """Have the endpoint vary a few rows, cache the answers, and extrapolate cost and time. Raises ValueError."""
    _check_paid(dossier.play.teacher_source)
    described = variations.writer(project.artifacts, dossier.play, each)
    todo = [(s.digest, s.input) for s in variations.sources(project, dossier, rows, numbers)]
    return _tried(project.artifacts, dossier, described, digest_of(described.to_json().encode()), todo, given)


def _check_paid(source: TeacherSource) -> None:
    if source is not TeacherSource.ENDPOINT:
        raise ValueError("Only an endpoint is paid. Start the run of a local teacher: it shows its speed as it goes.")


def _tried(
    artifacts: Artifacts,
    dossier: PlayDossier,
    described: Described,
    teacher: str,
    inputs: Sequence[tuple[str, str]],
    given: Mapping[str, object],
) -> dict[str, object]:
    limits = replace(Limits.read(given), currency=dossier.project.currency)
    known = cache.answered(artifacts.folder, teacher)
    todo = [(digest, text) for digest, text in inputs if digest not in known]
    if not todo:
        raise ValueError("Every input has a cached answer. Start the run without an estimate.")
    asked = _sample(todo)
    kept, times, stopped = _asked(artifacts, dossier, described, teacher, asked, limits)
    size_of = {digest: len(described.prompt(text).encode()) for digest, text in todo}
    left = len(todo) - len(kept)
    read = sum(size_of[answer.digest] for answer in kept)
    rest = sum(size_of.values()) - read
    tokens_in = round(rest * sum(answer.tokens_in for answer in kept) / read)
    tokens_out = round(left * sum(answer.tokens_out for answer in kept) / len(kept))
    timed = len(kept) - 1
    pace = (times[-1] - times[0]) / timed if timed else times[0] / limits.concurrency
    pace = max(pace, 60 / limits.per_minute if limits.per_minute else 0.0)
    first = kept[0]
    return {
        "input": asked[0][1],
        "said": first.said,
        "label": first.label,
        "probabilities": first.probabilities is not None,
        "writes": described.writes,
        "seconds": times[0],
        "timed": timed,
        "pace": pace,
        "stopped": stopped,
        "left": left,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "currency": limits.currency,
        "money": f"{limits.money(tokens_in, tokens_out):.4f}",
        "minutes": left * pace / 60,
        "concurrency": min(limits.concurrency, timed or limits.concurrency),
    }


def _sample(todo: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the inputs to ask now, spread over all: one to warm up, and of the others half at most."""
    count = 1 + min(TIMED, (len(todo) - 1) // 2)
    return [todo[at * len(todo) // count] for at in range(count)]


def _asked(
    artifacts: Artifacts,
    dossier: PlayDossier,
    described: Described,
    teacher: str,
    asked: Sequence[tuple[str, str]],
    limits: Limits,
) -> tuple[list[Answer], list[float], str]:
    """Ask as a run does, the first input alone; return the answers, when each came, and what ended it before all."""
    kept: list[Answer] = []
    times: list[float] = []
    began = time.monotonic()

    def keep(answer: Answer) -> None:
        times.append(time.monotonic() - began)
        cache.add_answer(artifacts.folder, teacher, answer)
        kept.append(answer)

    paid = teacher_calls.paid(artifacts.folder, dossier, teacher).money
    key = endpoint.key_for(described.base_url)
    try:
        endpoint.ask(described, asked, limits, spent=paid, keep=keep, tell=lambda *_: None, key=key)
    except endpoint.EndpointError as error:
        if not kept:
            raise
        return kept, times, str(error)
    return kept, times, ""
