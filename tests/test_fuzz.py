"""Damaged requests in every wire format: no fault of the gateway's own, and no key or held-out row comes out."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from distill_tui.serving import wire
from support import fuzz, mutants, real_play, served

SENT, READ = 60, 1_500  # `make fuzz` sends 10,000 of each


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.project.close()


def test_the_search_finds_a_secret_a_held_out_row_and_a_fault() -> None:
    found = fuzz.Result()
    fuzz._judge("one", 200, {"x-note": fuzz.TEACHER}, b"{}", set(), found)
    fuzz._judge("two", 200, {}, b'{"text": "a sealed row"}', {"a sealed row"}, found)
    fuzz._judge("three", 500, {}, b'{"error": {}}', set(), found)
    fuzz._judge("four", 400, {}, b'{"error": {}}', {"a sealed row"}, found)
    assert [line.split(":")[0].split(" ")[0] for line in found.wrong] == ["one", "two", "three"]


@pytest.mark.parametrize("format", wire.FORMATS)
def test_a_damaged_body_is_read_or_is_for_the_teacher(format: str) -> None:
    for number in range(READ):
        try:
            body = json.loads(mutants.body_of(format, random.Random(f"{format} {number}"), fuzz.CANARY))
        except (ValueError, RecursionError):
            continue
        asked = wire.read(format, body, ("money", "post"))
        assert asked.text is not None or asked.why, number


@pytest.mark.parametrize("mode", fuzz.MODES)
def test_damaged_requests_and_replies_are_answered_cleanly_and_leak_nothing(play: real_play.Play, mode: str) -> None:
    found = fuzz.fuzz(play, mode, mutants.FORMATS, SENT, seed=1)
    assert not found.wrong, found.wrong[:5]
    assert found.statuses["200"] > SENT and len(found.statuses) > 2, found.statuses
    assert found.routes[mode] > SENT // 4, found.routes
