"""The headline of a play whose gate binds another metric than the share of right answers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.gates.gate import BY_LABEL, SCORED, Criterion, Gate
from distill_tui.gates.wording import trim
from distill_tui.review import headline
from distill_tui.rules.results import train_result
from distill_tui.store import glance
from distill_tui.store.project import Project
from distill_tui.terms import Metric, Task
from distill_tui.ui.play import overview_tab
from distill_tui.ui.play.view import load
from support import data_runs, live_play
from support.live_play import DANA, SAM, VERA, rows, write

GATE = Gate(
    (
        Criterion(Metric.ACCURACY, threshold=Decimal("0.5")),
        Criterion(Metric.MACRO_F1, threshold=Decimal("0.5"), binding=True),
    ),
    rounds=2,
    held_out_rows=200,
    baseline="majority",
)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A classification play at `decide`; in its gold one label is rare, so that macro-F1 and accuracy differ."""
    folder = tmp_path_factory.mktemp("headline")
    project, play = live_play.opened(folder, "intent", Task.CLASSIFICATION, GATE)
    actions.lock_gate(project, play, SAM)
    calls = [
        row | {"gold": row["teacher_output"]}
        for at, row in enumerate(rows(1200, 1, noise=0.15))
        if row["teacher_output"] != "login" or at % 8 == 0
    ]
    data_runs.import_traffic(project, play, DANA, write(folder / "calls.jsonl", calls))
    actions.set_teacher(project, play, DANA, None)
    with live_play.workers_here():
        live_play.trained_and_judged(project, play)
    yield project
    project.close()


def test_a_classification_play_shows_the_macro_f1_that_its_gate_binds(
    decided: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    dossier = decided.dossier(1)
    found = headline.of(dossier, interval=True)
    judgement = next(each for each in dossier.judgements if each.criterion.metric is Metric.MACRO_F1)
    assert found.metric == "macro_f1" and found.student == judgement.estimate and found.interval is not None
    accuracy = next(each.estimate for each in dossier.judgements if each.criterion.metric is Metric.ACCURACY)
    assert accuracy is not None and found.student is not None and abs(accuracy - found.student) > 0.005
    line = f"held-out macro_f1  student {trim(f'{found.student:.3f}')}  teacher 1"
    assert found.quality.startswith(line)
    assert line in " ".join(each.plain for each in overview_tab.overview(load(decided, 1, VERA), 78))
    card = next(iter(glance.cards(decided.path)))
    result = train_result(dossier.runs[-2])
    assert result is not None and result.judged == card.measure == "macro_f1"
    assert card.quality == result.judged_score == result.score
    assert card.score == f"macro_f1 {card.quality:.3f}"
    assert main(["--project", str(decided.path), "list"]) == 0 and card.score in capsys.readouterr().out
    assert main(["--project", str(decided.path), "show", "P-001"]) == 0 and line in capsys.readouterr().out


def test_the_board_knows_every_metric_that_a_headline_can_be() -> None:
    assert sorted(glance.SCORED) == sorted({*SCORED} - {*BY_LABEL})
