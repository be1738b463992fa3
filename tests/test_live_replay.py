"""A student on real dated traffic that shifts: alarm, suspension, refresh, ship, rollback, by the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import frozen
from distill_tui.gates.gate import Criterion
from distill_tui.people import identity
from distill_tui.rules.alarm import alarm_of
from distill_tui.spec import Spec
from distill_tui.terms import Metric, Split, Standing, StudentKind
from support import kernel_changes
from support.live_play import DANA, GATE, OLGA, VERA, shipped, workers_here, write

WORDS = ("student=ngram", "alpha=0", "controls=", "epochs=40", "learning_rate=0.05")
SHIFT = "2022-09-10"

pytestmark = pytest.mark.skipif(
    not kernel_changes.CHANGES.is_file(), reason="needs the changelog of Debian's package linux-libc-dev"
)


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


def test_a_shift_of_real_traffic_from_its_alarm_to_a_student_that_knows_it_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = replace(GATE, criteria=(Criterion(Metric.AGREEMENT, threshold=Decimal("0.88"), binding=True),))
    before = kernel_changes.changes("2021-06-01", "2022-07-01")
    spec = Spec(student=StudentKind.NGRAM, alpha=0, controls=(), epochs=40, learning_rate=0.05)
    project, _ = shipped(tmp_path, replace(gate, held_out_rows=200), calls=before, spec=spec)

    def run(actor: object, *words: str) -> int:
        monkeypatch.setattr(identity, "by_account", lambda dossier: actor)
        return main(["--project", str(project.path), *words])

    def observed(since: str, until: str) -> int:
        path = write(tmp_path / f"{since}.jsonl", kernel_changes.changes(since, until))
        return run(OLGA, "observe", "P-001", str(path), "--any-time")

    assert observed("2022-07-01", SHIFT) == exits.DONE, "no false alarm on what came before"
    assert observed(SHIFT, "2023-04-01") == exits.ALARM
    said = capsys.readouterr()
    drift = project.dossier(1).drift
    assert drift is not None and SHIFT <= drift.since <= "2022-11-15", "wifi: began to be written in October 2022"
    assert any(pair.teacher == "wifi" and pair.hits > 20 * max(1, pair.hits_before) for pair in drift.pairs)
    assert "wifi" in {each.name for each in drift.rose}
    raised = alarm_of(project.dossier(1))
    assert raised is not None and drift.line in said.err and raised.next in said.err
    assert run(OLGA, "suspend", "P-001", "-m", "A new subsystem.") == exits.DONE
    assert project.dossier(1).answering is None
    assert run(OLGA, "refresh", "P-001", "-m", "Teach it wifi.") == exits.DONE
    assert f"Held-out rows are drawn from {drift.since} on" in capsys.readouterr().err
    assert run(DANA, "data", "build", "P-001") == exits.DONE
    run(DANA, "data", "accept", "P-001", "--all", "-m", "Read.")
    assert run(DANA, "data", "freeze", "P-001") == exits.DONE
    judged_on_the_present(project.artifacts.path(project.dossier(1).data_sets[-1].artifact), drift.since)
    assert run(DANA, "train", "P-001", *WORDS, "--wait") == exits.DONE
    assert run(DANA, "eval", "P-001", "--wait") == exits.DONE
    seen = project.dossier(1)
    assert seen.passed, [each.sentence for each in seen.judgements]
    capsys.readouterr()
    assert run(DANA, "eval", "show", "P-001") == exits.DONE
    assert "of what is live now" in capsys.readouterr().out
    assert run(OLGA, "rehearse", "P-001", "--wait") == exits.DONE
    assert run(VERA, "sign", "P-001", "--approve", "-m", "Read the wifi rows.") == exits.DONE
    assert run(DANA, "ship", "P-001") == exits.DONE
    seen = project.dossier(1)
    assert seen.answering is not None and seen.answering.id == 2, "a ship ends the suspension"
    assert observed("2023-04-01", "2023-10-01") == exits.DONE
    assert run(OLGA, "rollback", "P-001", "--bundle", "1", "-m", "To compare.", "--confirm", "P-001") == exits.DONE
    assert project.dossier(1).standing is Standing.ALARM, "what is known of the first bundle has not gone"
    capsys.readouterr()
    assert run(OLGA, "--json", "live", "P-001") == exits.ALARM
    assert json.loads(capsys.readouterr().out)["bundle"]["id"] == 1
    again = tmp_path / "2023-04-01.jsonl"
    assert run(OLGA, "observe", "P-001", str(again), "--any-time") == exits.ALARM, "seen under 2, observed under 1"
    assert len(project.dossier(1).feeds) == 4
    project.close()


def judged_on_the_present(data: Path, since: str) -> None:
    """Check that every held-out row came on that day or later."""
    held_out = set(frozen.load(data, Split.HELD_OUT).inputs)
    late = {row["input"] for row in kernel_changes.changes(since, "2023-04-01")}
    assert len(held_out) == 200 and held_out <= late
