"""Runs as shards: folders that any engine can run, and what comes back from them.

`export` writes FOLDER/job.json last, and one folder a shard: `shard.json` (what to do), `artifacts/` (what it needs, by
digest). `python -m distill_tui.runs.away SHARD` works on one and writes `outcome.json` last. `take` believes digests,
never names: what is altered, of another run or of another shard is rejected in one sentence, and what is missing is
named. No shard needs the project file, so that no network file system has to lock it.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from distill_tui import tasks
from distill_tui.dataset import traffic
from distill_tui.digests import digest_of, file_digest, parts
from distill_tui.gates import written
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainResult, decode, encode
from distill_tui.spec import Spec
from distill_tui.store.artifacts import Artifacts, write_whole
from distill_tui.store.project import Project
from distill_tui.teachers import cache
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.terms import RunKind, TeacherSource

FORMAT = "distill-tui shard 1"
AT_ONCE = 500_000  # rows of traffic whose inputs are in memory at once
JOB, SHARD, OUTCOME, FAILED, PROGRESS, POINTS, ANSWERS, STOP, ATTEMPT, BEGUN = (
    "job.json", "shard.json", "outcome.json", "failed.json", "progress.json", "points.jsonl", "answers.jsonl", "stop",
    "attempt", "export.begun",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What one shard does, without the project file."""

    format: str
    project: str  # the project's own id
    number: int
    of: int
    run: entities.Run
    play: entities.Play
    gate: str  # its canonical JSON; empty: none
    data_set: entities.DataSet | None
    traffic: tuple[entities.Traffic, ...]
    artifacts: tuple[str, ...]  # digests that it needs
    arms: tuple[str, ...]  # of a training run: the names of those that this shard trains; empty: the whole run


@dataclass(frozen=True, kw_only=True)
class Job:
    """A whole run as shards: the digest of each `shard.json`, and the command that works on one."""

    format: str
    project: str
    run: int
    kind: RunKind
    shards: tuple[str, ...]
    by_arms: bool
    command: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a shard gave. Written last."""

    shard: str  # the digest of its `shard.json`
    result: str
    steps: int
    artifact: str | None
    artifacts: tuple[str, ...]  # all that it made
    arms: dict[str, str]  # the folder of each arm that it trained, as an artifact
    answers: str  # the digest of `answers.jsonl`; empty: none


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a shard is, as it reports itself."""

    step: int
    total: int
    message: str


# --- out -------------------------------------------------------------------------------------------------------------


def export(
    project: Project, run: entities.Run, dossier: PlayDossier, folder: Path, shards: int, arms: Sequence[str] = ()
) -> Job:
    """Write a run as shards: parts of its rows, or of these arms. Raises ValueError with one sentence."""
    name = f"{dossier.project.uid} {run.id}"
    _clear(folder, name)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder.name} is not empty; name a new folder for the shards.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / BEGUN, name.encode())
        job = _export(project, run, dossier, folder, shards, arms)
        (folder / BEGUN).unlink()
    except OSError as error:
        _clear(folder, name)
        raise ValueError(
            f"The shards cannot be written to {folder}: {_reason(error)}. Free the disk or name another folder with "
            "--to, and resume the run."
        ) from None
    return job


def _clear(folder: Path, name: str) -> None:
    """Remove what an export of this run that did not come to its end left in a folder."""
    for draft in folder.glob(f".{BEGUN}.*"):  # killed before its first file was whole
        draft.unlink(missing_ok=True)
    with suppress(OSError):
        if (folder / BEGUN).read_text(encoding="utf-8") == name and not (folder / JOB).exists():
            for where in folder.glob("shard-*"):
                shutil.rmtree(where, ignore_errors=True)
            (folder / BEGUN).unlink()


def _reason(error: OSError) -> str:
    """Word what the system says; the number may stand in the text, as where a folder is copied."""
    found = re.search(r"\[Errno (\d+)\]", str(error), re.IGNORECASE)
    number = error.errno or (int(found[1]) if found else 0)
    return os.strerror(number) if number else " ".join(str(error).split())


def _export(
    project: Project, run: entities.Run, dossier: PlayDossier, folder: Path, shards: int, arms: Sequence[str]
) -> Job:
    needed = _needed(project.artifacts, run, dossier)
    for digest in needed:
        if trouble := project.artifacts.trouble(digest):
            raise ValueError(trouble)
    split: list[tuple[tuple[entities.Traffic, ...], tuple[str, ...]]] = [((), ())]
    if run.kind is RunKind.LABEL:
        split = [((part,), ()) for part in _split(project, run, dossier, shards, folder)]
    elif arms:
        split = [((), tuple(arms[first::shards])) for first in range(min(shards, len(arms)))]
    digests = []
    for number, (part, of_it) in enumerate(split, 1):
        where = folder / f"shard-{number:04}"
        shard = Shard(
            format=FORMAT,
            project=dossier.project.uid,
            number=number,
            of=len(split),
            run=run,
            play=dossier.play,
            gate=written.to_json(dossier.gate) if dossier.gate is not None else "",
            data_set=next((d for d in dossier.data_sets if d.id == run.data_set_id), None),
            traffic=part,
            artifacts=(*needed, *(each.artifact for each in part)),
            arms=of_it,
        )
        (where / "artifacts").mkdir(parents=True, exist_ok=True)
        for digest in needed:
            _copy(project.artifacts.path(digest), Artifacts(where / "artifacts").path(digest))
        text = encode(shard).encode()
        write_whole(where / SHARD, text)
        digests.append(digest_of(text))
    command = "python -m distill_tui.runs.away SHARD_FOLDER"
    job = Job(
        format=FORMAT,
        project=dossier.project.uid,
        run=run.id,
        kind=run.kind,
        shards=tuple(digests),
        by_arms=bool(arms),
        command=command,
    )
    write_whole(folder / JOB, encode(job).encode())
    return job


def _needed(artifacts: Artifacts, run: entities.Run, dossier: PlayDossier) -> tuple[str, ...]:
    """Return the digests of what a run reads: its data set, the teacher where one computes, the model to start from."""
    play, found = dossier.play, []
    if run.kind is RunKind.TRAIN:
        found += [each.artifact for each in dossier.data_sets if each.id == run.data_set_id]
        start = Spec.from_json(run.spec).folder
        found += [start] if start else []
    asked = run.kind is RunKind.LABEL or not tasks.of(play.task).has_labels
    if play.teacher_source is TeacherSource.ENDPOINT and run.kind is RunKind.LABEL:
        raise ValueError("A paid teacher has one budget, which shards cannot share; label with --on local.")
    if play.teacher_source is TeacherSource.LOCAL:
        found.append(play.teacher_digest)
    elif play.teacher_source.computes and play.teacher_source is not TeacherSource.ENDPOINT and asked:
        model = Described.from_json(artifacts.text(play.teacher_digest)).model
        found += [play.teacher_digest, model]
    return tuple(dict.fromkeys(found))


def _split(
    project: Project, run: entities.Run, dossier: PlayDossier, shards: int, folder: Path
) -> Iterator[entities.Traffic]:
    """Yield the traffic of each shard: what the teacher has not answered yet, in equal parts."""
    count = sum(len(part) for part in _unanswered(project, dossier))
    if not count:
        raise ValueError("The teacher has answered all the traffic; there is nothing to export.")
    shards = min(shards, count)
    todo = (each for part in _unanswered(project, dossier) for each in part)
    for number in range(shards):
        wanted = list(islice(todo, (number + 1) * count // shards - number * count // shards))
        own = Artifacts(folder / f"shard-{number + 1:04}" / "artifacts")
        with own.scratch() as scratch:
            traffic.write_inputs(wanted, scratch / "inputs.parquet")
            artifact = own.store(scratch / "inputs.parquet")
        yield entities.Traffic(
            id=number + 1,
            play_id=run.play_id,
            round=run.round,
            name=f"shard {number + 1} of {shards}",
            source_digest=artifact,
            artifact=artifact,
            mapping="{}",
            rows=len(wanted),
            rejects=0,
            report="{}",
            imported_at=run.created_at,
        )


def _unanswered(project: Project, dossier: PlayDossier) -> Iterator[list[tuple[str, str]]]:
    """Yield what the teacher has not answered, (digest, text) in the order of digests, in parts that fit the memory."""
    paths = [project.artifacts.path(each.artifact) for each in dossier.traffic]
    for part in parts(traffic.rows_in(paths), AT_ONCE):
        inputs = traffic.distinct_inputs(paths, part)
        known = cache.answered(project.artifacts.folder, dossier.play.teacher_digest, part)
        yield sorted((digest, text) for digest, text in inputs.items() if digest not in known)


def _copy(source: Path, target: Path) -> None:
    """Copy an artifact. No hard link: who can write a shard must not write the project's artifacts."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


# --- an attempt ------------------------------------------------------------------------------------------------------


def begin(folder: Path) -> str:
    """Name a new attempt at a job: a job of an earlier one that still runs stops at its next report."""
    attempt = secrets.token_hex(8)
    write_whole(folder / ATTEMPT, attempt.encode())
    with suppress(FileNotFoundError):
        (folder / STOP).unlink()
    return attempt


def stop(folder: Path) -> None:
    """Ask the shards of a job to stop at their next report; checkpoints stay."""
    write_whole(folder / STOP, b"")


def progress(folder: Path, job: Job) -> Progress:
    """Add up how far the shards are."""
    found = [_progress(where) for where in _folders(folder, job)]
    done = sum((where / OUTCOME).exists() for where in _folders(folder, job))
    step, total = sum(each.step for each in found), sum(each.total for each in found)
    if len(found) == 1:
        return Progress(step=step, total=total, message=found[0].message)
    return Progress(step=step, total=total, message=f"{done:,} of {len(found):,} shards are done")


def _progress(where: Path) -> Progress:
    try:
        return decode(Progress, (where / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Progress(step=0, total=0, message="waiting")


def read_points(folder: Path, job: Job, after: int = 0) -> tuple[entities.RunPoint, ...]:
    """Return the points of the curve after the first `after` lines of a shard, those that are whole."""
    found = []
    for where in _folders(folder, job):
        with suppress(OSError, ValueError, TypeError):
            for line in (where / POINTS).read_text(encoding="utf-8").splitlines()[after:]:
                found.append(entities.RunPoint(**json.loads(line)))
    return tuple(found)


# --- back ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What came back of a run."""

    shards: int
    missing: tuple[str, ...]  # shards without an outcome, and why
    rows: int  # answers that are new in the cache
    poison: int  # answers that were put into quarantine
    outcome: Outcome | None  # of a training run


def read_job(folder: Path, project: str, run: int) -> Job:
    """Read what was exported. Raises ValueError where it is not this run's."""
    try:
        job = decode(Job, (folder / JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder.name} has no {JOB}: it was not exported, or not to its end.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.name}/{JOB} cannot be read: {error}") from None
    if job.format != FORMAT:
        raise ValueError(f"{folder.name} is of format “{job.format}”; this release reads “{FORMAT}”.")
    if (job.project, job.run) != (project, run):
        raise ValueError(f"{folder.name} is of run {job.run} of another export or project, not of run {run} here.")
    return job


def take(project: Project, dossier: PlayDossier, job: Job, folder: Path, quarantine: Path) -> Taken:
    """Take in what is complete: artifacts of a training run, answers of a labelling run. Raises ValueError.

    Everything is checked before anything is stored, so that an altered shard leaves nothing behind.
    """
    missing, whole = _whole(folder, job)
    if job.kind is RunKind.TRAIN:
        for where, outcome in whole:
            _store(project.artifacts, Artifacts(where / "artifacts"), outcome)
        return Taken(len(job.shards), tuple(missing), 0, 0, whole[0][1] if whole else None)
    read = [_answers(project.artifacts, dossier, where, outcome) for where, outcome in whole]
    poison = [line for _, _, bad in read for line in bad]
    if poison:
        write_whole(quarantine, "".join(f"{line}\n" for line in poison).encode())
    for shares, answers, _ in read:
        cache.add(project.artifacts.folder, dossier.play.teacher_digest, shares)
        for answer in answers:
            cache.add_answer(project.artifacts.folder, dossier.play.teacher_digest, answer)
    rows = sum(len(shares) + len(answers) for shares, answers, _ in read)
    return Taken(len(job.shards), tuple(missing), rows, len(poison), None)


def arms(folder: Path, job: Job) -> tuple[list[str], dict[str, tuple[Path, str]]]:
    """Return the shards that are missing, and why, and each arm that came back: its folder and digest.

    Raises ValueError.
    """
    missing, whole = _whole(folder, job)
    found = {}
    for where, outcome in whole:
        if set(outcome.arms) != set(decode(Shard, (where / SHARD).read_text(encoding="utf-8")).arms):
            raise ValueError(f"{where.name} does not hold the arms that it was to train; run this shard again.")
        own = Artifacts(where / "artifacts")
        found.update({name: (own.path(digest), digest) for name, digest in outcome.arms.items()})
    return missing, found


def _whole(folder: Path, job: Job) -> tuple[list[str], list[tuple[Path, Outcome]]]:
    """Return the shards that are missing, and why, and those that are complete. Raises ValueError."""
    missing, whole = [], []
    for where, digest in zip(_folders(folder, job), job.shards, strict=True):
        if (where / OUTCOME).exists():
            whole.append((where, _outcome(where, digest)))
        else:
            missing.append(f"{where.name} ({_why(where)})")
    return missing, whole


def unfinished(folder: Path, job: Job) -> list[str]:
    """Name the shards without an outcome, and why each has none."""
    return [f"{where.name}: {_why(where)}" for where in _folders(folder, job) if not (where / OUTCOME).exists()]


def is_done(where: Path, digest: str) -> bool:
    """Whether a shard has an outcome that can be taken in."""
    try:
        _outcome(where, digest)
    except ValueError:
        return False
    return True


def _folders(folder: Path, job: Job) -> list[Path]:
    return [folder / f"shard-{number:04}" for number in range(1, len(job.shards) + 1)]


def _why(where: Path) -> str:
    try:
        return str(json.loads((where / FAILED).read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no outcome yet"


def _outcome(where: Path, digest: str) -> Outcome:
    name = f"{where.parent.name}/{where.name}"
    try:
        shard, outcome = (where / SHARD).read_bytes(), decode(Outcome, (where / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} cannot be read: {error}. Run this shard again.") from None
    if digest_of(shard) != digest:
        raise ValueError(f"{name}/{SHARD} was altered after the export; export the run again.")
    if outcome.shard != digest:
        raise ValueError(f"{name}/{OUTCOME} is of another shard or run; run this shard again.")
    own = Artifacts(where / "artifacts")
    for made in outcome.artifacts:
        if trouble := own.trouble(made):
            raise ValueError(f"{name}: {trouble.removesuffix('; restore the original.')} Run this shard again.")
    if outcome.answers and (not (where / ANSWERS).exists() or file_digest(where / ANSWERS) != outcome.answers):
        raise ValueError(f"{name}/{ANSWERS} is missing or altered; run this shard again.")
    return outcome


def _store(host: Artifacts, own: Artifacts, outcome: Outcome) -> None:
    for digest in outcome.artifacts:
        path = own.path(digest)
        stored = host.store_copy(path) if path.is_dir() else host.store_bytes(path.read_bytes())
        if stored != digest:
            raise ValueError(f"The artifact {digest[7:19]}… changed while it was copied; import the run again.")


Shares = list[tuple[str, list[float]]]


def _answers(
    artifacts: Artifacts, dossier: PlayDossier, where: Path, outcome: Outcome
) -> tuple[Shares, list[Answer], list[str]]:
    """Return a shard's probabilities, its written answers, and the lines that are not answers to its inputs."""
    shard = decode(Shard, (where / SHARD).read_text(encoding="utf-8"))
    if shard.play.teacher_digest != dossier.play.teacher_digest:
        raise ValueError(f"{where.name} was answered by another teacher than {dossier.code} has now; export again.")
    own = Artifacts(where / "artifacts")
    for each in shard.traffic:
        if trouble := own.trouble(each.artifact):
            raise ValueError(f"{where.name}: {trouble.removesuffix('; restore the original.')} Export the run again.")
    asked = set(traffic.distinct_inputs([own.path(each.artifact) for each in shard.traffic]))
    shares: Shares = []
    answers: list[Answer] = []
    poison, width = [], 0
    for line in (where / ANSWERS).read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
            digest = value["input"]
            asked.remove(digest)  # one answer an input, and of this shard
            if "probabilities" in value:
                row = [float(share) for share in value["probabilities"]]
                width = width or len(row)
                if len(row) != width or not all(math.isfinite(share) for share in row):
                    raise ValueError(line)
                shares.append((digest, row))
            else:
                answers.append(_written(digest, value))
        except (ValueError, KeyError, TypeError):
            poison.append(line[:2000])
    return shares, answers, poison


def _written(digest: str, value: Mapping[str, Any]) -> Answer:
    label, said = value["label"], value["said"]
    if not isinstance(said, str) or not isinstance(label, str | None):
        raise ValueError(said)
    return Answer(digest, label, said, None, int(value["tokens_in"]), int(value["tokens_out"]), Decimal(0))


def training_result(outcome: Outcome) -> TrainResult:
    """Read what a training shard gave. Raises ValueError."""
    return decode(TrainResult, outcome.result)
