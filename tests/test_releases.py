"""A project file of every release opens, is brought up to date, and still verifies."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from distill_tui.store import doctor, migrations
from distill_tui.store.project import Project
from support.projects import NAME, make
from support.stories import Auditor

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.slow
@pytest.mark.parametrize("version", range(1, migrations.VERSION + 1))
def test_a_project_of_this_format_opens_and_verifies(version: int, tmp_path: Path) -> None:
    """Before format N is released, `make fixture` writes it again; afterwards a change needs a migration."""
    with tarfile.open(FIXTURES / f"format-{version}.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    path = tmp_path / "made" / NAME
    before = Auditor(path).rows()
    Project.open(path).close()
    Auditor(path).look()
    assert {finding.name: finding.says for finding in doctor.file(path) if not finding.ok} == {}
    assert all(set(before[table]) <= set(Auditor(path).rows()[table]) for table in ("audit", "sign_off", "bundle"))


def write(parent: Path) -> Path:
    """Write the fixture of the present format: a project with a shipped play and two that are being built."""
    made = make(parent)
    for end in ("lock", "turn"):
        (made / f"{NAME}.{end}").unlink()
    FIXTURES.mkdir(exist_ok=True)
    target = FIXTURES / f"format-{migrations.VERSION}.tar.gz"
    with tarfile.open(target, "w:gz") as tar:
        tar.add(made, "made")
    return target


if __name__ == "__main__":
    import tempfile

    from distill_tui.runs.executors import local

    local.start = lambda project, run: None  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        print(write(Path(folder)).stat().st_size, "bytes")
