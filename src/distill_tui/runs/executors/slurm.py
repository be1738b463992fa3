"""Slurm, through submitit (extra `slurm`): one job a shard, as an array. The nodes share the folder of the shards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from distill_tui.runs.executors import local
from distill_tui.runs.executors.files import Job
from distill_tui.runs.executors.place import Place
from distill_tui.store.artifacts import write_whole

JOBS = "slurm.json"
ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED",
          "PREEMPTED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED")  # fmt: skip
WAIT = 30  # seconds that a Slurm command may take


@dataclass(frozen=True)
class State:
    """How a job stands, in Slurm's words."""

    job: str
    state: str
    reason: str

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def completed(self) -> bool:
        return self.state == "COMPLETED"


def submit(folder: Path, job: Job, place: Place, attempt: str) -> tuple[str, ...]:
    """Submit every shard; return the ids of the jobs. Raises ValueError with one sentence."""
    try:
        import submitit
    except ImportError:
        raise ValueError("Slurm needs submitit; install it with `pip install distill-tui[slurm]`.") from None
    launcher = _launcher(job, place)
    settings: dict[str, object] = {
        "name": f"distill-{job.run}",
        "timeout_min": place.minutes,
        "cpus_per_task": place.cpus,
        "mem_gb": place.memory_gb,
        "gpus_per_node": place.gpus or None,
        "slurm_partition": place.partition or None,
        "slurm_additional_parameters": {"requeue": True, "open-mode": "append"},
    }
    try:
        executor = submitit.AutoExecutor(folder=folder / "slurm", cluster="slurm")
        executor.update_parameters(**{name: value for name, value in settings.items() if value is not None})
        folders = [str(folder / f"shard-{number:04}") for number in range(1, len(job.shards) + 1)]
        commands = [[*launcher, "-m", "distill_tui.runs.away", where, attempt] for where in folders]
        ids = tuple(each.job_id for each in executor.map_array(_shard, commands))
    except (RuntimeError, OSError, subprocess.SubprocessError, submitit.core.utils.FailedJobError) as error:
        raise ValueError(f"Slurm does not take the job: {_line(error)}. Check `sinfo` and the settings.") from None
    try:
        write_whole(folder / JOBS, json.dumps(ids).encode())
    except OSError as error:
        cancel(folder, ids)
        raise ValueError(f"The jobs were cancelled: {JOBS} cannot be written ({_line(error)}).") from None
    return ids


def _launcher(job: Job, place: Place) -> list[str]:
    """Return what starts a shard: what the environment names, or for GPUs one process each. Raises ValueError."""
    named = local.launcher_of(job.kind)
    if not place.gpus or named != [sys.executable]:
        return named
    if find_spec("accelerate") is None:
        raise ValueError("A training on GPUs needs accelerate; install it with `pip install distill-tui[launch]`.")
    several = ["--multi_gpu", "--main_process_port", "0"] if place.gpus > 1 else []
    return [*named, "-m", "accelerate.commands.launch", *several, "--num_processes", str(place.gpus)]


def _shard(command: list[str]) -> int:
    """Work on a shard, in a job."""
    done = subprocess.run(command, check=False)
    if done.returncode < 0:
        raise RuntimeError(f"the shard's process was killed by signal {-done.returncode}")
    if done.returncode == 1:
        raise RuntimeError("the shard failed; its failed.json has the reason")
    return done.returncode


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]


def submitted(folder: Path) -> tuple[str, ...]:
    """Return the ids of jobs that were submitted and not followed to their end: a worker that died left them."""
    with suppress(OSError, ValueError, TypeError):
        return tuple(str(each) for each in json.loads((folder / JOBS).read_text(encoding="utf-8")))
    return ()


def forget(folder: Path) -> None:
    (folder / JOBS).unlink(missing_ok=True)


def states(jobs: Sequence[str]) -> list[State]:
    """Ask Slurm how each job stands; one that it does not know any more is gone."""
    return [_state(job) for job in jobs]


def _state(job: str) -> State:
    try:
        done = subprocess.run(
            ["scontrol", "show", "job", job, "--oneliner"], capture_output=True, text=True, timeout=WAIT, check=False
        )
    except FileNotFoundError:
        raise ValueError("scontrol is not on this machine; follow the run where Slurm's commands are.") from None
    except subprocess.TimeoutExpired:
        return State(job, "SUSPENDED", "Slurm does not answer")  # asked again at the next poll
    found = dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
    if "JobState" in found:
        return State(job, found["JobState"], found.get("Reason", ""))
    if "Invalid job id" in done.stderr:
        return State(job, "GONE", "Slurm does not know this job any more")
    return State(job, "SUSPENDED", _line(Exception(done.stderr)))


def summary(states: Sequence[State]) -> str:
    """Return how the jobs stand, in one word where they agree, with the reason of one that waits."""
    if len(states) == 1:
        (one,) = states
        why = f" ({one.reason})" if one.state != "RUNNING" and one.reason not in ("", "None") else ""
        return f"Slurm job {one.job} {one.state.lower()}{why}"
    counts = Counter(state.state.lower() for state in states)
    return "Slurm jobs " + ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def cancel(folder: Path, jobs: Sequence[str]) -> None:
    """Cancel jobs; what they checkpointed stays."""
    if jobs:
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", *jobs], capture_output=True, timeout=WAIT, check=False)
    forget(folder)
