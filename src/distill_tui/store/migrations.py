"""How a project file is made and how an older one is brought up to date: numbered steps on `user_version`.

A step that was released is never edited; the next change is a new step. All steps of an opening run in one
transaction under the project's write lock, so that two programs that open a file at once do not race.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from distill_tui.store import sqlite
from distill_tui.store.sqlite import Connection
from distill_tui.terms import (
    Action,
    Assurance,
    Opinion,
    PlayKind,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    Stage,
    Standing,
    StatementKind,
    Task,
    TeacherSource,
)

APPLICATION_ID = 0x44695354  # "DiST"


def is_present(path: Path) -> bool:
    """Check that a file has the format of this release."""
    try:
        with sqlite.reading(path) as connection:
            found = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")]
    except sqlite.DatabaseErrors:
        return False
    return found == [(APPLICATION_ID,), (VERSION,)]


def _words(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word.value}'" for word in words)


def m001_first_release(connection: Connection) -> None:
    """Create every table of the first release with its checks and its triggers."""
    for statement in (*_TABLES, *_TRIGGERS):
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[Any], None], ...] = (m001_first_release,)
VERSION = len(MIGRATIONS)


def migrate(connection: Connection) -> None:
    """Bring a file to `VERSION`; the caller holds a write transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute(f"PRAGMA user_version={number}")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def expected_schema() -> dict[str, str]:
    """Return the schema that a file of this version must have: name → SQL, for tables, indexes and triggers."""
    return schema(new_file())


def new_file() -> Connection:
    """Make an empty project file of this version, in memory."""
    connection = _in_memory()
    _template(MIGRATIONS).backup(connection)
    return connection


@lru_cache(maxsize=1)
def _template(steps: tuple[Callable[[Any], None], ...]) -> Connection:
    """Make the file that the others are copies of: a copy takes a fifth of the time."""
    connection = _in_memory()
    migrate(connection)
    return connection


def _in_memory() -> Connection:
    connection: Connection = sqlite.module.connect(":memory:", isolation_level=None, check_same_thread=False)
    return connection


def schema(connection: Connection) -> dict[str, str]:
    """Read the schema that a file really has."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def _digest(column: str) -> str:
    return f"{column} TEXT NOT NULL CHECK ({column} GLOB 'sha256:*' AND length({column}) = 71)"


_TABLES = (
    """CREATE TABLE person (
        id TEXT PRIMARY KEY NOT NULL
            CHECK (length(id) BETWEEN 1 AND 32 AND id GLOB '[a-z0-9]*' AND id NOT GLOB '*[^a-z0-9_-]*'),
        name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        enrolled_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE project (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        uid TEXT NOT NULL CHECK (length(uid) = 32),
        name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        keeper TEXT NOT NULL REFERENCES person (id),
        minimum_assurance TEXT NOT NULL DEFAULT 'account' CHECK (minimum_assurance IN ({_words(Assurance)})),
        forbids TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(forbids)),
        currency TEXT NOT NULL DEFAULT 'USD' CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
        created_at TEXT NOT NULL,
        on_alarm TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(on_alarm)),
        webhook TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    """CREATE TABLE account (
        uid INTEGER PRIMARY KEY CHECK (uid >= 0),
        person_id TEXT NOT NULL REFERENCES person (id),
        added_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE ssh_key (
        fingerprint TEXT PRIMARY KEY NOT NULL CHECK (fingerprint GLOB 'SHA256:*'),
        person_id TEXT NOT NULL REFERENCES person (id),
        kind TEXT NOT NULL CHECK (kind NOT GLOB '*[^A-Za-z0-9@.-]*'),
        blob TEXT NOT NULL UNIQUE CHECK (blob NOT GLOB '*[^A-Za-z0-9+/=]*'),
        added_at TEXT NOT NULL,
        revoked_at TEXT
    ) STRICT""",
    f"""CREATE TABLE play (
        id INTEGER PRIMARY KEY CHECK (id > 0),
        name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 80),
        summary TEXT NOT NULL DEFAULT '',
        kind TEXT NOT NULL CHECK (kind IN ({_words(PlayKind)})),
        task TEXT NOT NULL CHECK (task IN ({_words(Task)})),
        stage TEXT NOT NULL CHECK (stage IN ({_words(Stage)})),
        round INTEGER NOT NULL DEFAULT 1 CHECK (round >= 1),
        predecessor INTEGER REFERENCES play (id),
        teacher_source TEXT NOT NULL DEFAULT '' 
            CHECK (teacher_source IN ({_words(TeacherSource)})),
        teacher_name TEXT NOT NULL DEFAULT '',
        teacher_digest TEXT NOT NULL DEFAULT '',
        teacher_labels TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(teacher_labels)),
        label_map TEXT NOT NULL DEFAULT '{{}}' CHECK (json_valid(label_map)),
        sampling_per_month INTEGER CHECK (sampling_per_month > 0),
        refresh_days INTEGER CHECK (refresh_days > 0),
        outcome TEXT NOT NULL DEFAULT '',
        opened_at TEXT NOT NULL,
        stage_since TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE role_holder (
        play_id INTEGER NOT NULL REFERENCES play (id),
        role TEXT NOT NULL CHECK (role IN ({_words(Role)})),
        person_id TEXT NOT NULL REFERENCES person (id),
        PRIMARY KEY (play_id, role)
    ) STRICT""",
    """CREATE TABLE builder (
        play_id INTEGER NOT NULL REFERENCES play (id),
        person_id TEXT NOT NULL REFERENCES person (id),
        act TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (play_id, person_id, act)
    ) STRICT""",
    """CREATE TABLE worksheet_value (
        play_id INTEGER NOT NULL REFERENCES play (id),
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        source TEXT NOT NULL,
        at TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (play_id, name)
    ) STRICT""",
    """CREATE TABLE gate (
        play_id INTEGER PRIMARY KEY REFERENCES play (id),
        content TEXT NOT NULL CHECK (json_valid(content)),
        digest TEXT,
        locked_by TEXT REFERENCES person (id),
        locked_at TEXT,
        facts TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(facts)),
        CHECK ((digest IS NULL) = (locked_at IS NULL) AND (locked_by IS NULL) = (locked_at IS NULL))
    ) STRICT""",
    f"""CREATE TABLE traffic (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        name TEXT NOT NULL,
        {_digest("source_digest")},
        {_digest("artifact")},
        mapping TEXT NOT NULL CHECK (json_valid(mapping)),
        rows INTEGER NOT NULL CHECK (rows >= 0),
        rejects INTEGER NOT NULL CHECK (rejects >= 0),
        report TEXT NOT NULL CHECK (json_valid(report)),
        imported_at TEXT NOT NULL,
        UNIQUE (play_id, source_digest, mapping)
    ) STRICT""",
    f"""CREATE TABLE data_set (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        {_digest("artifact")},
        {_digest("digest")},
        labels TEXT NOT NULL CHECK (json_valid(labels)),
        counts TEXT NOT NULL CHECK (json_valid(counts)),
        built_at TEXT NOT NULL,
        frozen_at TEXT,
        UNIQUE (play_id, round)
    ) STRICT""",
    """CREATE TABLE opened_row (
        play_id INTEGER NOT NULL REFERENCES play (id),
        input_digest TEXT NOT NULL CHECK (length(input_digest) = 64 AND input_digest NOT GLOB '*[^0-9a-f]*'),
        person_id TEXT NOT NULL REFERENCES person (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        at TEXT NOT NULL,
        PRIMARY KEY (play_id, input_digest, person_id)
    ) STRICT""",
    """CREATE TABLE provider_terms (
        play_id INTEGER PRIMARY KEY REFERENCES play (id),
        provider TEXT NOT NULL CHECK (length(provider) BETWEEN 1 AND 200),
        version TEXT NOT NULL CHECK (length(version) BETWEEN 1 AND 200),
        dated TEXT NOT NULL CHECK (dated GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
        permits INTEGER NOT NULL CHECK (permits IN (0, 1)),
        checked_by TEXT NOT NULL REFERENCES person (id),
        checked_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE accepted_finding (
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        finding TEXT NOT NULL,
        says TEXT NOT NULL,
        reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 4000),
        person_id TEXT NOT NULL REFERENCES person (id),
        at TEXT NOT NULL,
        PRIMARY KEY (play_id, round, finding, says)
    ) STRICT""",
    """CREATE TABLE dropped_row (
        play_id INTEGER NOT NULL REFERENCES play (id),
        input_digest TEXT NOT NULL CHECK (length(input_digest) = 64 AND input_digest NOT GLOB '*[^0-9a-f]*'),
        round INTEGER NOT NULL CHECK (round >= 1),
        reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 4000),
        person_id TEXT NOT NULL REFERENCES person (id),
        at TEXT NOT NULL,
        PRIMARY KEY (play_id, input_digest)
    ) STRICT""",
    f"""CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        kind TEXT NOT NULL CHECK (kind IN ({_words(RunKind)})),
        status TEXT NOT NULL CHECK (status IN ({_words(RunStatus)})),
        spec TEXT NOT NULL CHECK (json_valid(spec)),
        data_set_id INTEGER REFERENCES data_set (id),
        student_run INTEGER REFERENCES run (id),
        started_by TEXT NOT NULL REFERENCES person (id),
        created_at TEXT NOT NULL,
        token TEXT,
        pid INTEGER,
        claimed_at TEXT,
        heartbeat_at TEXT,
        step INTEGER NOT NULL DEFAULT 0 CHECK (step >= 0),
        total INTEGER NOT NULL DEFAULT 0 CHECK (total >= 0),
        message TEXT NOT NULL DEFAULT '',
        stop_requested INTEGER NOT NULL DEFAULT 0 CHECK (stop_requested IN (0, 1)),
        ended_at TEXT,
        error TEXT,
        artifact TEXT,
        result TEXT NOT NULL DEFAULT '{{}}' CHECK (json_valid(result))
    ) STRICT""",
    """CREATE TABLE run_point (
        run_id INTEGER NOT NULL REFERENCES run (id),
        step INTEGER NOT NULL CHECK (step >= 0),
        loss REAL NOT NULL,
        validation REAL,
        rows_per_second REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (run_id, step)
    ) STRICT""",
    f"""CREATE TABLE evaluation (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        run_id INTEGER NOT NULL REFERENCES run (id),
        evaluation_run INTEGER NOT NULL UNIQUE REFERENCES run (id),
        {_digest("gate_digest")},
        {_digest("data_digest")},
        {_digest("model")},
        {_digest("record")},
        passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
        reproduced INTEGER NOT NULL CHECK (reproduced IN (0, 1)),
        recorded_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE spot_check (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        person_id TEXT NOT NULL REFERENCES person (id),
        {_digest("evaluation")},
        content TEXT NOT NULL CHECK (json_valid(content) AND length(content) <= 1000000),
        recorded_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE statement (
        id INTEGER PRIMARY KEY,
        play_id INTEGER REFERENCES play (id),
        kind TEXT NOT NULL CHECK (kind IN ({_words(StatementKind)})),
        person_id TEXT NOT NULL REFERENCES person (id),
        content BLOB NOT NULL CHECK (length(content) BETWEEN 2 AND 1000000),
        signature TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE sign_off (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        person_id TEXT NOT NULL REFERENCES person (id),
        opinion TEXT NOT NULL CHECK (opinion IN ({_words(Opinion)})),
        assurance TEXT NOT NULL CHECK (assurance IN ({_words(Assurance)})),
        statement BLOB NOT NULL CHECK (length(statement) BETWEEN 2 AND 1000000),
        signature TEXT,
        comment TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE withdrawal (
        sign_off_id INTEGER PRIMARY KEY REFERENCES sign_off (id),
        reason TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE bundle (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        round INTEGER NOT NULL CHECK (round >= 1),
        {_digest("digest")},
        sign_off_id INTEGER NOT NULL REFERENCES sign_off (id),
        shipped_by TEXT NOT NULL REFERENCES person (id),
        shipped_at TEXT NOT NULL,
        UNIQUE (play_id, round)
    ) STRICT""",
    f"""CREATE TABLE feed (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        bundle_id INTEGER NOT NULL REFERENCES bundle (id),
        name TEXT NOT NULL,
        {_digest("source_digest")},
        {_digest("artifact")},
        rows INTEGER NOT NULL CHECK (rows >= 0),
        rejects INTEGER NOT NULL CHECK (rejects >= 0),
        received_at TEXT NOT NULL,
        UNIQUE (bundle_id, source_digest)
    ) STRICT""",
    """CREATE TABLE observation (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        bundle_id INTEGER NOT NULL REFERENCES bundle (id),
        feed_id INTEGER NOT NULL REFERENCES feed (id),
        day TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
        input_digest TEXT NOT NULL CHECK (length(input_digest) = 64),
        probe INTEGER NOT NULL CHECK (probe IN (0, 1)),
        segment TEXT NOT NULL,
        answer TEXT NOT NULL,
        teacher TEXT,
        asked INTEGER NOT NULL CHECK (asked IN (0, 1)),
        uncertainty REAL NOT NULL,
        distance REAL NOT NULL,
        length INTEGER NOT NULL CHECK (length >= 0),
        excerpt TEXT NOT NULL CHECK (length(excerpt) <= 200),
        gold TEXT,
        late INTEGER NOT NULL CHECK (late >= 0),
        UNIQUE (bundle_id, day, input_digest, probe, late)
    ) STRICT""",
    f"""CREATE TABLE watch (
        feed_id INTEGER PRIMARY KEY REFERENCES feed (id),
        play_id INTEGER NOT NULL REFERENCES play (id),
        bundle_id INTEGER NOT NULL REFERENCES bundle (id),
        standing TEXT NOT NULL CHECK (standing IN ({_words(Standing)})),
        plan TEXT NOT NULL CHECK (json_valid(plan)),
        state TEXT NOT NULL CHECK (json_valid(state)),
        findings TEXT NOT NULL CHECK (json_valid(findings)),
        recorded_at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE remedy (
        id INTEGER PRIMARY KEY,
        play_id INTEGER NOT NULL REFERENCES play (id),
        kind TEXT NOT NULL CHECK (kind IN ({_words(Remedy)})),
        round INTEGER NOT NULL CHECK (round >= 1),
        bundle_id INTEGER NOT NULL REFERENCES bundle (id),
        newest_bundle INTEGER NOT NULL REFERENCES bundle (id),
        feed_id INTEGER NOT NULL CHECK (feed_id >= 0),
        reason TEXT NOT NULL,
        detail TEXT NOT NULL CHECK (json_valid(detail)),
        person_id TEXT NOT NULL REFERENCES person (id),
        at TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE audit (
        seq INTEGER PRIMARY KEY CHECK (seq > 0),
        at TEXT NOT NULL,
        person_id TEXT REFERENCES person (id),
        proof TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ({_words(Action)})),
        play_id INTEGER REFERENCES play (id),
        detail TEXT NOT NULL CHECK (json_valid(detail)),
        rows TEXT NOT NULL CHECK (json_valid(rows)),
        state TEXT NOT NULL,
        previous TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE CHECK (digest GLOB 'sha256:*' AND length(digest) = 71)
    ) STRICT""",
    f"""CREATE TABLE play_card (
        play_id INTEGER PRIMARY KEY REFERENCES play (id),
        seq INTEGER NOT NULL CHECK (seq > 0),
        head TEXT NOT NULL,
        edition INTEGER NOT NULL,
        roles TEXT NOT NULL CHECK (json_valid(roles)),
        quality REAL,
        saves TEXT,
        passed INTEGER CHECK (passed IN (0, 1)),
        signed_off INTEGER NOT NULL CHECK (signed_off IN (0, 1)),
        word TEXT NOT NULL,
        words TEXT NOT NULL,
        next_step TEXT CHECK (next_step IN ({_words(Action)})),
        waits_for TEXT,
        refresh_due TEXT NOT NULL,
        run_id INTEGER REFERENCES run (id),
        verdicts TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX run_by_play ON run (play_id)",
    "CREATE INDEX run_active ON run (play_id) WHERE status IN ('queued', 'running')",
    "CREATE INDEX audit_by_play ON audit (play_id)",
    f"CREATE INDEX audit_accepted ON audit (seq) WHERE action = '{Action.ACCEPT_RESTORED.value}'",
    "CREATE INDEX evaluation_by_play ON evaluation (play_id)",
    "CREATE INDEX sign_off_by_play ON sign_off (play_id)",
    "CREATE INDEX spot_check_by_play ON spot_check (play_id)",
    "CREATE INDEX statement_by_play ON statement (play_id)",
    "CREATE INDEX watch_by_play ON watch (play_id)",
    "CREATE INDEX observation_by_feed ON observation (feed_id)",
)


def _append_only(table: str, key: str, words: str) -> tuple[str, ...]:
    """Make triggers against update, delete, and an insert over an existing key, which is how REPLACE works."""
    same = " AND ".join(f"{column} = NEW.{column}" for column in key.split())
    abort = f"SELECT RAISE(ABORT, '{words}')"
    return (
        f"CREATE TRIGGER {table}_never_updated BEFORE UPDATE ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_never_deleted BEFORE DELETE ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_never_replaced BEFORE INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN {abort}; END",
    )


def _until_freeze(table: str, key: str, words: str) -> tuple[str, ...]:
    """Make triggers against changing a row, and against deleting it once the data set of its round is frozen."""
    updated, _, replaced = _append_only(table, key, words)
    frozen = "data_set WHERE play_id = OLD.play_id AND round >= OLD.round AND frozen_at IS NOT NULL"
    return (
        updated,
        f"CREATE TRIGGER {table}_fixed_delete BEFORE DELETE ON {table} WHEN EXISTS (SELECT 1 FROM {frozen})"
        f" BEGIN SELECT RAISE(ABORT, '{words}'); END",
        replaced,
    )


def _keeps(table: str, columns: str, same: str, words: str) -> tuple[str, ...]:
    """Make triggers against deleting a row or changing these columns of it; the other columns may change."""
    abort = f"SELECT RAISE(ABORT, '{words}')"
    return (
        f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OF {', '.join(columns.split())} ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_never_deleted BEFORE DELETE ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_never_replaced BEFORE INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN {abort}; END",
    )


def _fixed_once(table: str, mark: str, key: str, words: str) -> tuple[str, ...]:
    """Make triggers against any change of a row once its mark is set, also by another row in its place."""
    abort = f"SELECT RAISE(ABORT, '{words}')"
    taken = f"EXISTS (SELECT 1 FROM {table} WHERE {key} AND {mark} IS NOT NULL)"
    return (
        f"CREATE TRIGGER {table}_fixed_update BEFORE UPDATE ON {table}"
        f" WHEN OLD.{mark} IS NOT NULL OR {taken} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_fixed_delete BEFORE DELETE ON {table} WHEN OLD.{mark} IS NOT NULL BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_fixed_replace BEFORE INSERT ON {table} WHEN {taken} BEGIN {abort}; END",
    )


_TRIGGERS = (
    *_append_only("audit", "seq", "the audit log is append-only"),
    "CREATE TRIGGER audit_in_order BEFORE INSERT ON audit"
    " WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)"
    " OR NEW.previous <> coalesce((SELECT digest FROM audit ORDER BY seq DESC LIMIT 1), '')"
    " OR EXISTS (SELECT 1 FROM audit WHERE digest = NEW.digest)"
    " BEGIN SELECT RAISE(ABORT, 'an audit entry must follow the last one'); END",
    *_append_only("builder", "play_id person_id act", "having built is permanent"),
    *_until_freeze("accepted_finding", "play_id round finding says", "what was accepted stays accepted"),
    *_until_freeze("dropped_row", "play_id input_digest", "what was dropped stays dropped"),
    *_append_only("opened_row", "play_id input_digest person_id", "a row that was opened stays opened"),
    *_append_only("evaluation", "id", "an evaluation is append-only"),
    *_append_only("spot_check", "id", "a spot check is append-only"),
    *_append_only("statement", "id", "a signed statement is append-only"),
    *_append_only("sign_off", "id", "a sign-off is append-only"),
    *_append_only("withdrawal", "sign_off_id", "a withdrawal is append-only"),
    *_append_only("bundle", "id", "a bundle is append-only"),
    *_append_only("feed", "id", "a feed is append-only"),
    *_append_only("observation", "id", "an observation is append-only"),
    *_append_only("watch", "feed_id", "what was watched is append-only"),
    *_append_only("remedy", "id", "a remedy is append-only"),
    "CREATE TRIGGER feed_once BEFORE INSERT ON feed"
    " WHEN EXISTS (SELECT 1 FROM feed WHERE bundle_id = NEW.bundle_id AND source_digest = NEW.source_digest)"
    " BEGIN SELECT RAISE(ABORT, 'a feed is append-only'); END",
    "CREATE TRIGGER observation_once BEFORE INSERT ON observation"
    " WHEN EXISTS (SELECT 1 FROM observation WHERE bundle_id = NEW.bundle_id AND day = NEW.day"
    " AND input_digest = NEW.input_digest AND probe = NEW.probe AND late = NEW.late)"
    " BEGIN SELECT RAISE(ABORT, 'an observation is append-only'); END",
    "CREATE TRIGGER evaluation_run_once BEFORE INSERT ON evaluation"
    " WHEN EXISTS (SELECT 1 FROM evaluation WHERE evaluation_run = NEW.evaluation_run)"
    " BEGIN SELECT RAISE(ABORT, 'an evaluation is append-only'); END",
    "CREATE TRIGGER bundle_once_a_round BEFORE INSERT ON bundle"
    " WHEN EXISTS (SELECT 1 FROM bundle WHERE play_id = NEW.play_id AND round = NEW.round)"
    " BEGIN SELECT RAISE(ABORT, 'a bundle is append-only'); END",
    *_fixed_once("gate", "locked_at", "play_id = NEW.play_id", "a locked gate never changes"),
    *_fixed_once(
        "data_set",
        "frozen_at",
        "(id = NEW.id OR (play_id = NEW.play_id AND round = NEW.round))",
        "a frozen data set never changes",
    ),
    *(
        f"CREATE TRIGGER worksheet_locked_{verb.lower()} BEFORE {verb} ON worksheet_value"
        f" WHEN EXISTS (SELECT 1 FROM gate WHERE play_id IN ({plays}) AND locked_at IS NOT NULL)"
        " BEGIN SELECT RAISE(ABORT, 'the worksheet was locked with the gate'); END"
        for verb, plays in (
            ("INSERT", "NEW.play_id"),
            ("UPDATE", "OLD.play_id, NEW.play_id"),
            ("DELETE", "OLD.play_id"),
        )
    ),
    "CREATE TRIGGER play_kind_fixed BEFORE UPDATE OF id, kind, task, opened_at ON play"
    " BEGIN SELECT RAISE(ABORT, 'a play keeps its kind and task'); END",
    "CREATE TRIGGER play_never_deleted BEFORE DELETE ON play"
    " BEGIN SELECT RAISE(ABORT, 'a play is killed, never deleted'); END",
    "CREATE TRIGGER play_never_replaced BEFORE INSERT ON play"
    " WHEN EXISTS (SELECT 1 FROM play WHERE id = NEW.id OR name = NEW.name)"
    " BEGIN SELECT RAISE(ABORT, 'a play of this name or number exists'); END",
    "CREATE TRIGGER play_name_taken BEFORE UPDATE OF name ON play"
    " WHEN EXISTS (SELECT 1 FROM play WHERE name = NEW.name AND id <> OLD.id)"
    " BEGIN SELECT RAISE(ABORT, 'a play of this name or number exists'); END",
    "CREATE TRIGGER project_currency_fixed BEFORE UPDATE OF currency ON project"
    " WHEN EXISTS (SELECT 1 FROM gate WHERE locked_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'a gate is locked on amounts in this currency'); END",
    *_keeps("project", "id uid keeper created_at", "TRUE", "a project keeps its identity"),
    *_keeps("person", "id enrolled_at", "id = NEW.id", "a person is never deleted"),
    *_append_only("account", "uid", "an account keeps its owner"),
    *_keeps(
        "ssh_key",
        "fingerprint person_id kind blob added_at",
        "fingerprint = NEW.fingerprint OR blob = NEW.blob",
        "a key keeps its owner",
    ),
    "CREATE TRIGGER ssh_key_revoked BEFORE UPDATE OF revoked_at ON ssh_key WHEN OLD.revoked_at IS NOT NULL"
    " BEGIN SELECT RAISE(ABORT, 'a key that was revoked stays revoked'); END",
)
