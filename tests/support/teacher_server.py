"""A teacher on this machine that speaks OpenAI's formats, streaming and not, and fails as a test plans it."""

from __future__ import annotations

import json
import random
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support import mutants
from support.real_play import WORDS


def label_of(text: str) -> str:
    """What a teacher that makes no mistake says."""
    return "money" if any(word in text for word in WORDS["money"]) else "post"


class TeacherServer(ThreadingHTTPServer):
    """Counts what it is asked. `plan` holds the faults of the next requests, `always` one of all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.always = ""
        self.bodies: list[Any] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.wrong = False  # says the other label
        self.delay = 0.0
        self.damage: random.Random | None = None  # damages the bytes of its replies
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet where the gateway closed a connection; print any other fault of the test's own."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def secured(self, folder: Path) -> str:
        """Speak TLS from now on, with a certificate that no one signed but itself; return the address."""
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        files = [str(folder / "key.pem"), str(folder / "cert.pem")]
        subprocess.run([*words, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files[1], files[0])
        self.socket = context.wrap_socket(self.socket, server_side=True)
        return f"https://localhost:{self.server_address[1]}/v1"

    def say(self, body: dict[str, Any]) -> str:
        asked = body.get("messages") or body.get("input") or body.get("state") or body.get("inputs") or ""
        said = label_of(json.dumps(asked))
        return {"money": "post", "post": "money"}[said] if self.wrong else said

    def __enter__(self) -> TeacherServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: TeacherServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self._json({"object": "list", "data": [{"id": "big", "object": "model", "created": 1, "owned_by": "acme"}]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.server.paths.append(self.path)
        try:
            body = json.loads(raw)
            assert isinstance(body, dict)
        except (ValueError, RecursionError, AssertionError):
            self._json({"error": {"message": "not an object", "type": "invalid_request_error"}}, 400)
            return
        self.server.bodies.append(body)
        self.server.keys.append(self.headers.get("authorization", ""))
        fault = self.server.plan.pop(0) if self.server.plan else self.server.always
        time.sleep(self.server.delay)
        if fault and self._failed(fault):
            return
        said = self.server.say(body)
        if "/responses" in self.path:
            self._response(body, said)
        elif "/chat/completions" in self.path:
            self._chat(body, said, fault)
        elif "/systemone" in self.path and isinstance(body.get("questions"), dict):
            answers = {name: {"type": "choice", "choice": said, "confidence": 0.9} for name in body["questions"]}
            self._json({"model": "big", "answers": answers, "usage": {"input_tokens": 3, "output_tokens": 1}})
        else:
            self._json({"path": self.path, "echo": body})

    def _failed(self, fault: str) -> bool:
        if fault == "hang":
            time.sleep(3)
            self.close_connection = True
            return True
        if fault == "drop":
            self.close_connection = True
            return True
        if fault == "half":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
            return True
        if fault == "not json":
            self._bytes(b"<html>gateway error</html>", 200, "text/html")
            return True
        if fault.isdigit():
            extra = {"retry-after": "7"} if fault == "429" else {}
            self._json({"error": {"message": "no", "type": "server_error", "code": fault}}, int(fault), extra)
            return True
        return False

    def _chat(self, body: dict[str, Any], said: str, fault: str) -> None:
        usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
        head = {"id": "c1", "created": 1_790_000_000, "model": "big-2026"}
        if not body.get("stream"):
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(head | {"object": "chat.completion", "choices": [choice], "usage": usage})
            return
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": piece}, None) for piece in (said[:2], said[2:])] + [({}, "stop")]
        events = [
            head | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": r}]}
            for d, r in deltas
        ]
        lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        if fault == "cut":
            lines = lines[:2]
        else:
            lines.append(b"data: [DONE]\n\n")
        self._chunks(lines, cut=fault == "cut")

    def _response(self, body: dict[str, Any], said: str) -> None:
        part = {"type": "output_text", "text": said, "annotations": []}
        item = {"type": "message", "id": "m1", "status": "completed", "role": "assistant", "content": [part]}
        usage = {
            "input_tokens": 11, "output_tokens": 2, "total_tokens": 13,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip
        whole = {
            "id": "r1", "object": "response", "created_at": 1_790_000_000, "status": "completed", "model": "big-2026",
            "output": [item], "parallel_tool_calls": False, "tool_choice": "none", "tools": [], "usage": usage,
        }  # fmt: skip
        if not body.get("stream"):
            self._json(whole)
            return
        events = [
            {"type": "response.created", "sequence_number": 0, "response": whole | {"status": "in_progress"}},
            {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "m1", "output_index": 0,
             "content_index": 0, "delta": said, "logprobs": []},
            {"type": "response.completed", "sequence_number": 2, "response": whole},
        ]  # fmt: skip
        self._chunks([f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events])

    def _chunks(self, lines: list[bytes], *, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for line in map(self._damaged, lines):
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._bytes(json.dumps(value).encode(), status, "application/json", headers)

    def _damaged(self, content: bytes) -> bytes:
        damage = self.server.damage
        return mutants.damaged_bytes(content, damage) if damage is not None else content

    def _bytes(self, content: bytes, status: int, kind: str, headers: dict[str, str] | None = None) -> None:
        content = self._damaged(content)
        if self.server.damage is not None:
            headers = {**(headers or {}), "x-note": "\u20ac".encode().decode("latin-1")}
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
