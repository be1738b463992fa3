"""Programs of the system that some tests use. Without one, its tests are skipped and the last line of the run names it.

With REQUIRE_ALL=1, which CI sets, they fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable

import pytest

PACKAGES = {  # of Debian and its kin
    "sshd": "openssh-server",
    "cc": "gcc",
    "openssl/evp.h": "libssl-dev",
    "fish": "fish",
    "zsh": "zsh",
    "sbatch": "slurm-wlm",
    "munged": "munge",
    "mount": "mount",
    "chromium": "chromium",
}
MARK = "missing here: "


def program(name: str) -> str:
    """Return the path of a program, or skip the test that asks."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(name)
    assert found is not None
    return found


def missing(name: str) -> None:
    """Skip the test that asks; fail it with REQUIRE_ALL=1."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{name} is missing (REQUIRE_ALL=1): apt-get install {PACKAGES[name]}", pytrace=False)
    pytest.skip(f"{MARK}{name}")


def last_line(reasons: Iterable[str]) -> str:
    """Name what was missing, for how many tests, and the packages to install; empty where nothing was."""
    counts = Counter(reason.partition(MARK)[2].partition(" ")[0] for reason in reasons if MARK in reason)
    if not counts:
        return ""
    names = ", ".join(f"{name} ({n} test{'s' if n > 1 else ''})" for name, n in sorted(counts.items()))
    packages = " ".join(sorted({PACKAGES[name] for name in counts}))
    return f"Skipped, because a program is missing: {names}. To run them: apt-get install {packages}"
