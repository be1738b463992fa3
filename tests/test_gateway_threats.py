"""What a client of the gateway can try: write into another play's log, into its own record, or choose who answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import traffic
from distill_tui.serving import command, served_log
from distill_tui.store.project import Project
from support import gateway, live_play
from support.teacher_server import TeacherServer

LABELS = {"teacher_output": "forged", "gold": "forged", "split": "held-out", "kind": "audit", "route": "student"}


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A project with two plays that capture."""
    made = tmp_path / "new.distill"
    words = ["--project", str(made)]
    assert main(["init", str(made), "--name", "New", "--me", "mia"]) == exits.DONE
    for code, name in (("P-001", "mail"), ("P-002", "calls")):
        assert main([*words, "new", name, "--kind", "cost"]) == exits.DONE
        assert main([*words, "serve", "mode", code, "capture"]) == exits.DONE
        assert main([*words, "role", code, "driver", "mia"]) == exits.DONE
    return made


def ask(found: gateway.Gateway, code: str, text: str, **more: object) -> int:
    body = {"model": "big", "messages": [{"role": "user", "content": text}]} | more
    return found.http.post(f"/plays/{code}/v1/chat/completions", json=body).status_code


def test_the_prompt_of_one_play_is_in_no_other_plays_log(path: Path, teacher: TeacherServer) -> None:
    plays = [command.play(path, code) for code in ("P-001", "P-002")]
    with gateway.serving(*plays, teacher=teacher.url) as found:
        assert ask(found, "P-003", "a refund") == 404

        def client(code: str) -> None:
            for number in range(40):
                assert ask(found, code, f"a refund, secret of {code}, {number}", user=f"u-{code}") == 200

        clients = [threading.Thread(target=client, args=(code,)) for code in ("P-001", "P-002") * 2]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
    for mine, others in (("P-001", "P-002"), ("P-002", "P-001")):
        folder = served_log.folder_of(path, mine)
        whole = "".join(file.read_text() for file in folder.iterdir() if file.is_file())
        assert whole.count(f"secret of {mine}") >= 80 and others not in whole
        assert all(file.stat().st_mode & 0o077 == 0 for file in served_log.segments(folder))


def test_a_client_writes_no_label_split_or_route_into_the_record(path: Path, teacher: TeacherServer) -> None:
    with gateway.serving(command.play(path, "P-001"), teacher=teacher.url) as found:
        headers = {f"x-distill-{name}": "student" for name in ("route", "confidence", "bundle", "mode")}
        found.http.headers.update(headers)
        for number in range(20):
            assert ask(found, "P-001", f"a refund {number}", **LABELS, metadata=LABELS) == 200
    with live_play.workers_here():
        assert main(["--project", str(path), "import", "P-001", "--from-gateway"]) == exits.DONE
    project = Project.open(path)
    (row,) = project.dossier(1).traffic
    rows = list(traffic.rows([project.artifacts.path(row.artifact)]))
    project.close()
    assert len(rows) == 20 and {each["teacher_output"] for each in rows} == {"money"}
    assert "forged" not in str(rows) and "held-out" not in str(rows)
