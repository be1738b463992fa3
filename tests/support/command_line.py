"""A command line read as the program reads it, without running the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from distill_tui.cli.app import COMMANDS
from distill_tui.cli.call import Call
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.options import Command


@dataclass
class Parsed:
    words: str  # of the command
    call: Call
    values: dict[str, Any]  # of its own arguments and options


def parse(words: Sequence[str]) -> Parsed:
    """Raises click.UsageError, and click.exceptions.Exit after --help."""
    call = Call()
    context: click.Context = COMMANDS.make_context(PROGRAM, list(words), obj=call)
    while isinstance(context.command, click.Group):
        group, args = context.command, [*context._protected_args, *context.args]
        name, command, args = group.resolve_command(context, args or ["open"])
        assert command is not None
        context = command.make_context(name, args, parent=context)
    assert isinstance(context.command, Command)
    return Parsed(context.command.words, call, context.params)
