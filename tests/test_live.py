"""The live student: what is refused, what is noticed, what is sealed, and how it leads into the next round and back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from distill_tui import actions
from distill_tui.cli import exits as cli
from distill_tui.cli import live as watching
from distill_tui.cli.app import main
from distill_tui.dataset import frozen
from distill_tui.dataset.row_identity import sealed
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.record import Record
from distill_tui.monitor import history
from distill_tui.monitor import plan as observe
from distill_tui.people import signatures
from distill_tui.rules import entities
from distill_tui.rules.next_step import next_step
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import decode
from distill_tui.runs.executors import local
from distill_tui.store import glance, tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, Metric, PlayKind, Remedy, RunKind, RunStatus, Split, Stage, Standing
from distill_tui.ui.play import evidence, overview_tab
from distill_tui.ui.play import live_tab as tab
from distill_tui.ui.play.view import load
from distill_tui.ui.widgets import chart
from support import data_runs
from support.by_hand import by_hand
from support.live_play import (
    DANA,
    GATE,
    OLGA,
    SAID,
    SAM,
    SPEC,
    VERA,
    replay,
    rows,
    shipped,
    sign_and_ship,
    trained_and_judged,
    workers_here,
    write,
)

START = local.start  # as it is outside these tests, in a process of its own
FEBRUARY, MARCH, APRIL = "2026-02-01", "2026-03-01", "2026-04-01"


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "made"
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
def drifted(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped play after a steady month and one in which `app` speaks the new way."""
    folder = tmp_path_factory.mktemp("drift") / "made"
    shutil.copytree(made, folder)
    project = Project.open(folder / "live.distill")
    with workers_here():
        feed(project, 100, FEBRUARY)
        feed(project, 101, MARCH, new=0.9)
    project.close()
    return folder


@pytest.fixture
def alarmed(drifted: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(drifted, tmp_path / "copy")
    opened = Project.open(tmp_path / "copy" / "live.distill")
    yield opened
    opened.close()


def feed(project: Project, seed: int, start: str, new: float = 0.0, count: int = 500, days: int = 28) -> entities.Run:
    path = write(project.path.parent / f"feed-{seed}.jsonl", rows(count, seed, start=start, days=days, new=new))
    replay(project, 1, OLGA, path)
    run = project.dossier(1).runs[-1]
    assert run.status is RunStatus.FINISHED, run.error
    return run


def ask(project: Project, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(project.path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


# --- the plan: what a student is held to ---------------------------------------------------------------------------


def a_record(differ: int, of: int = 200, segments: int = 2, group: int = 1) -> Record:
    return Record(
        labels=("no", "yes"),
        rows=tuple(range(of)),
        gold=(1,) * of,
        teacher=(1,) * of,
        student=tuple(int(at >= differ) for at in range(of)),
        baseline=(0,) * of,
        majority=0,
        segment=tuple(at % segments for at in range(of)),
        segments=tuple(f"s{n}" for n in range(segments)),
        group=tuple(at // group for at in range(of)),
    )


LOOSE = Gate((Criterion(Metric.SIZE, threshold=GATE.confidence, binding=True),))


def test_without_a_locked_agreement_the_ceiling_is_what_the_rows_allow() -> None:
    plan = observe.plan(a_record(10), LOOSE, 300, 90)
    assert 0.05 < plan.ceilings[""] < 0.09 and plan.ceilings["s0"] > plan.ceilings[""]
    assert plan.ceilings[observe.NEW] == plan.ceilings[""]


def test_a_locked_agreement_is_the_ceiling_where_it_allows_more_and_never_where_it_allows_less() -> None:
    assert observe.plan(a_record(10), GATE, 300, 90).ceilings[""] == pytest.approx(0.2)
    assert observe.plan(a_record(60), GATE, 300, 90).ceilings[""] > 0.3


def test_rows_that_depend_on_each_other_make_a_wider_ceiling() -> None:
    alone, grouped = (observe.plan(a_record(20, group=size), LOOSE, 300, 90).ceilings[""] for size in (1, 10))
    assert grouped > alone


def test_a_gate_of_one_segment_has_one_ceiling() -> None:
    assert set(observe.plan(a_record(10, segments=1), LOOSE, 300, 90).ceilings) == {"", observe.PEOPLE}


def test_a_student_that_sends_requests_back_is_watched_alone_and_that_is_said(project: Project) -> None:
    together = replace(GATE, deferral=Decimal("0.25"))
    assert observe.plan(a_record(10), together, 300, 90).ceilings[""] < 0.1, "the locked 0.2 is of the two together"
    view = load(project, 1, DANA)
    assert view.life is not None and not observe.alone(GATE)
    behind = replace(view, dossier=replace(view.dossier, gate=together))
    for seen, says in ((view, False), (behind, True)):
        drawn = "\n".join(line.plain for line in tab.live(seen, 400))
        assert ("here the student is watched alone" in drawn) is says
        told = "\n".join(watching.live_lines(seen.dossier, view.life, 0, plain=True))
        assert ("here the student is watched alone" in told) is says


def test_the_budget_is_spread_over_the_month_and_never_exceeded() -> None:
    asked = 0
    for day in range(1, 32):
        allowed = observe.allowance(100, f"2026-03-{day:02}", asked)
        assert allowed <= 4
        asked += allowed
    assert asked == 100
    assert observe.allowance(100, "2026-03-31", 100) == 0


def test_half_of_the_rows_are_sealed_and_it_is_always_the_same_half() -> None:
    found = [sealed(f"{n:064x}") for n in range(2000)]
    assert 900 < sum(found) < 1100 and found == [sealed(f"{n:064x}") for n in range(2000)]


def watched(plan: observe.Plan, *, wrong_year: bool) -> observe.Monitor:
    """Let sixty days come in, a feed each, of which more than half disagrees."""
    monitor = observe.Monitor(plan, observe.Scored())
    for number in range(60):
        day = (date.fromisoformat(FEBRUARY) + timedelta(number)).isoformat()
        days = [day] * 20 + ["2099-01-01"] * (wrong_year and number == 2)
        for at, each in enumerate(days):
            monitor.add(
                tables.Observation(
                    play_id=1,
                    bundle_id=1,
                    feed_id=number + 1,
                    day=each,
                    input_digest=f"{number}-{at}",
                    probe=0,
                    segment="s0",
                    answer="a",
                    teacher="a" if at % 5 < 2 else "b",
                    asked=0,
                    uncertainty=0.1,
                    distance=1.0,
                    length=20,
                    excerpt="",
                )
            )
        monitor.end_feed(f"{day}T23:00:00Z")
    return monitor


def test_a_row_of_a_wrong_year_holds_no_alarm_back() -> None:
    plan = observe.plan(a_record(20), LOOSE, 600, 90)
    assert watched(plan, wrong_year=False).standing is Standing.ALARM
    assert watched(plan, wrong_year=True).standing is Standing.ALARM


def test_what_a_sample_notices_is_said_in_rows_and_days() -> None:
    plan = observe.plan(a_record(20), LOOSE, 600, 90)
    lines = [observe.noticing_sentence(*line, 600) for line in observe.noticing(plan, 600)]
    assert len(lines) == 3 and "A rise from 10.0% to 20.0% is noticed after about" in lines[1]


# --- a feed --------------------------------------------------------------------------------------------------------


def test_only_the_operator_and_the_driver_bring_samples_in(project: Project, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        replay(project, 1, VERA, write(tmp_path / "x.jsonl", rows(5, 1)))
    assert [each.rule for each in refused.value.objections] == ["role.operator"]
    assert not project.dossier(1).feeds


def test_the_same_file_adds_nothing(project: Project) -> None:
    feed(project, 100, FEBRUARY, count=60)
    before = ask(project, "SELECT count(*) FROM observation")
    with pytest.raises(Refused, match="already observed"):
        replay(project, 1, OLGA, project.path.parent / "feed-100.jsonl")
    assert ask(project, "SELECT count(*) FROM observation") == before


def test_one_input_counts_once_a_day(project: Project, tmp_path: Path) -> None:
    call = rows(1, 3, start=FEBRUARY)[0]
    later = {**call, "time": "2026-02-02T09:00:00Z"}
    other = {**call, "input": call["input"].upper() + "  "}
    replay(project, 1, OLGA, write(tmp_path / "a.jsonl", [call, other, later, call]))
    replay(project, 1, OLGA, write(tmp_path / "b.jsonl", [later, *rows(3, 4, start=FEBRUARY)]))
    days = Counter(day for (day,) in ask(project, "SELECT day FROM observation"))
    assert (days["2026-02-01"], days["2026-02-02"], days.total()) == (2, 1, 5)
    assert len(ask(project, "SELECT DISTINCT day, input_digest FROM observation")) == len(
        ask(project, "SELECT 1 FROM observation")
    )


def test_a_run_that_died_is_resumed_and_records_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from distill_tui.runs import observe as observe_run

    def dies(*_: object) -> None:
        raise ValueError("the disk was full")

    path = write(project.path.parent / "f.jsonl", rows(40, 9, start=FEBRUARY))
    with monkeypatch.context() as patch:
        patch.setattr(observe_run, "_record", dies)
        replay(project, 1, OLGA, path)
    run = project.dossier(1).runs[-1]
    assert run.status is RunStatus.FAILED and not ask(project, "SELECT 1 FROM observation")
    actions.resume_run(project, 1, OLGA, run.id)
    assert project.dossier(1).runs[-1].status is RunStatus.FINISHED
    assert len(ask(project, "SELECT 1 FROM observation")) == 40


def test_inputs_alone_are_scored_and_the_teacher_is_not_made_up(project: Project, tmp_path: Path) -> None:
    calls = [{k: v for k, v in call.items() if k != "teacher_output"} for call in rows(60, 5, start=FEBRUARY)]
    replay(project, 1, OLGA, write(tmp_path / "a.jsonl", calls))
    assert set(ask(project, "SELECT teacher, asked FROM observation")) == {(None, 0)}
    view = history.life(project, project.dossier(1))
    assert view is not None and view.rows == 60 and view.labelled == 0 and view.rate is None
    assert project.dossier(1).standing is Standing.UNLABELLED, "no labelled rows is not steady"


def test_a_steady_month_is_steady_and_a_replay_gives_its_state_to_the_bit(project: Project) -> None:
    feed(project, 100, FEBRUARY)
    seen = project.dossier(1)
    assert seen.standing is Standing.STEADY
    assert history.replay_trouble(project, seen) == ""


def test_observations_that_were_changed_do_not_replay(alarmed: Project) -> None:
    connection = sqlite3.connect(alarmed.path)
    connection.execute("DROP TRIGGER observation_never_updated")
    connection.execute("UPDATE observation SET answer = teacher")
    connection.commit()
    connection.close()
    assert "do not give the state" in history.replay_trouble(alarmed, alarmed.dossier(1))
    assert alarmed.dossier(1, thorough=True).project.audit_trouble
    watched = len(alarmed.dossier(1).watches)
    replay(alarmed, 1, OLGA, write(alarmed.path.parent / "after.jsonl", rows(40, 77, start=APRIL)))
    run = alarmed.dossier(1).runs[-1]  # what was changed is not what the watch goes on from
    assert run.status is RunStatus.FAILED and "do not give the state" in run.error
    assert len(alarmed.dossier(1).watches) == watched


def test_a_worker_that_was_ready_takes_the_run_and_one_that_is_not_needed_ends(alarmed: Project) -> None:
    with pytest.MonkeyPatch.context() as patch:  # undone here: the fixture undoes its own patch of the same name first
        patch.setattr(local, "start", START)
        _a_ready_worker_takes_it(alarmed)


def _a_ready_worker_takes_it(alarmed: Project) -> None:
    with local.prepared(RunKind.OBSERVE):
        (unused,) = local._ready[RunKind.OBSERVE]
    assert unused.poll() is not None
    path = write(alarmed.path.parent / "april.jsonl", rows(40, 78, start=APRIL))
    with local.prepared(RunKind.OBSERVE):
        (ready,) = local._ready[RunKind.OBSERVE]
        run_id = actions.observe(alarmed, 1, OLGA, path, any_time=True)
    assert ready.wait(120) == 0 and not local._ready[RunKind.OBSERVE]
    run = next(each for each in alarmed.dossier(1).runs if each.id == run_id)
    assert run.status is RunStatus.FINISHED, run.error
    assert (alarmed.artifacts.run_folder(run_id) / local.LOG).exists()


# --- drift ---------------------------------------------------------------------------------------------------------


def test_drift_turns_the_card_and_says_what_where_and_since_when(alarmed: Project) -> None:
    seen = alarmed.dossier(1)
    assert seen.standing is Standing.ALARM and next_step(seen) is Action.SUSPEND
    view = history.life(alarmed, seen)
    assert view is not None
    first = next(finding for finding in view.findings if finding.what == "disagreement")
    assert first.where == "app" and first.red and "2026-02-25" <= first.since <= "2026-03-08"
    (card,) = glance.cards(alarmed.path)
    assert card.state == ("drift", "drift: app") and card.waits_for == "olga"


def test_the_weeks_of_the_curve_add_up_to_what_was_observed(alarmed: Project) -> None:
    view = history.life(alarmed, alarmed.dossier(1))
    assert view is not None
    (overall,) = (each for each in view.within(0) if each.name == "")
    assert sum(week.rows for week in view.weeks) == overall.rows == 1000
    assert sum(week.differ for week in view.weeks) == overall.differ > 150
    assert max(week.rate for week in view.weeks) > 0.3 > min(week.rate for week in view.weeks)


def test_a_window_looks_at_the_last_days_that_were_observed(alarmed: Project) -> None:
    view = history.life(alarmed, alarmed.dossier(1))
    assert view is not None and view.since(0) == "" and view.since(7) == "2026-03-22"
    whole, week = view.within(0)[0], view.within(7)[0]
    assert (whole.rows, whole.differ) == (view.labelled, sum(each.differ for each in view.days))
    assert 0 < week.rows == sum(each.rows for each in view.days if each.day >= "2026-03-22") < whole.rows
    assert view.within(10_000) == view.within(0)


def test_the_tab_turns_to_a_window_and_the_curve_follows(alarmed: Project) -> None:
    view = load(alarmed, 1, OLGA)
    windows = [0]
    while (turned := tab.next_window(windows[-1])) != 0:
        windows.append(turned)
    assert windows == [0, 7, 30, 90]
    told = {w: "\n".join(line.plain for line in tab.live(replace(view, window=w), 118)) for w in windows}
    assert "since the watch began" in told[0] and "BY WEEK" in told[0] and "BY WEEK" in told[90]
    assert "7 days, from 2026-03-22" in told[7] and "BY DAY" in told[7] and "BY DAY" in told[30]
    assert load(alarmed, 1, OLGA, replace(view, window=7)).window == 7  # a reload keeps it


def test_while_a_refresh_is_open_the_tabs_still_show_what_is_live(alarmed: Project) -> None:
    before = load(alarmed, 1, DANA)
    assert not evidence.live_now(before, 118)  # its verdicts are the tab itself
    actions.refresh(alarmed, 1, OLGA, "another way")
    view = load(alarmed, 1, DANA)
    shown = [
        "\n".join(line.plain for line in drawn(view, 118)) for drawn in (overview_tab.overview, evidence.evaluation)
    ]
    assert "bundle 1 of round 1: alarm" in shown[0] and "LIVE NOW" in shown[1]
    assert before.dossier.judgements[0].sentence[:40] in shown[1]


def test_after_a_refresh_that_was_judged_and_put_aside_the_verdicts_of_what_is_live_are_shown(alarmed: Project) -> None:
    first = alarmed.dossier(1)
    actions.refresh(alarmed, 1, OLGA, "another way")
    assert first.evaluation is not None
    judged = first.run(first.evaluation.evaluation_run)
    assert judged is not None
    with by_hand(alarmed) as session:
        run = tables.Run(**asdict(judged) | {"id": None, "round": 2})
        session.add(run)
        session.flush()
        other = {"id": None, "round": 2, "evaluation_run": run.id, "record": "sha256:" + "0" * 64}
        session.add(tables.Evaluation(**asdict(first.evaluation) | other))
    actions.roll_back(alarmed, 1, OLGA, 1, "no better")
    actions.refresh(alarmed, 1, OLGA, "once more")
    view = load(alarmed, 1, DANA)
    shown = "\n".join(line.plain for line in evidence.evaluation(view, 118))
    assert "bundle 1 of round 1" in shown and all(each.sentence[:40] in shown for each in first.judgements)
    assert view.dossier.before.record is None and view.dossier.of_live.record == first.record


def test_each_bundle_is_drawn_under_its_own_ceiling() -> None:
    day = date.fromisoformat(FEBRUARY).toordinal()
    lines = [[(day, 5.0), (day + 30, 5.0)], [(day + 60, 5.0), (day + 90, 5.0)]]
    levels = [(day, day + 30, 40.0), (day + 60, day + 90, 20.0)]
    drawn = chart.levelled(lines, 60, 14, levels=levels)
    rows = [line[6:] for line in drawn[:11] if line[6:].strip()]
    assert (
        rows[0].rstrip() == rows[0][:30].rstrip() and not rows[1][:30].strip()
    )  # the first ends where the second begins


def test_the_worst_rows_that_are_shown_are_open_ones_and_no_sealed_text_is_kept(alarmed: Project) -> None:
    shown = ask(alarmed, "SELECT input_digest, excerpt, answer, teacher FROM observation")
    assert any(text for _, text, _, _ in shown)
    for digest, text, answer, teacher in shown:
        assert not text or (not sealed(str(digest)) and answer != teacher)


def test_nothing_is_acknowledged_where_there_is_no_alarm(project: Project) -> None:
    with pytest.raises(Refused, match="P-001 is unlabelled"):
        actions.acknowledge(project, 1, OLGA, "all fine")


def test_an_acknowledgement_keeps_the_ceiling_so_that_what_goes_on_alarms_again(alarmed: Project) -> None:
    before = alarmed.dossier(1).watch
    actions.acknowledge(alarmed, 1, OLGA, "A campaign.")
    assert alarmed.dossier(1).standing is Standing.UNLABELLED
    (card,) = glance.cards(alarmed.path)
    assert card.state == ("live", "live, no labels")
    feed(alarmed, 102, APRIL, new=0.9)
    after = alarmed.dossier(1).watch
    assert before is not None and after is not None and after.standing is Standing.ALARM
    assert decode(observe.Plan, after.plan).ceilings == decode(observe.Plan, before.plan).ceilings


def test_a_changed_teacher_is_told_apart_from_the_student(project: Project) -> None:
    feed(project, 100, FEBRUARY, count=200)
    asked = history.probe(project, project.dossier(1))
    assert len(asked) == observe.PROBE_ROWS
    wrong = {"refund": "login", "login": "delivery", "delivery": "refund"}
    for week in range(3):
        day = date.fromisoformat(MARCH) + timedelta(7 * week)
        calls = [
            {"input": each["input"], "teacher_output": wrong[each["said_at_gate"]], "time": f"{day}T00:00:00Z"}
            for each in asked
        ]
        replay(project, 1, OLGA, write(project.path.parent / f"probe-{week}.jsonl", calls))
    seen = project.dossier(1)
    view = history.life(project, seen)
    assert view is not None and seen.standing is Standing.LOOK
    assert [finding.what for finding in view.findings] == ["teacher"]
    assert ask(project, "SELECT count(*) FROM observation WHERE probe = 1") == [(120,)]


def test_what_drifted_is_named_by_pairs_segments_and_terms_of_open_rows(alarmed: Project) -> None:
    seen = alarmed.dossier(1)
    view = history.life(alarmed, seen)
    assert view is not None and view.drift is not None
    drift, first = view.drift, view.drift.pairs[0]
    assert first.hits / drift.rows > 3 * (first.hits_before / drift.rows_before) and first.answer != first.teacher
    assert drift.rows + drift.rows_before == view.labelled
    assert drift.segments[0].name == "app" and drift.segments[0].since > 3 * (drift.segments[0].before or 0)
    rose, fell = {each.name for each in drift.rose}, {each.name for each in drift.fell}
    new, old = ({word for way in SAID.values() for word in way[at].split()} for at in (1, 0))
    assert rose and rose <= new and fell <= old
    shown = Counter((each.answer, each.teacher) for each in view.worst)
    assert all(each.day >= drift.since for each in view.worst) and len(shown) > 1, "spread over the pairs, after onset"
    for printed in (
        "\n".join(watching.live_lines(seen, view, 0, plain=True)),
        " ".join("\n".join(line.plain for line in tab.live(load(alarmed, 1, DANA), 400)).split()),
    ):
        assert all(sentence in printed for sentence in drift.sentences)


def test_a_student_is_suspended_and_resumed_by_the_operator_and_retired_by_the_sponsor(alarmed: Project) -> None:
    with pytest.raises(Refused, match="operator"):
        actions.suspend(alarmed, 1, DANA, "drift")
    actions.suspend(alarmed, 1, OLGA, "The app speaks another way.")
    seen = alarmed.dossier(1)
    assert seen.answering is None and seen.live is not None and next_step(seen) is Action.REFRESH
    (card,) = glance.cards(alarmed.path)
    assert card.state == ("look", "suspended")
    assert seen.standing is Standing.ALARM, "the watch goes on"
    actions.resume(alarmed, 1, OLGA, "The campaign is over.")
    assert alarmed.dossier(1).answering is not None
    actions.kill(alarmed, 1, DANA, "Nobody sends this any more.")
    assert alarmed.dossier(1).play.stage is Stage.KILLED and alarmed.dossier(1).answering is None


# --- the refresh ---------------------------------------------------------------------------------------------------


def test_the_validator_opens_no_refresh(alarmed: Project) -> None:
    with pytest.raises(Refused):
        actions.refresh(alarmed, 1, VERA, "drift")


def test_a_refresh_recovers_on_new_held_out_rows_and_what_shipped_stays_live_meanwhile(alarmed: Project) -> None:
    old = alarmed.dossier(1).data_set
    actions.refresh(alarmed, 1, OLGA, "The app's customers speak another way.")
    seen = alarmed.dossier(1)
    assert (seen.play.stage, seen.first_round) == (Stage.DATA, 2)
    assert seen.live is not None and seen.live.round == 1 and seen.builders["olga"] == ("refresh",)
    trained_and_judged(alarmed, 1)
    seen = alarmed.dossier(1)
    assert seen.passed, [each.sentence for each in seen.judgements]
    fresh = seen.data_set
    assert old is not None and fresh is not None
    before, after = (frozen.splits_of(alarmed.artifacts.path(each.artifact)) for each in (old, fresh))
    held_out = {digest for digest, split in after.items() if split is Split.HELD_OUT}
    assert len(held_out) == GATE.held_out_rows and not held_out & before.keys()
    assert all(sealed(digest) for digest in held_out)
    looked = {digest for digest, split in before.items() if split is Split.HELD_OUT}
    assert not looked & after.keys()
    actions.rehearse(alarmed, 1, OLGA)
    sign_and_ship(alarmed, 1)
    assert (live := alarmed.dossier(1).live) is not None and live.round == 2
    feed(alarmed, 103, APRIL, new=0.9)
    view = history.life(alarmed, alarmed.dossier(1))
    assert alarmed.dossier(1).standing is not Standing.ALARM and view is not None and (view.rate or 1) < 0.1
    rolls_back_by_the_command(alarmed)


def rolls_back_by_the_command(project: Project) -> None:
    """Have the operator put the first of two bundles back, by the real program and her own key."""
    key = project.path.with_name("olga")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    actions.add_key(project, DANA, "olga", signatures.read_public_key(Path(f"{key}.pub").read_text()))

    def run(*words: str, by: Path | None = key) -> tuple[int, str]:
        who = [] if by is None else ["--key", str(by)]
        command = [sys.executable, "-m", "distill_tui", "--project", str(project.path), *who, "rollback", "P-001"]
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        assert done.stdout == "" or done.returncode == cli.DONE
        return done.returncode, done.stderr + done.stdout

    before = project.dossier(1).project.audit_size
    back = ("--bundle", "1", "-m", "It was better on the web.")
    assert run(*back, "--confirm", "P-001", by=None)[0] == cli.REFUSED  # dana drives; she keeps no live student
    code, said = run(*back, "--confirm", "P-002")
    assert code == cli.USAGE and "--confirm P-001" in said
    code, said = run("--bundle", "7", "-m", "x", "--confirm", "P-001")
    assert code == cli.REFUSED and "Cannot roll back to bundle 7; possible bundles: 1." in said
    code, said = run("--bundle", "1", "-m", " ", "--confirm", "P-001")
    assert code == cli.REFUSED and "reason" in said
    assert project.dossier(1).project.audit_size == before
    code, said = run(*back, "--confirm", "P-001")
    seen = project.dossier(1)
    assert code == cli.DONE and "Bundle 1 is live." in said
    assert str(project.artifacts.path(seen.bundles[0].digest)) in said
    assert seen.live is not None and seen.live.id == 1 and seen.project.audit_size == before + 1
    assert run(*back, "--confirm", "P-001")[0] == cli.REFUSED  # it is live already


def test_training_rows_of_a_refresh_weigh_more_where_the_student_diverged(alarmed: Project) -> None:
    actions.refresh(alarmed, 1, OLGA, "drift")
    data_runs.build_data(alarmed, 1, DANA)
    data = alarmed.dossier(1).data_set
    assert data is not None
    table = pq.read_table(alarmed.artifacts.path(data.artifact)).to_pylist()
    weights = {
        segment: [row["weight"] for row in table if row["split"] == "train" and row["segment"] == segment]
        for segment in ("app", "web")
    }
    mean = {segment: sum(each) / len(each) for segment, each in weights.items()}
    assert mean["app"] > 1.5 * mean["web"]


def test_a_refresh_without_enough_new_rows_cannot_be_frozen(project: Project) -> None:
    feed(project, 100, FEBRUARY, count=120)
    actions.refresh(project, 1, OLGA, "due")
    with pytest.raises((Refused, ValueError)):
        data_runs.build_data(project, 1, DANA)
        data_runs.freeze_data(project, 1, DANA)


def test_a_refresh_that_fails_is_put_aside_and_the_next_takes_its_unjudged_rows_in_again(alarmed: Project) -> None:
    actions.refresh(alarmed, 1, OLGA, "drift")
    taken = alarmed.dossier(1).traffic[-1].rows
    actions.roll_back(alarmed, 1, OLGA, 1, "no time for it now")
    seen = alarmed.dossier(1)
    assert seen.play.stage is Stage.LIVE and seen.live is not None and seen.live.id == 1
    actions.refresh(alarmed, 1, OLGA, "now then")
    assert alarmed.dossier(1).traffic[-1].rows == taken and alarmed.dossier(1).first_round == 3


def test_an_altered_bundle_is_not_put_back(alarmed: Project) -> None:
    from distill_tui.store.project import ProjectError

    actions.refresh(alarmed, 1, OLGA, "drift")
    bundle = alarmed.dossier(1).bundles[0]
    (alarmed.artifacts.path(bundle.digest) / "gate.toml").write_text("")
    with pytest.raises(ProjectError, match="altered"):
        actions.roll_back(alarmed, 1, OLGA, 1, "back")


# --- the retraining path -------------------------------------------------------------------------------------------


def retrained(project: Project, *more: str) -> dict[str, object]:
    """Run the recipe in a process of its own, as the command does."""
    bundle = project.artifacts.path(project.dossier(1).bundles[0].digest)
    command = [sys.executable, "-m", "distill_tui.bundles.retrain", str(bundle), *more]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_the_recipe_gives_the_same_student_to_the_bit_and_other_data_another(project: Project, tmp_path: Path) -> None:
    from distill_tui.bundles import retrain

    seen = project.dossier(1)
    assert seen.data_set is not None
    data = str(project.artifacts.path(seen.data_set.artifact))
    said = retrained(project, data, str(tmp_path / "again"))
    assert said["same_data"] and said["same_student"], said
    other = write(tmp_path / "other.jsonl", rows(300, 8, new=0.9))
    bundle = project.artifacts.path(seen.bundles[0].digest)
    fresh = retrain.make(bundle, other, tmp_path / "fresh", None, None, None)
    assert not fresh["same_data"] and not fresh["same_student"] and fresh["rows_aside"] == 60


def test_a_recipe_says_in_one_line_what_is_missing(project: Project, tmp_path: Path) -> None:
    said = retrained(project, str(tmp_path / "nothing.jsonl"), str(tmp_path / "out"))
    assert "nothing.jsonl" in str(said["error"]) and not (tmp_path / "out").exists()


def test_a_stability_play_has_run_its_path_before_the_ship(project: Project) -> None:
    runs = [run for run in project.dossier(1).runs if run.kind is RunKind.REHEARSE]
    assert len(runs) == 1 and json.loads(runs[0].result)["same"] is True


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def as_olga(monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Callable[..., int]]:
    """Run commands as the operator."""
    from distill_tui.people import identity

    monkeypatch.setattr(identity, "by_account", lambda dossier: OLGA)
    return lambda project: lambda *words: main(["--project", str(project.path), *words])


def test_cron_is_told_by_the_exit_code(
    project: Project, as_olga: Callable[[Project], Callable[..., int]], capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = as_olga(project), project.path.parent / "samples"
    folder.mkdir()
    write(folder / "1.jsonl", rows(400, 100, start=FEBRUARY, days=28))
    assert run("observe", "P-001", str(folder), "--any-time") == cli.DONE
    assert run("observe", "P-001", str(folder), "--any-time") == cli.DONE  # nothing new
    assert "observed before" in capsys.readouterr().err
    write(folder / "2.jsonl", rows(500, 101, start=MARCH, days=28, new=0.9))
    assert run("observe", "P-001", str(folder), "--any-time") == cli.ALARM
    assert run("live", "P-001") == cli.ALARM
    told = capsys.readouterr()
    assert "disagree on app" in told.out and "ALARM" in told.err
    assert run("acknowledge", "P-001", "-m", "a campaign") == cli.DONE
    assert run("live", "P-001") == cli.UNLABELLED
    connection = sqlite3.connect(project.path)
    connection.execute("UPDATE play SET refresh_days = 0 + 1")
    connection.execute("DROP TRIGGER bundle_never_updated")
    connection.execute("UPDATE bundle SET shipped_at = '2026-01-01T00:00:00Z'")
    connection.commit()
    connection.close()
    assert run("live", "P-001") == cli.DUE


def test_a_folder_without_files_and_a_play_that_never_shipped_are_told_in_one_line(
    project: Project,
    as_olga: Callable[[Project], Callable[..., int]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    assert as_olga(project)("observe", "P-001", str(tmp_path / "empty")) == cli.BAD_INPUT
    actions.open_play(project, DANA, "other", PlayKind.COST)
    assert as_olga(project)("live", "P-002") == cli.BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 2


# --- the screen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [78, 118])
def test_the_tab_draws_within_its_width_and_shows_hostile_text_inert(alarmed: Project, width: int) -> None:
    connection = sqlite3.connect(alarmed.path)
    connection.execute("DROP TRIGGER observation_never_updated")
    connection.execute("UPDATE observation SET excerpt = '\x1b[31mboo [red]x[/] \u202eevil' WHERE excerpt <> ''")
    connection.commit()
    connection.close()
    view = load(alarmed, 1, OLGA)
    lines = [line.plain for line in tab.live(view, width)]
    assert all(cell_len(line) <= width for line in lines)
    told = "\n".join(lines)
    assert "DRIFT" in told and "\x1b" not in told and "\u202e" not in told and "[red]x[/]" in told


def test_the_tab_shows_each_bundle_with_who_why_and_how_long(alarmed: Project) -> None:
    actions.refresh(alarmed, 1, OLGA, "another way")
    actions.roll_back(alarmed, 1, SAM, 1, "not now")
    told = "\n".join(line.plain for line in tab.live(load(alarmed, 1, DANA), 118))
    assert "round 1, shipped" in told and "first launch" in told and "roll back, “not now”" in told
    assert [r.kind for r in alarmed.dossier(1).remedies] == [Remedy.REFRESH, Remedy.ROLL_BACK]


# --- months --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_months_of_observations_through_the_real_command(project: Project) -> None:
    """A file a week in processes of their own, as cron gives them: steady, drift, an answer, drift again, a refresh."""

    def run(*words: str) -> int:
        command = [sys.executable, "-m", "distill_tui", "--project", str(project.path), *words]
        return subprocess.run(command, capture_output=True, text=True).returncode

    first, codes = date.fromisoformat(FEBRUARY), []
    for week in range(12):
        start = (first + timedelta(7 * week)).isoformat()
        calls = rows(140, 200 + week, start=start, days=7, new=0.0 if week < 6 else 0.9)
        codes.append(
            run("observe", "P-001", "--any-time", str(write(project.path.parent / f"week-{week:02}.jsonl", calls)))
        )
    assert set(codes[:6]) == {cli.DONE} and codes[-1] == cli.ALARM and cli.ALARM in codes[6:10]
    seen = project.dossier(1)
    assert len(seen.feeds) == len(seen.watches) == 12 and history.replay_trouble(project, seen) == ""
    assert run("refresh", "P-001", "-m", "drift") == cli.DONE
    for words in (("data", "build"), ("data", "freeze")):
        assert run(*words, "P-001") == cli.DONE
    spec = (f"{name}={value}" for name, value in json.loads(SPEC.to_json()).items() if isinstance(value, int | float))
    chosen = ("student=static", *(word for word in spec if not word.endswith(("True", "False"))))
    assert run("train", "P-001", *chosen, "--wait") == cli.DONE
    assert run("eval", "P-001", "--wait") == cli.DONE
    assert project.dossier(1).passed
    assert run("rehearse", "P-001", "--wait") == cli.DONE
    sign_and_ship(project, 1)
    after = write(project.path.parent / "after.jsonl", rows(140, 300, start="2026-05-01", days=7, new=0.9))
    assert run("observe", "P-001", "--any-time", str(after)) == cli.DONE
