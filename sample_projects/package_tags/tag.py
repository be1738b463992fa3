"""Makes the sample of several labels: a small student tags Debian's packages, and learns it from a larger teacher.

    python sample_projects/package_tags/tag.py FOLDER [--headless]

The task is multilabel: an answer is a set of some of 68 tags. The teacher learns from packages that the play never
sees; what it answers to the play's packages, a probability for each tag, is recorded in the traffic as a team's calls
would be. People tagged every third package of the play.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

sys.path.append(str(Path(__file__).parents[1] / "feedback_sentiment"))

import make_project as base
import packages
from make_project import Sample, points

from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.label_scores import label_rates
from distill_tui.spec import Spec
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task
from distill_tui.training import thresholds

LESSONS, CALLS = 8_000, 16_000  # packages that the teacher learns from, and the play's
MARKED = 3  # of the play's packages every third was tagged by people
GATE = Gate(
    criteria=(
        Criterion(Metric.MICRO_F1, Reference.TEACHER, margin=points("5"), binding=True),
        Criterion(Metric.MACRO_F1, Reference.TEACHER, margin=points("8")),
        Criterion(Metric.MICRO_F1, Reference.BASELINE, margin=points("0")),
        Criterion(Metric.MICRO_F1, Reference.TEACHER, "every segment", margin=points("15")),
        Criterion(Metric.RECALL, Reference.TEACHER, "label: role::program", margin=points("8")),
        Criterion(Metric.HAMMING, threshold=Decimal("0.03")),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=1_500,
    minimum_assurance=Assurance.SIGNED,
    statement=(
        "Tags help people find packages: a few that are missing or wrong cost little, a whole kind that is lost does."
    ),
)
ABOUT = "Give a Debian package its tags by its name and its short description."
SPEC = {"student": "ngram", "epochs": 30, "patience": 5, "alpha": 0.9}


def answered(lessons: list[dict[str, Any]], play: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Have a teacher of words and letters learn from the lessons, and answer the play's packages."""
    tags = sorted({tag for row in lessons for tag in row["gold"]})
    marks = np.array([[tag in row["gold"] for tag in tags] for row in lessons], dtype=np.int64)
    words = make_union(
        TfidfVectorizer(sublinear_tf=True, min_df=2),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 4), max_features=40_000),
    )
    seen, asked = (
        words.fit_transform([row["input"] for row in lessons]),
        words.transform([row["input"] for row in play]),
    )
    learned, apart = np.arange(len(lessons)) % 6 > 0, np.arange(len(lessons)) % 6 == 0
    shares, least = np.zeros((len(play), len(tags))), []
    for tag in range(len(tags)):
        model = LogisticRegression(solver="liblinear", C=8.0).fit(seen[learned], marks[learned, tag])
        least.append(thresholds.best(model.predict_proba(seen[apart])[:, 1].astype(np.float32), marks[apart, tag] > 0))
        shares[:, tag] = model.predict_proba(asked)[:, 1]
    return [
        row
        | {
            "teacher_output": [tag for tag, share, enough in zip(tags, own, least, strict=True) if share >= enough],
            "teacher_probabilities": {tag: round(float(share), 4) for tag, share in zip(tags, own, strict=True)},
        }
        for row, own in zip(play, shares, strict=True)
    ]


def get_traffic(sample: Sample) -> Path:
    with sample.timed("read the packages, and have the teacher learn and answer"):
        lessons, play = base.grouped(packages.rows(packages.dumped()), LESSONS, MARKED, CALLS)
        return base.write_traffic(sample, answered(lessons, play))


def make(sample: Sample) -> int:
    """Make the whole sample; returns the number of the play."""
    traffic = get_traffic(sample)
    with sample.timed("open the project, its people and the gate; the sponsor locks"):
        base.found(sample, "Package tags")
        play = base.qualify(sample, "package-tags", PlayKind.COST, base.COST, GATE, ABOUT, Task.MULTILABEL)
    base.take_in(
        sample,
        play,
        traffic,
        lambda counts: f"{counts['splits']}, {counts['groups']:,} source packages; {counts['audit']['teacher_says']}",
    )
    what = "train the students, and the control that learns from sets alone"
    base.train_and_judge(sample, play, what, Spec.from_mapping(SPEC))
    return play


def main() -> None:
    """Make the sample again and open it, or print its summary."""
    with base.remade(base.parser(__doc__).parse_args(), "tags.distill") as sample:
        print("Making the sample of package tags: some minutes of work on two cores.", flush=True)
        worst = label_rates(base.scored(sample, make(sample)))[:10]
        print("  The ten labels of which the student has the lowest F1:")
        for each in worst:
            f1 = f"F1 {each.student[2] or 0:.3f}  teacher {each.teacher[2] or 0:.3f}"
            print(f"  {each.label:30} {each.rows:5,} rows  {f1}")


if __name__ == "__main__":
    main()
