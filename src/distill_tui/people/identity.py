"""Who is acting, and how that was proved: the uid of this process, a key that signs a challenge, or an SSH session.

Never by `$USER`, `$LOGNAME` or a name on the command line: those are claims.
"""

from __future__ import annotations

import os
import pwd
import secrets
from dataclasses import replace
from pathlib import Path

from distill_tui.people import signatures
from distill_tui.people.keys import Verified
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import ProjectDossier
from distill_tui.terms import Assurance


def this_account() -> Actor:
    """Return this process's account before any project knows whose it is."""
    return Actor(None, f"account uid {os.getuid()}", Assurance.ACCOUNT)


def account_name() -> str:
    """Return the name of this process's account, as a person's id; empty where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name.lower()
    except KeyError:
        return ""


def by_account(dossier: ProjectDossier) -> Actor:
    """Return the person of this process, by its real uid."""
    uid = os.getuid()
    person = next((a.person_id for a in dossier.accounts if a.uid == uid), None)
    return Actor(person, f"account uid {uid}", Assurance.ACCOUNT)


def by_key(dossier: ProjectDossier, key: Path) -> Actor:
    """Return the owner of a key, after it signed a fresh challenge. Raises BadSignature."""
    project = dossier.uid
    challenge = f"{project} {secrets.token_hex(32)}".encode()
    verified = signatures.verify(challenge, signatures.sign(challenge, key, signatures.IDENTITY), signatures.IDENTITY)
    return replace(actor_of(dossier, verified), key=str(key))


def by_session(dossier: ProjectDossier) -> Actor:
    """Return the owner of the key that this SSH session authenticated with. Only `ssh_session` may ask this.

    sshd writes the key into a file and names the file in SSH_USER_AUTH (ExposeAuthInfo). In a shell of one's own that
    variable can be set to anything. In a session it is evidence against everyone but the account that runs the server,
    whose person is named as `host`.
    """
    fingerprints = [signatures.read_public_key(line).fingerprint for line in _authenticated()]
    owners = {k.person_id for k in dossier.keys if k.fingerprint in fingerprints and k.revoked_at is None}
    person, host = owners.pop() if len(owners) == 1 else None, by_account(dossier).person
    of = f"of {host}'s account, " if host else ""
    return Actor(
        person,
        f"session {of}key {fingerprints[0] if fingerprints else 'none'}",
        Assurance.SESSION,
        host=host,
        over_ssh=True,
        address=_address(),
    )


def _address() -> str:
    """Return the address of this session as `sign --via` takes it; empty where sshd does not name it."""
    server = os.environ.get("SSH_CONNECTION", "").split()[2:]
    if len(server) != 2:
        return ""
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return f"ssh://{pwd.getpwuid(os.getuid()).pw_name}@{host}:{server[1]}"


def _authenticated() -> list[str]:
    """Read the keys that this session authenticated with; none where sshd does not expose them."""
    try:
        lines = Path(os.environ.get("SSH_USER_AUTH", "")).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    return [line.removeprefix("publickey ") for line in lines if line.startswith("publickey ")]


def actor_of(dossier: ProjectDossier, verified: Verified) -> Actor:
    """Return the owner of a signature. A revoked key proves no one."""
    person = next(
        (k.person_id for k in dossier.keys if k.fingerprint == verified.fingerprint and k.revoked_at is None), None
    )
    strength = Assurance.HARDWARE if verified.hardware and verified.present else Assurance.SIGNED
    return Actor(person, f"key {verified.fingerprint}", strength)
