"""Logs of model calls as the tools write them: every shape, every trap, and no row that is lost without a reason."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import random
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.dataset import build, frozen, opening, traffic
from distill_tui.dataset.audit import privacy
from distill_tui.dataset.opening import BadInput
from distill_tui.dataset.previews import preview
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, column_names, guess_mapping, read_rows
from distill_tui.dataset.split import SplitRule
from distill_tui.dataset.traces import call_mapping, otel, proposal, stored_completions, stream
from distill_tui.dataset.traces.call import Call
from distill_tui.dataset.traces.call_mapping import (
    DEFAULT,
    CallMapping,
    NotMapped,
    Take,
    answer_of,
    input_of,
    input_of_request,
)
from distill_tui.dataset.traces.messages import Message, ToolCall, messages_of
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import Reject
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role
from distill_tui.text import PAIR
from distill_tui.ui.forms import calls as sheet
from support import data_runs
from support import traces as logs
from support.intake import MIA, MINE

# one form of a message

TICKET = "Where is my parcel?"


@pytest.mark.parametrize(
    "written",
    [
        [{"role": "user", "content": TICKET}],
        [{"role": "user", "content": [{"type": "text", "text": TICKET}]}],
        [{"role": "user", "content": [{"text": TICKET}]}],
        [{"role": "user", "parts": [{"type": "text", "content": TICKET}]}],
        [{"role": "user", "parts": [{"text": TICKET}]}],
        [{"from": "human", "value": TICKET}],
        [{"message.role": "user", "message.content": TICKET}],
        [{"message.role": "user", "message.contents": [
            {"message_content.type": "text", "message_content.text": TICKET}]}],
        [[{"type": "human", "content": TICKET}]],
        [{"lc": 1, "type": "constructor", "id": ["x", "HumanMessage"], "kwargs": {"content": TICKET}}],
        [["human", TICKET]],
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": TICKET}]}],
        TICKET,
    ],
)  # fmt: skip
def test_a_message_is_the_same_however_a_tool_writes_it(written: object) -> None:
    assert messages_of(written) == messages_of(json.dumps(written) if written != TICKET else written)
    assert messages_of(written) == (Message("user", TICKET),)


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": None, "tool_calls": [
            {"function": {"name": "f", "arguments": '{"label":"a"}'}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"label": "a"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"label": "a"}}}]},
        {"role": "assistant", "content": [{"toolUse": {"name": "f", "input": {"label": "a"}}}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"label": "a"}}]},
        {"message.role": "assistant", "message.tool_calls": [
            {"tool_call.function.name": "f", "tool_call.function.arguments": '{"label":"a"}'}]},
        {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"label": "a"}}]},
        {"type": "function_call", "name": "f", "arguments": '{"label":"a"}'},
    ],
)  # fmt: skip
def test_a_tool_call_answers_with_its_arguments(answer: dict[str, object]) -> None:
    (message,) = messages_of([answer])
    assert message.role == "assistant"
    assert answer_of(message) == '{"label":"a"}'
    assert answer_of(message, CallMapping(answer="$.label")) == "a"
    assert answer_of(message, CallMapping(answer="tool-name")) == "f"


# the mapping

CHAT = (
    Message("system", "Name the queue."),
    Message("user", "Hello"),
    Message("assistant", "Hi"),
    Message("user", "Ticket:\nWhere is my parcel?\nAnswer with one word."),
)


@pytest.mark.parametrize(
    ("mapping", "made"),
    [
        (CallMapping(), f"user: Hello\nassistant: Hi\nuser: {CHAT[3].text}"),
        (CallMapping(Take.LAST_USER), CHAT[3].text),
        (CallMapping(Take.USER_TURNS), f"Hello\n\n{CHAT[3].text}"),
        (CallMapping(Take.LAST_USER, system=True), f"system: Name the queue.\nuser: {CHAT[3].text}"),
        (CallMapping(Take.LAST_USER, after="Ticket:\n", before="\nAnswer with"), TICKET),
        (CallMapping(Take.LAST_USER, pattern=r"Ticket:\s*(.*?)\nAnswer"), TICKET),
        (CallMapping(Take.LAST_USER, pattern=r"(?P<a>\w+) is my (?P<b>\w+)", template="{b} / {a}"), "parcel / Where"),
    ],
)
def test_the_mapping_chooses_messages_and_cuts_them(mapping: CallMapping, made: str) -> None:
    assert input_of(CHAT, mapping) == made
    assert CallMapping.read(mapping.to_json()) == mapping


def test_several_fields_become_one_input_by_the_template() -> None:
    mapping = CallMapping(Take.LAST_USER, template="{title}\n\n{body}")
    body = {"messages": [{"role": "user", "content": '{"title": "Parcel {body}", "body": "Lost", "id": 7}'}]}
    assert input_of_request(body, mapping) == "Parcel {body}\n\nLost"
    nested = {"ticket": {"title": "Lost", "tags": ["a", "b"]}, "$.odd": 1}
    body = {"messages": [{"role": "user", "content": json.dumps(nested)}]}
    inside = CallMapping(Take.LAST_USER, template="{$.ticket.title}: {$.ticket.tags[1]}")
    assert inside.problem() is None and input_of_request(body, inside) == "Lost: b"
    with pytest.raises(NotMapped, match=r"the field \$.ticket.none is missing"):
        input_of_request(body, CallMapping(template="{$.ticket.none}"))


def test_a_path_into_a_tables_column_is_a_field_of_the_template(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"ticket": {"title": "Lost", "body": "It is"}, "n": 7}])
    mapping = ColumnMapping(input="{$.ticket.title} {n}: {$.ticket.body}")
    assert mapping.columns() == ["ticket", "n"]
    (row,) = read_rows(path, mapping)
    assert isinstance(row, TrafficRow) and row.input == "Lost 7: It is"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "x"}]},
        {"system": "S", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"instructions": "S", "input": "x"},
        {"instructions": "S", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]},
        {"systemInstruction": {"parts": [{"text": "S"}]}, "contents": [{"role": "user", "parts": [{"text": "x"}]}]},
        {"system": [{"text": "S"}], "messages": [{"role": "user", "content": [{"text": "x"}]}]},
    ],
)
def test_a_request_makes_the_same_input_in_every_wire_format(body: dict[str, object]) -> None:
    assert input_of_request(body) == "x"
    assert input_of_request(body, CallMapping(system=True)) == "system: S\nuser: x"


@pytest.mark.parametrize(
    ("mapping", "messages", "reason"),
    [
        (CallMapping(), (Message("system", "S"),), "no message of a user"),
        (CallMapping(after="Ticket:"), (Message("user", "Hello"),), "does not hold “Ticket:”"),
        (CallMapping(after="b", before="a"), (Message("user", "a x b"),), "does not hold “a”"),
        (CallMapping(pattern="(x)"), (Message("user", "y"),), "does not match the pattern"),
        (CallMapping(template="{title}"), (Message("user", '{"body": "b"}'),), "the field title is missing"),
        (CallMapping(template="{title}"), (Message("user", "plain"),), "not JSON"),
        (CallMapping(), (Message("user", "look", other="image_url"),), "“image_url”, which is not text"),
        (CallMapping(after="Ticket:"), (Message("user", "Ticket:  "),), "the input is empty"),
    ],
)
def test_a_call_of_another_shape_is_rejected_with_the_reason(
    mapping: CallMapping, messages: tuple[Message, ...], reason: str
) -> None:
    with pytest.raises(NotMapped, match=reason):
        input_of(messages, mapping)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({"pattern": "("}, "not a regular expression"),
        ({"pattern": "x"}, "has no group"),
        ({"pattern": "(x)(y)"}, "several groups"),
        ({"template": "none"}, "no {field}"),
        ({"answer": "label"}, "not a path"),
        ({"version": 2}, "has version 2"),
        ({"take": "first"}, "cannot be read"),
        ({"pattern": "(x)", "after": "y"}, "either"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_when_it_is_read(mapping: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CallMapping.read(json.dumps(mapping))


# every tool

TIME = datetime(2026, 11, 24, 13, 0, 0, 250_000, tzinfo=UTC)
SECOND = TIME.replace(microsecond=0)
WHOLE = {"input": TICKET, "teacher_output": "delivery", "tokens_in": 21, "tokens_out": 2, "model": logs.MODEL}
COST = Decimal("0.00021")


def jsonl(path: Path, records: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read(source: Path | Sequence[Path], calls: CallMapping = DEFAULT, **more: str) -> list[TrafficRow | Reject]:
    return list(read_rows(source, guess_mapping(source), calls, **more))


def values(row: TrafficRow | Reject) -> dict[str, object]:
    assert isinstance(row, TrafficRow), row
    return {
        name: value for name, value in vars(row).items() if value not in (None, "") and name not in ("line", "file")
    }


def reasons(rows: Sequence[TrafficRow | Reject]) -> list[str]:
    return [row.reason for row in rows if isinstance(row, Reject)]


TOOLS: dict[str, tuple[object, dict[str, object]]] = {
    "Langfuse observations": (
        logs.langfuse(TICKET, "delivery"),
        {"segment": "mail", "group": "s-1", "time": TIME, "cost": COST, "latency_ms": 840.0},
    ),
    "LangSmith runs": (
        logs.langsmith(TICKET, "delivery"),
        {"segment": "mail", "group": "s-1", "time": TIME, "cost": COST, "latency_ms": 840.0},
    ),
    "OpenInference spans (Phoenix)": (
        logs.phoenix(TICKET, "delivery"),
        {"segment": "mail", "group": "s-1", "time": TIME, "cost": COST, "latency_ms": 840.0},
    ),
    "OpenTelemetry spans": (
        logs.otlp(logs.span(logs.genai(TICKET, "delivery"))),
        {"group": "s-1", "time": TIME, "latency_ms": 840.0},
    ),
    "LiteLLM spend logs": (
        logs.litellm(TICKET, "delivery"),
        {"segment": "mail", "group": "s-1", "time": TIME, "cost": COST, "latency_ms": 840.0},
    ),
    "Helicone requests": (
        logs.helicone(TICKET, "delivery"),
        {"segment": "mail", "group": "s-1", "time": TIME, "cost": COST, "latency_ms": 840.0},
    ),
    "Bedrock invocation log": (
        logs.converse(TICKET, "delivery"),
        {"group": "s-1", "time": TIME, "latency_ms": 840.0},
    ),
}


@pytest.mark.parametrize("kind", ["jsonl", "json", "pretty", "csv", "parquet"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_log_is_recognised_and_read_whole(tmp_path: Path, tool: str, kind: str) -> None:
    record, more = TOOLS[tool]
    assert isinstance(record, dict)
    path = tmp_path / f"log.{kind.replace('pretty', 'json')}"
    if kind == "parquet":
        flat = record if tool != "OpenTelemetry spans" else logs.span(logs.genai(TICKET, "delivery"))
        flat = {name: json.dumps(own) if own == {} else own for name, own in flat.items()}  # Parquet has no such type
        pq.write_table(pa.Table.from_pylist([flat]), path)
    elif kind == "csv":
        flat = record if tool != "OpenTelemetry spans" else logs.span(logs.genai(TICKET, "delivery"))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(flat))
            writer.writeheader()
            writer.writerow({n: json.dumps(own) if isinstance(own, dict | list) else own for n, own in flat.items()})
    elif kind == "jsonl":
        jsonl(path, [record])
    else:
        whole = record if "resourceSpans" in record else [record]
        path.write_text(json.dumps(whole, indent=2 if kind == "pretty" else None))
    assert [each.name for each in stream.recognise(path)] == [tool]
    (row,) = read(path)
    assert values(row) == WHOLE | more


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (logs.langfuse(TICKET, "x", model_parameters='{"temperature": 0.2, "tools": []}'), "temperature"),
        (logs.langsmith(TICKET, "x", extra={"invocation_params": {"temperature": 0.2}}), "temperature"),
        (logs.phoenix(TICKET, "x") | {"attributes.llm.invocation_parameters": '{"temperature": 0.2}'}, "temperature"),
        (logs.span(logs.genai(TICKET, "x") | {"gen_ai.request.temperature": "0.2"}), "temperature"),
        (logs.litellm(TICKET, "x", proxy_server_request={"body": {"messages": logs.chat(TICKET), "seed": 7}}), "seed"),
        (logs.helicone(TICKET, "x", request_body={"messages": logs.chat(TICKET), "reasoning_effort": "low"}),
         "reasoning_effort"),
        (logs.converse(TICKET, "x", input={"inputBodyJson": {
            "messages": [{"role": "user", "content": [{"text": TICKET}]}], "inferenceConfig": {"maxTokens": 9}}}),
         "maxTokens"),
    ],
)  # fmt: skip
def test_the_parameters_of_a_request_are_columns_and_never_gold(tmp_path: Path, record: object, name: str) -> None:
    path = jsonl(tmp_path / "x.jsonl", [record] * 40)
    assert f"parameters.{name}" in column_names(path)
    mapping = guess_mapping(path)
    assert mapping.gold in (None, "chat_gold")
    (row, *_) = read_rows(path, replace(mapping, segment=f"parameters.{name}"))
    wrong = isinstance(row, Reject) and "a label or a name is text or a whole number" in row.reason  # 0.2
    assert wrong or (isinstance(row, TrafficRow) and row.segment in ("0.2", "7", "low", "9"))


def test_tools_that_langfuse_keeps_apart_are_the_answer(tmp_path: Path) -> None:
    calls = json.dumps([{"id": "1", "name": "route", "arguments": '{"queue":"delivery"}', "type": "function"}])
    (row,) = read(jsonl(tmp_path / "x.jsonl", [logs.langfuse(TICKET, "", output=None, tool_calls=calls)]))
    assert isinstance(row, TrafficRow) and row.teacher_output == '{"queue":"delivery"}'


def test_whole_calls_in_otlp_log_records_are_read_and_single_messages_say_what_to_do(tmp_path: Path) -> None:
    whole = {
        "timeUnixNano": str(int(TIME.timestamp() * 1e6) * 1000),
        "traceId": "1",
        "spanId": "2",
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": [logs.attribute(name, value) for name, value in logs.genai(TICKET, "delivery").items()],
    }
    old = {
        "timeUnixNano": "1",
        "eventName": "gen_ai.user.message",
        "body": {"stringValue": "x"},
        "attributes": [logs.attribute("gen_ai.system", "openai")],
    }
    logged = {"resourceLogs": [{"scopeLogs": [{"logRecords": [whole, old]}]}]}
    (tmp_path / "x.json").write_text(json.dumps(logged))
    rows = read(tmp_path / "x.json")
    assert values(rows[0]) == WHOLE | {"group": "s-1", "time": TIME}
    said = "one message of a call (gen_ai.user.message), by the old convention; export events of whole calls, or spans"
    assert reasons(rows) == [said]


def test_openinference_over_otlp_and_content_on_an_event_are_read(tmp_path: Path) -> None:
    named = logs.genai(TICKET, "delivery")
    content = {name: named.pop(name) for name in list(named) if "messages" in name or "instructions" in name}
    event = {"name": "gen_ai.client.inference.operation.details",
             "attributes": [logs.attribute(name, value) for name, value in content.items()]}  # fmt: skip
    spans = [logs.span(logs.openinference(TICKET, "delivery")), logs.span(named, 2, events=[event])]
    rows = read(jsonl(tmp_path / "x.jsonl", [logs.otlp(*spans), logs.otlp(*spans)]))
    expected = WHOLE | {"group": "s-1", "time": TIME, "latency_ms": 840.0}
    assert [values(row) for row in rows] == [expected] * 4


def test_a_span_and_its_log_records_in_two_files_are_one_call(tmp_path: Path) -> None:
    calls = [logs.logged(TICKET, "delivery", n) for n in range(4)]
    spans = jsonl(tmp_path / "in" / "spans.jsonl", [logs.otlp(*(span for span, _ in calls[:3]))])
    events = jsonl(tmp_path / "in" / "logs.jsonl", [logs.otlp_logs(*(event for _, event in calls[1:]))])
    assert sorted(each.name for each in stream.recognise(tmp_path / "in")) == [
        "OpenTelemetry log records", "OpenTelemetry spans"]  # fmt: skip
    for source in (tmp_path / "in", [spans, events], [events, spans]):
        rows = read(source)
        alone = WHOLE | {"group": "s-1", "time": TIME}
        found = [values(row) for row in rows if isinstance(row, TrafficRow)]
        assert found == [alone | {"latency_ms": 840.0}] * 2 + [alone]
        assert sorted(reasons(rows)) == ["a log record, joined to its span"] * 2 + [otel.NO_CONTENT]
    report = traffic.import_traffic(tmp_path / "in", guess_mapping(tmp_path / "in"), tmp_path / "out.parquet")
    assert (report.rows, report.rejects, report.passed_over) == (3, 1, (("a log record, joined to its span", 2),))


def test_spans_and_log_records_in_one_file_are_both_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    span, event = logs.logged(TICKET, "delivery")
    path = jsonl(tmp_path / "x.jsonl", [logs.otlp(span), logs.otlp_logs(event)])
    rows = read(path)
    assert [row.teacher_output for row in rows if isinstance(row, TrafficRow)] == ["delivery"]
    assert reasons(rows) == ["a log record, joined to its span"]
    spans = [logs.otlp(logs.span(logs.genai(TICKET, "x"), n)) for n in range(90)]  # more than is looked at first
    monkeypatch.setattr(opening, "BOTH_WITHIN", 9)
    rows = read(jsonl(path, [*spans, logs.otlp_logs(event)]))
    cure = 'the file also holds "resourceLogs", which are not read: write them to their own file'
    assert len(rows) == 91 and reasons(rows) == [cure]


def test_the_messages_of_a_call_in_a_log_record_each_are_joined_to_its_span(tmp_path: Path) -> None:
    (span, events), (_, lonely) = logs.logged_apart(TICKET, "delivery", 1), logs.logged_apart("x", "y", 2)
    jsonl(tmp_path / "spans.jsonl", [logs.otlp(span)])
    jsonl(tmp_path / "logs.jsonl", [logs.otlp_logs(*events, *lonely[:1])])
    rows = read(tmp_path, CallMapping(system=True))
    assert [values(row) for row in rows if isinstance(row, TrafficRow)] == [
        WHOLE | {"input": f"system: {logs.SYSTEM}\nuser: {TICKET}", "group": "s-1", "time": TIME, "latency_ms": 840.0}
    ]
    joined = ["a log record, joined to its span"] * 3
    assert sorted(reasons(rows)) == [*joined, f"one message of a call (gen_ai.system.message), and {otel.NO_SPAN}"]


@pytest.mark.parametrize(
    ("left", "reason"),
    [("gen_ai.output.messages", "the log record has no answer"), ("gen_ai.input.messages", "has no question")],
)
def test_half_a_call_in_a_log_record_is_no_row_without_its_span(tmp_path: Path, left: str, reason: str) -> None:
    event: dict[str, Any] = logs.logged(TICKET, "delivery")[1]
    event["attributes"] = [each for each in event["attributes"] if each["key"] != left]
    path = jsonl(tmp_path / "logs.jsonl", [logs.otlp_logs(event)])
    assert [reason in each and otel.NO_SPAN in each for each in reasons(read(path))] == [True]
    named = logs.genai(TICKET, "delivery")
    other = logs.span({name: own for name, own in named.items() if "messages" not in name or name == left})
    rows = read([path, jsonl(tmp_path / "spans.jsonl", [logs.otlp(other)])])
    assert [row.teacher_output for row in rows if isinstance(row, TrafficRow)] == ["delivery"]
    assert reasons(rows) == ["a log record, joined to its span"]


def test_the_log_record_of_a_call_that_is_not_traffic_is_not_traffic_either(tmp_path: Path) -> None:
    span, event = logs.logged(TICKET, "delivery", status={"code": 2})
    jsonl(tmp_path / "a.jsonl", [logs.otlp_logs(event, event), logs.otlp_logs(event)])
    jsonl(tmp_path / "b.jsonl", [logs.otlp(span)])
    assert (
        sorted(reasons(read(tmp_path)))
        == ["the call failed (status error)"] + ["the log record of a call that is passed over"] * 3
    )
    jsonl(tmp_path / "b.jsonl", [logs.otlp(logs.logged(TICKET, "delivery")[0])])
    assert sorted(reasons(read(tmp_path))) == [
        "a log record, joined to its span", *["a second log record of the same call"] * 2]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        logs.stream("delivery"),
        {"type": "message", "role": "assistant", "model": logs.MODEL, "stop_reason": "end_turn",
         "content": [{"type": "text", "text": "delivery"}], "usage": {"input_tokens": 21, "output_tokens": 2}},
        [{"messageStart": {"role": "assistant"}},
         {"contentBlockDelta": {"delta": {"text": "deli"}, "contentBlockIndex": 0}},
         {"contentBlockDelta": {"delta": {"text": "very"}, "contentBlockIndex": 0}},
         {"messageStop": {"stopReason": "end_turn"}}],
        {"results": [{"outputText": "delivery", "completionReason": "FINISH"}], "inputTextTokenCount": 21},
        {"generation": "delivery", "stop_reason": "stop", "prompt_token_count": 21},
    ],
)  # fmt: skip
def test_a_streamed_answer_is_put_together(tmp_path: Path, body: object) -> None:
    (row,) = read(jsonl(tmp_path / "x.jsonl", [logs.invoke(TICKET, body)]))
    assert values(row) == WHOLE | {"group": "s-1", "time": TIME}


BATCHES = {"openai": logs.openai_batch, "anthropic": logs.anthropic_batch, "gemini": logs.gemini_batch}


@pytest.mark.parametrize("provider", BATCHES)
def test_batch_results_are_joined_to_their_requests_in_any_order(tmp_path: Path, provider: str) -> None:
    pairs = [BATCHES[provider](f"ticket {n}", f"queue {n}", n) for n in range(40)]
    requests = jsonl(tmp_path / "in" / "requests.jsonl", [request for request, _ in pairs])
    results = jsonl(tmp_path / "in" / "results.jsonl", [result for _, result in reversed(pairs[:-1])])
    rows = [row for row in read(tmp_path / "in") if isinstance(row, TrafficRow)]
    assert {row.input: row.teacher_output for row in rows} == {
        **{f"ticket {n}": f"queue {n}" for n in range(39)}, "ticket 39": None}  # fmt: skip
    assert read([requests, results]) == read(tmp_path / "in") == read(tmp_path / "in" / "*.jsonl")
    alone = reasons(read(results))
    assert len(alone) == 39 and "import the request file together" in alone[0]


def test_a_key_with_half_a_character_is_joined_too(tmp_path: Path) -> None:
    for name, record in zip("ab", logs.openai_batch(TICKET, "x"), strict=True):
        jsonl(tmp_path / f"{name}.jsonl", [record | {"custom_id": "\ud800"}])
    assert [row.teacher_output for row in read(tmp_path) if isinstance(row, TrafficRow)] == ["x"]


def test_stored_completions_are_joined_to_their_messages(tmp_path: Path) -> None:
    page = {"object": "list", "data": [logs.completion("delivery")], "first_id": "x", "has_more": False}
    (tmp_path / "page.json").write_text(json.dumps(page))
    jsonl(tmp_path / "messages.jsonl", [{"id": "chatcmpl-1", "messages": logs.chat(TICKET)}])
    rows = [row for row in read([tmp_path / "page.json", tmp_path / "messages.jsonl"]) if isinstance(row, TrafficRow)]
    assert [values(row) for row in rows] == [WHOLE | {"time": SECOND}]
    (alone,) = reasons(read(tmp_path / "page.json"))
    assert "fetch /chat/completions/{id}/messages" in alone


@pytest.mark.parametrize("written", ["compact", "pretty", "data first"])
def test_a_page_of_stored_completions_that_is_not_the_last_is_named_with_the_cure(tmp_path: Path, written: str) -> None:
    def put(name: str, page: dict[str, object]) -> None:
        whole = {"data": page["data"]} | page if written == "data first" else page
        (tmp_path / "in" / name).write_text(json.dumps(whole, indent=2 if written == "pretty" else None))

    (tmp_path / "in").mkdir()
    for n in range(2):
        put(f"{n}.json", logs.page([logs.completion("delivery", id_=f"chatcmpl-{n}")], more=True))
    jsonl(tmp_path / "in" / "messages.jsonl", [{"id": f"chatcmpl-{n}", "messages": logs.chat(TICKET)} for n in "0123"])
    (said,) = doubts(tmp_path / "in")
    assert said.startswith(
        "Stored completions: 2 pages are all followed by another (has_more: true). Fetch the next page"
    )
    assert len([row for row in read(tmp_path / "in") if isinstance(row, TrafficRow) and row.teacher_output]) == 2
    for last in ([logs.completion("delivery", id_="chatcmpl-3")], []):
        put("2.json", logs.page(last))
        assert doubts(tmp_path / "in") == ()
        answered = [row for row in read(tmp_path / "in") if isinstance(row, TrafficRow) and row.teacher_output]
        assert len(answered) == 2 + len(last)


def test_a_file_of_questions_has_no_rows_to_compare_with_those_of_the_answers(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    page = logs.page([logs.completion("delivery", id_=f"chatcmpl-{n}") for n in range(40)])
    (folder / "page.json").write_text(json.dumps(page))
    asked = [{"id": f"chatcmpl-{n}", "messages": logs.chat(f"text {n}")} for n in range(80)]
    jsonl(folder / "messages.jsonl", asked)
    rows = [row for row in read(folder) if isinstance(row, TrafficRow)]
    assert [len(rows), sum(row.teacher_output is None for row in rows)] == [80, 40], "some are inputs without an answer"
    assert doubts(folder) == ()


def doubts(source: Path) -> tuple[str, ...]:
    """Return what the preview and the import doubt, which is the same."""
    mapping = guess_mapping(source)
    report = traffic.import_traffic(source, mapping, source.parent / "out.parquet")
    look = preview(source, mapping)
    assert look.doubts == report.doubts
    shown = sheet.rows(sheet.Looked(source, look.columns, mapping, look, DEFAULT), DEFAULT)
    assert [text for text in shown[1:] if isinstance(text, tuple) and text[0] == "look"] == [
        ("look", doubt) for doubt in look.doubts
    ]
    return report.doubts


@pytest.mark.parametrize("more", [{}, {"id": "chatcmpl-1"}, {"completion_id": "chatcmpl-1"}])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_messages_of_a_stored_completion_are_read_as_the_call_returns_them(
    tmp_path: Path, more: dict[str, object], indent: int | None
) -> None:
    (tmp_path / "page.json").write_text(
        json.dumps(logs.page([logs.completion("delivery"), logs.completion("x", id_="chatcmpl-2")]))
    )
    pages = [logs.stored_messages(TICKET) | more, logs.stored_messages("cut", 2, more=True)]
    (tmp_path / "messages.jsonl").write_text("\n".join(json.dumps(page, indent=indent) for page in pages))
    rows = read(tmp_path)
    assert [values(row) for row in rows if isinstance(row, TrafficRow)] == [WHOLE | {"time": SECOND}]
    cut = stored_completions.CUT_OFF
    assert sorted(reasons(rows)) == [
        "a question, joined to its answer", "no question has the key of this answer (chatcmpl-2)", cut]  # fmt: skip


def test_a_persons_score_is_gold_and_a_judges_is_not(tmp_path: Path) -> None:
    def score(n: int, source: str, label: str | None, value: float | None = None) -> dict[str, object]:
        return {"id": f"sc-{n}", "trace_id": f"trace-{n}", "observation_id": f"obs-{n}", "name": "queue",
                "value": value, "string_value": label, "data_type": "CATEGORICAL", "source": source}  # fmt: skip

    jsonl(tmp_path / "observations_v2" / "a.jsonl", [logs.langfuse(f"t {n}", "delivery", n) for n in range(3)])
    scores = [score(0, "ANNOTATION", "refund"), score(1, "EVAL", "refund"), score(2, "ANNOTATION", None, 0.5)]
    jsonl(tmp_path / "scores" / "a.jsonl", scores)
    rows = read(tmp_path)
    assert [row.gold for row in rows if isinstance(row, TrafficRow)] == ["refund", None, None]
    assert sorted(reasons(rows)) == [
        "a person's label, joined to its call",
        "a person's rating in numbers, not a label",
        "a score by EVAL, not by a person",
    ]
    annotations = [
        {"span_id": "span-1", "annotation_name": "q", "annotator_kind": "HUMAN", "label": "refund"},
        {"span_id": "span-1", "annotation_name": "q", "annotator_kind": "LLM", "label": "other"},
    ]
    jsonl(tmp_path / "px" / "spans.jsonl", [logs.phoenix(TICKET, "delivery")])
    jsonl(tmp_path / "px" / "annotations.jsonl", annotations)
    assert [row.gold for row in read(tmp_path / "px") if isinstance(row, TrafficRow)] == ["refund"]


# chats in other clothes


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [{"from": "human", "value": TICKET}, {"from": "gpt", "value": "delivery"}]},
        {"prompt": logs.chat(TICKET), "completion": "delivery"},
        {"prompt": logs.chat(TICKET), "completion": [{"role": "assistant", "content": "delivery"}]},
        {"input": TICKET, "output": "delivery"},
        {"prompt": TICKET, "completion": "delivery"},
        {"request": {"instructions": "x", "input": [{"role": "user", "content": TICKET}]},
         "response": {"object": "response", "status": "completed", "output": [
             {"type": "reasoning", "summary": []},
             {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "delivery"}]}]}},
        {"request": {"system": "x", "messages": [{"role": "user", "content": [{"type": "text", "text": TICKET}]}]},
         "response": {"type": "message", "role": "assistant", "stop_reason": "end_turn", "content": [
             {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "delivery"}]}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_the_same_messages_in_other_clothes_are_the_same_row(
    tmp_path: Path, record: dict[str, object], kind: str
) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        jsonl(path, [record])
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(record))
            writer.writeheader()
            writer.writerow({n: own if isinstance(own, str) else json.dumps(own) for n, own in record.items()})
    (row,) = read(path)
    assert values(row) == {"input": TICKET, "teacher_output": "delivery"}


# traps


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (logs.langfuse(TICKET, "x", type="SPAN"), "not a model call (span)"),
        (logs.langfuse(TICKET, "x", level="ERROR"), "the call failed (level ERROR)"),
        (logs.langfuse(TICKET, "x", input=None), "no content: the observation has no input"),
        (logs.langsmith(TICKET, "x", run_type="chain"), "not a model call (chain)"),
        (logs.langsmith(TICKET, "x", error="429"), "the call failed (status error)"),
        (logs.phoenix(TICKET, "x", span_kind="RETRIEVER"), "not a model call (retriever)"),
        (logs.phoenix(TICKET, "x", status_code="ERROR"), "the call failed (status ERROR)"),
        (logs.otlp(logs.span({"gen_ai.operation.name": "execute_tool"})), "not a model call (execute_tool)"),
        (logs.otlp(logs.span({"http.method": "GET"})), "not a model call (no gen_ai attributes)"),
        (logs.otlp(logs.span({"gen_ai.operation.name": "chat"})), "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"),
        (logs.otlp(logs.span(logs.genai(TICKET, "x") | {"error.type": "429"})), "the call failed (429)"),
        (logs.litellm(TICKET, "x", proxy_server_request={}), "turn on store_prompts_in_spend_logs"),
        (logs.litellm("a (litellm_truncated skipped 90 chars) b", "x"), "cut in the middle by the proxy"),
        (logs.litellm(TICKET, "x", status="failure"), "the call failed (status failure)"),
        (logs.litellm(TICKET, "x", call_type="aembedding"), "not a model call (aembedding)"),
        (logs.helicone(TICKET, "x", response_status=429), "error 429"),
        (logs.helicone(TICKET, "x", request_body=None), "--include-body"),
        (logs.helicone(TICKET, "x", response_body=logs.completion("x", "length")), "the answer was cut off for length"),
        (logs.helicone(TICKET, "x", response_body=logs.completion("x", "content_filter")), "refused to answer"),
        (logs.converse(TICKET, "x", errorCode="ThrottlingException"), "error ThrottlingException"),
        (logs.converse(TICKET, "x", input={"inputTokenCount": 3}), "turn on text data delivery"),
        (logs.converse(TICKET, "x", input={"inputBodyS3Path": "s3://x"}), "in another object"),
        (logs.openai_batch(TICKET, "x")[1] | {"response": {"status_code": 429, "body": {}}}, "error 429"),
        (logs.openai_batch(TICKET, "x")[1] | {"response": None, "error": {"code": "expired"}}, "error expired"),
        (logs.anthropic_batch(TICKET, "x")[1] | {"result": {"type": "errored", "error": {"type": "overloaded"}}},
         "the batch request errored overloaded"),
        (logs.anthropic_batch(TICKET, "x")[1] | {"result": {"type": "expired"}}, "the batch request expired"),
    ],
)  # fmt: skip
def test_what_is_no_row_comes_with_its_reason(tmp_path: Path, record: object, reason: str) -> None:
    (found,) = read(jsonl(tmp_path / "x.jsonl", [record]))
    assert isinstance(found, Reject) and reason in found.reason


def test_a_cached_answer_has_no_latency_and_a_projects_id_is_no_group(tmp_path: Path) -> None:
    (row,) = read(jsonl(tmp_path / "a.jsonl", [logs.litellm(TICKET, "x", cache_hit="True")]))
    assert isinstance(row, TrafficRow) and row.latency_ms is None
    (row,) = read(jsonl(tmp_path / "b.jsonl", [logs.langsmith(TICKET, "x", extra={})]))
    assert isinstance(row, TrafficRow) and row.group is None


def test_langfuse_latency_is_never_the_field_whose_unit_changed(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", [logs.langfuse(TICKET, "x", latency=840), logs.langfuse(TICKET, "x", latency=0.84)]
    )
    assert [row.latency_ms for row in read(path) if isinstance(row, TrafficRow)] == [840.0, 840.0]


def test_of_several_models_one_is_the_teacher_and_the_others_are_counted(tmp_path: Path) -> None:
    records = [logs.litellm(f"t {n}", "x", n, response=logs.completion("x", model=f"big-{n % 2}")) for n in range(6)]
    rows = read(jsonl(tmp_path / "a.jsonl", records), answers_of="big-1")
    assert [row.model for row in rows if isinstance(row, TrafficRow)] == ["big-1"] * 3
    assert reasons(rows) == ["answered by big-0, not by big-1"] * 3


# compression, archives, folders


def packed(path: Path, how: str) -> Path:
    into = path.with_name(f"{path.name}.{how}")
    if how in ("zst", "lz4"):
        with pa.output_stream(str(into), compression={"zst": "zstd"}.get(how, how)) as out:
            out.write(path.read_bytes())
    elif how == "zip":
        with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, f"deep/{path.name}")
            archive.writestr("_SUCCESS", "")
    elif how.startswith("tar"):
        with tarfile.open(into, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[how]) as archive:
            archive.add(path, f"deep/{path.name}")
            archive.add(path, "_started")
    else:
        opened = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[how]
        with opened(into, "wb") as out:
            out.write(path.read_bytes())
    return into


@pytest.mark.parametrize("how", ["gz", "bz2", "xz", "zst", "lz4", "zip", "tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_packed_files_read_as_what_is_in_them(tmp_path: Path, how: str, kind: str) -> None:
    plain = [{"text": f"sentence {n}", "label": "ab"[n % 2]} for n in range(50)]
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        jsonl(path, plain)
    elif kind == "csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in plain))
    else:
        pq.write_table(pa.Table.from_pylist(plain), path)
    assert read(packed(path, how)) == read(path)
    assert len(read(path)) == 50 and not reasons(read(path))


@pytest.mark.parametrize("how", ["bz2", "xz", "zst", "lz4", "zip", "tar.gz"])
def test_a_damaged_archive_is_refused_in_one_sentence_and_not_read_short(tmp_path: Path, how: str) -> None:
    words = random.Random(3)
    path = jsonl(tmp_path / "x.jsonl", [{"text": "".join(words.choices("abcdef ", k=90))} for _ in range(3_000)])
    whole = packed(path, how)
    whole.write_bytes(whole.read_bytes()[:-2_000])
    with pytest.raises(BadInput, match="damaged") as refusal:
        read(whole)
    assert "\n" not in str(refusal.value) and str(tmp_path) not in str(refusal.value)


def test_a_folder_of_shards_is_one_source_and_a_reject_names_its_file(tmp_path: Path) -> None:
    for n in range(3):
        packed(jsonl(tmp_path / "day" / f"{n}.jsonl", [{"text": f"row {n}"}, {"text": ""}]), "gz")
        (tmp_path / "day" / f"{n}.jsonl").unlink()
    (tmp_path / "day" / "_SUCCESS").write_text("")
    (tmp_path / "day" / ".hidden.jsonl").write_text("not read")
    (tmp_path / "day" / "link.jsonl").symlink_to(tmp_path / "day" / "0.jsonl.gz")
    rows = read(tmp_path / "day")
    assert [row.input for row in rows if isinstance(row, TrafficRow)] == ["row 0", "row 1", "row 2"]
    assert [row.file for row in rows if isinstance(row, Reject)] == [f"{n}.jsonl.gz" for n in range(3)]
    assert read(tmp_path / "day" / "[02]*.gz") == [row for n, row in enumerate(rows) if n not in (2, 3)]
    digest = traffic.source_digest(tmp_path / "day")
    assert digest == traffic.source_digest(sorted((tmp_path / "day").glob("[0-9]*")))
    with pytest.raises(BadInput, match="No file matches"):
        read(tmp_path / "nothing*")


def test_a_json_text_that_ends_too_early_keeps_what_came_before(tmp_path: Path) -> None:
    whole = json.dumps(logs.otlp(*(logs.span(logs.genai(f"t {n}", "x"), n) for n in range(5))))
    (tmp_path / "x.json").write_text(whole[: len(whole) * 3 // 4])
    rows = read(tmp_path / "x.json")
    assert len([row for row in rows if isinstance(row, TrafficRow)]) == 3
    assert "what follows cannot be read" in reasons(rows)[0]


# nothing is lost silently

GOOD = [
    lambda n: logs.langfuse(f"t {n}", "x", n),
    lambda n: logs.litellm(f"t {n}", "x", n),
    lambda n: logs.helicone(f"t {n}", "x", n),
    lambda n: logs.converse(f"t {n}", "x", n),
    lambda n: logs.langsmith(f"t {n}", "x", n),
    lambda n: logs.phoenix(f"t {n}", "x", n),
    lambda n: {"messages": logs.chat(f"t {n}"), "choices": logs.completion("x")["choices"]},
    lambda n: logs.span(logs.genai(f"t {n}", "x"), n),
    lambda n: logs.span(logs.openinference(f"t {n}", "x"), n),
    lambda n: logs.invoke(f"t {n}", logs.stream("x"), n),
    lambda n: logs.gemini_batch(f"t {n}", "x", n)[1] | {"request": logs.gemini_batch(f"t {n}", "x", n)[0]["request"]},
]


def annotated(n: int) -> tuple[dict[str, object], dict[str, object]]:
    mark = {"span_id": f"span-{n}", "annotation_name": "q", "annotator_kind": "HUMAN", "label": "refund"}
    return mark, logs.phoenix(f"t {n}", "x", n)


def scored(n: int) -> tuple[dict[str, object], dict[str, object]]:
    mark = {"id": f"sc-{n}", "trace_id": f"trace-{n}", "observation_id": f"obs-{n}", "name": "queue", "value": None,
            "string_value": "refund", "data_type": "CATEGORICAL", "source": "ANNOTATION"}  # fmt: skip
    return mark, logs.langfuse(f"t {n}", "x", n)


def asked_and_stored(n: int) -> tuple[dict[str, object], dict[str, object]]:
    return {"id": f"chatcmpl-{n}", "messages": logs.chat(f"t {n}")}, logs.completion("x", id_=f"chatcmpl-{n}")


def logged(n: int) -> tuple[dict[str, object], dict[str, object]]:
    span, event = logs.logged(f"t {n}", "x", n)
    return event, span


def one_message(n: int) -> tuple[dict[str, object], dict[str, object]]:
    span, (_, asked, _) = logs.logged_apart(f"t {n}", "x", n)
    return asked, span


PAIRED: list[Callable[[int], tuple[dict[str, object], dict[str, object]]]] = [
    annotated,
    logged,
    one_message,
    scored,
    asked_and_stored,
    *(lambda n, make=make: make(f"t {n}", "x", n) for make in BATCHES.values()),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PAIRED),
    st.lists(st.tuples(st.sampled_from("01"), st.sampled_from("kdemnxtg"), st.integers(0, 9)), min_size=1, max_size=10),
)
def test_of_two_files_that_are_joined_every_record_is_a_row_or_has_a_reason(
    make: Callable[[int], tuple[dict[str, object], dict[str, object]]], harm: list[tuple[str, str, int]]
) -> None:
    """Break records on either side; leave one out ("g"), or write it twice ("t")."""
    files: tuple[list[str], list[str]] = ([json.dumps(make(0)[0])], [json.dumps(make(0)[1])])
    for n, (side, how, place) in enumerate(harm, 1):
        for at, record in enumerate(make(n)):
            name = sorted(record)[place % len(record)]
            if at == int(side):
                if how == "g":
                    continue
                if how == "d":
                    del record[name]
                elif how in "emn":
                    record[name] = {"e": "", "m": {"x": [["y"]]}, "n": None}[how]
            line = json.dumps(record)
            files[at].append(line[: -place - 1] if how == "x" and at == int(side) else line)
            if how == "t" and at == int(side):
                files[at].append(line)
    with tempfile.TemporaryDirectory() as folder:
        for at, lines in enumerate(files):
            (Path(folder) / f"{at}.jsonl").write_text("\n".join(lines) + "\n")
        mapping = guess_mapping(Path(folder))
        rows = list(read_rows(Path(folder), mapping))
        assert len(rows) == sum(map(len, files)) and all(reasons(rows))
        report = traffic.import_traffic(Path(folder), mapping, Path(folder) / "out.parquet")
    assert report.rows + report.rejects + sum(count for _, count in report.passed_over) == len(rows)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.sampled_from("kdefmnx"), st.text(max_size=8), st.integers(0, 9)), min_size=1, max_size=12),
)
def test_every_record_is_a_row_or_has_a_reason(make: Callable[[int], dict[str, object]], harm: list[Any]) -> None:
    """Break records in every place: no line is lost, whatever stands where a field was."""
    lines = [json.dumps(make(0))]
    for n, (how, text, place) in enumerate(harm, 1):
        record = make(n)
        name = sorted(record)[place % len(record)]
        if how == "d":
            del record[name]
        elif how in "efmn":
            record[name] = {"e": text, "f": [text, None, 7], "m": {text: {text: [text]}}, "n": None}[how]
        lines.append(json.dumps(record)[: -place - 1] if how == "x" else json.dumps(record))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_text("\n".join(lines) + "\n")
        mapping = guess_mapping(path)
        rows = list(read_rows(path, mapping))
        assert [row.line for row in rows] == list(range(1, len(lines) + 1))
        assert isinstance(rows[0], TrafficRow) and all(reasons(rows)[n] for n in range(len(reasons(rows))))
        report = traffic.import_traffic(path, mapping, Path(folder) / "out.parquet")
    assert report.rows + report.rejects + sum(count for _, count in report.passed_over) == len(lines)


# the proposal


def ticket_calls(n: int, wrap: Callable[[str], str], answer: Callable[[int], Message]) -> list[Call]:
    words = random.Random(5)
    texts = [
        " ".join(words.choices(["lost", "parcel", "money", "late", "bill", "again", "two"], k=6)) for _ in range(n)
    ]
    return [
        Call(messages=(Message("system", "S"), Message("user", wrap(text))), answer=answer(at))
        for at, text in enumerate(texts)
    ]


def said(text: str) -> Callable[[int], Message]:
    return lambda at: Message("assistant", text.format("ab"[at % 2]))


def test_fixed_text_of_a_prompt_is_found_and_is_not_part_of_the_input() -> None:
    prompt = "You sort tickets.\nQueues: a, b.\n\nTicket:\n{}\n\nAnswer with the queue only."
    calls = ticket_calls(40, prompt.format, said("{}"))
    mapping = proposal.propose(calls, chooses=True)
    assert mapping == CallMapping(Take.LAST_USER, after="Ticket:\n", before="\n\nAnswer with the queue only.")
    for call in calls:
        assert prompt.format(input_of(call.messages, mapping)) == call.messages[1].text


def test_fields_of_a_json_message_become_a_template_and_the_label_is_found_in_the_answer() -> None:
    calls = ticket_calls(
        40,
        lambda text: json.dumps({"title": text, "body": text[::-1], "kind": "t"}),
        said('{{"why":"x","label":"{}"}}'),
    )
    mapping = proposal.propose(calls, chooses=True)
    assert (mapping.template, mapping.answer) == ("{title}\n\n{body}", "$.label")
    text = json.loads(calls[0].messages[1].text)
    assert input_of(calls[0].messages, mapping) == f"{text['title']}\n\n{text['body']}"
    assert proposal.propose(calls, chooses=False).answer == ""


def test_a_choice_of_tools_and_examples_before_the_question_are_recognised() -> None:
    tools = ticket_calls(20, str, lambda at: Message("assistant", calls=(ToolCall("ab"[at % 2], "{}"),)))
    assert proposal.propose(tools, chooses=True).answer == "tool-name"
    shots = (Message("user", "Hello"), Message("assistant", "a"))
    calls = [replace(each, messages=(*shots, each.messages[1])) for each in ticket_calls(20, str, said("{}"))]
    assert proposal.propose(calls, chooses=True).take is Take.LAST_USER
    talks = [replace(each, messages=(*each.messages, *shots, each.messages[1])) for each in tools]
    assert proposal.propose(talks, chooses=True).take is Take.CONVERSATION


# through the door


@pytest.fixture
def play(tmp_path: Path) -> tuple[Project, int]:
    project = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    number = actions.open_play(project, MIA, "tickets", PlayKind.COST)
    actions.assign_role(project, number, MIA, Role.DRIVER, "mia")
    return project, number


def tickets(path: Path, first: int = 0, model: str = logs.MODEL) -> Path:
    wrapped = "Ticket number:\n{} of the day {}\n\nAnswer with the queue only."
    answers = [logs.completion(f'{{"label":"{queue}"}}', model=model) for queue in "ab"]
    return jsonl(path, [
        logs.litellm(wrapped.format(n, n * n), "", n, response=answers[n % 2], session_id=None, end_user=None)
        for n in range(first, first + 30)
    ])  # fmt: skip


def test_the_mapping_is_proposed_once_and_then_fixed_for_the_play(play: tuple[Project, int], tmp_path: Path) -> None:
    project, number = play
    report = data_runs.import_traffic(project, number, MIA, tickets(tmp_path / "a.jsonl"))
    assert (report["rows"], report["formats"], report["models"]) == (
        30,
        [["LiteLLM spend logs", 1]],
        [[logs.MODEL, 30]],
    )
    calls = call_mapping.of_traffic(each.mapping for each in project.dossier(number).traffic)
    assert calls is not None and (calls.after, calls.answer) == ("Ticket number:\n", "$.label")
    other = tickets(tmp_path / "b.jsonl", 30)
    with pytest.raises(Refused, match="in another way than the traffic so far"):
        data_runs.import_traffic(project, number, MIA, other, calls=CallMapping(Take.LAST_USER))
    data_runs.import_traffic(project, number, MIA, other)
    files = [project.artifacts.path(each.artifact) for each in project.dossier(number).traffic]
    assert {row["input"] for row in traffic.rows(files)} == {f"{n} of the day {n * n}" for n in range(60)}
    assert {row["teacher_output"] for row in traffic.rows(files)} == {"a", "b"}


def test_answers_of_two_models_are_refused_until_one_is_the_teacher(play: tuple[Project, int], tmp_path: Path) -> None:
    project, number = play
    sources = [tickets(tmp_path / "a.jsonl"), tickets(tmp_path / "b.jsonl", 30, "small-1")]
    with pytest.raises(Refused, match="come from 2 models"):
        data_runs.import_traffic(project, number, MIA, sources)  # type: ignore[arg-type]
    report = data_runs.import_traffic(project, number, MIA, sources, answers_of=logs.MODEL)  # type: ignore[arg-type]
    assert (report["rows"], report["passed_over"]) == (30, [[f"answered by small-1, not by {logs.MODEL}", 30]])
    with pytest.raises(Refused, match=f"The traffic so far is answered by {logs.MODEL}"):
        data_runs.import_traffic(project, number, MIA, sources[1], answers_of="small-1")


def test_an_answer_of_a_model_that_is_not_named_is_not_the_chosen_teachers(tmp_path: Path) -> None:
    unnamed = logs.litellm("t", "x", model=None, response={"choices": logs.completion("x")["choices"]})
    rows = read(jsonl(tmp_path / "a.jsonl", [logs.litellm("u", "x"), unnamed]), answers_of=logs.MODEL)
    assert [row.input for row in rows if isinstance(row, TrafficRow)] == ["u"]
    assert reasons(rows) == [f"answered by a model that is not named, not by {logs.MODEL}"]


def test_the_mapping_is_part_of_the_data_set_and_its_digest(tmp_path: Path) -> None:
    words = random.Random(7)
    texts = ["".join(words.choices("abcdefghijklmnop", k=40)) for _ in range(40)]
    source = jsonl(tmp_path / "a.jsonl", [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(texts)])
    traffic.import_traffic(source, guess_mapping(source), tmp_path / "a.parquet")
    built = build.build([tmp_path / "a.parquet"], {}, SplitRule(seed=3, held_out_rows=5, validation_share=0.2))
    mapping = CallMapping(Take.LAST_USER, after="x")
    digests = {build.write(built, tmp_path / "d.parquet", each) for each in (None, CallMapping(), mapping)}
    assert len(digests) == 3
    assert frozen.calls_of(tmp_path / "d.parquet") == mapping


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(["[", '{"a": 1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARTS = [
    logs.otlp(logs.span(logs.genai(TICKET, "x"))),
    logs.otlp(logs.span(logs.openinference(TICKET, "x"))),
    logs.otlp_logs(logs.logged(TICKET, "x")[1]),
    logs.invoke(TICKET, logs.stream("x")),
    *(make(1) for make in GOOD),
    *(provider(TICKET, "x")[1] for provider in BATCHES.values()),
]


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, own in inner for found in places(own, (*path, key)))]


def harmed(value: Any, path: tuple[Any, ...], by: object) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = harmed(value[path[0]], path[1:], by)
    return copy


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PARTS), st.integers(0, 10_000), ANY)
def test_whatever_stands_anywhere_in_a_record_the_next_one_is_read(record: Any, at: int, by: object) -> None:
    whole = [each for each in places(record) if each]
    lines = [record, harmed(record, whole[at % len(whole)], by), record]
    with tempfile.TemporaryDirectory() as folder:
        path = jsonl(Path(folder) / "x.jsonl", lines)
        rows = list(read_rows(path, guess_mapping(path)))
    ends = [values(row) if isinstance(row, TrafficRow) else row.reason for row in (rows[0], rows[-1])]
    assert ends[0] == ends[1]
    assert {"resourceSpans", "resourceLogs"} & set(record) or len(rows) == 3


def test_a_record_that_is_nested_too_deeply_is_rejected_alone(tmp_path: Path) -> None:
    deep: object = "x"
    for _ in range(900):
        deep = [deep]
    deeper = json.dumps({"label": json.loads("[" * 300 + "]" * 300)})
    records = [{"messages": [{"role": "user", "content": deep}]}, {"messages": logs.chat("b")}]
    rows = read(jsonl(tmp_path / "x.jsonl", records))
    assert len(rows) == 2 and isinstance(rows[1], TrafficRow)
    nan = logs.helicone(TICKET, '{"label": NaN}')
    for answer in ("$", "$.label"):
        found = read(jsonl(tmp_path / "y.jsonl", [nan]), CallMapping(answer=answer))
        assert all("NaN" in reason for reason in reasons(found)) and len(found) == 1
    assert len(read(jsonl(tmp_path / "z.jsonl", [logs.helicone(TICKET, deeper)]), CallMapping(answer="$"))) == 1


# personal data

PERSONAL = ["ann@example.org", "+49 171 234 5678", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "078-05-1120"]


@given(
    st.lists(
        st.one_of(st.sampled_from(PERSONAL), st.text(st.characters(exclude_characters=PAIR), max_size=12)), max_size=8
    )
)
def test_what_the_screen_finds_is_replaced_and_a_second_pass_changes_nothing(parts: list[str]) -> None:
    text = " ; ".join(parts)
    made, counted = privacy.scrub(text)
    assert not list(privacy.find(made)) and privacy.scrub(made) == (made, {})
    assert sum(counted.values()) >= sum(part in PERSONAL for part in parts)
    assert input_of([Message("user", text)], CallMapping(scrub=True)) == made if text.strip() else True


def test_scrubbed_traffic_stays_scrubbed_in_the_play_and_the_same_is_done_when_serving(
    play: tuple[Project, int], tmp_path: Path
) -> None:
    project, number = play
    rows = [{"text": f"{n}: write to ann{n}@example.org", "label": "ab"[n % 2]} for n in range(20)]
    report = data_runs.import_traffic(project, number, MIA, jsonl(tmp_path / "a.jsonl", rows[:10]), scrub=True)
    assert report["scrubbed"] == {"mail address": 10}
    data_runs.import_traffic(project, number, MIA, jsonl(tmp_path / "b.jsonl", rows[10:]))
    files = [project.artifacts.path(each.artifact) for each in project.dossier(number).traffic]
    assert {row["input"] for row in traffic.rows(files)} == {f"{n}: write to [mail address]" for n in range(20)}
    mapping = call_mapping.of_traffic(each.mapping for each in project.dossier(number).traffic)
    assert mapping is not None
    body = {"messages": [{"role": "user", "content": "7: write to ann7@example.org"}]}
    assert input_of_request(body, mapping) == call_mapping.plain_input("7: write to ann7@example.org", mapping)
    assert input_of_request(body, mapping) == "7: write to [mail address]"


def test_a_play_does_not_mix_scrubbed_and_plain_traffic(play: tuple[Project, int], tmp_path: Path) -> None:
    project, number = play
    data_runs.import_traffic(project, number, MIA, jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}]))
    with pytest.raises(Refused, match="without --scrub"):
        data_runs.import_traffic(
            project, number, MIA, jsonl(tmp_path / "b.jsonl", [{"text": "b", "label": "x"}]), scrub=True
        )


def test_the_command_shows_how_calls_are_read_before_and_when_they_are_stored(
    play: tuple[Project, int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = play
    source = str(tickets(tmp_path / "a.jsonl"))
    words = ["--project", str(project.path), "import", "P-001", source]
    assert main([*words, "--preview"]) == 0
    shown = capsys.readouterr().out
    assert (
        f"LiteLLM spend logs · 30 of 30 rows usable · answered by {logs.MODEL} (30) · spend USD 0.0063 · p95 840 ms"
        in shown
    )
    assert "after “Ticket number:”, before “Answer with the queue only.” · answer: $.label" in shown
    assert not project.dossier(1).traffic
    assert main([*words, "--preview", "--after", r"Nowhere:\n"]) != 0
    assert "None of the first 30 rows" in capsys.readouterr().err
    monkeypatch.setattr(local, "start", data_runs.here)
    assert main(words) == 0
    assert "Calls are read as: input: last user message, after “Ticket number:”" in capsys.readouterr().err
    assert len(project.dossier(1).traffic) == 1


# answers that are JSON, in a plain table


def verdicts(folder: Path, name: str, wrap: Callable[[str], object] = json.dumps, *, first: int = 0) -> Path:
    rows = [
        {"text": f"ticket {n} of the day", "reply": wrap({"label": "ab"[n % 2], "why": f"because {n}"})}  # type: ignore[arg-type]
        for n in range(first, first + 40)
    ]
    return jsonl(folder / name, rows)


@pytest.mark.parametrize("wrap", [json.dumps, dict, lambda value: f"```json\n{json.dumps(value)}\n```"])
def test_the_label_is_found_in_the_json_of_a_plain_tables_answers(
    play: tuple[Project, int], tmp_path: Path, wrap: Callable[[object], object]
) -> None:
    project, number = play
    mapping = ColumnMapping("text", teacher_output="reply")
    data_runs.import_traffic(project, number, MIA, verdicts(tmp_path, "a.jsonl", wrap), mapping)
    (kept,) = project.dossier(number).traffic
    assert json.loads(kept.mapping)["calls"]["answer"] == "$.label"
    rows = list(traffic.rows([project.artifacts.path(kept.artifact)]))
    assert [row["teacher_output"] for row in rows] == ["a", "b"] * 20 and rows[0]["input"] == "ticket 0 of the day"


def test_plain_labels_may_follow_answers_in_json_and_what_lacks_the_part_is_rejected(
    play: tuple[Project, int], tmp_path: Path
) -> None:
    project, number = play
    mapping = ColumnMapping("text", teacher_output="reply")
    data_runs.import_traffic(project, number, MIA, verdicts(tmp_path, "a.jsonl"), mapping)
    others = [{"text": f"note {n}", "reply": "ab"[n % 2]} for n in range(30)]
    others += [{"text": "note 31", "reply": '{"verdict": "a"}'}]
    report = data_runs.import_traffic(project, number, MIA, jsonl(tmp_path / "b.jsonl", others), mapping)
    assert (report["rows"], report["rejects"]) == (30, 1)
    assert report["first_rejects"][0]["reason"] == "'reply': the answer's JSON has no $.label"
    assert not set(report["names"]["answers"]) - {"a", "b"}


def test_a_task_that_writes_keeps_the_whole_json() -> None:
    answers = [{"label": "ab"[n % 2]} for n in range(40)]
    assert proposal.propose_for_table(answers, chooses=False) is None
    assert proposal.propose_for_table(answers, chooses=True) == CallMapping(answer="$.label")
    assert proposal.propose_for_table(["a", "b"] * 20, chooses=True) is None


def test_the_command_takes_a_part_of_the_answer_of_a_table_and_nothing_that_only_calls_have(
    play: tuple[Project, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = play
    words = ["--project", str(project.path), "import", "P-001", str(verdicts(tmp_path, "a.jsonl")), "--preview"]
    words += ["--teacher-output", "reply"]
    assert main([*words, "--take", "last-user"]) != 0
    assert "no logged calls, so --take has no meaning" in capsys.readouterr().err
    assert main(words) == 0
    assert "\nanswer: $.label\n" in capsys.readouterr().out
    assert main([*words, "--answer", "$.why"]) == 0
    shown = capsys.readouterr().out
    assert "because 0" in shown and "{" not in shown.partition("Labels in")[0]
