"""A software security key that signs as a hardware one does."""

import base64
import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from distill_tui.people import signatures


def framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def whole(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def armored(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


class Token:
    """A hardware key: it signs over its application, its flags and a counter, as FIDO does."""

    def __init__(self, kind: str) -> None:
        self.kind = kind.encode()
        if kind.startswith("sk-ssh-ed25519"):
            self.private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey = ed25519.Ed25519PrivateKey.generate()
            raw = serialization.PublicFormat.Raw
            point = self.private.public_key().public_bytes(serialization.Encoding.Raw, raw)
            self.blob = framed(self.kind, point, b"ssh:")
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            form = serialization.PublicFormat.UncompressedPoint
            point = self.private.public_key().public_bytes(serialization.Encoding.X962, form)
            self.blob = framed(self.kind, b"nistp256", point, b"ssh:")

    @property
    def line(self) -> str:
        return f"{self.kind.decode()} {base64.b64encode(self.blob).decode()}"

    def sign(self, message: bytes, flags: int, space: str = signatures.SIGN_OFF) -> str:
        digest = hashlib.sha512(message).digest()
        inner = b"SSHSIG" + framed(space.encode(), b"", b"sha512", digest)
        seal = bytes([flags]) + (7).to_bytes(4, "big")
        signed = hashlib.sha256(b"ssh:").digest() + seal + hashlib.sha256(inner).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            value = self.private.sign(signed)
        else:
            r, s = utils.decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashes.SHA256())))
            value = framed(whole(r), whole(s))
        raw = framed(self.kind, value) + seal
        head = b"SSHSIG" + (1).to_bytes(4, "big")
        return armored(head + framed(self.blob, space.encode(), b"", b"sha512", raw))


TOKENS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
