"""OpenSSH keys and signatures: made by `ssh-keygen -Y sign`, checked by `sshsig`.

There is one namespace for each meaning, so that a signature given for one can never serve as another. What is signed is
in `statements`.
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from distill_tui.people.keys import BadSignature, PublicKey, Verified

SIGN_OFF = "sign-off.v1@distill-tui"
WITHDRAWAL = "withdrawal.v1@distill-tui"
GATE = "gate.v1@distill-tui"
ROSTER = "roster.v1@distill-tui"
SHIP = "ship.v1@distill-tui"
DECISION = "decision.v1@distill-tui"
OBJECTION = "objection.v1@distill-tui"
IDENTITY = "identity.v1@distill-tui"  # a challenge: it proves who acts and decides nothing


def read_public_key(text: str) -> PublicKey:
    """Read one line of an OpenSSH public key file. Raises BadSignature."""
    from distill_tui.people import sshsig  # cryptography: most commands need no key

    parts = text.strip().split(None, 2)
    if len(parts) < 2 or len(text) > 20_000 or len(text.strip().splitlines()) > 1:
        raise BadSignature("This is not an OpenSSH public key; pass the one line of a .pub file.")
    try:
        blob = base64.b64decode(parts[1], validate=True)
        kind, _ = sshsig.read_key(blob)
    except (binascii.Error, ValueError, StopIteration) as error:
        raise BadSignature(f"This is not an OpenSSH public key that can sign: {error}") from None
    if kind != parts[0]:
        raise BadSignature(f"The key is named {parts[0]} and is a {kind}; export it again with ssh-keygen -y.")
    return PublicKey(kind, base64.b64encode(blob).decode())


def sign(message: bytes, key: Path, namespace: str) -> str:
    """Sign with a private key file, or, for a .pub file, with the agent's key. Raises BadSignature."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "message"
        file.write_bytes(message)
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(file)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except FileNotFoundError:
            raise BadSignature("ssh-keygen is not installed; install OpenSSH's client.") from None
        signature = Path(f"{file}.sig")
        if done.returncode or not signature.exists():
            last = (done.stderr.strip().splitlines() or ["no reason from ssh-keygen"])[-1]
            raise BadSignature(f"{key.name} did not sign: {last}. Check the file, its passphrase or the agent.")
        return signature.read_text()


def verify(message: bytes, signature: str, namespace: str) -> Verified:
    """Check an armored SSHSIG over these exact bytes; the caller looks up whose key it is. Raises BadSignature."""
    from distill_tui.people import sshsig

    try:
        return sshsig.verify(message, signature, namespace)
    except BadSignature:
        raise
    except Exception as error:  # any fault in untrusted bytes is a bad signature, never a crash and never a pass
        raise BadSignature(f"The signature cannot be read ({type(error).__name__}).") from None


def allowed_signers(keys: Sequence[tuple[str, PublicKey]], namespaces: Sequence[str] = (SIGN_OFF,)) -> str:
    """Write the allowed_signers file for `ssh-keygen -Y verify`: one line a key, made of checked parts only.

    Raises BadSignature at an id that could add to its line, and at a key of two persons.
    """
    owners: dict[str, str] = {}
    for person, key in keys:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", person):
            raise BadSignature(f"{person!r} is not an id of a person, so it cannot name a signer.")
        if owners.setdefault(key.blob, person) != person:
            raise BadSignature(f"{owners[key.blob]} and {person} have the same key, which proves neither of them.")
    spaces = ",".join(namespaces)
    return "".join(f'{person} namespaces="{spaces}" {read_public_key(key.line).line}\n' for person, key in keys)
