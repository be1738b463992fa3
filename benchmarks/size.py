"""Size through the real commands: a large file imported, a million rows built and frozen; seconds and peak memory.

    python benchmarks/size.py [--import-gb 5 ...] [--shape rows|log] [--build-rows 1000000] [--folder PATH]

A file of so many gigabytes (JSONL, plain and then as gzip) is imported by `distill-tui import`; with `--shape log` a
folder of gzip parts that hold the spend log of LiteLLM's proxy, prompts and answers included. Then a file of short
rows, with a teacher's recorded labels, is imported, built and frozen by the commands that a driver types. Each command
is a process of its own; the peak memory printed is its own or its worker's, whichever is larger.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import shared

GIB, MIB = 1 << 30, 1 << 20
LABELS = ("bad", "fine", "good")
START = 1_750_000_000


def rows(seed: int, words_a_row: int) -> Iterator[dict[str, Any]]:
    """Return rows without end: own words, a label of gold and teacher, a segment, a time."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(20_000)]
    number = 0
    while True:
        number += 1
        label = LABELS[chance.randrange(3)]
        yield {
            "input": " ".join([f"case {number}", label, *chance.choices(words, k=words_a_row)]),
            "gold": label if number % 5 == 0 else None,
            "teacher_output": label if number % 10 else LABELS[number % 3],
            "segment": f"shop-{number % 7}",
            "time": START + number,
        }


def write(path: Path, seed: int, words_a_row: int, *, most_bytes: int = 0, most_rows: int = 0) -> int:
    """Write rows until so many bytes (unpacked) or rows are there; gives the unpacked size."""
    written = 0
    packed = path.suffix == ".gz"
    with cast(IO[bytes], gzip.open(path, "wb", compresslevel=1)) if packed else path.open("wb") as file:
        for number, row in enumerate(rows(seed, words_a_row), 1):
            written += file.write(json.dumps(row).encode() + b"\n")
            if (most_bytes and written >= most_bytes) or number == most_rows:
                break
    return written


def command(project: Path, *words: str) -> tuple[float, float, str]:
    """Run a command and its worker; return seconds, the larger peak in MiB, and the output. Raises where it failed."""
    seconds, peak, _, output = measured(project, *words)
    return seconds, peak, output


def measured(project: Path, *words: str) -> tuple[float, float, float, str]:
    """Run a command and its worker; return seconds, the larger peak in MiB, seconds of CPU of both, and the output."""
    code = (
        "import os, resource, sys; from distill_tui.cli.app import main; code = main(sys.argv[1:])\n"
        "try:\n while os.wait(): pass\n"
        "except ChildProcessError: pass\n"
        "both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "used = sum(each.ru_utime + each.ru_stime for each in both)\n"
        "print('PEAK', max(each.ru_maxrss for each in both), used, file=sys.stderr); sys.exit(code)"
    )
    # a shell between the two: the peak of a process that starts another at once is counted as that one's
    line = ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code, "--project", str(project), *words]
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr[-2000:]}")
    peak, used = done.stderr.rsplit("PEAK", 1)[1].split()
    return time.perf_counter() - began, int(peak) / 1024, float(used), done.stdout.strip()


def imported(folder: Path, gigabytes: float) -> None:
    """Import a large file, plain and packed."""
    for name in ("calls.jsonl", "calls.jsonl.gz"):
        project = a_play(folder / f"{name}.distill", held_out=1_000)
        path = folder / name
        size = write(path, 7, 60, most_bytes=int(gigabytes * GIB))
        took, peak, said = command(project, "import", "P-001", str(path))
        print(
            f"import {name:<15} {size / GIB:6.2f} GiB unpacked, {path.stat().st_size / GIB:6.2f} GiB on disk, "
            f"{int(said.replace(',', '')):,} rows: {took:,.0f} s, peak {peak:,.0f} MiB, "
            f"{100 * peak * MIB / size:.1f}% of the file",
            flush=True,
        )
        path.unlink()


def imported_log(folder: Path, gigabytes: float) -> None:
    """Import a folder of gzip parts of at most half a GiB each: the log of a proxy, recognised, mapped, and read."""
    from support import traces as logs

    project, source = a_play(folder / f"log-{gigabytes:g}.distill", held_out=1_000), folder / "logs"
    source.mkdir()
    made, size = rows(9, 600), 0
    while size < gigabytes * GIB:
        part = 0
        with gzip.open(source / f"part-{len(list(source.iterdir())):03d}.jsonl.gz", "wb", compresslevel=1) as file:
            while part < GIB // 2 and size + part < gigabytes * GIB:
                row = next(made)
                part += file.write(
                    json.dumps(logs.litellm(f"Ticket:\n{row['input']}", row["teacher_output"])).encode() + b"\n"
                )
        size += part
    on_disk = sum(path.stat().st_size for path in source.iterdir())
    took, peak, said = command(project, "import", "P-001", str(source))
    print(
        f"import of a log {size / GIB:6.2f} GiB unpacked, {on_disk / GIB:6.2f} GiB on disk, "
        f"{int(said.replace(',', '')):,} calls: {took:,.0f} s, {size / MIB / took:,.0f} MiB/s, peak {peak:,.0f} MiB",
        flush=True,
    )
    for path in source.iterdir():
        path.unlink()
    source.rmdir()


def a_play(path: Path, held_out: int) -> Path:
    """Make a project with a play at `data`, as far as its data stage needs one."""
    from distill_tui import actions
    from distill_tui.gates.gate import default_gate
    from distill_tui.rules.actor import Actor
    from distill_tui.store import tables
    from distill_tui.store.project import Project
    from distill_tui.terms import PlayKind, Role, Stage
    from support.by_hand import by_hand

    me = Actor("mia", f"account uid {os.getuid()}")
    made = Project.create(path, "Size", "mia", "Mia", Actor(None, me.proof))
    play = actions.open_play(made, me, "size", PlayKind.COST)
    actions.assign_role(made, play, me, Role.DRIVER, "mia")
    gate = default_gate(PlayKind.COST)
    from dataclasses import replace

    actions.edit_gate(made, play, me, replace(gate, held_out_rows=held_out))
    actions.set_teacher(made, play, me, None)
    with by_hand(made) as session:
        row = session.get(tables.Play, play)
        assert row is not None
        row.stage = Stage.DATA
        session.add(row)
    made.close()
    return path


def built(folder: Path, count: int) -> None:
    """Import, build and freeze short rows."""
    project = a_play(folder / "build.distill", held_out=5_000)
    path = folder / "short.jsonl"
    write(path, 8, 10, most_rows=count)
    for words in (["import", "P-001", str(path)], ["data", "build", "P-001"], ACCEPT, ["data", "freeze", "P-001"]):
        took, peak, _ = command(project, *words)
        print(f"{' '.join(words[:2]):<12} {count:,} rows: {took:,.0f} s, peak {peak:,.0f} MiB", flush=True)


ACCEPT = ["data", "accept", "P-001", "--all", "-m", "a benchmark"]


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--import-gb", type=float, nargs="+", default=[5.0], help="GiB to import; 0: leave it out")
    parser.add_argument("--shape", choices=("rows", "log"), default="rows", help="plain rows, or the log of a proxy")
    parser.add_argument("--build-rows", type=int, default=1_000_000, help="short rows to build; 0: leave it out")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for size in filter(None, args.import_gb):
            (imported if args.shape == "rows" else imported_log)(Path(folder), size)
        if args.build_rows:
            built(Path(folder), args.build_rows)


if __name__ == "__main__":
    main()
