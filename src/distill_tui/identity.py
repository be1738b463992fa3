"""Who is acting, and how that was proved: by the uid of this process, or by a key that signs a challenge.

Never by `$USER`, `$LOGNAME` or a name on the command line: those are claims.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from distill_tui import signing
from distill_tui.rules import Actor, Dossier
from distill_tui.terms import Assurance


def by_account(dossier: Dossier) -> Actor:
    """Say who this process belongs to, by its real uid."""
    uid = os.getuid()
    person = next((a.person_id for a in dossier.accounts if a.uid == uid), None)
    return Actor(person, f"account uid {uid}", Assurance.ACCOUNT)


def by_key(dossier: Dossier, key: Path) -> Actor:
    """Say whose key this is, after it signed a fresh challenge. Raises BadSignature where it does not sign."""
    project = dossier.project.uid if dossier.project else ""
    challenge = f"{project} {secrets.token_hex(32)}".encode()
    verified = signing.verify(challenge, signing.sign(challenge, key, signing.IDENTITY), signing.IDENTITY)
    return actor_of(dossier, verified)


def actor_of(dossier: Dossier, verified: signing.Verified) -> Actor:
    """Say whose signature this is. A revoked key proves nobody."""
    person = next(
        (k.person_id for k in dossier.keys if k.fingerprint == verified.fingerprint and k.revoked_at is None), None
    )
    strength = Assurance.HARDWARE if verified.hardware and verified.present else Assurance.SIGNED
    return Actor(person, f"key {verified.fingerprint}", strength)
