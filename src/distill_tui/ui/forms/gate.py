"""The forms of the first two stages: open a play, roles, the trigger's numbers, the gate and its lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from distill_tui import actions, tasks
from distill_tui.dataset import play_data
from distill_tui.gates import economics
from distill_tui.gates import written as gate_written
from distill_tui.gates.gate import Gate
from distill_tui.gates.power import power
from distill_tui.gates.wording import count
from distill_tui.rounds import play_traffic
from distill_tui.rules import who
from distill_tui.rules.dossier import ProjectDossier
from distill_tui.rules.gate import cannot_pass
from distill_tui.rules.measurable import held_out_rows
from distill_tui.rules.next_step import FIRST_PLAY
from distill_tui.rules.requests import AssignRole, FillWorksheet, LockGate, OpenPlay
from distill_tui.store import glance, sqlite
from distill_tui.terms import Action, PlayKind, Role, Stage, Task
from distill_tui.ui.forms.drafts import UNDO
from distill_tui.ui.forms.form import Ask, Call, Form, Say, Show, Step, WrongField, call, objection, opens, plain
from distill_tui.ui.forms.gate_sheet import GateSheet
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.gate_tab import power_word
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page
from distill_tui.ui.widgets.output import OutputSheet

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

TASKS = "classification: one label; multilabel: a set; generation: text or JSON; score 1,2,3,4,5 or score 0..1: scores."


@opens(Action.OPEN_PLAY)
def open_play(app: DistillApp, view: View) -> Step:
    return successor(app, view) if view.play.stage is Stage.KILLED else new_play(app)


def successor(app: DistillApp, view: View) -> Step:
    """Open a play that follows a killed one, and show how the two differ."""
    old = view.dossier

    def read(values: Values) -> str:
        for wrong in who.open_play(_named(app), app.actor, OpenPlay(values["name"], old.play)):
            raise ValueError(wrong.sentence)
        return values["name"]

    def submit(name: str) -> Step:
        def shown(made: actions.Successor) -> Step:
            code = f"P-{made.play:03d}"
            lines = made.table(old.code, code)
            app.open_play(made.play)
            return Show(OutputSheet(f"{code} {name} follows {old.code}", lines))

        return Call(lambda project: actions.open_successor(project, app.actor, view.play_id, name), then=shown)

    return Form(
        None,
        "open it",
        submit,
        (
            f"It follows {old.code} {old.play.name}, with the same kind and task. Roles, numbers, gate (as a draft), "
            "terms, traffic as it was read, teacher, label map and maintenance are carried over, as far as you may. "
            "Each is logged as your own act.",
            "Data set, students, evaluation and sign-offs are not. What differs is shown next.",
        ),
        (Field("name", "name", _next_name(old.play.name), "1 to 80 characters."),),
        read,
        title=f"Open the successor of {old.code}",
        command=f"distill-tui new NAME --predecessor {old.code} --carry",
    )


def _next_name(name: str) -> str:
    stem, dash, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if dash and number.isdigit() else f"{name}-2"


def _named(app: DistillApp) -> ProjectDossier:
    try:
        names = glance.names(app.path)
    except sqlite.DatabaseErrors:
        names = frozenset()
    return ProjectDossier(uid="", name="", keeper="", play_names=names)


def new_play(app: DistillApp) -> Step:

    def read(values: Values) -> Values:
        task, _, scale = values["task"].partition(" ")  # of scores, the scale is typed after the word
        values = {**values, "task": task, "scale": scale.strip()}
        for name, what, known in (("kind", "kind of play", PlayKind), ("task", "task", Task)):
            if values[name] not in list(known):
                raise ValueError(f"“{values[name]}” is not a {what}. The {name}s are {', '.join(known)}.")
        if task == Task.SCORE and not values["scale"]:
            raise ValueError("Scores need their scale. Write the scale after the word: score 1,2,3,4,5 or score 0..1.")
        asked = OpenPlay(values["name"], None, Task(task), values["scale"])
        for wrong in who.open_play(_named(app), app.actor, asked):
            raise ValueError(wrong.sentence)
        return values

    def submit(new: Values) -> Step:
        def work(project: Project) -> int:
            name, kind, task = new["name"], PlayKind(new["kind"]), Task(new["task"])
            summary, scale = new["summary"], new["scale"]
            return actions.open_play(project, app.actor, name, kind, summary=summary, task=task, scale=scale)

        return Call(work, f"{new['name']} is open.", app.open_play)

    return Form(
        None,
        "open it",
        submit,
        (FIRST_PLAY,),
        (
            Field("name", "name", hint="What people call it, like refund-intent: 1 to 80 characters."),
            Field("kind", "kind", PlayKind.COST.value, f"One of {', '.join(PlayKind)}.", tuple(PlayKind)),
            Field("task", "task", Task.CLASSIFICATION.value, TASKS, tuple(Task)),
            Field("summary", "what it does", hint="One sentence. Optional."),
        ),
        read,
        title="Open a play: one task that a small model takes over",
        command="distill-tui new NAME --kind cost --task classification",
    )


# The order in which several roles change: a validator who becomes the driver is replaced first, and the sponsor, who
# may be the one who assigns, last.
ASSIGNED = (Role.VALIDATOR, Role.OPERATOR, Role.DRIVER, Role.SPONSOR)


@opens(Action.ASSIGN_ROLE)
def assign_role(app: DistillApp, view: View) -> Step:
    people = tuple(sorted(view.dossier.project.people))
    held = {role: view.dossier.roles.get(role, "") for role in Role}

    def read(values: Values) -> dict[Role, str]:
        changed = {role: values[role.value] for role in ASSIGNED if values[role.value] not in ("", held[role])}
        holders = held | changed
        if holders[Role.DRIVER] and holders[Role.DRIVER] == holders[Role.VALIDATOR]:
            raise ValueError(f"{holders[Role.DRIVER]} cannot be driver and validator. Name two people.")
        seen = view.dossier
        for role, person in changed.items():  # each as it stands after those before it
            if wrong := objection(Action.ASSIGN_ROLE, seen, app.actor, AssignRole(role, person)):
                raise WrongField(wrong, role.value)
            seen = replace(seen, roles={**seen.roles, role: person})
        if not changed:
            raise ValueError("Name a person for a role; nothing was changed.")
        return changed

    def submit(changed: Mapping[Role, str]) -> Step:
        def work(project: Project) -> None:
            for role, person in changed.items():
                actions.assign_role(project, view.play_id, view.actor, role, person)

        return Call(work, "The roles are assigned.")

    return Form(
        Action.ASSIGN_ROLE,
        "assign the roles",
        submit,
        (
            "The sponsor locks the gate, the driver builds, the validator signs off, the operator maintains the live "
            "student. A driver counts as a builder, and a builder can never validate this play. One who is replaced "
            "before anything was built does not count.",
            f"Enrolled: {', '.join(people)}.",
        ),
        [Field(role.value, role.value, held[role], "A person's id; → completes it.", people) for role in Role],
        read,
        title=f"Roles in {view.play.code}",
    )


@opens(Action.FILL_WORKSHEET)
def fill_worksheet(app: DistillApp, view: View) -> Step:
    if not view.dossier.traffic or objection(Action.FILL_WORKSHEET, view.dossier, view.actor):
        return numbers(view, {}, "")

    def measured(project: Project) -> tuple[Mapping[str, str], str]:
        from distill_tui.dataset import window  # pyarrow, only in this thread

        found, offered = play_traffic.window(project, view.play_id)
        return offered, window.source(found)

    return Call(measured, then=lambda found: numbers(view, *found))


def numbers(view: View, offered: Mapping[str, str], source: str) -> Step:
    """Ask for the trigger's numbers, with those filled in that the traffic gives."""
    rows, kind = view.dossier.worksheet, view.play.kind

    def read(values: Values) -> tuple[Values, str]:
        changed = {
            name: value
            for name, value in values.items()
            if name != "source" and value and (name not in rows or rows[name].value != value)
        }
        return changed, values["source"] or "typed"

    def asked_for(question: economics.Question, optional: str = "") -> Field:
        name = question.name
        value = rows[name].value if name in rows else offered.get(name, "")
        known = f"The traffic gives {offered[name]}. " if name in offered else ""
        unit = question.unit_in(view.dossier.project.currency)
        hint = f"{known}{optional}{question.sentence} In {unit}, for example {question.example}."
        return Field(name, name, value, hint)

    def submit(asked: tuple[Values, str]) -> Step:
        changed, typed_from = asked
        if not changed:
            return Say("No number was changed.")
        measured = {name: value for name, value in changed.items() if offered.get(name) == value}
        typed = {name: value for name, value in changed.items() if name not in measured}

        def work(project: Project) -> None:
            for values, origin in ((measured, source), (typed, typed_from)):
                if values:
                    actions.fill_worksheet(project, view.play_id, view.actor, values, origin)

        return Call(work, f"{count(len(changed), 'number')} filled in. {UNDO}")

    return Form(
        Action.FILL_WORKSHEET,
        "fill in",
        submit,
        (f"Empty numbers are filled in from the traffic: {source}.",) if offered else (),
        [
            *(asked_for(question) for question in economics.WORKSHEET[kind]),
            Field("source", "source", "typed", "Where the numbers come from, like: billing export of May."),
            *(asked_for(question, "Optional. ") for question in economics.BESIDES[kind]),
        ],
        read,
        asks=lambda asked: FillWorksheet(asked[0]),
        title=f"Trigger of {view.play.code}: why a student is worth building",
        more=" --from-traffic" if offered else "",
    )


@opens(Action.QUALIFY)
def qualify(app: DistillApp, view: View) -> Step:
    body = "The trigger holds. The numbers can still be corrected until the gate is locked."
    done = call(view, "The play qualifies. The gate comes next.", actions.qualify)
    return plain(view, Action.QUALIFY, "qualify", done, body)


@opens(Action.EDIT_GATE)
def edit_gate(app: DistillApp, view: View) -> Step:
    before = view.dossier.gate
    draft = play_data.draft(before or tasks.default_gate(view.play.kind, view.play.task), view.repeats)
    unchanged = "The gate was not changed."

    def written(gate: Gate) -> Step:
        if gate == before:
            return Say(unchanged)
        return call(view, f"The draft of the gate is saved. {UNDO}", actions.edit_gate, gate)

    return Ask(GateSheet(view.play.code, view.play.kind, view.play.task, draft), written, unchanged)


ANYWAY = Field("anyway", "lock it all the same", "", "Write yes to lock a gate that cannot pass; it is logged.")


@opens(Action.LOCK_GATE)
def lock_gate(app: DistillApp, view: View) -> Step:
    gate = view.dossier.gate
    assert gate is not None
    digest, there, hopeless = gate_written.digest(gate), held_out_rows(view.dossier), cannot_pass(view.dossier)

    def read(values: Values) -> LockGate:
        return LockGate(expected=digest, cannot_pass=values.get("anyway", "").strip().casefold() == "yes")

    def submit(asked: LockGate) -> Step:
        anyway = asked.cannot_pass
        return call(view, "The gate is locked.", actions.lock_gate, digest, cannot_pass=anyway, key=app.key)

    return Form(
        Action.LOCK_GATE,
        "lock it",
        submit,
        (
            "A locked gate never changes, by any screen, command or SQL. To change what success means, kill the play "
            "and open a new one.",
            *(("misses", sentence) for sentence in hopeless),
            f"{len(gate.criteria)} criteria, {gate.held_out_rows:,} held-out rows, {gate.rounds} rounds, "
            f"digest {page.short(digest)}. What the rows can prove:",
            *((power_word(note), note.sentence) for note in power(gate, held_out=there)),
        ),
        (ANYWAY,) if hopeless else (),
        read,
        title=f"Lock the gate of {view.play.code} for good",
        more=" --cannot-pass" if hopeless else "",
        typed=view.play.code,
    )
