"""What the validator's independence rests on, as far as the roster and the log show it, and what a project forbids."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import NamedTuple

from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection
from distill_tui.terms import Action, Role, Weakness


class Note(NamedTuple):
    """A fact that weakens the separation of builders and validator."""

    says: str
    kind: Weakness


def notes(dossier: PlayDossier) -> list[str]:
    """Return what weakens the separation of builders and validator: it is signed with the sign-off, and shown."""
    return [note.says for note in found(dossier)]


def found(dossier: PlayDossier) -> list[Note]:
    return sorted({*_enrolled(dossier), *_held(dossier), *_shared(dossier)})


def forbidden(dossier: PlayDossier) -> Iterator[Objection]:
    """What weakens separation ends a sign-off and a ship where the project forbids it."""
    for note in found(dossier):
        if note.kind in dossier.project.forbids:
            cure = "Assign an independent validator" if note.kind is not Weakness.LATE_ROLE else "Open another play"
            yield Objection(
                "separation.forbidden",
                f"{note.says} This project forbids that ({note.kind.value}). {cure}.",
                (Role.SPONSOR,),
                (Action.ASSIGN_ROLE,),
            )


def _enrolled(dossier: PlayDossier) -> Iterator[Note]:
    """A builder who enrolled the validator, or added an account or a key of theirs, can act as them."""
    validator = dossier.roles.get(Role.VALIDATOR, "")
    for by in dossier.enrolled_by.get(validator, ()):
        if by in dossier.builders:
            says = f"{validator}, the validator, was enrolled or given a key by {by}, who built."
            yield Note(says, Weakness.BUILDER_ENROLS)


def _held(dossier: PlayDossier) -> Iterator[Note]:
    for role, before, after in dossier.late_roles:
        says = f"The {role} was changed after the lock, from {before or 'no one'} to {after}."
        yield Note(says, Weakness.LATE_ROLE)
    validator = dossier.roles.get(Role.VALIDATOR)
    if validator is None:
        return
    if validator == dossier.roles.get(Role.SPONSOR):
        yield Note(f"{validator} is the sponsor and the validator.", Weakness.SPONSOR_VALIDATES)
    elif any((role, before) == (Role.SPONSOR.value, validator) for role, before, _ in dossier.late_roles):
        yield Note(f"{validator}, the validator, was the sponsor after the lock.", Weakness.SPONSOR_VALIDATES)


def _shared(dossier: PlayDossier) -> Iterator[Note]:
    """Two persons of a play with one display name, or with keys of one device, may be one human."""
    people = sorted({*dossier.roles.values(), *dossier.builders})
    named: dict[str, str] = {}
    devices: dict[str, str] = {}
    for person in people:
        known = dossier.project.people.get(person)
        name = " ".join(known.name.casefold().split()) if known is not None else person
        other = named.setdefault(name, person)
        if other != person:
            yield Note(f"{other} and {person} have the same name.", Weakness.SHARED_NAME)
    for key in dossier.project.keys:
        if key.person_id in people:
            other = devices.setdefault(device(key.blob), key.person_id)
            if other != key.person_id:
                first, second = sorted((other, key.person_id))
                yield Note(f"{first} and {second} have keys of one device.", Weakness.SHARED_KEY)


def device(blob: str) -> str:
    """Return what the keys of one device share: the public key without its kind and, of a hardware key, its purpose.

    One secret can be enrolled as several keys: a hardware key under another application, or the same numbers under
    another kind. A blob that cannot be read stands for itself.
    """
    try:
        kind, *parts = _strings(base64.b64decode(blob, validate=True))
    except ValueError:
        return blob
    if kind.startswith(b"sk-"):
        parts = parts[:-1]  # the application
    numbers = parts[-1:] if b"ed25519" in kind or b"ecdsa" in kind else parts
    return base64.b64encode(b" ".join(numbers)).decode()


def _strings(blob: bytes) -> list[bytes]:
    """Read the strings of a key blob, each after its length. Raises ValueError."""
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("a key blob ends too early")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if not found:
        raise ValueError("a key blob is empty")
    return found
