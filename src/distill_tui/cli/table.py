"""The command line: one command for every action and every question, as a table that parser and reference are made of.

Standard library, `terms` and `spec` only until a command runs; what it does is in `commands` and `questions`. Standard
output is data, standard error is talk, and the exit codes are a contract.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, NoReturn

from distill_tui.spec import Spec
from distill_tui.terms import Action, Assurance, PlayKind, Role, StudentKind, Task
from distill_tui.text import visible

PROGRAM = "distill-tui"
DONE, FAILED, USAGE, REFUSED, BAD_INPUT, ALARM, DUE, INTERRUPTED = 0, 1, 2, 3, 4, 6, 7, 130
EXIT_CODES = {
    DONE: "done",
    FAILED: "failed: a check found something wrong, or a run that was waited for ended without finishing",
    USAGE: "usage: the command line itself is wrong",
    REFUSED: "refused by a rule: each reason on a line of its own; with --json a list of {rule, sentence}",
    BAD_INPUT: "bad input: a file, a number or a key that cannot be used",
    ALARM: "a drift alarm stands: from `observe` and `live`, so that cron can tell",
    DUE: "a refresh is due, and no alarm stands: from `observe` and `live`",
    INTERRUPTED: "interrupted; a run that was waited for goes on",
}
_IRREVERSIBLE = (Action.LOCK_GATE, Action.FREEZE_DATA, Action.EVALUATE, Action.SHIP, Action.KILL, Action.REVOKE_KEY)


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """One argument of a command, in the words of argparse."""

    names: tuple[str, ...]
    sentence: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def synopsis(self) -> str:
        """How it stands in a synopsis."""
        name = self.names[-1] if self.names[0].startswith("-") else ""
        value = "" if "action" in self.options else self._value
        written = f"{name} {value}".strip()
        nargs = self.options.get("nargs")
        if not name:
            return {"?": f"[{written}]", "*": f"[{written} …]", "+": f"{written} …"}.get(str(nargs), written)
        return written if self.options.get("required") else f"[{written}]"

    @property
    def _value(self) -> str:
        if "choices" in self.options and "metavar" not in self.options:
            return "|".join(self.options["choices"])
        return str(self.options.get("metavar", self.names[-1].lstrip("-").replace("-", "_").upper()))


@dataclass(frozen=True)
class Command:
    """One command: its words, what it does in a sentence, the function that runs it, its arguments."""

    words: str
    sentence: str
    run: str
    arguments: tuple[Argument, ...] = ()
    action: Action | None = None

    @property
    def synopsis(self) -> str:
        """The whole line to type."""
        return " ".join([PROGRAM, self.words, *(argument.synopsis for argument in self.arguments)])


def _arg(*names: str, says: str, **options: Any) -> Argument:
    return Argument(names, says, options)


def _flag(name: str, says: str) -> Argument:
    return Argument((name,), says, {"action": "store_true"})


def _does(action: Action, *arguments: Argument) -> Command:
    return Command(action.command, action.sentence, action.value, arguments, action)


def _asks(words: str, sentence: str, run: str, *arguments: Argument) -> Command:
    return Command(words, sentence, run, arguments)


_PLAY = _arg("play", metavar="PLAY", says="the play's code (P-001), number or name")
_WAIT = _flag("--wait", "follow the run to its end; exit 1 when it does not finish")
_RUN = _arg("--run", metavar="N", type=int, says="the number of the run")
_UID = _arg("--uid", metavar="N", type=int, says="the uid of an OS account of theirs")
_REASON = _arg("-m", "--message", metavar="TEXT", required=True, says="the reason, for the log")
_IDLE = _arg(
    "--idle", metavar="MINUTES", type=float, default=30, says="sessions leave after this long without a key (30)"
)
_COLUMNS = (
    "input",
    "teacher-output",
    "teacher-probabilities",
    "gold",
    "segment",
    "group",
    "time",
    "cost",
    "latency-ms",
    "tokens-in",
    "tokens-out",
)


_WINDOW = (
    _arg("--days", metavar="N", type=int, default=90, says="how many of the last days of the traffic (default 90)"),
    _arg("--price-in", metavar="MONEY", says="what a million tokens in cost, for calls without a logged cost"),
    _arg("--price-out", metavar="MONEY", says="what a million tokens out cost"),
    _arg("--price-source", metavar="TEXT", says="where the prices are written, and of which date"),
)


_LIMITS = (
    _arg("--budget", metavar="MONEY", says="the most that this teacher may cost in all (endpoints)"),
    _arg("--price-in", metavar="MONEY", says="what a million tokens in cost"),
    _arg("--price-out", metavar="MONEY", says="what a million tokens out cost"),
    _arg("--concurrency", metavar="N", says="requests at once (default 4)"),
    _arg("--per-minute", metavar="N", says="requests started a minute, at most"),
    _arg("--timeout", metavar="SECONDS", says="of one request (default 60)"),
    _arg("--attempts", metavar="N", says="for one input, before the run fails (default 6)"),
    _flag("--estimate", "ask one input now, and tell what all of them would cost and take; needed before a paid run"),
)


def _columns() -> Iterator[Argument]:
    for name in _COLUMNS:
        says = f"the column of the {name.replace('-', ' ')}; empty for none (default: the usual names are looked for)"
        yield _arg(f"--{name}", metavar="COLUMN", says=says)


def _spec_fields() -> Iterator[Argument]:
    for one in fields(Spec):
        default = getattr(Spec, one.name)
        words = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        options = {"choices": [kind.value for kind in StudentKind]} if one.name == "student" else {"metavar": "X"}
        yield _arg(f"--{one.name.replace('_', '-')}", says=f"{one.name} of the spec (default {words})", **options)


COMMANDS: tuple[Command, ...] = (
    _asks(
        "open",
        "Show the screens (what runs when no command is given); without a terminal, list the plays.",
        "open_screens",
        _arg("file", metavar="FILE", nargs="?", says="the project file"),
        _arg("--play", metavar="PLAY", says="open this play first"),
        _flag("--recent", "list the projects that were opened last, and open none"),
    ),
    _does(
        Action.OPEN_PROJECT,
        _arg("file", metavar="FILE", says="the project file to make, like team.distill"),
        _arg("--name", metavar="TEXT", required=True, says="the project's name"),
        _arg("--me", metavar="ID", says="your id in the project (default: the name of the account of your uid)"),
        _arg("--my-name", metavar="TEXT", says="your name, for display"),
    ),
    _does(
        Action.ENROL_PERSON,
        _arg("person", metavar="ID", says="their id, like vera"),
        _arg("--name", metavar="TEXT", says="their name, for display"),
        _UID,
        _arg("--key-file", metavar="FILE.pub", says="an SSH public key of theirs"),
    ),
    _asks("person list", "Show who is enrolled, with accounts and keys.", "list_people"),
    _does(
        Action.ADD_ACCOUNT,
        _arg("person", metavar="PERSON", says="who it belongs to"),
        _arg("uid", metavar="UID", type=int, says="the uid of the account"),
    ),
    _does(
        Action.ADD_KEY,
        _arg("person", metavar="PERSON", says="who it belongs to"),
        _arg("key_file", metavar="FILE.pub", says="the public key"),
    ),
    _does(Action.REVOKE_KEY, _arg("fingerprint", metavar="FINGERPRINT", says="as `person list` shows it")),
    _does(
        Action.SET_ASSURANCE,
        _arg("least", choices=[each.value for each in Assurance], says="the weakest that counts; it is never lowered"),
    ),
    _does(
        Action.OPEN_PLAY,
        _arg("name", metavar="NAME", says="the play's name"),
        _arg("--kind", choices=[kind.value for kind in PlayKind], required=True, says="what the play wins"),
        _arg("--summary", metavar="TEXT", default="", says="the task in a sentence"),
        _arg("--task", choices=[task.value for task in Task], default="classification", says="what the student does"),
        _arg("--predecessor", metavar="PLAY", says="the killed play whose goalposts this one replaces"),
    ),
    _does(
        Action.ASSIGN_ROLE,
        _PLAY,
        _arg("role", choices=[role.value for role in Role], says="the role"),
        _arg("person", metavar="PERSON", says="who holds it from now on"),
    ),
    _does(Action.SIGN_ROSTER, _PLAY),
    _asks("roster show", "Show who is who in a play, and the digest that the sponsor signs.", "show_roster", _PLAY),
    _does(
        Action.FILL_WORKSHEET,
        _PLAY,
        _arg("values", metavar="NAME=VALUE", nargs="*", says="numbers; without any, the worksheet is shown"),
        _arg("--source", metavar="TEXT", default="typed", says="where the numbers come from"),
        _flag("--from-traffic", "fill in what the imported traffic says; NAME=VALUE goes before it"),
        *_WINDOW,
    ),
    _does(Action.QUALIFY, _PLAY),
    _asks(
        "gate show",
        "Show the gate, and what stands against locking it.",
        "show_gate",
        _PLAY,
        _flag("--toml", "as TOML"),
    ),
    _does(Action.EDIT_GATE, _PLAY, _arg("file", metavar="FILE", says="a TOML file; - reads standard input")),
    _asks(
        "gate compare",
        "Show the gate beside that of the killed play that it follows, or of another play.",
        "compare_gates",
        _PLAY,
        _arg("other", metavar="OTHER", nargs="?", says="the play to compare with (default: the predecessor)"),
    ),
    _asks("gate power", "Say what the held-out rows can and cannot prove.", "show_power", _PLAY),
    _does(
        Action.LOCK_GATE,
        _PLAY,
        _arg("--confirm", metavar="CODE", required=True, says="the play's code once more: a lock is for good"),
    ),
    _does(
        Action.IMPORT_TRAFFIC,
        _PLAY,
        _arg(
            "file",
            metavar="FILE",
            says="JSONL, CSV, Parquet, gzip of one, a folder `datasets` saved; - reads JSONL",
        ),
        *_columns(),
        _arg(
            "--most-rejects",
            metavar="SHARE",
            default="0.05",
            says="the share of rows that may be unusable before the import is refused (default 0.05)",
        ),
        _flag("--preview", "only show the columns as they would be read, with sample rows; nothing is stored"),
    ),
    _does(
        Action.SET_TEACHER,
        _PLAY,
        _arg("folder", metavar="FOLDER", nargs="?", says="a local model folder"),
        _flag("--recorded", "the outputs that the traffic holds"),
        _flag("--zero-shot", "the folder is an NLI model: ask it whether a text entails the template with each label"),
        _flag("--prompted", "the folder is a causal language model: it chooses among the labels, or writes the answer"),
        _arg("--endpoint", metavar="URL", says="an OpenAI-compatible endpoint, like https://host/v1"),
        _arg("--model", metavar="NAME", says="the model at the endpoint"),
        _arg("--revision", metavar="TEXT", default="", says="the model's version there: another one is asked anew"),
        _arg("--labels", metavar="A,B,C", says="the labels to choose from (of a classification play)"),
        _arg("--template", metavar="FILE", says="what is asked: {input} and {labels}, or {label} with --zero-shot"),
        _flag("--completes", "a --prompted model goes on from the template as plain text; an answer is one line"),
        _arg("--answer-tokens", metavar="N", type=int, says="the most tokens of an answer (256 where it writes)"),
    ),
    _does(
        Action.CONFIRM_TERMS,
        _PLAY,
        _arg("--provider", metavar="NAME", required=True, says="whose terms they are"),
        _arg("--terms-version", metavar="TEXT", required=True, says="the version that the terms name"),
        _arg("--dated", metavar="DATE", required=True, says="the date of the terms, like 2026-11-24"),
        _flag("--permitted", "they permit training on outputs"),
        _flag("--forbidden", "they do not"),
    ),
    _does(
        Action.LABEL,
        _PLAY,
        *_LIMITS,
        _WAIT,
    ),
    Command(
        "data vary",
        "Have the teacher write variations of open rows that the last student failed on; they wait to be read.",
        "vary",
        (
            _PLAY,
            _arg("rows_named", metavar="ROW", nargs="*", type=int, says="rows by number (default: failures)"),
            _arg("--each", metavar="N", type=int, default=3, says="variations of one row, 1 to 20 (default 3)"),
            _arg("--rows", metavar="N", type=int, default=50, says="failures of validation at most (default 50)"),
            *_LIMITS,
            _WAIT,
        ),
        Action.LABEL,
    ),
    Command(
        "data take",
        "Take in the variations that a run wrote, once you have read them: rows of a source of their own.",
        "take_variations",
        (
            _PLAY,
            _arg("--run", metavar="N", type=int, says="the run that wrote them (default: the newest)"),
            _arg("--without", metavar="N", nargs="+", type=int, default=[], says="leave these out, by their number"),
        ),
        Action.IMPORT_TRAFFIC,
    ),
    _asks(
        "data variations",
        "Show the variations that wait to be taken in: of which row, with which weight, and what was left out.",
        "show_variations",
        _PLAY,
        _arg("--run", metavar="N", type=int, says="the run that wrote them (default: the newest)"),
    ),
    _does(Action.BUILD_DATA, _PLAY),
    _does(
        Action.ACCEPT_FINDINGS,
        _PLAY,
        _arg("findings", metavar="FINDING", nargs="*", says="their ids, as `data show` gives them"),
        _flag("--all", "all that are open"),
        _REASON,
    ),
    _does(Action.FREEZE_DATA, _PLAY),
    _asks(
        "data window",
        "Measure the traffic: calls, tokens, spend and p95 by month, the teacher against gold, the top patterns.",
        "show_window",
        _PLAY,
        *_WINDOW,
    ),
    _asks(
        "data audit",
        "Show how the data set covers its traffic: by label, segment, length, language, month and topic.",
        "show_audit",
        _PLAY,
        _arg("--axis", metavar="NAME", says="only this one"),
    ),
    _asks(
        "rows",
        "Look through the rows of this round's data set; held-out rows are sealed and left out.",
        "show_rows",
        _PLAY,
        _arg("--label", metavar="LABEL", default="", says="gold, or the teacher's label where there is no gold"),
        _arg("--segment", metavar="NAME", default="", says="only this segment"),
        _arg("--split", metavar="SPLIT", default="", says="train or validation"),
        _arg("--search", metavar="TEXT", default="", says="anywhere in the input, whatever its case"),
        _arg("--below", metavar="P", type=float, says="the teacher's highest probability is below this"),
        _arg("--above", metavar="P", type=float, says="the teacher's highest probability is this or more"),
        _arg("--conflicts", metavar="KIND", default="", says="teacher: differs from gold; near: duplicates differ"),
        _arg("--offset", metavar="N", type=int, default=0, says="leave out the first N"),
        _arg("--show", metavar="N", type=int, default=50, says="how many (default 50)"),
    ),
    _asks(
        "data ledger",
        "Show what the teacher was asked: calls, tokens, money, what the cache saved.",
        "show_ledger",
        _PLAY,
    ),
    _asks(
        "data request",
        "Choose the inputs that the next round needs labels for: nearest to the last student's failures on validation.",
        "show_request",
        _PLAY,
        _arg("file", metavar="FILE", nargs="?", says="fresh traffic (default: the imported traffic without gold)"),
        _arg("--rows", metavar="N", type=int, default=100, says="how many (default 100)"),
        _arg("--out", metavar="FILE.jsonl", says="write them there: fill in gold, then import the file"),
    ),
    _asks(
        "data pairs",
        "Show pairs of rows at the border of what counts as a near duplicate; held-out rows are left out.",
        "show_pairs",
        _PLAY,
        _arg("--around", metavar="SHARE", type=float, default=0.5, says="the similarity to look at (default 0.5)"),
        _arg("--show", metavar="N", type=int, default=10, says="how many pairs (default 10)"),
    ),
    _asks("data show", "Show the data set of this round in counts: splits, cells, findings.", "show_data", _PLAY),
    _does(
        Action.OPEN_ROW,
        _PLAY,
        _arg("row", metavar="ROW", type=int, says="the row's number in the data set"),
        _flag("--burn", "for a builder: I know that the row is burnt by this, and counts no longer"),
    ),
    _does(
        Action.START_RUN,
        _PLAY,
        _arg("values", metavar="NAME=VALUE", nargs="*", says="fields of the spec, like epochs=3"),
        _arg("--spec", metavar="FILE", says="a TOML file of the spec's fields; what else is given goes before it"),
        *_spec_fields(),
        _WAIT,
    ),
    _asks(
        "train status",
        "Show the runs of a play.",
        "show_runs",
        _PLAY,
        _flag("--follow", "follow the active run to its end; exit 1 when it does not finish"),
    ),
    _does(Action.STOP_RUN, _PLAY, _RUN),
    _does(Action.RESUME_RUN, _PLAY, _RUN, _WAIT),
    _does(Action.EVALUATE, _PLAY, _RUN, _WAIT),
    _asks(
        "eval show",
        "Show the evaluation of this round: the verdict first, then all that a reviewer looks at.",
        "show_evaluation",
        _PLAY,
    ),
    _asks("evaluation", "Show the evaluation of this round, as `eval show` does.", "show_evaluation", _PLAY),
    _asks(
        "eval failures",
        "Page through the rows that the student has wrong: of validation, or for the validator of the held-out split.",
        "show_failures",
        _PLAY,
        _arg("--first", metavar="N", type=int, default=1, says="begin with the N-th (default 1)"),
        _arg("--count", metavar="N", type=int, default=10, says="show so many (default 10)"),
    ),
    _asks(
        "eval html",
        "Write the evaluation as one HTML file that needs nothing else, for somebody without a terminal.",
        "write_evaluation",
        _PLAY,
        _arg("file", metavar="FILE", says="the file to write; it must not be there yet"),
    ),
    _does(Action.REPRODUCE, _PLAY, _WAIT),
    _does(
        Action.SPOT_CHECK,
        _PLAY,
        _arg("said", metavar="NUMBER=WORD", nargs="*", says="a, b, both or neither; without any, they are shown"),
        _arg("--rows", metavar="N", type=int, says="how many (default: as many as the gate asks for, or 10)"),
    ),
    _does(
        Action.SIGN_OFF,
        _PLAY,
        _flag("--approve", "accept the student for launch"),
        _flag("--refuse", "do not accept it"),
        _arg("-m", "--message", metavar="TEXT", says="the comment that goes into the statement"),
        _arg("--seen", metavar="DIGEST", says="sign only what `sign PLAY` showed under this digest"),
        _arg("--via", metavar="URL", says="fetch from ssh://[user@]host[:port], show and sign here, and hand it in"),
        _arg("--ssh-config", metavar="FILE", says="with --via: the configuration file that ssh reads"),
    ),
    _does(
        Action.REFUSE,
        _PLAY,
        _REASON,
        _arg("--seen", metavar="DIGEST", says="refuse only what `sign PLAY` showed under this digest"),
    ),
    _does(Action.WITHDRAW, _PLAY, _REASON),
    _does(
        Action.SET_MAINTENANCE,
        _PLAY,
        _arg("--sample", metavar="N", type=int, required=True, says="calls a month that are sampled"),
        _arg("--refresh-days", metavar="N", type=int, required=True, says="days between two refreshes"),
    ),
    _does(Action.SHIP, _PLAY),
    _does(Action.ITERATE, _PLAY),
    _does(Action.KILL, _PLAY, _REASON),
    _does(Action.REHEARSE, _PLAY, _WAIT),
    _does(
        Action.OBSERVE,
        _PLAY,
        _arg(
            "file",
            metavar="FILE",
            says="a file as `import` reads it, a folder of such, or - for JSONL on standard input",
        ),
        *_columns(),
        _flag("--no-wait", "leave the run to its worker; else it is followed, and the exit code says how things stand"),
    ),
    _does(Action.ACKNOWLEDGE, _PLAY, _REASON),
    _does(
        Action.ROLL_BACK,
        _PLAY,
        _arg("--bundle", metavar="N", type=int, required=True, says="the number of the bundle, as `live` shows it"),
        _REASON,
        _arg("--confirm", metavar="CODE", required=True, says="the play's code once more: what is live changes"),
    ),
    _does(Action.REFRESH, _PLAY, _REASON),
    _does(Action.COMMENT, _PLAY, _arg("text", metavar="TEXT", says="the comment")),
    _asks(
        "list",
        "List the plays.",
        "list_plays",
        _arg("--filter", metavar="TEXT", default="", says="only plays that contain every one of these words"),
    ),
    _asks("show", "Show all about a play.", "show_play", _PLAY),
    _asks("next", "Say the next step of a play, what stands against it, and the command.", "show_next", _PLAY),
    _asks(
        "why",
        "Say why you may not do something now, with all the reasons.",
        "show_why",
        _PLAY,
        _arg("wanted", metavar="ACTION", nargs="+", says="the words of a command, like gate lock"),
    ),
    _asks(
        "log",
        "Show the audit log, of one play or of all.",
        "show_log",
        _arg("play", metavar="PLAY", nargs="?", says="only this play"),
        _arg("--last", metavar="N", type=int, says="only the last N entries"),
    ),
    _asks(
        "audit verify",
        "Check the log's chain, the guards of the file, and that it follows on what you saw; exit 1 where not.",
        "verify_log",
        _flag("--forget", "begin anew: forget what this account saw of the log before"),
    ),
    _asks(
        "ssh setup",
        "Show what an OpenSSH server needs for sessions of this project, and check what it has.",
        "set_up_ssh",
        _arg("--user", metavar="NAME", says="the account that sessions run under (default: yours)"),
        _arg("--check", metavar="FILE", says="check this authorized_keys file, and sshd's settings; exit 1 if not fit"),
        _arg("--sshd-config", metavar="FILE", says="the settings to check (default: the system's)"),
        _flag("--agent", "let people forward an agent to sign in the session"),
    ),
    _asks(
        "ssh serve",
        "Run a private OpenSSH server whose sessions open this project and nothing else, until ctrl+c.",
        "serve_ssh",
        _arg("--port", metavar="N", type=int, required=True, says="the port to listen on"),
        _arg("--listen", metavar="ADDRESS", default="0.0.0.0", says="the address to listen on (default: all)"),
        _IDLE,
        _flag("--agent", "let people forward an agent to sign in the session"),
    ),
    _asks(
        "ssh session",
        "Be what a session over SSH runs: a forced command starts it, nobody types it.",
        "run_session",
        _IDLE,
    ),
    _asks("whoami", "Say who you are here, how that was proved, and your roles.", "show_actor"),
    _asks("jobs", "Show the runs that workers have now.", "show_jobs"),
    _asks(
        "verify",
        "Check a shipped bundle: digests, verdict and signature; without one, compute every verdict that the project "
        "stores again. Exit 1 where something is wrong.",
        "verify_bundle",
        _arg("bundle", metavar="BUNDLE", nargs="?", says="the bundle's folder (default: the project's own verdicts)"),
        _arg("--signer", metavar="FINGERPRINT", says="the key that must have signed"),
        _arg("--roster", metavar="DIGEST", says="the digest of the roster that you trust, as `roster show` prints it"),
    ),
    _asks(
        "backup",
        "Copy the project, of one moment, while others write; exit 1 where the project is not whole.",
        "back_up",
        _arg("file", metavar="FILE", says="the new project file; its artifacts are put beside it"),
    ),
    _asks(
        "completion",
        "Print a completion script for a shell, to be sourced there.",
        "print_completion",
        _arg("shell", choices=["bash", "zsh", "fish"], says="the shell"),
    ),
    _asks(
        "live",
        "Show how the live student does: standing, findings, segments, what the sample notices; exit 6 alarm, 7 due.",
        "show_live",
        _PLAY,
        _arg(
            "--window", metavar="DAYS", type=int, default=0, says="segments of the last so many days that were observed"
        ),
    ),
    _asks(
        "probe", "Print the inputs that the teacher is asked again, so that its own drift is seen.", "show_probe", _PLAY
    ),
    _asks(
        "retrain",
        "Run a bundle's recipe again, without its project: the same data give the same weights.",
        "retrain",
        _arg("bundle", metavar="BUNDLE", says="the bundle's folder"),
        _arg("--data", metavar="FILE", required=True, says="the frozen data set (reproduces), or traffic (refreshes)"),
        _arg("--out", metavar="FOLDER", required=True, says="a new folder for the student"),
        _arg("--teacher", metavar="FOLDER", says="the teacher's folder, where the recipe names a local one"),
        _arg("--start", metavar="FOLDER", says="the model that a student of kind folder starts from"),
        _arg("--threads", metavar="N", type=int, says="torch threads (default: the recipe's; others give other bits)"),
    ),
    _asks("doctor", "Check this machine and the project file; exit 1 where something is wrong.", "examine"),
    _asks(
        "spec",
        "Print every action with its key, command and sentence, and the exit codes.",
        "show_spec",
        Argument(("--markdown",), "", {"action": "store_true"}),
    ),
)


def find(words: str) -> Command:
    """Find a command by its words."""
    return next(command for command in COMMANDS if command.words == words)


# --- the parser ------------------------------------------------------------------------------------------------------

GLOBAL = (
    _arg("--project", metavar="FILE", says="the project file (else $DISTILL_PROJECT, else the only *.distill here)"),
    _arg(
        "--key",
        metavar="FILE",
        says="prove who you are with this SSH key: a private key, or the .pub of one that ssh-agent holds",
    ),
    _flag("--json", "print data as JSON"),
    _flag("--plain", "no screens, no columns, no moving lines"),
)
_FIRST = "start"  # what the bare word of `train PLAY` and `eval PLAY` is called inside


class Parser(argparse.ArgumentParser):
    """argparse that takes no abbreviations and says one line, with nothing in it that steers a terminal."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and leave with 2."""
        self.exit(USAGE, visible(f"{self.prog}: {message.rstrip('.')}; see {self.prog} --help.") + "\n")


@cache
def _groups() -> dict[str, list[Command]]:
    groups: dict[str, list[Command]] = {}
    for command in COMMANDS:
        groups.setdefault(command.words.split()[0], []).append(command)
    return groups


class _Version(argparse.Action):
    """Says the version; looks it up only when asked, for that takes longer than the rest of a command line."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.exit(DONE, f"{_version()}\n")


def parser(head: str = "") -> Parser:
    """Make the parser from the table: of all commands, or only of those that begin with `head` where there are any."""
    top = Parser(prog=PROGRAM, description="Run model distillation as an operation.", epilog=_exit_lines())
    top.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    _add_global(top)
    top.set_defaults(
        project=None, key=None, json=False, plain=False, command=find("open"), file=None, play=None, recent=False
    )
    heads = top.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for name in (head,) if head in _groups() else _groups():
        _add_group(heads, name, _groups()[name])
    return top


def _add_group(heads: Any, head: str, members: Sequence[Command]) -> None:
    if len(members) == 1 and members[0].words == head:
        _add(heads, head, members[0])
        return
    group = heads.add_parser(head, help=_group_help(head, members), description=f"The commands of {head}.")
    _add_global(group)
    seconds = group.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for member in members:
        _add(seconds, member.words[len(head) + 1 :] or _FIRST, member)


def _add(heads: Any, name: str, command: Command) -> None:
    others = [c.words for c in _groups()[command.words.split()[0]] if c is not command]
    one = heads.add_parser(
        name,
        prog=f"{PROGRAM} {command.words}",
        help=command.sentence,
        description=command.sentence,
        epilog=f"See also: {', '.join(others)}." if others else None,
    )
    for argument in command.arguments:
        one.add_argument(*argument.names, help=argument.sentence or argparse.SUPPRESS, **argument.options)
    _add_global(one)
    one.set_defaults(command=command)


def _add_global(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("for every command")
    for argument in GLOBAL:  # suppressed, so that a word after the command does not undo one before it
        group.add_argument(*argument.names, help=argument.sentence, default=argparse.SUPPRESS, **argument.options)


def _group_help(head: str, members: Sequence[Command]) -> str:
    names = [member.words for member in members]
    first = next((member.sentence for member in members if member.words == head), "")
    return f"{first} Also: {', '.join(names[1:])}." if first else f"{', '.join(names)}."


def _exit_lines() -> str:
    return "exit codes:\n" + "\n".join(f"  {code:<4} {says}" for code, says in EXIT_CODES.items())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{PROGRAM} {version(PROGRAM)}"
    except PackageNotFoundError:
        return f"{PROGRAM}, not installed"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; leaves (SystemExit) with 2 where it is wrong and with 0 after --help."""
    words = _expanded(list(argv))
    top = parser(next((words[place] for place in _words_at(words)), ""))
    args, more = top.parse_known_args(words)
    command: Command = args.command
    place = more.index("--") if "--" in more else len(more)  # behind it a word that begins with - is no option
    late, known = [*more[:place], *more[place + 1 :]], not any(word.startswith("-") for word in more[:place])
    if late and known and isinstance(getattr(args, "values", None), list):
        args.values += late  # name=value words that stood after an option
    elif len(late) == 1 and known and (name := _left_empty(args)):
        setattr(args, name, late[0])  # argparse gives up on a word that may be left out when an option stands before it
    elif more:
        Parser(prog=f"{PROGRAM} {command.words}").error(f"it does not know {' '.join(more)}")
    return args


def _left_empty(args: argparse.Namespace) -> str:
    """Name the positional argument that may be left out and was; empty where there is none."""
    names = [each.names[0] for each in args.command.arguments if each.options.get("nargs") == "?"]
    return next((name for name in names if getattr(args, name) is None), "")


def _expanded(argv: list[str]) -> list[str]:
    """Tell `train P-001` from `train status P-001`: where no second word follows, put in the one for the first."""
    places = list(_words_at(argv))
    if not places:
        return argv
    head = argv[places[0]]
    members = _groups().get(head, [])
    if len(members) > 1 and any(member.words == head for member in members):
        second = argv[places[1]] if len(places) > 1 else ""
        if f"{head} {second}" not in [member.words for member in members]:
            return [*argv[: places[0] + 1], _FIRST, *argv[places[0] + 1 :]]
    return argv


def _words_at(argv: Sequence[str]) -> Iterator[int]:
    """Give the places of the first words that are neither a global option nor the value of one."""
    skip = False
    for place, word in enumerate(argv):
        if skip:
            skip = False
        elif word in ("--project", "--key"):
            skip = True
        elif not word.startswith("-"):
            yield place
        elif word == "--":
            return


# --- running ---------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; gives the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else USAGE
    from distill_tui.cli import call as calls
    from distill_tui.cli import commands, show

    call = calls.Call(args)
    try:
        code: int = getattr(commands if args.command.action else show, args.command.run)(call) or DONE
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        call.talk("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        explained = calls.explain(error, call)
        if explained is None:
            raise
        return explained


# --- the reference ---------------------------------------------------------------------------------------------------


def actions() -> list[dict[str, object]]:
    """List every action with its key, command, sentence, and whether it can be taken back."""
    return [
        {
            "action": action.value,
            "key": action.key,
            "command": action.command,
            "sentence": action.sentence,
            "final": action in _IRREVERSIBLE,
        }
        for action in Action
        if action.command
    ]


def markdown() -> str:
    """Write the reference of all commands, docs/cli.md."""
    lines = [
        "# The command line",
        "",
        f"Made by `{PROGRAM} spec --markdown`; do not edit it. Everything that a key does, a command does too.",
        "Standard output is data, standard error is talk. Control characters in data are printed as visible marks.",
        "",
        "Who you are is proved, never typed: by the uid of the process, or with `--key` by an SSH key that signs a",
        "challenge. `$USER` and `$LOGNAME` are not read.",
        "",
        "## For every command",
        "",
        "They stand before or after the command.",
        "",
        *_argument_lines(GLOBAL),
        "",
        "## Exit codes",
        "",
        "| code | means |",
        "| --- | --- |",
        *(f"| {code} | {says} |" for code, says in EXIT_CODES.items()),
        "",
        "## Actions",
        "",
        "What changes the project, through the rules and into the audit log.",
        "",
    ]
    for command in COMMANDS:
        lines += _reference(command) if command.action else []
    lines += ["## Questions", "", "They change nothing.", ""]
    for command in COMMANDS:
        lines += [] if command.action else _reference(command)
    return "\n".join(lines).rstrip() + "\n"


def _reference(command: Command) -> Iterator[str]:
    key = f" Key: `{command.action.key}`." if command.action and command.action.key else ""
    final = " It cannot be taken back." if command.action in _IRREVERSIBLE else ""
    yield from (f"### `{command.words}`", "", f"{command.sentence}{key}{final}", "")
    shown = [argument for argument in command.arguments if argument.sentence]
    yield from ("```", " ".join([PROGRAM, command.words, *(a.synopsis for a in shown)]), "```", "")
    if shown:
        yield from (*_argument_lines(shown), "")


def _argument_lines(arguments: Sequence[Argument]) -> list[str]:
    return [f"- `{argument.synopsis.strip('[]')}`: {argument.sentence}" for argument in arguments]


if __name__ == "__main__":
    raise SystemExit(main())
