"""OpenSSH public keys, by their fingerprint, and the error of a signature that does not hold. Standard library only."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass


class BadSignature(ValueError):
    """A signature, key or statement that does not hold; with the reason."""


@dataclass(frozen=True)
class PublicKey:
    """An OpenSSH public key, without the comment, which is free text and trusted for nothing."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint that `ssh-keygen -l` prints."""
        return fingerprint(base64.b64decode(self.blob))

    @property
    def line(self) -> str:
        """The line for an authorized_keys or allowed_signers file."""
        return f"{self.kind} {self.blob}"


@dataclass(frozen=True)
class Verified:
    """A signature that holds: by which key, and whether a hardware key was touched for it."""

    fingerprint: str
    hardware: bool
    present: bool


def fingerprint(blob: bytes) -> str:
    """Return the SHA256 fingerprint of a key blob."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
