"""The project file: what no SQL can change, what a refused action leaves, and who notices what."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from sqlalchemy import Enum, inspect
from sqlalchemy.exc import IntegrityError, StatementError

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.written import digest, to_json
from distill_tui.reports import text as report
from distill_tui.rounds import weights
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.results import TrainResult
from distill_tui.runs import refreshed
from distill_tui.runs.executors import local
from distill_tui.store import migrations, queries, tables, whole_check
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.project_file import check
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Action, Metric, Role, RunKind, RunStatus, Stage
from support import data_runs
from support.projects import (
    ENTITIES,
    FIXED,
    NAME,
    columns,
    gets_through,
    make,
    sql,
)
from support.results import trained
from support.stories import Auditor
from support.story import EVERYBODY, PROJECT, TRAFFIC, a_play, actor, evaluation
from support.story import run as a_run


@pytest.fixture(scope="module")
def shipped_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "start", lambda project, run: None)
        yield make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def path(shipped_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(shipped_once, tmp_path / "made")
    return tmp_path / "made" / NAME


@pytest.fixture
def project(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(local, "start", lambda project, run: None)
    opened = Project.open(path)
    yield opened
    opened.close()


# --- the schema -------------------------------------------------------------------------------------------------

AFFINITY = {int: "INTEGER", str: "TEXT", float: "REAL", bytes: "BLOB"}


def test_every_table_has_a_class_and_every_class_a_table() -> None:
    made = {name for name, text in migrations.expected_schema().items() if text.startswith("CREATE TABLE")}
    assert ENTITIES.keys() == made - {"play_card"}
    for entity in ENTITIES.values():
        assert issubclass(getattr(tables, entity.__name__), entity)


@pytest.mark.parametrize("table", ENTITIES)
def test_each_column_is_the_same_in_the_class_and_in_the_file(table: str, path: Path) -> None:
    connection = sqlite3.connect(path)
    info = {row[1]: row for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    entity = ENTITIES[table]
    hints, mapped = get_type_hints(entity), inspect(getattr(tables, entity.__name__)).columns
    assert list(info) == [field.name for field in fields(entity)] == [column.name for column in mapped]
    for field, (_, name, kind, not_null, default, key) in zip(fields(entity), info.values(), strict=True):
        options = list(get_args(hints[name]) or (hints[name],))
        plain = next(each for each in options if each is not type(None))
        assert kind == AFFINITY[str if issubclass(plain, StrEnum) else plain], name
        assert bool(key) == mapped[name].primary_key, name
        assert bool(not_null or key) == (type(None) not in options), name
        if default is not None:
            assert str(field.default) == default.strip("'"), name


@pytest.mark.parametrize("table", ENTITIES)
def test_words_are_stored_by_value_and_the_file_knows_them_all(table: str, path: Path) -> None:
    text = migrations.expected_schema()[table]
    for column in inspect(getattr(tables, ENTITIES[table].__name__)).columns:
        if isinstance(column.type, Enum):
            (listed,) = re.findall(rf"CHECK \({column.name} IN \(([^)]*)\)\)", text)
            assert column.type.enums == [word.strip(" '") for word in listed.split(",")]
            with pytest.raises(sqlite3.IntegrityError, match=r"CHECK|never|append-only|keeps|follow"):
                sql(path, f"UPDATE {table} SET {column.name} = 'nonsense'", "SELECT 1/0")


def test_a_word_that_no_release_knows_is_refused_when_written(project: Project) -> None:
    with pytest.raises((StatementError, IntegrityError, LookupError)), project.telemetry() as session:
        play = session.get(tables.Play, 1)
        assert play is not None
        play.stage = "nonsense"  # type: ignore[assignment]
        session.add(play)


def test_every_table_is_strict() -> None:
    made = [text for text in migrations.expected_schema().values() if text.startswith("CREATE TABLE")]
    assert all(text.rstrip().endswith("STRICT") for text in made)


# --- what no SQL changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [False, True], ids=["a plain connection", "a guarded connection"])
@pytest.mark.parametrize("table", sorted(FIXED))
def test_what_is_fixed_is_changed_by_no_sql(table: str, guarded: bool, path: Path) -> None:
    assert gets_through(path, table, guarded=guarded) == []


def test_the_attempts_would_get_through_without_the_guards(path: Path) -> None:
    connection = sqlite3.connect(path)
    triggers = [n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]
    connection.close()
    sql(path, *(f"DROP TRIGGER {trigger}" for trigger in triggers))
    assert all(len(gets_through(path, table)) >= 3 for table in FIXED)


def test_a_draft_changes_freely(path: Path) -> None:
    sql(path, "UPDATE gate SET content = '{}' WHERE play_id = 3", "DELETE FROM worksheet_value WHERE play_id = 3")
    sql(path, "UPDATE data_set SET counts = '{}' WHERE play_id = 2", "DELETE FROM data_set WHERE play_id = 2")


# --- the door ---------------------------------------------------------------------------------------------------


def test_a_refused_action_changes_nothing(project: Project) -> None:
    auditor = Auditor(project.path)
    before = auditor.rows()
    for who in EVERYBODY:
        for action in Action:
            try:
                with project.change(action, 1, actor(who)) as change:
                    change.session.add(tables.Person(id="new", name="new", enrolled_at="2026-01-01T"))
                    raise Refused([])
            except Refused:
                pass
    assert auditor.rows() == before


def test_a_change_that_breaks_off_changes_nothing(project: Project) -> None:
    auditor = Auditor(project.path)
    before = auditor.rows()
    with pytest.raises(ZeroDivisionError), project.change(Action.COMMENT, 1, actor("bob")) as change:
        change.session.add(tables.Person(id="new", name="new", enrolled_at="2026-01-01T"))
        change.session.flush()
        raise ZeroDivisionError
    assert auditor.rows() == before


def test_every_change_is_one_entry_that_says_who_and_what(project: Project) -> None:
    size = project.dossier(1).project.audit_size
    actions.comment(project, 1, actor("bob"), "Fine.")
    (entry,) = queries.entries(project)[size:]
    assert (entry.person_id, entry.action, entry.play_id) == ("bob", Action.COMMENT, 1)
    assert (entry.proof, entry.detail) == (actor("bob").proof, '{"text":"Fine."}')


def test_who_builds_is_remembered_though_the_role_moves_on(project: Project) -> None:
    actions.assign_role(project, 2, actor("sam"), Role.DRIVER, "bob")
    data_runs.build_data(project, 2, actor("bob"))
    builders = project.dossier(2).builders
    assert "drive" in builders["dan"] and {"drive", "build_data"} <= set(builders["bob"])
    with pytest.raises(Refused, match="bob is a builder of this play"):
        actions.assign_role(project, 2, actor("sam"), Role.VALIDATOR, "bob")


# --- the log ----------------------------------------------------------------------------------------------------


def drop_guards(path: Path, table: str) -> None:
    connection = sqlite3.connect(path)
    names = [
        n
        for (n,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (table,)
        )
    ]
    texts = [
        connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0] for name in names
    ]
    connection.close()
    sql(path, *(f"DROP TRIGGER {name}" for name in names))
    _GUARDS[path] = texts


_GUARDS: dict[Path, list[str]] = {}


def trouble(path: Path) -> str:
    project = Project.open(path)
    try:
        with project.view() as connection:
            return whole_check.trouble(connection)
    finally:
        project.close()


def test_a_log_that_nobody_touched_is_whole(path: Path) -> None:
    assert trouble(path) == ""


@pytest.mark.parametrize("entry", [1, 7, 20])
@pytest.mark.parametrize(
    "change",
    [
        "person_id = 'bob'", "at = '2020-01-01T00:00:00Z'", "proof = 'none'", "action = 'comment'", "play_id = 3",
        "detail = '{\"x\":1}'", "previous = 'sha256:x'", f"digest = 'sha256:{'0' * 64}'",
    ],
)  # fmt: skip
def test_the_chain_names_the_entry_that_was_altered(path: Path, entry: int, change: str) -> None:
    drop_guards(path, "audit")
    sql(path, f"UPDATE audit SET {change} WHERE seq = {entry}", *_GUARDS[path])
    assert re.match(rf"The audit log breaks at entry {entry} \(\w+\): it was altered\.", trouble(path))


def test_the_chain_names_the_entry_that_is_missing(path: Path) -> None:
    drop_guards(path, "audit")
    sql(path, "DELETE FROM audit WHERE seq = 9", *_GUARDS[path])
    assert trouble(path) == "The audit log breaks at entry 9: it is missing."


@pytest.mark.parametrize(
    "name", sorted(n for n, t in migrations.expected_schema().items() if t.startswith("CREATE TRIGGER"))
)
def test_a_dropped_guard_is_noticed(path: Path, name: str) -> None:
    sql(path, f"DROP TRIGGER {name}")
    assert (
        trouble(path)
        == f"The guard “{name}” of the project file was removed or changed; `distill-tui audit repair` puts it back."
    )


def test_an_added_trigger_is_noticed(path: Path) -> None:
    sql(path, "CREATE TRIGGER sly AFTER INSERT ON audit BEGIN DELETE FROM role_holder; END")
    assert "“sly”" in trouble(path)


@pytest.mark.parametrize(("table", "column"), [("gate", "content"), ("gate", "digest"), ("data_set", "digest")])
def test_what_is_fixed_is_what_the_log_tells_of(path: Path, table: str, column: str) -> None:
    drop_guards(path, table)
    value = (
        "replace(content, '0.5', '0.4')" if column == "content" else f"'sha256:{'1' * 64}'"
    )  # the goalposts, or the name of them
    sql(path, f"UPDATE {table} SET {column} = {value} WHERE play_id = 1", *_GUARDS[path])
    name = table.replace("_", " ")
    assert re.match(rf"The row {name} 1 differs from entry \d+ of the audit log \({column}\)\.", trouble(path))


def test_a_gate_that_was_forged_with_its_digest_is_found(path: Path) -> None:
    easier = Gate((Criterion(Metric.ACCURACY, threshold=Decimal("0.1"), binding=True),))
    drop_guards(path, "gate")
    forged = f"content = '{to_json(easier)}', digest = '{digest(easier)}'"
    sql(path, f"UPDATE gate SET {forged} WHERE play_id = 1", *_GUARDS[path])
    assert "The row gate 1 differs from entry" in trouble(path)


def test_with_a_broken_log_nobody_signs(project: Project) -> None:
    sql(project.path, "DROP TRIGGER gate_fixed_update")
    reasons = objections(Action.SIGN_OFF, project.dossier(1, thorough=True), actor("vera"))
    assert reasons[0].rule == "stage.closed"  # it is live; what would stop a signature is found all the same
    assert "gate_fixed_update" in project.dossier(1, thorough=True).project.audit_trouble


# --- a file that cannot be used -----------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(ProjectError) as error:
        Project.open(path).close()
    said = str(error.value)
    assert "\n" not in said and said.endswith(".") and path.name in said
    return said


def other_database(path: Path) -> None:
    path.unlink()
    sql(path, "CREATE TABLE note (text TEXT)")


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(9000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def holes(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def symlink(path: Path) -> None:
    path.rename(path.with_name("real.distill"))
    path.symlink_to("real.distill")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def missing(path: Path) -> None:
    path.unlink()


def newer(path: Path) -> None:
    sql(path, f"PRAGMA user_version = {migrations.VERSION + 1}")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (missing, "There is no project file"),
        (folder, "is not a file"),
        (fifo, "is not a file"),
        (symlink, "is a symbolic link"),
        (dangling, "is a symbolic link"),
        (empty, "is empty"),
        (garbage, "is not a readable project file"),
        (other_database, "is a database of another program"),
        (newer, "is of a newer release"),
        (truncated, "restore it from a backup"),
        (holes, "restore it from a backup"),
    ],
)
def test_a_file_that_cannot_be_used_gives_one_line(path: Path, damage: Callable[[Path], None], says: str) -> None:
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    damage(path)
    assert says in refused(path)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_read_only_for_you_gives_one_line(path: Path, what: str) -> None:
    path.chmod(0o666 if what == "folder" else 0o444)
    path.parent.chmod(0o555 if what == "folder" else 0o777)
    said = as_nobody(lambda: check(Path(path.name)), path.parent)
    path.parent.chmod(0o755)
    assert said == f"{path.name} or its folder is read-only for you; ask its keeper for write access."


def as_nobody(ask: Callable[[], None], folder: Path) -> str:
    """Ask as a user without rights, in a child that is in the folder already; gives the one line that is said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.chdir(folder)
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            ask()
        except ProjectError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_nothing_is_made_over_what_is_there(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    link = tmp_path / "link.distill"
    link.symlink_to(tmp_path / "target.distill")
    for there in (path, path.parent, link):
        with pytest.raises(ProjectError, match="exists already"):
            Project.create(there, "x", "eve", "Eve", Actor(None, "account of eve"))
    assert path.read_bytes() == before and not (tmp_path / "target.distill").exists()


def test_a_project_that_was_refused_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="A person's ID"):
        Project.create(tmp_path / "new.distill", "x", "Eve!", "Eve", Actor(None, "account of eve"))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_checked_without_being_changed(path: Path) -> None:
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    check(path)
    assert path.read_bytes() == before


# --- many at once -------------------------------------------------------------------------------------------------

COMMENTER = """
import sys
from pathlib import Path
from distill_tui import actions
from distill_tui.store.project import Project
from distill_tui.rules.actor import Actor
project = Project.open(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    with project.telemetry() as session:
        from distill_tui.store import tables
        run = session.get(tables.Run, 1)
        run.step += 1
        session.add(run)
    actions.comment(project, 1, Actor(sys.argv[2], sys.argv[4]), f"number {number}")
"""


def test_two_processes_at_once_lose_no_update(path: Path) -> None:
    rows = Auditor(path).rows()
    size, before = len(rows["audit"]), next(row for row in rows["run"] if row[0] == 1)[columns("run").index("step")]
    both = [
        subprocess.Popen([sys.executable, "-c", COMMENTER, str(path), who, "25", actor(who).proof])
        for who in ("bob", "dan")
    ]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    rows = Auditor(path).rows()
    assert len(rows["audit"]) == size + 50
    step = columns("run").index("step")
    assert next(row for row in rows["run"] if row[0] == 1)[step] == before + 50
    assert trouble(path) == ""


CREATOR = """
import os, sys
from pathlib import Path
from distill_tui.store.project import Project, ProjectError
from distill_tui.rules.actor import Actor
print("ready", flush=True)
sys.stdin.readline()
try:
    Project.create(Path(sys.argv[1]), "x", sys.argv[2], sys.argv[2], Actor(None, f"account uid {os.getuid()}"))
except ProjectError as error:
    assert "exists already" in str(error), error
    sys.exit(3)
"""


def test_of_several_who_make_one_file_at_once_one_wins(tmp_path: Path) -> None:
    path, pipe = tmp_path / "new.distill", subprocess.PIPE
    racers = [
        subprocess.Popen([sys.executable, "-c", CREATOR, str(path), f"p{n}"], stdin=pipe, stdout=pipe, text=True)
        for n in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.communicate("go\n", timeout=60)
    assert sorted(racer.returncode for racer in racers) == [0, 3, 3]
    assert trouble(path) == ""
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new.distill", "new.distill.lock", "new.distill.turn"]


def test_what_another_process_changes_is_seen(project: Project) -> None:
    before = project.version()
    assert project.version() == before
    subprocess.run([sys.executable, "-c", COMMENTER, str(project.path), "bob", "1", actor("bob").proof], check=True)
    assert project.version() != before


# --- what another program wrote --------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["[]", "7", "{", "null"])
def test_a_column_that_is_no_object_is_told_in_one_line(written: str) -> None:
    run = a_run(4, RunKind.TRAIN, RunStatus.FINISHED, result=written)
    for ask in (lambda each: result_of(TrainResult, each), lambda each: list(report.runs([each]))):
        with pytest.raises(ProjectError, match=r"^The result of run 4 is not what .* \(.*\); restore a backup\.$"):
            ask(run)
    with pytest.raises(ProjectError, match="The result of run 4 is not a JSON object in the project file"):
        report.run_json(run)
    with pytest.raises(ProjectError, match="The report of traffic file 2 is not what this release writes"):
        refreshed.is_observed(replace(TRAFFIC, id=2, report=written))


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ("3", "(failures is 3)"),
        ('{"en / spam":[1]}', "(failures.en / spam is [1])"),
    ],
)
def test_failures_that_are_no_counts_are_told_in_one_line(failures: str, told: str) -> None:
    result = trained().replace('"failures":{}', f'"failures":{failures}')
    dossier = PlayDossier(
        project=PROJECT,
        play=a_play(Stage.TRAIN, round=2),
        runs=(a_run(4, RunKind.TRAIN, RunStatus.FINISHED, result=result),),
        evaluations=(evaluation(run_id=4),),
    )
    with pytest.raises(ProjectError, match=re.escape(told)):
        weights.failures_of(dossier)
