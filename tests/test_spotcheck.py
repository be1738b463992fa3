"""The blind spot check: who may judge, what is drawn, and that authors are not shown too early."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.dataset import play_data
from distill_tui.gates.record import Record
from distill_tui.rules import spot_checks
from distill_tui.rules.decide import covers
from distill_tui.rules.objection import Refused
from distill_tui.terms import Judged
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms.spot_sheet import SpotSheet
from support import real_play
from support.story import record


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


def refused(*args: object) -> set[str]:
    with pytest.raises(Refused) as caught:
        actions.spot_check(*args)  # type: ignore[arg-type]
    return {each.rule for each in caught.value.objections}


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["dan", "sam", "olga", "bob", "ada"])
def test_only_the_validator_sees_and_judges(play: real_play.Play, person: str) -> None:
    who = play.by(person)
    with pytest.raises(Refused):
        play_data.to_judge(play.project, play.id, who, 4)
    assert "role.validator" in refused(play.project, play.id, who, [Judged.BOTH] * 4)


def test_more_judgements_than_there_are_answers_are_refused(play: real_play.Play) -> None:
    assert refused(play.project, play.id, play.by("vera"), [Judged.BOTH] * 121) == {"spot_check.wrong"}


def test_of_two_answers_that_are_the_same_neither_is_the_better(play: real_play.Play) -> None:
    assert refused(play.project, play.id, play.by("vera"), [Judged.A] * 40) == {"spot_check.wrong"}


def test_a_check_that_prefers_other_rows_is_refused() -> None:
    held = record(6)
    items = spot_checks.draw(held, "vera", 4)
    good = spot_checks.content(held, items, [Judged.BOTH] * 4)
    assert spot_checks.trouble(held, "vera", good) == ""
    for text in (
        spot_checks.content(held, spot_checks.draw(held, "bob", 4), [Judged.BOTH] * 4),
        spot_checks.content(held, items[::-1], [Judged.BOTH] * 4),
        spot_checks.content(record(5), items, [Judged.BOTH] * 4),
        good.replace('"student_first":true', '"student_first":false', 1).replace("false", "true", 0)
        if "true" in good
        else good.replace("false", "true", 1),
        good + " ",
        "[]",
        "{}",
        '{"judged":[{"said":"maybe"}]}',
    ):
        assert spot_checks.trouble(held, "vera", text), text


@given(st.text(max_size=60))
def test_no_text_at_all_crashes_the_reader_of_checks(text: str) -> None:
    assert spot_checks.trouble(record(6), "vera", text)


# --- the draw --------------------------------------------------------------------------------------------------------


def spread(right: int, segments: int) -> Record:
    held = record(right)
    return replace(held, segments=tuple(f"s{n}" for n in range(segments)),
                   segment=tuple(row % segments for row in range(len(held.rows))))  # fmt: skip


@given(st.integers(0, 12), st.integers(1, 6), st.integers(0, 12), st.sampled_from(["vera", "bob", "x"]))
def test_a_draw_is_the_same_for_one_person_and_holds_differences_first(
    right: int, segments: int, count: int, person: str
) -> None:
    held = spread(right, segments)
    items = spot_checks.draw(held, person, count)
    assert items == spot_checks.draw(held, person, count) and len(items) == count
    assert len({item.row for item in items}) == count
    differing = sum(item.a != item.b for item in items)
    assert differing == min(12 - right, max((count + 1) // 2, count - right))
    turns = Counter(item.segment for item in items if item.a == item.b)
    have = Counter(held.segments[s] for row, s in enumerate(held.segment) if row < right)
    full = [name for name in have if turns[name] < have[name]]
    assert all(turns[name] >= max(turns.values()) - 1 for name in full) if turns else True


def test_another_evaluation_or_another_judge_draws_anew() -> None:
    sides = {
        tuple((i.row, i.student_first) for i in spot_checks.draw(spread(6, 3), who, 6)) for who in map(str, range(9))
    }
    assert len(sides) == 9
    assert spot_checks.draw(spread(6, 3), "vera", 6) != spot_checks.draw(spread(7, 3), "vera", 6)


def test_neither_side_is_the_student_s_more_often_than_chance() -> None:
    first = sum(i.student_first for who in range(100) for i in spot_checks.draw(spread(6, 3), str(who), 12))
    assert 540 < first < 660  # of 1,200: five standard deviations of a fair coin are 87


# --- what is shown and what is kept -----------------------------------------------------------------------------


def said_right(play: real_play.Play, count: int) -> list[Judged]:
    """Judge as a person who knows the truth."""
    held = play.project.dossier(play.id).record
    assert held is not None
    gold = dict(zip(held.rows, (held.labels[g] for g in held.gold), strict=True))
    known = {
        (True, True): Judged.BOTH,
        (True, False): Judged.A,
        (False, True): Judged.B,
        (False, False): Judged.NEITHER,
    }
    items = spot_checks.draw(held, "vera", count)
    return [known[item.a == gold[item.row], item.b == gold[item.row]] for item in items]


def test_what_came_of_it_is_counted_by_whose_answer_was_right(play: real_play.Play) -> None:
    said = said_right(play, 20)
    actions.spot_check(play.project, play.id, play.by("vera"), said)
    seen = play.project.dossier(play.id)
    found = covers(seen)["spot_check"]
    assert found["judged"] == 20 and found["digest"].startswith("sha256:")
    assert found["only student right"] >= 7  # the teacher errs on every tenth row, and half of the draw are differences
    assert sum(found[name] for name in found if "right" in name) == 20


def test_a_sign_off_is_stale_once_the_validator_judges_again(play: real_play.Play) -> None:
    play.sign()
    actions.spot_check(play.project, play.id, play.by("vera"), said_right(play, 6))
    with pytest.raises(Refused, match="is stale: spot check changed"):
        play.ship()


def test_the_command_shows_answers_without_a_name_and_records_them(
    play: real_play.Play, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> tuple[int, str, str]:
        code = main(["--project", str(play.path), "--key", str(play.key("vera")), *words])
        return (code, *capsys.readouterr())

    code, out, _ = command("spotcheck", "P-001", "--rows", "6")
    assert code == 0 and "student" not in out and "teacher" not in out
    assert [line[:2] for line in out.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3.", "4.", "5.", "6."]
    shown = json.loads(command("spotcheck", "P-001", "--rows", "6", "--json")[1])["answers"]
    assert all(set(each) == {"number", "input", "a", "b"} for each in shown)
    said = [f"{n}={one.value}" for n, one in enumerate(said_right(play, 6), 1)]
    for wrong in (["1=a", "3=b"], ["1=maybe"], ["one=a"], ["0=a"]):
        assert command("spotcheck", "P-001", *wrong)[0] == 2
    code, out, err = command("spotcheck", "P-001", *said)
    assert code == 0, err
    assert "judged: 6" in out


async def test_the_sheet_takes_a_judgement_by_key_and_records_all_or_nothing(play: real_play.Play) -> None:
    vera = play.by("vera")
    app = DistillApp(play.path, key=play.key("vera"), actor=vera, play=play.id)
    keys = {Judged.A: "1", Judged.B: "2", Judged.BOTH: "3", Judged.NEITHER: "4"}
    said = said_right(play, 10)
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(200):
            await pilot.pause(0.05)
            if getattr(app.screen, "view", None) is not None:
                break
        await pilot.press("P")
        for _ in range(200):
            await pilot.pause(0.05)
            if isinstance(app.screen, SpotSheet):
                break
        sheet = app.screen
        assert isinstance(sheet, SpotSheet) and len(sheet.items) == 10
        await pilot.press("enter")
        assert app.screen is sheet  # not before all are judged
        same = next(n for n, each in enumerate(sheet.items) if each.item.a == each.item.b)
        sheet.at = same
        await pilot.press("1")
        assert same not in sheet.said
        for number, one in enumerate(said):
            sheet.at = number
            await pilot.press(keys[one])
        await pilot.press("enter")
        for _ in range(200):
            await pilot.pause(0.05)
            if play.project.dossier(play.id).spot_checks:
                break
    kept = play.project.dossier(play.id).spot_checks
    assert len(kept) == 1 and spot_checks.result(kept[0].content)["judged"] == 10
