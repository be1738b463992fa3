"""The served log's old segments: none goes before it was taken, and what goes is counted and told."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import command, feed, retention, served_log, server
from distill_tui.serving.retention import DAY, Keep
from distill_tui.store import doctor
from distill_tui.store import gateway as standing
from distill_tui.terms import ServingMode
from support import live_play, real_play, served
from support.gateway import Gateway, serving
from support.teacher_server import TeacherServer

BOTH = (standing.OBSERVE, standing.IMPORT)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


def segments(folder: Path, count: int, *, days_ago: float = 100) -> None:
    """Write segments of ten records each, the last record of each so many days old."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        path = folder / f"{number:08d}.jsonl"
        lines = [{"kind": "request", "n": 10 * number + at, "time": f"2026-01-{number:02d}"} for at in range(10)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.utime(path, (0, time.time() - days_ago * DAY))


def taken(folder: Path, **places: tuple[int, int]) -> None:
    (folder / standing.TAKEN).write_text(json.dumps({use: list(place) for use, place in places.items()}))


def numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in standing.segments(folder)]


def end(folder: Path, number: int) -> tuple[int, int]:
    return number, (folder / f"{number:08d}.jsonl").stat().st_size


def gone(folder: Path, keep: Keep, uses: tuple[str, ...] = BOTH) -> list[int]:
    return [each.number for each in retention.look(folder, keep, uses, time.time()).may_go]


# --- what may go -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--keep-days", "-1"], ["--keep-gb", "few"]])
def test_limits_that_are_none_are_refused(play: real_play.Play, words: list[str]) -> None:
    assert main(["--project", str(play.path), "serve", "P-001", *words]) == exits.USAGE


@pytest.mark.parametrize("keep", [Keep(days=90, bytes=0), Keep(days=0, bytes=1)], ids=["age", "size"])
def test_no_segment_goes_before_it_was_taken_to_its_end(tmp_path: Path, keep: Keep) -> None:
    segments(tmp_path, 4)
    assert gone(tmp_path, keep) == []
    taken(tmp_path, observe=end(tmp_path, 2))
    assert gone(tmp_path, keep) == []  # no student is live: what was captured is still to be imported
    assert gone(tmp_path, keep, (standing.OBSERVE,)) == [1, 2]
    number, size = end(tmp_path, 2)
    taken(tmp_path, observe=(number, size - 1))
    assert gone(tmp_path, keep, (standing.OBSERVE,)) == [1]
    found = retention.look(tmp_path, keep, BOTH, time.time())
    assert (found.waits, found.waits_for) == (3, standing.IMPORT)


def test_the_newest_segment_stays_and_so_does_what_is_within_the_limits(tmp_path: Path) -> None:
    segments(tmp_path, 4)
    taken(tmp_path, observe=end(tmp_path, 4))
    of_observe = (standing.OBSERVE,)
    assert gone(tmp_path, Keep(days=90, bytes=0), of_observe) == [1, 2, 3]
    assert gone(tmp_path, Keep(days=101, bytes=0), of_observe) == []
    assert gone(tmp_path, Keep(days=0, bytes=0), of_observe) == []
    size = sum(path.stat().st_size for path in standing.segments(tmp_path))
    assert gone(tmp_path, Keep(days=0, bytes=size), of_observe) == []
    assert gone(tmp_path, Keep(days=0, bytes=size - 1), of_observe) == [1]


def test_a_bundle_alone_keeps_everything_unless_a_limit_is_named(play: real_play.Play, tmp_path: Path) -> None:
    assert command.keep(None, None, alone=False) == Keep(90, 20_000_000_000)
    assert command.keep(7, None, alone=False) == Keep(7, 20_000_000_000)
    assert command.keep(None, None, alone=True) == Keep(0, 0)
    assert command.keep(None, 1.5, alone=True) == Keep(0, 1_500_000_000)
    segments(tmp_path / "log", 3)
    asked = ServeMode(ServingMode.CASCADE)
    one = command.bundle(served.bundle_of(play), "SHA256:x", asked, tmp_path / "log")
    with serving(one) as found:
        found.until(lambda: found.health()["log"]["segments"] == 3)
    kept = command.bundle(served.bundle_of(play), "SHA256:x", asked, tmp_path / "log", Keep(days=30, bytes=0))
    with serving(kept) as found:  # nothing takes from the log of a bundle alone, so nothing is waited for
        found.until(lambda: found.health()["log"]["removed"] == 2)


# --- what goes -------------------------------------------------------------------------------------------------------


def test_what_goes_is_told_in_the_log_and_its_number_is_never_used_again(tmp_path: Path) -> None:
    segments(tmp_path, 3)
    taken(tmp_path, observe=end(tmp_path, 3))
    log = served_log.ServedLog(tmp_path)
    keeps = retention.Retention(log, Keep(days=30, bytes=0))
    told = keeps.run((standing.OBSERVE,))
    assert [each["segment"] for each in told] == [1, 2] and numbers(tmp_path) == [3, 4]
    assert {(each["records"], each["why"]) for each in told} == {(10, "age")}
    assert told[0]["from"] == told[0]["until"] == "2026-01-01"
    assert [record for _, record in served_log.read(tmp_path) if record["kind"] == "removed"] == told
    assert keeps.values()["removed"] == 2
    assert "segment 1 of the served log was deleted by its age: 10 records" in retention.sentence(told[0])
    log.close()
    for path in standing.segments(tmp_path):
        path.unlink()  # by hand
    log = served_log.ServedLog(tmp_path)
    log.write({"kind": "request", "n": 1})
    log.close()
    assert numbers(tmp_path) == [4]  # after all that `observe` has taken, so that it reads what comes
    assert [record["n"] for _, record in served_log.read(tmp_path, standing.place(tmp_path, "observe"))] == [1]


def test_every_record_is_there_or_told_while_requests_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_log, "SEGMENT", 2_000)
    log = served_log.ServedLog(tmp_path)
    keeps, stop, told = retention.Retention(log, Keep(days=0, bytes=6_000)), threading.Event(), []

    def deletes() -> None:
        last = False
        while not last:
            last = stop.is_set()
            for at, _ in served_log.read(tmp_path, standing.place(tmp_path, "observe")):
                taken(tmp_path, observe=at)
            told.extend(keeps.run((standing.OBSERVE,)))

    thread = threading.Thread(target=deletes)
    thread.start()
    for number in range(3_000):
        assert log.write({"kind": "request", "n": number, "time": "2026-11-30T10:00:00"})
    stop.set()
    thread.join()
    log.close()
    left = len([1 for _ in served_log.read(tmp_path)])
    assert len(told) > 20 and left < 300
    assert sum(int(str(each["records"])) for each in told) + left == 3_000 + len(told)  # each deletion is a record
    assert numbers(tmp_path) == list(range(numbers(tmp_path)[0], numbers(tmp_path)[-1] + 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own needs root")
def test_on_a_full_disk_room_is_made_and_then_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    folder = disk / "P-001"
    segments(folder, 3)
    taken(folder, observe=end(folder, 3))
    log = served_log.ServedLog(folder)
    try:
        while log.write({"kind": "request", "input": "x" * 500}):
            pass
        while log.note({"kind": "filler"}):
            pass
        assert log.unlogged == 1 and "cannot be written" in log.trouble
        (told, *_) = retention.Retention(log, Keep(days=30, bytes=0)).run((standing.OBSERVE,))
        kept = [record for _, record in served_log.read(folder) if record["kind"] == "removed"]
        assert kept[0] == told and told["segment"] == 1 and 1 not in numbers(folder)
    finally:
        log.close()
        subprocess.run(["umount", str(disk)], check=True)


# --- in a gateway that runs ------------------------------------------------------------------------------------------


def removed(found: Gateway) -> list[dict[str, object]]:
    return found.records("removed")


def test_a_gateway_waits_for_observe_then_deletes_and_says_so(
    play: real_play.Play, teacher: TeacherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DELETES_EVERY", 0.05)
    monkeypatch.setattr(served_log, "SEGMENT", 5_000)
    actions.set_mode(play.project, play.id, play.by("olga"), ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.5")))
    said: list[str] = []
    with serving(
        command.play(play.path, "P-001", Keep(days=0, bytes=1)), teacher=teacher.url, say=said.append
    ) as found:
        for number in range(60):
            found.chat(f"a refund number {number}")
        found.until(lambda: found.health()["log"]["waits"] > 2)
        assert not removed(found) and found.health()["status"] == "degraded"
        assert any("`observe` has not taken them" in each for each in found.health()["wrong"])
        found.until(lambda: any(not each.ok for each in doctor.file(play.path) if each.name == "served log P-001"))
        with live_play.workers_here():
            rows, _ = feed.observe(play.project, play.id, "P-001", play.by("olga"))
        assert rows > 10
        found.until(lambda: found.health()["log"]["removed"] > 2)
        found.until(lambda: len(removed(found)) > 0)
        metrics = found.http.get("/metrics").text
        assert 'distill_served_log_removed_total{play="P-001"}' in metrics and "distill_served_log_bytes" in metrics
        assert any("of the served log was deleted by its size" in each for each in said)
        found.until(lambda: all(each.ok for each in doctor.file(play.path) if each.name == "served log P-001"))


def test_a_shadow_before_the_first_ship_holds_back_no_segment(
    tmp_path: Path, teacher: TeacherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DELETES_EVERY", 0.05)
    monkeypatch.setattr(served_log, "SEGMENT", 5_000)
    play = real_play.copy_to(tmp_path, served.SPEC)
    actions.set_mode(play.project, play.id, play.by("dan"), ServeMode(ServingMode.SHADOW, audit_share=Decimal("0.5")))
    one = command.play(play.path, "P-001", Keep(days=0, bytes=1))
    with serving(one, teacher=teacher.url, observe_every=0.2) as found:
        for number in range(40):
            found.chat(f"a refund number {number}")
        found.until(lambda: found.health()["log"]["waits"] > 2)
        found.until(lambda: standing.place(found.folder, standing.OBSERVE)[0] > 2)
        assert not removed(found)  # what was captured is still to be imported
        with feed.taken(found.folder, feed.IMPORT) as rows:
            assert rows.rows > 30
        found.until(lambda: found.health()["log"]["removed"] > 2)
    play.project.close()
