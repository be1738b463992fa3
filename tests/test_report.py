"""The plots of the report page: what they show, and that no word of a file becomes markup."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from distill_tui.reports import html, svg
from distill_tui.review import sections
from distill_tui.review.deferral import Point
from distill_tui.review.rates import Rate, SegmentRates


def segment(name: str, student: float, teacher: float = 0.9) -> SegmentRates:
    rates = [Rate(round(100 * share), 100, share, share - 0.05, min(1.0, share + 0.04)) for share in (student, teacher)]
    return SegmentRates(f"segment: {name}", 100, 100, rates[0], rates[1], None, None, None)


def test_without_anything_to_show_there_is_no_plot() -> None:
    assert svg.segments([]) == "" and svg.routing([]) == ""
    assert svg.segments([SegmentRates("all", 0, 0, None, None, None, None, None)]) == ""


@given(st.text(max_size=60))
def test_a_segment_s_name_stays_text(name: str) -> None:
    drawn = svg.segments([segment(f"<script>{name}&\x1b[31m", 0.8)])
    words = [each.text or "" for each in ElementTree.fromstring(drawn).iter() if each.tag == "text"]
    assert any(word.startswith("<script>") for word in words) and "<script" not in drawn and "\x1b" not in drawn


def test_a_better_student_stands_further_right_and_each_segment_has_two_intervals() -> None:
    drawn = svg.segments([segment("web", 0.95), segment("phone", 0.75)])
    places = [float(x) for x in re.findall(rf'<circle cx="([\d.]+)" cy="[\d.]+" r="3.5" fill="{svg.STUDENT}"', drawn)]
    assert places[0] > places[1]
    assert len(re.findall(r'stroke-width="2"', drawn)) == 4


def test_the_curve_rises_to_the_right_where_sending_back_helps() -> None:
    points = [
        Point(0.0, share, 0.8 + share / 5, 0.75 + share / 5, 0.85 + share / 7, Decimal(0)) for share in (0.0, 0.5, 1.0)
    ]
    drawn = svg.routing(points)
    line = re.search(r'<polyline points="([^"]+)"', drawn)
    assert line is not None
    placed = [tuple(map(float, pair.split(","))) for pair in line[1].split()]
    assert placed == sorted(placed) and [y for _, y in placed] == sorted((y for _, y in placed), reverse=True)
    ElementTree.fromstring(drawn)


def test_every_plot_has_a_section_to_stand_under() -> None:
    source = inspect.getsource(sections)
    assert html.PLOTS and all(f'Section("{name}"' in source for name in html.PLOTS)


def test_a_table_breaks_before_an_interval_and_words_stand_to_the_left() -> None:
    """No figure is cut off at the edge of the page, and none is broken inside."""
    made = html._table(("segment", "student", "taken for"), [("de (small)", "66.7% (40.3–93.0)", "billing")])
    assert "<td>66.7% <wbr>(40.3–93.0)</td>" in made
    assert '<th class="words">taken for</th>' in made and '<td class="words">billing</td>' in made
    assert "<th>student</th>" in made
