"""The command `open`: the screens, or the list of plays where there is no terminal."""

from __future__ import annotations

import sys

import click

from distill_tui.cli import deferred, plays, terminal
from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.options import FILE, command, program
from distill_tui.people import remembered
from distill_tui.text import visible


@command("open", "Open the screens (also without any command); without a terminal, list the plays.")
@click.argument("file", metavar="[FILE]", type=FILE, required=False, help="the project file")
@click.option("--play", metavar="PLAY", help="open this play first")
@click.option("--recent", is_flag=True, help="list the projects that were opened last, and open none")
def open_(call: Call, file: str | None, play: str | None, recent: bool) -> int | None:
    if recent:
        if file or play:
            raise UsageError("--recent opens nothing; leave out the file and --play.")
        _list_recent(call)
        return None
    call.project_file = file or call.project_file
    screens = terminal.drawable() and not (call.json or call.plain)
    if screens:
        call.project_file = call.project_file or _choose_recent(call)
        call.play = play or ""
        play_id = call.play_id if play else None
        deferred.load()
        commands = program(click.get_current_context())
        return terminal.screens(call.path, commands.typed, key=call.key, play=play_id)
    plays.print_list(call)
    call.talk(f"The screens open in a terminal: `{PROGRAM} open {call.path.name}`.")
    return None


def _list_recent(call: Call) -> None:
    found = remembered.recent()
    call.data([str(path) for path in found], [visible(str(path)) for path in found])
    if not found:
        call.talk(f"No project was opened here yet; `{PROGRAM} init FILE.distill --name TEXT` makes one.")


def _choose_recent(call: Call) -> str | None:
    """Ask which recent project to open if none is named and none is here; return None if the project is clear."""
    try:
        _ = call.path
        return None
    except UsageError:
        found = remembered.recent()
        if not found:
            raise
    call.talk("No project is named. Recent projects, newest first:")
    for number, path in enumerate(found, start=1):
        call.talk(f"  {number}  {path}")
    call.talk(f"A new one: `{PROGRAM} init FILE.distill`, or `{PROGRAM} demo` for practice.")
    sys.stderr.write("Which one? [1] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    chosen = answer.strip() or "1"
    if not answer or not chosen.isdecimal() or not 1 <= int(chosen) <= len(found):
        raise UsageError(f"“{chosen}” is not in the list; `{PROGRAM} open FILE` opens a file.")
    return str(found[int(chosen) - 1])
