"""What the keys of a play do: the table of all, and those that come before the first run.

Whether an action may be done, the rules say, before the sheet opens and again at the door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from distill_tui import gates
from distill_tui.gates import economics
from distill_tui.rules.actor import Actor
from distill_tui.rules.gate import segment_shares
from distill_tui.rules.permission import objections
from distill_tui.terms import Action, Role
from distill_tui.ui.forms import data_deeds, decisions, intake, keeping, review, sheets
from distill_tui.ui.forms.asking import ask, objects, plain, twin, typed
from distill_tui.ui.forms.sheets import Body, Field, Sheet, Values
from distill_tui.ui.play.tabs import power_word
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp


def take(app: DistillApp, action: Action, view: View) -> None:
    """Open the sheet of an action; what is given back there is done."""
    if app.restricted and action in OF_THE_HOST:
        command = f"distill-tui {action.command} {view.play.code}"
        app.say(f"A session over SSH reads no file of the host; do this there: `{command}`.", "warning")
        return
    DEEDS[action](app, view)


# --- qualify and gate --------------------------------------------------------------------------------------------


def roles(app: DistillApp, view: View) -> None:
    """Give the four roles."""
    people = tuple(sorted(view.dossier.project.people))
    held = {role: view.dossier.roles.get(role, "") for role in Role}

    def changes(values: Values) -> dict[Role, str]:
        return {role: values[role.value] for role in Role if values[role.value] not in ("", held[role])}

    def check(values: Values) -> str:
        for role, person in changes(values).items():
            wrong = objects(Action.ASSIGN_ROLE, view, {"role": role, "person": person})
            if wrong:
                return wrong
        given = held | changes(values)
        if given[Role.DRIVER] and given[Role.DRIVER] == given[Role.VALIDATOR]:
            return f"{given[Role.DRIVER]} cannot drive and validate; name two persons."
        return ""

    sheet = Sheet(
        f"The roles of {view.play.code}",
        (
            "The sponsor locks the gate, the driver builds, the validator signs off, the operator keeps the live "
            "student. Whoever drives has built, for good, and can never validate.",
            f"Enrolled: {', '.join(people)}.",
        ),
        [Field(role.value, role.value, held[role], "A person's id; → completes it.", people) for role in Role],
        does="give the roles",
        check=check,
        twin=twin(Action.ASSIGN_ROLE, view),
    )
    said = "The roles are given."
    ask(app, sheet, lambda values: app.perform(_give, view.play_id, app.actor, changes(values), done=said))


def _give(project: Project, play_id: int, actor: Actor, given: Mapping[Role, str]) -> None:
    from distill_tui import actions

    for role, person in given.items():
        actions.assign_role(project, play_id, actor, role, person)


def numbers(app: DistillApp, view: View) -> None:
    """Fill in the trigger's numbers; those that imported traffic knows are offered."""
    if not view.dossier.traffic or objections(Action.FILL_WORKSHEET, view.dossier, view.actor):
        _numbers(app, view, {}, "")
        return

    def measured(found: tuple[Mapping[str, str], str]) -> None:
        _numbers(app, view, *found)

    app.perform(_from_traffic, view.play_id, then=measured)


def _from_traffic(project: Project, play_id: int) -> tuple[Mapping[str, str], str]:
    from distill_tui.dataset import window
    from distill_tui.store import queries

    measured, found = queries.window(project, play_id)
    return found, window.source(measured)


def _numbers(app: DistillApp, view: View, offered: Mapping[str, str], source: str) -> None:
    rows = view.dossier.worksheet

    def changes(values: Values) -> Values:
        return {
            name: value
            for name, value in values.items()
            if name != "source" and value and (name not in rows or rows[name].value != value)
        }

    def field(question: economics.Question, owed: str = "") -> Field:
        name = question.name
        value = rows[name].value if name in rows else offered.get(name, "")
        hint = f"{owed}{question.sentence} In {question.unit}, for example {question.example}."
        return Field(name, name, value, f"The traffic says {offered[name]}. {hint}" if name in offered else hint)

    told = f"What the traffic says is filled in where nothing stood: {source}." if offered else ""
    sheet = Sheet(
        f"The trigger of {view.play.code}: why a student is worth building",
        (told,) if told else (),
        [
            *(field(question) for question in economics.WORKSHEET[view.play.kind]),
            Field("source", "where they come from", "typed", "Like: billing export of May."),
            *(field(question, "Optional. ") for question in economics.BESIDES[view.play.kind]),
        ],
        does="fill in",
        check=lambda values: objects(Action.FILL_WORKSHEET, view, {"values": changes(values)}),
        twin=twin(Action.FILL_WORKSHEET, view) + (" --from-traffic" if offered else ""),
    )

    def fill(values: Values) -> None:
        given = changes(values)
        if not given:
            app.say("No number was changed.")
            return
        taken = {name: value for name, value in given.items() if offered.get(name) == value}
        typed = {name: value for name, value in given.items() if name not in taken}
        parts = {source: taken, values["source"] or "typed": typed}
        done = f"{len(given)} number{'s' * (len(given) > 1)} filled in."
        app.perform(_fill, view.play_id, app.actor, parts, done=done)

    ask(app, sheet, fill)


def _fill(project: Project, play_id: int, actor: Actor, parts: Mapping[str, Mapping[str, str]]) -> None:
    from distill_tui import actions

    for source, values in parts.items():
        if values:
            actions.fill_worksheet(project, play_id, actor, values, source)


def edit_gate(app: DistillApp, view: View) -> None:
    """Write the draft of the gate."""
    gate = view.dossier.gate or gates.default_gate(view.play.kind)

    from distill_tui.store import queries

    def written(new: gates.Gate | None) -> None:
        from distill_tui import actions

        if new is None or new == view.dossier.gate:
            app.say("The gate was not changed.")
        else:
            app.perform(actions.edit_gate, view.play_id, app.actor, new, done="The draft of the gate is saved.")

    app.push_screen(
        sheets.GateSheet(view.play.code, view.play.kind, view.play.task, queries.draft(gate, view.repeats)), written
    )


def lock(app: DistillApp, view: View) -> None:
    """Lock the gate, after what its rows can prove was read."""
    gate = view.dossier.gate
    if gate is None:
        return
    expected = gates.digest(gate)
    notes = [
        (power_word(note), note.sentence) for note in gates.power(gate, segment_shares=segment_shares(view.dossier))
    ]
    body: Body = (
        "A locked gate never changes: not by a screen, a command or SQL. To move the goalposts one kills the play.",
        f"{len(gate.criteria)} criteria, {gate.held_out_rows:,} held-out rows, {gate.rounds} rounds, "
        f"digest {page.short(expected)}. What the rows can prove:",
        *notes,
    )
    typed(app, Action.LOCK_GATE, view, f"Lock the gate of {view.play.code} for good", body, does="lock it",
           args=(expected,), done="The gate is locked.")  # fmt: skip


def qualify(app: DistillApp, view: View) -> None:
    """Go on to the gate."""
    body = ("The trigger holds. The numbers can still be mended until the gate is locked.",)
    plain(app, Action.QUALIFY, view, body, does="qualify", done="It qualifies; the gate comes next.")


# --- data --------------------------------------------------------------------------------------------------------


def build(app: DistillApp, view: View) -> None:
    """Build the draft data set."""
    body = ("The draft of this round is replaced; nothing is frozen yet.",)
    plain(app, Action.BUILD_DATA, view, body, does="build it", by_twin=True)


def freeze(app: DistillApp, view: View) -> None:
    """Freeze the data set."""
    data = view.dossier.data_set
    body = (
        "A frozen data set never changes; another one is another round.",
        f"Digest {page.short(data.digest if data else '')}.",
    )
    title = f"Freeze the data set of {view.play.code} for good"
    typed(app, Action.FREEZE_DATA, view, title, body, does="freeze it", by_twin=True)


OF_THE_HOST = (Action.IMPORT_TRAFFIC, Action.SET_TEACHER, Action.OBSERVE)  # their sheets name a path, and read it
DEEDS: dict[Action, Callable[[DistillApp, View], None]] = {
    Action.OPEN_PLAY: lambda app, view: app.new_play(),
    Action.ASSIGN_ROLE: roles,
    Action.FILL_WORKSHEET: numbers,
    Action.QUALIFY: qualify,
    Action.EDIT_GATE: edit_gate,
    Action.LOCK_GATE: lock,
    Action.IMPORT_TRAFFIC: intake.bring_traffic,
    Action.SET_TEACHER: data_deeds.teacher,
    Action.CONFIRM_TERMS: data_deeds.terms,
    Action.LABEL: data_deeds.label,
    Action.BUILD_DATA: build,
    Action.ACCEPT_FINDINGS: data_deeds.accept,
    Action.FREEZE_DATA: freeze,
    Action.START_RUN: decisions.start,
    Action.STOP_RUN: decisions.stop,
    Action.RESUME_RUN: decisions.resume,
    Action.EVALUATE: decisions.evaluate,
    Action.REPRODUCE: decisions.reproduce,
    Action.SPOT_CHECK: review.spot_check,
    Action.SIGN_OFF: review.sign,
    Action.REFUSE: review.refuse,
    Action.WITHDRAW: decisions.withdraw,
    Action.SET_MAINTENANCE: decisions.maintain,
    Action.SHIP: decisions.ship,
    Action.ITERATE: decisions.iterate,
    Action.KILL: decisions.kill,
    Action.REHEARSE: keeping.rehearse,
    Action.OBSERVE: keeping.observe,
    Action.ACKNOWLEDGE: keeping.acknowledge,
    Action.ROLL_BACK: keeping.roll_back,
    Action.REFRESH: keeping.refresh,
    Action.COMMENT: decisions.comment,
}
