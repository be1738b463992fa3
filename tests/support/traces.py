"""Small logs of model calls in the shape of each tool, built from the documented fields; every text in them is ours.

Each function writes one call (a ticket, the queue that a model named) as the tool logs it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 13, 0, 0, 250_000, tzinfo=UTC)
END = START + timedelta(milliseconds=840)
SYSTEM = "Name the queue of the ticket."
MODEL = "big-2026-08-06"

Record = dict[str, object]


def chat(ticket: str) -> list[Record]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ticket}]


def completion(queue: str, finish: str = "stop", model: str = MODEL, id_: str = "chatcmpl-1") -> Record:
    return {
        "id": id_,
        "object": "chat.completion",
        "created": int(START.timestamp()),
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": queue}}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23},
    }


def page(items: list[Record], *, more: bool = False) -> Record:
    """A page of one of OpenAI's lists."""
    ids = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items} | ids | {"has_more": more}


def stored_messages(ticket: str, n: int = 1, *, more: bool = False) -> Record:
    """The page of a stored completion's messages, as the call returns it."""
    return page([{"id": f"chatcmpl-{n}-{at}", **each} for at, each in enumerate(chat(ticket))], more=more)


def langfuse(ticket: str, queue: str, n: int = 1, **more: object) -> Record:
    return {
        "id": f"obs-{n}", "trace_id": f"trace-{n}", "type": "GENERATION", "level": "DEFAULT",
        "start_time": f"{START:%Y-%m-%d %H:%M:%S.%f}", "end_time": f"{END:%Y-%m-%d %H:%M:%S.%f}",
        "name": "route", "metadata": json.dumps({"tenant": "north"}),
        "input": json.dumps(chat(ticket)), "output": json.dumps({"role": "assistant", "content": queue}),
        "provided_model_name": MODEL, "model_parameters": '{"temperature": 0}',
        "usage_details": {"input": 21, "output": 2, "total": 23}, "total_cost": "0.00021",
        "latency": 0.84, "session_id": "s-1", "user_id": "u-1", "tags": ["mail"],
    } | more  # fmt: skip


def langsmith(ticket: str, queue: str, n: int = 1, **more: object) -> Record:
    message = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
               "kwargs": {"content": queue, "type": "ai", "response_metadata": {
                   "model_name": MODEL, "finish_reason": "stop"}}}  # fmt: skip
    asked = [
        {"lc": 1, "type": "constructor", "id": ["x", "SystemMessage"], "kwargs": {"content": SYSTEM}},
        {"lc": 1, "type": "constructor", "id": ["x", "HumanMessage"], "kwargs": {"content": ticket}},
    ]
    return {
        "id": f"run-{n}", "name": "ChatModel", "run_type": "llm", "trace_id": f"t-{n}", "status": "success",
        "inputs": {"messages": [asked]},
        "outputs": {"generations": [[{"text": queue, "message": message}]]},
        "start_time": START.isoformat(), "end_time": END.isoformat(), "error": None, "tags": ["mail"],
        "session_id": "the-project", "extra": {"metadata": {"thread_id": "s-1", "ls_model_name": "big"}},
        "prompt_tokens": 21, "completion_tokens": 2, "total_cost": 0.00021,
    } | more  # fmt: skip


def phoenix(ticket: str, queue: str, n: int = 1, **more: object) -> Record:
    asked = [{"message.role": each["role"], "message.content": each["content"]} for each in chat(ticket)]
    return {
        "name": "ChatCompletion", "span_kind": "LLM", "context.span_id": f"span-{n}", "context.trace_id": f"t-{n}",
        "status_code": "OK", "start_time": START.isoformat(), "end_time": END.isoformat(),
        "attributes.llm.input_messages": asked,
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": queue}],
        "attributes.llm.model_name": MODEL, "attributes.llm.token_count.prompt": 21,
        "attributes.llm.token_count.completion": 2, "attributes.llm.cost.total": 0.00021,
        "attributes.session.id": "s-1", "attributes.tag.tags": ["mail"],
    } | more  # fmt: skip


def attribute(name: str, value: object) -> Record:
    if isinstance(value, list):
        return {"key": name, "value": {"arrayValue": {"values": [{"stringValue": str(each)} for each in value]}}}
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}


def span(named: dict[str, object], n: int = 1, **more: object) -> Record:
    return {
        "traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "chat big", "kind": 3,
        "startTimeUnixNano": str(int(START.timestamp() * 1e6) * 1000), "status": {"code": 1},
        "endTimeUnixNano": str(int(END.timestamp() * 1e6) * 1000),
        "attributes": [attribute(name, value) for name, value in named.items()],
    } | more  # fmt: skip


def genai(ticket: str, queue: str) -> dict[str, object]:
    said = [{"role": "assistant", "parts": [{"type": "text", "content": queue}], "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "big",
        "gen_ai.response.model": MODEL, "gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"], "gen_ai.conversation.id": "s-1",
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": ticket}]}]),
        "gen_ai.output.messages": json.dumps(said),
    }  # fmt: skip


def logged(ticket: str, queue: str, n: int = 1, **more: object) -> tuple[Record, Record]:
    """A span without content, and the log record that holds it."""
    named = genai(ticket, queue)
    plain = {name: own for name, own in named.items() if "messages" not in name and "instructions" not in name}
    without = span(plain, n, **more)
    return without, _event(without, "gen_ai.client.inference.operation.details", attributes=[
        attribute(name, own) for name, own in named.items()])  # fmt: skip


def logged_apart(ticket: str, queue: str, n: int = 1) -> tuple[Record, list[Record]]:
    """A span without content, and a log record for each message, as the convention of 2024 has them."""
    without, _ = logged(ticket, queue, n)
    said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": queue}}
    bodies = {"system.message": {"content": SYSTEM}, "user.message": {"content": ticket}, "choice": said}
    return without, [
        _event(without, f"gen_ai.{name}", body=_any(body), attributes=[attribute("gen_ai.system", "openai")])
        for name, body in bodies.items()
    ]


def _event(of: Record, name: str, **more: object) -> Record:
    ids = {each: of[each] for each in ("traceId", "spanId")}
    return {"timeUnixNano": of["startTimeUnixNano"], "observedTimeUnixNano": "1", "eventName": name} | ids | more


def _any(value: object) -> Record:
    """Write a value as OTLP does."""
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": name, "value": _any(own)} for name, own in value.items()]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def otlp_logs(*events: Record) -> Record:
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {"name": "x"}, "logRecords": list(events)}]}]}


def openinference(ticket: str, queue: str) -> dict[str, object]:
    named: dict[str, object] = {"openinference.span.kind": "LLM", "llm.model_name": MODEL, "session.id": "s-1"}
    for place, each in enumerate(chat(ticket)):
        named |= {f"llm.input_messages.{place}.message.{name}": own for name, own in each.items()}
    named |= {"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": queue}
    return named | {"llm.token_count.prompt": 21, "llm.token_count.completion": 2}


def otlp(*spans: Record) -> Record:
    resource = {"attributes": [attribute("service.name", "router")]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def litellm(ticket: str, queue: str, n: int = 1, **more: object) -> Record:
    return {
        "request_id": f"chatcmpl-{n}", "call_type": "acompletion", "spend": 0.00021, "total_tokens": 23,
        "prompt_tokens": 21, "completion_tokens": 2, "startTime": START.isoformat(), "endTime": END.isoformat(),
        "request_duration_ms": 840, "model": MODEL, "model_group": "router", "custom_llm_provider": "openai",
        "metadata": {"tenant": "north"}, "request_tags": '["mail"]', "end_user": "u-1", "session_id": "s-1",
        "status": "success", "cache_hit": "False", "messages": {}, "response": completion(queue),
        "proxy_server_request": {"url": "x", "body": {"model": "big", "messages": chat(ticket)}},
    } | more  # fmt: skip


def helicone(ticket: str, queue: str, n: int = 1, **more: object) -> Record:
    return {
        "response_id": f"r-{n}", "response_created_at": END.isoformat(), "response_status": 200,
        "request_created_at": START.isoformat(), "request_body": {"model": "big", "messages": chat(ticket)},
        "request_properties": {"Channel": "mail", "Helicone-Session-Id": "s-1"}, "request_user_id": "u-1",
        "model": "big", "prompt_tokens": 21, "completion_tokens": 2, "latency": 840, "cost": 0.00021,
        "response_body": completion(queue),
    } | more  # fmt: skip


def converse(ticket: str, queue: object, n: int = 1, **more: object) -> Record:
    message = {"role": "assistant", "content": [{"text": queue}]}
    return {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": START.isoformat(),
        "accountId": "1", "region": "eu-central-1", "requestId": f"q-{n}", "operation": "Converse",
        "modelId": f"arn:aws:bedrock:eu-central-1::foundation-model/{MODEL}",
        "requestMetadata": {"session_id": "s-1"},
        "input": {"inputContentType": "application/json", "inputTokenCount": 21, "inputBodyJson": {
            "system": [{"text": SYSTEM}], "messages": [{"role": "user", "content": [{"text": ticket}]}]}},
        "output": {"outputContentType": "application/json", "outputTokenCount": 2, "outputBodyJson": {
            "output": {"message": message}, "stopReason": "end_turn", "metrics": {"latencyMs": 840},
            "usage": {"inputTokens": 21, "outputTokens": 2}}},
    } | more  # fmt: skip


def invoke(ticket: str, body: object, n: int = 1) -> Record:
    asked = {"anthropic_version": "x", "system": SYSTEM, "messages": [{"role": "user", "content": ticket}]}
    logged = converse(ticket, "", n)
    return logged | {
        "operation": "InvokeModelWithResponseStream",
        "input": {"inputBodyJson": asked, "inputTokenCount": 21},
        "output": {"outputBodyJson": body, "outputTokenCount": 2},
    }


def stream(queue: str) -> list[Record]:
    """The chunks in which Bedrock logs a streamed answer of an Anthropic model."""
    half = len(queue) // 2
    return [
        {"type": "message_start", "message": {"role": "assistant", "model": MODEL, "usage": {"input_tokens": 21}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": queue[:half]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": queue[half:]}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    ]


def openai_batch(ticket: str, queue: str, n: int = 1) -> tuple[Record, Record]:
    """A request of OpenAI's batch input, and its result."""
    body = {"model": "big", "messages": chat(ticket)}
    request = {"custom_id": f"c-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    response = {"status_code": 200, "request_id": "x", "body": completion(queue)}
    return request, {"id": f"batch_req_{n}", "custom_id": f"c-{n}", "response": response, "error": None}


def anthropic_batch(ticket: str, queue: str, n: int = 1) -> tuple[Record, Record]:
    params = {"model": "big", "max_tokens": 9, "system": SYSTEM, "messages": [{"role": "user", "content": ticket}]}
    message = {
        "id": "msg", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
        "content": [{"type": "text", "text": queue}], "usage": {"input_tokens": 21, "output_tokens": 2},
    }  # fmt: skip
    result = {"type": "succeeded", "message": message}
    return {"custom_id": f"c-{n}", "params": params}, {"custom_id": f"c-{n}", "result": result}


def gemini_batch(ticket: str, queue: str, n: int = 1) -> tuple[Record, Record]:
    request = {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": [{"role": "user", "parts": [{"text": ticket}]}],
    }
    response = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": queue}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 21, "candidatesTokenCount": 2},
        "modelVersion": MODEL,
    }
    return {"key": f"c-{n}", "request": request}, {"key": f"c-{n}", "response": response}
