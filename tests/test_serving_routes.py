"""Where a student is unsure, what other thresholds would do, how the mode is set: counted, and on the screens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import traffic
from distill_tui.dataset.row_identity import input_digest, sealed
from distill_tui.monitor import routes
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import figures
from distill_tui.serving.routing import Routing, begun, restored
from distill_tui.store import gateway as standing
from distill_tui.store import glance, queries
from distill_tui.store.gateway import Routes
from distill_tui.store.project import Project
from distill_tui.terms import KeptContent, OnObjection, Route, ServingMode, TeacherFault
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board import card_text, preview
from distill_tui.ui.play import live_tab
from distill_tui.ui.play.view import load
from support import gateway, live_play, real_play, served
from support.at_the_screen import settled, text_of, told, typed
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


def counted(**columns: tuple[int, ...]) -> Routes:
    begins = begun("sha256:b", 0.7).routes()
    return replace(begins, **{name: (*values, *([0] * (8 - len(values)))) for name, values in columns.items()})


def test_below_the_threshold_in_force_no_agreement_is_known_in_a_cascade() -> None:
    """Classes begin at 0, .5, .6, .7 …: 40 requests went back and no pair of them is a fair sample."""
    found = {
        point.threshold: point
        for point in routes.points(counted(computed=(0, 20, 20, 60), pairs=(0, 0, 0, 30), agreed=(0, 0, 0, 27)), None)
    }
    assert set(found) == {0.5, 0.6, 0.7} and found[0.7].served
    assert found[0.5].agrees is None and found[0.6].agrees is None and found[0.6].by_student == 0.8
    served_ = found[0.7]
    assert (served_.by_student, served_.agrees, served_.pairs) == (0.6, 0.9, 30)
    assert served_.lower < 0.9 < served_.upper and served_.together == pytest.approx(0.4 + 0.6 * 0.9)


def test_a_shadow_knows_every_threshold_and_what_it_costs() -> None:
    columns = {"computed": (0, 20, 20, 60), "pairs": (0, 20, 20, 60), "agreed": (0, 5, 15, 57)}
    found = {point.threshold: point for point in routes.points(counted(**columns), Decimal("2.40"))}
    assert found[0.5].agrees == 0.77 and found[0.5].cost_per_1k == 0
    assert found[0.7].agrees == 0.95 and found[0.7].cost_per_1k == Decimal("0.96")
    assert found[0.7].together == pytest.approx(0.97) and list(routes.points(counted(), None)) == []


def test_counts_are_of_one_bundle_and_outlive_the_gateway() -> None:
    one = begun("sha256:b", 0.7)
    for number in range(100):
        one.compute(0.65 if number % 4 else 0.95, f"answer {number}", "de")
    open_ = next(f"row {n}" for n in range(100) if not sealed(input_digest(f"row {n}")))
    shut = next(f"row {n}" for n in range(100) if sealed(input_digest(f"row {n}")))
    for text in (open_, shut):
        one.pair(0.95, "post", "money", agrees=False, text=text, segment="de")
    assert [each.text for each in one.worst] == [open_]  # what may become held-out is not shown
    assert len(one.cells) <= standing.CELLS + 1 and sum(counts[0] for counts in one.cells.values()) == 100
    again = restored(json.loads(json.dumps({"routing": _plain(one)}))["routing"])
    assert again == one
    with pytest.raises(ValueError, match="do not fit"):
        restored(_plain(one) | {"pairs": [1]})


def _plain(one: Routing) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(one.routes())


def shown(play: real_play.Play, width: int, *, all_agreed: bool = False) -> str:
    view = load(play.project, play.id, play.by("olga"))
    if all_agreed and view.gateway is not None and view.gateway.routing is not None:
        counts = replace(view.gateway.routing, agreed=view.gateway.routing.pairs)
        view = replace(view, gateway=replace(view.gateway, routing=counts))
    return "\n".join(line.plain for line in live_tab.live(view, width))


def test_the_operators_tab_shows_what_a_shadow_learns(
    play: real_play.Play, teacher: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher.wrong = True
    actions.set_mode(play.project, play.id, play.by("olga"), ServeMode(ServingMode.SHADOW))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        for number in range(60):
            assert found.chat(f"a refund number {number}", metadata={"segment": "de"}).status_code == 200
        found.until(lambda: len(found.records("shadow")) == 60)
        found.until(lambda: (now := standing.read(play.path, "P-001")) is not None and sum(now.routing.pairs) == 60)  # type: ignore[union-attr]
        for width in (118, 78):
            drawn = shown(play, width)
            assert "ROUTES BY THRESHOLD  60 requests, 60 pairs" in drawn and "all, in force" in drawn
            assert "WORST DISAGREEMENTS AT THE GATEWAY" in drawn and "→ teacher post" in drawn
            assert "COST/1k" in drawn and "100.0% (94.0–100)" in shown(play, width, all_agreed=True)
        (card,) = glance.cards(play.path)
        assert card.per_minute == 60 and card.served.startswith("0% student, p95 ") and "today" in card.served
        assert card_text.card_line(card, 1, 40)[0][0].startswith("0% student, p95 ")
        drawn = "\n".join(
            line.plain for line in preview.load(play.project, 1).lines(play.by("olga"), 118, wide=True, keys={})
        )
        assert "gateway 60/min, 0% student" in drawn
        rows = [each.text for each in standing.read(play.path, "P-001").routing.worst]  # type: ignore[union-attr]
        assert main(["--project", str(play.path), "--json", "live", "P-001"]) == exits.UNLABELLED
        known = json.loads(capsys.readouterr().out)["gateway"]
        assert known["routes"][0]["served"] and known["routes"][0]["pairs"] == 60 and known["per_minute"] == 60
        assert rows and not any(sealed(input_digest(text)) for text in rows)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:  # the counts outlive the process
        assert sum(found.health()["figures"]["routing"]["pairs"]) == 60


# --- what it costs ---------------------------------------------------------------------------------------------------


def read(path: Path, counted: figures.Figures, **kept: object) -> standing.GatewayNow:
    """Write figures as a gateway does, `kept` in their place, and read them as a screen does."""
    folder = standing.folder_of(path, "P-001")
    folder.mkdir(parents=True, exist_ok=True)
    state = {"mode": "cascade", "wrong": [], "unlogged": 0, "figures": counted.values() | kept}
    figures.keep(folder, state)
    again = figures.restored(folder)  # what a gateway that starts again goes on from
    assert kept or (again.cost_today, again.saved) == (counted.cost_today, counted.saved)
    found = standing.read(path, "P-001")
    assert found is not None
    return found


def test_a_cost_without_a_price_is_not_known_and_never_0(tmp_path: Path) -> None:
    counted = figures.Figures()
    for route in (Route.TEACHER, Route.STUDENT):
        counted.count(route, 0.01, None)
    counted.paid(None)
    now = read(tmp_path / "team.distill", counted)
    assert (now.cost_today, now.saved) == (None, None)
    assert now.words == "50% student, p95 10 ms"


def test_a_teacher_that_answers_costs_and_a_student_saves(tmp_path: Path) -> None:
    counted, price = figures.Figures(), Decimal("0.002")
    counted.count(Route.TEACHER, 0.01, price)
    assert (counted.cost_today, counted.saved) == (price, 0)
    counted.count(Route.STUDENT, 0.01, price)
    counted.paid(price)
    now = read(tmp_path / "team.distill", counted)
    assert (now.cost_today, now.saved) == (2 * price, price)


def test_what_was_paid_yesterday_is_not_the_cost_of_today(tmp_path: Path) -> None:
    counted, price = figures.Figures(), Decimal("0.002")
    counted.count(Route.TEACHER, 0.01, price)
    stopped = read(tmp_path / "team.distill", counted, day="2026-01-01")  # its gateway stopped on that day
    assert (stopped.cost_today, stopped.saved) == (0, 0)
    counted.day = "2026-01-01"  # one that runs on over midnight, and is asked nothing
    assert counted.values()["cost_today"] == "0"
    counted.day, counted.cost_today = "2026-01-01", Decimal(5)
    counted.paid(price)
    assert counted.cost_today == price


async def test_a_key_sets_the_mode(play: real_play.Play) -> None:
    app = DistillApp(play.path, actor=play.by("olga"), play=play.id)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("7", "V")
        await settled(pilot)
        assert "the teacher answers; the student is computed unseen" in text_of(app)
        await pilot.press(*("backspace",) * 10)
        await typed(pilot, "canary", "ctrl+s")
        await settled(pilot)
        assert "A canary needs a share of requests from 1 to 100" in text_of(app)
        await pilot.press("tab")
        await typed(pilot, "5", "ctrl+s")
        await settled(pilot)
        assert "P-001 is served as canary." in told(app) and "canary 5% since" in text_of(app)


async def test_the_form_keeps_what_is_not_typed(play: real_play.Play) -> None:
    before = ServeMode(ServingMode.SHADOW, audit_share=Decimal("0.3"), on_objection=OnObjection.GO_ON)
    actions.set_mode(play.project, play.id, play.by("olga"), before)
    app = DistillApp(play.path, actor=play.by("olga"), play=play.id)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("7", "V")
        await settled(pilot)
        await pilot.press(*("backspace",) * 10)
        await typed(pilot, "capture", "ctrl+s")
        await settled(pilot)
    found = play.project.dossier(play.id).serving
    assert found is not None
    assert (found.mode, found.audit_share) == (ServingMode.CAPTURE, Decimal("0.3"))
    assert found.on_objection is OnObjection.GO_ON


def test_a_command_keeps_what_it_does_not_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.distill"
    words = ["--project", str(path)]
    assert main(["init", str(path), "--name", "New", "--me", "mia"]) == exits.DONE
    assert main([*words, "new", "mail", "--kind", "cost"]) == exits.DONE
    assert main([*words, "role", "P-001", "driver", "mia"]) == exits.DONE
    assert main([*words, "serve", "P-001", "--content", "digests"]) == exits.USAGE  # it would have no effect
    assert "--content of a play is set with its --mode" in capsys.readouterr().err
    assert main([*words, "serve", "mode", "P-001", "capture", "--content", "digests"]) == exits.DONE
    assert main([*words, "serve", "mode", "P-001", "suspended", "--audit-share", "0.5"]) == exits.DONE
    assert main([*words, "serve", "mode", "P-001", "capture", "--on-fault", "student"]) == exits.DONE
    project = Project.open(path)
    found = project.dossier(1).serving
    project.close()
    assert found is not None
    assert (found.content, found.audit_share) == (KeptContent.DIGESTS, Decimal("0.5"))
    assert (found.on_fault, found.on_objection) == (TeacherFault.STUDENT, OnObjection.FALL_BACK)


async def test_captured_calls_are_imported_by_one_key(tmp_path: Path, teacher: TeacherServer) -> None:
    path = tmp_path / "new.distill"
    words = ["--project", str(path)]
    assert main(["init", str(path), "--name", "New", "--me", "mia"]) == exits.DONE
    assert main([*words, "new", "mail", "--kind", "cost"]) == exits.DONE
    assert main([*words, "role", "P-001", "driver", "mia"]) == exits.DONE
    assert main([*words, "serve", "mode", "P-001", "capture"]) == exits.DONE
    with serving(gateway.of_play(path), teacher=teacher.url) as found:
        for number in range(12):
            found.chat(f"a refund {number}")
    app = DistillApp(path, play=1)
    with live_play.workers_here():
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(pilot)
            await pilot.press("i")
            await settled(pilot)
            assert "or gateway: the calls that the gateway captured" in text_of(app)
            await typed(pilot, "gateway", "ctrl+s")
            await settled(pilot)
    project = Project.open(path)
    assert [each.rows for each in project.dossier(1).traffic] == [12]
    project.close()


def test_a_refresh_takes_what_the_gateway_captured(
    play: real_play.Play, teacher: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), ServeMode(ServingMode.SUSPENDED))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        for number in range(30):
            found.chat(f"a refund number {number}")
    words = ["--project", str(play.path), "--key", str(play.key("olga")), "refresh", "P-001", "-m", "customers changed"]
    with live_play.workers_here():
        assert main(words) == exits.DONE, capsys.readouterr().err
    assert "Imported 30 calls that the gateway captured" in capsys.readouterr().err
    dossier = play.project.dossier(play.id)
    new = [each for each in dossier.traffic if each.round == dossier.play.round]
    assert [each.rows for each in new] == [30] and dossier.refreshing
    rows = traffic.rows([play.project.artifacts.path(new[0].artifact)])
    assert {each["teacher_output"] for each in rows} == {"money"}
    assert queries.untrustworthy(play.project) == []  # the log, replayed by the rules, says so too
    assert set(dossier.builders["olga"]) == {"refresh", "import_traffic"}
