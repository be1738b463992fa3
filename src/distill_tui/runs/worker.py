"""`python -m distill_tui.runs.worker PROJECT RUN`: claim a run, do its work in this process, record how it ended.

A worker holds its run's lock for as long as it lives, and a heavy run's worker waits for free cores first.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

from distill_tui.rules import entities
from distill_tui.rules.objection import Refused
from distill_tui.rules.training import OF_DATA
from distill_tui.runs.claim import Claim, Stopped, wait_on
from distill_tui.runs.executors import cores, local, place
from distill_tui.store import queries, sqlite
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Executor, RunKind, RunStatus
from distill_tui.training import ranks

OF_RUST = re.compile(r"\(os error (\d+)\)$")  # how safetensors and tokenizers pass on the system's message
MODULES = {  # only the module that does the work is imported: some need torch, and the others must not wait for it
    RunKind.IMPORT: "import_traffic",
    RunKind.TEACHER: "try_teacher",
    RunKind.LABEL: "label",
    RunKind.BUILD: "build",
    RunKind.FREEZE: "freeze",
    RunKind.TRAIN: "train",
    RunKind.EVALUATE: "evaluate",
    RunKind.REPRODUCE: "evaluate",
    RunKind.OBSERVE: "observe",
    RunKind.REHEARSE: "rehearse",
    RunKind.REPEAT: "repeat",
}


def work(claimed: Claim) -> None:
    where, dossier = place.read(claimed.folder), claimed.project.dossier(claimed.run.play_id)
    if where.on is not Executor.LOCAL:
        courier = import_module("distill_tui.runs.courier")  # a run on this machine needs none of it
        if courier.carry(claimed, dossier, where):
            return
    module = import_module(f"distill_tui.runs.{MODULES[claimed.run.kind]}")
    module.run(claimed, dossier)


def carry_out(claimed: Claim) -> None:
    """Do the work, and record how the run ended where it ended early. Raises what ended it."""
    try:
        work(claimed)
    except Stopped as stopped:
        kept = "nothing of it is kept" if claimed.run.kind in OF_DATA else "a checkpoint is kept"
        claimed.give_up(RunStatus.STOPPED, str(stopped) or f"stopped; {kept}", None)
        raise
    except Refused as refused:
        claimed.give_up(RunStatus.FAILED, str(refused), str(refused), refused.objections)
        raise
    except (ValueError, ProjectError) as error:  # bad input: one sentence names what and where
        claimed.give_up(RunStatus.FAILED, str(error), str(error))
        raise
    except BaseException as error:
        claimed.give_up(RunStatus.FAILED, in_a_line(error), in_a_line(error))
        raise


def in_a_line(error: BaseException, then: str = "resume the run") -> str:
    """Word an unexpected error in one line, and what to do `then`; the run's log has the traceback."""
    if isinstance(error, sqlite.errors()):
        return f"The project file cannot be used: {sqlite.sentence(error)}; `distill-tui doctor` shows more."
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror}; see that the disk and the folder can be used, and {then}."
    if of_rust := OF_RUST.search(str(error)):
        return in_a_line(OSError(int(of_rust[1]), os.strerror(int(of_rust[1]))), then)
    return " ".join(f"{type(error).__name__}: {error}".split())


def take_lock(project: Project, run_id: int) -> int | None:
    """Take the run's lock for this process's life; the run's last worker may need a moment to end."""
    end = time.monotonic() + local.GRACE / 2
    while (held := local.lock(project.artifacts.run_folder(run_id))) is None and time.monotonic() < end:
        time.sleep(0.1)
    return held


def _wait_for_cores(project: Project, run: entities.Run) -> None:
    """Wait for free cores; they are held until this process ends."""
    dossier = project.dossier(run.play_id)
    here = place.read(project.artifacts.run_folder(run.id)).on is Executor.LOCAL
    name = f"run {run.id} ({run.kind.value}) of {dossier.code} in {project.path.name}"
    cores.take(cores.needed(run, dossier) if here else 0, name, partial(wait_on, project, run.id))


def _awaited(kind: RunKind, more: list[str]) -> list[str]:
    """Import what a run of this kind needs, then wait for its project and number; nothing where none comes."""
    for module in (f"distill_tui.runs.{MODULES[kind]}", "distill_tui.store.sessions", "scipy.special", *more):
        import_module(module)
    line = sys.stdin.readline()
    if not line:
        return []
    path, run_id = json.loads(line)
    project = Project.open(Path(path))
    with (project.artifacts.run_folder(int(run_id)) / local.LOG).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    project.close()
    return [path, run_id]


def main(arguments: list[str]) -> int:
    """Work on one run, and return how it ended as the exit code: 0 finished, 1 failed, 3 not ours or stopped."""
    if arguments[0] == local.READY:
        arguments = _awaited(RunKind(arguments[1]), arguments[2:])
        if not arguments:
            return 0
    project = Project.open(Path(arguments[0]))
    project.patience = None  # hours of work are not given up because another program hangs
    run_id = int(arguments[1])
    if ranks.rank() > 0:
        return int(import_module("distill_tui.runs.train").train_shard(project, run_id))
    held = take_lock(project, run_id)
    queued = queries.run(project, run_id) if held is not None else None
    if queued is None:
        return 3
    _wait_for_cores(project, queued)
    claimed = Claim.take(project, run_id)
    if claimed is None:
        return 3
    if claimed.run.stop_requested:
        claimed.give_up(RunStatus.STOPPED, "stopped while it waited; nothing was done", None)
        return 3
    if claimed.run.kind not in (RunKind.EVALUATE, RunKind.REPRODUCE):
        os.nice(10)  # a board on the same machine comes first; an evaluation measures latency and runs as it would
    try:
        carry_out(claimed)
    except (Stopped, Refused):
        return 3
    except (ValueError, ProjectError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
