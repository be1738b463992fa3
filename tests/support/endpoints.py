"""An OpenAI-compatible endpoint that counts what it is asked, and a tiny causal teacher."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distill_tui.cli.app import main
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.terms import TeacherSource

LABELS = ("bad", "fine", "good")


TODO = [(f"{n:064x}", f"text number {n} is {('awful', 'a table', 'lovely')[n % 3]}") for n in range(24)]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model of random weights, with a tokenizer of its own: small, and really a model."""
    import torch
    import transformers

    from distill_tui.training import vocabulary

    torch.manual_seed(0)
    texts = [text for _, text in TODO] + [f"Label: {label} one of {', '.join(LABELS)}" for label in LABELS] * 9
    tokenizer = vocabulary.train(texts, 300)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("causal")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint on this machine: a real model answers, and faults come between as they are set."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked, self.plan, self.keys, self.bodies = folder, [], [], [], []  # type: ignore[var-annotated]
        self.logprobs, self.slow, self.hangs = True, 0.0, 2.0
        self.usage: dict[str, object] = {}  # what is stated of the tokens, over the usual
        self.says: str | Callable[[str], str] = ""
        self.behind = ""  # the address of another server, which answers in our place
        self.heads: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self._batch = labelling_model(folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def relayed(self, body: str) -> str:
        """Hand a request on, and give what came back."""
        import urllib.request

        request = urllib.request.Request(
            f"{self.behind}/chat/completions", body.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(response.read().decode())

    def answer(self, prompt: str) -> tuple[str, list[float]]:
        with self.lock:
            return self._batch(prompt)


def labelling_model(folder: Path) -> Any:
    """Ask the model as `prompted` does: the label whose words it finds most likely."""
    from distill_tui.training import local_teachers

    teacher = Described(TeacherSource.PROMPTED, "", LABELS, "{input}")

    def say(prompt: str) -> tuple[str, list[float]]:
        ((_, shares),) = local_teachers.prompted(folder, [prompt], teacher, threads=1)
        found = shares[0].tolist()
        return LABELS[found.index(max(found))], found

    return say


class Handler(BaseHTTPRequestHandler):
    """One request: a fault from the plan, or the model's answer."""

    server: Server

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        import math

        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        self.server.heads.append({name.lower(): value for name, value in self.headers.items()})
        self.server.keys.append(self.headers.get("authorization", ""))
        fault = self.server.plan.pop(0) if self.server.plan else ""
        if body.get("logprobs") and not self.server.logprobs:
            fault = "400"
        if fault == "timeout":
            time.sleep(self.server.hangs)
        if fault == "cut":  # half an answer: the length says more than comes
            self.send_response(200)
            self.send_header("content-length", "500")
            self.end_headers()
            self.wfile.write(b'{"id": "x", "choices": [')
            self.close_connection = True
            return
        if fault in ("429", "500", "503", "400", "401"):
            said = {"error": {"message": f"no: {self.headers.get('authorization')}", "type": "x", "code": None}}
            self.reply(int(fault), json.dumps(said), {"retry-after": "0.01"} if fault == "429" else {})
            return
        if fault in ("no json", "no choices", "null"):
            self.reply(200, {"no json": "<html>", "null": "null"}.get(fault, '{"id": "x", "choices": []}'))
            return
        if fault.startswith("{"):  # a rejection with its body, or a choice that replaces the answer's
            given = json.loads(fault)
            if "error" in given:
                self.reply(400, fault)
                return
        prompt = body["messages"][0]["content"]
        time.sleep(self.server.slow)
        if self.server.behind:
            self.server.asked.append(prompt)
            self.reply(200, self.server.relayed(json.dumps(body)))
            return
        label, shares = self.server.answer(prompt)
        self.server.asked.append(prompt)
        top = [
            {"token": f" {name}", "logprob": math.log(max(p, 1e-9)), "bytes": None}
            for name, p in zip(LABELS, shares, strict=True)
        ]
        logs = {"content": [top[0] | {"top_logprobs": top}]} if body.get("logprobs") else None
        says = self.server.says
        message = {"role": "assistant", "content": says(prompt) if callable(says) else says or f"{label}."}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logs}
        choice |= json.loads(fault) if fault.startswith("{") else {}
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 2, "total_tokens": len(prompt) // 4 + 2}
        usage |= self.server.usage  # type: ignore[arg-type]
        whole = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }
        self.reply(200, json.dumps(whole))

    def reply(self, status: int, text: str, headers: dict[str, str] = {}) -> None:  # noqa: B006
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(causal: Path) -> Iterator[Server]:
    made = Server(causal)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def does(project: Project, *words: str) -> int:
    return main(["--project", str(project.path), *words])


PRICES = ("--budget", "1", "--price-in", "1", "--price-out", "2")
