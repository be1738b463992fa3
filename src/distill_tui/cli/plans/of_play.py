"""Write a plan from a play: what a next play would begin with."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal

from distill_tui.cli.plans.plan_file import MaintenancePlan, PersonPlan, Plan, PlayPlan, TeacherPlan, TrafficPlan
from distill_tui.gates import written
from distill_tui.gates.gate import Gate
from distill_tui.rules import labels
from distill_tui.rules.dossier import PlayDossier, ProjectDossier, read_object
from distill_tui.rules.training import trained
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.terms import RunKind, RunStatus, Stage, TeacherSource


def plan_of(project: Project, play_id: int) -> Plan:
    """Write down how a play stands, as a plan for the next one: nothing that was decided about it, and no run."""
    dossier = project.dossier(play_id)
    play, row = dossier.play, dossier.play.teacher_source
    specs = [read_object(run.spec) for run in dossier.runs if run.kind is RunKind.TRAIN and run in trained(dossier)]
    watched = play.sampling_per_month and play.refresh_days
    numbers = {name: value.value for name, value in dossier.worksheet.items()}
    planned = PlayPlan(
        name=play.name,
        kind=play.kind,
        task=play.task,
        levels=labels.scale_text(play),
        summary=play.summary,
        predecessor=play.code if play.stage is Stage.KILLED else "",
        roles=dict(dossier.roles),
        worksheet=dict(numbers),
        worksheet_source=next((value.source for value in dossier.worksheet.values()), "") or "an earlier play",
        gate=gate_table(dossier.gate) if dossier.gate is not None else {},
        traffic=tuple(_traffic(project, dossier)),
        teacher=_teacher(project, dossier) if row else None,
        students=tuple(specs),
        maintenance=MaintenancePlan(play.sampling_per_month or 0, play.refresh_days or 0) if watched else None,
    )
    named = {*dossier.roles.values()}
    people = {each: _person(dossier.project, each) for each in sorted(named)}
    return Plan(dossier.project.name, dossier.project.currency, people, (planned,))


def gate_table(gate: Gate) -> dict[str, object]:
    """Return a gate as a table of a plan."""
    values = tomllib.loads(written.to_toml(gate), parse_float=Decimal)
    return {name: value for name, value in values.items() if name != "predecessor"}


def _person(project: ProjectDossier, person: str) -> PersonPlan:
    uid = next((each.uid for each in project.accounts if each.person_id == person), None)
    keys = [each for each in project.keys if each.person_id == person and each.revoked_at is None]
    key = f"{keys[-1].kind} {keys[-1].blob}" if keys else ""
    return PersonPlan(project.people[person].name, uid, key)


def _traffic(project: Project, dossier: PlayDossier) -> Iterator[TrafficPlan]:
    """Yield the files that were imported in the first round, from where they were imported."""
    for run in dossier.runs:
        spec = read_object(run.spec)
        if (
            run.kind is RunKind.IMPORT
            and run.status is RunStatus.FINISHED
            and run.round == 1
            and "variations" not in spec
        ):
            mapping: Mapping[str, str | None] = spec["mapping"]
            columns = {name: column for name, column in mapping.items() if column}
            for source in spec["sources"]:
                yield TrafficPlan(str(source), columns, float(spec["most_rejects"]))


def _teacher(project: Project, dossier: PlayDossier) -> TeacherPlan:
    play = dossier.play
    source, described = play.teacher_source, Described.of(project.artifacts, play)
    if source is TeacherSource.RECORDED:
        return TeacherPlan(recorded=True)
    if described is None:
        return TeacherPlan(folder=str(project.artifacts.path(play.teacher_digest)))
    planned = TeacherPlan(
        labels=described.labels,
        template=described.template,
        revision=described.revision,
        completes=described.completes,
        answer_tokens=described.max_tokens,
    )
    if source is TeacherSource.ENDPOINT:
        return dataclasses.replace(planned, endpoint=described.base_url, model=described.model)
    folder, zero = str(project.artifacts.path(described.model)), source is TeacherSource.ZERO_SHOT
    return dataclasses.replace(planned, folder=folder, zero_shot=zero, prompted=not zero)
