"""Commands and options for runs that work elsewhere: Slurm jobs, and shards that anything can run."""

from __future__ import annotations

from pathlib import Path

import click

from distill_tui import actions
from distill_tui.cli.call import Call, UsageError, reading
from distill_tui.cli.exits import DONE, FAILED
from distill_tui.cli.options import FILE, OneOf, Pairs, command, once, play, stacked
from distill_tui.runs.executors import files, local, place
from distill_tui.terms import Executor, RunStatus

Settings = tuple[tuple[str, str], ...]

away = stacked(
    click.option("--on", type=OneOf(Executor), default=Executor.LOCAL.value, help="where the run works"),
    click.option("--to", metavar="FOLDER", type=FILE, help="the folder for the shards; Slurm's nodes must share it"),
    click.option(
        "--slurm",
        metavar="NAME=VALUE",
        type=Pairs(),
        multiple=True,
        help="a setting of the Slurm jobs: partition, minutes, cpus, gpus or memory_gb",
    ),
)


def place_of(on: Executor, to: str | None, slurm: Settings, shards: int = 1) -> place.Place:
    """Read the options of `away`."""
    if slurm and on is not Executor.SLURM:
        raise UsageError("--slurm is for --on slurm.")
    if (to or shards > 1) and on is Executor.LOCAL:
        raise UsageError(f"{'--to' if to else '--shards'} is for --on slurm and --on files.")
    with reading():
        found = place.Place(on=on, folder=_absolute(to) if to else "", shards=shards)
        return found.with_settings(once(slurm))


def _absolute(folder: str) -> str:
    return str(Path(folder).absolute())


@command("runs export", "Write a run as shards that anything can run; it is stopped until they come back.")
@play
@click.argument("folder", metavar="FOLDER", type=FILE, help="a new folder for the shards")
@click.option("--run", metavar="N", type=int, required=True, help="a training or labelling run that ended early")
@click.option(
    "--shards",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="how many shards: parts of the rows, or of the arms",
)
def runs_export(call: Call, folder: str, run: int, shards: int) -> int:
    where = place.Place(on=Executor.FILES, folder=_absolute(folder), shards=shards)
    return _to_its_end(call, actions.resume_run(*call.about, run, where))


@command("runs import", "Take in what came back of a run's shards, checked by digest; what is missing is named.")
@play
@click.argument("folder", metavar="FOLDER", type=FILE, help="the folder of the shards")
@click.option("--run", metavar="N", type=int, required=True, help="the run that was exported")
def runs_import(call: Call, folder: str, run: int) -> int:
    with reading():
        files.read_job(Path(folder), call.dossier().project.uid, run)
    where = place.Place(on=Executor.FILES, folder=_absolute(folder))
    return _to_its_end(call, actions.resume_run(*call.about, run, where))


def _to_its_end(call: Call, run_id: int) -> int:
    """Wait until a run has ended, and print how. One that waits for its shards is stopped, which is not a failure."""
    run = local.wait(call.project, run_id, lambda run: None)
    call.done(f"Run {run_id} {run.status.value}: {run.error or run.message}.", run=run_id, status=run.status.value)
    return DONE if run.status in (RunStatus.FINISHED, RunStatus.STOPPED) else FAILED
