"""Commands for whole plays: open, list, show, next, why, comment, iterate, kill, log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from distill_tui import actions
from distill_tui.cli import plan_option
from distill_tui.cli.call import Call, UsageError, plain_objections
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.options import AT_LEAST_1, FILE, OneOf, a_play, command, play, reason
from distill_tui.gates import written
from distill_tui.reports import text
from distill_tui.review import controls, review
from distill_tui.rules import decide, next_step, permission
from distill_tui.store import glance, lineage, migrations, queries
from distill_tui.terms import Action, PlayKind, Task
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.rules.card import Card
    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.rules.objection import Objection


@command(Action.OPEN_PLAY)
@click.argument("name", metavar="[NAME]", required=False, help="the play's name (default: that of the plan)")
@click.option("--kind", type=OneOf(PlayKind), help="what the play is to gain")
@click.option("--summary", metavar="TEXT", default="", show_default=False, help="the task in a sentence")
@click.option("--task", type=OneOf(Task), default=Task.CLASSIFICATION, help="what the student does")
@click.option("--levels", metavar="LIST", default="", help="for scores: levels like 1,2,3,4,5, or a range like 0..1")
@click.option("--predecessor", metavar="PLAY", help="the killed play whose gate this play replaces")
@click.option("--carry", is_flag=True, help="carry over what can be: roles, numbers, gate, traffic, teacher, labels")
@plan_option.from_plan
def new(
    call: Call,
    name: str | None,
    kind: PlayKind | None,
    summary: str,
    task: Task,
    levels: str,
    predecessor: str | None,
    carry: bool,
    plan: str | None,
) -> None:
    if plan:
        if kind or summary or predecessor or levels:
            raise UsageError("With --from, kind, summary and predecessor are in the plan; only NAME can be given.")
        codes = plan_option.carry_out(call, plan_option.renamed(plan_option.read(plan), name), call.actor)
        call.data({"plays": codes}, codes)
        return
    if carry:
        if not name or not predecessor or kind or summary or levels:
            raise UsageError("With --carry, name the play and its --predecessor; kind, task and summary are its own.")
        _carry(call, name, predecessor)
        return
    if not name or kind is None:
        raise UsageError("Name the play, and its kind with --kind; or read both from a plan with --from FILE.")
    before = queries.find_play(call.project, predecessor) if predecessor else None
    opened = actions.open_play(
        call.project, call.actor, name, kind, summary=summary, task=task, scale=levels, predecessor=before
    )
    call.play_id = opened
    code = f"P-{opened:03d}"
    call.done(f"Opened {code}.", [code], name=name)


def _carry(call: Call, name: str, predecessor: str) -> None:
    made = actions.open_successor(call.project, call.actor, queries.find_play(call.project, predecessor), name)
    call.play_id = made.play
    code, before = f"P-{made.play:03d}", call.dossier().play.predecessor
    lines = made.table(f"P-{before:03d}", code, plain=call.plain)
    call.done(f"Opened {code}.", lines, name=name, parts=[asdict(each) for each in made.parts])


@command("plan", "Write a plan file from a play: its people, roles, numbers, gate, traffic, teacher and students.")
@play
@click.option("--out", metavar="FILE.toml", type=FILE, help="write it to this new file, not to standard output")
def plan_(call: Call, out: str | None) -> None:
    plan_option.write(call, out)


# --- look ------------------------------------------------------------------------------------------------------------


@command("list", "List the plays.")
@click.option(
    "--filter", "words", metavar="TEXT", default="", show_default=False, help="only plays with all these words"
)
def list_(call: Call, words: str) -> None:
    print_list(call, words)


def print_list(call: Call, words: str = "") -> None:
    """Print the plays that contain every one of the words."""
    wanted = words.casefold().split()
    cards = [card for card in _cards(call) if all(word in _haystack(card) for word in wanted)]
    if call.json:
        call.data([text.card_json(card) for card in cards])
    elif cards:
        call.data(None, text.cards(cards, plain=call.plain))
    if glance.in_doubt(call.path) and (trouble := lineage.trouble(call.path)):
        call.talk(trouble)
    if not cards and wanted:
        call.talk("No play matches.")
    elif not cards:
        call.talk(f"No plays yet; `{PROGRAM} new NAME --kind cost` opens the first.")
        call.talk(next_step.FIRST_PLAY)


def _haystack(card: Card) -> str:
    words = [card.code, card.name, card.summary, card.kind.value, card.stage.value, card.state[1], card.waits_for or ""]
    return " ".join([*words, *card.roles.values()]).casefold()


def _cards(call: Call) -> list[Card]:
    """Read the cards; open the project first if the file has another format, which migrates it or reports why not."""
    if not migrations.is_present(call.path):
        _ = call.project
    return glance.cards(call.path)


@command("show", "Show everything about a play.")
@play
def show(call: Call) -> None:
    dossier = call.dossier(shown=True)
    step = next_step.next_step(dossier)
    reasons = permission.objections(step, dossier, call.actor) if step else []
    value = _everything(dossier, step, reasons) if call.json else None
    call.data(value, [*text.play(dossier), "", *text.next_step(dossier, step, reasons)])


def _everything(dossier: PlayDossier, step: Action | None, reasons: Iterable[Objection]) -> dict[str, object]:
    sign_offs = [
        _without(asdict(facts.row), "statement", "signature")
        | {"troubles": plain_objections(decide.sign_off_troubles(dossier, facts))}
        for facts in dossier.sign_offs
    ]
    return {
        "play": dossier.play.code,
        **_without(asdict(dossier.play), "id"),
        "roles": dossier.roles,
        "builders": dossier.builders,
        "worksheet": {name: row.value for name, row in dossier.worksheet.items()},
        "gate": json.loads(written.to_json(dossier.gate)) if dossier.gate else None,
        "gate_digest": dossier.gate_row.digest if dossier.gate_row else None,
        "traffic": [_only(each, "name", "rows", "rejects", "imported_at") for each in dossier.traffic],
        "data_set": _only(dossier.data_set, "digest", "frozen_at") if dossier.data_set else None,
        "runs": [text.run_json(run) for run in dossier.runs],
        **text.evaluation_json(review.of(dossier)),
        "sign_offs": sign_offs,
        "bundles": [asdict(bundle) for bundle in dossier.bundles],
        "next": _next(dossier, step, reasons),
    }


def _without(values: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in values.items() if name not in names}


def _only(entity: object, *names: str) -> dict[str, object]:
    return {name: getattr(entity, name) for name in names}


def _next(dossier: PlayDossier, step: Action | None, reasons: Iterable[Objection]) -> dict[str, object]:
    return {
        "action": step.value if step else None,
        "sentence": step.sentence if step else None,
        "command": text.command_line(step, dossier.code) if step else None,
        "waits_for": next_step.waits_for(dossier),
        "objections": plain_objections(reasons),
    }


@command("next", "Show the next step of a play, what prevents it, and the command.")
@play
def next_(call: Call) -> None:
    dossier = call.dossier(shown=True)
    step = next_step.next_step(dossier)
    reasons = permission.objections(step, dossier, call.actor) if step else []
    call.data(_next(dossier, step, reasons), text.next_step(dossier, step, reasons))


@command("why", "Explain with all the reasons why you may not take an action now.")
@play
@click.argument("wanted", metavar="ACTION…", nargs=-1, required=True, help="the words of a command, like gate lock")
def why(call: Call, wanted: tuple[str, ...]) -> None:
    words = " ".join(wanted)
    action = next((a for a in Action if a.command and words in (a.command, a.value, a.key)), None)
    if action is None:
        known = ", ".join(each.command for each in Action if each.command)
        raise UsageError(f"There is no action “{words}”; the actions are: {known}.")
    dossier = call.dossier(thorough=action in (Action.SIGN_OFF, Action.SHIP), shown=True)
    reasons = permission.objections(action, dossier, call.actor)
    value = {"action": action.value, "allowed": not reasons, "objections": plain_objections(reasons)}
    call.data(value, [visible(each.sentence) for each in reasons] or [f"Nothing prevents “{words}”."])


@command("log", "Show the audit log, of one play or of all.")
@a_play(required=False, says="only this play")
@click.option("--last", metavar="N", type=AT_LEAST_1, help="only the last N entries")
def log(call: Call, last: int | None) -> None:
    play_id = call.play_id if call.play else None
    revoked = queries.revocations(call.project)
    entries = [
        replace(each, proof=queries.proof(each, revoked)) for each in queries.entries(call.project, play_id, last)
    ]
    value = [asdict(entry) | {"detail": _json_or_text(entry.detail)} for entry in entries]
    call.data(value, text.log(entries, plain=call.plain))


def _json_or_text(detail: str) -> object:
    """Read JSON; return what is not JSON as it is, because a log is read when it is in doubt."""
    try:
        return json.loads(detail)
    except ValueError:
        return detail


# --- act -------------------------------------------------------------------------------------------------------------


@command(Action.COMMENT)
@play
@click.argument("comment", metavar="TEXT", help="the comment")
def comment(call: Call, comment: str) -> None:
    actions.comment(*call.about, comment)
    call.done("Noted.")


@command(Action.UNDO)
@play
def undo(call: Call) -> None:
    call.done(f"Undid: {actions.undo(*call.about)}. `{PROGRAM} redo {call.play}` does it again.")


@command(Action.REDO)
@play
def redo(call: Call) -> None:
    call.done(f"Redid: {actions.redo(*call.about)}.")


@command(Action.ITERATE)
@play
def iterate(call: Call) -> None:
    probed = controls.probed(call.dossier())
    actions.iterate(*call.about)
    call.done("The next round is open.")
    call.talk(probed)


@command(Action.KILL)
@play
@reason
def kill(call: Call, message: str) -> None:
    actions.kill(*call.about, message)
    call.done("Killed for good.")
