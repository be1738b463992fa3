"""CPU seconds of the commands that only read, each in a process of its own, on a play that has shipped.

The play is the small one of the tests, made by the real commands. `live` is measured before and after its first feed.
`why P-001 ship` is shown without a goal: it replays the whole log and hashes every file, as the ship itself does. Each
figure is user and system time of the process, the median of several runs: load on the machine changes it less than
elapsed time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import shared

from distill_tui import actions
from support import live_play

MOST = 0.5  # seconds of CPU: the goal of each
READS = ("list", "next P-001", "why P-001 kill", "show P-001", "log P-001", "live P-001")


def seconds(project: Path, words: str) -> float:
    """Return the CPU seconds of one command. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "distill_tui", "--project", str(project), *words.split()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 7, 8):  # of `live`: what it reports about the student
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with live_play.workers_here():
            project, play = live_play.shipped(folder)
        met = [report(each, project.path, each, options.runs) for each in READS]
        feed = live_play.write(folder / "feed.jsonl", live_play.rows(300, 2))
        with live_play.workers_here():
            actions.observe(project, play, live_play.OLGA, feed)
        met.append(report("live P-001, one feed", project.path, "live P-001", options.runs))
        report("why P-001 ship (no goal)", project.path, "why P-001 ship", options.runs)
        project.close()
    print(f"{sum(met)} of {len(met)} within {MOST} s of CPU")
    return 0 if all(met) else 1


def report(name: str, project: Path, words: str, runs: int) -> bool:
    """Print one command's figures; return whether its median is within the goal."""
    seconds(project, words)  # the first writes the bytecode
    taken = [seconds(project, words) for _ in range(runs)]
    middle = statistics.median(taken)
    print(f"{name:<24} {middle:5.2f} s of CPU (from {min(taken):.2f} to {max(taken):.2f})", flush=True)
    return middle <= MOST


if __name__ == "__main__":
    sys.exit(main())
