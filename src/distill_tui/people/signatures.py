"""OpenSSH signatures (SSHSIG) and keys: made by `ssh-keygen -Y sign`, checked here.

The checker is small and needs `cryptography` only, so that a false `ssh-keygen` on the PATH changes nothing; any
third party can check the same bytes with `ssh-keygen -Y verify`. The format is OpenSSH's PROTOCOL.sshsig. One namespace
for each meaning, so that a signature given for one can never serve as another. What is signed is in `statements`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIGN_OFF = "sign-off.v1@distill-tui"
WITHDRAWAL = "withdrawal.v1@distill-tui"
GATE = "gate.v1@distill-tui"
ROSTER = "roster.v1@distill-tui"
SHIP = "ship.v1@distill-tui"
IDENTITY = "identity.v1@distill-tui"  # a challenge: it proves who acts, and says nothing

_PRESENT = 0x01  # the flag of a hardware key that says somebody touched it


class BadSignature(ValueError):
    """A signature, key or statement that does not hold; one sentence says why."""


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


def fingerprint(blob: bytes) -> str:
    """Give the SHA256 fingerprint of a key blob."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_public_key(text: str) -> PublicKey:
    """Read one line of an OpenSSH public key file. Raises BadSignature."""
    parts = text.strip().split(None, 2)
    if len(parts) < 2 or len(text) > 20_000 or len(text.strip().splitlines()) > 1:
        raise BadSignature("This is no OpenSSH public key; give the one line of a .pub file.")
    try:
        blob = base64.b64decode(parts[1], validate=True)
        kind, _ = _string(blob, 0)
        _verifier(blob)
    except (binascii.Error, ValueError) as error:
        raise BadSignature(f"This is no OpenSSH public key that can sign: {error}") from None
    if kind.decode(errors="replace") != parts[0]:
        raise BadSignature(f"The key says {parts[0]} but is another type; export it again with ssh-keygen -y.")
    return PublicKey(parts[0], base64.b64encode(blob).decode())


def sign(message: bytes, key: Path, namespace: str) -> str:
    """Sign with a private key file, or, given a .pub file, with the agent's key. Raises BadSignature."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "message"
        file.write_bytes(message)
        try:
            done = subprocess.run(
                ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(file)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError:
            raise BadSignature("ssh-keygen is not installed; install OpenSSH's client.") from None
        signature = Path(f"{file}.sig")
        if done.returncode or not signature.exists():
            last = (done.stderr.strip().splitlines() or ["ssh-keygen said nothing"])[-1]
            raise BadSignature(f"{key.name} did not sign: {last}. Check the file, its passphrase or the agent.")
        return signature.read_text()


@dataclass(frozen=True)
class Verified:
    """A signature that holds: by which key, and whether a hardware key saw a touch."""

    fingerprint: str
    hardware: bool
    present: bool


def verify(message: bytes, signature: str, namespace: str) -> Verified:
    """Check an armored SSHSIG over these exact bytes; whose key it is, the caller asks. Raises BadSignature."""
    try:
        return _verify(message, signature, namespace)
    except BadSignature:
        raise
    except Exception as error:  # any fault in untrusted bytes is a bad signature, never a crash and never a pass
        raise BadSignature(f"The signature cannot be read ({type(error).__name__}).") from None


def _verify(message: bytes, signature: str, namespace: str) -> Verified:
    blob = _dearmor(signature)
    if blob[:6] != b"SSHSIG" or int.from_bytes(blob[6:10], "big") != 1:
        raise BadSignature("This is no OpenSSH signature of version 1.")
    key, at = _string(blob, 10)
    space, at = _string(blob, at)
    reserved, at = _string(blob, at)
    hash_name, at = _string(blob, at)
    raw, at = _string(blob, at)
    if at != len(blob):
        raise BadSignature("The signature has bytes after its end.")
    if space.decode() != namespace:
        raise BadSignature(f"The signature was given for {space.decode()!r}, not for {namespace!r}.")
    if hash_name not in (b"sha256", b"sha512"):
        raise BadSignature("The signature uses a hash that is not allowed.")
    digest = hashlib.new(hash_name.decode(), message).digest()
    signed = b"SSHSIG" + _pack(space) + _pack(reserved) + _pack(hash_name) + _pack(digest)
    flags = _check(key, raw, signed)
    return Verified(fingerprint(key), flags is not None, flags is not None and bool(flags & _PRESENT))


def _check(key: bytes, raw: bytes, signed: bytes) -> int | None:
    """Check one raw signature; gives the flags of a hardware key, None for others."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

    kind, (public, application) = _string(key, 0)[0].decode(), _verifier(key)
    algorithm, at = _string(raw, 0)
    value, at = _string(raw, at)
    flags = None
    if application is not None:
        flags, counter = raw[at], raw[at + 1 : at + 5]
        at += 5
        message_hash, app_hash = hashlib.sha256(signed).digest(), hashlib.sha256(application).digest()
        signed = app_hash + bytes([flags]) + counter + message_hash
    if at != len(raw):
        raise BadSignature("The signature has bytes after its end.")
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            _same(algorithm.decode(), kind)
            public.verify(value, signed)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            _same(algorithm.decode(), kind)
            sizes = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
            r, after = _whole(value, 0)
            s, end = _whole(value, after)
            if end != len(value):
                raise BadSignature("The signature has bytes after its end.")
            encoded = utils.encode_dss_signature(r, s)
            public.verify(encoded, signed, ec.ECDSA(sizes[public.curve.key_size]))
        else:
            choices = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
            if algorithm not in choices:
                raise BadSignature("The signature uses an algorithm that is not allowed.")
            public.verify(value, signed, padding.PKCS1v15(), choices[algorithm])
    except InvalidSignature:
        raise BadSignature("The signature does not fit what was signed.") from None
    return flags


def _same(algorithm: str, kind: str) -> None:
    if algorithm != kind:
        raise BadSignature("The signature names another algorithm than its key.")


def _verifier(blob: bytes) -> tuple[Any, bytes | None]:
    """Read a key blob: the public key, and for a hardware key the application that it is bound to."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    kind_bytes, at = _string(blob, 0)
    kind = kind_bytes.decode()
    if kind in ("ssh-ed25519", "sk-ssh-ed25519@openssh.com"):
        point, at = _string(blob, at)
        public: Any = ed25519.Ed25519PublicKey.from_public_bytes(point)
    elif kind.startswith("ecdsa-sha2-") or kind == "sk-ecdsa-sha2-nistp256@openssh.com":
        curve, at = _string(blob, at)
        point, at = _string(blob, at)
        curves = {b"nistp256": ec.SECP256R1(), b"nistp384": ec.SECP384R1(), b"nistp521": ec.SECP521R1()}
        public = ec.EllipticCurvePublicKey.from_encoded_point(curves[curve], point)
    elif kind == "ssh-rsa":
        e, at = _whole(blob, at)
        n, at = _whole(blob, at)
        public = rsa.RSAPublicNumbers(e, n).public_key()
        if public.key_size < 2048:
            raise ValueError("an RSA key needs at least 2048 bits")
    else:
        raise ValueError(f"keys of the type {kind!r} are not accepted")
    application = None
    if kind.startswith("sk-"):
        application, at = _string(blob, at)
    if at != len(blob):
        raise ValueError("it has bytes after its end")
    return public, application


def _dearmor(text: str) -> bytes:
    """Read the armor as `ssh-keygen` writes it and in no other way: one signature has one text."""
    lines = text.removesuffix("\n").split("\n")
    if (
        len(text) > 100_000
        or len(lines) < 3
        or lines[0] != "-----BEGIN SSH SIGNATURE-----"
        or lines[-1] != "-----END SSH SIGNATURE-----"
    ):
        raise BadSignature("This is no armored OpenSSH signature.")
    written = "".join(lines[1:-1])
    blob = base64.b64decode(written, validate=True)
    if base64.b64encode(blob).decode() != written:
        raise BadSignature("This is no armored OpenSSH signature.")
    return blob


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    """Read a length-framed string of the SSH wire format; gives it and where the next one begins."""
    end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
    if at + 4 > len(blob) or end > len(blob):
        raise ValueError("it ends too early")
    return blob[at + 4 : end], end


def _whole(blob: bytes, at: int) -> tuple[int, int]:
    """Read a positive number of the SSH wire format, written in the one way that it allows."""
    content, end = _string(blob, at)
    value = int.from_bytes(content, "big", signed=True)
    if value <= 0 or len(content) != value.bit_length() // 8 + 1:
        raise ValueError("it holds a number that is not written as SSH writes it")
    return value, end


def _pack(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def allowed_signers(keys: Sequence[tuple[str, PublicKey]], namespaces: Sequence[str] = (SIGN_OFF,)) -> str:
    """Write the allowed_signers file for `ssh-keygen -Y verify`: one line a key, made of checked parts only.

    Raises BadSignature at an id with which a line could say more than it should, and at a key that two persons have.
    """
    owners: dict[str, str] = {}
    for person, key in keys:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", person):
            raise BadSignature(f"{person!r} is no id of a person, so no signer can be named by it.")
        if owners.setdefault(key.blob, person) != person:
            raise BadSignature(f"{owners[key.blob]} and {person} have one key, which proves neither of them.")
    spaces = ",".join(namespaces)
    return "".join(f'{person} namespaces="{spaces}" {read_public_key(key.line).line}\n' for person, key in keys)
