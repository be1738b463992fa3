"""Spans of the gateway, at a real OTLP receiver: what is on them, what is not, and that `import` reads them back."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import traffic
from distill_tui.rules.requests import ServeMode
from distill_tui.store.project import Project
from distill_tui.terms import KeptContent, ServingMode
from support import gateway, live_play, real_play, served
from support.gateway import Gateway, serving
from support.teacher_server import TeacherServer

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Receiver(ThreadingHTTPServer):
    """An OTLP receiver over HTTP, as a collector is: it keeps what it is sent as OTLP JSON."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.batches: list[dict[str, Any]] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    @property
    def spans(self) -> list[dict[str, Any]]:
        scopes = [scope for batch in self.batches for each in batch["resourceSpans"] for scope in each["scopeSpans"]]
        return [span for scope in scopes for span in scope["spans"]]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        assert self.path == "/v1/traces"
        if self.server.status == 200:
            message = ExportTraceServiceRequest.FromString(content)
            self.server.batches.append(json_format.MessageToDict(message))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{made.server_address[1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


def mode(play: real_play.Play, asked: ServeMode) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), asked)


def named(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def metric(found: Gateway, outcome: str) -> float:
    lines = found.http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if f'distill_spans_total{{outcome="{outcome}"}}' in line)


def test_an_endpoint_without_the_packages_is_refused_with_what_to_install(play: real_play.Play) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    program = "import os, sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
    program += "os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:9'\n"
    program += "from distill_tui.cli.app import main\nsys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "--project", str(play.path), "serve", "P-001"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == exits.BAD_INPUT and "pip install 'distill-tui[otel]'" in done.stderr


def test_without_an_endpoint_nothing_of_it_is_loaded(play: real_play.Play) -> None:
    program = "import sys\nfrom distill_tui.serving import figures, spans\n"
    program += "assert spans.from_environment(figures.Meters()) is None\n"
    program += "assert 'opentelemetry' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_receiver_that_fails_costs_no_answer_and_is_counted(
    play: real_play.Play, teacher: TeacherServer, receiver: Receiver
) -> None:
    receiver.status = 400
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        assert {found.chat(f"a refund {number}").status_code for number in range(5)} == {200}
        found.until(lambda: metric(found, "failed") == 5)
        assert metric(found, "made") == 5 and metric(found, "sent") == 0


@pytest.mark.parametrize("content", KeptContent)
def test_a_span_holds_what_the_policy_keeps(
    play: real_play.Play, teacher: TeacherServer, receiver: Receiver, content: KeptContent
) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE, content=content))
    with serving(gateway.of_play(play.path), teacher=teacher.url, key="sk-secret") as found:
        found.chat("a refund to ana@example.org", user="customer-7")
        found.until(lambda: metric(found, "sent") == 1)
    (span,) = receiver.spans
    attributes, whole = named(span), json.dumps(receiver.batches)
    assert span["name"] == "chat big" and span["kind"] == "SPAN_KIND_CLIENT"
    assert attributes["gen_ai.operation.name"] == "chat" and attributes["distill.route"] == "teacher"
    assert ("ana@example.org" in whole) is (content is KeptContent.FULL)
    assert ("gen_ai.input.messages" in attributes) is (content is not KeptContent.DIGESTS)
    assert ("customer-7" in whole) is (content is not KeptContent.DIGESTS) and "sk-secret" not in whole
    assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"])


def test_spans_join_the_applications_trace_and_are_imported_back(
    play: real_play.Play, teacher: TeacherServer, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        header = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        for number in range(30):
            system = {"role": "system", "content": "Name the topic."}
            text = {"role": "user", "content": f"{('a refund', 'my parcel')[number % 2]} {number}"}
            body = {"model": "big", "messages": [system, text], "user": f"customer-{number}", "stream": number % 3 == 0}
            assert found.http.post("/v1/chat/completions", json=body, headers=header).status_code == 200
        teacher.plan = ["500"]
        assert found.chat("it fails").status_code == 500
        mode(play, ServeMode(ServingMode.CANARY, 100))
        found.until(lambda: found.health()["answers"] == "student and teacher")
        for number in range(4):
            assert found.chat(f"a refund {number}").headers["x-distill-route"] in ("student", "teacher")
        routes = found.health()["figures"]["routes"]
    assert len(receiver.spans) == 35  # the last are sent as the gateway ends
    assert sum(span.get("parentSpanId") == receiver.spans[0]["parentSpanId"] for span in receiver.spans) == 30
    by_student = [span for span in receiver.spans if named(span)["distill.route"] == "student"]
    assert len(by_student) == routes.get("student", 0)
    assert all(span["kind"] == "SPAN_KIND_INTERNAL" and "distill.confidence" in named(span) for span in by_student)

    exported, path = tmp_path / "spans.jsonl", tmp_path / "new.distill"
    exported.write_text("".join(json.dumps(batch) + "\n" for batch in receiver.batches))
    words = ["--project", str(path)]
    assert main(["init", str(path), "--name", "New", "--me", "mia"]) == exits.DONE
    assert main([*words, "new", "mail", "--kind", "cost"]) == exits.DONE
    assert main([*words, "role", "P-001", "driver", "mia"]) == exits.DONE
    capsys.readouterr()
    with live_play.workers_here():
        assert main([*words, "import", "P-001", str(exported)]) == exits.DONE, capsys.readouterr().err
    said = capsys.readouterr()
    assert "a gateway's student answered" in said.out + said.err or not by_student
    project = Project.open(path)
    (row,) = project.dossier(1).traffic
    rows = list(traffic.rows([project.artifacts.path(row.artifact)]))
    captured = [each for each in rows if str(each.get("group", "")).startswith("customer-")]
    assert len(captured) == 30 and {each["teacher_output"] for each in captured} == {"money", "post"}
    assert not any("it fails" in str(each["input"]) for each in rows) and len(rows) == 34 - len(by_student)
    project.close()
