"""What a worker does with the results of a provider's batch: every answer into the cache, once.

A request whose result is a failure can be exported again. The traffic counts as labelled when no input is left.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from distill_tui.rounds import batches
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import LabelResult
from distill_tui.runs.ask import answer_names
from distill_tui.runs.claim import Claim
from distill_tui.teachers import cache
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits

TOGETHER = 200  # answers that are committed at once: a killed worker takes them from the files again


def take(claimed: Claim, dossier: PlayDossier, spec: Mapping[str, Any]) -> LabelResult:
    """Take the results that the run's spec names. Raises ValueError with one sentence."""
    artifacts, name, started = claimed.project.artifacts, dossier.play.teacher_digest, time.monotonic()
    folder, teacher, limits = artifacts.folder, batches.asked(artifacts, dossier), Limits.read(spec)
    inputs = batches.inputs_of(artifacts, dossier)
    known = cache.answered(folder, name) & inputs.keys()
    before, money, why = len(known), Decimal(0), Counter[str]()
    paths = [Path(each) for each in spec["results"]]
    waiting: list[Answer] = []
    for found in batches.results(paths, teacher, name, inputs, limits):
        if isinstance(found, batches.Failed):
            why[found.reason] += 1
            if found.digest and found.digest not in known:
                cache.unmark_exported(folder, name, found.digest)
        elif found.digest in known:
            why["answered before"] += 1
        else:
            waiting.append(found)
            known.add(found.digest)
            money += found.money
        if len(waiting) == TOGETHER:
            cache.add_answers(folder, name, waiting)
            waiting.clear()
        claimed.report(len(known), len(inputs), _says(why))
    cache.add_answers(folder, name, waiting)
    missing = len(inputs) - len(known)
    claimed.report(len(inputs) - missing, len(inputs), _says(why, missing), always=True)
    return LabelResult(
        rows=len(inputs),
        new=len(inputs) - missing - before,
        cached=before,
        seconds=round(time.monotonic() - started, 1),
        teacher=name,
        traffic=() if missing else tuple(traffic.artifact for traffic in dossier.traffic),
        money=money,
        unread=cache.ledger(folder, name).unread,
        names=answer_names(artifacts, dossier.play, inputs.keys()),
        models=cache.models(folder, name),
        failed=tuple(why.most_common()),
        missing=missing,
    )


def _says(why: Counter[str], missing: int = 0) -> str:
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in why.most_common(3)) or "every result is an answer"
    return f"{missing:,} inputs without an answer; {reasons}" if missing else reasons
