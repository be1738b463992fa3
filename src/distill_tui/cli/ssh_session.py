"""A session over SSH: who it is, a clean environment, and the two requests of `sign --via`.

The forced command of an `authorized_keys` line starts this and nothing else: no shell, no file, no other command. Each
answer is one line of JSON in ASCII, so that nothing from the project can control the terminal that shows it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.cli import deferred
from distill_tui.people import identity, signatures
from distill_tui.rules import decide, who
from distill_tui.rules.objection import Objection, Refused
from distill_tui.store import exposure, queries
from distill_tui.store import project as projects
from distill_tui.terms import Opinion

if TYPE_CHECKING:
    from distill_tui.rules.actor import Actor
    from distill_tui.store.project import Project

TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}")
KEPT = ("HOME", "SSH_CONNECTION", "SSH_AUTH_SOCK", "SSH_TTY", "PYTHONPATH", "XDG_STATE_HOME", "TMPDIR")
WORDS = re.compile(r"(statement) (P-\d{1,9}) (approve|refuse)|(signature) (P-\d{1,9})")
LONGEST = 1_500_000  # bytes of a line that is handed in: a statement of 1 MB in base64, and its signature
HINT = (
    "This is distill-tui. Connect with a terminal (ssh -t) to review, or sign from your own machine with "
    "`distill-tui sign --via`.\n"
)


def begin(project: Project) -> Actor:
    """Prove who this session is. Raises Refused where a session of this account proves nothing."""
    unsafe = list(_unsafe(project.path))
    if unsafe:
        raise Refused(unsafe)
    return identity.by_session(project.project_dossier())


def _unsafe(path: Path) -> Iterator[Objection]:
    """Check that the session's account owns the file and no other account can write it; else a session proves nothing.

    The proof is a file that sshd writes for this process (ExposeAuthInfo), and any shell can point SSH_USER_AUTH at a
    file of its own. It is evidence because sessions get no shell: under the account that owns the project file, sshd
    starts this command and no other. A person's own shell runs under another account, which does not own the file and
    is rejected here; or under the owner's, and then `Actor.host` names that person with every proof.
    """
    try:
        status = path.stat()
    except OSError as error:
        yield Objection("session.unsafe", f"{path.name} cannot be checked: {error.strerror}; ask its keeper.")
        return
    if status.st_uid != os.getuid():
        yield Objection(
            "session.unsafe", f"This session's account does not own {path.name}, so a session proves no identity here."
        )
    exposed = exposure.trouble(path, alone=True)
    if exposed:
        yield Objection("session.unsafe", f"{exposed} Until then a session proves no identity.")


def clean_environment() -> None:
    """Keep only the variables that a session needs; a client may have set the others."""
    term = os.environ.get("TERM", "")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ |= kept | {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    os.environ["TERM"] = term if TERM.fullmatch(term) and term != "dumb" else "xterm-256color"


def run(path: Path, idle_minutes: float) -> int:
    """Serve one session: a command of `sign --via`, or the screens; return the exit code."""
    command = os.environ.pop("SSH_ORIGINAL_COMMAND", None)
    auth = os.environ.get("SSH_USER_AUTH", "")
    clean_environment()
    os.environ["SSH_USER_AUTH"] = auth
    if command is not None:
        return answer(path, command)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.stderr.write(HINT)
        return 2
    with closing(projects.Project.open(path)) as project:
        actor = begin(project)
        key = _agent_key(project, actor)
        if key is not None:  # a forwarded agent that answers a challenge proves more than the session does
            actor = replace(actor, assurance=identity.by_key(project.project_dossier(), key).assurance)
    from distill_tui.ui import session

    deferred.load()
    return session.run(path, actor, key=key, idle_minutes=idle_minutes)


def _agent_key(project: Project, actor: Actor) -> Path | None:
    """Find a key of this person's in a forwarded agent, where there is one, to sign with."""
    if "SSH_AUTH_SOCK" not in os.environ:
        return None
    held = subprocess.run(["ssh-add", "-L"], capture_output=True, text=True, errors="replace", check=False).stdout
    theirs = {
        f"{k.kind} {k.blob}" for k in project.project_dossier().keys if k.person_id == actor.person and not k.revoked_at
    }
    for line in held.splitlines():
        name = " ".join(line.split()[:2])
        if name in theirs:
            folder = project.artifacts.folder / "sessions"
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{signatures.read_public_key(name).fingerprint[7:].replace('/', '_')}.pub"
            file.write_text(f"{name}\n")
            return file
    return None


# --- the requests of `sign --via` -----------------------------------------------------------------------------------


def answer(path: Path, command: str) -> int:
    """Answer one command in one line of JSON; reject any other command without running it."""
    words = WORDS.fullmatch(command)
    if words is None:
        sys.stderr.write("Only `statement PLAY approve|refuse` and `signature PLAY` are accepted here, and no shell.\n")
        return 2
    with closing(projects.Project.open(path)) as project:
        code, value = _answer(project, [word for word in words.groups() if word])
    sys.stdout.write(json.dumps(value) + "\n")  # in ASCII
    return code


def _answer(project: Project, words: list[str]) -> tuple[int, dict[str, object]]:
    try:
        actor, play = begin(project), queries.find_play(project, words[1])
        given = _line()
        if words[0] == "statement":
            return 0, _statement(project, play, actor, Opinion(words[2]), given)
        return 0, _signature(project, play, actor, given)
    except Refused as refused:
        return 3, {"objections": [{"rule": each.rule, "sentence": each.sentence} for each in refused.objections]}
    except (ValueError, binascii.Error) as error:  # BadSignature, ProjectError, or a line that cannot be read
        return 4, {"error": str(error)}


def _line() -> Mapping[str, object]:
    """Read the one line that comes with a command. Raises ValueError."""
    line = sys.stdin.buffer.readline(LONGEST + 1)
    if len(line) > LONGEST:
        raise ValueError(f"The line is longer than {LONGEST:,} bytes.")
    try:
        value = json.loads(line or b"{}")
    except (ValueError, RecursionError):
        raise ValueError("The line is not JSON.") from None
    if not isinstance(value, dict) or not all(isinstance(each, str | int) for each in value.values()):
        raise ValueError("The line is not an object of texts and numbers.")
    return value


def _statement(
    project: Project, play: int, actor: Actor, opinion: Opinion, given: Mapping[str, object]
) -> dict[str, object]:
    """Return the statement that this person would sign now, and the log from what they have seen up to its head."""
    comment = str(given.get("comment", ""))
    dossier, content = actions.ask_to_sign(project, play, actor, opinion, comment, keyed=True)
    since = given.get("since")
    log = queries.log_since(
        project, since if isinstance(since, int) else dossier.project.audit_size, dossier.project.audit_size
    )
    accepted = queries.acceptances(project)
    answer: dict[str, object] = {
        "statement": base64.b64encode(content).decode(),
        "log": log,
        "roster": who.roster(dossier),
    }
    return answer | ({"accepted": accepted} if accepted else {})


def _signature(project: Project, play: int, actor: Actor, given: Mapping[str, object]) -> dict[str, object]:
    content = base64.b64decode(str(given.get("statement", "")), validate=True)
    number = actions.hand_in(project, play, actor, content, str(given.get("signature", "")))
    facts = next(each for each in project.dossier(play).sign_offs if each.row.id == number)
    troubles = list(decide.sign_off_troubles(project.dossier(play), facts))
    return {"sign_off": number, "assurance": facts.row.assurance.value, "counts": not troubles}
