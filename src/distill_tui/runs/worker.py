"""`python -m distill_tui.runs.worker PROJECT RUN`: claim a run, do its work in this process, record how it ended.

A worker holds its run's lock for as long as it lives.
"""

from __future__ import annotations

import os
import re
import sys
import time
from importlib import import_module
from pathlib import Path

from distill_tui.rules.objection import Refused
from distill_tui.rules.training import OF_DATA
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.runs.executors import local
from distill_tui.store import sqlite
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import RunKind, RunStatus
from distill_tui.training import ranks

OF_RUST = re.compile(r"\(os error (\d+)\)$")  # how safetensors and tokenizers pass on what the system said
MODULES = {  # only the module that does the work is imported: some need torch, and the others must not wait for it
    RunKind.IMPORT: "import_traffic",
    RunKind.LABEL: "label",
    RunKind.BUILD: "build",
    RunKind.FREEZE: "freeze",
    RunKind.TRAIN: "train",
    RunKind.EVALUATE: "evaluate",
    RunKind.REPRODUCE: "evaluate",
    RunKind.OBSERVE: "observe",
    RunKind.REHEARSE: "rehearse",
}


def work(claimed: Claim) -> None:
    module = import_module(f"distill_tui.runs.{MODULES[claimed.run.kind]}")
    module.run(claimed, claimed.project.dossier(claimed.run.play_id))


def carry_out(claimed: Claim) -> None:
    """Do the work, and record how the run ended where it ended early. Raises what ended it."""
    try:
        work(claimed)
    except Stopped:
        kept = "nothing of it is kept" if claimed.run.kind in OF_DATA else "a checkpoint is kept"
        claimed.give_up(RunStatus.STOPPED, f"stopped; {kept}", None)
        raise
    except Refused as refused:
        claimed.give_up(RunStatus.FAILED, str(refused), str(refused), refused.objections)
        raise
    except (ValueError, ProjectError) as error:  # bad input: one sentence says what and where
        claimed.give_up(RunStatus.FAILED, str(error), str(error))
        raise
    except BaseException as error:
        claimed.give_up(RunStatus.FAILED, in_a_line(error), in_a_line(error))
        raise


def in_a_line(error: BaseException) -> str:
    """Word an unexpected error in one line; the run's log has the traceback."""
    if isinstance(error, sqlite.errors()):
        return f"The project file cannot be used: {sqlite.sentence(error)}; `distill-tui doctor` says more."
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror}; see that the disk and the folder can be used, and resume the run."
    if of_rust := OF_RUST.search(str(error)):
        return in_a_line(OSError(int(of_rust[1]), os.strerror(int(of_rust[1]))))
    return " ".join(f"{type(error).__name__}: {error}".split())


def take_lock(project: Project, run_id: int) -> int | None:
    """Take the run's lock for this process's life; the run's last worker may need a moment to end."""
    end = time.monotonic() + local.GRACE / 2
    while (held := local.lock(project.artifacts.run_folder(run_id))) is None and time.monotonic() < end:
        time.sleep(0.1)
    return held


def main(arguments: list[str]) -> int:
    """Work on one run, and say with the exit code how it ended: 0 finished, 1 failed, 3 not ours or stopped."""
    project = Project.open(Path(arguments[0]))
    project.patience = None  # hours of work are not given up because another program hangs
    run_id = int(arguments[1])
    if ranks.rank() > 0:
        return int(import_module("distill_tui.runs.train").train_shard(project, run_id))
    held = take_lock(project, run_id)
    claimed = Claim.take(project, run_id) if held is not None else None
    if claimed is None:
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
