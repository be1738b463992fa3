"""Typed-decision APIs as teachers: the whole soft label in one call, behind faults, each paid answer kept once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rounds import batches
from distill_tui.rules import data
from distill_tui.rules.results import LabelResult, decode
from distill_tui.runs.executors import local
from distill_tui.teachers import cache, decisions, endpoint
from distill_tui.teachers.description import APIS, WHICH, Described
from distill_tui.teachers.limits import Limits
from distill_tui.terms import RunStatus, TeacherSource
from support import data_runs, data_stage
from support.intake import MIA

LABELS = ("bill", "parcel", "other")
SHARES = (0.12, 0.85, 0.02)  # rounded: they sum to 0.99
INPUTS = [f"ticket number {n}" for n in range(8)]


class Decider(ThreadingHTTPServer):
    """A server of both APIs on this machine, with faults from a plan."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.plan: list[str] = []
        self.refuses = ""
        self.slow = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Decider

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fault = self.server.plan.pop(0) if self.server.plan else ""
        time.sleep(self.server.slow)
        status = int(fault) if fault.isdecimal() else 200
        named = self.path == "/v1/systemone"
        text = body["state" if named else "input"]
        answer = self.answer(body, text, named=named)
        whole: dict[str, Any] = {"model": "decider-1.13.0", "usage": {"input_tokens": 400, "output_tokens": 0}}
        whole |= {"answers": {"label": answer} if named else [answer]}
        if fault == "half":
            answer.get("probabilities", {}).clear()
        if status == 200:
            self.server.asked.append(text)
        content = b"<html>" if fault == "no json" else json.dumps(whole if status == 200 else {"error": {}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body: dict[str, Any], text: str, *, named: bool) -> dict[str, Any]:
        if self.server.refuses and self.server.refuses in text:
            return {"type": "refusal", "name": "label"}
        if named:
            question = body["questions"]["label"]
            assert (question["type"], question["instructions"], tuple(question["criteria"])) == (
                "choice",
                WHICH,
                LABELS,
            )
            return {"type": "choice", "choice": "parcel", "confidence": 0.8,
                    "probabilities": dict(zip(LABELS, SHARES, strict=True))}  # fmt: skip
        (question,) = body["questions"]
        assert (question["type"], [each["value"] for each in question["choices"]]) == ("choice", list(LABELS))
        shares = [{"value": label, "probability": share} for label, share in zip(LABELS, SHARES, strict=True)]
        return {"type": "choice", "name": question["name"], "choice": "parcel", "confidence": 0.8,
                "probabilities": shares}  # fmt: skip


@pytest.fixture
def server() -> Iterator[Decider]:
    made = Decider()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def described(url: str, api: str = "systemone") -> Described:
    return Described.chosen(TeacherSource.ENDPOINT, "decider-latest", ",".join(LABELS), "", url, api=api)


def asked(teacher: Described, texts: list[str], **limits: Any) -> tuple[list[endpoint.Answer], int]:
    kept: list[endpoint.Answer] = []
    given = Limits(budget=Decimal(1), price_in=Decimal("0.042"), backoff=0.01, **limits)
    todo = [(f"{n:064x}", text) for n, text in enumerate(texts)]
    return kept, endpoint.ask(teacher, todo, given, spent=Decimal(0), keep=kept.append, tell=lambda *_: None)


@pytest.mark.parametrize("api", APIS)
def test_one_call_gives_the_probability_of_every_label(server: Decider, api: str) -> None:
    teacher = described(server.url, api)
    assert teacher.problem() is None and Described.from_json(teacher.to_json()) == teacher
    ((answer,), retries) = asked(teacher, INPUTS[:1])
    assert (answer.label, answer.model, retries, len(server.asked)) == ("parcel", "decider-1.13.0", 0, 1)
    assert answer.probabilities == pytest.approx([0.12 / 0.99, 0.85 / 0.99, 0.02 / 0.99])
    assert (answer.tokens_in, answer.money) == (400, Decimal("0.0000168"))
    assert json.loads(answer.said)["answer"]["probabilities"]  # as it came, rounding and all


@pytest.mark.parametrize("fault", ["429", "500", "529", "no json", "half"])
def test_a_fault_is_tried_again_and_an_answer_is_kept_once(server: Decider, fault: str) -> None:
    server.plan = ["", fault]
    kept, retries = asked(described(server.url), INPUTS)
    assert sorted(each.digest for each in kept) == [f"{n:064x}" for n in range(8)] and retries == 1


def test_a_refusal_is_paid_for_and_is_no_label(server: Decider) -> None:
    server.refuses = "number 3"
    kept, _ = asked(described(server.url, "decisions"), INPUTS)
    refused = [each for each in kept if each.label is None]
    assert [json.loads(each.said)["answer"]["type"] for each in refused] == ["refusal"] and len(kept) == 8


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"choice": "parcel", "probabilities": {"bill": 0.5, "parcel": 0.5}}, "for each choice"),
        ({"choice": "parcel", "probabilities": {"bill": 0.5, "parcel": 0.1, "other": 0.1}}, "sum to 0.7"),
        ({"choice": "parcel", "probabilities": {"bill": 0.9, "parcel": 0.05, "other": 0.05}}, "most probable"),
        ({"choice": "money", "probabilities": {"bill": 0.9, "parcel": 0.05, "other": 0.05}}, "none of the choices"),
    ],
)
def test_an_answer_that_contradicts_itself_is_not_taken(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decisions.read(described("http://localhost/v1"), {"answers": {"label": answer}}, "x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": "one"}, "two labels or more"),
        ({"labels": ""}, "2 to 255"),
        ({"api": "other"}, "--api systemone or decisions"),
    ],
)
def test_a_teacher_that_cannot_be_asked_is_refused(change: dict[str, str], says: str) -> None:
    words = {"labels": "a,b", "api": "systemone"} | change
    made = Described.chosen(
        TeacherSource.ENDPOINT, "m", words["labels"], "", "https://example.org/v1", api=words["api"]
    )
    assert says in str(made.problem())


def test_traffic_is_labelled_with_soft_labels_and_the_resolved_model_is_recorded(
    server: Decider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = data_stage.with_traffic(tmp_path, ({"text": text} for text in INPUTS), name="tickets")
    actions.set_teacher(project, 1, MIA, described(server.url))
    name = project.dossier(1).play.teacher_digest
    cache.add_answer(project.artifacts.folder, name, asked(described(server.url), ["trial"])[0][0])
    monkeypatch.setattr(local, "start", data_runs.here)
    run = actions.label(project, 1, MIA, {"budget": "1", "price_in": "0.042", "price_out": "0"})
    found = project.dossier(1).run(run)
    assert found is not None
    result = decode(LabelResult, found.result)
    assert (result.new, dict(result.models)) == (8, {"decider-1.13.0": 9}) and data.labelled(project.dossier(1))
    assert sorted(server.asked) == sorted([*INPUTS, "trial"])
    with pytest.raises(ValueError, match="takes no batch files"):
        batches.export(project.artifacts, project.dossier(1), tmp_path / "b.jsonl")


def test_a_killed_worker_pays_for_no_decision_twice(server: Decider, tmp_path: Path) -> None:
    project = data_stage.with_traffic(tmp_path, ({"text": text} for text in INPUTS), name="tickets")
    actions.set_teacher(project, 1, MIA, described(server.url))
    folder, name = project.artifacts.folder, project.dossier(1).play.teacher_digest
    cache.add_answer(folder, name, asked(described(server.url), ["trial"])[0][0])
    server.slow = 0.3
    limits = {"budget": "1", "price_in": "0.042", "price_out": "0", "concurrency": "1"}
    run = actions.label(project, 1, MIA, limits)
    until = time.monotonic() + 60
    while len(server.asked) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    found = project.dossier(1).run(run)
    assert found is not None and found.pid is not None
    os.kill(found.pid, signal.SIGKILL)
    while project.dossier(1).run(run).status is not RunStatus.LOST and time.monotonic() < until:  # type: ignore[union-attr]
        local.reap(project)
        time.sleep(0.05)
    kept = len(cache.answered(folder, name))
    assert 2 <= kept < 1 + len(INPUTS) and not data.labelled(project.dossier(1))
    server.slow, server.plan = 0.0, ["429", "no json"]
    assert main(["--project", str(project.path), "train", "resume", "P-001", "--wait"]) == 0
    assert data.labelled(project.dossier(1)) and len(cache.answered(folder, name)) == 1 + len(INPUTS)
    # one that was in flight at the kill may be asked again; "no json" counts as asked
    assert len(server.asked) <= 1 + len(INPUTS) + 1 + 1
