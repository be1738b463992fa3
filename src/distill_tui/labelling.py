"""What a labelling worker does, for each kind of teacher: ask for what is not in the cache, and keep it as it comes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from distill_tui import teacher_cache
from distill_tui.asked import read_limits
from distill_tui.described import ENDPOINT, ZERO_SHOT, Described

if TYPE_CHECKING:
    from distill_tui.endpoint import Answer
    from distill_tui.rules import Dossier
    from distill_tui.worker import Claim

Todo = list[tuple[str, str]]


def run(claimed: Claim, dossier: Dossier) -> dict[str, Any]:
    """Ask the play's teacher for every input that it has not answered yet; gives the run's result."""
    from distill_tui.dataset.traffic import distinct_inputs

    artifacts, play = claimed.project.artifacts, dossier.play
    assert play is not None
    started = time.monotonic()
    files = [traffic.artifact for traffic in dossier.traffic]
    inputs = distinct_inputs([artifacts.path(artifact) for artifact in files])
    asked = teacher_cache.answered if play.teacher_source == ENDPOINT else teacher_cache.known
    known = asked(artifacts.folder, play.teacher_digest)
    todo = [(digest, text) for digest, text in inputs.items() if digest not in known]
    claimed.report(0, len(todo), f"{len(inputs) - len(todo):,} inputs were answered before", always=True)
    if play.teacher_source == ENDPOINT:
        more = _endpoint(claimed, play.teacher_digest, todo)
    else:
        _local(claimed, play.teacher_source, play.teacher_digest, todo, started)
        more = {}
    result = {"rows": len(inputs), "new": len(todo), "cached": len(inputs) - len(todo)} | more
    return result | {"seconds": round(time.monotonic() - started, 1), "teacher": play.teacher_digest, "traffic": files}


def threads() -> int:
    """The torch threads of a worker that labels: one, so that a board on the same small machine stays quick."""
    return int(os.environ.get("DISTILL_THREADS", "1"))


def _local(claimed: Claim, source: str, teacher: str, todo: Todo, started: float) -> None:
    artifacts, done = claimed.project.artifacts, 0
    for positions, probabilities in batches(artifacts.path, source, teacher, [text for _, text in todo]):
        answers = [(todo[at][0], row.tolist()) for at, row in zip(positions, probabilities, strict=True)]
        teacher_cache.add(artifacts.folder, teacher, answers)
        done += len(answers)
        claimed.report(done, len(todo), f"{done / max(time.monotonic() - started, 1e-9):.0f} inputs a second")


def batches(path: Any, source: str, teacher: str, texts: list[str]) -> Iterator[tuple[list[int], Any]]:
    """Yield (positions in `texts`, probabilities (batch, labels)) of a teacher that is a model on this machine."""
    from distill_tui.training import teachers

    if not texts:
        return iter(())
    if source == "local":
        return teachers.label(path(teacher), texts, threads=threads())
    described = Described.from_json(path(teacher).read_text(encoding="utf-8"))
    of = teachers.zero_shot if source == ZERO_SHOT else teachers.prompted
    return of(path(described.model), texts, described, threads=threads())


def _endpoint(claimed: Claim, teacher: str, todo: Todo) -> dict[str, Any]:
    from distill_tui import endpoint

    artifacts = claimed.project.artifacts
    described = Described.from_json(artifacts.path(teacher).read_text(encoding="utf-8"))
    limits = read_limits(json.loads(claimed.run.spec))
    before = teacher_cache.ledger(artifacts.folder, teacher)

    def keep(answer: Answer) -> None:
        teacher_cache.add_answer(artifacts.folder, teacher, answer)

    def tell(done: int, retries: int, spent: Decimal) -> None:
        claimed.report(done, len(todo), f"{spent:.4f} of {limits.budget} spent, {retries:,} retries")

    key = endpoint.key_for(described.base_url)
    retries = endpoint.ask(described, todo, limits, spent=before.money, keep=keep, tell=tell, key=key)
    after = teacher_cache.ledger(artifacts.folder, teacher)
    return {"retries": retries, "money": str(after.money - before.money), "unread": after.unread}
