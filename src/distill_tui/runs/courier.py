"""The worker of a run that works elsewhere: writes its shards, follows them, takes in what comes back.

It holds the run on this machine as any worker does, so that screen, log, stop, resume and the audit log are the same.
Where shards train the arms of a run, they are put where the run trains its own, and it ends here as one that is resumed
after all arms were trained: it looks at the validation rows, and chooses.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from distill_tui.digests import folder_digest
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.runs import train
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.runs.executors import files, slurm
from distill_tui.runs.executors.place import Place
from distill_tui.spec import Spec
from distill_tui.terms import Executor, RunKind
from distill_tui.training.ladder import SECONDS, STUDENT, arm_folder, number_in
from distill_tui.training.replace import replace_folder

COMPARED = "compared"  # the folder of the arms that the kept rung is compared with, in that of the rungs
POLL = 1.0  # seconds
SETTLED = 3  # looks at jobs that ended without an outcome: Slurm shows one that it queues again as failed for a moment


def carry(claimed: Claim, dossier: PlayDossier, place: Place) -> bool:
    """Bring a run's shards out and their outcome in; True where the run is finished, False where a worker ends it here.

    A labelling run whose answers are all in the cache, and a training whose arms are all trained, end by their own
    code. Raises ValueError, and Stopped where shards are waited for.
    """
    folder = Path(place.folder) if place.folder else claimed.folder / "shards"
    by_arms = claimed.run.kind is RunKind.TRAIN and place.shards > 1
    if (folder / files.JOB).exists():
        by_arms = files.read_job(folder, dossier.project.uid, claimed.id).by_arms
    if by_arms:
        _carry_arms(claimed, dossier, place, folder)
        return False
    return _take_in(claimed, dossier, _brought(claimed, dossier, place, folder, claimed.run), folder)


def _carry_arms(claimed: Claim, dossier: PlayDossier, place: Place, folder: Path) -> None:
    """Have shards train the arms of a run: all rungs of a ladder, then those that the kept rung is compared with."""
    spec = Spec.from_json(claimed.run.spec)
    while (left := train.left(claimed, dossier)).names:
        where = folder if left.spec == spec else folder / COMPARED
        many = place.shards if where == folder else len(files.read_job(folder, dossier.project.uid, claimed.id).shards)
        run = replace(claimed.run, spec=left.spec.to_json())
        job = _brought(claimed, dossier, replace(place, shards=many), where, run, left.names)
        missing, arms = files.arms(where, job)
        for name, (source, digest) in arms.items():
            _put(source, digest, claimed.folder, name)
        if missing:
            raise Stopped(f"{len(arms):,} arm{'s' * (len(arms) != 1)} came back; {_missing(missing)}")
    job = files.read_job(folder, dossier.project.uid, claimed.id)
    claimed.draw(tuple(point for point in files.read_points(folder, job) if point.step <= left.steps))


def _put(source: Path, digest: str, run_folder: Path, name: str) -> None:
    """Put a trained arm where the run trains its own; its seconds count as the run's."""
    arm = arm_folder(run_folder, name)
    if not (arm / STUDENT).exists():
        replace_folder(arm, partial(_copied, source, digest))
        seconds = number_in(run_folder / SECONDS) + number_in(arm / SECONDS)
        (run_folder / SECONDS).write_text(f"{seconds:.1f}\n")


def _copied(source: Path, digest: str, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    if folder_digest(target) != digest:
        raise ValueError(f"{source.parent.parent.name} changed while it was copied; resume the run.")


def _missing(missing: Sequence[str]) -> str:
    return f"missing: {', '.join(missing[:5])}{' …' * (len(missing) > 5)}"


def _brought(
    claimed: Claim, dossier: PlayDossier, place: Place, folder: Path, run: entities.Run, arms: Sequence[str] = ()
) -> files.Job:
    """Write the shards to a folder and follow them, as far as that is not done. Raises ValueError, and Stopped."""
    exported = (folder / files.JOB).exists()
    if not exported:
        claimed.report(0, 0, "writing the shards", always=True)
        files.export(claimed.project, run, dossier, folder, place.shards, arms)
    job = files.read_job(folder, dossier.project.uid, claimed.id)
    if place.on is Executor.SLURM:
        _follow(claimed, job, folder, place)
    elif not exported:
        many = f"{len(job.shards):,} shard{'s' * (len(job.shards) > 1)}"
        back = f"`distill-tui runs import {dossier.code} {place.folder} --run {claimed.id}`"
        raise Stopped(f"{many} written to {folder}; run them, then {back}")
    return job


def _follow(claimed: Claim, job: files.Job, folder: Path, place: Place) -> None:
    """Submit what is not running, and report until every shard has an outcome or its job has ended."""
    jobs, drawn, looks = slurm.submitted(folder), 0, 0
    if not jobs:
        claimed.report(0, 0, "submitting to Slurm", always=True)
        jobs = slurm.submit(folder, job, place, files.begin(folder))
    try:
        while True:
            streamed = job.kind is RunKind.TRAIN and not job.by_arms  # of arms it turns out later which count
            points = files.read_points(folder, job, drawn) if streamed else ()
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
        claimed.draw(files.read_points(folder, job))
        claimed.finish(files.training_result(taken.outcome), taken.outcome.steps, taken.outcome.artifact)
        return True
    bad = f", {taken.poison:,} put into quarantine.jsonl in the run's folder" if taken.poison else ""
    if taken.missing:
        came = taken.shards - len(taken.missing)
        what = f"{came:,} of {taken.shards:,} shards came back with {taken.rows:,} answers{bad}"
        raise Stopped(f"{what}; {_missing(taken.missing)}")
    if taken.poison:
        raise Stopped(f"{taken.rows:,} answers taken in{bad}; export the run again for the inputs that lack one")
    return False
