"""The command line: what it refuses, what it says, how it exits, and who it takes one for. Refusal first."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from distill_tui.cli import plays
from distill_tui.cli.app import COMMANDS, main
from distill_tui.cli.options import Command
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, RunKind, RunStatus, Stage
from distill_tui.text import visible
from support.by_hand import by_hand, proved
from support.command_line import parse
from support.results import trained

PEOPLE = ("sam", "dan", "vera", "stranger")
HOSTILE = "ev\x1b[31mil\x9b2J\x07\u202e\u2066\nP-999\x7f"
CONTROLS = {chr(c) for c in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))} - {"\n"}
WORKSHEET = (
    "calls_per_month=900000",
    "teacher_cost_per_1k=2.40",
    "threshold_per_month=1000",
    "window_days=60",
    "machine_price_per_hour=0.08",
    "serving_cost_per_month=60",
    "build_cost=4000",
    "sample_share=0.01",
)
GATE = """
held_out_rows = 20
rounds = 1
[[criteria]]
metric = "accuracy"
reference = "teacher"
margin = 0.05
binding = true
[[criteria]]
metric = "payback_months"
threshold = 6
"""


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for person in PEOPLE:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / person)]
        subprocess.run(command, check=True)
    return folder


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()

    @property
    def json(self) -> object:
        return json.loads(self.out)


@dataclass
class Team:
    """A project file in a folder, and commands about it, as a person."""

    path: Path
    keys: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str, by: str | None = None) -> Said:
        self.capsys.readouterr()
        prove = ["--key", str(self.keys / by)] if by else []
        code = main(["--project", str(self.path), *prove, *words])
        out, err = self.capsys.readouterr()
        return Said(code, out, err)

    def does(self, *words: str, by: str | None = None) -> str:
        said = self(*words, by=by)
        assert said.code == 0, said.err
        return said.out

    @property
    def entries(self) -> int:
        connection = sqlite3.connect(self.path)
        try:
            (count,) = connection.execute("SELECT count(*) FROM audit").fetchone()
            return int(count)
        finally:
            connection.close()


def process(*words: str, cwd: Path | None = None, text: str | None = None, **env: str) -> Said:
    """Run the real command in a process of its own, without a terminal and without an agent."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILL_", "SSH_"))}
    command = [sys.executable, "-m", "distill_tui", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=clean | env, cwd=cwd, input=text or "")
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> dict[str, Path]:
    """Make one project, and keep a copy of its folder at each stage; a test gets a copy of a copy."""
    work, kept = tmp_path_factory.mktemp("work"), {}
    path = work / "team.distill"

    def does(*words: str, by: str | None = None) -> None:
        assert main(["--project", str(path), *(["--key", str(keys / by)] if by else []), *words]) == 0

    def keep(name: str) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        kept[name] = tmp_path_factory.mktemp(name) / "copy"
        shutil.copytree(work, kept[name])

    does("init", str(path), "--name", "Team", "--me", "mia", "--my-name", "Mia")
    for person in ("sam", "dan", "vera"):
        does("person", "add", person, "--key-file", str(keys / f"{person}.pub"))
    keep("team")
    does("new", "faq", "--kind", "cost", "--summary", "Answers")
    for role, person in {"sponsor": "sam", "driver": "dan", "validator": "vera", "operator": "mia"}.items():
        does("role", "P-001", role, person)
    keep("play")
    (work / "gate.toml").write_text(GATE)
    does("worksheet", "P-001", *WORKSHEET, "--source", "invoice", by="dan")
    does("qualify", "P-001", by="dan")
    does("gate", "edit", "P-001", str(work / "gate.toml"), by="dan")
    does("gate", "lock", "P-001", "--confirm", "P-001", "--cannot-pass", by="sam")
    keep("locked")
    (work / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traffic()) + "no json\n")
    does("import", "P-001", str(work / "calls.jsonl"), by="dan")
    does("teacher", "P-001", "--recorded", by="dan")
    does("data", "build", "P-001", by="dan")
    does("data", "freeze", "P-001", by="dan")
    keep("frozen")
    evaluated(path)
    does("maintain", "P-001", "--sample", "400", "--refresh-days", "90", by="dan")
    keep("decided")
    return kept


def evaluated(path: Path) -> None:
    """Put a trained student and its evaluation into the file, as workers would have."""
    project, count = Project.open(path), 400
    data = project.dossier(1).data_set
    assert data is not None
    with project.artifacts.scratch() as scratch:
        (scratch / "model").mkdir()
        (scratch / "model" / "config.json").write_text("{}")
        model = project.artifacts.store(scratch / "model")
    right = tuple(row % 2 for row in range(count))
    record = Record(
        labels=("money", "post"),
        rows=tuple(range(count)),
        gold=right,
        teacher=right,
        student=right,
        baseline=(0,) * count,
        majority=0,
        segment=tuple(row % 2 for row in range(count)),
        segments=("de", HOSTILE),
        group=tuple(range(count)),
        latency_us={"student": ((1000,) * 200,) * 5},
        bytes={"student": 1_000_000},
        data_set=data.digest,
        model=model,
        payback_inputs=dict(each.split("=") for each in WORKSHEET),  # type: ignore[misc]
    )
    kept = project.artifacts.store_bytes(record.to_json().encode())
    columns = {"play_id": 1, "round": 1, "status": RunStatus.QUEUED, "started_by": "dan", "created_at": now()}
    with by_hand(project, Action.START_RUN, 1, proved(project, "dan")) as session:
        session.add(tables.Run(id=4, kind=RunKind.TRAIN, spec=Spec().to_json(), **columns))
    with by_hand(project, Action.FINISH_RUN, 1, Actor("dan", "worker of run 4")) as session:
        run = session.get_one(tables.Run, 4)
        run.status, run.artifact, run.result, run.ended_at = RunStatus.FINISHED, model, trained(), now()
    with by_hand(project, Action.EVALUATE, 1, proved(project, "dan")) as session:
        session.add(tables.Run(id=5, kind=RunKind.EVALUATE, spec="{}", **columns))
    evaluation = {"play_id": 1, "round": 1, "run_id": 4, "evaluation_run": 5, "passed": 1, "reproduced": 0}
    gate_digest = project.dossier(1).gate_row.digest  # type: ignore[union-attr]
    digests = {"gate_digest": gate_digest, "data_digest": data.digest, "model": model, "record": kept}
    with by_hand(project, Action.RECORD_EVALUATION, 1, Actor("dan", "worker of run 5")) as session:
        session.add(tables.Evaluation(**evaluation, **digests, recorded_at=now()))
        run = session.get_one(tables.Run, 5)
        run.status, run.ended_at = RunStatus.FINISHED, now()
        play = session.get(tables.Play, 1)
        assert play is not None
        play.stage = Stage.DECIDE
        session.add(play)
    project.close()


def traffic() -> list[dict[str, str]]:
    return [
        {"prompt": f"{word} {number} {word * 3} question {number * 7919}", "teacher": label, "label": label}
        for number in range(120)
        for word, label in (("refund", "money"), ("parcel", "post"))
    ]


@pytest.fixture
def at_stage(
    tmp_path: Path,
    keys: Path,
    stages: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Team]:
    monkeypatch.delenv("DISTILL_PROJECT", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def copy(name: str) -> Team:
        shutil.copytree(stages[name], tmp_path, dirs_exist_ok=True)
        return Team(tmp_path / "team.distill", keys, capsys)

    return copy


@pytest.fixture
def team(at_stage: Callable[[str], Team]) -> Team:
    return at_stage("team")


@pytest.fixture
def play(at_stage: Callable[[str], Team]) -> Team:
    """P-001 with its four roles."""
    return at_stage("play")


@pytest.fixture
def locked(at_stage: Callable[[str], Team]) -> Team:
    return at_stage("locked")


@pytest.fixture
def decided(at_stage: Callable[[str], Team]) -> Team:
    """A student that holds its gate, maintained, and not yet signed off."""
    return at_stage("decided")


@pytest.fixture
def frozen(at_stage: Callable[[str], Team]) -> Team:
    return at_stage("frozen")


# --- refused by a rule -----------------------------------------------------------------------------------------------


def test_a_refusal_says_each_reason_on_its_own_line_and_changes_nothing(play: Team) -> None:
    before = play.entries
    said = play("qualify", "P-001")
    assert (said.code, said.out, play.entries) == (3, "", before)
    assert said.lines[0] == "Only the driver (dan) or the sponsor (sam) may do this; you are mia."
    assert len(said.lines) > 3  # and one for each number that is missing


def test_a_refusal_in_json_names_its_rules(play: Team) -> None:
    said = play("ship", "P-001", "--json", by="dan")
    assert said.code == 3
    sentence = "“ship” works in decide; P-001 is in qualify."
    assert said.json == [{"rule": "stage.closed", "sentence": sentence}]
    assert said.lines == [sentence]


def test_a_locked_gate_is_not_edited(locked: Team, tmp_path: Path) -> None:
    said = locked("gate", "edit", "P-001", str(tmp_path / "gate.toml"), by="dan")
    assert said.code == 3 and "locked for good" in said.err


def test_only_the_sponsor_locks(play: Team) -> None:
    play.does("worksheet", "P-001", *WORKSHEET, by="dan")
    play.does("qualify", "P-001", by="dan")
    said = play("gate", "lock", "P-001", "--confirm", "P-001", by="dan")
    assert said.code == 3 and said.lines == ["Only the sponsor (sam) may do this; you are dan."]


def test_a_number_that_is_none_is_refused(play: Team) -> None:
    said = play("worksheet", "P-001", "calls_per_month=many", "--json", by="dan")
    assert said.code == 3 and said.json[0]["rule"] == "worksheet.number"  # type: ignore[index]


@pytest.mark.parametrize(
    "words",
    [
        ["role", "P-001", "sponsor", "nobody"],
        ["data", "build", "P-001"],
        ["data", "freeze", "P-001"],
        ["label", "P-001"],
        ["train", "P-001"],
        ["train", "stop", "P-001"],
        ["train", "resume", "P-001"],
        ["eval", "P-001"],
        ["reproduce", "P-001"],
        ["sign", "P-001", "--approve", "-m", "fine"],
        ["sign", "P-001", "--refuse", "-m", "bad"],
        ["reject", "P-001", "-m", "bad"],
        ["withdraw", "P-001", "-m", "oh"],
        ["maintain", "P-001", "--sample", "0", "--refresh-days", "0"],
        ["ship", "P-001"],
        ["iterate", "P-001"],
        ["kill", "P-001", "-m", " "],
        ["comment", "P-001", " "],
        ["new", "faq", "--kind", "cost"],
        ["person", "add", "Vera!"],
        ["account", "add", "nobody", "77"],
        ["key", "revoke", "SHA256:none"],
    ],
)
def test_every_command_is_refused_with_three_where_the_rules_object(play: Team, words: list[str]) -> None:
    before = play.entries
    said = play(*words)
    assert (said.code, said.out, play.entries) == (3, "", before), said.err
    assert said.lines and all(line.endswith((".", "?")) for line in said.lines)


def test_sign_without_an_opinion_only_shows(play: Team) -> None:
    before = play.entries
    shown = json.loads(play.does("sign", "P-001", "--json", by="vera"))
    assert play.entries == before
    assert shown["covers"]["verdict"] == "missed" and shown["seen"].startswith("sha256:")
    assert shown["objections"][0]["rule"] == "stage.closed"


def test_nothing_is_signed_but_what_was_shown(play: Team) -> None:
    said = play("sign", "P-001", "--approve", "-m", "ok", "--seen", "sha256:0", "--json", by="vera")
    assert said.code == 3 and said.json[0]["rule"] == "sign_off.moved"  # type: ignore[index]


# --- who one is ------------------------------------------------------------------------------------------------------


def test_user_and_logname_prove_nothing(play: Team) -> None:
    said = process("--project", str(play.path), "whoami", "--json", USER="sam", LOGNAME="sam", SUDO_USER="sam")
    assert said.json["person"] == "mia"  # type: ignore[index]
    before = play.entries
    refused = process("--project", str(play.path), "qualify", "P-001", USER="dan", LOGNAME="dan")
    assert refused.code == 3 and "you are mia" in refused.err and play.entries == before


def test_a_key_in_the_environment_is_not_read(play: Team) -> None:
    said = process("--project", str(play.path), "whoami", "--json", DISTILL_KEY=str(play.keys / "sam"))
    assert said.json["person"] == "mia"  # type: ignore[index]


def test_a_public_key_alone_proves_nobody(play: Team, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (alone / "sam.pub").write_bytes((play.keys / "sam.pub").read_bytes())
    before = play.entries
    said = process("--project", str(play.path), "--key", str(alone / "sam.pub"), "comment", "P-001", "me, sam")
    assert said.code == 4 and len(said.lines) == 1 and "sam.pub did not sign" in said.err
    assert play.entries == before


def test_a_strangers_key_may_look_and_not_act(play: Team) -> None:
    assert play("show", "P-001", by="stranger").code == 0
    said = play("comment", "P-001", "hello", "--json", by="stranger")
    assert said.code == 3 and said.json[0]["rule"] == "identity.unknown"  # type: ignore[index]


def test_an_account_that_is_not_enrolled_may_look_and_not_act(play: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 424242)
    assert json.loads(play.does("whoami", "--json"))["person"] is None
    said = play("comment", "P-001", "hello")
    assert said.code == 3 and "uid 424242 is not enrolled in this project: read-only" in said.err


def test_a_revoked_key_proves_nobody(play: Team) -> None:
    people = json.loads(play.does("person", "list", "--json"))
    fingerprint = next(p["keys"][0]["fingerprint"] for p in people if p["person"] == "dan")
    play.does("key", "revoke", fingerprint)
    assert json.loads(play.does("whoami", "--json", by="dan"))["person"] is None
    assert "(revoked)" in play.does("person", "list")


def test_a_file_that_is_no_key_is_bad_input(play: Team, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    for key in ("note", "missing"):
        said = play("--key", str(tmp_path / key), "comment", "P-001", "hi")
        assert (said.code, len(said.lines)) == (4, 1)
    said = play("key", "add", "vera", str(tmp_path / "note"))
    assert said.code == 4 and "not an OpenSSH public key" in said.err


def test_a_key_and_the_uid_are_two_persons_and_the_key_wins(play: Team) -> None:
    assert json.loads(play.does("whoami", "--json"))["assurance"] == "account"
    sam = json.loads(play.does("whoami", "--json", by="sam"))
    assert (sam["person"], sam["assurance"]) == ("sam", "signed")
    assert sam["plays"] == [{"play": "P-001", "name": "faq", "roles": ["sponsor"]}]


# --- files that cannot be used ---------------------------------------------------------------------------------------


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()


def _newer(path: Path) -> None:
    assert main(["init", str(path), "--name", "Team", "--me", "mia"]) == 0
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=999")
    connection.close()


def _cut(path: Path) -> None:
    _newer(path)
    path.write_bytes(path.read_bytes()[:300])


FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "no database": lambda path: path.write_text("hello " * 500),
    "empty": lambda path: path.write_bytes(b""),
    "of another program": _foreign,
    "of a newer release": _newer,
    "cut short": _cut,
}


@pytest.mark.parametrize("words", [["list"], ["show", "P-001"], ["comment", "P-001", "hi"], ["open"]])
@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_used_is_one_line(
    what: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.distill"
    FILES[what](path)
    capsys.readouterr()
    code = main(["--project", str(path), *words])
    out, err = capsys.readouterr()
    assert (code, out) == (4, "") and "odd.distill" in err and len(err.splitlines()) == 1


def test_a_file_that_was_damaged_inside_is_one_line_and_the_doctor_says_more(play: Team) -> None:
    content = bytearray(play.path.read_bytes())
    connection = sqlite3.connect(play.path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'play'").fetchone()
    connection.close()
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    play.path.write_bytes(content)
    for words in (["list"], ["show", "P-001"], ["comment", "P-001", "hi"]):
        said = play(*words)
        assert said.code == 4 and "team.distill" in said.err and len(said.lines) == 1, said.err
    said = play("doctor", "--json")
    assert said.code == 1
    assert "integrity" in {f["check"] for f in said.json if not f["ok"]}  # type: ignore[attr-defined]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_is_one_line(play: Team) -> None:
    play.path.chmod(0o400)
    said = play("comment", "P-001", "hi")
    assert said.code == 4 and "read-only" in said.err and len(said.lines) == 1


def test_init_overwrites_nothing(team: Team) -> None:
    before = team.path.read_bytes()
    said = team("init", str(team.path), "--name", "Other", "--me", "eve")
    assert said.code == 4 and "exists already" in said.err and team.path.read_bytes() == before


# --- usage and bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["gate", "lock", "P-001"],
        ["gate", "lock", "P-001", "--confirm", "P-002"],
        ["gate", "lock", "P-001", "--conf", "P-001"],
        ["gate"],
        ["train"],
        ["sing", "P-001"],
        ["ship", "P-001", "--force"],
        ["new", "x", "--kind", "luck"],
        ["sign", "P-001", "--approve", "--refuse", "-m", "x"],
        ["sign", "P-001", "--approve"],
        ["teacher", "P-001"],
        ["teacher", "P-001", "folder", "--recorded"],
        ["teacher", "P-001", "--prompted", "folder", "another"],
        ["teacher", "P-001", "--prompted", "--bogus", "--", "folder"],
        ["worksheet", "P-001", "calls_per_month"],
        ["worksheet", "P-001", "window_days=1", "window_days=2"],
        ["why", "P-001", "fly"],
        ["log", "--last", "0"],
        ["bad\x1b[2J"],
    ],
)
def test_a_wrong_command_line_is_two_and_one_line(play: Team, words: list[str]) -> None:
    said = play(*words, by="dan")
    assert (said.code, said.out, len(said.lines)) == (2, "", 1), said.err
    assert not CONTROLS & set(said.err)


@pytest.mark.parametrize(
    ("words", "belongs"),
    [
        (["worksheet", "--days", "30"], "--from-traffic"),
        (["worksheet", "--source", "ledger"], "NAME=VALUE"),
        (["label", "--again"], "--export"),
        (["label", "--budget", "5"], "endpoint"),
        (["label", "--shards", "3"], "--on slurm"),
        (["label", "--on", "files", "--slurm", "minutes=5"], "--on slurm"),
        (["train", "--to", "here"], "--on slurm"),
        (["train", "--from", "plan.toml", "--on", "files", "--to", "here"], "plan"),
        (["sign", "--ssh-config", "config"], "--via"),
        (["bundle", "export", "out", "--least", "0.5"], "--gguf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_that_would_have_no_effect_is_refused(locked: Team, words: list[str], belongs: str) -> None:
    locked("teacher", "P-001", "--recorded", by="dan")
    at = 2 if words[0] == "bundle" else 1
    said = locked(*words[:at], "P-001", *words[at:], by="dan")
    assert (said.code, said.out, len(said.lines)) == (2, "", 1), said.err
    assert belongs in said.err


def test_a_word_that_may_be_left_out_stands_before_an_option_or_after_it() -> None:
    for words in (("P-001", "models/one", "--prompted"), ("P-001", "--prompted", "models/one")):
        read = parse(("teacher", *words))
        assert (read.call.play, read.values["folder"], read.values["prompted"]) == ("P-001", "models/one", True)
    assert parse(("teacher", "P-001", "--prompted", "--", "-models")).values["folder"] == "-models"
    read = parse(("worksheet", "P-001", "--source", "x", "window_days=1"))
    assert read.values["values"] == (("window_days", "1"),)


def test_without_a_project_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    team.capsys.readouterr()
    assert main(["list"]) == 2 and "There is no project file here" in team.capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0  # the only one here
    (tmp_path / "two.distill").write_bytes(b"")
    team.capsys.readouterr()
    assert main(["list"]) == 2 and "team.distill, two.distill" in team.capsys.readouterr().err
    monkeypatch.setenv("DISTILL_PROJECT", str(team.path))
    assert main(["list"]) == 0
    assert main(["--project", str(tmp_path / "two.distill"), "list"]) == 4  # the option goes before the environment


def test_a_play_that_is_not_there_names_those_that_are(play: Team) -> None:
    said = play("show", "P-077")
    assert said.code == 4 and "P-001 faq" in said.err


@pytest.mark.parametrize("content", ["metric = ", "rounds = 'x'", "lock = true", "confidence = nan"])
def test_a_gate_that_cannot_be_read_is_bad_input(play: Team, tmp_path: Path, content: str) -> None:
    (tmp_path / "g.toml").write_text(content)
    said = play("gate", "edit", "P-001", str(tmp_path / "g.toml"), by="dan")
    assert (said.code, len(said.lines)) == (4, 1)


def test_bad_input_is_four_and_one_line(frozen: Team, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"statement = '\xff'")
    (tmp_path / "spec.toml").write_text("epochs = 'many'")
    for words in (
        ["gate", "edit", "P-001", str(tmp_path / "latin.toml")],
        ["gate", "edit", "P-001", str(tmp_path / "none.toml")],
        ["train", "P-001", "speed=9"],
        ["train", "P-001", "--alpha", "7"],
        ["train", "P-001", "--spec", str(tmp_path / "spec.toml")],
        ["verify", str(tmp_path / "none")],
    ):
        said = frozen(*words, by="dan")
        assert (said.code, said.out, len(said.lines)) == (4, "", 1), (words, said.err)


def test_an_import_that_cannot_be_read_is_bad_input(locked: Team, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    before = locked.entries
    # a column that is not there is found by the worker: its run is queued and fails
    for words, more in ((["none.csv"], 0), (["odd.csv"], 0), (["odd.csv", "--input", "c"], 2)):
        said = locked("import", "P-001", str(tmp_path / words[0]), *words[1:], by="dan")
        assert (said.code, len(said.lines), locked.entries) == (4, 1, before + more), said.err
    locked.does("import", "P-001", str(tmp_path / "odd.csv"), "--input", "a", "--gold", "b", by="dan")


def test_a_bug_keeps_its_traceback(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**values: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(plays.log, "callback", broken)
    with pytest.raises(ValueError, match="a bug"):
        team("log")


def test_an_interrupt_is_130(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plays.log, "callback", interrupted)
    assert team("log").code == 130


# --- text from data --------------------------------------------------------------------------------------------------


def test_visible_leaves_nothing_that_steers_a_terminal() -> None:
    everything = "".join(map(chr, range(0x3000))) + "\ud800"
    assert not (CONTROLS | {"\n", "\u2028", "\u2029", "\u200e", "\u200f", "\u061c", "\ud800"}) & set(
        visible(everything)
    )
    assert visible("Grüße, 世界 ✓") == "Grüße, 世界 ✓"
    assert len(visible(everything)) == len(everything)


def test_hostile_text_is_shown_and_does_nothing(team: Team) -> None:
    team.does("new", HOSTILE, "--kind", "cost", "--summary", HOSTILE)
    team.does("person", "add", "eve", "--name", HOSTILE)
    team.does("role", "1", "driver", "mia")
    team.does("comment", "1", HOSTILE)
    team.does("worksheet", "1", "window_days=60", "--source", HOSTILE)
    for words in (["list"], ["list", "--plain"], ["show", "1"], ["log"], ["worksheet", "1"], ["person", "list"]):
        said = team(*words)
        assert "␛[31m" in said.out or words == ["log"], words
        assert not CONTROLS & set((said.out + said.err).replace("\t", "")), words
        assert not [line for line in said.out.splitlines() if line.startswith("P-999")], words
    assert json.loads(team.does("list", "--json"))[0]["name"] == HOSTILE  # as data it is whole
    assert not CONTROLS & set(team.does("list", "--json"))
    refused = team("new", HOSTILE, "--kind", "cost")
    assert refused.code == 3 and len(refused.lines) == 1 and not CONTROLS & set(refused.err)
    unknown = team("show", HOSTILE[1:])
    assert unknown.code == 4 and len(unknown.lines) == 1 and not CONTROLS & set(unknown.err)


def test_an_ascii_terminal_is_no_error(team: Team) -> None:
    team.does("new", "世界 ✓", "--kind", "cost")
    said = process("--project", str(team.path), "list", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert said.code == 0 and "\\u4e16" in said.out


# --- what it does ----------------------------------------------------------------------------------------------------


def test_a_play_goes_from_trigger_to_frozen_data(frozen: Team) -> None:
    shown = json.loads(frozen.does("show", "P-001", "--json"))
    assert (shown["stage"], shown["round"], shown["next"]["action"]) == ("train", 1, "start_run")
    assert shown["builders"]["dan"] and shown["data_set"]["frozen_at"]
    data = json.loads(frozen.does("data", "show", "faq", "--json"))
    assert data["splits"]["held-out"] >= 20
    assert "held-out" in frozen.does("data", "show", "P-001")
    again = frozen("import", "P-001", str(frozen.path.parent / "calls.jsonl"), by="dan")
    assert again.code == 3


def test_an_import_says_what_it_left_out(locked: Team, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("text,label\nhello there,yes\n,no\n")
    said = locked("import", "P-001", str(tmp_path / "calls.csv"), "--most-rejects", "0.5", "--json", by="dan")
    assert said.code == 0 and (said.json["rows"], said.json["rejects"]) == (1, 1)  # type: ignore[index]
    assert "calls.csv, line 3: the input ('text') is empty" in said.err


def test_the_gate_goes_out_as_toml_and_comes_back_the_same(locked: Team, tmp_path: Path) -> None:
    locked.does("new", "second", "--kind", "cost")
    locked.does("role", "P-002", "driver", "mia")
    toml = locked.does("gate", "show", "P-001", "--toml")
    (tmp_path / "again.toml").write_text(toml)
    locked.does("gate", "edit", "P-002", str(tmp_path / "again.toml"))
    first, second = (json.loads(locked.does("gate", "show", code, "--json")) for code in ("P-001", "P-002"))
    assert first["digest"] == second["digest"] and first["locked_by"] == "sam" and second["locked_by"] is None
    assert "rows a true tie is recognised" in locked.does("gate", "power", "P-001")


def test_a_gate_comes_from_standard_input(play: Team) -> None:
    command = ["--project", str(play.path), "--key", str(play.keys / "dan"), "gate", "edit", "P-001", "-"]
    said = process(*command, text=GATE)
    assert said.code == 0, said.err
    assert json.loads(play.does("gate", "show", "P-001", "--json"))["gate"]["held_out_rows"] == 20


def test_next_and_why_say_what_the_rules_say(play: Team) -> None:
    step = json.loads(play.does("next", "P-001", "--json", by="dan"))
    assert (step["action"], step["waits_for"], step["objections"]) == ("fill_worksheet", "dan", [])
    assert step["command"].startswith("distill-tui worksheet P-001")
    why = json.loads(play.does("why", "P-001", "gate", "lock", "--json"))
    assert not why["allowed"] and why["objections"][0]["rule"] == "stage.closed"
    assert play.does("why", "P-001", "comment") == "Nothing prevents “comment”.\n"


def test_the_list_is_filtered_by_every_word(play: Team) -> None:
    play.does("new", "slow search", "--kind", "latency")
    assert [p["play"] for p in json.loads(play.does("list", "--filter", "LATENCY slow", "--json"))] == ["P-002"]
    assert play.does("list", "--filter", "sam").splitlines()[1].startswith("P-001")
    assert json.loads(play.does("list", "--filter", "nothing", "--json")) == []


def test_the_log_is_whole_and_says_where_it_breaks(play: Team) -> None:
    entries = json.loads(play.does("log", "--json"))
    assert [entry["seq"] for entry in entries] == list(range(1, play.entries + 1))
    assert len(json.loads(play.does("log", "P-001", "--last", "2", "--json"))) == 2
    assert play.does("audit", "verify").endswith("the chain is whole.\n")
    connection = sqlite3.connect(play.path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]
    for name in names:
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute("UPDATE audit SET person_id = 'sam' WHERE seq = 3")
    connection.commit()
    connection.close()
    said = play("audit", "verify")
    assert said.code == 1 and "breaks at entry 3" in said.err
    found = {f["check"]: f["ok"] for f in play("doctor", "--json").json}  # type: ignore[attr-defined]
    assert not found["schema guards"] and not found["audit log"] and found["integrity"]


def test_a_log_that_was_written_over_is_still_read(play: Team) -> None:
    connection = sqlite3.connect(play.path)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute("UPDATE audit SET detail = 'no json \x1b[2J' WHERE seq = 3")
    connection.commit()
    assert json.loads(play.does("log", "--json"))[2]["detail"] == "no json \x1b[2J"
    connection.execute("UPDATE audit SET action = 'magic' WHERE seq = 4")
    connection.commit()
    connection.close()
    for words, code in ((["log"], 4), (["audit", "verify"], 1)):
        said = play(*words)
        assert said.code == code and "magic" in said.err and len(said.lines) == 1
    assert play("doctor").code == 1


def test_the_doctor_misses_a_file_that_is_gone(frozen: Team) -> None:
    assert frozen("doctor").code == 0
    folder = frozen.path.parent / "team.distill.artifacts"
    next(path for path in folder.iterdir() if len(path.name) == 64).unlink()
    said = frozen("doctor")
    assert said.code == 1 and "is missing" in said.out


def test_a_bundle_that_is_none_fails_to_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["verify", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 1 and found["problems"][0]["rule"]


def test_no_command_imports_what_trains(locked: Team, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traffic()))
    lines = [
        ["import", "P-001", str(tmp_path / "calls.jsonl")],
        ["teacher", "P-001", str(tmp_path)],
        ["teacher", "P-001", "--recorded"],
        ["data", "build", "P-001"],
        ["data", "freeze", "P-001"],
        ["show", "P-001"],
        ["ship", "P-001"],
        ["doctor"],
        ["verify", str(tmp_path)],
    ]
    first = ["--project", str(locked.path), "--key", str(locked.keys / "dan")]
    code = f"""
import sys
from distill_tui.cli.app import COMMANDS, main
codes = [main({first!r} + words) for words in {lines!r}]
print(codes, [name for name in ("torch", "transformers", "datasets") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[0, 4, 0, 0, 0, 0, 3, 0, 1] []", done.stderr


# --- runs ------------------------------------------------------------------------------------------------------------


def run_of(status: RunStatus, step: int, **more: object) -> entities.Run:
    values = {"id": 1, "play_id": 1, "round": 1, "kind": RunKind.TRAIN, "status": status, "spec": "{}"}
    return tables.Run(**values | {"started_by": "dan", "created_at": "2026-01-01T00:00:00Z", "step": step, **more})


@pytest.fixture
def staged(frozen: Team, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let no worker start, and play a run's course instead."""
    monkeypatch.setattr(local, "start", lambda project, run_id: None)

    def course(*states: entities.Run) -> None:
        def wait(project: Project, run_id: int, report: Callable[[entities.Run], None]) -> entities.Run:
            for run in states:
                report(run)
            return states[-1]

        monkeypatch.setattr(local, "wait", wait)

    return course


def test_a_run_that_dies_while_one_waits_is_one(frozen: Team, staged: Callable[..., None]) -> None:
    staged(run_of(RunStatus.RUNNING, 10, total=100), run_of(RunStatus.FAILED, 10, total=100, error="no memory"))
    said = frozen("train", "P-001", "--wait", "epochs=3", by="dan")
    assert (said.code, said.out) == (1, "4\n")  # import, build and freeze came before
    assert "Run 4 failed: no memory." in said.lines and "step 10/100 (10%)" in said.err
    assert "distill-tui train resume P-001 --run 4 --wait" in said.err


@pytest.mark.parametrize("status", [RunStatus.LOST, RunStatus.STOPPED])
def test_only_a_finished_run_is_done(frozen: Team, staged: Callable[..., None], status: RunStatus) -> None:
    staged(run_of(status, 10))
    assert frozen("train", "P-001", "--wait", by="dan").code == 1


def test_a_run_that_finishes_is_told_in_json(frozen: Team, staged: Callable[..., None]) -> None:
    staged(run_of(RunStatus.QUEUED, 0), run_of(RunStatus.FINISHED, 100, total=100, result=trained()))
    said = frozen("train", "P-001", "--wait", "--json", "--seed", "5", by="dan")
    assert said.code == 0
    assert (said.json["status"], said.json["result"]) == ("finished", json.loads(trained()))  # type: ignore[index]


def test_options_words_and_a_file_make_one_spec(frozen: Team, staged: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('student = "scratch"\nepochs = 9\nseed = 1\n')
    words = ["--spec", str(tmp_path / "s.toml"), "--seed", "2", "--wait", "epochs=4", "seed=3"]
    staged(run_of(RunStatus.FINISHED, 1))
    assert frozen("train", "P-001", *words, by="dan").code == 0
    runs = json.loads(frozen.does("train", "status", "P-001", "--json"))
    (run,) = [each for each in runs if each["kind"] == "train"]
    assert (run["spec"]["student"], run["spec"]["epochs"], run["spec"]["seed"]) == ("scratch", 4, 3)
    assert run["spec"]["alpha"] == 0  # these rows have labels only, and no more was asked for
    busy = frozen("train", "P-001", by="dan")
    assert busy.code == 3 and "Run 4 (train) is queued" in busy.err
    assert json.loads(frozen.does("jobs", "--json"))[0]["run"] == 4
    frozen.does("train", "stop", "P-001", by="dan")
    assert frozen("train", "stop", "P-001", "--run", "44", by="dan").code == 3


def test_progress_names_step_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    from distill_tui.cli.follow import Progress

    now = SimpleNamespace(time=0.0)
    progress = Progress(plain=False, clock=lambda: now.time)
    for second, step in ((0, 0), (1, 10), (2, 20), (6, 60), (7, 70)):
        now.time = float(second)
        progress(run_of(RunStatus.RUNNING, step, total=100))
    lines = capsys.readouterr().err.splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2  # one at once, one after five seconds
    assert lines[1] == "run 1 train running · step 60/100 (60%) · 10.0 steps/s · 4 s left"


# --- decide ----------------------------------------------------------------------------------------------------------


def test_nobody_who_built_signs_and_nobody_ships_unsigned(decided: Team) -> None:
    before = decided.entries
    signed = decided("sign", "P-001", "--approve", "-m", "my own work", "--json", by="dan")
    assert signed.code == 3
    assert {o["rule"] for o in signed.json} == {"role.validator", "sign_off.builder"}  # type: ignore[attr-defined]
    shipped = decided("ship", "P-001", by="dan")
    assert shipped.code == 3 and "This is not signed off" in shipped.err
    reason = decided("reject", "P-001", "-m", "", by="vera")
    assert reason.code == 3 and "needs a reason" in reason.err
    assert decided.entries == before


def test_a_refusal_is_recorded_and_stands_against_the_ship(decided: Team) -> None:
    decided.does("sign", "P-001", "--refuse", "-m", HOSTILE, by="vera")
    shipped = decided("ship", "P-001", by="dan")
    assert shipped.code == 3 and "vera rejected" in shipped.err and not CONTROLS & set(shipped.err)
    shown = json.loads(decided.does("show", "P-001", "--json"))["sign_offs"]
    assert [(s["person_id"], s["opinion"], s["assurance"]) for s in shown] == [("vera", "refuse", "signed")]
    decided.does("withdraw", "P-001", "-m", "looked again", by="vera")
    assert "vera withdrew" in decided.does("show", "P-001")


def test_the_evaluation_is_told_in_counts_and_never_in_rows(decided: Team) -> None:
    told = decided.does("eval", "show", "P-001")
    assert told.startswith("PASSED: run 4") and "✓ holds" in told and "␛[31mil" in told
    assert not CONTROLS & set(told)
    whole = json.loads(decided.does("eval", "show", "P-001", "--json"))
    assert whole["passed"] and {j["verdict"] for j in whole["judgements"]} == {"holds"}
    assert [s["scope"] for s in whole["segments"]] == ["all", "segment: de", f"segment: {HOSTILE}"]
    assert whole["segments"][0]["student"]["hits"] == whole["segments"][0]["n"] == 400
    assert "gold" not in whole and "rows" not in whole and whole["advice"]["advice"] == "ship"


def test_a_cost_play_tells_quality_and_savings_together(decided: Team) -> None:
    told = decided.does("show", "P-001")
    assert "quality:" in told and "savings:" in told and "pays back in" in told


def test_a_student_ships_by_another_hand_and_a_stranger_verifies_it(decided: Team, tmp_path: Path) -> None:
    seen = json.loads(decided.does("sign", "P-001", "--json", by="vera"))["seen"]
    assert decided.does("sign", "P-001", "--approve", "-m", "ok", "--seen", seen, by="vera").strip() == "1"
    own = decided("ship", "P-001", by="vera")
    assert own.code == 3 and "another person must ship it" in own.err
    bundle = Path(decided.does("ship", "P-001", by="dan").strip())
    assert decided("ship", "P-001", by="dan").code == 3  # once
    assert main(["verify", str(bundle)]) == 0
    found = json.loads(decided.does("verify", str(bundle), "--json"))
    assert found["problems"] == [] and found["facts"]["signed off by"] == "vera"
    assert decided("verify", str(bundle), "--signer", found["facts"]["signed with"]).code == 0
    assert decided("verify", str(bundle), "--signer", "SHA256:other").code == 1
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    (altered / "model" / "config.json").write_text('{"a": 1}')
    said = decided("verify", str(altered), "--json")
    assert said.code == 1 and "bundle.altered" in {p["rule"] for p in said.json["problems"]}  # type: ignore[index]
    assert json.loads(decided.does("list", "--json"))[0]["stage"] == "live"


# --- the words -------------------------------------------------------------------------------------------------------


def test_every_action_with_a_command_has_one_and_a_function() -> None:
    for action in Action:
        if action.command:
            command = COMMANDS.by_words[action.command]
            assert (command.action, command.help) == (action, action.sentence)
    for words, command in COMMANDS.by_words.items():
        assert command.words == words and callable(command.callback)
        about = command.params[0].name == "play" and words != "log"
        assert command.typed.endswith(" PLAY") == about, "the screens type the play's code for these"


@pytest.mark.parametrize("command", COMMANDS.by_words.values(), ids=lambda command: command.words)
def test_every_command_has_help(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.words.split(), "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert command.sentence in told and f"Usage: distill-tui {command.words}" in told


def test_a_word_that_is_no_command_is_answered_with_those_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    for words, like in (
        (["sing", "P-001"], "'sign'"),
        (["gate", "lok"], "'lock'"),
        (["withdraw", "P-001", "--jso"], "'--json'"),
    ):
        assert main(words) == 2 and f"Did you mean {like}" in capsys.readouterr().err


def test_the_reference_is_what_the_commands_say(capsys: pytest.CaptureFixture[str]) -> None:
    written = (Path(__file__).parents[1] / "docs" / "cli.md").read_text()
    assert main(["spec", "--markdown"]) == 0 and written == capsys.readouterr().out
    for words, command in COMMANDS.by_words.items():  # nothing that can be typed is left out
        part = written.split(f"### `{words}`")[1].split("###")[0]
        hidden = ("--help", "--markdown", "--project", "--key", "--json", "--plain")
        typed = [param.opts[-1] for param in command.params if param.opts[-1].startswith("-")]
        assert all(f"`{option}" in part for option in typed if option not in hidden), words
    for action in Action:
        assert not action.command or f"### `{action.command}`" in written
    assert "--markdown" not in written.split("## For every command")[1]


def test_the_spec_lists_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["action"] for each in told["actions"]} == {action.value for action in Action if action.command}
    assert set(told["exit_codes"]) == {"0", "1", "2", "3", "4", "6", "7", "8", "130"}


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["train", "P-001"], "train"),
        (["train", "status", "P-001"], "train status"),
        (["--json", "train", "--plain", "stop", "P-001"], "train stop"),
        (["--project", "train", "eval", "show", "P-001"], "eval show"),
        (["eval", "--json", "P-001"], "eval"),
        (["--key", "eval", "train", "--epochs", "3", "P-001"], "train"),
        ([], "open"),
        (["--plain"], "open"),
    ],
)
def test_one_word_and_two_words_are_told_apart(words: list[str], command: str) -> None:
    assert parse(words).words == command


def test_what_is_for_every_command_stands_before_or_after_it() -> None:
    before = parse(["--project", "p", "--key", "k", "--json", "--plain", "gate", "show", "P-001"])
    after = parse(["gate", "show", "P-001", "--project", "p", "--key", "k", "--json", "--plain"])
    between = parse(["--json", "gate", "--plain", "--key", "k", "show", "--project", "p", "P-001"])
    assert vars(before.call) == vars(after.call) == vars(between.call)
    assert (before.call.project_file, before.call.key_given, before.call.json, before.call.plain) == (
        "p",
        "k",
        True,
        True,
    )


def test_without_a_terminal_the_plays_are_listed(play: Team) -> None:
    for words in (["--project", str(play.path)], ["open", str(play.path)]):
        said = process(*words)
        assert said.code == 0 and "P-001" in said.out and "distill-tui open team.distill" in said.err


def test_a_reader_that_leaves_is_no_error(play: Team) -> None:
    command = f"{sys.executable} -m distill_tui --project {play.path} log --json | head -c 1 >&2"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr


@pytest.mark.parametrize("action", [each for each in Action if each.command], ids=lambda each: each.value)
def test_the_command_that_a_screen_shows_has_all_that_the_command_asks_for(action: Action) -> None:
    command = COMMANDS.by_words.get(action.command)
    asked = [each for each in command.params if each.required] if command is not None else []
    if not asked or asked[0].human_readable_name != "PLAY":
        return  # of the project itself, or a key of the running work: their forms write the command
    options = [each.opts[0] for each in asked[1:] if isinstance(each, click.Option)]
    words = action.arguments.split()
    assert all(option in words for option in options)
    assert len(asked) - 1 - len(options) <= sum(word.isupper() or word.islower() for word in words)
