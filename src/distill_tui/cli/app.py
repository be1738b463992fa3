"""The command line: reads the words, runs one command, and turns what goes wrong into one line and an exit code.

Standard output is data, standard error is messages, and the exit codes are a contract.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

from distill_tui.cli import deferred  # noqa: F401  (first: what it names loads at its first use)
from distill_tui.cli.call import Call, explain
from distill_tui.cli.exits import COMPLETES, DONE, INTERRUPTED, PROGRAM
from distill_tui.cli.options import Group


def all_commands() -> Group:
    """Make the group of all commands; it imports a command's file when the command is used."""
    return click.version_option(package_name=PROGRAM, message="%(prog)s %(version)s")(Group())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    words, call, commands = list(sys.argv[1:] if argv is None else argv), Call(), all_commands()
    instruction = os.environ.get(COMPLETES)
    if instruction:
        return shell_complete(commands, {"obj": call}, PROGRAM, COMPLETES, instruction)
    try:
        with commands.make_context(PROGRAM, words, obj=call) as context:
            code: int | None = commands.invoke(context)
        sys.stdout.flush()
        return code or DONE
    except click.exceptions.Exit as left:
        return left.exit_code
    except KeyboardInterrupt:
        call.talk("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        explained = explain(error, call)
        if explained is None:
            raise
        return explained
