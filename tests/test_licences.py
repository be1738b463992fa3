"""What the program is built on goes with its own licence, and the page that lists it is what is installed."""

from __future__ import annotations

import pytest

from support import licences


@pytest.mark.parametrize("stated", ["GPL-3.0", "MIT AND AGPL-3.0-only", "Proprietary", licences.NONE])
def test_a_licence_that_does_not_go_with_ours_is_found(stated: str) -> None:
    assert not licences.parts(stated) <= licences.FREE


def test_every_pinned_package_is_on_the_page_as_it_is_installed() -> None:
    page = {line.split(" | ")[0]: line.rsplit(" | ", 1)[0] for line in licences.PAGE.read_text().splitlines()}
    for name, line in licences.lines().items():
        assert page[f"| {name}"] == line.rsplit(" | ", 1)[0], "run `make licences`"
        stated = line.split(" | ")[2]
        assert licences.parts(stated) <= licences.FREE or (name in licences.STATES_NONE and stated == licences.NONE)
