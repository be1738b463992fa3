"""The loop closes: captured calls are imported, audit pairs are observed, and the board shows what the gateway does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import traffic
from distill_tui.rounds import play_traffic
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import feed
from distill_tui.store import gateway as standing
from distill_tui.store import glance
from distill_tui.store.project import Project
from distill_tui.terms import KeptContent, ServingMode
from support import gateway, live_play, real_play, served
from support.gateway import serving
from support.teacher_server import TeacherServer


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


def test_captured_calls_are_imported_by_one_command_and_measure_the_trigger(
    tmp_path: Path, teacher: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.distill"
    words = ["--project", str(path)]
    assert main(["init", str(path), "--name", "New", "--me", "mia"]) == exits.DONE
    assert main([*words, "new", "mail", "--kind", "cost"]) == exits.DONE
    assert main([*words, "serve", "mode", "P-001", "capture"]) == exits.DONE
    assert main([*words, "role", "P-001", "driver", "mia"]) == exits.DONE
    with serving(gateway.of_play(path), teacher=teacher.url) as found:
        assert glance.cards(path)[0].state[1] == "capture"
        for number in range(40):
            text = f"Topic of this mail?\n---\n{('a refund', 'my parcel')[number % 2]} {number}\n---"
            messages = [{"role": "system", "content": "Name it."}, {"role": "user", "content": text}]
            body = {"model": "big", "messages": messages, "user": f"customer-{number}"}
            found.http.post("/v1/chat/completions", json=body | {"stream": number % 3 == 0})
        teacher.plan = ["500"]
        found.chat("lost")
    capsys.readouterr()
    with live_play.workers_here():
        assert main([*words, "import", "P-001"]) == exits.USAGE
        assert main([*words, "import", "P-001", "--from-gateway", "--after", "---", "--before", "---"]) == exits.DONE
    assert "1 without a whole answer" in capsys.readouterr().err
    project = Project.open(path)
    (row,) = project.dossier(1).traffic
    rows = list(traffic.rows([project.artifacts.path(row.artifact)]))
    assert len(rows) == 40 and {each["teacher_output"] for each in rows} == {"money", "post"}
    assert rows[0]["input"].strip() == "a refund 0"  # by the mapping of this import, not by what was served
    assert {each["group"] for each in rows} == {f"customer-{number}" for number in range(40)}
    measured, numbers = play_traffic.window(project, 1, days=30, prices=None)
    assert measured.calls == 40 and numbers
    project.close()
    with live_play.workers_here():
        assert main([*words, "import", "P-001", "--from-gateway"]) == exits.BAD_INPUT  # nothing is taken twice


def test_deferred_and_unkept_rows_are_left_out_and_counted(play: real_play.Play, tmp_path: Path) -> None:
    folder = standing.folder_of(play.path, "P-001")
    folder.mkdir(parents=True)
    known = {"kind": "request", "route": "teacher", "status": 200, "mode": "cascade"}
    records = [
        known | {"input": "a", "teacher_output": "money", "why": "unsure"},
        known | {"teacher_output": "money"},
        known | {"input": "b", "teacher_output": "money"},
        {"kind": "audit", "input": "c", "teacher_output": "post", "student": "money", "mode": "cascade"},
        {"kind": "audit", "digest": "sha256:0"},
        known | {"mode": "shadow", "audited": True, "input": "d", "teacher_output": "post"},
        known | {"input": "e", "teacher_output": "post", "why": "unsure", "audited": True},  # by the digest, as "c"
        known | {"input": "f", "teacher_output": "post", "why": "frame", "audited": True},  # the student was not asked
    ]
    (folder / "00000001.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with feed.taken(folder, feed.IMPORT) as found:
        assert found.rows == 3 and sum(found.left_out.values()) == 3
    with pytest.raises(RuntimeError), feed.taken(folder, feed.OBSERVE) as found:
        assert [json.loads(line)["input"] for line in found.path.read_text().splitlines()] == ["c", "d", "e"]
        raise RuntimeError
    with feed.taken(folder, feed.OBSERVE) as found:  # what failed is taken again
        assert found.rows == 3 and found.left_out.total() == 1
    with feed.taken(folder, feed.OBSERVE) as found:
        assert found.rows == 0


def test_the_audit_channel_reaches_the_monitor_without_a_file(play: real_play.Play, teacher: TeacherServer) -> None:
    actions.add_account(play.project, play.by("ada"), "olga", 4711)  # another account: this process is not olga's
    asked = ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.5"))
    actions.set_mode(play.project, play.id, play.by("olga"), asked)
    with serving(gateway.of_play(play.path), teacher=teacher.url, observe_every=0.3) as found:
        for number in range(120):
            found.chat(f"a refund number {number}")
        found.until(lambda: any("--from-gateway" in note for note in found.health()["wrong"]))  # who runs it may not
        with live_play.workers_here():
            rows, _ = feed.observe(play.project, play.id, "P-001", play.by("olga"))
        assert rows > 30
        assert play.project.dossier(1).watch is not None and not found.health()["figures"]["routes"].get("teacher")


def four_weeks() -> list[dict[str, str]]:
    """Calls of four weeks in which the teacher says something else than it did at the gate."""
    return [
        {
            "time": f"2026-10-{1 + number * 28 // 560:02d}T12:00:00Z",
            "segment": ("de", "en", "fr")[number % 3],
            "input": f"a refund for number {number}",
            "teacher_output": "post",
        }
        for number in range(560)
    ]


def figures(play: real_play.Play) -> standing.GatewayNow:
    now = standing.read(play.path, "P-001")
    assert now is not None
    return now


def test_a_drift_alarm_makes_the_gateway_fall_back_within_a_second(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), ServeMode(ServingMode.CASCADE))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        assert [found.chat(f"a refund {n}").headers["x-distill-route"] for n in range(20)] == ["student"] * 20
        with live_play.workers_here():
            live_play.replay(play.project, 1, play.by("olga"), live_play.write(play.folder / "d.jsonl", four_weeks()))
        assert play.project.dossier(1).standing.value == "alarm", play.project.dossier(1).watches[-1].findings
        took = found.until(lambda: found.chat("a refund").headers["x-distill-route"] == "teacher", 5)
        assert took < 1
        found.until(lambda: "Drift alarm" in str(found.health()["wrong"]))
        found.until(lambda: glance.cards(play.path)[0].state == ("drift", "fell back to teacher"))
        found.until(lambda: figures(play).student_share is not None)  # written every few seconds
        assert figures(play).running and figures(play).saved > 0


def test_digests_leave_the_monitor_nothing(play: real_play.Play, teacher: TeacherServer) -> None:
    asked = ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.5"), content=KeptContent.DIGESTS)
    actions.set_mode(play.project, play.id, play.by("olga"), asked)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        for number in range(20):
            found.chat(f"a refund number {number}")
        found.until(lambda: len(found.records("audit")) > 3)
        assert feed.observe(play.project, play.id, "P-001", play.by("olga")) == (0, 0)
