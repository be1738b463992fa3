"""What a student costs to run: latency of single requests, size, and the machine that it was measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import safe_open

from distill_tui.tasks.loaders import FORMS
from distill_tui.text import pair_of
from distill_tui.training import students
from distill_tui.training.arrays import Floats
from distill_tui.training.folders import form, scale_form, several, stated_parameters

RUNS, PER_RUN = 5, 200  # passes, and requests in each
BATCHES = (1, 8, 32)
ROUNDS = 8  # batches of the largest size that throughput is measured on
Ask = Callable[[str], Floats]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def latencies(
    folder: Path, texts: Sequence[str], *, threads: int = 1, max_tokens: int | None = None, **passes: int
) -> list[list[int]]:
    """Time single requests, tokenising included: see `_timed`. A form that runs in torch sets its threads."""
    return _timed(lambda: students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask, texts, **passes)


def combined_latencies(
    student: Path, teacher: Path, below: float, texts: Sequence[str], *, warm_up: int = 20, **options: int
) -> list[list[int]]:
    """Time single requests of which the teacher also answers those where the student's confidence is below `below`.

    As many requests as for the student alone, so that enough of them go to the teacher for a p95 to be bounded.
    """

    def load() -> Callable[[str], object]:
        ask, defer = (students.open_folder(folder, **options).ask for folder in (student, teacher))
        return partial(_cascade, ask, defer, below)

    return _timed(load, texts, per_run=PER_RUN, warm_up=warm_up)


def _cascade(ask: Ask, defer: Ask, below: float, text: str) -> object:
    answer = ask(text)
    return defer(text) if answer.max() < below else answer


def baseline_latencies(
    baseline: Callable[[Sequence[str]], object], texts: Sequence[str], **passes: int
) -> list[list[int]]:
    return _timed(lambda: lambda text: baseline([text]), texts, **passes)


def _timed(
    load: Callable[[], Callable[[str], object]],
    texts: Sequence[str],
    *,
    runs: int = RUNS,
    per_run: int = PER_RUN,
    warm_up: int = 20,
) -> list[list[int]]:
    """Time single requests: `runs` lists of `per_run` microseconds each.

    Each run is a separate pass with the model freshly loaded, because timings within one pass are correlated and a
    pooled quantile would look more certain than it is. Warm-up requests are not counted. Each pass continues through
    the texts, which repeat where there are fewer than needed. Raises ValueError without texts.
    """
    if not texts:
        raise ValueError("Latency needs texts to send; there are none.")
    timed = []
    for run in range(runs):
        ask, times = load(), []
        for offset in range(warm_up + per_run):
            text = texts[(run * per_run + offset) % len(texts)]
            start = time.perf_counter_ns()
            ask(text)
            times.append((time.perf_counter_ns() - start) // 1000)
        timed.append(times[warm_up:])
    return timed


def running(
    folder: Path, texts: Sequence[str], *, threads: int = 1, max_tokens: int | None = None, rounds: int = ROUNDS
) -> dict[str, int]:
    """Measure cold start, memory and throughput, in whole numbers.

    `cold_start_us` is from the start of Python to the first answer, and `peak_kb` the memory of that process, both of
    the program that the model card prints, without this package; `batch_N` is texts per second in batches of N, in
    their order. Raises ValueError where the program fails.
    """
    found = _first_answer(folder, texts[0], threads)
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)

    def ask(some: Sequence[str]) -> None:
        opened.run(opened.prepare(some))

    for batch in BATCHES:
        some = [texts[at % len(texts)] for at in range(max(BATCHES) * rounds)]
        ask(some[:batch])
        started = time.perf_counter()
        for at in range(0, len(some), batch):
            ask(some[at : at + batch])
        found[f"batch_{batch}"] = round(len(some) / (time.perf_counter() - started))
    return found


# the peak of the program alone: the system's own count begins with that of the process which started it
PEAK = """\
import os, resource
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if os.path.exists("/proc/self/status"):
    most = next((line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), most)
print(most)"""


def _first_answer(folder: Path, text: str, threads: int) -> dict[str, int]:
    of = FORMS[form(folder)]
    labels = not of.writes
    program = of.program_for(several=labels and several(folder), scale=scale_form(folder) if labels else "")
    program = program.replace('"model"', repr(str(folder.absolute())))
    parts = [part.encode("utf-8", "replace").decode() for part in pair_of(text) or (text,)]
    asked = ", ".join(map(json.dumps, parts))
    code = f"{program}\npredict({asked})\n{PEAK}"
    environment = os.environ | {name: str(threads) for name in THREADS}
    started = time.perf_counter_ns()
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    took = (time.perf_counter_ns() - started) // 1000
    if done.returncode:
        raise ValueError(f"The program in the model card fails on {folder.name}: {done.stderr.strip()[-200:]}")
    unit = 1000 if sys.platform == "darwin" else 1  # bytes on macOS, kilobytes on Linux
    return {"cold_start_us": took, "peak_kb": int(done.stdout.split()[-1]) // unit}


def size(folder: Path) -> tuple[int, int]:
    """Count the parameters in the weights, and the bytes of all the files that ship."""
    parameters = stated_parameters(folder)
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            parameters += sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    return parameters, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def machine(threads: int) -> dict[str, str | int]:
    """Describe what a latency was measured on, ints and strings only; load is the 1-minute average times 100."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "load_x100": round(os.getloadavg()[0] * 100),
        "threads": threads,
        "torch": version("torch"),
        "transformers": version("transformers"),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    with suppress(OSError):  # not Linux
        if found := re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE):
            return found[1].strip()
    return platform.processor() or platform.machine()
