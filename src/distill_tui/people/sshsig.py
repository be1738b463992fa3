"""Check OpenSSH signatures (SSHSIG) and public keys. The format is OpenSSH's PROTOCOL.sshsig.

It needs `cryptography` only, so that a false `ssh-keygen` on the PATH changes nothing; any third party can check the
same bytes with `ssh-keygen -Y verify`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from distill_tui.people.keys import BadSignature, Verified, fingerprint

KINDS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    *("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
ECDSA_HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
RSA_HASHES = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
SMALLEST_RSA = 2048  # bits
USER_PRESENT = 0x01  # the flag of a hardware key that was touched

Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def read_key(blob: bytes) -> tuple[str, Key]:
    """Read a key blob: its kind and the key. Raises ValueError where it is not a key that can sign."""
    kind = next(strings(blob)).decode()
    if kind not in KINDS:
        raise ValueError(f"keys of the type {kind!r} are not accepted")
    try:
        key = load_ssh_public_key(f"{kind} {base64.b64encode(blob).decode()}".encode())
    except NotImplementedError as error:  # a compressed point, which OpenSSH does not write
        raise ValueError(str(error)) from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA:
            raise ValueError(f"an RSA key needs at least {SMALLEST_RSA} bits")
    elif not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"keys of the type {kind!r} are not accepted")
    return kind, key


def verify(message: bytes, armored: str, namespace: str) -> Verified:
    """Check an armored signature. Raises BadSignature; other errors are faults in the bytes."""
    blob = dearmor(armored)
    if blob[:6] != b"SSHSIG" or int.from_bytes(blob[6:10], "big") != 1:
        raise BadSignature("This is not an OpenSSH signature of version 1.")
    key, space, reserved, hash_name, raw = strings(blob[10:])
    if space.decode() != namespace:
        raise BadSignature(f"The signature was given for {space.decode()!r}, not for {namespace!r}.")
    if hash_name not in (b"sha256", b"sha512"):
        raise BadSignature("The signature uses a hash that is not allowed.")
    digest = hashlib.new(hash_name.decode(), message).digest()
    flags = _check(key, raw, b"SSHSIG" + b"".join(map(_framed, (space, reserved, hash_name, digest))))
    return Verified(fingerprint(key), flags is not None, flags is not None and bool(flags & USER_PRESENT))


def _check(blob: bytes, raw: bytes, signed: bytes) -> int | None:
    """Check one raw signature; return the flags of a hardware key, None for other keys."""
    kind, key = read_key(blob)
    flags = None
    if kind.startswith("sk-"):
        raw, flags, counter = raw[:-5], raw[-5], raw[-4:]
        *_, application = strings(blob)
        signed = hashlib.sha256(application).digest() + bytes([flags]) + counter + hashlib.sha256(signed).digest()
    algorithm, value = strings(raw)
    if not isinstance(key, rsa.RSAPublicKey) and algorithm.decode() != kind:
        raise BadSignature("The signature names another algorithm than its key.")
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(value, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            r, s = map(_positive, strings(value))
            key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(ECDSA_HASHES[key.curve.key_size]))
        elif algorithm in RSA_HASHES:
            key.verify(value, signed, padding.PKCS1v15(), RSA_HASHES[algorithm])
        else:
            raise BadSignature("The signature uses an algorithm that is not allowed.")
    except InvalidSignature:
        raise BadSignature("The signature does not match what was signed.") from None
    return flags


def dearmor(text: str) -> bytes:
    """Read the armor as `ssh-keygen` writes it and in no other way: one signature has one text."""
    first, last = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
    lines = text.removesuffix("\n").split("\n")
    written = "".join(lines[1:-1])
    if len(text) <= 100_000 and len(lines) >= 3 and (lines[0], lines[-1]) == (first, last):
        blob = base64.b64decode(written, validate=True)
        if base64.b64encode(blob).decode() == written:
            return blob
    raise BadSignature("This is not an armored OpenSSH signature.")


def strings(blob: bytes) -> Iterator[bytes]:
    """Yield the length-prefixed strings that a blob of the SSH wire format is made of. Raises ValueError."""
    at = 0
    while at < len(blob):
        start = at + 4
        at = start + int.from_bytes(blob[at:start], "big")
        if start > len(blob) or at > len(blob):
            raise ValueError("it ends too early")
        yield blob[start:at]


def _positive(content: bytes) -> int:
    """Read a positive number of the SSH wire format, written in the one way that it allows."""
    value = int.from_bytes(content, "big", signed=True)
    if value <= 0 or len(content) != value.bit_length() // 8 + 1:
        raise ValueError("it holds a number that is not written as SSH writes it")
    return value


def _framed(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
