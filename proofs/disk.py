"""Disks that fail, interrupt or kill at the k-th call of each operation, for every k; and a disk that is full.

At each call one of three things happens. A write, a sync, a rename, a link or a new folder fails (ENOSPC, EIO; once, or
from then on). A signal interrupts it (EINTR), reads, openings and locks included. The process is killed there, before a
removal too. The project must then be as before or as after the operation, the failure must have been reported in one
line, and the operation must work once the disk does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import kit
import operations
from distill_tui.cli import call
from distill_tui.rules.objection import Refused
from distill_tui.runs import claim
from kit import NAME, Bench, Child, Row, Send
from operations import Operation, RunFailed, check_after, run_trouble

WAYS = {"failing disk": (errno.ENOSPC, errno.EIO), "EINTR": (errno.EINTR,), "SIGKILL at each call": (0,)}
INPUTS = 6  # that are labelled; each answer is kept by itself, so more would only be more of the same


@dataclass(frozen=True)
class Fault:
    """What happens at which call: an errno, or 0 for SIGKILL; once, or from then on."""

    k: int
    error: int
    lasting: bool = False

    def __str__(self) -> str:
        how = errno.errorcode[self.error] if self.error else "SIGKILL"
        return f"call {self.k}, {how}{' from then on' if self.lasting else ''}"


def faults(way: str, count: int, scale: float) -> Iterator[Fault]:
    for k in range(1, count + 1, max(1, round(1 / scale))):
        for error in WAYS[way]:
            for lasting in (False, True) if way == "failing disk" else (False,):
                yield Fault(k, error, lasting)


def load() -> ctypes.CDLL:
    library = ctypes.CDLL(os.environ[kit.PRELOADED])
    library.disk_calls.restype = ctypes.c_long
    library.disk_arm.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int)
    return library


def at_each_call(name: str, way: str) -> Callable[[Bench], Row]:
    """Try an operation with every fault."""

    def proof(bench: Bench) -> Row:
        disk, row = load(), Row(f"{way} during {name}")
        claim.EVERY, claim.BEAT = 1e6, 1e6  # no call depends on the time
        operation = operations.prepared(bench, name, inputs=INPUTS, concurrency=1)
        no_fault = Fault(0, WAYS[way][0])
        end, count, wrong = attempt(operation, bench.copy(operation.stage) / NAME, disk, no_fault)
        assert end == "done" and count > 3 and not wrong, (name, end, count, wrong)
        for folder, fault in bench.each(row, faults(way, count, bench.scale), operation.stage):
            end, _, wrong = attempt(operation, folder / NAME, disk, fault)
            row.counts[end] += 1
            row.check(end if end not in ("done", "reported", "killed") else wrong, f"{fault} of {count}")
        row.detail = f"{count} calls; " + ", ".join(f"{number} {end}" for end, number in row.counts.items())
        return row

    return proof


def attempt(operation: Operation, path: Path, disk: ctypes.CDLL, fault: Fault) -> tuple[str, int, str]:
    """Run an operation with a fault, in a child; return how it ended, the number of calls, and what was lost."""

    def do(send: Send) -> None:
        disk.disk_arm(fault.k, fault.error, int(fault.lasting))
        end = ending(operation, path)
        count = disk.disk_calls()
        disk.disk_arm(-1, 0, 0)
        send(f"{count} {end}")

    line = (Child(do).go().end() or ["0 no answer" if fault.error else "0 killed"])[-1]
    count, _, end = line.partition(" ")
    if not count.isdigit():
        count, end = "0", line
    if end == "run failed":
        wrong = run_trouble(path)
        end = {"": "reported", "done": "done"}.get(wrong, wrong)
    return end, int(count), check_after(operation, path, end == "done")


def ending(operation: Operation, path: Path) -> str:
    """Run an operation; return "done", "reported" (a front end has one line for the error), or what is wrong."""
    try:
        operation.run(path)
    except RunFailed:
        return "run failed"
    except Exception as error:
        return "reported" if one_line(error) else f"not reported in one line: {type(error).__name__}: {error!s:.200}"
    return "done"


def one_line(error: Exception) -> bool:
    """Whether a front end explains an error in one line; a rule that rejects does not explain a disk."""
    command = call.Call()
    command.project_file = NAME
    sentence = None if isinstance(error, Refused) else call.bad_input(error, command)
    return sentence is not None and "\n" not in sentence


def full_disk(bench: Bench) -> Row:
    """Fill a small disk to a random byte, try an operation, and make room again."""
    row, mount = Row("full disk"), bench.empty()
    command = ["mount", "-t", "tmpfs", "-o", f"size={6 << 20}", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True).returncode:
        row.detail = "not tried: to mount a small tmpfs needs root"
        return row
    bench.finally_.callback(subprocess.run, ["umount", "--lazy", str(mount)], check=True)
    names = sorted(set(operations.OPERATIONS) - {"init", "backup"})
    for number in range(len(names)):
        name, share = names[number], Row("")
        operation = operations.OPERATIONS[name]
        for folder in bench.trials(share, 1000 // len(names), operation.stage, at=mount):
            path = folder / NAME
            fill(mount, bench.chance.randint(0, 200_000))
            end = (Child(lambda send, path=path, run=operation: send(ending(run, path))).go().end() or ["no answer"])[
                -1
            ]
            (mount / "filler").unlink()
            if end == "run failed":
                end = run_trouble(path) or "reported"
            row.counts[end] += 1
            look = partial(check_after, operation, path, end == "done")
            check = Child(lambda send, look=look: send(look().replace("\n", " ")))  # its open files take room
            wrong = (check.go().end() or ["no answer"])[-1]
            share.check(wrong if end in ("done", "reported") else end, name)
        row.times, row.lost = row.times + share.times, row.lost + share.lost
    row.require(row.counts["reported"] > row.times / 5, f"only {row.counts['reported']} found the disk full")
    row.detail = f"{row.counts['reported']} reported a full disk, {row.counts['done']} had room"
    return row


def fill(mount: Path, left: int) -> None:
    """Write until only so many bytes are left."""
    stat = os.statvfs(mount)
    with (mount / "filler").open("wb", buffering=0) as filler:
        room = stat.f_bavail * stat.f_frsize - left
        while room > 0:
            room -= filler.write(bytes(min(room, 1 << 16)))


PROOFS = {f"{way} during {name}": at_each_call(name, way) for way in WAYS for name in operations.NAMES}
PROOFS |= {"full disk": full_disk}
