"""What every file of commands is written with: the command, the options that several commands share, their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.exits import EXIT_CODES, PROGRAM
from distill_tui.store import glance
from distill_tui.terms import Action
from distill_tui.text import visible

Function = TypeVar("Function", bound=Callable[..., object])
_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


# --- commands and groups ---------------------------------------------------------------------------------------------


class Command(click.Command):
    """A command that also takes the options for every command."""

    words: str
    sentence: str
    action: Action | None  # that it takes; None where it changes nothing

    @property
    def typed(self) -> str:
        """The words as one begins to type them: PLAY stands for the play's code."""
        first = self.params[0]
        return f"{self.words} PLAY" if first.name == "play" and first.required else self.words

    def invoke(self, ctx: click.Context) -> object:
        given = {param.opts[0] for param in self.params if param.name and _is_given(ctx, param.name)}
        for param in self.params:
            if isinstance(param, _Of) and param.opts[0] in given and param.of not in given:
                raise UsageError(f"{param.opts[0]} is for {param.of}.")
        ctx.obj.see_no_link()
        return super().invoke(ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(f"{PROGRAM} {self.words}", " ".join(self.collect_usage_pieces(ctx)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = [words for words in program(ctx).beginning(self.words.split()[0]) if words != self.words]
        self.epilog = f"See also: {', '.join(others)}." if others else None
        super().format_epilog(ctx, formatter)


class _Of(click.Option):
    """An option that only means something next to another one, which is `of`."""

    def __init__(self, words: Sequence[str], *, of: str, **more: Any) -> None:
        super().__init__(words, **more)
        self.of = of


def option_of(other: str, *words: str, **more: Any) -> Callable[[Function], Function]:
    """Make an option that is rejected where the `other` one is not given, like --from-traffic."""
    return click.option(*words, cls=_Of, of=other, **more)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


class Heading(click.Group):
    """The commands that begin with one word, which is not a command itself."""

    def __init__(self, head: str) -> None:
        super().__init__(
            head,
            help=f"The commands of {head}.",
            params=list(shared()),
            no_args_is_help=False,
            context_settings=_SETTINGS,
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])
        _write_options(self, ctx, formatter)


class Program(click.Group):
    """All commands. Without a command it runs `open`."""

    def __init__(self) -> None:
        super().__init__(
            PROGRAM,
            help="Run model distillation as an operation.",
            params=list(shared()),
            callback=click.pass_context(_open),
            invoke_without_command=True,
            context_settings=_SETTINGS,
        )
        self.by_words: dict[str, Command] = {}
        self.titles: dict[str, str] = {}  # of the first word's section in the help

    def add(self, title: str, commands: Iterable[Command]) -> None:
        for command in commands:
            self.by_words[command.words] = command
            head, _, second = command.words.partition(" ")
            self.titles.setdefault(head, title)
            if not second:
                self.add_command(command)
            elif head not in self.by_words:
                heading = self.commands.setdefault(head, Heading(head))
                assert isinstance(heading, Heading)
                heading.add_command(command)

    def beginning(self, head: str) -> list[str]:
        """Return the words of all commands that begin with one word."""
        return [words for words in self.by_words if words.split()[0] == head]

    def typed(self) -> Iterator[tuple[str, str]]:
        """Yield each command as one begins to type it, PLAY for a play's code, with its sentence."""
        return ((command.typed, command.sentence) for command in self.by_words.values())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        steps = {name: 1 if option.is_flag else 2 for option in shared() for name in option.opts}
        at = 1  # of the second word: options for every command may stand before it
        while at < len(args) and args[at].partition("=")[0] in steps:
            at += 1 if "=" in args[at] else steps[args[at]]
        words = " ".join([args[0], *args[at : at + 1]])
        if at < len(args) and words in self.by_words:
            return words, self.by_words[words], [*args[1:at], *args[at + 1 :]]
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title in dict.fromkeys(self.titles.values()):
            with formatter.section(title):
                formatter.write_dl([(head, self._headline(head)) for head, its in self.titles.items() if its == title])
        _write_options(self, ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), says) for code, says in EXIT_CODES.items()])

    def _headline(self, head: str) -> str:
        others = ", ".join(words for words in self.beginning(head) if words != head)
        if head not in self.by_words:
            return f"{others}."
        return f"{self.by_words[head].sentence} Also: {others}." if others else self.by_words[head].sentence


def _open(ctx: click.Context) -> object:
    if ctx.invoked_subcommand is not None:
        return None
    command = program(ctx).by_words["open"]
    with command.make_context("", [], parent=ctx) as below:
        return command.invoke(below)


def program(ctx: click.Context) -> Program:
    found = ctx.find_root().command
    assert isinstance(found, Program)
    return found


def command(
    does: Action | str, sentence: str = "", action: Action | None = None
) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function the command of an action, or of these words. Its first parameter is the call."""
    if isinstance(does, Action):
        words, sentence, action = does.command, does.sentence, does
    else:
        words = does
    made = click.command(words.split()[-1], cls=Command, help=sentence, context_settings=_SETTINGS)

    def decorate(function: Callable[..., int | None]) -> Command:
        found = made(click.pass_obj(function))
        found.words, found.sentence, found.action = words, sentence, action
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
    option = partial(click.Option, expose_value=False, callback=_keep)
    project = "the project file (default: $DISTILL_PROJECT, else the only *.distill here)"
    key = "prove who you are with this SSH key: a private key, or the .pub of a key in ssh-agent"
    yield option(["--project", "project_file"], help=project, metavar="FILE", type=FILE)
    yield option(["--key", "key_given"], help=key, metavar="FILE", type=FILE)
    yield option(["--json", "json"], help="print data as JSON", is_flag=True)
    plain = "no screens, no aligned columns, no progress line that moves"
    yield option(["--plain", "plain"], help=plain, is_flag=True)


# --- arguments that several commands share ---------------------------------------------------------------------------


def _plays(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a play's code, or the second word of a longer command."""
    call: Call = ctx.obj
    head = ctx.info_name or ""
    longer = [words.removeprefix(f"{head} ") for words in program(ctx).beginning(head) if words != head]
    found = [CompletionItem(word) for word in longer if word.startswith(incomplete)]
    try:
        cards = glance.cards(call.path)
    except Exception:  # a shell that completes shows no error
        return found
    fits = (card for card in cards if card.code.startswith(incomplete))
    return [*found, *(CompletionItem(card.code, help=visible(card.name)) for card in fits)]


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


class OneOf(click.Choice[StrEnum]):
    """A choice among the members of an enum, by their values."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


class Pairs(click.ParamType[tuple[str, str]]):
    """A NAME=VALUE word; `last`: the name may hold an equals sign itself."""

    name = "pair"

    def __init__(self, like: str = "calls_per_month=900000", *, last: bool = False) -> None:
        self.like, self.last = like, last

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, rest = str(value).rpartition("=") if self.last else str(value).partition("=")
        if not equals or not name:
            self.fail(f"“{value}” is not NAME=VALUE; write it like {self.like}.", param, ctx)
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
