"""What every file of commands is written with: the command, the options that several commands share, their types."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from distill_tui.cli import index
from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.exits import EXIT_CODES, PROGRAM
from distill_tui.store import glance
from distill_tui.text import visible

Function = TypeVar("Function", bound=Callable[..., object])
_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


# --- commands and groups ---------------------------------------------------------------------------------------------


class Command(click.Command):
    """A command that also takes the options for every command."""

    entry: index.Entry

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(f"{PROGRAM} {self.entry.words}", " ".join(self.collect_usage_pieces(ctx)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter)


class Group(click.Group):
    """The commands that begin with one word, or all of them; a command's file is imported when the command is used.

    Where the word is a command itself (`train`), it runs if no other command's word follows.
    """

    def __init__(self, head: str = "") -> None:
        own = index.BY_WORDS.get(head or "open")
        self.head, self.own = head, own
        super().__init__(
            head or PROGRAM,
            help=f"The commands of {head}." if head else "Run model distillation as an operation.",
            params=list(shared()),
            invoke_without_command=own is not None,
            no_args_is_help=False,
            callback=click.pass_context(self._run_own) if own else None,
            add_help_option=not head or own is None,
            context_settings=_SETTINGS | {"ignore_unknown_options": bool(head and own)},
        )

    def without_words(self, ctx: click.Context) -> Command:
        """Return the command that runs if no word follows. Raises UsageError if there is none."""
        if self.own is None:
            ctx.fail("Missing command.")
        return find(self.own.words)

    def _run_own(self, ctx: click.Context) -> object:
        if ctx.invoked_subcommand is not None:
            return None
        command = self.without_words(ctx)
        with command.make_context("", [], parent=ctx) as below:
            return command.invoke(below)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in index.below(self.head) if name]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        if not self.head and list(index.below(cmd_name)) != [""]:
            return Group(cmd_name)
        return find(f"{self.head} {cmd_name}".strip())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] in names:
            return super().resolve_command(ctx, args)
        if self.head and self.own is not None:
            return "", find(self.head), args
        if ctx.resilient_parsing:
            return None, None, args
        raise click.NoSuchCommand(args[0], possibilities=names, ctx=ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, sentence) for name, sentence in index.below(self.head).items() if name]
        titles = dict.fromkeys(index.title(name) for name, _ in rows) if not self.head else {"Commands": None}
        for title in titles:
            with formatter.section(title):
                formatter.write_dl([row for row in rows if self.head or index.title(row[0]) == title])
        _write_options(self, ctx, formatter)
        if not self.head:
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), says) for code, says in EXIT_CODES.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        words = index.below(self.head).items()
        found = [CompletionItem(word, help=says) for word, says in words if word and word.startswith(incomplete)]
        if not self.head or self.own is None:
            return [*found, *click.Command.shell_complete(self, ctx, incomplete)]
        command = find(self.head)
        with command.make_context("", [], parent=ctx, resilient_parsing=True) as below:
            first = next(param for param in command.params if isinstance(param, click.Argument))
            return [*found, *first.shell_complete(below, incomplete), *command.shell_complete(below, incomplete)]


def find(words: str) -> Command:
    """Import the file that holds a command, and return the command."""
    module = importlib.import_module(f"distill_tui.cli.{index.BY_WORDS[words].file}")
    commands = (
        each for each in vars(module).values() if type(each) is Command
    )  # isinstance would load what is deferred
    return next(command for command in commands if command.entry.words == words)


def command(words: str) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function the command of these words, as the index describes it. Its first parameter is the call."""
    entry = index.BY_WORDS[words]
    head, _, second = words.partition(" ")
    others = [each.words for each in index.ENTRIES if each.words.split()[0] == head and each is not entry]
    made = click.command(
        second or head,
        cls=Command,
        help=entry.sentence,
        epilog=f"See also: {', '.join(others)}." if others else None,
        context_settings=_SETTINGS,
    )

    def decorate(function: Callable[..., int | None]) -> Command:
        found = made(click.pass_obj(function))
        found.entry = entry
        found.params += shared()
        return found

    return decorate


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    names = [param.name for param in shared()]
    own = [option for option in options if option.name not in names]
    for title, params in (("Options", own), ("For every command", [o for o in options if o not in own])):
        rows = [row for param in params if (row := param.get_help_record(ctx)) is not None]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


# --- options for every command ---------------------------------------------------------------------------------------


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Store the value in the call; an option that is not given does not reset what stood before the command."""
    if value and param.name:
        setattr(ctx.obj, param.name, value)


def shared() -> Iterator[click.Option]:
    """Yield the options for every command. They stand before or after its words."""
    about: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (
            "--project project_file",
            "the project file (default: $DISTILL_PROJECT, else the only *.distill here)",
            {"metavar": "FILE", "type": click.Path()},
        ),
        (
            "--key key_given",
            "prove who you are with this SSH key: a private key, or the .pub of a key in ssh-agent",
            {"metavar": "FILE", "type": click.Path()},
        ),
        ("--json json", "print data as JSON", {"is_flag": True}),
        ("--plain plain", "no screens, no aligned columns, no progress line that moves", {"is_flag": True}),
    )
    for names, says, more in about:
        yield click.Option(names.split(), help=says, expose_value=False, callback=_keep, **more)


# --- arguments that several commands share ---------------------------------------------------------------------------


def _plays(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    call: Call = ctx.obj
    try:
        cards = glance.cards(call.path)
    except Exception:  # a shell that completes shows no error
        return []
    fits = (card for card in cards if card.code.startswith(incomplete))
    return [CompletionItem(card.code, help=visible(card.name)) for card in fits]


def a_play(
    required: bool = True, says: str = "the play's code (P-001), number or name"
) -> Callable[[Function], Function]:
    """Take the play that the command is about; the call keeps it."""
    return click.argument(
        "play",
        metavar="PLAY" if required else "[PLAY]",
        required=required,
        expose_value=False,
        callback=_keep,
        shell_complete=_plays,
        help=says,
    )


class OneOf(click.Choice[Any]):
    """A choice among the members of an enum, by their values."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


class Pairs(click.ParamType[Any]):
    """A NAME=VALUE word."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            self.fail(f"“{value}” is not NAME=VALUE; write it like calls_per_month=900000.", param, ctx)
        return name, rest


def once(words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return NAME=VALUE words by name. Raises UsageError if a name stands twice."""
    found: dict[str, str] = {}
    for name, value in words:
        if name in found:
            raise UsageError(f"“{name}” is given twice; give it once.")
        found[name] = value
    return found


FILE = click.Path()
AT_LEAST_1 = click.IntRange(min=1)
play = a_play()
wait = click.option("--wait", is_flag=True, help="follow the run until it ends; exit 1 if it does not finish")
reason = click.option("-m", "--message", metavar="TEXT", required=True, help="the reason, for the log")


def stacked(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Apply several options as one decorator, in the order that help shows them."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate
