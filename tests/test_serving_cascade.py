"""A cascade at work: what is unsure goes back, a rollback changes the bundle, and the loop closes by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.bundles import student
from distill_tui.digests import digest_of
from distill_tui.gates.gate import Criterion
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import feed
from distill_tui.serving.request import PARTS, part
from distill_tui.terms import Metric, Role, ServingMode
from support import gateway, live_play, real_play, served
from support.gateway import Gateway, serving
from support.teacher_server import TeacherServer

EVERY = ServeMode(ServingMode.CANARY, 100)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


def mode(play: real_play.Play, asked: ServeMode) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), asked)


def route(found: Gateway, text: str = "please refund the invoice") -> str:
    return str(found.chat(text).headers["x-distill-route"])


def chosen(text: str) -> str:
    """Return the text with a number by which the audit channel's half of all inputs has it."""
    return next(each for n in range(100) if part(digest_of(each := f"{text} {n}"), "audit") < PARTS // 2)


def test_what_the_gate_would_send_back_goes_to_the_teacher_and_is_no_fair_sample(
    tmp_path: Path, teacher: TeacherServer
) -> None:
    bound = Criterion(Metric.DEFERRED, threshold=Decimal("0.4"))
    gate = real_play.gate_with(criteria=(*real_play.GATE.criteria, bound), deferral=Decimal("0.15"))
    play = real_play.copy_to(tmp_path, served.SPEC, gate=gate)
    play.sign(comment="Read 30 cases; fine.")
    play.ship()
    below = student.read(served.bundle_of(play)).defers_below
    assert 0 < below < 1
    mode(play, ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.5")))
    known, mixed = (
        chosen(text) for text in ("please refund the invoice", "a refund of the parcel, an invoice of the courier")
    )
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        sure, unsure = found.chat(known), found.chat(mixed)
        assert sure.headers["x-distill-route"] == "student" and float(sure.headers["x-distill-confidence"]) >= below
        assert unsure.headers["x-distill-route"] == "teacher" and float(unsure.headers["x-distill-confidence"]) < below
        assert [record.get("why") for record in found.records("request")] == [None, "unsure"]
        found.until(lambda: len(found.records("audit")) == 1)
        with feed.taken(found.folder, feed.OBSERVE) as rows:
            assert rows.rows == 2  # the digest chose both, and one of them was answered by the teacher anyway
        assert len(teacher.bodies) == 2
        with feed.taken(found.folder, feed.IMPORT) as rows:
            assert rows.rows == 0 and rows.left_out == {"sent back by the student: no fair sample": 1}
    play.project.close()


def test_a_rollback_changes_the_bundle_under_load_and_nothing_later_comes_from_the_one_before(
    tmp_path: Path, teacher: TeacherServer
) -> None:
    play = served.with_two_bundles(tmp_path)
    mode(play, EVERY)
    live, earlier = play.project.dossier(1).live, play.project.dossier(1).bundles[0]
    assert live is not None and live.id != earlier.id
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        answers: list[tuple[float, int, str]] = []

        def ask() -> str:
            answer, bundle = found.chat("please refund the invoice"), "x-distill-bundle"
            answers.append((time.monotonic(), answer.status_code, answer.headers.get(bundle, "")))
            return answers[-1][2]

        found.until(lambda: ask() == live.digest)
        actions.roll_back(play.project, play.id, play.by("olga"), earlier.id, "It answers worse.")
        at = time.monotonic()
        found.until(lambda: ask() == earlier.digest)
        found.until(lambda: (ask(), time.monotonic() > at + 1.5)[1])
    assert {status for _, status, _ in answers} == {200}  # no request is lost
    assert max((ended - at for ended, _, bundle in answers if bundle == live.digest), default=0) < 1
    play.project.close()


def test_a_sign_off_that_is_withdrawn_during_a_refresh_ends_it_within_a_second(
    tmp_path: Path, teacher: TeacherServer
) -> None:
    play = served.refreshed(tmp_path)
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: route(found) == "student")
        actions.withdraw(play.project, play.id, play.by("vera"), "I misread it.", key=play.key("vera"))
        assert found.until(lambda: route(found) == "teacher") < 1
        found.until(lambda: "vera withdrew the sign-off of bundle 1" in str(found.health()["wrong"]))
        found.until(lambda: bool((s := play.project.dossier(1).serving) and s.fell_back))
        with pytest.raises(Refused, match="withdrew the sign-off"):  # nor does a person go forward without one
            mode(play, EVERY)
    play.project.close()


def test_the_gateway_hands_the_audit_channel_to_the_monitor_by_itself(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    actions.assign_role(play.project, play.id, play.by("sam"), Role.OPERATOR, "ada")  # whose account runs it
    mode_by_ada = ServeMode(ServingMode.CASCADE, audit_share=Decimal("0.5"))
    actions.set_mode(play.project, play.id, play.by("ada"), mode_by_ada)
    with live_play.workers_here(), serving(gateway.of_play(play.path), teacher=teacher.url, observe_every=0.3) as found:
        for number in range(80):
            found.chat(f"a refund number {number}")
        found.until(lambda: play.project.dossier(1).watch is not None, 60)
        assert not found.health()["wrong"]
    assert any("audit channel of the gateway" in each.name for each in play.project.dossier(1).feeds)
