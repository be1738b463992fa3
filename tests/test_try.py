"""`distill-tui try FILE`: refusals first, then a page, and nothing that could be shipped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distill_tui.cli.app import main
from distill_tui.cli.plans import plan_file
from distill_tui.dataset import practice
from distill_tui.gates.record import Record
from distill_tui.reports.tryout_page import answerable


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record(confidence: tuple[int, ...], right: tuple[int, ...]) -> Record:
    rows = tuple(range(len(right)))
    same = (0,) * len(rows)
    return Record(
        labels=("a", "b"), rows=rows, gold=same, teacher=same, student=tuple(1 - each for each in right),
        baseline=same, majority=0, segment=(-1,) * len(rows), segments=(), group=rows, confidence=confidence,
    )  # fmt: skip


def test_a_file_that_does_not_exist_or_a_page_that_does_is_rejected(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["try", "none.jsonl"]) == 4
    (here / "page.html").write_text("mine")
    practice.write_traffic(here / "calls.jsonl", rows=100)
    assert main(["try", "calls.jsonl", "--html", "page.html"]) == 4
    assert (here / "page.html").read_text() == "mine"


def test_rows_without_an_answer_of_the_teacher_cannot_be_tried(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (json.dumps({"input": f"text number {n}", "gold": "ab"[n % 2]}) for n in range(100))
    (here / "calls.jsonl").write_text("\n".join(lines))
    assert main(["try", "calls.jsonl"]) == 4
    said = capsys.readouterr().err
    assert "name its column with --teacher-output COLUMN. Its columns: input, gold." in said
    assert sorted(each.name for each in here.iterdir()) == ["calls.jsonl"]


def test_answers_that_are_no_labels_are_rejected_and_spellings_of_one_label_are_taken_and_shown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(answers: list[str]) -> tuple[int, str]:
        rows = ({"input": f"text number {n} {answer}", "teacher_output": answer} for n, answer in enumerate(answers))
        (here / "calls.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return main(["try", "calls.jsonl"]), capsys.readouterr().err

    code, said = tried([f"answer {n}" for n in range(120)])
    assert code == 4 and "The file has 120 different answers on 120 rows, like free text." in said
    code, said = tried(["refund"] * 120)
    assert code == 4 and "Every answer is refund; there must be two labels or more." in said
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "kilo",
        "lima",
        "mike",
        "oscar",
        "papa",
        "quebec",
        "romeo",
        "sierra",
        "tango",
        "uniform",
        "victor",
        "whiskey",
    ]
    rows = []
    for n in range(240):
        label = ("refund", "parcel", "Refund")[n % 3]
        text = " ".join(words[(n * k + k * k) % 16] for k in range(1, 9))
        rows.append({"input": f"{text} {label.lower()} {n}", "teacher_output": label})
    (here / "calls.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["try", "calls.jsonl"]) == 0
    assert "Names were taken for labels by their spelling: “refund” as Refund." in capsys.readouterr().err


def test_a_file_of_a_few_texts_in_many_copies_is_rejected_without_a_word_of_a_gate(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = [" ".join(f"word{letter * 50 + k}" for k in range(40)) for letter in range(2)]
    others = [" ".join(f"other{n * 31 + k * 7}" for k in range(12)) for n in range(12)]
    texts = [*(f"{letter} number {n}" for letter in letters for n in range(54)), *others]
    rows = ({"input": text, "teacher_output": "ab"[n % 2]} for n, text in enumerate(texts))
    (here / "calls.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["try", "calls.jsonl"]) == 4
    said = capsys.readouterr().err
    assert (
        "can be sealed for a verdict: near duplicates stay together. Give more traffic" in said and "gate" not in said
    )


def test_the_surest_answers_are_those_that_agree_often_enough() -> None:
    assert answerable(record((90, 80, 70, 60), (1, 1, 1, 0)), 0.98)[:2] == (3, 4)
    assert answerable(record((90, 80, 70, 60), (0, 1, 1, 1)), 0.98)[:2] == (0, 4)
    assert answerable(record((90, 90, 90, 60), (1, 1, 0, 1)), 0.98)[:2] == (0, 4)  # equals go the same way
    assert answerable(record((90, 80, 70, 60), (1, 1, 1, 1)), 0.98)[0] == 4


@pytest.mark.slow
def test_two_minutes_to_a_page_and_a_plan_that_makes_the_play(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sample of the rows, a page that loads nothing, and no trace of students, projects or keys."""
    practice.write_traffic(here / "calls.jsonl", rows=900)
    words = [sys.executable, "-m", "distill_tui", "try", "calls.jsonl", "--rows", "400", "--html", "page.html"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    for part in (
        "Would a small model do?",
        "A random sample of 400",
        "By segment",
        "Likely savings",
        "p95",
        "baseline",
    ):
        assert part in done.stdout
    counted = set(re.findall(r"in segment '(\w+)': with ([\d,]+) rows", done.stdout))
    assert len(counted) == len(dict(counted)) > 1, "one count of held-out rows a segment, wherever it stands"
    page = (here / "page.html").read_text()
    assert "default-src 'none'" in page and not re.search(r"<(script|img|link)|https?://", page)
    assert sorted(each.name for each in here.iterdir()) == ["calls.jsonl", "calls.plan.toml", "page.html"]
    plan = plan_file.read((here / "calls.plan.toml").read_text(), here)
    assert plan.plays[0].traffic[0].columns["teacher_output"] == "teacher_output"
    end = done.stdout.strip().splitlines()[-1]
    assert main(end.partition("distill-tui ")[2].split()) == 0  # the last line works as it stands
    assert "Opened P-001 calls." in capsys.readouterr().err
