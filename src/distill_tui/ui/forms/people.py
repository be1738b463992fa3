"""The forms of the roster: enrol a person, add an account or a key, revoke a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from distill_tui import actions
from distill_tui.people import signatures
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import AddAccount, AddKey, EnrolPerson, RevokeKey
from distill_tui.terms import Action
from distill_tui.ui.forms.form import Asked, Call, Form, Step
from distill_tui.ui.forms.sheet import Field, Values

UID = Field("uid", "uid", hint="The number that `id -u` prints in their shell.")
KEY = Field("key", "public key file", hint="Like ~/.ssh/id_ed25519.pub; never a private key.")


def enrol(actor: Actor) -> Form:
    def read(values: Values) -> Asked:
        return {"person": values["person"], "name": values["name"], **proofs(values)}

    def submit(asked: Asked) -> Step:
        person, name, uid, key = asked["person"], asked["name"], asked.get("uid"), asked.get("key")
        done = f"{person} is enrolled."
        return Call(lambda project: actions.enrol_person(project, actor, person, name, uid=uid, key=key), done)

    return Form(
        Action.ENROL_PERSON,
        "enrol them",
        ("A person can act once an account or a key proves who they are. Only the keeper can add more later.",),
        (
            Field("person", "id", hint="Their name in this project, like vera: a-z, 0-9, - and _."),
            Field("name", "name", hint="For display. Optional."),
            Field("uid", "uid of their account", hint=f"{UID.hint} Optional."),
            Field("key", KEY.label, hint=f"{KEY.hint} Optional."),
        ),
        read,
        lambda person, name, uid=None, key=None, fingerprint=None: EnrolPerson(person, uid, fingerprint),
        title="Enrol a person",
        submit=submit,
        command="distill-tui person add ID --uid N --key-file FILE.pub",
    )


def add_account(person: str) -> Form:
    def read(values: Values) -> Asked:
        if not values["uid"]:
            raise ValueError("Write the uid, a whole number.")
        return {"person": person, **proofs(values)}

    return Form(
        Action.ADD_ACCOUNT,
        "add it",
        ("Every process that runs under this uid acts as this person from now on.",),
        (UID,),
        read,
        AddAccount,
        title=f"Add an account to {person}",
        done=f"The account is {person}'s.",
        command=f"distill-tui account add {person} UID",
    )


def add_key(actor: Actor, person: str) -> Form:
    def read(values: Values) -> Asked:
        if not values["key"]:
            raise ValueError("Name the file of the public key.")
        return {"person": person, **proofs(values)}

    def submit(asked: Asked) -> Step:
        done = f"The key is {person}'s."
        return Call(lambda project: actions.add_key(project, actor, person, asked["key"]), done)

    return Form(
        Action.ADD_KEY,
        "add it",
        ("The holder of its private half acts as this person from now on.",),
        (KEY,),
        read,
        lambda person, key, fingerprint: AddKey(person, fingerprint),
        title=f"Add an SSH public key to {person}",
        submit=submit,
        command=f"distill-tui key add {person} FILE.pub",
    )


def revoke_key(person: str, keys: Sequence[str]) -> Form:
    return Form(
        Action.REVOKE_KEY,
        "revoke it",
        ("It proves no one from now on. What it signed before stays valid. This cannot be undone.",),
        (Field("fingerprint", "fingerprint", keys[0], f"One of {', '.join(keys)}", tuple(keys)),),
        request=RevokeKey,
        title=f"Revoke a key of {person}",
        typed=person,
        done="The key is revoked.",
        command=f"distill-tui key revoke {keys[0]}",
    )


def proofs(values: Mapping[str, str]) -> Asked:
    """Read uid and key file, where they are filled in. Raises ValueError with what cannot be read."""
    found: dict[str, object] = {}
    uid, name = values.get("uid", ""), values.get("key", "")
    if uid:
        if not (uid.isascii() and uid.isdigit()):
            raise ValueError(f"“{uid}” is not a uid. Write the whole number that `id -u` prints.")
        found["uid"] = int(uid)
    if name:
        try:
            key = signatures.read_public_key(Path(name).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise ValueError(f"{Path(name).name} cannot be read: {why}. Name the .pub file.") from None
        found |= {"key": key, "fingerprint": key.fingerprint}
    return found
