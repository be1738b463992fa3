"""The forms of the roster: enrol a person, add an account or a key, revoke a key."""

from __future__ import annotations

from collections.abc import Sequence

from distill_tui import actions
from distill_tui.people import signatures
from distill_tui.people.keys import BadSignature, PublicKey
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import Enrol, RevokeKey
from distill_tui.terms import Action
from distill_tui.ui.forms.form import Call, Form, Step, WrongField, file_text
from distill_tui.ui.forms.paths import PathSuggester
from distill_tui.ui.forms.sheet import Field, Values

UID = Field("uid", "uid", hint="The number that `id -u` prints in their shell.")
KEY = Field("key", "public key file", hint="Like ~/.ssh/id_ed25519.pub; never a private key.", completes=PathSuggester)
Enrolment = tuple[str, str, int | None, PublicKey | None]  # id, name, account, key


def enrol(actor: Actor) -> Step:
    def read(values: Values) -> Enrolment:
        return values["person"], values["name"], uid_of(values["uid"]), key_of(values["key"])

    def submit(asked: Enrolment) -> Step:
        person, name, uid, key = asked
        return Call(
            lambda project: actions.enrol_person(project, actor, person, name, uid=uid, key=key),
            f"{person} is enrolled.",
        )

    return Form(
        Action.ENROL_PERSON,
        "enrol them",
        submit,
        ("A person can act once an account or a key proves who they are. Only the keeper can add more later.",),
        (
            Field("person", "id", hint="Their name in this project, like vera: a-z, 0-9, - and _."),
            Field("name", "name", hint="For display. Optional."),
            Field("uid", "uid of their account", hint=f"{UID.hint} Optional."),
            Field("key", KEY.label, hint=f"{KEY.hint} Optional.", completes=PathSuggester),
        ),
        read,
        asks=lambda asked: Enrol(asked[0], asked[2], asked[3].fingerprint if asked[3] else None),
        title="Enrol a person",
        command="distill-tui person add ID --uid N --key-file FILE.pub",
    )


def add_account(actor: Actor, person: str) -> Step:
    def read(values: Values) -> int:
        uid = uid_of(values["uid"])
        if uid is None:
            raise ValueError("Write the uid, a whole number.")
        return uid

    def submit(uid: int) -> Step:
        return Call(lambda project: actions.add_account(project, actor, person, uid), f"The account is {person}'s.")

    return Form(
        Action.ADD_ACCOUNT,
        "add it",
        submit,
        ("Every process that runs under this uid acts as this person from now on.",),
        (UID,),
        read,
        asks=lambda uid: Enrol(person, uid),
        title=f"Add an account to {person}",
        command=f"distill-tui account add {person} UID",
    )


def add_key(actor: Actor, person: str) -> Step:
    def read(values: Values) -> PublicKey:
        key = key_of(values["key"])
        if key is None:
            raise ValueError("Name the file of the public key.")
        return key

    return Form(
        Action.ADD_KEY,
        "add it",
        lambda key: Call(lambda project: actions.add_key(project, actor, person, key), f"The key is {person}'s."),
        ("The holder of its private half acts as this person from now on.",),
        (KEY,),
        read,
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
        submit,
        ("It proves no one from now on. What it signed before stays valid. This cannot be undone.",),
        (Field("fingerprint", "fingerprint", keys[0], f"One of {', '.join(keys)}", tuple(keys)),),
        lambda values: RevokeKey(values["fingerprint"]),
        title=f"Revoke a key of {person}",
        typed=person,
        command=f"distill-tui key revoke {keys[0]}",
    )


def uid_of(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit()):
        raise WrongField(f"“{text}” is not a uid. Write the whole number that `id -u` prints.", "uid")
    return int(text) if text else None


def key_of(name: str) -> PublicKey | None:
    try:
        return signatures.read_public_key(file_text(name, "Name the .pub file.")) if name else None
    except (ValueError, BadSignature) as error:
        raise WrongField(str(error), "key") from None
