"""SIGKILL at random moments: during each operation, and among four who write without a pause."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import kit
import operations
from distill_tui import actions
from distill_tui.store.project import Project
from kit import NAME, Bench, Child, Row, Send
from operations import Operation, check_after, query, trouble
from support.story import actor


def during(name: str) -> Callable[[Bench], Row]:
    """Kill an operation at random moments before it is acknowledged; a third of the trials is killed more than once.

    A kill after the acknowledgement is checked like the others, and not counted. The duration of the operation is
    estimated on the way, because a machine is not equally fast at all moments.
    """

    def proof(bench: Bench) -> Row:
        row, operation = Row(f"SIGKILL during {name}"), operations.prepared(bench, name)
        took = statistics.median(duration(bench, operation) for _ in range(3))
        for folder in bench.trials(row, 200, operation.stage):
            path, acknowledged = folder / NAME, False
            while not acknowledged:
                child = Child(running(operation, path)).go()
                child.line()
                time.sleep(bench.chance.uniform(0, took))
                child.kill()
                acknowledged = "done" in child.end()
                took *= 0.8 if acknowledged else 1.05
                if acknowledged or bench.chance.random() < 0.67:
                    break
                row.counts["more kills"] += 1
                row.check(operation.inspect(path))
            if acknowledged:
                row.times -= 1
                row.counts["late"] += 1
            else:
                row.counts["done"] += path.exists() and operation.is_done(path)
            row.check(check_after(operation, path, acknowledged))
        row.detail = (
            f"{row.counts['done']} were done, {row.times - row.counts['done']} were not; {row.counts['more kills']} "
            f"more kills of a resumed one, {row.counts['late']} after the acknowledgement"
        )
        return row

    return proof


def running(operation: Operation, path: Path) -> Callable[[Send], None]:
    def do(send: Send) -> None:
        send("begun")
        operation.run(path)
        send("done")

    return do


def duration(bench: Bench, operation: Operation) -> float:
    folder = bench.copy(operation.stage)
    child = Child(running(operation, folder / NAME)).go()
    child.line()
    started = time.monotonic()
    end = child.line()
    assert end == "done", end
    child.end()
    wrong = operation.inspect(folder / NAME)
    assert not wrong, wrong
    shutil.rmtree(folder.parent)
    return time.monotonic() - started


def writers(bench: Bench) -> Row:
    """Kill one of four commenters after another and start a new one: no acknowledged comment may be missing."""
    row, folder = Row("SIGKILL of writers"), bench.copy("decided")
    path, sent = folder / NAME, dict[str, list[str]]()

    def comments(name: str) -> Callable[[Send], None]:
        def do(send: Send) -> None:
            project, number = Project.open(path), 0
            while True:
                actions.comment(project, 1, actor("bob"), f"{name} {number}")
                send(str(number))
                number += 1

        return do

    def start(number: int) -> tuple[str, Child]:
        return f"w{number}", Child(comments(f"w{number}")).go()

    running = [start(number) for number in range(4)]
    row.times = bench.times(1000)
    for number in range(4, row.times + 4):
        time.sleep(bench.chance.uniform(0.02, 0.2))
        name, child = running.pop(bench.chance.randrange(len(running)))
        child.kill()
        sent[name] = child.end()
        running.append(start(number))
    for name, child in running:
        child.kill()
        sent[name] = child.end()
    stored: dict[str, list[int]] = {}
    for (text,) in query(path, "SELECT detail ->> '$.text' FROM audit WHERE action = 'comment' ORDER BY seq"):
        name, _, count = str(text).partition(" ")
        stored.setdefault(name, []).append(int(count))
    for name, lines in sent.items():
        row.lost += kit.failures(lines)
        acknowledged, there = [int(line) for line in lines if line.isdigit()], stored.get(name, [])
        if there[: len(acknowledged)] != acknowledged or len(there) > len(acknowledged) + 1:
            row.check(f"{len(acknowledged)} comments were acknowledged, {len(there)} are stored", name)
    row.check(trouble(path))
    count = sum(map(len, sent.values()))
    row.require(count > row.times / 2, f"only {count} comments were written")
    row.detail = f"{count:,} acknowledged comments"
    return row


PROOFS = {"SIGKILL of writers": writers} | {f"SIGKILL during {name}": during(name) for name in operations.NAMES}
