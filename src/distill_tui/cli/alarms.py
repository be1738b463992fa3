"""Commands that bring drift alarms to people: a command and a webhook, and a JSON feed."""

from __future__ import annotations

import shlex

import click

from distill_tui import actions
from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.options import command
from distill_tui.monitor import alarm_feed
from distill_tui.store import queries
from distill_tui.terms import Action
from distill_tui.text import visible


@command(Action.SET_ALARMS)
@click.argument(
    "words", metavar="[-- COMMAND…]", nargs=-1, help="the program, by its whole path, and its arguments; no shell"
)
@click.option("--webhook", metavar="URL", help="the address that gets each alarm as JSON; empty for none")
@click.option("--no-command", is_flag=True, help="no command from now on")
def alarms(call: Call, words: tuple[str, ...], webhook: str | None, no_command: bool) -> None:
    """Set what is named and keep the rest; with nothing named, show what is set."""
    if words and no_command:
        raise UsageError("Name a command, or set --no-command, not both.")
    known = call.project.project_dossier()
    if words or no_command or webhook is not None:
        program = () if no_command else words or known.on_alarm
        actions.set_alarms(call.project, call.actor, program, known.webhook if webhook is None else webhook)
        known = call.project.project_dossier()
        call.talk("Set. It is passed on when an alarm is raised, once for each alarm.")
    said = [shlex.join(known.on_alarm) or "no command", known.webhook or "no webhook"]
    call.data({"command": list(known.on_alarm), "webhook": known.webhook}, map(visible, said))


@command("alarms feed", "Print alarms and what people did about them as a JSON Feed.")
def alarms_feed(call: Call) -> None:
    plays = [call.project.dossier(number) for number in queries.plays(call.project)]
    call.json = True
    call.data(alarm_feed.feed(f"{call.project.project_dossier().name}: live students", plays))
