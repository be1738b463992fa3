"""Workers as processes that have imported torch: forked from one that did nothing else with it.

An import of torch and transformers takes five seconds of CPU, which every process of a test would spend again. The
keeper imports what workers need, and forks for each; the child runs the real program, and shares nothing with its
parent. `workers` hands runs to such processes by the way that `local.prepared` does; other starts stay as they are.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from distill_tui.runs.executors import local
from distill_tui.store.project import Project

AWAY, WORKER = "distill_tui.runs.away", "distill_tui.runs.worker"
BESIDE = (AWAY, "distill_tui.training.local_teachers", "transformers.models.bert.modeling_bert")


class Forked:
    """A child of the keeper, used as a `subprocess.Popen` is."""

    def __init__(self, program: str, *arguments: str, log: Path | None = None) -> None:
        if log is None:
            handle, name = tempfile.mkstemp(prefix="forked-")
            os.close(handle)
            log = Path(name)
        self.log = log
        self.returncode: int | None = None
        asked = {"program": program, "arguments": arguments, "log": str(log), "env": dict(os.environ)}
        self.pid: int = _asked(asked)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _asked({"poll": self.pid})
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.02)
        return code

    def communicate(self) -> tuple[None, str]:
        self.wait()
        return None, self.log.read_text()

    def send_signal(self, signal: int) -> None:
        os.kill(self.pid, signal)


@contextmanager
def workers() -> Iterator[None]:
    """Hand each run that starts on this machine to a child of the keeper."""
    with mock.patch.object(local, "_ready", _Ready()):
        yield


class _Ready(dict[Any, Any]):
    """There is always one process that waits for a run."""

    def get(self, kind: object, default: object = None) -> list[_Waiting]:
        return [_Waiting()]


class _Waiting(io.StringIO):
    """A process that waits for its project and run."""

    @property
    def stdin(self) -> _Waiting:
        return self

    def poll(self) -> None:
        return None

    def flush(self) -> None:
        path, run_id = json.loads(self.getvalue())
        project = Project.open(Path(path))
        log = project.artifacts.run_folder(int(run_id)) / local.LOG
        project.close()
        Forked(WORKER, path, run_id, log=log)


# --- the keeper ------------------------------------------------------------------------------------------------------


@cache
def _keeper() -> subprocess.Popen[str]:
    """Start the keeper; it ends when its input does, with this process."""
    command, here = [sys.executable, "-m", "support.forked"], str(Path(__file__).parents[1])
    env = os.environ | local.QUIET | {"PYTHONPATH": here}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def _asked(request: dict[str, object]) -> Any:
    keeper = _keeper()
    assert keeper.stdin is not None and keeper.stdout is not None
    keeper.stdin.write(json.dumps(request) + "\n")
    keeper.stdin.flush()
    return json.loads(keeper.stdout.readline())


def _begun(program: str, arguments: list[str], log: str, env: dict[str, str]) -> int:
    """Fork; the child runs the program, and never returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number, target in ((0, null), (1, said), (2, said)):
            os.dup2(target, number)
        os.environ.clear()
        os.environ.update(env | local.QUIET)
        code = importlib.import_module(program).main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    of_runs = importlib.import_module(WORKER).MODULES.values()
    for module in (*(f"distill_tui.runs.{name}" for name in of_runs), *BESIDE):
        importlib.import_module(module)
    children: dict[int, int | None] = {}  # its exit code, once it has ended
    for line in sys.stdin:
        request = json.loads(line)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                children[ended[0]] = os.waitstatus_to_exitcode(ended[1])
        if "poll" in request:
            answer = children.get(request["poll"])
        else:
            answer = _begun(**request)
            children[answer] = None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
