"""Commands for the trigger and the gate."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from functools import partial

import click

from distill_tui import actions, tasks
from distill_tui.cli import traffic
from distill_tui.cli.call import Call, InputError, UsageError, reading, text_of
from distill_tui.cli.options import FILE, Pairs, command, once, option_of, play
from distill_tui.dataset import play_data
from distill_tui.dataset import window as windows
from distill_tui.gates import compare as comparing
from distill_tui.gates import power as powers
from distill_tui.gates import written
from distill_tui.reports import text
from distill_tui.rules import gate as gate_rules
from distill_tui.rules import measurable
from distill_tui.store import queries
from distill_tui.terms import Action
from distill_tui.text import visible

# --- the trigger -----------------------------------------------------------------------------------------------------


@command(Action.FILL_WORKSHEET)
@play
@click.argument(
    "values", metavar="[NAME=VALUE]…", type=Pairs(), nargs=-1, help="numbers; without any, show the worksheet"
)
@click.option("--source", metavar="TEXT", help="where the numbers come from (default: typed)")
@click.option("--from-traffic", is_flag=True, help="fill in what the imported traffic shows; NAME=VALUE overrides it")
@traffic.measures(partial(option_of, "--from-traffic"))
def worksheet(
    call: Call,
    values: tuple[tuple[str, str], ...],
    source: str | None,
    from_traffic: bool,
    days: int,
    **prices: str | None,
) -> None:
    typed = once(values)
    if source and not typed:
        raise UsageError("--source is for NAME=VALUE; what the traffic shows has its own source.")
    if from_traffic:
        window, found = traffic.window(call, days, **prices)
        found = {name: value for name, value in found.items() if name not in typed}
        measured_in = windows.source(window)
        actions.fill_worksheet(*call.about, found, measured_in)
        call.talk(f"Filled in from {measured_in}: {', '.join(found) or 'nothing'}.")
    if typed:
        actions.fill_worksheet(*call.about, typed, source or "typed")
        call.talk(f"Filled in {', '.join(typed)}.")
    dossier = call.dossier()
    reasons = list(gate_rules.trigger(dossier))
    numbers = {name: {"value": row.value, "source": row.source} for name, row in dossier.worksheet.items()}
    value = {"numbers": numbers, "holds": not reasons, "reasons": [o.sentence for o in reasons]}
    call.data(value, text.worksheet(dossier, plain=call.plain))


@command(Action.QUALIFY)
@play
def qualify(call: Call) -> None:
    actions.qualify(*call.about)
    call.done("The trigger holds.")


# --- the gate --------------------------------------------------------------------------------------------------------


@command("gate show", "Show the gate, and what prevents locking it.")
@play
@click.option("--toml", is_flag=True, help="as TOML")
def gate_show(call: Call, toml: bool) -> None:
    dossier = call.dossier()
    if toml and dossier.gate is not None and not call.json:
        sys.stdout.write(play_data.draft(dossier.gate, play_data.repeats(call.project, dossier)))
        return
    found = tasks.gate_problems(dossier.gate, dossier.play.kind, dossier.play.task) if dossier.gate else []
    row = dossier.gate_row
    value = {
        "gate": json.loads(written.to_json(dossier.gate)) if dossier.gate else None,
        "digest": written.digest(dossier.gate) if dossier.gate else None,
        "locked_at": row.locked_at if row else None,
        "locked_by": row.locked_by if row else None,
        "problems": [*([dossier.gate_trouble] if dossier.gate_trouble else []), *found],
    }
    call.data(value, text.gate(dossier, plain=call.plain))


@command(Action.EDIT_GATE)
@play
@click.argument("file", metavar="FILE", type=FILE, help="a TOML file; - reads standard input")
def gate_edit(call: Call, file: str) -> None:
    with reading():
        gate = written.from_toml(text_of(file))
    actions.edit_gate(*call.about, gate)
    play = call.dossier().play
    found = tasks.gate_problems(gate, play.kind, play.task)
    for sentence in found:
        call.talk(f"Cannot be locked yet: {sentence}")
    for sentence in gate_rules.warnings(call.dossier()):
        call.talk(sentence)
    call.done("The draft is saved.", gate=written.digest(gate), problems=found)


@command("gate compare", "Compare the gate with the killed predecessor's gate, or with another play's.")
@play
@click.argument("other", metavar="[OTHER]", required=False, help="the play to compare with (default: the predecessor)")
def gate_compare(call: Call, other: str | None) -> None:
    dossier = call.dossier()
    other_id = queries.find_play(call.project, other) if other else dossier.play.predecessor
    if other_id is None:
        raise UsageError(f"{dossier.play.code} has no predecessor; name the play to compare with.")
    before = call.project.dossier(other_id)
    if before.gate is None or dossier.gate is None:
        raise InputError(before.gate_trouble or dossier.gate_trouble or "One of the two plays has no gate yet.")
    lines = comparing.compare(before.gate, dossier.gate)
    head = ("", "", before.play.code, dossier.play.code)
    rows = [("moved" if line.moved else "", line.what, line.before or "–", line.now or "–") for line in lines]
    value: dict[str, object] = {"before": before.play.code, "now": dossier.play.code}
    value["lines"] = [asdict(line) | {"moved": line.moved} for line in lines]
    call.data(value, text.table(head, rows, plain=call.plain))


@command("gate power", "Show what the held-out rows can and cannot prove.")
@play
def gate_power(call: Call) -> None:
    dossier = call.dossier()
    if dossier.gate is None:
        raise InputError(dossier.gate_trouble or "There is no gate yet; write one with `gate edit`.")
    found = play_data.repeats(call.project, dossier)
    notes = powers.power(
        dossier.gate if found is None else replace(dossier.gate, teacher_agreement=found.share),
        held_out=measurable.held_out_rows(dossier),
    )
    value = [asdict(note) | {"criterion": note.criterion.words} for note in notes]
    sentences = [*(note.sentence for note in notes), *gate_rules.warnings(dossier)]
    proposed = [] if found is None else [f"{found.sentence} The gate lacks it: `gate show --toml` proposes it."]
    call.data(value, [visible(sentence) for sentence in dict.fromkeys((*sentences, *proposed))])


@command(Action.LOCK_GATE)
@play
@click.option("--confirm", metavar="CODE", required=True, help="the play's code again: a lock cannot be undone")
@click.option("--cannot-pass", is_flag=True, help="yes, lock it although criteria cannot hold in the best case")
def gate_lock(call: Call, confirm: str, cannot_pass: bool) -> None:
    seen = call.dossier()
    if confirm != seen.play.code:
        raise UsageError(f"A lock cannot be undone; confirm it with the play's code: --confirm {seen.play.code}.")
    expected = written.digest(seen.gate) if seen.gate else None
    actions.lock_gate(*call.about, expected, cannot_pass=cannot_pass, key=call.key)
    call.done("The gate is locked for good.", [str(expected)], gate=expected)
