"""Whether the rows of a log entry are those that its detail names and that its actor may write.

The detail is what a person signs and what the log shows, so rows that say something else do not count. What the guards
of the project file refuse, no entry may write either: the rows are put into a file in memory that has the same guards.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from distill_tui.digests import digest_of
from distill_tui.people.keys import PublicKey
from distill_tui.rules.dossier import PlayDossier, read_list
from distill_tui.rules.entities import AuditEntry
from distill_tui.store import audit_log, deciding, migrations, sqlite
from distill_tui.terms import Action, Opinion, Role, RunStatus

Detail = Mapping[str, Any]  # of an entry, as JSON holds it
Changed = Mapping[str, Mapping[str, Any]]  # table → key → row, as JSON holds it
Known = Callable[[str, str], Any]  # table, key → the entity before this entry; None where there is none


class Before(NamedTuple):
    """What the log said before an entry."""

    known: Known
    dossier: PlayDossier | None  # of its play


Said = Callable[[AuditEntry, Detail, Changed, Before], Iterator[str]]

_BY = ("person_id", "started_by", "locked_by", "shipped_by", "checked_by")  # columns that hold who did it
_OF_OTHERS = ("account", "ssh_key", "role_holder")  # tables whose persons are those that the entry is about
_FRESH = {"status": RunStatus.QUEUED.value, "result": "{}", "artifact": None, "error": None}
_AGAIN = ("status", "error")  # what a person may change of a run: that it waits again


class Guards:
    """The log's rows in a file in memory with the guards of this release."""

    def __init__(self) -> None:
        self._file = migrations.new_file()
        weakref.finalize(self, self._file.close)

    def refusals(self, changed: Changed) -> Iterator[str]:
        """Write the rows of an entry; yield what the guards refuse. Rows that go are taken out first."""
        for gone in (True, False):
            for name, found in changed.items():
                for text, row in found.items():
                    if (row is None) is gone and not isinstance(row, str):
                        try:
                            self._write(deciding.ALL[name], json.loads(text), row)
                        except sqlite.DatabaseErrors as error:
                            yield f"its {name.replace('_', ' ')} {', '.join(map(str, json.loads(text)))}: {error}"

    def _write(self, table: deciding.Table, key: list[object], row: dict[str, Any] | None) -> None:
        there = deciding.row_now(self._file, table, key)
        if row is None or not isinstance(there, dict):
            deciding.put(self._file, table, key, row)
        elif columns := [name for name in row if row[name] != there[name]]:
            deciding.put(self._file, table, key, row, columns)


def unsaid(entry: AuditEntry, changed: Changed, before: Before, run: int | None) -> Iterator[str]:
    """Yield what an entry wrote that its detail does not say, or in another person's name.

    `run` is the run whose worker reports; None for a person.
    """
    if entry.action is Action.OPEN_PROJECT:
        return
    yield from _in_own_name(entry, changed, before.known)
    yield from _own_runs(changed, before.known, run)
    said = SAID.get(entry.action)
    if said is not None:
        yield from said(entry, audit_log.read_object(entry.detail), changed, before)


def _in_own_name(entry: AuditEntry, changed: Changed, known: Known) -> Iterator[str]:
    for name, found in changed.items():
        for key, row in found.items():
            if not isinstance(row, dict) or name in _OF_OTHERS:
                continue
            before = known(name, key)
            by = [row[each] for each in _BY if each in row and row[each] != getattr(before, each, None)]
            assigned = name == "builder" and entry.action is Action.ASSIGN_ROLE  # a new driver
            if any(who not in (None, entry.person_id) for who in by) and not assigned:
                yield f"it writes a {name.replace('_', ' ')} in another person's name"


def _own_runs(changed: Changed, known: Known, run: int | None) -> Iterator[str]:
    """A worker reports on its own run; a person queues a run, or lets one wait again."""
    for key, row in changed.get("run", {}).items():
        before = known("run", key)
        if row is None:
            yield "a run is never deleted"
        elif run is not None:
            if row["id"] != run:
                yield f"the worker of run {run} reports on run {row['id']}"
        elif before is None:
            if any(row[name] != value for name, value in _FRESH.items()):
                yield f"run {row['id']} begins with a result"
        elif any(value != getattr(before, name) for name, value in row.items() if name not in _AGAIN):
            yield f"it changes what run {row['id']} came to"
    for row in filter(None, changed.get("evaluation", {}).values()):
        if row["evaluation_run"] != run:
            yield f"evaluation {row['id']} is not of run {run}"


def _rows(changed: Changed, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table; an empty one for each that was deleted."""
    return [row or {} for row in changed.get(name, {}).values()]


def _proofs(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    """A person, an account and a key are those that the entry names; a key is its fingerprint's."""
    person, name = detail.get("person"), str(detail.get("name")).strip()[:200] or detail.get("person")
    for row in _rows(changed, "person"):
        if (row.get("id"), row.get("name")) != (person, name):
            yield f"it says that {person} ({name}) is enrolled, and enrols another"
    for row in _rows(changed, "account"):
        if (row.get("uid"), row.get("person_id")) != (detail.get("uid"), person):
            yield f"it names account uid {detail.get('uid')} of {person}, and writes another"
    for row in _rows(changed, "ssh_key"):
        if (row.get("fingerprint"), row.get("person_id")) != (detail.get("fingerprint"), person) or row["revoked_at"]:
            yield f"it names key {detail.get('fingerprint')} of {person}, and writes another"
        elif _fingerprint(row) != row["fingerprint"]:
            yield f"the key of {person} is not the one of its fingerprint"


def _fingerprint(row: Mapping[str, Any]) -> str:
    try:
        return PublicKey(row["kind"], row["blob"]).fingerprint
    except ValueError as error:
        return str(error)


def _revoked(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    for row in _rows(changed, "ssh_key"):
        if row.get("fingerprint") != detail.get("fingerprint") or not row["revoked_at"]:
            yield f"it says that key {detail.get('fingerprint')} is revoked, and changes another"


def _role(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    for key, row in changed.get("role_holder", {}).items():
        held = before.known("role_holder", key)
        said = (detail.get("role"), detail.get("before"), detail.get("after"))
        if row is None or said != (row["role"], held.person_id if held is not None else "", row["person_id"]):
            yield f"it says {detail.get('role')}: {detail.get('after')}, and assigns another"
    for row in _rows(changed, "builder"):
        if (row.get("person_id"), row.get("act"), detail.get("role")) != (detail.get("after"), "drive", Role.DRIVER):
            yield "it makes a builder who is not the driver that it names"


_SETTINGS: dict[Action, tuple[tuple[str, str], ...]] = {  # column, and the name in the detail
    Action.SET_ASSURANCE: (("minimum_assurance", "assurance"),),
    Action.SET_SEPARATION: (("forbids", "forbids"),),
    Action.SET_CURRENCY: (("currency", "currency"),),
    Action.SET_ALARMS: (("on_alarm", "on_alarm"), ("webhook", "webhook")),
}


def _settings(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    """The settings of a project are those that its entry names."""
    for row in _rows(changed, "project"):
        for name, of in _SETTINGS.get(entry.action, ()):
            value = detail.get(of)
            if of != "forbids":  # all others are named as before and after
                value = value[-1] if isinstance(value, list) and value else None
            if value != (read_list(row[name]) if isinstance(value, list) else row.get(name)):
                yield f"it names another {name.replace('_', ' ')} than it writes"


def _gate(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    for row in _rows(changed, "gate"):
        if row.get("digest") != detail.get("gate"):
            yield "it locks another gate than it names"


def _sign_off(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    meant = Opinion.APPROVE if entry.action is Action.SIGN_OFF else Opinion.REFUSE
    for row in _rows(changed, "sign_off"):
        stored = deciding.as_stored(row)
        said = (detail.get("sign_off"), detail.get("opinion"), detail.get("assurance"), detail.get("statement"))
        found = (row["id"], row["opinion"], row["assurance"], digest_of(bytes(stored["statement"])))
        if said != found or row["opinion"] != meant.value:
            yield "its sign-off is not the one that it names"


def _withdrawal(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    for row in _rows(changed, "withdrawal"):
        signed = before.known("sign_off", f"[{row.get('sign_off_id')}]")
        if row.get("sign_off_id") != detail.get("sign_off") or getattr(signed, "person_id", None) != entry.person_id:
            yield "it withdraws another sign-off than it names, or another person's"


def _bundle(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    for row in _rows(changed, "bundle"):
        if (row.get("digest"), row.get("sign_off_id")) != (detail.get("bundle"), detail.get("sign_off")):
            yield "it ships another bundle than it names"


def _remedy(entry: AuditEntry, detail: Detail, changed: Changed, before: Before) -> Iterator[str]:
    """What was done about a live student is what the entry is called, of the bundle and the feeds of that moment."""
    play = before.dossier
    if play is None or play.live is None:
        return  # the rules say so
    bundle, newest, feed = play.live.id, play.bundles[-1].id, max((each.id for each in play.feeds), default=0)
    if entry.action is Action.ROLL_BACK:
        bundle = int(detail["bundle"][1])
    for row in _rows(changed, "remedy"):
        said = (entry.action.value, bundle, newest, feed, detail.get("reason"))
        if said != tuple(row.get(name) for name in ("kind", "bundle_id", "newest_bundle", "feed_id", "reason")):
            yield "it records another remedy than it names"


SAID: dict[Action, Said] = {
    Action.ENROL_PERSON: _proofs,
    Action.ADD_ACCOUNT: _proofs,
    Action.ADD_KEY: _proofs,
    Action.REVOKE_KEY: _revoked,
    Action.ASSIGN_ROLE: _role,
    Action.SET_ASSURANCE: _settings,
    Action.SET_SEPARATION: _settings,
    Action.SET_CURRENCY: _settings,
    Action.SET_ALARMS: _settings,
    Action.LOCK_GATE: _gate,
    Action.SIGN_OFF: _sign_off,
    Action.REFUSE: _sign_off,
    Action.WITHDRAW: _withdrawal,
    Action.SHIP: _bundle,
    Action.ACKNOWLEDGE: _remedy,
    Action.ROLL_BACK: _remedy,
    Action.SUSPEND: _remedy,
    Action.RESUME: _remedy,
    Action.REFRESH: _remedy,
}
