"""Every command by its words: its sentence, and the file in this folder that holds it. Imports only `terms`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_tui.terms import Action

_ABOUT_NO_PLAY = (
    Action.OPEN_PROJECT,
    Action.ENROL_PERSON,
    Action.ADD_ACCOUNT,
    Action.ADD_KEY,
    Action.REVOKE_KEY,
    Action.SET_ASSURANCE,
    Action.OPEN_PLAY,
)
IRREVERSIBLE = (Action.LOCK_GATE, Action.FREEZE_DATA, Action.EVALUATE, Action.SHIP, Action.KILL, Action.REVOKE_KEY)
_TITLES = {
    "screens": "Screens",
    "people": "Project and people",
    "plays": "Plays",
    "gate": "Trigger and gate",
    "data": "Traffic and data set",
    "teacher": "Teacher",
    "train": "Runs",
    "evaluate": "Evaluation",
    "sign": "Sign-off and launch",
    "live": "Live student",
    "check": "Checks and backups",
    "ssh": "Sessions over SSH",
    "reference": "About the commands",
}


@dataclass(frozen=True)
class Entry:
    """One command: words, sentence, file, whether its first argument is a play, and the action that it takes."""

    words: str
    sentence: str
    file: str
    play: bool = False
    action: Action | None = None

    @property
    def typed(self) -> str:
        """Return the words as one begins to type them."""
        return f"{self.words} PLAY" if self.play else self.words


def _takes(file: str, action: Action) -> Entry:
    return Entry(action.command, action.sentence, file, action not in _ABOUT_NO_PLAY, action)


def _asks(file: str, words: str, sentence: str) -> Entry:
    plain = words.removesuffix(" PLAY")
    return Entry(plain, sentence, file, plain != words)


ENTRIES: tuple[Entry, ...] = (
    _asks("screens", "open", "Open the screens (also without any command); without a terminal, list the plays."),
    _takes("people", Action.OPEN_PROJECT),
    _takes("people", Action.ENROL_PERSON),
    _asks("people", "person list", "List who is enrolled, with accounts and keys."),
    _takes("people", Action.ADD_ACCOUNT),
    _takes("people", Action.ADD_KEY),
    _takes("people", Action.REVOKE_KEY),
    _takes("people", Action.SET_ASSURANCE),
    _takes("plays", Action.OPEN_PLAY),
    _takes("people", Action.ASSIGN_ROLE),
    _takes("people", Action.SIGN_ROSTER),
    _asks("people", "roster show PLAY", "Show the people of a play, and the digest that the sponsor signs."),
    _takes("gate", Action.FILL_WORKSHEET),
    _takes("gate", Action.QUALIFY),
    _asks("gate", "gate show PLAY", "Show the gate, and what prevents locking it."),
    _takes("gate", Action.EDIT_GATE),
    _asks("gate", "gate compare PLAY", "Compare the gate with the killed predecessor's gate, or with another play's."),
    _asks("gate", "gate power PLAY", "Show what the held-out rows can and cannot prove."),
    _takes("gate", Action.LOCK_GATE),
    _takes("data", Action.IMPORT_TRAFFIC),
    _takes("teacher", Action.SET_TEACHER),
    _takes("teacher", Action.CONFIRM_TERMS),
    _takes("teacher", Action.LABEL),
    Entry(
        "data vary",
        "Have the teacher write variations of the open rows that the last student got wrong; review them before use.",
        "teacher",
        play=True,
        action=Action.LABEL,
    ),
    Entry(
        "data take",
        "Add the reviewed variations of a run to the traffic, as a source of their own.",
        "teacher",
        play=True,
        action=Action.IMPORT_TRAFFIC,
    ),
    _asks(
        "teacher",
        "data variations PLAY",
        "Show the variations that wait for review: source row, weight, and what was filtered out.",
    ),
    _takes("data", Action.BUILD_DATA),
    _takes("data", Action.ACCEPT_FINDINGS),
    _takes("data", Action.FREEZE_DATA),
    _asks(
        "data",
        "data window PLAY",
        "Measure the traffic: calls, tokens, spend and p95 per month, teacher against gold, the top patterns.",
    ),
    _asks(
        "data",
        "data audit PLAY",
        "Show how the data set covers its traffic: by label, segment, length, language, month and topic.",
    ),
    _asks("data", "rows PLAY", "Browse the rows of this round's data set; held-out rows are sealed and left out."),
    _asks("data", "data ledger PLAY", "Show the teacher's calls, tokens and cost, and what the cache saved."),
    _asks(
        "data",
        "data request PLAY",
        "Choose the inputs to label for the next round: nearest to the last student's errors on validation.",
    ),
    _asks(
        "data",
        "data pairs PLAY",
        "Show pairs of rows close to the near-duplicate threshold; held-out rows are left out.",
    ),
    _asks("data", "data show PLAY", "Show this round's data set in counts: splits, cells, findings."),
    _takes("data", Action.OPEN_ROW),
    _takes("train", Action.START_RUN),
    _asks("train", "train status PLAY", "Show the runs of a play."),
    _takes("train", Action.STOP_RUN),
    _takes("train", Action.RESUME_RUN),
    _takes("evaluate", Action.EVALUATE),
    _asks(
        "evaluate", "eval show PLAY", "Show this round's evaluation: the verdict first, then what a reviewer checks."
    ),
    _asks("evaluate", "evaluation PLAY", "Show this round's evaluation; the same as `eval show`."),
    _asks(
        "evaluate",
        "eval failures PLAY",
        "Page through the rows that the student got wrong: of validation, or for the validator of the held-out split.",
    ),
    _asks(
        "evaluate",
        "eval html PLAY",
        "Write the evaluation as one self-contained HTML file, for readers without a terminal.",
    ),
    _takes("evaluate", Action.REPRODUCE),
    _takes("sign", Action.SPOT_CHECK),
    _takes("sign", Action.SIGN_OFF),
    _takes("sign", Action.REFUSE),
    _takes("sign", Action.WITHDRAW),
    _takes("sign", Action.SET_MAINTENANCE),
    _takes("sign", Action.SHIP),
    _takes("plays", Action.ITERATE),
    _takes("plays", Action.KILL),
    _takes("live", Action.REHEARSE),
    _takes("live", Action.OBSERVE),
    _takes("live", Action.ACKNOWLEDGE),
    _takes("live", Action.ROLL_BACK),
    _takes("live", Action.REFRESH),
    _takes("plays", Action.COMMENT),
    _asks("plays", "list", "List the plays."),
    _asks("plays", "show PLAY", "Show everything about a play."),
    _asks("plays", "next PLAY", "Show the next step of a play, what prevents it, and the command."),
    _asks("plays", "why PLAY", "Explain with all the reasons why you may not take an action now."),
    _asks("plays", "log PLAY", "Show the audit log, of one play or of all."),
    _asks(
        "check",
        "audit verify",
        "Check the log's chain, the guards of the file, and that the log continues what you saw; exit 1 if not.",
    ),
    _asks(
        "ssh", "ssh setup", "Show what an OpenSSH server needs for sessions of this project, and check its settings."
    ),
    _asks("ssh", "ssh serve", "Run a private OpenSSH server whose sessions open only this project; ctrl+c stops it."),
    _asks("ssh", "ssh session", "Internal: the entry point of an SSH session, started by a forced command."),
    _asks("people", "whoami", "Show who you are here, how that was proved, and your roles."),
    _asks("train", "jobs", "Show the runs that are active now."),
    _asks(
        "check",
        "verify",
        "Check a bundle's digests, verdict and signature; without a bundle, recompute every stored verdict of the "
        "project. Exit 1 if anything is wrong.",
    ),
    _asks(
        "check",
        "backup",
        "Copy the project at one moment, while others write; exit 1 if the copied project is damaged.",
    ),
    _asks("reference", "completion", 'Print a completion script for a shell: eval "$(distill-tui completion bash)".'),
    _asks(
        "live",
        "live PLAY",
        "Show how the live student does: state, findings, segments, detectable drift; exit 6 alarm, 7 refresh due.",
    ),
    _asks("live", "probe PLAY", "Print the inputs to ask the teacher again, which reveal drift of the teacher itself."),
    _asks("live", "retrain", "Rerun a bundle's recipe without its project: the same data give the same weights."),
    _asks("check", "doctor", "Check this machine and the project file; exit 1 if anything is wrong."),
    _asks("reference", "spec", "Print every action with its key, command and sentence, and the exit codes."),
)
BY_WORDS = {entry.words: entry for entry in ENTRIES}


def title(head: str) -> str:
    """Return the title in the help of all commands under which the commands of this first word stand."""
    files = [entry.file for entry in ENTRIES if entry.words.split()[0] == head]
    return _TITLES[head if head in files else files[0]]


def below(head: str) -> dict[str, str]:
    """Return the words that may follow `head`, with a sentence each; "" stands for the command `head` itself."""
    found: dict[str, str] = {}
    for entry in ENTRIES:
        first, _, second = entry.words.partition(" ")
        if not head:
            found.setdefault(first, _headline(first))
        elif first == head:
            found[second] = entry.sentence
    return found


def _headline(head: str) -> str:
    names = [entry.words for entry in ENTRIES if entry.words.split()[0] == head]
    others = ", ".join(words for words in names if words != head)
    if head not in BY_WORDS:
        return f"{others}."
    return f"{BY_WORDS[head].sentence} Also: {others}." if others else BY_WORDS[head].sentence


def typed() -> Iterator[tuple[str, str]]:
    """Yield each command as one begins to type it, PLAY for a play's code, with its sentence."""
    for entry in ENTRIES:
        yield entry.typed, entry.sentence
