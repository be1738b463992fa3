"""The command line: reads the words, runs one command, and turns what goes wrong into one line and an exit code.

Standard output is data, standard error is messages, and the exit codes are a contract.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

import distill_tui.cli.deferred  # noqa: F401  (first: what it names loads at its first use)
from distill_tui.cli import (
    alarms,
    check,
    data,
    demo,
    evaluate,
    gate,
    labels,
    live,
    people,
    plays,
    reference,
    screens,
    serve,
    shards,
    sign,
    ssh,
    teacher,
    train,
    try_file,
)
from distill_tui.cli.call import Call, explain
from distill_tui.cli.exits import COMPLETES, DONE, INTERRUPTED, PROGRAM
from distill_tui.cli.options import Command, Program

SECTIONS = {
    "Screens": screens,
    "First look": demo,
    "Try": try_file,
    "Project and people": people,
    "Plays": plays,
    "Trigger and gate": gate,
    "Traffic and data set": data,
    "Teacher": teacher,
    "Labels": labels,
    "Runs": train,
    "Runs elsewhere": shards,
    "Evaluation": evaluate,
    "Sign-off and launch": sign,
    "Live student": live,
    "Alarms": alarms,
    "Serving": serve,
    "Checks and backups": check,
    "Sessions over SSH": ssh,
    "About the commands": reference,
}


def _all_commands() -> Program:
    made = Program()
    for title, module in SECTIONS.items():  # `type`, because `isinstance` would load what is deferred
        made.add(title, [each for each in vars(module).values() if type(each) is Command])
    version: Program = click.version_option(package_name=PROGRAM, message="%(prog)s %(version)s")(made)
    return version


COMMANDS = _all_commands()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    words, call = list(sys.argv[1:] if argv is None else argv), Call()
    instruction = os.environ.get(COMPLETES)
    if instruction:
        return shell_complete(COMMANDS, {"obj": call}, PROGRAM, COMPLETES, instruction)
    try:
        with COMMANDS.make_context(PROGRAM, words, obj=call) as context:
            code: int | None = COMMANDS.invoke(context)
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
    finally:
        call.close()
