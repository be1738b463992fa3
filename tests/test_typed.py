"""Numbers as people type them. What could be read in two ways is refused first."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui.rules import typed


@pytest.mark.parametrize(
    "text", ["", "many", "1,5", "1,50", "12,34,567", "1.000.000", "1k5", "k", "%", "NaN", "inf", "1 000", "--1"]
)
def test_what_is_no_number_or_two_is_not_read(text: str) -> None:
    assert typed.number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("400,000", "400000"), ("1,234.5", "1234.5"), ("2.5k", "2500"), ("3M", "3000000"), ("1%", "0.01"),
        ("0.45", "0.45"), (" 12 ", "12"), ("-3", "-3"), ("1e3", "1000"), (".5", "0.5"),
    ],
)  # fmt: skip
def test_what_people_type_is_read(text: str, value: str) -> None:
    assert typed.number(text) == Decimal(value)


def test_what_is_stored_is_a_plain_number_as_it_was_typed_where_it_is_plain() -> None:
    assert [typed.plain(text) for text in ("2.40", "400,000", "1%", "2.5k", "1e3")] == [
        "2.40",
        "400000",
        "0.01",
        "2500",
        "1e3",
    ]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_a_number_written_with_commas_is_the_number(value: Decimal) -> None:
    assert typed.number(f"{value:,}") == value
