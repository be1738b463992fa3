"""Feeds of a live student: bad rows, dates, answers that come late, people's answers, and alarms that are passed on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.monitor import plan as observe
from distill_tui.people import identity
from distill_tui.rules import entities
from distill_tui.rules.alarm import Alarm, alarm_of
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import ObserveResult, decode
from distill_tui.runs import pass_on
from distill_tui.store import queries, tables
from distill_tui.store import rows as stored_rows
from distill_tui.store.project import Project
from distill_tui.terms import Action, RunStatus, Standing
from support.live_play import DANA, OLGA, SAID, replay, rows, shipped, workers_here, write

TODAY = datetime.now(UTC).date()
FEBRUARY, MARCH = "2026-02-01", "2026-03-01"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(identity, "by_account", lambda dossier: OLGA)
    with workers_here():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feeds") / "made"
    folder.mkdir()
    with workers_here():
        project, _ = shipped(folder)
    project.close()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "copy")
    opened = Project.open(tmp_path / "copy" / "live.distill")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def steady(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped play after a steady month."""
    folder = tmp_path_factory.mktemp("steady") / "made"
    shutil.copytree(made, folder)
    project = Project.open(folder / "live.distill")
    with workers_here():
        replay(project, 1, OLGA, write(folder / "february.jsonl", rows(400, 100, start=FEBRUARY, days=28)))
    project.close()
    return folder


@pytest.fixture
def watched(steady: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(steady, tmp_path / "copy")
    opened = Project.open(tmp_path / "copy" / "live.distill")
    yield opened
    opened.close()


def run(project: Project, *words: str) -> int:
    return main(["--project", str(project.path), *words])


def ask(project: Project, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(project.path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def today(count: int, seed: int) -> list[dict[str, str]]:
    """Make calls of today, as production sends them."""
    return [call | {"time": f"{TODAY}T00:00:00Z"} for call in rows(count, seed)]


def last(project: Project) -> ObserveResult:
    run = project.dossier(1).runs[-1]
    assert run.status is RunStatus.FINISHED, run.error
    return decode(ObserveResult, run.result)


# --- what a file holds besides good rows ---------------------------------------------------------------------------


def test_bad_rows_are_printed_and_counted_and_above_a_share_the_exit_code_is_1(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write(tmp_path / "broken.jsonl", today(5, 3))
    broken.write_text(broken.read_text() + "{bad\n" * 20)
    assert run(project, "observe", "P-001", str(broken)) == exits.FAILED
    said = capsys.readouterr()
    assert "broken.jsonl: 20 of 25 rows could not be used" in said.err and "JSON" in said.err
    assert "20 rows could not be used" in said.out, "live shows it too"
    assert project.dossier(1).feeds[-1].rejects == 20 and last(project).rows == 5
    again = write(tmp_path / "again.jsonl", today(5, 4))
    again.write_text(again.read_text() + "{bad\n" * 20)
    assert run(project, "observe", "P-001", str(again), "--most-rejects", "0.9") == exits.DONE
    few = write(tmp_path / "few.jsonl", today(40, 5))
    few.write_text(few.read_text() + "{bad\n")
    capsys.readouterr()
    assert run(project, "observe", "P-001", str(few)) == exits.DONE
    assert "1 of 41 rows could not be used" in capsys.readouterr().err, "counted below the share, too"


def test_a_few_answers_that_contradict_their_probabilities_are_counted_and_many_are_rejected(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(SAID)

    def calls(seed: int, wrong: int, *, lists: bool) -> Path:
        made: list[dict[str, Any]] = [dict(call) for call in today(40, seed)]
        for at, call in enumerate(made):
            best = (names.index(call["teacher_output"]) + (at < wrong)) % 3
            shares = [0.8 if label == best else 0.1 for label in range(3)]
            call["teacher_probabilities"] = shares if lists else dict(zip(names, shares, strict=True))
        return write(tmp_path / f"{seed}.jsonl", made)

    for seed, lists in ((41, False), (42, True)):
        assert run(project, "observe", "P-001", str(calls(seed, 2, lists=lists))) == exits.DONE
        said = capsys.readouterr().err
        assert said.count("! In 2 of the 40 rows with an answer and probabilities, the answer is not the label") == 1
        assert "In such rows the answer counts." in said and last(project).contradictions in said
    assert run(project, "observe", "P-001", str(calls(43, 0, lists=True))) == exits.DONE
    assert "probabilities" not in capsys.readouterr().err and not last(project).contradictions
    assert run(project, "observe", "P-001", str(calls(44, 20, lists=False))) not in (exits.DONE, exits.FAILED)
    assert "In 20 of the 40 rows of 44.jsonl with both" in capsys.readouterr().err


def test_what_an_observed_archive_leaves_in_doubt_is_shown(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "whole.jsonl", today(40, 45))
    bare = write(tmp_path / "bare.jsonl", [{k: v for k, v in call.items() if k != "segment"} for call in today(40, 46)])
    with zipfile.ZipFile(tmp_path / "feed.zip", "w") as packed:
        packed.write(whole, whole.name)
        packed.write(bare, bare.name)
    assert run(project, "observe", "P-001", str(tmp_path / "feed.zip")) == exits.DONE
    assert (
        "! feed.zip:bare.jsonl (0 of 40 rows) has no segment; of the other files, 40 of 40" in capsys.readouterr().err
    )


def test_rows_dated_before_the_ship_or_in_the_future_are_rejected_with_a_reason(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = today(60, 6)
    calls[0]["time"], calls[1]["time"] = "2037-01-01T00:00:00Z", "2026-01-05T00:00:00Z"
    assert run(project, "observe", "P-001", str(write(tmp_path / "odd.jsonl", calls))) == exits.DONE
    said = capsys.readouterr().err
    assert "2 of 60 rows could not be used" in said
    assert "lies in the future" in said and "lies before the ship" in said
    assert ask(project, "SELECT DISTINCT day FROM observation") == [(str(TODAY),)]
    assert run(project, "--json", "live", "P-001", "--window", "30") == exits.DONE
    seen = json.loads(capsys.readouterr().out)
    assert seen["since"] == str(TODAY - timedelta(29)) and seen["segments"][0]["rows"] == 58
    assert seen["last_file"]["rejects"] == 2 and len(seen["last_file"]["reasons"]) == 2


def test_a_replay_takes_days_of_before_the_ship_and_never_of_the_future(project: Project, tmp_path: Path) -> None:
    calls = rows(60, 7, start=FEBRUARY, days=10)
    calls[0]["time"] = "2037-01-01T00:00:00Z"
    path = str(write(tmp_path / "old.jsonl", calls))
    assert run(project, "observe", "P-001", path) == exits.BAD_INPUT, "not one row of it is usable"
    assert not project.dossier(1).feeds
    assert run(project, "observe", "P-001", path, "--any-time") == exits.DONE
    assert ask(project, "SELECT count(*), max(day) FROM observation") == [(59, "2026-02-10")]


def test_a_bundle_is_not_flattered_by_rows_of_before_its_ship_that_it_was_trained_on(
    project: Project, made: Path, tmp_path: Path
) -> None:
    known = [json.loads(line) for line in (made / "first.jsonl").read_text().splitlines()[:30]]
    replay(project, 1, OLGA, write(tmp_path / "mixed.jsonl", [*known, *rows(20, 8, start=FEBRUARY)]))
    assert last(project).trained > 20 and last(project).rows < 30
    assert last(project).rows + last(project).trained + last(project).known == 50


# --- late answers --------------------------------------------------------------------------------------------------


def two_months(tmp_path: Path) -> tuple[Path, Path]:
    """Write the inputs of two months, the second drifted, and apart from them the answers, by id."""
    calls = rows(400, 200, start=FEBRUARY, days=28) + rows(400, 201, start=MARCH, days=28, new=0.9)
    numbered = [call | {"id": f"call-{at}"} for at, call in enumerate(calls)]
    inputs = [{name: call[name] for name in ("id", "input", "segment", "time")} for call in numbered]
    answers = [{"id": call["id"], "answer": call["teacher_output"]} for call in numbered]
    return write(tmp_path / "inputs.jsonl", inputs), write(tmp_path / "answers.jsonl", answers)


def test_answers_that_come_late_are_joined_by_id_and_count_once_at_their_own_date(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, answers = two_months(tmp_path)
    assert run(project, "observe", "P-001", str(answers)) == exits.BAD_INPUT, "there is nothing to join them to yet"
    assert run(project, "observe", "P-001", str(inputs), "--any-time") == exits.UNLABELLED
    assert project.dossier(1).standing is Standing.LOOK, "other inputs make amber, and nothing is known of the answers"
    assert ask(project, "SELECT count(*) FROM observation WHERE teacher IS NOT NULL") == [(0,)]
    unknown = answers.read_text() + '{"id": "nobody", "answer": "refund"}\n'
    answers.write_text(unknown)
    assert run(project, "observe", "P-001", str(answers), "--any-time") == exits.ALARM
    said = capsys.readouterr().err
    assert "800 of them late answers" in said and "no observed row has the id" in said and "1 of 801 rows" in said
    seen = project.dossier(1)
    assert seen.drift is not None and "2026-02-26" < seen.drift.since < "2026-03-12", (
        "the day of the call, not of today"
    )
    assert ask(project, "SELECT count(*), sum(late = 0), sum(teacher IS NOT NULL) FROM observation") == [
        (1600, 800, 800)
    ]
    assert run(project, "live", "P-001") == exits.ALARM, "the replay gives the same state"
    answers.write_text(unknown + "\n")  # other bytes, the same answers
    assert run(project, "observe", "P-001", str(answers), "--any-time") == exits.ALARM
    assert last(project).rows == 0 and last(project).known == 800
    assert "add nothing" in capsys.readouterr().err


def test_answers_that_come_late_are_joined_by_input_and_day(project: Project, tmp_path: Path) -> None:
    calls = rows(60, 9, start=FEBRUARY, days=10)
    alone = [{name: call[name] for name in ("input", "segment", "time")} for call in calls]
    replay(project, 1, OLGA, write(tmp_path / "inputs.jsonl", alone))
    replay(project, 1, OLGA, write(tmp_path / "answers.jsonl", calls[:40]))
    assert (last(project).late, last(project).labelled, last(project).known) == (40, 40, 0)
    moved = [call | {"time": "2026-02-20T00:00:00Z"} for call in calls[:5]]
    replay(project, 1, OLGA, write(tmp_path / "moved.jsonl", moved))
    assert (last(project).late, last(project).rows) == (0, 5), "another day is another row"
    seen = project.dossier(1)
    assert seen.standing is Standing.STEADY
    assert ask(project, "SELECT count(*) FROM observation WHERE late = 0") == [(65,)]


def test_a_persons_answers_count_where_the_gate_knows_no_gold(project: Project, tmp_path: Path) -> None:
    calls = rows(60, 10, start=FEBRUARY, days=10)
    people = [
        {"input": c["input"], "segment": c["segment"], "time": c["time"], "gold": c["teacher_output"]} for c in calls
    ]
    replay(project, 1, OLGA, write(tmp_path / "people.jsonl", people))
    assert (last(project).people, last(project).labelled) == (60, 60)
    assert project.dossier(1).standing is Standing.STEADY


def seen_row(number: int, day: str, **more: Any) -> entities.Observation:
    plain = {
        "play_id": 1, "bundle_id": 1, "feed_id": 1, "probe": 0, "segment": "s0", "answer": "a", "teacher": None,
        "asked": 0, "uncertainty": 0.1, "distance": 1.0, "length": 20, "excerpt": "", "gold": None, "late": 0,
    }  # fmt: skip
    return tables.Observation(**plain | {"day": day, "input_digest": f"{number:064x}"} | more)


PLAN = observe.Plan({"": 0.1, observe.PEOPLE: 0.1}, {"": (10, 200), observe.PEOPLE: (10, 200)}, 600, 120, "")


def days(count: int) -> list[str]:
    return [(date.fromisoformat(FEBRUARY) + timedelta(at)).isoformat() for at in range(count)]


def test_the_student_against_people_is_watched_apart_from_the_teacher() -> None:
    monitor = observe.Monitor(PLAN, observe.Scored(people=True))
    for at, day in enumerate(days(20)):
        for row in range(10):
            monitor.add(seen_row(100 * at + row, day, teacher="a", gold="b"))
        monitor.end_feed(f"{day}T23:00:00Z")
    assert monitor.standing is Standing.ALARM
    (found,) = [each for each in monitor.findings() if each.red]
    assert found.where == observe.PEOPLE and "Student and people disagree on 100.0%" in found.sentence


def probes_until_named(horizon_rows: int, changed: int) -> int:
    monitor = observe.Monitor(replace(PLAN, horizon_rows=horizon_rows, horizon_days=180), observe.Scored())
    for at, day in enumerate(days(7 * observe.PROBE_DAYS)[:: observe.PROBE_DAYS]):
        for row in range(observe.PROBE_ROWS):
            monitor.add(seen_row(row, day, teacher="b" if row % 8 < changed else "a", probe=1))
        monitor.end_feed(f"{day}T23:00:00Z")
        if monitor.standing is Standing.LOOK:
            return at + 1
    return 0


def test_a_changed_teacher_is_named_as_soon_whatever_the_sampling_budget_is() -> None:
    """The probe is 40 answers in four weeks, and its level is spread over these, not over the rows of the sample."""
    assert 0 < probes_until_named(200, changed=1) == probes_until_named(100_000, changed=1) <= 4
    assert probes_until_named(200, changed=0) == 0


def test_a_day_is_bet_on_once_however_its_answers_arrive() -> None:
    """What comes after the first answers of a day is one bet for its whole file: rows of one day are alike."""
    monitor = observe.Monitor(PLAN, observe.Scored())
    for at, day in enumerate(days(20)):
        for row in range(10):
            monitor.add(seen_row(100 * at + row, day))
    monitor.end_feed("2026-03-01T00:00:00Z")
    assert monitor.days.group.total == 0 and monitor.standing is Standing.UNLABELLED
    for late in (1, 2):
        for at, day in enumerate(days(20)):
            for row in range(5):
                monitor.add(seen_row(100 * at + 5 * late + row, day, teacher="a", late=late))
        monitor.end_feed(f"2026-03-0{late + 1}T00:00:00Z")
        assert monitor.days.group.total == (20, 21)[late - 1]
    assert monitor.rows.group.total == 200 and monitor.standing is Standing.STEADY
    assert monitor.inputs.group.total == 200, "an input is scored once"


# --- alarms are passed on ------------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """A real receiver of webhooks; `status` is what it answers, `delay` how long it waits."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receives)
        self.bodies: list[Any] = []
        self.status, self.delay = 204, 0.0
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/alarm"


class _Receives(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.shutdown()
    found.server_close()


def script(folder: Path, body: str) -> Path:
    path = folder / "page"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def drift(project: Project, tmp_path: Path) -> int:
    path = write(tmp_path / "march.jsonl", rows(400, 101, start=MARCH, days=28, new=0.9))
    return run(project, "observe", "P-001", str(path), "--any-time")


def notes(project: Project) -> list[dict[str, Any]]:
    with project.view() as connection:
        found = stored_rows.select(connection, entities.AuditEntry, "WHERE action = ?", Action.NOTE_ALARM.value)
    return [json.loads(entry.detail) for entry in found]


def test_only_the_keeper_sets_what_an_alarm_runs_and_it_is_arguments_by_a_whole_path(project: Project) -> None:
    for actor, command, webhook, rule in (
        (OLGA, ["/bin/true"], "", "roster.keeper"),
        (DANA, ["page --all"], "", "alarms.path"),
        (DANA, ["/bin/true", "x" * 1001], "", "alarms.words"),
        (DANA, [], "javascript:alert(1)", "alarms.webhook"),
        (DANA, [], "https://", "alarms.webhook"),
    ):
        with pytest.raises(Refused) as refused:
            actions.set_alarms(project, actor, command, webhook)
        assert [each.rule for each in refused.value.objections] == [rule]
    assert project.project_dossier().on_alarm == ()
    actions.set_alarms(project, DANA, ["/bin/echo", "$(touch x)", "; rm"], "https://hooks.example.com/a")
    assert project.project_dossier().on_alarm == ("/bin/echo", "$(touch x)", "; rm")


def test_an_alarm_runs_the_command_and_calls_the_webhook_once_and_both_know_all_that_a_pager_needs(
    watched: Project, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    page = script(tmp_path, f'cat > {tmp_path}/said; printf "%s|" "$@" "$DISTILL_PLAY" > {tmp_path}/words')
    actions.set_alarms(watched, DANA, [str(page), "a b", "$(touch evil)"], receiver.url)
    assert drift(watched, tmp_path) == exits.ALARM
    said = json.loads((tmp_path / "said").read_text())
    assert (tmp_path / "words").read_text() == "a b|$(touch evil)|P-001|", "no shell reads the arguments"
    assert receiver.bodies == [said]
    seen = alarm_of(watched.dossier(1))
    assert seen is not None and seen.what and seen.what in said["text"] and said["operator"] == "olga"
    assert "Terms that rose" in said["text"] and "segment" in said["text"] and "Student " in said["text"]
    assert said["next"].startswith("distill-tui suspend P-001") and said["since"] == seen.since
    assert notes(watched) == [{"feed": 2, "command": "done", "webhook": "done: HTTP 204"}]
    assert queries.untrustworthy(watched) == [], "the log, replayed by the rules, counts the worker's note"
    capsys.readouterr()
    more = write(tmp_path / "april.jsonl", rows(60, 102, start="2026-04-01", days=5, new=0.9))
    assert run(watched, "observe", "P-001", str(more), "--any-time") == exits.ALARM
    assert len(receiver.bodies) == 1, "the alarm stands; it is not raised again"
    assert seen.what.split(".")[0][:10] in capsys.readouterr().err
    assert run(watched, "--json", "live", "P-001") == exits.ALARM
    pager = json.loads(capsys.readouterr().out)
    assert pager["exit_code"] == exits.ALARM and pager["alarm"]["next"] == said["next"]
    assert pager["operator"] == "olga" and pager["play"] == "P-001" and pager["answering"] is True
    actions.acknowledge(watched, 1, OLGA, "A campaign.")
    again = write(tmp_path / "may.jsonl", rows(400, 103, start="2026-05-01", days=28, new=0.9))
    assert run(watched, "observe", "P-001", str(again), "--any-time") == exits.ALARM
    assert len(receiver.bodies) == 2, "a new watch, a new alarm"
    capsys.readouterr()
    assert run(watched, "alarms", "feed") == exits.DONE
    feed = json.loads(capsys.readouterr().out)
    assert feed["version"].endswith("/1.1")
    tags = [item["tags"][0] for item in feed["items"]]
    assert sorted(tags) == ["acknowledge", "alarm", "alarm", "ship"]
    assert len({item["id"] for item in feed["items"]}) == 4
    assert "disagree" in next(item for item in feed["items"] if item["tags"] == ["alarm"])["content_text"]


def test_a_command_and_a_webhook_that_fail_are_one_line_and_the_observation_stands(
    watched: Project, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status = 500
    page = script(tmp_path, 'echo "no network" >&2; exit 3')
    actions.set_alarms(watched, DANA, [str(page)], receiver.url)
    assert drift(watched, tmp_path) == exits.ALARM
    failed = {"command": "failed: exit code 3: no network", "webhook": "failed: HTTP 500"}
    assert notes(watched) == [{"feed": 2, **failed}]
    assert watched.dossier(1).standing is Standing.ALARM and last(watched).rows == 400


SAMPLE = Alarm("p", "P-001", "intent", "alarm", 1, 2, "", "2026-03-02", "What.", "Why.", "distill-tui refresh", "olga")


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_on, "SECONDS", 0.5)
    page = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    began = time.monotonic()
    assert "took more than 0.5 s" in pass_on._run([str(page)], SAMPLE, tmp_path)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_others_may_change_is_not_run(tmp_path: Path) -> None:
    page = script(tmp_path, f"touch {tmp_path}/ran")
    page.chmod(0o777)
    assert "other accounts may change" in pass_on._run([str(page)], SAMPLE, tmp_path)
    assert "No such file" in pass_on._run([str(tmp_path / "nothing")], SAMPLE, tmp_path)
    assert not (tmp_path / "ran").exists()
    page.chmod(0o755)
    assert pass_on._run([str(page)], SAMPLE, tmp_path) == "done" and (tmp_path / "ran").exists()


def test_a_webhook_that_hangs_redirects_or_is_not_there_is_one_line(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_on, "SECONDS", 0.5)
    receiver.delay = 3
    assert "no answer" in pass_on._call(receiver.url, SAMPLE) or "timed out" in pass_on._call(receiver.url, SAMPLE)
    receiver.delay, receiver.status = 0.0, 302
    monkeypatch.setattr(pass_on, "SECONDS", 10)
    assert pass_on._call(receiver.url, SAMPLE) == "failed: HTTP 302", "an alarm is not carried to another address"
    assert pass_on._call("http://127.0.0.1:1/", SAMPLE).startswith("failed: ")


def test_the_units_of_systemd_are_valid(tmp_path: Path) -> None:
    units = Path(__file__).parents[1] / "deploy"
    for name in ("distill-tui-observe@.service", "distill-tui-observe@.timer"):
        text = (units / name).read_text().replace("/usr/local/bin/distill-tui", "/bin/true")
        (tmp_path / name.replace("@", "@P-001")).write_text(
            text.replace("User=distill", "").replace("Group=distill", "")
        )
    program = shutil.which("systemd-analyze")
    assert "observe %i --from-gateway" in (units / "distill-tui-observe@.service").read_text()
    if program is not None:
        done = subprocess.run(
            [program, "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, env=os.environ
        )
        assert done.returncode == 0, done.stderr
