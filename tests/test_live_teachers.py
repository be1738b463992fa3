"""Watching a live student whose teacher is asked: an endpoint over HTTP, with a month's budget that is never passed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.monitor import history, plan
from distill_tui.rounds import play_traffic
from distill_tui.store.project import Project
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import RunStatus, Standing, TeacherSource
from support.live_play import DANA, OLGA, SAID, replay, rows, shipped, workers_here, write

pytest.importorskip("openai")
LIMITS = {"budget": "5", "price_in": "1", "price_out": "2", "attempts": "1"}
LABELS = tuple(sorted(SAID))


class Endpoint(ThreadingHTTPServer):
    """Names the label one of whose words is in the prompt; turned, it names the next one, like another model would."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.turned, self.fails_after = False, 10**9

    def label(self, prompt: str) -> str:
        words = set(prompt.split("\n\n", 1)[1].split())
        best = max(range(len(LABELS)), key=lambda at: len(words & set(" ".join(SAID[LABELS[at]]).split())))
        return LABELS[(best + self.turned) % len(LABELS)]


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][0]["content"]
        if len(self.server.asked) >= self.server.fails_after:
            return self.reply(401, {"error": {"message": "no such key", "type": "x", "code": None}})
        self.server.asked.append(prompt)
        message = {"role": "assistant", "content": self.server.label(prompt)}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
        usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        return self.reply(200, whole | {"choices": [choice], "usage": usage})

    def reply(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def serving() -> Iterator[Endpoint]:
    server = Endpoint()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def made(serving: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A play that shipped with labels that the endpoint gave."""
    folder = tmp_path_factory.mktemp("asked") / "made"
    folder.mkdir()
    teacher = Described(
        TeacherSource.ENDPOINT,
        "large",
        LABELS,
        TEMPLATES[TeacherSource.ENDPOINT],
        f"http://127.0.0.1:{serving.server_port}/v1",
    )
    with workers_here():
        project, _ = shipped(folder, teacher=teacher, limits=LIMITS)
    project.close()
    return folder


@pytest.fixture
def server(serving: Endpoint) -> Iterator[Endpoint]:
    serving.asked.clear()
    yield serving
    serving.turned, serving.fails_after = False, 10**9


@pytest.fixture
def project(made: Path, server: Endpoint, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "copy")
    opened = Project.open(tmp_path / "copy" / "live.distill")
    with workers_here():
        yield opened
    opened.close()


def alone(project: Project, name: str, count: int, seed: int, start: str, days: int = 28) -> Path:
    """Write inputs that the teacher has not answered."""
    calls = [
        {k: v for k, v in call.items() if k != "teacher_output"} for call in rows(count, seed, start=start, days=days)
    ]
    return write(project.path.parent / name, calls)


def seen(project: Project, what: str) -> Any:
    connection = sqlite3.connect(project.path)
    try:
        return connection.execute(f"SELECT {what} FROM observation").fetchone()[0]
    finally:
        connection.close()


def sampled(project: Project, calls: int) -> None:
    actions.set_maintenance(project, 1, OLGA, calls, 60)


def later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let the project's clock show a later day."""
    at = (datetime.now(UTC) + timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    monkeypatch.setattr("distill_tui.store.project_file.now", lambda: at)


def test_an_endpoint_is_asked_no_more_often_than_the_month_allows(
    project: Project, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(project, 100)
    replay(project, 1, OLGA, alone(project, "a.jsonl", 200, 5, "2026-02-01"))
    assert len(server.asked) == 100 == seen(project, "sum(asked)")  # the probe is among them: it costs as much
    assert seen(project, "sum(probe)") == plan.PROBE_ROWS and seen(project, "count(teacher)") == 100
    replay(project, 1, OLGA, alone(project, "b.jsonl", 200, 6, "2026-02-01"))
    assert len(server.asked) == 100  # February is spent
    replay(project, 1, OLGA, alone(project, "c.jsonl", 200, 7, "2026-03-01", 31))
    assert len(server.asked) == 100  # and so is the month in which these calls would be made
    later(monkeypatch, 40)
    replay(project, 1, OLGA, alone(project, "d.jsonl", 200, 8, "2026-03-01", 31))
    assert len(server.asked) == 200
    life = history.life(project, project.dossier(1))
    assert life is not None and life.rate is not None and life.rate < 0.1
    assert project.dossier(1).standing is Standing.STEADY


def test_a_budget_too_small_for_the_probe_is_kept_for_the_rows(project: Project, server: Endpoint) -> None:
    sampled(project, plan.PROBE_ROWS - 1)
    replay(project, 1, OLGA, alone(project, "a.jsonl", 100, 5, "2026-02-01"))
    assert seen(project, "sum(probe)") == 0 and len(server.asked) == plan.PROBE_ROWS - 1


def test_what_was_answered_before_a_failure_is_not_paid_for_again(project: Project, server: Endpoint) -> None:
    sampled(project, 100)
    spent = Decimal(play_traffic.ledger(project, 1)["money"])
    server.fails_after = 75  # all of the rows, and half of the probe
    replay(project, 1, OLGA, alone(project, "a.jsonl", 200, 5, "2026-02-01"))
    run = project.dossier(1).runs[-1]
    assert run.status is RunStatus.FAILED and "no such key" in (run.error or "") and seen(project, "count(*)") == 0
    server.fails_after = 10**9
    actions.resume_run(project, 1, OLGA, run.id)
    assert project.dossier(1).runs[-1].status is RunStatus.FINISHED
    assert len(server.asked) == len(set(server.asked)) == 100 == seen(project, "sum(asked)")
    paid = Decimal(play_traffic.ledger(project, 1)["money"]) - spent
    assert paid == 100 * (40 * 1 + 2 * 2) / Decimal(1_000_000)


def test_a_failed_run_has_spent_its_calls_whichever_file_comes_next(project: Project, server: Endpoint) -> None:
    sampled(project, 100)
    server.fails_after = 75
    replay(project, 1, OLGA, alone(project, "a.jsonl", 200, 5, "2026-02-01"))
    assert project.dossier(1).runs[-1].status is RunStatus.FAILED
    server.fails_after = 10**9
    replay(project, 1, OLGA, alone(project, "b.jsonl", 200, 6, "2026-02-01"))
    assert project.dossier(1).runs[-1].status is RunStatus.FINISHED
    assert 75 < len(server.asked) <= 100


def test_a_teacher_that_became_another_is_told_by_its_probe(
    project: Project, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(project, 100)
    replay(project, 1, OLGA, alone(project, "a.jsonl", 100, 5, "2026-02-01"))
    server.turned = True
    for number, day in enumerate(("2026-03-05", "2026-04-05", "2026-05-05")):
        later(monkeypatch, 40 * (number + 1))
        replay(project, 1, OLGA, alone(project, f"{number}.jsonl", 3, 8 + number, day, 1))
    life = history.life(project, project.dossier(1))
    assert life is not None and "teacher" in [finding.what for finding in life.findings]
    assert project.dossier(1).standing is not Standing.STEADY


def test_the_driver_brings_the_same_play_samples_too(project: Project, server: Endpoint) -> None:
    replay(project, 1, DANA, alone(project, "a.jsonl", 10, 5, "2026-02-28", 1))
    assert seen(project, "sum(asked)") == len(server.asked) > 0


STRANGE = ("sarcastic", "Refund.", "**delivery**", "I cannot tell from this text.")


def test_an_answer_that_a_feed_recorded_is_never_replaced_by_another_teacher(
    project: Project, server: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """Except for the probe, no teacher is asked; what is none of the labels is kept, counted and shown."""
    sampled(project, 500)
    calls = rows(100, 5, start="2026-02-01")
    strange = [call | {"teacher_output": STRANGE[at % 4]} if at % 5 == 0 else call for at, call in enumerate(calls)]
    path = write(project.path.parent / "strange.jsonl", strange)
    assert main(["--project", str(project.path), "observe", "P-001", str(path), "--any-time"]) in (
        exits.DONE,
        exits.DUE,
    )
    said = capsys.readouterr().err
    assert "20 of 140 answers of the teacher are none of the labels" in said and "“sarcastic” (5)" in said
    assert "“Refund.” (5, spelled like refund)" in said and "“**delivery**” (5, spelled like delivery)" in said
    assert "10 of these are a label in another spelling: correct them in the feed." in said
    assert seen(project, "sum(asked AND NOT probe)") == 0 and len(server.asked) == plan.PROBE_ROWS
    connection = sqlite3.connect(project.path)
    kept = {teacher for (teacher,) in connection.execute("SELECT DISTINCT teacher FROM observation")}
    connection.close()
    assert kept == {*LABELS, *STRANGE}
    life = history.life(project, project.dossier(1))
    assert life is not None and life.labelled == 100
    (found,) = [each for each in life.findings if each.what == plan.ANSWERS]
    assert "20.0% of 100 rows" in found.sentence and "“Refund.” (5, spelled like refund)" in found.sentence
    assert project.dossier(1).standing is Standing.LOOK


def test_an_asked_teacher_that_names_no_label_is_counted_too(
    project: Project, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled(project, 100)
    usual = Endpoint.label

    def every_second(self: Endpoint, prompt: str) -> str:  # twenty unusable answers in a row would stop the run
        return "none of these" if sum(prompt.encode()) % 2 else usual(self, prompt)

    monkeypatch.setattr(Endpoint, "label", every_second)
    replay(project, 1, OLGA, alone(project, "a.jsonl", 100, 5, "2026-02-28", 1))
    life = history.life(project, project.dossier(1))
    assert life is not None and "“none of these” (" in next(f.sentence for f in life.findings if f.what == plan.ANSWERS)
