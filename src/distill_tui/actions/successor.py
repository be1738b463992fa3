"""The successor of a killed play: what can be carried over is, each part by its own verb, and the rest is named.

Nothing that was decided, measured or signed is carried over. The verbs ask the rules as ever: a part that the actor may
not do is left to those who may.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from distill_tui.actions import data, decide, people
from distill_tui.actions import gate as gates
from distill_tui.gates.compare import compare
from distill_tui.reports.text import table
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.labels import confirmed, scale_of, scale_text
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ImportTraffic, SetTeacher
from distill_tui.rules.results import ImportReport, known
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.teachers.choice import choose
from distill_tui.terms import Action, Role, RunKind

DASH = "–"


@dataclass(frozen=True)
class Part:
    """One part of a play: in the killed play, and in its successor."""

    what: str
    before: str
    now: str
    why: str = ""  # it differs

    @property
    def differs(self) -> bool:
        return self.before != self.now


@dataclass(frozen=True)
class Successor:
    """The play that was opened, and how it differs from the one that it follows."""

    play: int
    parts: tuple[Part, ...]

    def table(self, before: str, now: str, *, plain: bool = False) -> list[str]:
        rows = [("differs" if each.differs else "", each.what, each.before, each.now, each.why) for each in self.parts]
        return table(("", "", before, now, "WHY"), rows, plain=plain)


def open_successor(project: Project, actor: Actor, predecessor: int, name: str) -> Successor:
    """Open a play that follows a killed one, and carry over roles, numbers, gate, traffic, teacher and label map."""
    old = project.dossier(predecessor)
    before = old.play
    play = people.open_play(
        project,
        actor,
        name,
        before.kind,
        summary=before.summary,
        task=before.task,
        scale=scale_text(before),
        predecessor=predecessor,
    )
    why: dict[str, str] = {}
    for part, verb in _steps(project, play, actor, old):
        try:
            verb()
        except Refused as refused:
            why.setdefault(part, refused.objections[0].sentence)
    return Successor(play, tuple(differences(old, project.dossier(play), why)))


def _steps(project: Project, play: int, actor: Actor, old: PlayDossier) -> Iterator[tuple[str, Callable[[], object]]]:
    about = project, play, actor
    for role in (Role.VALIDATOR, Role.OPERATOR, Role.DRIVER, Role.SPONSOR):
        if person := old.roles.get(role):
            yield role.value, lambda role=role, person=person: people.assign_role(*about, role, person)  # type: ignore[misc]
    by_source: dict[str, dict[str, str]] = {}
    for number, row in old.worksheet.items():
        by_source.setdefault(row.source, {})[number] = row.value
    for source, values in by_source.items():
        yield "numbers", lambda source=source, values=values: gates.fill_worksheet(*about, values, source)  # type: ignore[misc]
    if old.gate is not None:
        gate = replace(old.gate, predecessor=old.code)
        yield "gate", lambda: gates.edit_gate(*about, gate)
    if (terms := old.terms) is not None:
        yield "terms", lambda: _confirm(*about, terms)
    for traffic in carried(old):
        yield "traffic", lambda traffic=traffic: _bring(*about, traffic)  # type: ignore[misc]
    if old.play.teacher_source:
        yield "teacher", lambda: _choose(*about, old.play)
    scale = scale_of(old.play)
    if confirmed(old) and (scale is None or {*confirmed(old)} > {*scale.labels}):
        yield "label map", lambda: data.map_labels(*about, confirmed(old))
    if old.play.sampling_per_month and old.play.refresh_days:
        watch = old.play.sampling_per_month, old.play.refresh_days
        yield "maintenance", lambda: decide.set_maintenance(*about, *watch)


def _confirm(project: Project, play: int, actor: Actor, terms: entities.ProviderTerms) -> None:
    data.confirm_terms(project, play, actor, terms.provider, terms.version, terms.dated, bool(terms.permits))


def carried(old: PlayDossier) -> list[entities.Traffic]:
    """Return the imported files, without variations and what a live student was observed on."""
    reports = [(each, known(ImportReport, each.report)) for each in old.traffic]
    return [each for each, report in reports if report and report.variations is None and not report.observed]


def _bring(project: Project, play: int, actor: Actor, traffic: entities.Traffic) -> None:
    """Take over an imported file as it was read: the same artifact, columns and report."""
    request = ImportTraffic(traffic.name, traffic.source_digest, traffic.mapping, traffic.rows, traffic.rejects)
    mapping = json.loads(traffic.mapping)
    request = replace(request, answers_of=str(mapping.get("answers_of", "")) if isinstance(mapping, dict) else "")
    with project.change(Action.IMPORT_TRAFFIC, play, actor, request) as change:
        columns = ("name", "source_digest", "artifact", "mapping", "rows", "rejects", "report")
        values = {name: getattr(traffic, name) for name in columns}
        change.session.add(tables.Traffic(play_id=play, round=1, imported_at=change.at, **values))
        change.detail |= {"name": traffic.name, "rows": traffic.rows, "traffic": traffic.artifact}
        change.detail |= {"carried_over_from": f"P-{traffic.play_id:03d}"}


def _choose(project: Project, play: int, actor: Actor, old: entities.Play) -> None:
    """Take over the teacher, which was tried there."""
    request = SetTeacher(old.teacher_source, None, old.teacher_digest)
    with project.change(Action.SET_TEACHER, play, actor, request) as change:
        labels = json.loads(old.teacher_labels)
        change.detail |= choose(change.play, old.teacher_source, old.teacher_name, old.teacher_digest, labels)
        change.session.add(change.play)


def differences(old: PlayDossier, new: PlayDossier, why: dict[str, str]) -> Iterator[Part]:
    """Put the two plays side by side: what is carried over, what differs, and what never is."""
    for role in Role:
        yield Part(role.value, old.roles.get(role, DASH), new.roles.get(role, DASH), why.get(role.value, ""))
    names = sorted({*old.worksheet, *new.worksheet})
    now = [name for name in names if _value(old, name) != _value(new, name)]
    same = f"{len(new.worksheet)} numbers"
    differ = ", ".join(f"{name} {_value(new, name)}" for name in now)
    yield Part("numbers", f"{len(old.worksheet)} numbers", differ or same, why.get("numbers", ""))
    if old.gate is not None and new.gate is not None:
        moved = [line for line in compare(old.gate, new.gate) if line.moved]
        state = "the same, a draft" if not moved else f"a draft, {len(moved)} fields differ"
        yield Part("gate", "locked" if old.locked else "a draft", state, why.get("gate", ""))
    yield Part("traffic", _files(carried(old)), _files(list(new.traffic)), why.get("traffic", ""))
    yield Part("teacher", old.play.teacher_name or DASH, new.play.teacher_name or DASH, why.get("teacher", ""))
    yield Part("label map", f"{len(confirmed(old))} names", f"{len(confirmed(new))} names", why.get("label map", ""))
    yield Part("maintenance", _maintenance(old.play), _maintenance(new.play), why.get("maintenance", ""))
    trained = sum(run.kind is RunKind.TRAIN for run in old.runs)
    yield Part("data set", "frozen" if any(d.frozen_at for d in old.data_sets) else DASH, DASH, "never carried over")
    yield Part("students", f"{trained}", "0", "never carried over")
    yield Part("sign-offs", f"{len(old.sign_offs)}", "0", "never carried over")
    looks = sum(not each.reproduced for each in old.evaluations)
    if looks:
        again = "another seed of the gate draws others" if old.gate is not None else ""
        yield Part("looks at held-out rows", f"{looks}", "0", f"the same seed draws the same rows: {again}")


def _value(dossier: PlayDossier, name: str) -> str:
    return dossier.worksheet[name].value if name in dossier.worksheet else DASH


def _files(found: list[entities.Traffic]) -> str:
    return ", ".join(f"{each.name} ({each.rows:,} rows)" for each in found) or DASH


def _maintenance(play: entities.Play) -> str:
    return f"{play.sampling_per_month} a month, {play.refresh_days} days" if play.refresh_days else DASH
