"""A paid teacher's work as files: what a provider takes, and what its results become, once."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rounds import batches
from distill_tui.rules import data
from distill_tui.rules.results import LabelResult, decode
from distill_tui.runs.executors import local
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers import cache
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import RunStatus, TeacherSource
from support import data_runs, data_stage
from support.intake import MIA

INPUTS = [f"ticket number {n}" for n in range(10)]
PRICES = {"price_in": "1", "price_out": "4"}


def described(url: str = "https://api.openai.com/v1") -> Described:
    return Described(TeacherSource.ENDPOINT, "big", ("bill", "parcel"), TEMPLATES[TeacherSource.ENDPOINT], url)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = data_stage.with_traffic(tmp_path, ({"text": text} for text in INPUTS), name="tickets")
    actions.set_teacher(made, 1, MIA, described())
    return made


def exported(project: Project, out: Path, **more: Any) -> tuple[batches.Exported, list[dict[str, Any]]]:
    made = batches.export(project.artifacts, project.dossier(1), out, **more)
    return made, [json.loads(line) for path in made.files for line in path.read_text().splitlines()]


def result(request: dict[str, Any], said: str = "parcel", status: int = 200) -> dict[str, Any]:
    body = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "big-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said},
                     "logprobs": {"content": [{"token": "par", "logprob": -0.1, "top_logprobs": [
                         {"token": "par", "logprob": -0.1}, {"token": "bill", "logprob": -2.4}]}]}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
    }  # fmt: skip
    response = {"status_code": status, "request_id": "r", "body": body if status == 200 else {}}
    return {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}


def taken(project: Project, path: Path, *results: dict[str, Any]) -> LabelResult:
    path.write_text("".join(json.dumps(each) + "\n" for each in results))
    run = actions.label_results(project, 1, MIA, path, PRICES, start=data_runs.here)
    found = project.dossier(1).run(run)
    assert found is not None
    return decode(LabelResult, found.result)


def test_requests_are_what_the_provider_takes_and_named_by_teacher_and_input(project: Project, tmp_path: Path) -> None:
    made, requests = exported(project, tmp_path / "batch.jsonl")
    assert made.requests == len(requests) == len({each["custom_id"] for each in requests}) == 10
    for each in requests:
        assert (each["method"], each["url"]) == ("POST", "/v1/chat/completions")
        assert len(each["custom_id"]) <= 64 and each["custom_id"].replace("-", "").isalnum()
        TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(each["body"])
    said = {each["body"]["messages"][0]["content"] for each in requests}
    assert said == {described().prompt(text) for text in INPUTS}
    manifest = json.loads((tmp_path / "batch.manifest.json").read_text())
    assert manifest["teacher"] == project.dossier(1).play.teacher_digest and list(manifest["files"]) == ["batch.jsonl"]
    _, anthropic = exported(project, tmp_path / "a.jsonl", shape="anthropic", again=True)
    assert set(anthropic[0]) == {"custom_id", "params"} and anthropic[0]["params"]["max_tokens"] == 16


def test_a_batch_over_the_limit_becomes_several_files(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(batches.MOST_REQUESTS, "openai", 4)
    made, requests = exported(project, tmp_path / "batch.jsonl")
    assert [each.name for each in made.files] == ["batch.jsonl", "batch-2.jsonl", "batch-3.jsonl"]
    assert len({each["custom_id"] for each in requests}) == 10


def test_results_come_once_in_any_order_and_what_failed_is_exported_again(project: Project, tmp_path: Path) -> None:
    _, requests = exported(project, tmp_path / "batch.jsonl")
    made, _ = exported(project, tmp_path / "none.jsonl")
    assert (made.requests, made.waiting) == (0, 10) and not (tmp_path / "none.jsonl").exists()
    good = [result(each, "parcel") for each in reversed(requests[:6])]
    bad, strange = [result(each, status=429) for each in requests[6:8]], result({"custom_id": "of-another-teacher"})
    first = taken(project, tmp_path / "r1.jsonl", *good[:3], *bad, strange, good[0])
    assert (first.new, first.missing, first.traffic) == (3, 7, ())
    reasons = {"error 429": 2, "answered before": 1, "the custom_id is of no input of this play and teacher": 1}
    assert dict(first.failed) == reasons and not data.labelled(project.dossier(1))
    second = taken(project, tmp_path / "r2.jsonl", *good)
    assert (second.new, second.cached, dict(second.failed)) == (3, 3, {"answered before": 3})
    made, again = exported(project, tmp_path / "batch2.jsonl")
    assert [each["custom_id"] for each in again] == [each["custom_id"] for each in requests[6:8]] and made.waiting == 2
    last = taken(project, tmp_path / "r3.jsonl", *(result(each, "bill") for each in requests[6:]))
    assert (last.new, last.missing) == (4, 0) and data.labelled(project.dossier(1))
    folder, teacher = project.artifacts.folder, project.dossier(1).play.teacher_digest
    answers = cache.answers(folder, teacher)
    assert len(answers) == 10 and {label for label, _ in answers.values()} == {"bill", "parcel"}
    shares = next(shares for label, shares in answers.values() if label == "parcel")
    assert shares is not None and shares[1] == pytest.approx(0.909, abs=0.01)


def test_a_batch_costs_half_where_the_provider_gives_it(project: Project, tmp_path: Path) -> None:
    _, requests = exported(project, tmp_path / "batch.jsonl")
    paid = taken(project, tmp_path / "r.jsonl", result(requests[0]))
    assert paid.money == Decimal("0.000054")  # half of 100 tokens at 1 and 2 at 4 a million
    assert cache.ledger(project.artifacts.folder, project.dossier(1).play.teacher_digest).money == paid.money
    assert batches.price_share(described("https://example.org/v1")) == 1
    with pytest.raises(ProjectError, match="--price-out"):
        actions.label_results(project, 1, MIA, tmp_path / "r.jsonl", {"price_in": "1"})


def test_results_of_anthropic_are_read_and_a_refusal_is_not_an_answer(project: Project, tmp_path: Path) -> None:
    actions.set_teacher(project, 1, MIA, described("https://api.anthropic.com/v1"))
    _, requests = exported(project, tmp_path / "batch.jsonl")
    message = {"type": "message", "role": "assistant", "model": "big-1", "stop_reason": "end_turn",
               "content": [{"type": "text", "text": "Parcel."}],
               "usage": {"input_tokens": 90, "output_tokens": 3}}  # fmt: skip
    good = {"custom_id": requests[0]["custom_id"], "result": {"type": "succeeded", "message": message}}
    empty = {
        "custom_id": requests[1]["custom_id"],
        "result": {"type": "succeeded", "message": message | {"content": []}},
    }
    gone = {"custom_id": requests[2]["custom_id"], "result": {"type": "expired"}}
    found = taken(project, tmp_path / "r.jsonl", good, empty, gone)
    assert (found.new, dict(found.failed)) == (1, {"the answer is empty": 1, "the batch request expired": 1})


def test_a_teacher_on_this_machine_has_no_batch(project: Project) -> None:
    dossier = project.dossier(1)
    local = replace(dossier, play=replace(dossier.play, teacher_source=TeacherSource.LOCAL))
    with pytest.raises(ValueError, match="for an endpoint"):
        batches.asked(project.artifacts, local)


CACHED = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102,
          "prompt_tokens_details": {"cached_tokens": 80}}  # fmt: skip
READ = {"input_tokens": 20, "output_tokens": 2, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 0}
WRITTEN = {"input_tokens": 20, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 80}


@pytest.mark.parametrize(
    ("url", "usage", "cached", "money"),
    [
        ("https://api.openai.com/v1", CACHED, 80, "0.000018"),  # half of 20 at 1, 80 at 0.1, 2 at 4
        ("https://api.anthropic.com/v1", READ, 80, "0.000018"),
        ("https://api.anthropic.com/v1", WRITTEN, 0, "0.000064"),  # half of 20 at 1, 80 at 1.25, 2 at 4
    ],
)
def test_tokens_from_the_providers_cache_have_a_price_of_their_own(
    project: Project, tmp_path: Path, url: str, usage: dict[str, Any], cached: int, money: str
) -> None:
    actions.set_teacher(project, 1, MIA, described(url))
    _, requests = exported(project, tmp_path / "batch.jsonl")
    done = result(requests[0])
    if usage is CACHED:
        done["response"]["body"]["usage"] = usage
    else:
        message = {"type": "message", "role": "assistant", "model": "big-1", "stop_reason": "end_turn",
                   "content": [{"type": "text", "text": "parcel"}], "usage": usage}  # fmt: skip
        done = {"custom_id": requests[0]["custom_id"], "result": {"type": "succeeded", "message": message}}
    (tmp_path / "r.jsonl").write_text(json.dumps(done) + "\n")
    prices = PRICES | {"price_cached": "0.1"}
    actions.label_results(project, 1, MIA, tmp_path / "r.jsonl", prices, start=data_runs.here)
    paid = cache.ledger(project.artifacts.folder, project.dossier(1).play.teacher_digest)
    assert (paid.tokens_in, paid.tokens_out, paid.cached, paid.money) == (100, 2, cached, Decimal(money))
    with pytest.raises(ValueError, match="price_cached is -1"):
        actions.label_results(project, 1, MIA, tmp_path / "r.jsonl", PRICES | {"price_cached": "-1"})


def test_a_teacher_that_writes_by_a_schema_asks_for_it_in_every_shape(project: Project, tmp_path: Path) -> None:
    schema = '{"type":"object","properties":{"queue":{"type":"string"}},"required":["queue"]}'
    writes = Described.chosen(TeacherSource.ENDPOINT, "big", "", "", "https://api.openai.com/v1", schema=schema)
    assert writes.problem() is None and Described.from_json(writes.to_json()) == writes
    assert (writes.read('{"queue": "a"}'), writes.read("queue a")) == ('{"queue": "a"}', None)
    assert "not JSON" in str(replace(writes, schema="{").problem())
    assert "writes its answers" in str(replace(writes, labels=("a", "b")).problem())
    shapes = {shape: json.loads(batches._request(writes, "c-1", "x", shape)) for shape in batches.SHAPES}
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(shapes["openai"]["body"])
    assert shapes["openai"]["body"]["response_format"]["json_schema"]["schema"] == json.loads(schema)
    assert shapes["anthropic"]["params"]["output_config"]["format"]["schema"] == json.loads(schema)


def test_a_worker_killed_while_it_takes_results_takes_each_of_them_once(project: Project, tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps({"text": f"more {n}"}) + "\n" for n in range(990)))
    data_runs.import_traffic(project, 1, MIA, more)
    _, requests = exported(project, tmp_path / "batch.jsonl")
    done = [result(each) for each in requests]
    path = tmp_path / "results.jsonl"
    lines = [json.dumps(each) + "\n" for each in done]
    path.write_text("".join([*lines[:400], *lines[:400] * 60, *lines[400:]]))  # the worker reads long in the middle
    run = actions.label_results(project, 1, MIA, path, PRICES)
    folder, teacher = project.artifacts.folder, project.dossier(1).play.teacher_digest
    until = time.monotonic() + 60
    while len(cache.answered(folder, teacher)) < 200 and time.monotonic() < until:
        time.sleep(0.01)
    found = project.dossier(1).run(run)
    assert found is not None and found.pid is not None
    os.kill(found.pid, signal.SIGKILL)
    while project.dossier(1).run(run).status is not RunStatus.LOST and time.monotonic() < until:  # type: ignore[union-attr]
        local.reap(project)
        time.sleep(0.05)
    before = len(cache.answered(folder, teacher))
    assert 200 <= before < 1000 and not data.labelled(project.dossier(1))
    assert main(["--project", str(project.path), "train", "resume", "P-001", "--wait"]) == 0
    paid = cache.ledger(folder, teacher)
    assert (paid.calls, paid.money) == (1000, 1000 * Decimal("0.000054")) and data.labelled(project.dossier(1))
    result_ = decode(LabelResult, project.dossier(1).run(run).result)  # type: ignore[union-attr]
    assert (result_.new, result_.cached, result_.missing) == (1000 - before, before, 0)
