"""The first hour, typed as the documents have it: from nothing to a signed ship, and how much each role types."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from distill_tui.cli import demo
from distill_tui.dataset import practice
from distill_tui.people import practice_keys
from distill_tui.store.project import Project
from distill_tui.terms import Assurance, Stage
from support import needs
from support.ssh_host import free_port

ROOT = Path(__file__).parents[1]
LINE = re.compile(r"^distill-tui (.*?)\s+# (\d+) (\w+)", re.MULTILINE)
UNTIL_VERDICT = 6  # of the nine commands


def commands(page: str, heading: str) -> list[tuple[str, str]]:
    """The role and the words of each command of a section, which counts them."""
    section = (ROOT / page).read_text().partition(f"\n## {heading}")[2].partition("\n## ")[0]
    found = LINE.findall(section)
    assert [number for _, number, _ in found] == [str(n) for n in range(1, len(found) + 1)]
    return [(role, words) for words, _, role in found]


NINE = commands("README.md", "Nine commands")
ELSEWHERE = commands("docs/operation.md", "The first hour of each role")


def typed(folder: Path, words: str, *more: str) -> str:
    """Type a command as a shell would; return all that it printed."""
    line = f'distill-tui() {{ {sys.executable} -m distill_tui "$@"; }}\ndistill-tui {words} {" ".join(more)}'
    done = subprocess.run(["bash", "-e", "-c", line], cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def stage(folder: Path) -> Stage:
    project = Project.open(folder / "team.distill")
    try:
        return project.dossier(1).play.stage
    finally:
        project.close()


def test_no_role_types_more_than_its_first_hour_allows() -> None:
    nine = Counter(role for role, _ in NINE)
    assert sum(nine.values()) <= 9 and nine["sponsor"] <= 2 and nine["validator"] <= 2
    away = Counter(role for role, _ in ELSEWHERE)
    assert away["sponsor"] == away["validator"] == away["operator"] == 2
    before = Counter(role for role, _ in NINE[:UNTIL_VERDICT])
    assert before["driver"] + away["driver"] <= 9
    assert all("--via ssh://" in words for role, words in ELSEWHERE if role == "validator")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    """A play with its verdict, by the first six commands, and the seconds of each role."""
    folder = tmp_path_factory.mktemp("first-hour")
    practice.write_traffic(folder / "traffic.jsonl")
    practice_keys.make(folder / "keys", ("dana", "sam", "vera", "olga"))
    (folder / "plan.toml").write_text(demo.PLAN)
    for person in ("dana", "sam", "vera", "olga"):
        (folder / person).symlink_to(Path("keys") / person)
    seconds: Counter[str] = Counter()
    for role, words in NINE[:UNTIL_VERDICT]:
        began = time.monotonic()
        if role == "sponsor":
            assert "At most five points less accurate" in typed(folder, ELSEWHERE[0][1])
        typed(folder, words, "--me dana" if words.startswith("init") else "")
        seconds[role] += round(time.monotonic() - began)
    return folder, seconds


@pytest.mark.slow
def test_the_nine_commands_lead_from_nothing_to_a_signed_ship(
    judged: tuple[Path, Counter[str]], tmp_path: Path
) -> None:
    folder = shutil.copytree(judged[0], tmp_path / "here", symlinks=True)
    for _, words in NINE[UNTIL_VERDICT:]:
        typed(folder, words)
    assert stage(folder) is Stage.LIVE


@pytest.fixture
def served(judged: tuple[Path, Counter[str]], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The driver's own server on the folder of a judged play, and how ssh reaches it."""
    needs.program("sshd")
    folder, port = shutil.copytree(judged[0], tmp_path / "host", symlinks=True), free_port()
    (folder / "team.distill").chmod(0o600)
    (words,) = (words for role, words in ELSEWHERE if role == "driver" and words.startswith("ssh serve"))
    log = folder / "serve.log"
    with log.open("wb") as file:
        line = [sys.executable, "-m", "distill_tui", *words.replace("2222", str(port)).split()]
        server = subprocess.Popen([*line, "--listen", "127.0.0.1"], cwd=folder, stdout=file, stderr=file)
    try:
        end = time.monotonic() + 90
        while b"listening" not in log.read_bytes():
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield folder, f"127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
def test_a_validator_elsewhere_signs_in_two_commands_and_an_operator_watches_in_two(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    away = tmp_path / "vera"  # a machine without the project
    away.mkdir()
    shutil.copy(folder / "keys" / "vera", away / "vera")
    shutil.copy(folder / "keys" / "vera.pub", away / "vera.pub")
    (away / "config").write_text(
        f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {away / 'known'}\n  IdentitiesOnly yes\n"
        "  LogLevel ERROR\n  BatchMode yes\n  IdentityAgent none\n"
    )
    looks, signs = (words.replace("host:2222", address) for role, words in ELSEWHERE if role == "validator")
    with monkeypatch.context() as own:
        own.setenv("XDG_STATE_HOME", str(away / "state"))
        shown = json.loads(typed(away, looks, "--ssh-config config --json"))
        assert stage(folder) is Stage.DECIDE
        typed(away, signs, f"--ssh-config config --seen {shown['seen']}")
    project = Project.open(folder / "team.distill")
    (facts,) = project.dossier(1, thorough=True).sign_offs
    assert facts.row.assurance is Assurance.SIGNED and not facts.trouble
    project.close()
    (ships,) = (words for role, words in ELSEWHERE if role == "driver" and words.startswith("ship"))
    typed(folder, ships)
    assert stage(folder) is Stage.LIVE
    practice.write_traffic(folder / "later.jsonl", rows=200, seed=12)
    calls = [json.loads(line) for line in (folder / "later.jsonl").read_text().splitlines()]
    now = datetime.now(UTC).isoformat()
    (folder / "later.jsonl").write_text("".join(json.dumps(call | {"time": now}) + "\n" for call in calls))
    observes, lives = (words for role, words in ELSEWHERE if role == "operator")
    assert "P-001" in typed(folder, observes)
    assert "steady" in typed(folder, lives)
