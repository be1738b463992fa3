"""Run what takes too long for the tests, and print one table: what was tried, how often, and what was lost.

make prove                                # full counts, hours
make prove ARGS='--scale 0.1'             # a tenth of each
make prove ARGS='--only SIGKILL'          # the proofs whose name contains this word
make prove ARGS='--list'                  # only the names
make prove ARGS='--table'                 # only the table of the results so far
make prove ARGS='--markdown'              # the same as it stands in docs/proofs.md

Each subject is a process, and each proof a fork of it. What held at this scale is kept in `--kept` and not run again,
so an interrupted run continues where it was; `--again` runs everything. Exit code 1 where something was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import kit
from kit import Bench, Row

HERE = Path(__file__).resolve().parent
SUBJECTS = (
    *("histories", "kills", "concurrency", "damage", "disk", "clocks", "hostile_input", "sessions", "guards"),
    *("gateway", "wire_formats", "shards"),
)
WORKERS = ("gateway", "wire_formats", "shards")  # of a play that real workers made; the others start from stages
PRELOADS = {"disk": "failing_disk.c", "clocks": "moved_clock.c"}  # loaded before libc
HEADER = ("proof", "times", "lost", "minutes", "commit", "detail")

Kept = dict[str, dict[str, dict[str, Any]]]  # by scale and name


# --- a subject is a process, a proof a fork of it -------------------------------------------------------------------


def start(subject: str, folder: Path, *words: str, everywhere: str = "", quiet: bool = False) -> tuple[int, str]:
    """Run a subject's proofs in a process of their own; return its exit code and the output of a quiet one."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        environment = os.environ | {"PYTHONPATH": place, "XDG_STATE_HOME": f"{place}/state"}  # waits for no other run
        (Path(place) / "sitecustomize.py").write_text(everywhere)
        if subject in PRELOADS:
            built = kit.library(PRELOADS[subject], Path(place))
            if built is None:
                print(f"{subject}: not tried, it needs Linux and a C compiler")
                return 0, ""
            environment |= {"LD_PRELOAD": str(built), kit.PRELOADED: str(built)}
        command = [sys.executable, str(HERE / "run.py"), "--subject", subject, "--folder", str(folder), *words]
        done = subprocess.run(command, env=environment, capture_output=quiet, text=True, errors="replace")
        return done.returncode, f"{done.stdout}{done.stderr}" if quiet else ""


def without(subject: str, name: str, guard: str, scale: float, everywhere: str, folder: Path) -> tuple[list[str], str]:
    """Run one proof without a guard of the program; return the losses, and the end of the output."""
    kept = folder / "without.json"
    words = ("--exactly", name, "--without", guard, "--scale", str(scale), "--kept", str(kept), "--again")
    code, output = start(subject, folder, *words, everywhere=everywhere, quiet=True)
    results = load(kept).get(str(scale), {})
    return [wrong for row in results.values() for wrong in row["lost"]], f"exit {code}, {output[-600:]}"


def prove(given: argparse.Namespace) -> int:
    """Run the proofs of one subject, one after the other."""
    import operations

    proofs: dict[str, Callable[[Bench], Row]] = import_module(given.subject).PROOFS
    proofs = {name: proof for name, proof in proofs.items() if given.only in name and given.exactly in ("", name)}
    if given.list:
        print("\n".join(proofs))
        return 0
    stages, code = given.folder / "stages", 0
    operations.prepare_process(workers=given.subject in WORKERS)
    for name, proof in proofs.items():
        if not given.again and load(given.kept).get(str(given.scale), {}).get(name, {"code": 1})["code"] == 0:
            continue
        if not stages.exists() and given.subject not in WORKERS:
            stages.mkdir()
            assert forked(lambda: operations.make_stages(stages)) == 0
        started, nothing, parts = time.monotonic(), "ended without a result", done_before(given, name)
        keep(given, name, subject=given.subject, commit=commit(), times=0, lost=[], detail=nothing, code=1, seconds=0)
        keep(given, name, parts=parts, stopped=False)
        ended = forked(lambda name=name, proof=proof, parts=parts: once(given, name, proof, parts))
        seconds = parts.get("seconds", 0.0) + time.monotonic() - started
        keep(given, name, code=ended, seconds=round(seconds, 1), **({} if ended else {"parts": {}}))
        code = code or ended
    return code


def done_before(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the parts of a proof that a run of the same commit did before it was stopped."""
    known = load(given.kept).get(str(given.scale), {}).get(name, {})
    same = known.get("commit") == commit() and not given.again
    return dict(known.get("parts", {})) if same else {}


def once(given: argparse.Namespace, name: str, proof: Callable[[Bench], Row], parts: dict[str, Any]) -> int:
    """Run one proof in this process; without a guard the first loss is enough."""
    if given.without:
        import_module("guards").GUARDS[given.without].take_away()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, ExitStack() as stack:
        stages = given.folder / "stages"
        until = time.monotonic() + 60 * given.minutes
        bench = Bench(Path(folder), stages, given.scale, given.seed, bool(given.without), without, stack, parts, until)
        bench.part_done = lambda part: keep(given, name, parts=part)
        row = proof(bench)
    keep(given, name, times=row.times, lost=row.lost, detail=row.detail, stopped=row.stopped)
    kit.print_losses([row])
    return int(bool(row.lost) or row.stopped)


def forked(do: Callable[[], object]) -> int:
    """Do something in a fork of this process; return its exit code."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        code = int(do() or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# --- the results ----------------------------------------------------------------------------------------------------


def load(path: Path) -> Kept:
    return json.loads(path.read_text()) if path.exists() else {}


def keep(given: argparse.Namespace, name: str, **found: object) -> None:
    """Add to what is kept of a proof; its fork writes the counts, the process around it how it ended."""
    kept = load(given.kept)
    here = kept.setdefault(str(given.scale), {})
    here[name] = here.get(name, {}) | found
    given.kept.write_text(json.dumps(kept))


def commit() -> str:
    """Name the commit; a star means that files differ from it. Empty outside a repository."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--exclude=*", "--dirty=*"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def table(kept: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Lay out the results in the order of the subjects."""
    lines = []
    for name, proof in sorted(kept.items(), key=lambda item: SUBJECTS.index(item[1]["subject"])):
        unfinished = "to be continued" if proof.get("stopped") and not proof["lost"] else "DID NOT HOLD"
        detail = proof["detail"] if proof["code"] == 0 else f"{unfinished}; {proof['detail']}"
        counts = (f"{proof['times']:,}", str(len(proof["lost"])), f"{proof['seconds'] / 60:,.1f}")
        lines.append((name, *counts, proof["commit"], detail))
    return lines


def print_table(lines: list[tuple[str, ...]]) -> None:
    wide = [max(len(line[at]) for line in (HEADER, *lines)) for at in range(5)]
    for line in (tuple(word.upper() for word in HEADER), *lines):
        numbers = (f"{each:>{width}}" for each, width in zip(line[1:5], wide[1:], strict=True))
        print(f"{line[0]:<{wide[0]}}  {'  '.join(numbers)}  {line[5]}")


def print_markdown(lines: list[tuple[str, ...]]) -> None:
    for line in (HEADER, ("---",) * len(HEADER), *lines):
        print(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="of a proof in parts; the next run goes on with it")
    parser.add_argument("--only", default="", help="the proofs whose name contains this word")
    parser.add_argument("--again", action="store_true", help="also run what held already")
    parser.add_argument("--list", action="store_true", help="only the names")
    parser.add_argument("--table", action="store_true", help="only the table")
    parser.add_argument("--markdown", action="store_true", help="only the table, in Markdown")
    parser.add_argument("--kept", type=Path, default=Path(".proved.json"), help="where the results are kept")
    parser.add_argument("--subject", choices=SUBJECTS, help="the proofs of one file")
    for internal in ("--exactly", "--without", "--folder"):
        parser.add_argument(internal, default="", type=Path if internal == "--folder" else str, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder != Path():
        return prove(given)
    codes = []
    if not (given.table or given.markdown):
        with tempfile.TemporaryDirectory(dir=kit.MEMORY) as folder:
            for subject in [given.subject] if given.subject else SUBJECTS:
                codes.append(start(subject, Path(folder), *sys.argv[1:])[0])
    if not given.list:
        lines = table(load(given.kept).get(str(given.scale), {}))
        (print_markdown if given.markdown else print_table)(lines)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
