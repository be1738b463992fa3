"""Disks that fail: the k-th write, sync, rename or new folder of every deed, for every k; and disks that are full.

    python benchmarks/storms_disk.py                    # every k, and 1,000 points of a small tmpfs (needs root)
    python benchmarks/storms_disk.py --scale 0.1        # every tenth k, 100 points

After each fault the project must be as it was or as it should be, the fault must have been told in one line, and the
deed must be possible once the disk is well again. The failing disk is `failing_disk.c`, loaded before libc.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from random import Random

from trials import DEEDS, MEMORY, NAME, Child, Deed, Row, beginnings, fresh, is_done, see_whole, table

from distill_tui import calls
from distill_tui.project import Project
from distill_tui.rules import Refused

ERRORS = (errno.ENOSPC, errno.EIO)


def told_in_one_line(error: Exception) -> bool:
    """See that a front end has one line for this, and no traceback."""
    if isinstance(error, Refused):
        return False  # the rules have no part in it
    said = calls._said(error, calls.Call(Namespace(json=False, plain=True, project=NAME)))
    return said is not None and "\n" not in said


def attempt(deed: Deed, folder: Path, disk: ctypes.CDLL, k: int, error: int, good: bool) -> tuple[str, int]:
    """Do a deed on a disk whose k-th call fails, in a child; gives what it told, and how many calls there were."""

    def do(tell: object) -> None:
        project = Project.open(folder / NAME)
        disk.disk_arm(k, error, int(good))
        try:
            deed.do(project)
            said = "done"
        except Exception as fault:
            said = "told" if told_in_one_line(fault) else f"untold: {type(fault).__name__}: {fault!s:.200}"
        count = disk.disk_calls()
        disk.disk_arm(-1, 0, 0)
        tell(f"{count} {said}")  # type: ignore[operator]

    child = Child(do)
    child.go()
    line = (child.end() or ["0 nothing was told"])[-1]
    count, _, said = line.partition(" ")
    return (said, int(count)) if count.isdigit() else (line, 0)


def failing(name: str, kept: dict[str, Path], parent: Path, scale: float, disk: ctypes.CDLL) -> Row:
    """Let each call of a deed fail once, and once for good, with no room left and with a broken disk."""
    deed, lost, done, told = DEEDS[name], [], 0, 0
    folder = fresh(kept[deed.begins], parent)
    said, count = attempt(deed, folder, disk, 0, 0, False)
    assert said == "done" and count > 3, (name, said, count)
    every = max(1, round(1 / scale))
    trials = [(k, error, good) for k in range(1, count + 1, every) for error in ERRORS for good in (False, True)]
    for k, error, good in trials:
        folder = fresh(kept[deed.begins], parent)
        said, _ = attempt(deed, folder, disk, k, error, good)
        done, told = done + (said == "done"), told + (said == "told")
        what = f"call {k} of {count}, {errno.errorcode[error]}{' for good' if good else ''}"
        if said not in ("done", "told"):
            lost.append(f"{what}: {said}")
        wrong = see_whole(folder, deed, said == "done")
        if wrong:
            lost.append(f"{what}: {wrong}")
        shutil.rmtree(folder.parent)
    return Row(f"failing disk: {name}", len(trials), f"each of {count} calls; {told} told, {done} done in spite", lost)


# --- full -----------------------------------------------------------------------------------------------------------


def full(kept: dict[str, Path], times: int, chance: Random) -> Row:
    """Fill a small disk to some random byte, try a deed, make room again."""
    mount = Path(tempfile.mkdtemp())
    size = 6 << 20
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)], capture_output=True)
    if made.returncode:
        mount.rmdir()
        return Row("full disk", 0, "not tried: to mount a small tmpfs needs root", [])
    lost, told, done = [], 0, 0
    try:
        for _ in range(times):
            deed = DEEDS[name := chance.choice(sorted(DEEDS))]
            folder = fresh(kept[deed.begins], mount)
            _fill(mount, chance.randint(0, 200_000))

            def do(tell: object, deed: Deed = deed, folder: Path = folder) -> None:
                try:
                    deed.do(Project.open(folder / NAME))
                    said = "done"
                except Exception as error:
                    said = "told" if told_in_one_line(error) else f"untold: {type(error).__name__}: {error!s:.200}"
                tell(said)  # type: ignore[operator]

            child = Child(do)
            child.go()
            said = (child.end() or ["nothing was told"])[-1]
            (mount / "filler").unlink()
            told, done = told + (said == "told"), done + is_done(folder / NAME, deed)
            if said not in ("done", "told"):
                lost.append(f"{name}: {said}")
            wrong = see_whole(folder, deed, said == "done")
            lost += [f"{name}: {wrong}"] if wrong else []
            shutil.rmtree(folder.parent)
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        mount.rmdir()
    lost += [] if told > times / 5 else [f"only {told} were told that the disk is full"]
    return Row("full disk", times, f"{told} were told so, {done} had room enough", lost)


def _fill(mount: Path, left: int) -> None:
    """Write until only so many bytes are left."""
    stat = os.statvfs(mount)
    with (mount / "filler").open("wb", buffering=0) as filler:
        room = stat.f_bavail * stat.f_frsize - left
        while room > 0:
            room -= filler.write(bytes(min(room, 1 << 16)))


# --- the table ------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if "DISK" not in os.environ:
        return _again_on_a_failing_disk()
    disk = ctypes.CDLL(os.environ["DISK"])
    disk.disk_calls.restype = ctypes.c_long
    disk.disk_arm.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int)
    rows = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        (parent := Path(folder) / "trials").mkdir()
        for name in (*DEEDS, "full"):
            if given.only in name:
                started = time.monotonic()
                if name == "full":
                    rows.append(full(kept, max(10, round(1000 * given.scale)), Random(given.seed)))
                else:
                    rows.append(failing(name, kept, parent, given.scale, disk))
                print(f"{name}: {rows[-1].times:,} in {time.monotonic() - started:,.0f} s", flush=True)
    return table(rows)


def _again_on_a_failing_disk() -> int:
    """Build the library and run again with it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        print("not tried: it needs Linux and a C compiler")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "failing_disk.so"
        source = Path(__file__).with_name("failing_disk.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "DISK": str(library)}
        return subprocess.run([sys.executable, *sys.argv], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
