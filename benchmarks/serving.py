"""The gateway next to the student alone and next to LiteLLM's proxy: one run, the same two cores, `wrk` as the client.

    python benchmarks/serving.py [--litellm PROGRAM] [--seconds N] [--students ngram,scratch]

`wrk` (a package of most systems) must be installed. LiteLLM is measured where its program is named; install it in an
environment of its own: pip install 'litellm[proxy]'. The teacher is a small server on loopback that answers at once, so
that what is measured is the proxy. Each figure is the middle of three runs, taken in turns; at half load, of
five, each next to the student alone in a process that is asked at the same rate (`at_rate`).
`--soak SECONDS` asks an n-gram student for so long instead, and prints memory and log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from paced import texts

from distill_tui.bundles.student import BundledStudent
from distill_tui.serving import guard, server
from distill_tui.serving.stand import BundleSource, Stand
from distill_tui.serving.students import BATCH
from distill_tui.spec import Spec
from distill_tui.terms import ServingMode, Task
from distill_tui.training import students

PAUSE = 0.0007  # seconds: as long as a student at the gateway waits for one client's next request
KEY = "sk-bench-5d41402abc4b2a76b9719d911017c592"  # of LiteLLM's own door, which it insists on
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-bench-5d41402abc4b2a76b9719d911017c592"
local texts, at = {%s}, 0
request = function()
  at = at %% #texts + 1
  local body = '{"model":"big","messages":[{"role":"user","content":"' .. texts[at] .. '"}]}'
  return wrk.format(nil, "/v1/chat/completions", nil, body)
end
done = function(summary, latency, requests)
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  local form = "RESULT %%d %%d %%d %%d %%d"
  io.write(string.format(form, summary.requests, summary.duration, p50, p99, summary.errors.status))
end
"""
REPLY = json.dumps(
    {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "big",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "post"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12},
    }
).encode()  # fmt: skip


# --- what is measured ------------------------------------------------------------------------------------------------


class Echo(asyncio.Protocol):
    """A teacher that answers at once: as little work as an HTTP server can do."""

    HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            found = re.search(rb"content-length: *(\d+)", self.rest[:end], re.IGNORECASE)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.rest) < size:
                return
            self.rest = self.rest[size:]
            self.transport.write(self.HEAD + REPLY)  # type: ignore[attr-defined]


def teacher(port: int) -> None:
    import uvloop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await (await loop.create_server(Echo, "127.0.0.1", port)).serve_forever()

    uvloop.run(serve())


def gateway(port: int, folder: str, mode: str, teacher_url: str, log: str = "") -> None:
    """Serve a student's folder without a signature, which no command does: what is measured is the work."""
    student = _student(Path(folder)) if mode != "capture" else None

    class Fixed(BundleSource):
        def __init__(self) -> None:
            share = 100 if mode == "canary" else 0
            self.last = Stand("bench", ServingMode(mode), share, student=student, audit_share=0.0)
            self._given = False

        def stands(self) -> Iterator[Stand]:
            if not self._given:
                self._given = True
                yield self.last

    where = Path(log or tempfile.mkdtemp(prefix="bench-served-"))
    setup = server.Setup(
        [server.Served("P-001", Fixed(), where)], port=port, teacher=teacher_url, limits=guard.Limits()
    )
    server.run(setup, lambda sentence: None)


def _student(folder: Path) -> BundledStudent:
    from distill_tui.training.folders import form, teacher_labels

    return BundledStudent(folder, "sha256:bench", Task.CLASSIFICATION, form(folder), teacher_labels(folder), 1, 64, 0.0)


def trained(kind: str, folder: Path) -> Path:
    """Train a student of a kind on made-up rows; what it answers does not matter here."""
    import numpy as np

    from distill_tui.training.classification import train
    from distill_tui.training.examples import Examples
    from distill_tui.training.export import onnx_int8
    from distill_tui.training.loop import Places

    rows = texts(600)
    labels = np.array([number % 2 for number in range(len(rows))])
    known = Examples(tuple(rows), labels, None, np.ones(len(rows), dtype=np.float32))
    more = {"hidden": 128, "epochs": 1} if kind != "ngram" else {"epochs": 1}
    spec = Spec.from_mapping({"student": kind.split("-")[0], "alpha": 0.0, "max_tokens": 64} | more)
    for _ in train(spec, ("money", "post"), known, known, Places(None, folder / "checkpoints", folder / "student")):
        pass
    if kind.endswith("-onnx"):
        onnx_int8(folder / "student", folder / "onnx")
        return folder / "onnx"
    return folder / "student"


# --- the client ------------------------------------------------------------------------------------------------------


def wrk(port: int, clients: int, seconds: int, script: Path) -> dict[str, float]:
    words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    count, took, p50, p99, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", said).groups())  # type: ignore[union-attr]
    assert not errors and count, said
    return {"rps": count / (took / 1e6), "p50_ms": p50 / 1000, "p99_ms": p99 / 1000}


def paced(port: int, rate: float, seconds: int) -> dict[str, float]:
    """Ask by a process of its own (`paced.py`) at a fixed rate, or as quick as 64 clients are answered (`inf`).

    `others` is how many cores other programs took meanwhile: they are why a p99 of two cores that are half busy is what
    it is, so a run says what it had.
    """
    words = [sys.executable, str(Path(__file__).with_name("paced.py")), str(port), str(rate), str(seconds)]
    before, started = others(), time.perf_counter()
    found: dict[str, float] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return found | {"others": (others() - before) / (time.perf_counter() - started)}


def others() -> float:
    """Return the processor seconds that programs other than this benchmark's have taken since the machine started."""
    fields, children = dict[int, list[str]](), dict[int, list[int]]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            values = path.read_text().rpartition(")")[2].split()
            fields[int(path.parent.name)] = values
            children.setdefault(int(values[1]), []).append(int(path.parent.name))
    ours, left = 0, [os.getpid()]
    while left:
        one = left.pop()
        left += children.get(one, [])
        ours += sum(map(int, fields[one][11:15])) if one in fields else 0  # its own, and of children that ended
    user, nice, system, _, _, irq, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + soft - ours) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(words: list[str], port: int, path: str) -> Iterator[int]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            assert process.poll() is None, words
            try:
                if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code < 500:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def middle(measure: Callable[[], dict[str, float]], times: int = 3) -> dict[str, float]:
    found = [measure() for _ in range(times)]
    return {name: round(statistics.median(each[name] for each in found), 2) for name in found[0]}


def alone(folder: Path) -> dict[str, float]:
    """The student in this process: one text at a time, the same after a pause each, and 32 at a time."""
    opened, some = students.open_folder(folder, threads=1, max_tokens=64), texts(2000)
    for text in some[:50]:
        opened.ask(text)
    took, paused = [], []
    for times, pause in ((took, 0.0), (paused, PAUSE)):
        for text in some:
            time.sleep(pause)
            started = time.perf_counter()
            opened.ask(text)
            times.append(1000 * (time.perf_counter() - started))
    started = time.perf_counter()
    for at in range(0, len(some), 32):
        opened.ask_all(some[at : at + 32])
    batched = len(some) / (time.perf_counter() - started)
    ranked, waited = sorted(took), sorted(paused)
    found = {"p50_ms": ranked[1000], "p99_ms": ranked[1980], "p50_after_a_pause_ms": waited[1000]}
    return found | {"rps": 1000 / statistics.mean(took), "batched_rps": batched}


def at_rate(folder: Path, rate: float, seconds: float) -> dict[str, float]:
    """The student alone in this process, asked at a fixed rate; milliseconds from when each text was due.

    It takes together what is due once it is free, as at the gateway; one by one where its form answers so.
    """
    opened, some = students.open_folder(folder, threads=1, max_tokens=64), texts(5000)
    for text in some[:50]:
        opened.ask(text)
    gc.collect()
    gc.freeze()
    most, whole, took = 1 if opened.one_by_one else BATCH, round(rate * seconds), list[float]()
    begun = time.perf_counter()
    while (done := len(took)) < whole:
        time.sleep(max(0.0, done / rate - (time.perf_counter() - begun)))
        due = min(whole, done + most, int((time.perf_counter() - begun) * rate) + 1)
        opened.ask_all([some[number % len(some)] for number in range(done, due)])
        now = time.perf_counter() - begun
        took += [1000 * (now - number / rate) for number in range(done, due)]
    ranked = sorted(took)
    return {f"own_p{part}_ms": ranked[part * whole // 100] for part in (50, 99)}


def side_by_side(port: int, gateway: int, folder: Path, rate: float, seconds: int) -> dict[str, float]:
    """Ask the student alone, the gateway, and the gateway with a core of its own, at the same rate.

    `over` is what the gateway takes more than the student alone.
    """
    words = [sys.executable, __file__, "at-rate", str(folder), str(rate), str(seconds)]
    found: dict[str, float] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    found |= paced(port, rate, seconds)
    with apart(gateway):
        found |= {f"apart_{name}": value for name, value in paced(port, rate, seconds).items() if name[0] == "p"}
    for part in ("p50_ms", "p99_ms"):
        found[f"over_{part}"] = found[part] - found[f"own_{part}"]
        found[f"over_apart_{part}"] = found[f"apart_{part}"] - found[f"own_{part}"]
    return found


@contextmanager
def apart(gateway: int) -> Iterator[None]:
    """Keep a gateway to the last core, and its student and this benchmark's client to the others.

    Where cores share no cache, as in some virtual machines, Linux may leave all three on one for a long time.
    """
    cores = sorted(os.sched_getaffinity(0))
    students_of = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    places = {gateway: cores[-1:], os.getpid(): cores[:-1]} | {int(each): cores[:-1] for each in students_of}
    try:
        for pid, its in places.items():
            _keep(pid, its)
        yield
    finally:
        for pid in places:
            _keep(pid, cores)


def _keep(pid: int, cores: list[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def memory(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def soak(words: list[str], port: int, seconds: int, script: Path) -> None:
    """Ask an n-gram student without a pause; print how memory and the served log grow."""
    log, asked = Path(tempfile.mkdtemp(prefix="bench-soak-")), 0.0
    with running([*words, str(log)], port, "/health") as pid:
        print(f"before: {memory(pid)} MB")
        for _ in range(10):
            found = wrk(port, 32, seconds // 10, script)
            asked += found["rps"] * (seconds // 10)
            sizes = [path.stat().st_size for path in log.glob("*.jsonl")]
            print(
                f"{asked:,.0f} requests: {memory(pid)} MB, p99 {found['p99_ms']:.0f} ms; {len(sizes)} segments, the "
                f"largest {max(sizes) / 1e6:.0f} MB, {sum(sizes) / asked:.0f} bytes a request",
                flush=True,
            )
    shutil.rmtree(log)


def main() -> None:
    if sys.argv[1:2] == ["teacher"]:
        teacher(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["gateway"]:
        gateway(int(sys.argv[2]), *sys.argv[3:7])
        return
    if sys.argv[1:2] == ["at-rate"]:
        print(json.dumps(at_rate(Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--litellm", help="the program `litellm` of an environment of its own")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--soak", type=int, default=0, help="only this: seconds under load, memory and log by tenths")
    parser.add_argument("--students", default="ngram,static-onnx,scratch-onnx,scratch")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-serving-"))
    script = folder / "chat.lua"
    script.write_text(LUA % ",".join(json.dumps(text) for text in texts(5000)))
    me, ports = [sys.executable, __file__], iter(range(18100, 18200))
    upstream = next(ports)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; {given.seconds} s a run, the middle of three")
    with running([*me, "teacher", str(upstream)], upstream, "/"):
        url = f"http://127.0.0.1:{upstream}/v1"
        port = next(ports)
        if given.soak:
            soak(
                [*me, "gateway", str(port), str(trained("ngram", folder / "ngram")), "canary", url],
                port,
                given.soak,
                script,
            )
            return
        with running([*me, "gateway", str(port), "-", "capture", url], port, "/health"):
            ours = middle(lambda: wrk(port, 16, given.seconds, script))
            print(f"pass-through, 16 clients: gateway {ours}")
        if given.litellm:
            port = next(ports)
            config = folder / "litellm.yaml"
            params = {"model": "openai/big", "api_base": url, "api_key": "sk-bench"}
            listed = {"model_list": [{"model_name": "big", "litellm_params": params}]}
            config.write_text(json.dumps(listed | {"general_settings": {"master_key": KEY}}))
            words = [given.litellm, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
            with running(words, port, "/health/liveliness"):
                theirs = middle(lambda: wrk(port, 16, given.seconds, script))
                print(f"pass-through, 16 clients: LiteLLM {theirs}; gateway {ours['rps'] / theirs['rps']:.1f} times")
        for kind in filter(None, given.students.split(",")):
            student = trained(kind, folder / kind)
            own = alone(student)
            print(f"{kind} alone: { {name: round(value, 2) for name, value in own.items()} }")
            port = next(ports)
            with running([*me, "gateway", str(port), str(student), "canary", url], port, "/health") as pid:
                wrk(port, 4, 2, script)
                before = memory(pid)
                one = middle(partial(wrk, port, 1, given.seconds, script))
                many = middle(partial(wrk, port, 32, given.seconds, script))
                over = one["p50_ms"] - own["p50_ms"], one["p99_ms"] - own["p99_ms"]
                print(f"{kind} at the gateway, 1 client: {one}; overhead p50 {over[0]:.2f} ms, p99 {over[1]:.2f} ms")
                paused = one["p50_ms"] - own["p50_after_a_pause_ms"]
                print(f"{kind}: over its own time after a pause of {1000 * PAUSE} ms, p50 {paused:.2f} ms")
                most = middle(partial(paced, port, math.inf, given.seconds))["rps"]
                half = middle(partial(side_by_side, port, pid, student, most / 2, given.seconds), 5)
                over_half = half["p50_ms"] - own["p50_ms"], half["p99_ms"] - own["p99_ms"]
                print(
                    f"{kind} at half of {most:.0f} a second: {half}; over one at a time without a pause "
                    f"p50 {over_half[0]:.2f} ms, p99 {over_half[1]:.2f} ms"
                )
                bare = middle(partial(paced, upstream, most / 2, given.seconds), 1)
                print(f"{kind}: of this, the client and the machine in front of a server that answers at once: {bare}")
                print(f"{kind} at the gateway, 32 clients: {many}; memory {before} to {memory(pid)} MB")
                print(f"{kind}: {many['rps'] / own['rps']:.2f} of one at a time without a gateway")


if __name__ == "__main__":
    main()
