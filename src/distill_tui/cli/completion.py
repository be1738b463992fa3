"""Completion scripts for bash, zsh and fish, made of the table of commands; plays are asked of the project."""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

from distill_tui.cli import table
from distill_tui.cli.table import Argument, Command

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """Write the script of one shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _takes_value(argument: Argument) -> bool:
    return "action" not in argument.options


def _options(command: Command | None) -> Iterator[Argument]:
    """Give the options of a command, or of all."""
    for argument in (*(command.arguments if command else ()), *table.GLOBAL):
        if argument.names[0].startswith("-") and argument.sentence:
            yield argument


def _positions(command: Command) -> Iterator[str]:
    """Say for each position what may stand there: plays, a list of words, or a file."""
    for argument in command.arguments:
        if argument.names[0].startswith("-"):
            continue
        if argument.names[0] == "play":
            yield "@plays"
        elif "choices" in argument.options:
            yield " ".join(argument.options["choices"])
        else:
            yield "@files"


def _pairs() -> list[str]:
    return [command.words for command in table.COMMANDS if " " in command.words]


def _heads() -> list[str]:
    return sorted({command.words.split()[0] for command in table.COMMANDS})


def _seconds(head: str) -> list[str]:
    return [words.split()[1] for words in _pairs() if words.split()[0] == head]


def _cases() -> str:
    """Write what may follow each command: first its options, then what stands at each position, divided by |."""
    lines = []
    for command in table.COMMANDS:
        options = " ".join(name for argument in _options(command) for name in argument.names)
        lines.append(f'    "{command.words}") echo "{"|".join([options, *_positions(command)])}" ;;')
    words = [command.words for command in table.COMMANDS]
    general = " ".join(name for argument in _options(None) for name in argument.names)
    lines += [f'    "{head}") echo "{general}||" ;;' for head in _heads() if head not in words]  # a group needs a word
    return "\n".join(lines)


def _values() -> str:
    """Write the options that take a word of a list, or a file."""
    lines = []
    for command in table.COMMANDS:
        for argument in _options(command):
            if _takes_value(argument):
                choices = " ".join(map(str, argument.options.get("choices", ()))) or "@files"
                names = "|".join(f'"{command.words} {name}"' for name in argument.names)
                lines.append(f'    {names}) echo "{choices}" ;;')
    return "\n".join(lines)


_BASH = Template("""\
# Completion of distill-tui for bash: eval "$$(distill-tui completion bash)"
_distill_tui_follows() {
    case "$$1" in
$cases
    esac
}
_distill_tui_value() {
    case "$$1" in
$values
    esac
}
_distill_tui_plays() {
    distill-tui $${1:+--project "$$1"} list --plain 2>/dev/null | cut -f1 | tail -n +2
}
_distill_tui_words() {
    case "$$1" in
    @plays) COMPREPLY=($$(compgen -W "$$(_distill_tui_plays "$$project")" -- "$$cur")) ;;
    @files) COMPREPLY=($$(compgen -f -- "$$cur")) ;;
    *) COMPREPLY=($$(compgen -W "$$1" -- "$$cur")) ;;
    esac
}
_distill_tui() {
    local cur="$${COMP_WORDS[COMP_CWORD]}" before="" project="" command="" place=0 word i follows
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="$${COMP_WORDS[i]}"
        if [[ -n $$before ]]; then
            [[ $$before == --project ]] && project="$$word"
            before=""
        elif [[ $$word == -* ]]; then
            [[ -n $$(_distill_tui_value "$${command:-open} $$word") ]] && before="$$word"
        elif [[ -z $$command ]]; then
            command="$$word"
        elif ((place == 0)) && [[ " $pairs " == *" $${command}_$$word "* ]]; then
            command="$$command $$word"
        else
            ((place++))
        fi
    done
    if [[ -n $$before ]]; then
        _distill_tui_words "$$(_distill_tui_value "$${command:-open} $$before")"
        return
    fi
    follows="$$(_distill_tui_follows "$${command:-open}")|@files|@files|@files"
    if [[ $$cur == -* ]]; then
        _distill_tui_words "$$(printf %s "$$follows" | cut -d'|' -f1)"
    elif [[ -z $$command ]]; then
        _distill_tui_words "$heads"
    else
        _distill_tui_words "$$(printf %s "$$follows" | cut -d'|' -f$$((place + 2)))"
        case "$$command" in
$seconds
        esac
    fi
}
""")


def _functions() -> str:
    seconds = "\n".join(
        f'        {head}) ((place == 0)) && COMPREPLY+=($(compgen -W "{" ".join(_seconds(head))}" -- "$cur")) ;;'
        for head in _heads()
        if _seconds(head)
    )
    return _BASH.substitute(
        cases=_cases(),
        values=_values(),
        pairs=" ".join(words.replace(" ", "_") for words in _pairs()),
        heads=" ".join(_heads()),
        seconds=seconds,
    )


def _bash() -> str:
    return f"{_functions()}complete -o filenames -F _distill_tui distill-tui\n"


def _zsh() -> str:
    """Use bash's functions, which zsh can run."""
    head = '#compdef distill-tui\n# Completion of distill-tui for zsh: eval "$(distill-tui completion zsh)"\n'
    load = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"
    return f"{head}{load}{_functions()}complete -F _distill_tui distill-tui\n"


# --- fish --------------------------------------------------------------------------------------------------------


def _fish() -> str:
    lines = [
        "# Completion of distill-tui for fish: distill-tui completion fish | source",
        "function __distill_tui_at",  # whether exactly these words are the command so far
        "    set -l words (commandline -opc)[2..-1]",
        "    set -l found",
        "    set -l skip 0",
        "    for word in $words",
        "        if test $skip = 1; set skip 0; continue; end",
        "        switch $word",
        "            case --project --key; set skip 1",
        "            case '-*'",
        "            case '*'; set -a found $word",
        "        end",
        "    end",
        '    string match -q -r -- "^$argv[1]\\$" "$found"',
        "end",
        "function __distill_tui_plays",
        "    distill-tui list --plain 2>/dev/null | tail -n +2 | cut -f1,2",
        "end",
        "complete -c distill-tui -f",
    ]
    lines += [_rule("", head, _sentence(head)) for head in _heads()]
    lines += [_rule(words.split()[0], words.split()[1], _sentence(words)) for words in _pairs()]
    for command in table.COMMANDS:
        lines += _fish_positions(command)
        lines += [_fish_option(command, argument) for argument in _options(command)]
    return "\n".join(lines) + "\n"


def _sentence(words: str) -> str:
    commands = {command.words: command.sentence for command in table.COMMANDS}
    return commands.get(words) or f"The commands of {words}."


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _rule(at: str, words: str, says: str = "") -> str:
    told = f" -d {_quoted(says)}" if says else ""
    return f"complete -c distill-tui -n \"__distill_tui_at '{at}'\" -a {_quoted(words)}{told}"


def _fish_positions(command: Command) -> Iterator[str]:
    at = command.words
    for position in _positions(command):
        if position == "@files":
            yield f"complete -c distill-tui -n \"__distill_tui_at '{at}'\" -F"
        else:
            yield _rule(at, "(__distill_tui_plays)" if position == "@plays" else position)
        at += " [^ ]+"


def _fish_option(command: Command, argument: Argument) -> str:
    names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in argument.names)
    value = ""
    if _takes_value(argument):
        choices = argument.options.get("choices")
        value = f" -x -a {_quoted(' '.join(map(str, choices)))}" if choices else " -r"
    others = "|".join(_seconds(command.words)) if " " not in command.words else ""
    at = f"{command.words}( (?!{others}).*)?" if others else f"{command.words}( .*)?"
    return f"complete -c distill-tui -n \"__distill_tui_at '{at}'\" {names}{value} -d {_quoted(argument.sentence)}"
