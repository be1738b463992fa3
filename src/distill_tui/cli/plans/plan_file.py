"""A plan: the people and plays of a project in one reviewed TOML file. It is read whole, and checked before any of it
is done; `steps` does it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

from distill_tui import tasks
from distill_tui.dataset.readers import ColumnMapping, guess_mapping
from distill_tui.gates import gate as gates
from distill_tui.gates import written
from distill_tui.people.keys import BadSignature, PublicKey
from distill_tui.people.signatures import read_public_key
from distill_tui.rules import entities, who
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.labels import first_map
from distill_tui.rules.objection import Objection
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import AssignRole, Enrol, FillWorksheet, OpenPlay, SetTeacher
from distill_tui.spec import Spec
from distill_tui.tasks import gate_problems
from distill_tui.teachers.description import Described
from distill_tui.terms import Action, PlayKind, Role, Stage, Task, TeacherSource
from distill_tui.training.folders import check_causal_folder, check_model_folder

TYPED = "plan file"  # the source of its numbers, where it names none


class BadPlan(ValueError):
    """A plan that cannot be carried out: one line a reason, each with its place in the file."""


@dataclass(frozen=True)
class PersonPlan:
    """A person to enrol: an OS account, an SSH public key, or both."""

    name: str = ""
    uid: int | None = None
    key: str = ""  # a .pub file next to the plan, or the line itself


@dataclass(frozen=True)
class TrafficPlan:
    """A file of traffic; columns that are not named are found by their usual names."""

    file: str
    columns: dict[str, str] = field(default_factory=dict)  # by meaning; "" leaves one out
    most_rejects: float = 0.05


@dataclass(frozen=True)
class TeacherPlan:
    """The teacher, in the words of `distill-tui teacher`."""

    recorded: bool = False
    folder: str = ""
    zero_shot: bool = False
    prompted: bool = False
    endpoint: str = ""
    model: str = ""
    revision: str = ""
    labels: tuple[str, ...] = ()
    template: str = ""
    completes: bool = False
    answer_tokens: int | None = None

    @property
    def source(self) -> TeacherSource:
        if self.endpoint:
            return TeacherSource.ENDPOINT
        if self.zero_shot or self.prompted:
            return TeacherSource.ZERO_SHOT if self.zero_shot else TeacherSource.PROMPTED
        return TeacherSource.LOCAL if self.folder else TeacherSource.RECORDED

    @property
    def request(self) -> SetTeacher:
        described = self.described()
        recorded = self.source is TeacherSource.RECORDED
        return SetTeacher(self.source, None if recorded else described is None or bool(described.labels))

    def described(self) -> Described | None:
        """Return the description of an endpoint, or of a prompted model; None for other teachers."""
        if self.source in (TeacherSource.LOCAL, TeacherSource.RECORDED):
            return None
        words = (self.model, ",".join(self.labels), self.template, self.endpoint, self.revision)
        return Described.chosen(self.source, *words, completes=self.completes, tokens=self.answer_tokens)


@dataclass(frozen=True)
class MaintenancePlan:
    """The calls to sample per month, and the days between refreshes."""

    sample: int
    refresh_days: int


@dataclass(frozen=True)
class PlayPlan:
    """One play up to its lock, its traffic, its teacher, and the students to train."""

    name: str
    kind: PlayKind
    task: Task = Task.CLASSIFICATION
    levels: str = ""  # of scores: levels like 1,2,3,4,5, or a range like 0..1
    summary: str = ""
    predecessor: str = ""  # the code of the killed play that this one replaces
    roles: dict[Role, str] = field(default_factory=dict)
    worksheet: dict[str, int | Decimal | str] = field(default_factory=dict)
    worksheet_source: str = TYPED
    gate: dict[str, object] = field(default_factory=dict)  # as `gate edit` reads it; empty: the kind's default
    traffic: tuple[TrafficPlan, ...] = ()
    teacher: TeacherPlan | None = None
    students: tuple[dict[str, object], ...] = ()  # each as `train --spec` reads it
    maintenance: MaintenancePlan | None = None

    def read_gate(self) -> gates.Gate:
        """Raises ValueError with one sentence."""
        if not self.gate:
            return tasks.default_gate(self.kind, self.task)
        try:
            return written.from_toml(tomli_w.dumps(self.gate))
        except ValueError as error:  # its lines are those of the part alone
            raise ValueError(re.sub(r" \(line \d+\)", "", str(error))) from None

    def specs(self) -> list[Spec]:
        """Raises ValueError with one sentence."""
        return [Spec.from_mapping(each) for each in self.students]

    def numbers(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.worksheet.items()}


@dataclass(frozen=True)
class Plan:
    """All of a plan file; paths are relative to `folder`."""

    name: str = ""  # of the project that `init` makes
    currency: str = ""  # of that project, ISO 4217
    people: dict[str, PersonPlan] = field(default_factory=dict)
    plays: tuple[PlayPlan, ...] = ()
    folder: Path = Path()

    def key(self, person: str) -> PublicKey | None:
        """Read a person's public key. Raises BadPlan."""
        given = self.people[person].key
        if not given:
            return None
        try:
            return read_public_key(given if " " in given.strip() else self.path(given).read_text(encoding="utf-8"))
        except (BadSignature, OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise BadPlan(f"people.{person}.key: {given[:60]}: {why}") from None

    def without_data(self) -> Plan:
        """Return the same plan without traffic and teacher, which take a worker's time."""
        return replace(self, plays=tuple(replace(play, traffic=(), teacher=None) for play in self.plays))

    def path(self, name: str) -> Path:
        return self.folder / Path(name).expanduser()

    def columns(self, traffic: TrafficPlan) -> ColumnMapping:
        """Return how a file is read: the columns that the plan names, over those found. Raises BadInput."""
        if set(traffic.columns) >= {each.name for each in fields(ColumnMapping)}:
            return ColumnMapping(**_named(traffic.columns))
        return replace(guess_mapping(self.path(traffic.file)), **_named(traffic.columns))


def _named(columns: Mapping[str, str]) -> dict[str, Any]:
    return {name: column or None for name, column in columns.items()}


# --- read --------------------------------------------------------------------------------------------------------


def read(text: str, folder: Path) -> Plan:
    """Read a plan. Raises BadPlan with the place of each thing that cannot be read."""
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"This is not TOML: {error}") from None
    strict = ConfigDict(extra="forbid")
    for part in (PersonPlan, TrafficPlan, TeacherPlan, MaintenancePlan, PlayPlan):
        with_config(strict)(part)
    try:
        plan: Plan = TypeAdapter(with_config(strict)(Plan)).validate_python(values)
    except ValidationError as error:
        raise BadPlan("\n".join(map(_worded, error.errors()))) from None
    return replace(plan, folder=folder)


def _worded(error: ErrorDetails) -> str:
    """Word what pydantic found, with its place, and the value where that is of another type."""
    value = f", not {str(error['input'])[:60]}" if error["type"].endswith(("_type", "_parsing")) else ""
    return f"{_place(error['loc'])}: {error['msg'][:1].lower()}{error['msg'][1:]}{value}"


def _place(loc: tuple[int | str, ...]) -> str:
    """Name a place as a person counts: plays 1, not plays 0."""
    return ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in loc)


# --- check -------------------------------------------------------------------------------------------------------


def troubles(plan: Plan, project: ProjectDossier, actor: Actor) -> list[str]:
    """Return all that would be refused or fail, each with its place; empty where all of the plan can be done."""
    found = [*_of_people(plan, project, actor)]
    people = dict(project.people) | {each: entities.Person(id=each, name="", enrolled_at="") for each in plan.people}
    names: set[str] = set(project.play_names)
    for number, play in enumerate(plan.plays, 1):
        place = f"plays.{number}"
        known = replace(project, people=people, play_names=frozenset(names))
        found += [f"{place}.{each}" for each in _of_play(plan, play, known, actor)]
        names.add(play.name)
    return found


def troubles_when_new(plan: Plan, actor: Actor) -> list[str]:
    """Return the troubles of a plan in the project that is about to be made of it, with the actor alone in it."""
    me = actor.person or ""
    person = entities.Person(id=me, name=me, enrolled_at="")
    return troubles(plan, ProjectDossier(uid="", name=plan.name, keeper=me, people={me: person}), actor)


def _of_people(plan: Plan, project: ProjectDossier, actor: Actor) -> Iterator[str]:
    for person, given in plan.people.items():
        try:
            key = plan.key(person)
        except BadPlan as error:
            yield str(error)
            continue
        if person in project.people:
            if key is not None and not has_key(project, person, key):
                wrong = who.add_proof(project, actor, Enrol(person, fingerprint=key.fingerprint))
                yield from (f"people.{person}: {each.sentence}" for each in wrong)
            continue
        if key is None and given.uid is None:
            yield f"people.{person}: name a key or a uid, which proves who acts."
        request = Enrol(person, given.uid, key.fingerprint if key else None)
        yield from (f"people.{person}: {wrong.sentence}" for wrong in who.enrol_person(project, actor, request))
        project = _with(project, person, given.uid, key)


def has_key(project: ProjectDossier, person: str, key: PublicKey) -> bool:
    return any(each.fingerprint == key.fingerprint and each.person_id == person for each in project.keys)


def _with(project: ProjectDossier, person: str, uid: int | None, key: PublicKey | None) -> ProjectDossier:
    """Return the project with one person more, for the rules to compare the next one with."""
    there = {**project.people, person: entities.Person(id=person, name="", enrolled_at="")}
    accounts = [entities.Account(uid=uid, person_id=person, added_at="")] if uid is not None else []
    about = {"person_id": person, "added_at": ""}
    keys = [entities.SshKey(fingerprint=key.fingerprint, kind=key.kind, blob=key.blob, **about)] if key else []
    return replace(project, people=there, accounts=(*project.accounts, *accounts), keys=(*project.keys, *keys))


def _of_play(plan: Plan, play: PlayPlan, project: ProjectDossier, actor: Actor) -> Iterator[str]:
    dossier, wrong = _imagined(play, project), list[tuple[str, Objection]]()
    wrong += [
        ("name", each) for each in who.open_play(project, actor, OpenPlay(play.name, None, play.task, play.levels))
    ]
    for role, person in play.roles.items():
        asked = objections(Action.ASSIGN_ROLE, dossier, actor, AssignRole(role, person))
        wrong += [(f"roles.{role}", each) for each in asked]
    if play.worksheet:
        asked = objections(Action.FILL_WORKSHEET, dossier, actor, FillWorksheet(play.numbers()))
        wrong += [("worksheet", each) for each in asked or objections(Action.QUALIFY, dossier, actor)]
    if play.traffic:
        wrong += [("traffic", each) for each in objections(Action.IMPORT_TRAFFIC, dossier, actor)]
    if play.teacher is not None:
        wrong += [("teacher", each) for each in objections(Action.SET_TEACHER, dossier, actor, play.teacher.request)]
    yield from dict.fromkeys(f"{place}: {each.sentence}" for place, each in wrong)
    try:
        yield from (f"gate: {sentence}" for sentence in gate_problems(play.read_gate(), play.kind, play.task))
    except ValueError as error:
        yield f"gate: {error}"
    try:
        play.specs()
    except ValueError as error:
        yield f"students: {error}"
    yield from _of_files(plan, play)


def _of_files(plan: Plan, play: PlayPlan) -> Iterator[str]:
    for traffic in play.traffic:
        known = {each.name for each in fields(ColumnMapping)}
        strange = sorted(set(traffic.columns) - known)
        if strange:
            yield f"traffic: there is no column “{strange[0]}”; the columns are {', '.join(sorted(known))}."
        elif not plan.path(traffic.file).exists():
            yield f"traffic: {traffic.file} does not exist; paths are relative to the plan file."
        else:
            try:
                plan.columns(traffic)
            except ValueError as error:
                yield f"traffic: {error}"
    teacher = play.teacher
    if teacher is None:
        return
    if (teacher.recorded, bool(teacher.folder), bool(teacher.endpoint)).count(True) != 1:
        yield "teacher: name one of recorded = true, folder and endpoint."
        return
    if teacher.folder:
        check = check_causal_folder if teacher.prompted else check_model_folder
        trouble = check(plan.path(teacher.folder))
        if trouble:
            yield f"teacher: {trouble}"
    described = teacher.described()
    if described is not None:
        trouble = replace(described, model=described.model or "stored").problem()
        if trouble:
            yield f"teacher: {trouble}"


def _imagined(play: PlayPlan, project: ProjectDossier) -> PlayDossier:
    """Return the play as the plan will have made it, for the rules to look at."""
    about = {"name": play.name, "summary": play.summary, "kind": play.kind, "task": play.task}
    about["label_map"] = first_map(play.levels)
    opened = entities.Play(id=0, **about, stage=Stage.QUALIFY, opened_at="", stage_since="")  # type: ignore[arg-type]
    numbers = {
        name: entities.WorksheetValue(play_id=0, name=name, value=value, source=play.worksheet_source)
        for name, value in play.numbers().items()
    }
    return PlayDossier(project=project, play=opened, roles=play.roles, worksheet=numbers)


# --- write -------------------------------------------------------------------------------------------------------


def write(plan: Plan) -> str:
    """Write a plan as TOML that `read` reads back."""
    whole: dict[str, object] = {"name": plan.name} if plan.name else {}
    whole |= {"currency": plan.currency} if plan.currency else {}
    whole["people"] = {person: _plain(each) for person, each in plan.people.items()}
    whole["plays"] = [_plain(play) for play in plan.plays]
    return tomli_w.dumps(whole)


def _plain(part: object) -> object:
    """Leave out what has its default, and turn parts into tables."""
    if isinstance(part, tuple | list):
        return [_plain(each) for each in part]
    if isinstance(part, dict):
        return {str(name): _plain(value) for name, value in part.items()}
    if not is_dataclass(part):
        return part if isinstance(part, bool | int | float | Decimal) else str(part)
    values = {each.name: getattr(part, each.name) for each in fields(part)}
    return {name: _plain(value) for name, value in values.items() if value not in (None, "", (), {}, False)}
