"""`sign --via`: fetch a statement over SSH, read it here, sign it here, and hand the signature in.

The host is not trusted: what is shown is read from the bytes that are signed, the log that the host names must continue
the one that this account saw before, and the key never leaves this machine.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_tui.digests import canonical, digest_of
from distill_tui.people import log_heads, signatures, statements
from distill_tui.people.log_heads import Head
from distill_tui.rules.objection import Objection, Refused
from distill_tui.text import visible

URL = re.compile(
    r"ssh://(?:([A-Za-z0-9_][A-Za-z0-9._-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?/?"
)
CODE = re.compile(r"P-\d{1,9}")


class ViaError(ValueError):
    """The host cannot be reached, or its answer is wrong; with the reason."""


@dataclass(frozen=True)
class Host:
    """The host of a project, and how `ssh` reaches it."""

    user: str
    name: str
    port: int
    key: Path | None = None
    config: Path | None = None

    @classmethod
    def read(cls, url: str, key: Path | None = None, config: Path | None = None) -> Host:
        """Read ssh://[user@]host[:port], of which no part can become an option of `ssh`. Raises ViaError."""
        match = URL.fullmatch(url)
        if match is None or not 0 < int(match[3] or 22) < 65536:
            raise ViaError(f"“{url}” is not an address; write it like ssh://distill@host or ssh://distill@host:2222.")
        return cls(match[1] or "", match[2].strip("[]"), int(match[3] or 0), key, config)

    def command(self, words: str) -> list[str]:
        """Return the command that sends words to the host, with forwarding off."""
        options = ["-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no"]
        options += ["-F", str(self.config)] if self.config else []
        options += ["-p", str(self.port)] if self.port else []
        options += ["-i", str(self.key)] if self.key and self.key.suffix != ".pub" else []
        return ["ssh", *options, "--", f"{self.user}@{self.name}" if self.user else self.name, words]

    def ask(self, words: str, line: Mapping[str, Any]) -> dict[str, Any]:
        """Send one line to the host and read one. Raises Refused with the host's reasons, or ViaError."""
        try:
            done = subprocess.run(
                self.command(words), input=json.dumps(line).encode() + b"\n", stdout=subprocess.PIPE, check=False
            )
        except FileNotFoundError:
            raise ViaError("ssh is not installed; install OpenSSH's client.") from None
        try:
            value = json.loads(done.stdout[:20_000_000])
        except (ValueError, RecursionError):
            raise ViaError(f"{self.name} did not answer (ssh ended with {done.returncode}).") from None
        if not isinstance(value, dict):
            raise ViaError(f"{self.name} did not answer as distill-tui does.")
        if isinstance(value.get("objections"), list):
            reasons = [each for each in value["objections"] if isinstance(each, dict)]
            raise Refused(Objection(rule=str(e.get("rule")), sentence=str(e.get("sentence"))) for e in reasons)
        if "error" in value:
            raise ViaError(f"{self.name}: {value['error']}")
        return value


@dataclass(frozen=True)
class Fetched:
    """A statement as it was received, and its predicate."""

    content: bytes
    predicate: Mapping[str, Any]

    @property
    def covers(self) -> Mapping[str, Any]:
        """What the sign-off would cover."""
        covers: Mapping[str, Any] = self.predicate["covers"]
        return covers

    @property
    def seen(self) -> str:
        """The digest of all that it covers; the person types its last digits."""
        return digest_of(canonical(self.covers))

    @property
    def head(self) -> Head:
        """The head of the log that it names."""
        audit = self.predicate["audit"]
        return Head(audit["size"], audit["head"])


def fetch(host: Host, play: str, opinion: str, comment: str) -> Fetched:
    """Fetch the statement to sign, and check that it is the one asked for. Raises ViaError, Refused."""
    if not CODE.fullmatch(play):
        raise ViaError(f"“{play}” is not the code of a play; write it like P-001.")
    address = f"ssh://{host.name}:{host.port or 22}"  # which project is there is not known before it answers
    since = log_heads.seen(address) or Head(0, "")
    answer = host.ask(f"statement {play} {opinion}", {"comment": comment, "since": since.size})
    try:
        content = base64.b64decode(str(answer["statement"]), validate=True)
        predicate = statements.read_sign_off(content)["predicate"]
        fetched = Fetched(content, predicate)
        asked_for = (predicate["opinion"], predicate.get("comment"), f"P-{predicate['covers']['play']:03d}")
        head = fetched.head
    except (KeyError, TypeError, ValueError) as error:
        raise ViaError(f"{host.name} did not send a statement that can be signed ({error}).") from None
    if asked_for != (opinion, comment, play):
        raise ViaError(f"{host.name} sent another statement than you asked for; do not sign there.")
    _follows(str(fetched.covers["project"]), head, answer.get("log"), since)
    log_heads.remember(address, head)
    log_heads.remember(str(fetched.covers["project"]), head)
    return fetched


def _follows(project: str, head: Head, log: object, since: Head) -> None:
    """Check that the log continues what this account saw, by computing every digest in between."""
    entries = log if isinstance(log, list) else []
    at, previous = since.size, since.digest
    digests = {at: previous}
    try:
        for *fields, digest in entries:
            if fields[0] != at + 1 or fields[-1] != previous or digest_of(canonical(fields)) != digest:
                raise ValueError
            at, previous = fields[0], digest
            digests[at] = digest
    except (ValueError, TypeError, IndexError):
        raise _forked("its log does not continue the one that you have seen") from None
    if (at, previous) != (head.size, head.digest):
        raise _forked("its log does not lead from what you have seen to what you would sign")
    last = log_heads.seen(project)
    if last is not None and last.size in digests and digests[last.size] != last.digest:
        raise _forked(f"entry {last.size} of its log is not the one that you have seen")
    if last is not None and last.size > head.size:
        raise _forked(f"its log has {head.size} entries, and you have seen {last.size}")


def _forked(why: str) -> Refused:
    sentence = f"This host shows you another history than before: {why}. Ask the keeper before you sign anything."
    return Refused([Objection("audit.forked", sentence)])


def lines(fetched: Fetched) -> list[str]:
    """Return what would be signed, read from the bytes that would be signed, as lines that are safe to print."""
    return [visible(line) for line in _lines(fetched)]


def _lines(fetched: Fetched) -> Iterator[str]:
    predicate, covers = fetched.predicate, fetched.covers
    yield f"You are asked to sign, as {predicate['signer']}:"
    yield f"  {predicate['meaning']}"
    yield f"  comment: {predicate.get('comment')}"
    for name, value in covers.items():
        yield f"  {name.replace('_', ' ') + ':':<12} {value if isinstance(value, str | int) else json.dumps(value)}"
    for each in predicate.get("criteria", ()):
        yield f"  {each.get('verdict', ''):<10} {each.get('says', '')}"
    yield f"  log:         {fetched.head.size} entries, head {fetched.head.digest}"
    yield f"  all of what it covers: {fetched.seen}"


def hand_in(host: Host, play: str, fetched: Fetched, key: Path) -> dict[str, Any]:
    """Sign the bytes that were shown and hand the signature in; return the host's answer."""
    signature = signatures.sign(fetched.content, key, signatures.SIGN_OFF)
    signatures.verify(fetched.content, signature, signatures.SIGN_OFF)
    statement = base64.b64encode(fetched.content).decode()
    return host.ask(f"signature {play}", {"statement": statement, "signature": signature})
