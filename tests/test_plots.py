"""Pictures say what the numbers say, at 80 columns, without colour, and in ASCII."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from distill_tui.review.rates import Rate, SegmentRates
from distill_tui.ui.widgets import chart, plots, show

HOSTILE = "[red]x[/]\x1b[2J\u202e 宽 and a very long name of a segment"


def rate(share: float, spread: float = 0.02) -> Rate:
    return Rate(0, 1, share, max(0.0, share - spread), min(1.0, share + spread))


def a_segment(name: str, student: float, teacher: float | None = 0.9, baseline: float | None = 0.6) -> SegmentRates:
    others = (None if share is None else rate(share) for share in (teacher, baseline))
    return SegmentRates(name, 100, 100, rate(student), *others, None, None)


@pytest.fixture
def ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    monkeypatch.setenv("DISTILL_ASCII", "1")
    show.ascii_only.cache_clear()
    yield
    monkeypatch.undo()
    show.ascii_only.cache_clear()


def test_one_segment_is_no_comparison() -> None:
    assert plots.segments([a_segment("all", 0.8)], 80) == []


def test_a_worse_segment_stands_further_left_and_everyone_has_a_sign_of_their_own() -> None:
    lines = [line.plain for line in plots.segments([a_segment("all", 0.8), a_segment("segment: nyt", 0.65)], 80)]
    both, nyt = lines[1], lines[2]
    assert nyt.startswith(" nyt ") and nyt.index("●") < both.index("●") < both.index("T")
    assert both.index("B") < nyt.index("●") and lines[3].split() == ["0.60", "0.95"]


def test_ladder_needs_two_students_and_puts_the_dearer_to_the_right_and_the_better_higher() -> None:
    rungs = [plots.Rung("layers", 28.4, 0.7), plots.Rung("static", 1.2, 0.6), plots.Rung("scratch", 6.0, 0.65)]
    assert plots.ladder(rungs[:1], "MB", 80, 6) == []
    lines = [line.plain for line in plots.ladder(rungs, "MB", 80, 7)]
    place = {
        letter: (row, line.index(letter)) for letter in "ABC" for row, line in enumerate(lines[1:8]) if letter in line
    }
    assert place["A"][0] < place["C"][0] < place["B"][0] and place["B"][1] < place["C"][1] < place["A"][1]
    assert any("A   70.0%" in line and "layers" in line for line in lines)


def test_students_that_are_as_good_and_as_dear_stand_side_by_side() -> None:
    lines = [line.plain for line in plots.ladder([plots.Rung(n, 5.0, 0.7) for n in "xyz"], "MB", 80, 5)]
    assert sum("ABC" in line for line in lines) == 1


def test_what_saves_nothing_never_pays_back() -> None:
    assert plots.payback(600, -3, "EUR", 80, 8) == [] and plots.payback(600, 0, "EUR", 80, 8) == []


def test_payback_begins_below_nothing_and_crosses_it_where_it_says() -> None:
    lines = [line.plain for line in plots.payback(600, 300, "EUR", 80, 9)]
    assert "0 is reached after 2.0 months" in lines[0] and "600┤" in lines[1] and lines[-1].endswith("4 months")
    (zero,) = (line for line in lines if " 0┤" in line)
    crossing = min(i for i, c in enumerate(zero) if "⠀" < c <= "⣿")
    assert abs(crossing - len(zero) / 2) < 8
    assert "not within 60 months" in plots.payback(60_000, 300, "EUR", 80, 9)[0].plain


def test_pictures_are_ascii_where_the_terminal_is(ascii_terminal: None) -> None:
    drawn = [
        *plots.segments([a_segment("all", 0.8), a_segment("nyt", 0.65)], 80),
        *plots.ladder([plots.Rung("a", 1.0, 0.6), plots.Rung("b", 2.0, 0.7)], "MB", 80, 5),
        *plots.payback(600, 300, "EUR", 80, 8),
    ]
    assert len(drawn) > 10 and all(line.plain.isascii() for line in drawn)


shares = st.floats(0, 1)


@given(
    st.lists(st.tuples(shares, st.none() | shares, st.none() | shares), min_size=2, max_size=6),
    st.integers(20, 140),
)
def test_no_picture_of_segments_is_wider_than_it_may_be(found: list[tuple[float, float, float]], width: int) -> None:
    lines = plots.segments([a_segment(HOSTILE, *three) for three in found], width)
    assert all(line.cell_length <= width and line.plain.isprintable() for line in lines)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e9), shares), min_size=2, max_size=40),
    st.integers(40, 140),
    st.integers(4, 12),
)
def test_no_ladder_is_wider_than_it_may_be(found: list[tuple[float, float]], width: int, height: int) -> None:
    lines = plots.ladder([plots.Rung(HOSTILE, *two) for two in found], "MB", width, height)
    assert all(cell_len(line.plain) <= width for line in lines)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_a_smoothed_curve_stays_within_its_points(values: list[float], over: int) -> None:
    smooth = chart.smoothed([(float(x), y) for x, y in enumerate(values)], over)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert len(smooth) == len(values) and all(min(values) - slack <= y <= max(values) + slack for _, y in smooth)
