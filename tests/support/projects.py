"""Project files with everything in them that can be stored."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from distill_tui import actions
from distill_tui.digests import digest_of
from distill_tui.people.keys import PublicKey
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.store import migrations, sqlite, tables
from distill_tui.store.project import Project
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Action, Opinion, RunKind, RunStatus, Split, Standing
from support.by_hand import by_hand
from support.stories import drive_to_data, drive_to_decide, found, open_play, write_traffic
from support.story import AT, actor

NAME = "team.distill"


def make(parent: Path) -> Path:
    """Make a project with a shipped play, a refusal that was taken back, and plays that are still being built."""
    folder = parent / "made"
    folder.mkdir()
    traffic, project = write_traffic(folder / "calls.jsonl"), found(folder / NAME)
    first, second = open_play(project), open_play(project, "parcels")
    for play in (first, second):
        drive_to_data(project, play, traffic)
    thin = {"finding": "f", "says": "It is thin.", "reason": "Known.", "at": AT}
    for play in (first, second):
        with by_hand(project, Action.ACCEPT_FINDINGS, play, actor("dan")) as session:
            session.add(tables.AcceptedFinding(play_id=play, round=1, person_id="dan", **thin))
    with by_hand(project, Action.DROP_ROW, second, actor("dan")) as session:
        dropped = {"input_digest": "5e" * 32, "round": 1, "reason": "A test call.", "at": AT}
        session.add(tables.DroppedRow(play_id=second, person_id="dan", **dropped))
    drive_to_decide(project, first)
    vouched_once(project, first)
    actions.sign_off(project, first, actor("vera"), Opinion.REFUSE, "It fails.")
    actions.withdraw(project, first, actor("vera"), "It does not.")
    actions.sign_off(project, first, actor("vera"), Opinion.APPROVE, "I looked.")
    actions.ship(project, first, actor("olga"))
    actions.open_row(project, first, actor("vera"), held_out_row(project, first))
    observed_once(project, first)
    actions.acknowledge(project, first, actor("olga"), "A holiday.")
    for person, blob in (("vera", b"one key"), ("bob", b"another")):
        key = PublicKey("ssh-ed25519", base64.b64encode(blob).decode())
        actions.add_key(project, actor("mia"), person, key)
    actions.revoke_key(project, actor("mia"), key.fingerprint)
    open_play(project, "third")
    project.close()
    return folder


def vouched_once(project: Project, play: int) -> None:
    """One spot check and one signed statement, as rows."""
    known = {"play_id": play, "person_id": "vera", "recorded_at": AT}
    with by_hand(project, Action.SPOT_CHECK, play, actor("vera")) as session:
        session.add(tables.SpotCheck(**known, round=1, evaluation="sha256:" + "5e" * 32, content="{}"))
    with by_hand(project, Action.COMMENT, play, actor("vera"), signed={"1": digest_of(b"{}")}) as session:
        session.add(tables.Statement(**known, kind="ship", content=b"{}", signature=""))


def observed_once(project: Project, play: int) -> None:
    """One feed of one row that diverges, and an alarm, as a worker leaves them."""
    known = {"play_id": play, "bundle_id": 1}
    digest = "sha256:" + "5e" * 32
    with by_hand(project, Action.OBSERVE, play, actor("olga")) as session:
        session.add(
            tables.Feed(
                **known, name="may.jsonl", source_digest=digest, artifact=digest, rows=1, rejects=0, received_at=AT
            )
        )
        session.add(
            run := tables.Run(
                play_id=play, round=1, kind=RunKind.OBSERVE, status=RunStatus.QUEUED, spec="{}", started_by="olga",
                created_at=AT,
            )
        )  # fmt: skip
        session.flush()
        worker = Actor("olga", f"worker of run {run.id}", run=run.id)
    with by_hand(project, Action.RECORD_OBSERVATIONS, play, worker) as session:
        session.get_one(tables.Run, run.id).status = RunStatus.FINISHED
        session.add(
            tables.Observation(
                **known, feed_id=1, day=AT[:10], input_digest="5e" * 32, probe=0, segment="all", answer="no",
                teacher="yes", asked=0, uncertainty=0.25, distance=1.5, length=9, excerpt="a refund",
            )
        )  # fmt: skip
        session.add(
            tables.Watch(
                **known, feed_id=1, standing=Standing.ALARM, plan="{}", state="{}", findings="[]", recorded_at=AT
            )
        )


def held_out_row(project: Project, play: int) -> int:
    from distill_tui.dataset import frozen

    data = project.dossier(play).data_set
    assert data is not None
    return int(frozen.load(project.artifacts.path(data.artifact), Split.HELD_OUT).rows[0])


def sql(path: Path, *statements: str) -> None:
    """Another program, whose connection has none of our guards."""
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


ENTITIES: dict[str, Any] = {table: entity for entity, table in entities.TABLES.items()}


LOCKED = "play_id = 1"


FIXED = {  # table: which rows can never change
    "audit": "1",
    "opened_row": "1",
    "builder": "1",
    "evaluation": "1",
    "sign_off": "1",
    "spot_check": "1",
    "statement": "1",
    "accepted_finding": "EXISTS (SELECT 1 FROM data_set WHERE data_set.play_id = accepted_finding.play_id"
    " AND data_set.round >= accepted_finding.round AND frozen_at IS NOT NULL)",
    "withdrawal": "1",
    "bundle": "1",
    "feed": "1",
    "observation": "1",
    "watch": "1",
    "remedy": "1",
    "gate": LOCKED,
    "data_set": LOCKED,
    "worksheet_value": LOCKED,
    "project": "1",
    "person": "1",
    "account": "1",
    "ssh_key": "1",
    "play": "1",
}


FREE = {  # columns of them that may
    "project": {"name", "on_alarm", "webhook"},  # the last two: what the log says counts
    "person": {"name"},
    "play": {
        "name", "summary", "stage", "round", "predecessor", "teacher_source", "teacher_name", "teacher_digest",
        "teacher_labels", "label_map", "sampling_per_month", "refresh_days", "outcome", "stage_since",
    },
}  # fmt: skip


def columns(table: str) -> list[str]:
    return [field.name for field in fields(ENTITIES[table])] if table in ENTITIES else []


def keys(table: str) -> list[list[str]]:
    """The primary key and every other set of columns that is unique."""
    text = migrations.expected_schema()[table]
    found_ = [re.split(r",\s*", group) for group in re.findall(r"(?:UNIQUE|PRIMARY KEY) \(([^)]*)\)", text)]
    found_ += [[name] for name in re.findall(r"(\w+) [A-Z]+[^,]*?(?:PRIMARY KEY|UNIQUE)\b(?! \()", text)]
    return found_


def attempts() -> Iterator[tuple[str, str]]:
    """Every way by which plain SQL could change or take away a row that is fixed."""
    for table, which in FIXED.items():
        for column in columns(table):
            if column not in FREE.get(table, set()):
                for verb in ("UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"):
                    yield table, f"{verb} {table} SET {column} = 'x' || {column} WHERE {which}"
        yield table, f"DELETE FROM {table} WHERE {which}"
        names = ", ".join(columns(table))
        for verb in ("INSERT OR REPLACE", "REPLACE"):
            for column in columns(table):  # a key column: the old row would go; any other: it would change
                for other in ("'x'", "'{}'", "99", "'sha256:' || hex(zeroblob(32))", "'SHA256:x'"):
                    given = ", ".join(other if name == column else name for name in columns(table))
                    yield table, f"{verb} INTO {table} ({names}) SELECT {given} FROM {table} WHERE {which} LIMIT 1"
        # another row that may change takes the place of one that may not
        for key in keys(table):
            given = ", ".join(f"{name} = (SELECT {name} FROM {table} WHERE {which} LIMIT 1)" for name in key)
            yield (
                table,
                f"UPDATE OR REPLACE {table} SET {given} WHERE NOT ({which})"
                if which != "1"
                else (f"UPDATE OR REPLACE {table} SET {given}"),
            )
    yield "gate", "UPDATE OR REPLACE gate SET play_id = 1 WHERE play_id = 3"
    yield "data_set", "UPDATE OR REPLACE data_set SET id = 1 WHERE id = 2"
    yield "data_set", "UPDATE OR REPLACE data_set SET play_id = 1 WHERE id = 2"
    yield "data_set", "UPDATE OR REPLACE data_set SET play_id = 1, frozen_at = 'now' WHERE id = 2"
    yield "worksheet_value", "UPDATE OR REPLACE worksheet_value SET play_id = 1 WHERE play_id = 3"
    yield "worksheet_value", "INSERT INTO worksheet_value VALUES (1, 'luck', '1', '')"
    yield "play", "UPDATE OR REPLACE play SET name = 'refunds' WHERE id = 3"
    yield "play", "UPDATE OR REPLACE play SET id = 1 WHERE id = 3"
    yield "ssh_key", "UPDATE ssh_key SET revoked_at = NULL"
    yield (
        "audit",
        "INSERT INTO audit SELECT 99, at, person_id, proof, action, play_id, detail, rows, state, previous, digest "
        "FROM audit",
    )
    yield (
        "audit",
        "INSERT INTO audit SELECT max(seq) + 1, at, person_id, proof, action, play_id, detail, rows, state, '', digest "
        "FROM audit",
    )


ATTEMPTS = sorted(set(attempts()))


def fixed_rows(connection: sqlite3.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """The rows that can never change or go, without the columns that may."""
    kept = {table: ", ".join(c for c in columns(table) if c not in FREE.get(table, set())) for table in FIXED}
    return {
        table: set(connection.execute(f"SELECT {kept[table]} FROM {table} WHERE {which}"))
        for table, which in FIXED.items()
    }


def gets_through(path: Path, table: str, *, guarded: bool = False) -> list[str]:
    """Try every attempt on a table, undoing it each time; gives those by which a fixed row changed or went."""
    connection, found_ = sqlite3.connect(path, isolation_level=None), []
    if guarded:
        sqlite.guard(connection)
    before = fixed_rows(connection)
    assert before[table], "there is something to change"
    for at, statement in ATTEMPTS:
        if at == table:
            connection.execute("BEGIN")
            try:
                connection.execute(statement)
                after = fixed_rows(connection)
                if any(before[each] - after[each] for each in FIXED):
                    found_.append(statement)
            except sqlite3.DatabaseError:
                pass
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    connection.close()
    return found_
