"""Makes the sample of long texts: a small student sorts software licences, and reads every word of them.

    python sample_projects/licence_texts/sort.py FOLDER [--headless]

The task is classification: a licence text of 400 to 13,000 words goes in, its category comes out. The teacher learns
from licences that the play never sees; what it answers to the play's texts is recorded in the traffic, as a team's
calls to a large model would be. The students read every text whole; before, the same students are trained on the first
256 words or tokens alone, to show what is lost where long texts are cut.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

sys.path.append(str(Path(__file__).parents[1] / "feedback_sentiment"))

import licences
import make_project as base
from make_project import Sample, points

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.review import review
from distill_tui.rules.results import train_result
from distill_tui.rules.training import trained
from distill_tui.spec import Spec
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task

LESSONS, MARKED = 700, 2  # texts that the teacher learns from; every second text of the play has people's category
GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=points("8"), binding=True),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=points("0")),
        Criterion(Metric.ACCURACY, Reference.TEACHER, "segment: long", margin=points("10")),
        Criterion(Metric.P95_LATENCY, threshold=Decimal(50)),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=350,
    validation_share=Decimal("0.3"),
    minimum_assurance=Assurance.SIGNED,
    statement="A lawyer reads what is not plainly permissive anyway; the category decides who reads it first.",
)
ABOUT = "Sort a software licence by its whole text: permissive, copyleft, proprietary, …"
SPEC = {"ladder": "ngram,static", "epochs": 12, "patience": 12, "learning_rate": 0.01, "batch_size": 32, "enough": 1.0}
CUT = {"max_tokens": 256, "controls": ""}


def answered(lessons: list[dict[str, Any]], play: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Have a teacher of words, pairs and letters learn from the lessons, and answer the play's texts."""
    words = make_union(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2)),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(4, 5), max_features=60_000),
    )
    seen = words.fit_transform([row["input"] for row in lessons])
    model = LogisticRegression(C=10.0, max_iter=2_000).fit(seen, [row["gold"] for row in lessons])
    shares = model.predict_proba(words.transform([row["input"] for row in play]))
    return [
        row
        | {
            "teacher_output": str(model.classes_[own.argmax()]),
            "teacher_probabilities": {
                name: round(float(each), 4) for name, each in zip(model.classes_, own, strict=True)
            },
        }
        for row, own in zip(play, shares, strict=True)
    ]


def get_traffic(sample: Sample) -> Path:
    with sample.timed("fetch the licences, and have the teacher learn and answer"):
        lessons, play = base.grouped(licences.rows(licences.download()), LESSONS, MARKED)
        return base.write_traffic(sample, answered(lessons, play))


def make(sample: Sample) -> int:
    """Make the whole sample; returns the number of the play."""
    traffic = get_traffic(sample)
    with sample.timed("open the project, its people and the gate; the sponsor locks"):
        base.found(sample, "Licence texts")
        play = base.qualify(sample, "licence-texts", PlayKind.COST, base.COST, GATE, ABOUT, Task.CLASSIFICATION)
    base.take_in(sample, play, traffic, lambda counts: f"{counts['splits']}, {counts['groups']:,} licences")
    with sample.timed("train the students on the beginnings of the texts"):
        base.followed(sample, actions.start_run(sample.project, play, sample.dana, Spec.from_mapping(SPEC | CUT)))
    base.train_and_judge(sample, play, "train them on whole texts, with the control", Spec.from_mapping(SPEC))
    return play


def main() -> None:
    """Make the sample again and open it, or print its summary."""
    with base.remade(base.parser(__doc__).parse_args(), "licences.distill") as sample:
        print("Making the sample of licence texts: some minutes of work on two cores.", flush=True)
        play = make(sample)
        base.scored(sample, play)
        dossier = sample.project.dossier(play, thorough=True)
        for run in trained(dossier):
            result = train_result(run)
            assert result is not None and result.cut is not None
            kept = ", ".join(f"{each.rung} {each.score:.3f}" for each in result.rungs if each.score is not None)
            print(f"  run {run.id}: validation {kept}; {result.cut.sentence}")
        found = review.of(dossier)
        for name, cut in found.cut if found else ():
            print(f"  {name}: {cut.sentence}; {cut.tokens / cut.texts:,.0f} tokens a text")


if __name__ == "__main__":
    main()
