"""The worker of a run that works elsewhere: writes its shards, follows them, takes in what comes back.

It holds the run on this machine as any worker does, so that screen, log, stop, resume and the audit log are the same.
"""

from __future__ import annotations

import time
from pathlib import Path

from distill_tui.rules.dossier import PlayDossier
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.runs.executors import files, slurm
from distill_tui.runs.executors.place import Place
from distill_tui.terms import Executor, RunKind

POLL = 1.0  # seconds
SETTLED = 3  # looks at jobs that ended without an outcome: Slurm shows one that it queues again as failed for a moment


def carry(claimed: Claim, dossier: PlayDossier, place: Place) -> bool:
    """Bring a run's shards out and their outcome in; True where the run is finished, False where a worker ends it here.

    A labelling run whose answers are all in the cache is ended by its own code. Raises ValueError, and Stopped where
    shards are waited for.
    """
    folder = Path(place.folder) if place.folder else claimed.folder / "shards"
    exported = (folder / files.JOB).exists()
    if not exported:
        claimed.report(0, 0, "writing the shards", always=True)
        files.export(claimed.project, claimed.run, dossier, folder, place.shards)
    job = files.read_job(folder, dossier.project.uid, claimed.id)
    if place.on is Executor.SLURM:
        _follow(claimed, job, folder, place)
    elif not exported:
        many = f"{len(job.shards):,} shard{'s' * (len(job.shards) > 1)}"
        raise Stopped(f"{many} written to {folder}; run them, then `distill-tui runs import {dossier.code} {folder}`")
    return _take_in(claimed, dossier, job, folder)


def _follow(claimed: Claim, job: files.Job, folder: Path, place: Place) -> None:
    """Submit what is not running, and report until every shard has an outcome or its job has ended."""
    jobs, drawn, looks = slurm.submitted(folder), 0, 0
    if not jobs:
        claimed.report(0, 0, "submitting to Slurm", always=True)
        jobs = slurm.submit(folder, job, place, files.begin(folder))
    try:
        while True:
            points = files.read_points(folder, job, drawn) if job.kind is RunKind.TRAIN else ()
            drawn += len(points)
            claimed.draw(points)
            now, states = files.progress(folder, job), slurm.states(jobs)
            claimed.report(now.step, now.total, f"{slurm.summary(states)}: {now.message}")
            looks = 0 if any(state.active for state in states) else looks + 1
            if looks == SETTLED or (looks and not files.unfinished(folder, job)):
                break
            time.sleep(POLL)
    except Stopped:
        files.stop(folder)
        slurm.cancel(folder, jobs)
        raise
    slurm.forget(folder)
    ended = [state for state in states if not state.completed]
    left = files.unfinished(folder, job)
    if ended and left:
        what = f"Slurm ended job {ended[0].job}: {ended[0].reason} ({left[0].rstrip('.')})"
        raise ValueError(f"{what}. Resume the run to submit it again.")


def _take_in(claimed: Claim, dossier: PlayDossier, job: files.Job, folder: Path) -> bool:
    taken = files.take(claimed.project, dossier, job, folder, claimed.folder / "quarantine.jsonl")
    if taken.outcome is not None:
        claimed.draw(files.read_points(folder, job, 0))
        claimed.finish(files.training_result(taken.outcome), taken.outcome.steps, taken.outcome.artifact)
        return True
    bad = f", {taken.poison:,} put into quarantine.jsonl in the run's folder" if taken.poison else ""
    if taken.missing:
        came = taken.shards - len(taken.missing)
        what = f"{came:,} of {taken.shards:,} shards came back with {taken.rows:,} answers{bad}"
        raise Stopped(f"{what}; missing: {', '.join(taken.missing[:5])}{' …' * (len(taken.missing) > 5)}")
    if taken.poison:
        raise Stopped(f"{taken.rows:,} answers taken in{bad}; export the run again for the inputs that lack one")
    return False
