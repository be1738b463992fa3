"""Several processes under `accelerate launch` learn the student of one, write once, and survive a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from distill_tui.training import processes, ranks
from support import launched

LAUNCHER = Path(sys.executable).with_name("accelerate")
SAME = 2e-5  # how far a weight may be from that of one process: sums of 32-bit numbers taken in another order


def launch(count: int, folder: Path, kind: str, *more: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Launch on processors: `--cpu` starts one process, whatever the number, and `--multi_gpu` several anywhere."""
    where = ["--multi_gpu", "--main_process_port", "0"] if count > 1 else ["--cpu"]
    command = [str(LAUNCHER), "launch", *where, "--num_processes", str(count), *options]
    return subprocess.Popen(
        [*command, launched.__file__, str(folder), kind, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ
        | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def ended(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]


def said(folder: Path, rank: int = 0) -> list[list[str]]:
    path = folder / f"said-{rank}"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def weights(folder: Path) -> dict[str, object]:
    return load_file(folder / "student" / "model.safetensors")


def furthest(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max(float(abs(first[name] - second[name]).max()) for name in first)  # type: ignore[operator]


def test_a_process_that_nobody_launched_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # of some other launcher
    assert (ranks.rank(), ranks.count()) == (0, 1)
    alone = processes.ProcessGroup()
    assert alone.is_main and not alone.is_distributed and alone.fingerprint == "" and alone.shard([4, 5]) == [4, 5]
    assert alone.broadcast(None) is None and alone.sum_numbers([1.5]) == [1.5]


@pytest.mark.slow
def test_half_precision_that_needs_scaling_is_refused(tmp_path: Path) -> None:
    process = launch(1, tmp_path, "static", options=("--mixed_precision", "fp16"))
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0 and "give bf16" in errors


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["static", "ngram"])
def test_two_processes_learn_the_student_of_one(kind: str, tmp_path: Path) -> None:
    """Without dropout, which these students have none of; the last batch of an epoch is one row, and one has none."""
    launched.main(tmp_path / "alone", kind)
    ended(launch(2, tmp_path / "two", kind))
    first, second = (said(tmp_path / "two", rank) for rank in (0, 1))
    assert first == second and first[-1][0] == "150"  # step, loss and score are those of the whole batch, in both
    assert furthest(tmp_path / "alone", tmp_path / "two") < SAME, furthest(tmp_path / "alone", tmp_path / "two")


@pytest.mark.slow
def test_one_process_that_was_launched_learns_the_same_bits(tmp_path: Path) -> None:
    launched.main(tmp_path / "alone", "scratch")
    ended(launch(1, tmp_path / "one", "scratch"))
    assert furthest(tmp_path / "alone", tmp_path / "one") == 0


@pytest.mark.slow
def test_processes_that_were_killed_resume_to_the_same_bits(tmp_path: Path) -> None:
    """With dropout, whose numbers each process seeds from its place in the run."""
    ended(launch(2, tmp_path / "whole", "scratch"))
    process = launch(2, tmp_path / "cut", "scratch", "0.2")
    while len(said(tmp_path / "cut")) < 60:
        assert process.poll() is None
        time.sleep(0.02)
    for pid in (process.pid, *(int((tmp_path / "cut" / f"pid-{rank}").read_text()) for rank in (0, 1))):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert list((tmp_path / "cut" / "c").glob("step-*")) and not (tmp_path / "cut" / "student").exists()
    ended(launch(2, tmp_path / "cut", "scratch", "0.2"))
    assert int(said(tmp_path / "cut")[0][0]) > 1
    assert furthest(tmp_path / "whole", tmp_path / "cut") == 0


@pytest.mark.slow
def test_half_precision_learns_about_the_same(tmp_path: Path) -> None:
    launched.main(tmp_path / "alone", "static")
    ended(launch(1, tmp_path / "half", "static", options=("--mixed_precision", "bf16")))
    assert 0 < furthest(tmp_path / "alone", tmp_path / "half") < 0.2
    assert float(said(tmp_path / "half")[-1][-1]) > 0.9
