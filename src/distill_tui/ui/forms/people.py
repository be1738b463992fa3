"""The forms of the roster: enrol a person, add an account or a key, revoke a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_tui import actions
from distill_tui.people import signatures
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import Enrol, RevokeKey
from distill_tui.terms import Action
from distill_tui.ui.forms.form import Call, Form, Step
from distill_tui.ui.forms.sheet import Field, Values

UID = Field("uid", "uid", hint="The number that `id -u` prints in their shell.")
KEY = Field("key", "public key file", hint="Like ~/.ssh/id_ed25519.pub; never a private key.")


@dataclass(frozen=True)
class Proofs:
    """An account and a key, as far as they were named."""

    uid: int | None = None
    key: signatures.PublicKey | None = None


def enrol(actor: Actor) -> Step:
    def submit(asked: tuple[str, str, Proofs]) -> Step:
        person, name, by = asked
        done = f"{person} is enrolled."
        return Call(lambda project: actions.enrol_person(project, actor, person, name, uid=by.uid, key=by.key), done)

    return Form(
        Action.ENROL_PERSON,
        "enrol them",
        lambda values: (values["person"], values["name"], proofs(values["uid"], values["key"])),
        submit,
        ("A person can act once an account or a key proves who they are. Only the keeper can add more later.",),
        (
            Field("person", "id", hint="Their name in this project, like vera: a-z, 0-9, - and _."),
            Field("name", "name", hint="For display. Optional."),
            Field("uid", "uid of their account", hint=f"{UID.hint} Optional."),
            Field("key", KEY.label, hint=f"{KEY.hint} Optional."),
        ),
        asks=lambda asked: Enrol(asked[0], asked[2].uid, asked[2].key.fingerprint if asked[2].key else None),
        title="Enrol a person",
        command="distill-tui person add ID --uid N --key-file FILE.pub",
    )


def add_account(actor: Actor, person: str) -> Step:
    def read(values: Values) -> int:
        uid = proofs(values["uid"]).uid
        if uid is None:
            raise ValueError("Write the uid, a whole number.")
        return uid

    def submit(uid: int) -> Step:
        return Call(lambda project: actions.add_account(project, actor, person, uid), f"The account is {person}'s.")

    return Form(
        Action.ADD_ACCOUNT,
        "add it",
        read,
        submit,
        ("Every process that runs under this uid acts as this person from now on.",),
        (UID,),
        asks=lambda uid: Enrol(person, uid),
        title=f"Add an account to {person}",
        command=f"distill-tui account add {person} UID",
    )


def add_key(actor: Actor, person: str) -> Step:
    def read(values: Values) -> signatures.PublicKey:
        key = proofs("", values["key"]).key
        if key is None:
            raise ValueError("Name the file of the public key.")
        return key

    def submit(key: signatures.PublicKey) -> Step:
        return Call(lambda project: actions.add_key(project, actor, person, key), f"The key is {person}'s.")

    return Form(
        Action.ADD_KEY,
        "add it",
        read,
        submit,
        ("The holder of its private half acts as this person from now on.",),
        (KEY,),
        asks=lambda key: Enrol(person, fingerprint=key.fingerprint),
        title=f"Add an SSH public key to {person}",
        command=f"distill-tui key add {person} FILE.pub",
    )


def revoke_key(actor: Actor, person: str, keys: Sequence[str]) -> Step:
    def submit(asked: RevokeKey) -> Step:
        return Call(lambda project: actions.revoke_key(project, actor, asked.fingerprint), "The key is revoked.")

    return Form(
        Action.REVOKE_KEY,
        "revoke it",
        lambda values: RevokeKey(values["fingerprint"]),
        submit,
        ("It proves no one from now on. What it signed before stays valid. This cannot be undone.",),
        (Field("fingerprint", "fingerprint", keys[0], f"One of {', '.join(keys)}", tuple(keys)),),
        title=f"Revoke a key of {person}",
        typed=person,
        command=f"distill-tui key revoke {keys[0]}",
    )


def proofs(uid: str = "", file: str = "") -> Proofs:
    """Read a uid and a key file, if they are named. Raises ValueError with what cannot be read."""
    if uid and not (uid.isascii() and uid.isdigit()):
        raise ValueError(f"“{uid}” is not a uid. Write the whole number that `id -u` prints.")
    number = int(uid) if uid else None
    if not file:
        return Proofs(number)
    try:
        return Proofs(number, signatures.read_public_key(Path(file).expanduser().read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{Path(file).name} cannot be read: {why}. Name the .pub file.") from None
