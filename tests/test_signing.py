"""Signatures: what our checker refuses, and that it and stock `ssh-keygen` say the same of real keys. Refusal first."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui.digests import canonical
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature, PublicKey
from distill_tui.terms import Opinion, StatementKind
from support import needs
from support.real_play import make_key
from support.tokens import TOKENS, Token, armored, framed

MESSAGE = b'{"a":1,"b":"text that is signed"}'
TYPES = {
    "ed25519": ("ed25519",),
    "ecdsa-256": ("ecdsa", "-b", "256"),
    "ecdsa-384": ("ecdsa", "-b", "384"),
    "ecdsa-521": ("ecdsa", "-b", "521"),
    "rsa-2048": ("rsa", "-b", "2048"),
    "rsa-3072": ("rsa", "-b", "3072"),
}
SPACES = (
    signatures.SIGN_OFF,
    signatures.WITHDRAWAL,
    signatures.GATE,
    signatures.ROSTER,
    signatures.SHIP,
    signatures.IDENTITY,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, words in TYPES.items():
        make_key(folder / name, *words)
    return folder


def public(path: Path) -> PublicKey:
    return signatures.read_public_key(Path(f"{path}.pub").read_text())


def stock_says_good(folder: Path, line: str, signature: str, message: bytes = MESSAGE, space: str = "") -> bool:
    """Ask `ssh-keygen -Y verify` about the same bytes."""
    (folder / "allowed").write_text(f'vera namespaces="{signatures.SIGN_OFF}" {line}\n')
    (folder / "sig").write_text(signature)
    words = ["-f", str(folder / "allowed"), "-I", "vera", "-n", space or signatures.SIGN_OFF, "-s", str(folder / "sig")]
    done = subprocess.run(["ssh-keygen", "-Y", "verify", *words], input=message, capture_output=True, check=False)
    return done.returncode == 0


def stock_signature(key: Path, folder: Path, space: str = signatures.SIGN_OFF, *more: str) -> str:
    (folder / "message").write_bytes(MESSAGE)
    Path(folder / "message.sig").unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", space, *more, str(folder / "message")]
    subprocess.run(command, check=True)
    return (folder / "message.sig").read_text()


# --- hardware keys, made by hand: what a token would send --------------------------------------------------------


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ed25519", "ecdsa-256", "ecdsa-521", "rsa-2048"])
def test_every_single_bit_flip_of_a_signature_is_refused(keys: Path, name: str) -> None:
    signature = signatures.sign(MESSAGE, keys / name, signatures.SIGN_OFF)
    blob = base64.b64decode("".join(signature.split("\n")[1:-2]))
    for at in range(len(blob) * 8):
        flipped = bytearray(blob)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            verified = signatures.verify(MESSAGE, armored(bytes(flipped)), signatures.SIGN_OFF)
            assert verified.fingerprint != public(keys / name).fingerprint  # another key is another signer
            raise BadSignature("another key")


def test_every_single_bit_flip_of_a_signature_s_text_is_refused(keys: Path) -> None:
    text = signatures.sign(MESSAGE, keys / "ed25519", signatures.SIGN_OFF).encode()
    for at in range(len(text) * 8):
        flipped = bytearray(text)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            signatures.verify(MESSAGE, flipped.decode("latin-1"), signatures.SIGN_OFF)


@pytest.mark.parametrize("kind", TOKENS)
def test_every_single_bit_flip_of_a_hardware_signature_is_refused(kind: str) -> None:
    token = Token(kind)
    blob = base64.b64decode("".join(token.sign(MESSAGE, 1).split("\n")[1:-2]))
    for at in range(len(blob) * 8):
        flipped = bytearray(blob)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            signatures.verify(MESSAGE, armored(bytes(flipped)), signatures.SIGN_OFF)


def test_every_single_bit_flip_of_what_was_signed_is_refused(keys: Path) -> None:
    signature = signatures.sign(MESSAGE, keys / "ed25519", signatures.SIGN_OFF)
    for at in range(len(MESSAGE) * 8):
        flipped = bytearray(MESSAGE)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(BadSignature):
            signatures.verify(bytes(flipped), signature, signatures.SIGN_OFF)


@pytest.mark.parametrize("space", [*SPACES[1:], "git", "file"])
def test_a_signature_that_was_given_for_something_else_is_refused(keys: Path, tmp_path: Path, space: str) -> None:
    signature = stock_signature(keys / "ed25519", tmp_path, space)
    assert signatures.verify(MESSAGE, signature, space)
    with pytest.raises(BadSignature, match="was given for"):
        signatures.verify(MESSAGE, signature, signatures.SIGN_OFF)
    assert not stock_says_good(tmp_path, public(keys / "ed25519").line, signature)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "no signature", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
     "-----BEGIN SSH SIGNATURE-----\n!!!!\n-----END SSH SIGNATURE-----", armored(b""), armored(b"SSHSIG"),
     armored(b"SSHSIG" + (2).to_bytes(4, "big")), armored(b"SSHSIG\0\0\0\1" + b"\xff" * 40), "x" * 200_000],
)  # fmt: skip
def test_what_is_no_signature_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadSignature, match=r"^[A-Z].*\.$"):
        signatures.verify(MESSAGE, text, signatures.SIGN_OFF)


@pytest.mark.parametrize(
    "change", [str.strip, lambda t: t.replace("\n", "\r\n"), lambda t: t + "\n", lambda t: " " + t]
)
def test_a_signature_has_one_text(keys: Path, change: Callable[[str], str]) -> None:
    signature = signatures.sign(MESSAGE, keys / "ed25519", signatures.SIGN_OFF)
    other = change(signature)
    if other.removesuffix("\n") == signature.removesuffix("\n"):
        assert signatures.verify(MESSAGE, other, signatures.SIGN_OFF)
        return
    with pytest.raises(BadSignature):
        signatures.verify(MESSAGE, other, signatures.SIGN_OFF)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_crash_the_checker(blob: bytes) -> None:
    for content in (blob, b"SSHSIG\0\0\0\1" + blob):
        with pytest.raises(BadSignature):
            signatures.verify(MESSAGE, armored(content), signatures.SIGN_OFF)


def test_a_key_without_its_private_half_does_not_sign(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "alone.pub").write_text((keys / "ed25519.pub").read_text())
    with pytest.raises(BadSignature, match=r"alone\.pub did not sign"):
        signatures.sign(MESSAGE, tmp_path / "alone.pub", signatures.SIGN_OFF)


def test_a_locked_key_does_not_sign_without_its_passphrase(tmp_path: Path) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-C", "", "-f", str(key)], check=True)
    asks_nobody = {"SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": "/bin/false"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in asks_nobody.items():
            patch.setenv(name, value)
        with pytest.raises(BadSignature, match="locked did not sign"):
            signatures.sign(MESSAGE, key, signatures.SIGN_OFF)


# --- public keys -----------------------------------------------------------------------------------------------------


def broken_keys() -> Iterator[tuple[str, str]]:
    point = os.urandom(32)
    good = base64.b64encode(framed(b"ssh-ed25519", point)).decode()
    dss = base64.b64encode(framed(b"ssh-dss", *(b"\x01" * 20,) * 4)).decode()
    yield "empty", ""
    yield "one word", good
    yield "two lines", f"ssh-ed25519 {good}\nssh-ed25519 {good}"
    yield "a carriage return", f"ssh-ed25519 {good} comment\rssh-ed25519 {good}"
    yield "an option before it", f'command="id" ssh-ed25519 {good}'
    yield "another type's name", f"ssh-rsa {good}"
    yield "a type with blanks", f"ssh-ed25519  x {good}"
    yield "no base64", "ssh-ed25519 !!!!"
    yield "cut", f"ssh-ed25519 {base64.b64encode(framed(b'ssh-ed25519', point)[:-1]).decode()}"
    yield "longer", f"ssh-ed25519 {base64.b64encode(framed(b'ssh-ed25519', point, b'x')).decode()}"
    yield "a short point", f"ssh-ed25519 {base64.b64encode(framed(b'ssh-ed25519', point[:31])).decode()}"
    yield "a certificate", "ssh-ed25519-cert-v01@openssh.com " + good
    yield "dsa", f"ssh-dss {dss}"
    yield "rsa of 1024 bits", rsa_line(2**1023 + 1)
    yield "rsa with a negative modulus", rsa_line(-(2**2047))
    yield "a point off the curve", ecdsa_line(b"\x04" + b"\x01" * 64)
    yield "the point at infinity", ecdsa_line(b"\x00")
    yield "far too long", "ssh-ed25519 " + "A" * 1_000_000


def rsa_line(modulus: int) -> str:
    number = modulus.to_bytes(abs(modulus).bit_length() // 8 + 1, "big", signed=True)
    blob = framed(b"ssh-rsa", b"\x01\x00\x01", number)
    return f"ssh-rsa {base64.b64encode(blob).decode()}"


def ecdsa_line(point: bytes) -> str:
    kind = b"ecdsa-sha2-nistp256"
    return f"{kind.decode()} {base64.b64encode(framed(kind, b'nistp256', point)).decode()}"


@pytest.mark.parametrize(("name", "line"), broken_keys(), ids=[name for name, _ in broken_keys()])
def test_a_hostile_public_key_is_refused_in_one_sentence(name: str, line: str) -> None:
    with pytest.raises(BadSignature, match=r"^This is not an OpenSSH public key|^The key is named"):
        signatures.read_public_key(line)


def test_a_key_s_comment_is_dropped_whatever_it_says(keys: Path) -> None:
    line = public(keys / "ed25519").line
    read = signatures.read_public_key(f'{line} vera" namespaces="git,*\t\x1b[31m')
    assert read.line == line


@pytest.mark.parametrize("name", TYPES)
def test_a_fingerprint_is_what_ssh_keygen_prints(keys: Path, name: str) -> None:
    done = subprocess.run(["ssh-keygen", "-l", "-f", str(keys / name)], capture_output=True, text=True, check=True)
    assert public(keys / name).fingerprint == done.stdout.split()[1]


# --- allowed signers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "person",
    ["", "v*", "vera,dan", 've"ra', "vera dan", "vera\ndan", "Vera", "vera\n", "!vera", "-vera", "ｖera", "x" * 33],
)
def test_no_line_of_allowed_signers_is_written_for_an_id_that_could_say_more(keys: Path, person: str) -> None:
    with pytest.raises(BadSignature, match="not an id of a person"):
        signatures.allowed_signers([(person, public(keys / "ed25519"))])


def test_one_key_never_stands_for_two_persons(keys: Path) -> None:
    key = public(keys / "ed25519")
    with pytest.raises(BadSignature, match="proves neither"):
        signatures.allowed_signers([("vera", key), ("dan", key)])


@pytest.mark.parametrize("blob", ["AAAA\nmallory ssh-ed25519 AAAA", "AAAA vera", ""])
def test_a_key_that_was_put_together_by_hand_is_read_again_before_it_is_written(blob: str) -> None:
    with pytest.raises(BadSignature):
        signatures.allowed_signers([("vera", PublicKey("ssh-ed25519", blob))])


def test_allowed_signers_has_one_line_a_key_and_stock_ssh_keygen_reads_it(keys: Path, tmp_path: Path) -> None:
    text = signatures.allowed_signers([(f"p-{n}", public(keys / name)) for n, name in enumerate(TYPES)])
    assert len(text.splitlines()) == len(TYPES)
    (tmp_path / "allowed").write_text(text)
    for n, name in enumerate(TYPES):
        (tmp_path / "sig").write_text(stock_signature(keys / name, tmp_path))
        for who, good in ((f"p-{n}", True), (f"p-{(n + 1) % len(TYPES)}", False)):
            words = ["-f", str(tmp_path / "allowed"), "-I", who, "-n", signatures.SIGN_OFF, "-s", str(tmp_path / "sig")]
            done = subprocess.run(["ssh-keygen", "-Y", "verify", *words], input=MESSAGE, capture_output=True)
            assert (done.returncode == 0) is good


# --- what holds, by both checkers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TYPES)
def test_a_signature_of_ours_holds_for_stock_ssh_keygen(keys: Path, tmp_path: Path, name: str) -> None:
    signature = signatures.sign(MESSAGE, keys / name, signatures.SIGN_OFF)
    line = public(keys / name).line
    assert stock_says_good(tmp_path, line, signature)
    assert not stock_says_good(tmp_path, line, signature, MESSAGE + b" ")


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("more", [(), ("-O", "hashalg=sha256")])
def test_a_signature_of_stock_ssh_keygen_holds_here(keys: Path, tmp_path: Path, name: str, more: tuple[str]) -> None:
    found = signatures.verify(
        MESSAGE, stock_signature(keys / name, tmp_path, signatures.SIGN_OFF, *more), signatures.SIGN_OFF
    )
    assert (found.fingerprint, found.hardware, found.present) == (public(keys / name).fingerprint, False, False)


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize(("flags", "present"), [(0x00, False), (0x01, True), (0x04, False), (0x05, True)])
def test_a_hardware_signature_says_whether_somebody_touched_it(
    tmp_path: Path, kind: str, flags: int, present: bool
) -> None:
    token = Token(kind)
    signature = token.sign(MESSAGE, flags)
    assert stock_says_good(tmp_path, token.line, signature)  # stock ssh-keygen does not ask for the touch
    found = signatures.verify(MESSAGE, signature, signatures.SIGN_OFF)
    assert (found.fingerprint, found.hardware, found.present) == (
        signatures.read_public_key(token.line).fingerprint,
        True,
        present,
    )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What OpenSSH asks for sk keys, in software: no hardware, but ssh-keygen's own keys, files and signatures."""
    compiler, made = needs.program("cc"), tmp_path_factory.mktemp("provider") / "provider.so"
    source = str(Path(__file__).with_name("sk_provider.c"))
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(made), source, "-lcrypto"], capture_output=True, text=True
    )
    if "openssl/" in built.stderr or "-lcrypto" in built.stderr:
        needs.missing("openssl/evp.h")
    assert built.returncode == 0, built.stderr
    return made


@pytest.mark.parametrize("kind", ["ecdsa-sk", "ed25519-sk"])
@pytest.mark.parametrize(("more", "touched"), [((), True), (("-O", "no-touch-required"), False)])
def test_ssh_keygen_s_own_sk_keys_sign_and_are_told_apart_by_the_touch(
    provider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, more: tuple[str, ...], touched: bool
) -> None:
    monkeypatch.setenv("SSH_SK_PROVIDER", str(provider))
    make_key(tmp_path / "key", kind, *more)
    key = public(tmp_path / "key")
    ours = signatures.sign(MESSAGE, tmp_path / "key", signatures.SIGN_OFF)
    for signature in (ours, stock_signature(tmp_path / "key", tmp_path)):
        found = signatures.verify(MESSAGE, signature, signatures.SIGN_OFF)
        assert (found.fingerprint, found.hardware, found.present) == (key.fingerprint, True, touched)
        assert stock_says_good(tmp_path, key.line, signature)
        assert not stock_says_good(tmp_path, key.line, signature, MESSAGE + b" ")
        with pytest.raises(BadSignature):
            signatures.verify(MESSAGE + b" ", signature, signatures.SIGN_OFF)


def test_a_hardware_key_s_flags_are_part_of_what_it_signed() -> None:
    token = Token(TOKENS[0])
    blob = base64.b64decode("".join(token.sign(MESSAGE, 0).split("\n")[1:-2]))
    touched = bytearray(blob)
    touched[-5] = 1
    with pytest.raises(BadSignature):
        signatures.verify(MESSAGE, armored(bytes(touched)), signatures.SIGN_OFF)


def test_a_key_that_only_an_agent_holds_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, socket = tmp_path / "vera", tmp_path / "agent"
    make_key(key)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        with pytest.raises(BadSignature):  # not before it holds the key
            key.rename(tmp_path / "away")
            signatures.sign(MESSAGE, Path(f"{key}.pub"), signatures.SIGN_OFF)
        subprocess.run(["ssh-add", "-q", str(tmp_path / "away")], check=True)
        signature = signatures.sign(MESSAGE, Path(f"{key}.pub"), signatures.SIGN_OFF)
    finally:
        agent.terminate()
        agent.wait()
    assert signatures.verify(MESSAGE, signature, signatures.SIGN_OFF).fingerprint == public(key).fingerprint
    assert stock_says_good(tmp_path, public(key).line, signature)


# --- statements ------------------------------------------------------------------------------------------------------


def a_statement(**more: object) -> bytes:
    covers = {"model": "sha256:" + "5e" * 32, "round": 1}
    who = {"signer": "vera", "audit_size": 3, "audit_head": "sha256:x", "issued": "2026-11-25T08:00:00Z"}
    return statements.sign_off(covers, [], opinion=Opinion.APPROVE, comment="ok", **who | more)  # type: ignore[arg-type]


def hostile_statements() -> Iterator[tuple[str, bytes]]:
    good = a_statement()
    value = json.loads(good)
    predicate = good.index(b'"opinion":"approve"')
    yield "empty", b""
    yield "a duplicate key", good[:predicate] + b'"opinion":"refuse",' + good[predicate:]
    yield "keys in another order", json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode()
    yield "blanks", json.dumps(value, sort_keys=True).encode()
    yield "a float", canonical(value)[:-1] + b',"z":1.0}'
    yield "a float that is whole", canonical(value)[:-1] + b',"z":1e2}'
    yield "NaN", canonical(value)[:-1] + b',"z":NaN}'
    yield "Infinity", canonical(value)[:-1] + b',"z":-Infinity}'
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "UTF-16", good.decode().encode("utf-16")
    yield "a line end", good + b"\n"
    yield "CRLF", good + b"\r\n"
    yield "an escape that has another spelling", good.replace(b'"ok"', b'"\\u006fk"')
    yield "a lone surrogate", good.replace(b'"ok"', b'"\\ud800"')
    yield "no UTF-8", good.replace(b'"ok"', b'"\xff"')
    yield "ten megabytes", a_statement(more="x" * 10_000_000)
    yield "deep nesting", b"[" * 100_000
    yield "a long number", good[:-1] + b',"z":' + b"9" * 10_000 + b"}"
    yield "a list", b"[]"
    yield "no predicate", canonical({k: v for k, v in value.items() if k != "predicate"})
    yield "another type", canonical(value | {"_type": "https://in-toto.io/Statement/v2"})
    yield "another kind", canonical(value | {"predicateType": statements.predicate_type(StatementKind.GATE)})
    yield "another student in its subject", canonical(value | {"subject": []})
    for name in ("covers", "audit", "opinion", "meaning"):
        yield f"no {name}", canonical(value | {"predicate": value["predicate"] | {name: None}})
    refusing = value["predicate"] | {"meaning": statements.MEANING[Opinion.REFUSE]}
    yield "an opinion in the words of another", canonical(value | {"predicate": refusing})


@pytest.mark.parametrize(("name", "content"), hostile_statements(), ids=[name for name, _ in hostile_statements()])
def test_a_statement_that_is_not_exactly_canonical_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(BadSignature, match=r"^(The|This) .*\.$"):
        statements.read_sign_off(content)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_crash_the_reader_of_statements(content: bytes) -> None:
    with pytest.raises(BadSignature):
        statements.read_sign_off(content)


def test_a_statement_s_text_is_the_one_that_was_written() -> None:
    content = a_statement()
    assert canonical(statements.read_sign_off(content)) == content


def test_every_kind_of_statement_has_a_namespace_of_its_own() -> None:
    assert len(set(statements.NAMESPACES.values())) == len(statements.NAMESPACES)
    assert signatures.IDENTITY not in statements.NAMESPACES.values()  # the answer to a challenge signs nothing
