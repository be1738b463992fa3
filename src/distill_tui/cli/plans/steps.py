"""Carry out a plan: each step by its verb, through the door, as the actor who runs it.

What others must do (lock, sign) is not done for them: `waits` lists it, with the command to send.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from distill_tui.actions import data, decide, people
from distill_tui.actions import gate as gates
from distill_tui.cli.plans.plan_file import BadPlan, Plan, PlayPlan, TeacherPlan, TrafficPlan, has_key, troubles
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.runs.executors import local
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, RunStatus

Say = Callable[[str], None]
Follow = Callable[[Project, int], entities.Run]  # waits for a run, showing its progress


def follow_quietly(project: Project, run_id: int) -> entities.Run:
    return local.wait(project, run_id, lambda run: None)


def carry_out(project: Project, actor: Actor, plan: Plan, say: Say, follow: Follow = follow_quietly) -> list[int]:
    """Enrol people and make plays as planned; return the plays. Raises BadPlan before anything is done."""
    wrong = troubles(plan, project.project_dossier(), actor)
    if wrong:
        raise BadPlan("\n".join(wrong))
    there = project.project_dossier()
    for person, given in plan.people.items():
        key = plan.key(person)
        if person not in there.people:
            people.enrol_person(project, actor, person, given.name or person, uid=given.uid, key=key)
            say(f"Enrolled {person}.")
        elif key is not None and not has_key(there, person, key):
            people.add_key(project, actor, person, key)
            say(f"The key {key.fingerprint} is {person}'s now.")
    return [_make(project, actor, plan, play, say, follow) for play in plan.plays]


def _make(project: Project, actor: Actor, plan: Plan, play: PlayPlan, say: Say, follow: Follow) -> int:
    before = queries.find_play(project, play.predecessor) if play.predecessor else None
    about = {"summary": play.summary, "task": play.task, "scale": play.levels, "predecessor": before}
    number = people.open_play(project, actor, play.name, play.kind, **about)  # type: ignore[arg-type]
    say(f"Opened P-{number:03d} {play.name}.")
    for role, person in play.roles.items():
        people.assign_role(project, number, actor, role, person)
    if play.roles:
        say(f"Roles: {', '.join(f'{role} {person}' for role, person in play.roles.items())}.")
    if play.worksheet:
        gates.fill_worksheet(project, number, actor, play.numbers(), play.worksheet_source)
        gates.qualify(project, number, actor)
        say("The trigger holds.")
    if play.gate:
        gates.edit_gate(project, number, actor, dataclasses.replace(play.read_gate(), predecessor=play.predecessor))
        say("The draft of the gate is saved.")
    if play.maintenance is not None:
        decide.set_maintenance(project, number, actor, play.maintenance.sample, play.maintenance.refresh_days)
    for traffic in play.traffic:
        bring(project, number, actor, plan, traffic, follow)
        say(f"Imported {Path(traffic.file).name}: {project.dossier(number).traffic[-1].rows:,} rows.")
    if play.teacher is not None:
        choose(project, number, actor, plan, play.teacher, follow)
        say(f"The teacher is {project.dossier(number).play.teacher_name}.")
    return number


def bring(
    project: Project, play: int, actor: Actor, plan: Plan, traffic: TrafficPlan, follow: Follow = follow_quietly
) -> None:
    """Import a planned file, to its end. Raises ProjectError as the run failed."""
    path, columns = plan.path(traffic.file), plan.columns(traffic)
    finished(
        follow(project, data.import_traffic(project, play, actor, path, columns, most_rejects=traffic.most_rejects))
    )


def choose(
    project: Project, play: int, actor: Actor, plan: Plan, teacher: TeacherPlan, follow: Follow = follow_quietly
) -> None:
    """Choose the planned teacher; a model folder is tried first. Raises ProjectError as its trial failed."""
    described = teacher.described()
    if teacher.folder:
        finished(follow(project, data.try_teacher(project, play, actor, plan.path(teacher.folder), described)))
    else:
        data.set_teacher(project, play, actor, described)


def finished(run: entities.Run) -> entities.Run:
    """Raise ProjectError if a run ended otherwise."""
    if run.status is not RunStatus.FINISHED:
        raise ProjectError(f"Run {run.id} ({run.kind.value}) {run.status.value}: {run.error or run.message}")
    return run


def waits(dossier: PlayDossier, actor: Actor) -> tuple[str, Action] | None:
    """Return who else takes the next step of a play, and which; None where it is the actor's own."""
    step, person = next_step(dossier), waits_for(dossier)
    return (person, step) if step is not None and person not in (None, actor.person) else None
