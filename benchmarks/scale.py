"""Short rows at size through the real commands: seconds, CPU and peak memory of each step, and how they grow.

    python benchmarks/scale.py [--rows 100000 300000 1000000] [--ahead 10000000] [--folder PATH]
                               [--without-label | --only-label] [--slurm SHARDS]

Rows of a dozen words with gold, a segment and a time are imported, labelled by a tiny model on this machine, built
(duplicates, splits, audit) and frozen by the commands that a driver types; then a page of rows is shown. Each command
is a process of its own; its CPU and its peak memory are its own and its worker's. The last two columns compare with
the size before: how the CPU of a row grew (1 is linear), and the bytes of memory for each further row. What `--ahead`
rows would take is extrapolated from the last two sizes. With `--slurm` a Slurm that is started on this machine labels
too, in so many jobs; what the jobs take is in the seconds only. At last near duplicates are compared with datasketch
and rensa.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import shared

# isort: split
import duplicates
import size

from distill_tui.rules import data
from distill_tui.rules.actor import Actor
from distill_tui.store.project import Project
from distill_tui.terms import RunStatus
from support import data_runs, slurm
from support.training import made_teacher

LIMIT = 4096  # MiB
HELD_OUT = 5_000
PEER_ROWS = 20_000


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--ahead", type=int, default=10_000_000, help="rows to extrapolate to")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--without-label", action="store_true", help="leave the labelling out: it takes the longest")
    which.add_argument("--only-label", action="store_true", help="only import and label")
    parser.add_argument("--slurm", type=int, default=0, metavar="SHARDS", help="label on a real Slurm, in so many jobs")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}\n")
    print(
        "| step | rows | seconds | CPU s | CPU µs a row | peak MiB | growth | bytes a row |\n"
        "|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    before: dict[str, tuple[int, float, float]] = {}  # step → rows, microseconds a row, peak
    ahead: dict[str, tuple[float, float]] = {}
    most = 0.0
    for count in given.rows:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            for name, (seconds, peak, cpu) in steps(Path(folder), count, given):
                each, grown, bytes_a_row = 1e6 * cpu / count, "", ""
                if name in before:
                    rows, microseconds, less = before[name]
                    further = (peak - less) / (count - rows)
                    grown, bytes_a_row = f"{each / microseconds:.2f}", f"{further * size.MIB:,.0f}"
                    ahead[name] = peak + further * (given.ahead - count), each * given.ahead / 60e6
                before[name], most = (count, each, peak), max(most, peak)
                figures = f"{seconds:,.1f} | {cpu:,.1f} | {each:,.1f} | {peak:,.0f} | {grown} | {bytes_a_row}"
                print(f"| {name} | {count:,} | {figures} |", flush=True)
    for name, (peak, minutes) in ahead.items() if max(given.rows) < given.ahead else ():
        print(
            f"{name}: {given.ahead:,} rows would take {peak:,.0f} MiB and {minutes:,.0f} minutes of CPU (extrapolated)"
        )
    print(f"\nlargest peak {most:,.0f} MiB, limit {LIMIT:,} MiB\n", flush=True)
    for name in () if given.only_label else duplicates.CONTESTANTS:
        duplicates.again(name, PEER_ROWS)
    return int(most > LIMIT)


def steps(folder: Path, count: int, given: argparse.Namespace) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Run the steps of a play's data; yield what each took: seconds, peak MiB, seconds of CPU."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["XDG_STATE_HOME"] = str(folder / "state")  # waits for the cores of no other project
    project, file = size.a_play(folder / "scale.distill", HELD_OUT), folder / "short.jsonl"
    size.write(file, 8, 10, most_rows=count)
    yield "import", size.measured(project, "import", "P-001", str(file))[:3]
    if not given.without_label:
        opened = Project.open(project)
        me = Actor("mia", f"account uid {os.getuid()}")
        data_runs.try_teacher(opened, 1, me, made_teacher(folder / "teacher", layers=1))
        opened.close()
        yield "label", size.measured(project, "label", "P-001")[:3]
        if given.slurm:
            with slurm.running(folder / "cluster"):
                words = ("--on", "slurm", "--shards", str(given.slurm), "--slurm", "memory_gb=2")
                (folder / "again").mkdir()
                again = size.a_play(folder / "again" / "scale.distill", HELD_OUT)
                size.measured(again, "import", "P-001", str(file))
                opened = Project.open(again)
                data_runs.try_teacher(opened, 1, me, folder / "teacher")
                opened.close()
                taken = size.measured(again, "label", "P-001", *words)[:3]
                opened = Project.open(again)
                run = opened.dossier(1).runs[-1]
                opened.close()
                if run.status is not RunStatus.FINISHED:
                    raise SystemExit(run.message)
                yield f"label, Slurm in {given.slurm} jobs", taken
    if given.only_label:
        return
    yield "build", size.measured(project, "data", "build", "P-001")[:3]
    size.measured(project, "data", "accept", "P-001", *findings(project), "-m", "a benchmark")
    yield "freeze", size.measured(project, "data", "freeze", "P-001")[:3]
    yield "a page of rows", size.measured(project, "rows", "P-001")[:3]


def findings(project: Path) -> list[str]:
    """Name all open findings, also those that must be accepted: the tiny model knows nothing."""
    opened = Project.open(project)
    found = [each.id for each in data.open_findings(opened.dossier(1))]
    opened.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
