"""The option `--from` of `init` and `new`: a plan file that is checked whole, then carried out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_tui import actions
from distill_tui.cli.call import Call, InputError, UsageError, reading, text_of
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.follow import Progress
from distill_tui.cli.plans import of_play, plan_file, steps
from distill_tui.reports import text
from distill_tui.rules import training
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.terms import Role, RunKind

if TYPE_CHECKING:
    from distill_tui.cli.plans.plan_file import Plan
    from distill_tui.cli.plans.steps import Follow
    from distill_tui.rules import entities
    from distill_tui.store.project import Project

from_plan = click.option(
    "--from",
    "plan",
    metavar="PLAN.toml",
    help="a plan file: people, roles, numbers, gate, traffic, teacher (see `plan`)",
)


def read(file: str) -> Plan:
    """Raises InputError with the place of each thing that cannot be read."""
    with reading():
        return plan_file.read(text_of(file), Path() if file == "-" else Path(file).absolute().parent)


def renamed(plan: Plan, name: str | None) -> Plan:
    """Return a plan of one play under another name."""
    if not name:
        return plan
    if len(plan.plays) != 1:
        raise UsageError(f"The plan has {len(plan.plays)} plays; leave out NAME, or plan one play.")
    return dataclasses.replace(plan, plays=(dataclasses.replace(plan.plays[0], name=name),))


def check_first(plan: Plan, actor: Actor) -> None:
    """Check a plan against the project that is about to be made. Raises InputError."""
    found = plan_file.troubles_when_new(plan, actor)
    roles = [play.roles for play in plan.plays]
    drivers = [each[Role.DRIVER] for each in roles if Role.DRIVER in each]
    if found and drivers and not any(actor.person in each.values() for each in roles):
        found.append(f"The plan gives {actor.person} no role. If you are its driver, add --me {drivers[0]}.")
    if found:
        raise InputError("\n".join([*found, "Nothing was made."]))


def carry_out(call: Call, plan: Plan, actor: Actor) -> list[str]:
    """Carry out a plan, one line a step; list what others must do. Returns the codes of the plays."""
    with reading():
        opened = steps.carry_out(call.project, actor, plan, call.talk, follow(call))
    for number in opened:
        dossier = call.project.dossier(number)
        step = steps.waits(dossier, actor)
        if step is not None:
            person, action = step
            keyed = any(each.person_id == person for each in dossier.project.keys)
            words = text.command_line(action, dossier.code).removeprefix(PROGRAM)
            call.talk(
                f"{dossier.code} waits for {person}; send: "
                f"{PROGRAM} --project {call.path.absolute()}{' --key YOUR_KEY' if keyed else ''}{words}"
            )
        else:
            call.talk(f"{dossier.code} is yours: `{PROGRAM} next {dossier.code}`.")
        if any(play.students for play in plan.plays if play.name == dossier.play.name):
            call.talk(f"After the freeze, `{PROGRAM} train {dossier.code} --from PLAN.toml` trains its students.")
    return [f"P-{number:03d}" for number in opened]


def students(call: Call, file: str) -> list[Spec]:
    """Return the students that a plan names for this play."""
    plan, name = read(file), call.dossier().play.name
    named = [play for play in plan.plays if play.name == name] or list(plan.plays[:1])
    with reading():
        project, play_id, _ = call.about
        fields = named[0].students if named else ()
        specs = [actions.fitting(project, play_id, each)[0] for each in fields]
    if not specs:
        raise InputError(f'{file} names no students; add [[plays.students]], like: student = "ngram".')
    return specs


def follow(call: Call, then: Callable[[entities.Run], None] = lambda run: None) -> Follow:
    """Return what waits for a run with its progress on a line that moves, and calls `then` when it has ended."""

    def wait(project: Project, run_id: int) -> entities.Run:
        progress = Progress(plain=call.plain)
        run = local.wait(project, run_id, progress if progress.moving else lambda run: None)
        progress.clear()
        then(run)
        return run

    return wait


def narrated(call: Call, began: float) -> Follow:
    """Return what follows runs and writes one line for each that ended, with the seconds since `began`."""
    return follow(call, lambda run: call.talk(f"{time.monotonic() - began:5.0f} s  {_line(run)}"))


def write(call: Call, out: str | None) -> None:
    """Write the plan of a play to a new file, or print it."""
    written = plan_file.write(of_play.plan_of(call.project, call.play_id))
    if out is None:
        call.data({"plan": written}, written.splitlines())
        return
    path = Path(out)
    if path.exists():
        raise InputError(f"{path.name} exists already; name a new file.")
    path.write_text(written, encoding="utf-8")
    call.talk(f"Wrote {path.name}. Read it, change it, then `{PROGRAM} new --from {path.name}`.")
    call.data({"plan": str(path)}, [str(path)])


def _line(run: entities.Run) -> str:
    """Name a run that ended in a few words."""
    words = [run.kind.value]
    if run.kind is RunKind.TRAIN:
        words.append(Spec.from_json(run.spec).rung)
    if run.kind in training.OF_DATA:
        words.append(f"{run.total:,} rows")
    return " ".join([*words, run.status.value])
