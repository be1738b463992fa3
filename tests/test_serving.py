"""The gateway, by the vendor's own client and by hostile ones: what answers, what is recorded, what ends it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.types import Message, Receive, Scope, Send

from distill_tui import actions
from distill_tui.bundles import student as students_of
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import command, guard, server
from distill_tui.serving import served_log as logs
from distill_tui.serving import teacher as teachers
from distill_tui.serving.students import Answer, StudentGone, Students
from distill_tui.store import glance
from distill_tui.terms import KeptContent, PlayKind, ServingMode, TeacherFault
from support import gateway, real_play, served
from support.gateway import Gateway, serving
from support.teacher_server import TeacherServer

EVERY = ServeMode(ServingMode.CANARY, 100, audit_share=Decimal("0.001"))


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


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_play_without_a_mode_is_not_served(play: real_play.Play, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(gateway.free_port())
    assert main(["--project", str(play.path), "serve", "P-001", "--port", port]) == exits.BAD_INPUT
    assert "P-001 has no mode" in capsys.readouterr().err


def test_a_host_without_the_extra_reads_what_to_install(play: real_play.Play) -> None:
    program = "import sys\nsys.modules['starlette'] = None\nfrom distill_tui.cli.app import main\n"
    program += "sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "--project", str(play.path), "serve", "P-001"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == exits.BAD_INPUT and "pip install 'distill-tui[serve]'" in done.stderr


def test_other_machines_need_a_token_from_a_file_of_ones_own(play: real_play.Play, tmp_path: Path) -> None:
    one = gateway.of_play(play.path)
    with pytest.raises(ValueError, match="is reached from other machines"):
        server.made(server.Setup([one], host="0.0.0.0"), print)
    (tmp_path / "tokens").write_text("secret\n")
    (tmp_path / "tokens").chmod(0o644)
    with pytest.raises(ValueError, match="run chmod 600"):
        server.made(server.Setup([one], tokens=tmp_path / "tokens"), print)


def test_tokens_open_the_gateway_and_are_revoked_by_a_line(
    play: real_play.Play, teacher: TeacherServer, tmp_path: Path
) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    file = tmp_path / "tokens"
    file.write_text("of-the-shop\nof-the-app\n")
    file.chmod(0o600)
    with serving(gateway.of_play(play.path), teacher=teacher.url, tokens=file, key="sk-teacher") as found:
        ask = {"messages": [{"role": "user", "content": "a refund"}]}
        for header in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic of-the-app"}):
            for path in ("/health", "/metrics", "/v1/models"):
                assert found.http.get(path, headers=header).status_code == 401
            assert found.http.post("/v1/chat/completions", json=ask, headers=header).status_code == 401
        opened = {"authorization": "Bearer of-the-app"}
        assert found.http.post("/v1/chat/completions", json=ask, headers=opened).status_code == 200
        file.write_text("of-the-shop\n")
        assert found.http.post("/v1/chat/completions", json=ask, headers=opened).status_code == 401
    assert teacher.keys == ["Bearer sk-teacher"]


def test_tokens_of_the_environment_open_the_gateway(
    play: real_play.Play, teacher: TeacherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(guard.TOKENS, "of-the-shop, of-the-app")
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        assert found.http.get("/health").status_code == 401
        opened = {"authorization": "Bearer of-the-app", "host": "gateway.example"}
        assert found.http.get("/health", headers=opened).status_code == 200


def test_a_bundle_alone_needs_a_signer_that_is_known(play: real_play.Play, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(served.bundle_of(play))
    assert main(["serve", folder]) == exits.BAD_INPUT
    assert "name the key with --signer FINGERPRINT" in capsys.readouterr().err
    assert main(["serve", folder, "--signer", "SHA256:x", "--mode", "capture"]) == exits.BAD_INPUT


def test_a_bundle_of_another_signer_answers_nothing(play: real_play.Play, tmp_path: Path) -> None:
    one = command.bundle(served.bundle_of(play), "SHA256:of-someone-else", EVERY, tmp_path / "log")
    with serving(one) as found:
        answer = found.chat("a refund")
        assert answer.status_code == 503 and answer.headers["x-distill-route"] == "teacher"
        assert "is signed with" in found.health()["wrong"][0]


# --- what answers ----------------------------------------------------------------------------------------------------


def spoken(found: Gateway, text: str) -> list[str]:
    """What the vendor's client reads in its four ways, with nothing changed but the base URL."""
    chat, ask = found.openai.chat.completions, [{"role": "user", "content": text}]
    plain = chat.create(model="big", messages=ask)  # type: ignore[call-overload]
    chunks = chat.create(model="big", messages=ask, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    streamed = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    response = found.openai.responses.create(model="big", input=text, instructions="Answer with the topic.")
    with found.openai.responses.stream(model="big", input=text) as stream:
        last = stream.get_final_response()
    return [plain.choices[0].message.content, streamed, response.output_text, last.output_text]


@pytest.mark.parametrize("asked", [ServeMode(ServingMode.CAPTURE), EVERY], ids=["teacher", "student"])
def test_the_vendors_own_client_reads_both(play: real_play.Play, teacher: TeacherServer, asked: ServeMode) -> None:
    mode(play, asked)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        assert spoken(found, "please refund the invoice") == ["money"] * 4
        assert spoken(found, "where is my parcel") == ["post"] * 4
        assert [model.id for model in found.openai.models.list()] == ["P-001"]
        routes = {record["route"] for record in found.records("request")}
        assert routes == {"student" if asked is EVERY else "teacher"}
        assert len(found.records("request")) == 8
    assert bool(teacher.bodies) is (asked is not EVERY)


def test_a_students_reply_says_who_answered_and_how_sure(play: real_play.Play, tmp_path: Path) -> None:
    signer = play.project.dossier(1).sign_offs[-1].key
    one = command.bundle(served.bundle_of(play), signer, ServeMode(ServingMode.CASCADE), tmp_path / "log")
    with serving(one) as found:
        answer = found.chat("please refund the invoice")
        assert answer.headers["x-distill-route"] == "student"
        assert float(answer.headers["x-distill-confidence"]) > 0.9
        assert answer.headers["x-distill-bundle"].startswith("sha256:")
        question = {"type": "choice", "criteria": {"money": "", "post": ""}}
        typed = found.http.post("/v1/systemone", json={"state": "my parcel", "questions": {"topic": question}}).json()
        assert typed["answers"]["topic"]["choice"] == "post" and set(typed["answers"]["topic"]["probabilities"]) == {
            "money",
            "post",
        }
        choices = [{"value": "money"}, {"value": "post"}]
        ask = {"input": "my parcel", "questions": [{"type": "choice", "name": "topic", "choices": choices}]}
        decided = found.http.post("/v1/decisions", json=ask).json()["answers"][0]
        assert (decided["name"], decided["choice"]) == ("topic", "post")
        assert found.http.post("/predict", json={"inputs": "my parcel"}).json()[0]["label"] == "post"
        health = found.health()
        assert (health["status"], health["mode"], health["device"]) == ("ok", "cascade", "cpu")
        assert signer in health["signer"] and health["figures"]["routes"] == {"student": 4}


def test_a_canary_is_the_same_share_for_the_same_inputs(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, ServeMode(ServingMode.CANARY, 30))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        first, again = (
            [found.chat(f"refund {number}").headers["x-distill-route"] for number in range(200)] for _ in (1, 2)
        )
        assert first == again and 35 <= first.count("student") <= 85


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"messages": [{"role": "user", "content": "a refund"}], "tools": [{"type": "function"}]}, "tools"),
        ({"messages": [{"role": "user", "content": "a refund"}], "n": 3}, "several answers"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not text"),
        ({"messages": []}, "messages"),
        (
            {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}},
            "response format",
        ),
    ],
)
def test_what_is_not_of_the_plays_shape_goes_to_the_teacher_and_is_counted(
    play: real_play.Play, teacher: TeacherServer, body: dict[str, object], why: str
) -> None:
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        answer = found.http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200 and answer.headers["x-distill-route"] == "teacher"
        assert f'distill_not_for_student_total{{play="P-001",why="{why}"}} 1.0' in found.http.get("/metrics").text
        assert found.http.post("/v1/embeddings", json={"input": "x"}).json() == {
            "path": "/v1/embeddings",
            "echo": {"input": "x"},
        }


def test_other_instructions_than_those_captured_are_another_task(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:

        def ask(frame: str, number: int) -> str:
            messages = [{"role": "system", "content": frame}, {"role": "user", "content": f"a refund {number}"}]
            answer = found.http.post("/v1/chat/completions", json={"model": "big", "messages": messages})
            return str(answer.headers["x-distill-route"])

        assert {ask("Name the topic.", number) for number in range(60)} == {"teacher"}
        mode(play, EVERY)
        found.until(lambda: ask("Name the topic.", 1) == "student")
        assert ask("Translate this to French.", 1) == "teacher"


def test_several_plays_are_served_by_path_and_by_name(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, EVERY)
    second = actions.open_play(play.project, play.by("sam"), "mail-urgency", PlayKind.COST)
    actions.set_mode(play.project, second, play.by("sam"), ServeMode(ServingMode.CAPTURE))
    other = command.play(play.path, "P-002")
    with serving(gateway.of_play(play.path), other, teacher=teacher.url) as found:

        def asked(base: str, model: str) -> str:
            client = openai.OpenAI(base_url=f"{found.url}{base}/v1", api_key="sk-app", max_retries=0)
            ask: Any = [{"role": "user", "content": "please refund the invoice"}]
            raw = client.chat.completions.with_raw_response.create(model=model, messages=ask)
            return str(raw.headers["x-distill-route"])

        found.until(lambda: asked("/plays/P-001", "big") == "student")
        assert [asked("", model) for model in ("P-001", "mail-topic")] == ["student"] * 2
        assert [asked("", model) for model in ("P-002", "mail-urgency")] == ["teacher"] * 2
        assert asked("/plays/P-002", "P-001") == "teacher"  # the path decides
        assert {each["play"] for each in found.http.get("/health").json()["plays"]} == {"P-001", "P-002"}
        with pytest.raises(openai.NotFoundError, match="served: P-001, P-002"):
            asked("", "big")
        with pytest.raises(openai.NotFoundError):
            asked("/plays/P-003", "P-001")
    assert len([1 for _, each in logs.read(other.folder) if each["kind"] == "request"]) == 3


def test_the_shadow_is_unseen_and_recorded(play: real_play.Play, teacher: TeacherServer) -> None:
    teacher.wrong = True
    mode(play, ServeMode(ServingMode.SHADOW))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        answer = found.chat("please refund the invoice")
        assert answer.json()["choices"][0]["message"]["content"] == "post"
        assert "x-distill-confidence" not in answer.headers
        found.until(lambda: len(found.records("shadow")) == 1)
        assert found.records("shadow")[0]["student"] == "money"


def test_the_audit_channel_is_a_fixed_share_that_no_routing_touches(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    mode(play, ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.2")))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        for number in range(150):
            assert found.chat(f"refund number {number}").headers["x-distill-route"] == "student"
        wanted = {record["digest"] for record in found.records("request") if record["audited"]}
        found.until(lambda: len(found.records("audit")) == len(wanted))
        pairs = found.records("audit")
        assert {record["digest"] for record in pairs} == wanted and 15 <= len(wanted) <= 50
        assert all(record["teacher_output"] == record["student"] == "money" for record in pairs)
        assert len(teacher.bodies) == len(wanted)


# --- the teacher's faults --------------------------------------------------------------------------------------------

FAULTS = {"429": 429, "500": 500, "drop": 502, "half": 502, "not json": 502, "hang": 504}


@pytest.mark.parametrize("policy", TeacherFault)
def test_a_teacher_that_fails(play: real_play.Play, teacher: TeacherServer, policy: TeacherFault) -> None:
    asked = ServeMode(ServingMode.CANARY, 1, on_fault=policy)
    mode(play, asked)
    with serving(gateway.of_play(play.path), teacher=teacher.url, teacher_timeout=2.0, key="sk-secret") as found:
        texts = iter(f"refund number {number}" for number in range(1000))

        def of_teacher() -> str:
            return next(text for text in texts if _part_of(text) >= 20_000)

        for fault, status in FAULTS.items():
            for stream in (False, True):
                if stream and fault in ("half", "not json"):
                    continue
                teacher.plan = [fault]
                answer = found.chat(of_teacher(), stream=stream)
                if policy is TeacherFault.STUDENT:
                    assert (answer.status_code, answer.headers["x-distill-route"]) == (200, "fallback"), fault
                    assert "money" in answer.text
                else:
                    assert (answer.status_code, answer.headers["x-distill-route"]) == (status, "teacher"), fault
                    assert fault != "429" or answer.headers["retry-after"] == "7"
                assert "sk-secret" not in answer.text + str(answer.headers)
        assert found.chat(of_teacher()).status_code == 200
        routes = [record["route"] for record in found.records("request")]
        assert routes.count("fallback") == (10 if policy is TeacherFault.STUDENT else 0) and routes[-1] == "teacher"
        kept = b"".join(path.read_bytes() for path in found.folder.rglob("*") if path.is_file())
        assert b"sk-secret" not in kept and b"sk-of-the-application" not in kept
        assert "sk-secret" not in json.dumps(found.health()) + found.http.get("/metrics").text


def _part_of(text: str) -> int:
    from distill_tui.digests import digest_of
    from distill_tui.serving.request import part

    return part(digest_of(text), "canary P-001")


def test_a_teacher_whose_certificate_is_not_trusted_is_not_asked(
    play: real_play.Play, teacher: TeacherServer, tmp_path: Path
) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.secured(tmp_path)) as found:
        answer = found.chat("a refund")
        assert answer.status_code == 502 and "certificate cannot be verified" in answer.json()["error"]["message"]
        assert 'distill_teacher_faults_total{kind="certificate",play="P-001"} 1.0' in found.http.get("/metrics").text
    assert not teacher.bodies


def test_a_stream_that_is_cut_is_no_answer(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        teacher.plan = ["cut"]
        with pytest.raises(httpx.HTTPError):
            found.chat("a refund", stream=True)
        found.until(lambda: bool(found.records("request")))
        assert found.records("request")[0]["status"] == 499 and "teacher_output" not in found.records("request")[0]
        assert found.chat("a refund", stream=True).status_code == 200
        assert found.records("request")[1]["teacher_output"] == "money"


def test_without_a_teacher_and_a_student_there_is_an_error_that_clients_read(play: real_play.Play) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path)) as found:
        with pytest.raises(openai.InternalServerError, match="There is no teacher to ask"):
            spoken(found, "a refund")
        assert "There is no teacher: every request gets 503." in found.health()["wrong"]


# --- what ends a student's answers -----------------------------------------------------------------------------------


def routes_of(found: Gateway) -> str:
    return str(found.chat("please refund the invoice").headers["x-distill-route"])


def test_a_revoked_key_a_suspension_and_changed_bytes_end_it_within_a_second(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: routes_of(found) == "student")
        mode(play, ServeMode(ServingMode.SUSPENDED))
        assert found.until(lambda: routes_of(found) == "teacher") < 1
        mode(play, EVERY)
        assert found.until(lambda: routes_of(found) == "student") < 5
        file = served.bundle_of(play) / "model" / "tokenizer.json"
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content + b" ")
        assert found.until(lambda: routes_of(found) == "teacher") < 1
        found.until(lambda: "altered" in str(found.health()["wrong"]))
        found.until(lambda: bool((s := play.project.dossier(1).serving) and s.fell_back))
        assert glance.cards(play.path)[0].state == ("drift", "fell back to teacher")
        file.write_bytes(content)
        time.sleep(0.5)
        assert routes_of(found) == "teacher"  # only a person goes forward again
        mode(play, EVERY)
        found.until(lambda: routes_of(found) == "student")
        actions.revoke_key(play.project, play.by("vera"), play.project.dossier(1).sign_offs[-1].key)
        assert found.until(lambda: routes_of(found) == "teacher") < 1
        found.until(lambda: "is revoked" in str(found.health()["wrong"]))


def test_a_validator_who_objects_after_the_ship_ends_it_within_a_second(
    play: real_play.Play, teacher: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--project", str(play.path), "--key", str(play.key("vera")), "object", "P-001", "-m"]
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: routes_of(found) == "student")
        assert main([*words[:3], str(play.key("dan")), *words[4:], "I would rather not."]) == exits.REFUSED
        time.sleep(0.5)
        assert routes_of(found) == "student"
        assert main([*words, "It reads invoices as parcels."]) == exits.DONE
        assert found.until(lambda: routes_of(found) == "teacher") < 1
        found.until(lambda: "It reads invoices as parcels." in str(found.health()["wrong"]))
        found.until(lambda: bool((s := play.project.dossier(1).serving) and s.fell_back))
        assert glance.cards(play.path)[0].state == ("drift", "vera objects")
        with pytest.raises(Refused, match="objects"):  # nor does a person go forward over an objection
            mode(play, EVERY)
        assert main([*words, "It was my mistake.", "--lift"]) == exits.DONE
        time.sleep(0.5)
        assert routes_of(found) == "teacher"  # lifted, but only a person goes forward
        mode(play, EVERY)
        found.until(lambda: routes_of(found) == "student")


def test_a_bundle_alone_whose_bytes_change_stops_answering(play: real_play.Play, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(served.bundle_of(play), tmp_path / "bundle"))
    one = command.bundle(folder, play.project.dossier(1).sign_offs[-1].key, EVERY, tmp_path / "log")
    with serving(one) as found:
        assert found.chat("a refund").status_code == 200
        (folder / "model" / "config.json").write_text("{}")
        assert found.until(lambda: found.chat("a refund").status_code == 503) < 1
        found.until(lambda: "model/config.json was changed" in str(found.health()["wrong"]))


async def test_a_student_that_is_ready_before_its_gateway_looks_answers(play: real_play.Play) -> None:
    students = Students(students_of.read(served.bundle_of(play)), 1)
    starting = asyncio.create_task(students.start())
    while not students._running:
        await asyncio.sleep(0)
        time.sleep(0.05)  # the event loop stands still, as on a machine that is overloaded
    time.sleep(5)
    await asyncio.wait_for(starting, 30)
    assert (await asyncio.wait_for(students.ask("a refund"), 10)).text in students.labels
    await students.close()


async def test_a_request_under_way_is_not_lost_where_the_next_stand_interrupts_the_end_of_a_student(
    play: real_play.Play,
) -> None:
    students = Students(students_of.read(served.bundle_of(play)), 1)
    await students.start()
    asked = [asyncio.create_task(students.ask(f"a refund {number}")) for number in range(40)]  # more than one batch
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ending = asyncio.create_task(students.close())
    await asyncio.sleep(0)
    ending.cancel()
    found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
    assert all(isinstance(each, StudentGone | Answer) for each in found)
    assert any(isinstance(each, StudentGone) for each in found)
    await students.close()


# --- limits and hostile clients --------------------------------------------------------------------------------------


def raw(found: Gateway, content: bytes, seconds: float = 5.0, *, shut: bool = False) -> bytes:
    """Send bytes and return what comes back until the gateway closes, or the time is over."""
    with socket.create_connection(("127.0.0.1", found.port), timeout=seconds) as line:
        line.sendall(content)
        if shut:
            line.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


LAST = b"connection: close\r\n"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
HOSTILE = {
    "not JSON": (HEAD + b"content-length: 3\r\nconnection: close\r\n\r\n{{{", b"400"),
    "deep JSON": (HEAD + b"content-length: 50000\r\nconnection: close\r\n\r\n" + b"[" * 50_000, b"400"),
    "a huge body that is announced": (HEAD + b"content-length: 99999999\r\n\r\n", b"413"),
    "a huge body in chunks": (
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 65536 + b"\r\n",
        b"413",
    ),
    "a negative length": (HEAD + b"content-length: -5\r\n\r\n", b"400"),
    "two lengths": (HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n{} ", b"400"),
    "length and chunks": (HEAD + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    "a chunk size that lies": (HEAD + b"transfer-encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n", b"400"),
    "a head without end": (HEAD + b"x: y", b"408"),
    "a body that does not come": (HEAD + b"content-length: 10\r\n\r\n{", b"408"),
    "a huge head": (HEAD + b"x: " + b"y" * 100_000, b"431"),
    "the page of another site": (HEAD + b"origin: https://evil.example\r\n" + LAST + b"\r\n", b"403"),
    "a name that is pointed here": (b"GET /v1/files HTTP/1.1\r\nhost: evil.example:8080\r\n" + LAST + b"\r\n", b"403"),
    "a blank before the colon": (HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n", b"400"),
    "an encoding that is not one": (HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", b"400"),
    "two encodings": (HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", b"400"),
    "an encoding after chunks": (HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", b"400"),
    "a length with a sign": (HEAD + b"content-length: +3\r\n\r\n{} ", b"400"),
    "a list of lengths": (HEAD + b"content-length: 3, 3\r\n\r\n{} ", b"400"),
    "a length in hex": (HEAD + b"content-length: 0x3\r\n\r\n{} ", b"400"),
    "one length twice": (HEAD + b"content-length: 3\r\ncontent-length: 3\r\n\r\n{} ", b"400"),
    "a folded header": (HEAD + b"x: a\r\n content-length: 50\r\ncontent-length: 3\r\n\r\n{} ", b"400"),
    "a line that ends in LF": (b"POST /v1/x HTTP/1.1\nhost: localhost\ncontent-length: 3\n\n{} ", b"400"),
    "NUL in a header": (HEAD + b"x: a\x00b\r\ncontent-length: 3\r\n\r\n{} ", b"400"),
    "CR in a header": (HEAD + b"x: a\rcontent-length: 50\r\ncontent-length: 3\r\n\r\n{} ", b"400"),
    "a chunk without end": (HEAD + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}", b"400"),
    "a chunk of minus three": (HEAD + b"transfer-encoding: chunked\r\n\r\n-3\r\n{} \r\n0\r\n\r\n", b"400"),
    "a line without a colon": (HEAD + b"broken\r\ncontent-length: 3\r\n\r\n{} ", b"400"),
    "two hosts": (b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n" + LAST + b"\r\n", b"403"),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n", b"400"),
    "out of the path in hex": (
        b"POST /v1/%2e%2e/admin HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"400",
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    "out of the path": (
        b"POST /v1/../admin HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"400",
    ),
}


def test_hostile_clients_get_a_clean_error_and_the_next_request_is_served(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    mode(play, EVERY)
    limits = guard.Limits(body=60_000, seconds=0.5)
    with serving(gateway.of_play(play.path), teacher=teacher.url, limits=limits) as found:
        found.until(lambda: routes_of(found) == "student")
        for name, (content, status) in HOSTILE.items():
            answer = raw(found, content)
            line = answer.split(b"\r\n", 1)[0]
            assert line.startswith(b"HTTP/1.1 " + status), (name, answer[:200])
            assert routes_of(found) == "student", name
        assert all(path == "/v1/chat/completions" for path in teacher.paths)  # no smuggled request arrived
        assert raw(found, HEAD + b"content-length: 50\r\n\r\n{", shut=True)[:12] in (b"", b"HTTP/1.1 408")
        idle = [socket.create_connection(("127.0.0.1", found.port)) for _ in range(100)]
        assert routes_of(found) == "student"
        for line in idle:
            line.close()


def test_more_requests_than_it_takes_are_sent_away_counted_and_the_next_is_served(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    teacher.delay = 1.0
    with serving(gateway.of_play(play.path), teacher=teacher.url, limits=guard.Limits(at_once=4)) as found:

        def ask(number: int) -> httpx.Response:
            body = {"model": "big", "messages": [{"role": "user", "content": f"a refund {number}"}]}
            return httpx.post(f"{found.url}/v1/chat/completions", json=body, timeout=20)

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(ask, range(12)))
        away = [each for each in answers if each.status_code == 503]
        assert len(away) >= 4 and all(each.json()["error"]["code"] == "busy" for each in away)
        assert {each.headers["retry-after"] for each in away} == {"1"}
        assert f'distill_refused_total{{why="busy"}} {len(away)}.0' in found.http.get("/metrics").text
        teacher.delay = 0.0
        assert ask(99).status_code == 200
        assert len(found.records("request")) == 13 - len(away)  # each that was taken is in the log


async def test_a_client_that_does_not_take_its_reply_holds_no_place() -> None:
    """The guard itself, with a connection that takes nothing, as one whose buffers are full."""
    refused: list[str] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    async def body() -> Message:
        return {"type": "http.request", "body": b"{}"}

    one = guard.Guard(answers, guard.Tokens(None), guard.Limits(seconds=0.05, at_once=1), refused.append)
    for _ in range(3):
        await one({"type": "http", "path": "/v1/models", "headers": []}, body, never)
    assert refused == ["slow"] * 3  # none was sent away as busy


def test_an_answer_of_the_teacher_that_does_not_end_is_broken_off(
    play: real_play.Play, teacher: TeacherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "LONGEST_REPLY", 20)
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        answer = found.chat("a refund")
        assert answer.status_code == 502 and "longer than 20 bytes" in answer.json()["error"]["message"]
        assert found.records("request")[-1]["why"] == "too long"


# --- the served log --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", KeptContent)
def test_the_log_keeps_what_the_policy_says(play: real_play.Play, teacher: TeacherServer, content: KeptContent) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE, content=content))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.chat("refund to DE89370400440532013000, ana@example.org")
        (record,) = found.records("request")
        if content is KeptContent.FULL:
            assert record["input"] == "refund to DE89370400440532013000, ana@example.org"
        elif content is KeptContent.SCRUBBED:
            assert record["input"] == "refund to [bank account], [mail address]"
        else:
            assert not {"input", "teacher_output"} & set(record)
        assert record["digest"].startswith("sha256:") and record["cost"] == "0.0024"
        kept = b"".join(path.read_bytes() for path in found.folder.rglob("*") if path.is_file())
        assert (b"ana@example.org" in kept) is (content is KeptContent.FULL)


def test_a_second_gateway_does_not_write_into_the_same_log(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, ServeMode(ServingMode.CAPTURE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        words = ["--project", str(play.path), "serve", "P-001", "--teacher", teacher.url]
        with gateway.process(*words[3:], folder=found.folder, env={"DISTILL_PROJECT": str(play.path)}, fails=True) as (
            _,
            other,
        ):
            assert other.wait(30) == exits.BAD_INPUT
            assert other.stderr is not None and "Another gateway serves P-001" in other.stderr.read()


def test_every_acknowledged_request_is_in_the_log_after_a_kill(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, EVERY)
    folder = logs.folder_of(play.path, "P-001")
    acknowledged: list[str] = []
    for kill in range(1):
        words = ("P-001", "--teacher", teacher.url)
        with gateway.process(*words, folder=folder, env={"DISTILL_PROJECT": str(play.path)}) as (found, running):
            stop = threading.Event()

            def client(name: int, found: Gateway = found, stop: threading.Event = stop, kill: int = kill) -> None:
                with httpx.Client(base_url=found.url, timeout=5) as http:
                    for number in range(100_000):
                        text = f"refund {kill} {name} {number}"
                        try:
                            http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": text}]})
                        except httpx.HTTPError:
                            return
                        acknowledged.append(text)
                        if stop.is_set():
                            return

            clients = [threading.Thread(target=client, args=(name,)) for name in range(4)]
            for each in clients:
                each.start()
            found.until(lambda: len(acknowledged) > 10, 60)
            running.kill()
            for each in clients:
                each.join()
    logged = {record["input"] for _, record in logs.read(folder)}
    assert len(acknowledged) > 10 and set(acknowledged) <= logged


def test_a_full_disk_stops_the_record_and_not_the_answers(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, EVERY)
    folder = logs.folder_of(play.path, "P-001")
    env = {"DISTILL_PROJECT": str(play.path)}
    with gateway.process("P-001", "--teacher", teacher.url, folder=folder, env=env, file_limit=20_000) as (found, _):
        found.until(lambda: routes_of(found) == "student")
        for _ in range(100):
            assert found.chat("a refund").status_code == 200
        health = found.health()
        assert health["unlogged"] > 30 and "cannot be written" in str(health["wrong"])
        assert 'distill_unlogged_total{play="P-001"}' in found.http.get("/metrics").text
        found.until(lambda: " unlogged" in glance.cards(play.path)[0].served, 30)
        sizes = [path.stat().st_size for path in logs.segments(folder)]
        assert sizes and max(sizes) <= 20_000
        assert all(path.read_bytes().endswith(b"\n") for path in logs.segments(folder) if path.stat().st_size)
    assert len([1 for _ in logs.read(folder)]) + health["unlogged"] >= 100


def test_a_half_record_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    log = logs.ServedLog(tmp_path)
    assert log.write({"n": 1}) and log.write({"n": 2})
    log.close()
    path = logs.segments(tmp_path)[0]
    path.write_bytes(path.read_bytes() + b'{"n": 3')
    assert [record["n"] for _, record in logs.read(tmp_path)] == [1, 2]
    log = logs.ServedLog(tmp_path)
    log.write({"n": 4})
    log.close()
    assert path.read_bytes().endswith(b"}\n")
    places = list(logs.read(tmp_path))
    assert [record["n"] for _, record in places] == [1, 2, 4]
    assert [record["n"] for _, record in logs.read(tmp_path, places[0][0])] == [2, 4]


# --- a student's process ---------------------------------------------------------------------------------------------


def test_a_student_process_that_dies_is_started_again_and_no_request_is_lost(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    import psutil

    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: routes_of(found) == "student")
        alive = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
        mine = [each for each in alive if "student_process" in " ".join(each.cmdline())]
        assert len(mine) == 1
        mine[0].kill()
        answers = [found.chat(f"refund {number}").status_code for number in range(20)]
        assert set(answers) == {200}
        found.until(lambda: found.health()["restarts"] == 1 and routes_of(found) == "student")
