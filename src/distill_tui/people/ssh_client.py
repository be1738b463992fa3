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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill_tui.digests import canonical, chained, digest_of
from distill_tui.people import log_heads, signatures, statements
from distill_tui.people.keys import fingerprint
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
    roster: Mapping[str, Any]  # whose digest the statement covers: roles, and the keys of each person
    restored: str = ""  # who accepted that the host's log lacks what this account saw of it

    @property
    def covers(self) -> Mapping[str, Any]:
        covers: Mapping[str, Any] = self.predicate["covers"]
        return covers

    @property
    def seen(self) -> str:
        """The digest of all that it covers; the person types its last digits."""
        return digest_of(canonical(self.covers))

    @property
    def head(self) -> Head:
        audit = self.predicate["audit"]
        return Head(audit["size"], audit["head"])


def fetch(host: Host, play: str, opinion: str, comment: str) -> Fetched:
    """Fetch the statement to sign, and check that it is the one asked for. Raises ViaError, Refused."""
    if not CODE.fullmatch(play):
        raise ViaError(f"“{play}” is not the code of a play; write it like P-001.")
    address = f"ssh://{host.name}:{host.port or 22}"  # which project is there is not known before it answers
    since = log_heads.seen(address) or Head(0, "")

    def asked(since: int) -> tuple[Fetched, dict[str, Any]]:
        answer = host.ask(f"statement {play} {opinion}", {"comment": comment, "since": since})
        return _read(host, answer, (opinion, comment, play)), answer

    fetched, answer = asked(since.size)
    project = str(fetched.covers["project"])
    try:
        _follows(_chain(fetched.head, answer.get("log"), since), project, fetched.head)
        accepted = since.accepted
    except Refused:
        if not answer.get("accepted"):
            raise
        fetched, answer = asked(0)
        chain = _chain(fetched.head, answer.get("log"), Head(0, ""))
        accepted, by = _acceptances(chain, answer)
        for before in filter(None, map(log_heads.seen, (address, project))):
            if not before.continued_by(chain.digests.get(before.size), accepted):
                raise
        fetched = replace(fetched, restored=by)
    for name in (address, project):
        log_heads.remember(name, replace(fetched.head, accepted=accepted))
    return fetched


def _read(host: Host, answer: Mapping[str, Any], asked_for: tuple[str, str, str]) -> Fetched:
    """Read the statement of an answer; it must be the one that was asked for. Raises ViaError."""
    try:
        content = base64.b64decode(str(answer["statement"]), validate=True)
        predicate = statements.read_sign_off(content)["predicate"]
        fetched = Fetched(content, predicate, dict(answer["roster"]))
        about = (predicate["opinion"], predicate.get("comment"), f"P-{predicate['covers']['play']:03d}")
        if not isinstance(fetched.head.size, int):
            raise ValueError("it names no head of the log")
    except (KeyError, TypeError, ValueError) as error:
        raise ViaError(f"{host.name} did not send a statement that can be signed ({error}).") from None
    if digest_of(canonical(fetched.roster)) != fetched.covers.get("roster"):
        raise ViaError(f"{host.name} sent another roster than the statement covers; do not sign there.")
    if about != asked_for:
        raise ViaError(f"{host.name} sent another statement than you asked for; do not sign there.")
    return fetched


@dataclass(frozen=True)
class _Chain:
    """Entries of a host's log, each digest computed here: by number, its digest and that of its content."""

    digests: dict[int, str]
    contents: dict[int, str]


def _chain(head: Head, log: object, since: Head) -> _Chain:
    """Compute every digest from what this account saw to the head. Raises Refused where they do not lead there."""
    at, previous = since.size, since.digest
    found = _Chain({at: previous}, {})
    try:
        for seq, content, before, digest in log if isinstance(log, list) else []:
            if seq != at + 1 or before != previous or chained(seq, before, content) != digest:
                raise ValueError
            at, previous = seq, digest
            found.digests[at], found.contents[at] = digest, content
    except (ValueError, TypeError, IndexError):
        raise _forked("its log does not continue the one that you have seen") from None
    if (at, previous) != (head.size, head.digest):
        raise _forked("its log does not lead from what you have seen to what you would sign")
    return found


def _follows(chain: _Chain, project: str, head: Head) -> None:
    """Check that the log continues what this account saw of the project, here or at another address."""
    last = log_heads.seen(project)
    if last is not None and last.size in chain.digests and chain.digests[last.size] != last.digest:
        raise _forked(f"entry {last.size} of its log is not the one that you have seen")
    if last is not None and last.size > head.size:
        raise _forked(f"its log has {head.size} entries, and you have seen {last.size}")


def _acceptances(chain: _Chain, answer: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Read who accepted a restored file from entries whose content the chain has; a sentence says who."""
    try:
        entries = {int(seq): fields for seq, fields in answer["accepted"]}
        if not all(digest_of(canonical(fields)) == chain.contents[seq] for seq, fields in entries.items()):
            raise ValueError
        keeper = json.loads(entries.pop(1)[5])["keeper"]
        given = [
            log_heads.Acceptance(seq, str(fields[1]), chain.digests[seq])
            for seq, fields in sorted(entries.items())
            if fields[3] == "accept_restored"
        ]
    except (KeyError, TypeError, ValueError, LookupError):
        raise _forked("what it says of a restore is not in its log") from None
    complete, _ = log_heads.accepted(given, str(keeper), enrolled=0)
    by = ", ".join(f"{each.person} (entry {each.seq})" for each in given)
    return complete, f"This project was restored from an older or another copy; accepted by {by}."


def _forked(why: str) -> Refused:
    sentence = f"This host shows you another history than before: {why}. Ask the keeper before you sign anything."
    return Refused([Objection("audit.forked", sentence)])


def lines(fetched: Fetched) -> list[str]:
    """Return what would be signed, read from the bytes that would be signed, as lines that are safe to print."""
    return [visible(line) for line in _lines(fetched)]


def _lines(fetched: Fetched) -> Iterator[str]:
    predicate, covers = fetched.predicate, fetched.covers
    if fetched.restored:
        yield fetched.restored
    yield f"You are asked to sign, as {predicate['signer']}:"
    yield f"  {predicate['meaning']}"
    yield f"  comment: {predicate.get('comment')}"
    for name, value in covers.items():
        yield f"  {name.replace('_', ' ') + ':':<12} {value if isinstance(value, str | int) else json.dumps(value)}"
    yield from _people(fetched.roster)
    for each in predicate.get("criteria", ()):
        yield f"  {each.get('verdict', ''):<10} {each.get('says', '')}"
    yield f"  log:         {fetched.head.size} entries, head {fetched.head.digest}"
    yield f"  all of what it covers: {fetched.seen}"


def _people(roster: Mapping[str, Any]) -> Iterator[str]:
    """Show who holds which role by which keys, enrolled by whom and when."""
    roles = roster.get("roles", {})
    yield "  roster:"
    for person, proofs in roster.get("people", {}).items():
        keys = [fingerprint(base64.b64decode(line.split()[1])) for line in proofs.get("keys", ())]
        accounts = [f"uid {uid}" for uid in proofs.get("accounts", ())]
        by = proofs.get("enrolled", {})
        hand = f"; enrolled by {', '.join(by.get('by', ())) or 'the project itself'}, {by.get('at', '')[:10]}"
        held = ", ".join(role for role, holder in roles.items() if holder == person) or "a builder"
        yield f"    {person} ({held}): {', '.join([*accounts, *keys]) or 'no proof'}{hand}"


def hand_in(host: Host, play: str, fetched: Fetched, key: Path) -> dict[str, Any]:
    """Sign the bytes that were shown and hand the signature in; return the host's answer."""
    signature = signatures.sign(fetched.content, key, signatures.SIGN_OFF)
    signatures.verify(fetched.content, signature, signatures.SIGN_OFF)
    statement = base64.b64encode(fetched.content).decode()
    return host.ask(f"signature {play}", {"statement": statement, "signature": signature})
