"""Makes the sample of scores: a scorer of a few megabytes learns how a panel of judges scores the feeling of a text.

    python sample_projects/judge_scores/judge.py FOLDER [--headless]

The task is a score on five levels. Seven raters of each text stand for a judge that is asked seven times: their votes
are its distribution over the levels. For one text in eight another seven are the judge asked again, which shows how far
it agrees with itself. Gold, on every third text, is the median of the raters that are left.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median_low
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "feedback_sentiment"))

import fetch
import make_project as base
from make_project import Sample, points

from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.spec import Spec
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task

LEVELS = "1,2,3,4,5"
CALLS, PANEL, AGAIN, MARKED = 8_000, 7, 8, 3  # texts; raters of a panel; one text in so many is asked again, has gold
GATE = Gate(
    criteria=(
        Criterion(Metric.MAE, Reference.TEACHER, margin=points("8"), binding=True),
        Criterion(Metric.MAE, Reference.BASELINE, margin=points("1")),
        Criterion(Metric.WITHIN_ONE, threshold=points("85")),
        Criterion(Metric.KAPPA, threshold=points("40")),
        Criterion(Metric.SPEARMAN, threshold=points("40")),
        Criterion(Metric.MAE, Reference.TEACHER, "every segment", margin=points("15")),
        Criterion(Metric.SIZE, threshold=Decimal(5)),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=2_000,
    minimum_assurance=Assurance.SIGNED,
    statement="A score that is one level off costs little; one that is two off sends a text to the wrong queue.",
)
ABOUT = "Score how a text feels, from 1 (very bad) to 5 (very good)."
SPEC = {
    "student": "ngram",
    "epochs": 12,
    "learning_rate": 0.005,
    "ladder": "ngram,static",
    "batch_size": 64,
    "alpha": 0.8,
}


def level(vote: int) -> int:
    """Return the level of a vote from -4 to 4: one for each of two steps, and 0 alone."""
    return 3 if vote == 0 else 3 + (1 if vote > 0 else -1) * (1 if abs(vote) <= 2 else 2)


def rated(package: bytes) -> Iterator[dict[str, Any]]:
    """Yield the texts with the levels of all their raters."""
    members = fetch._members(package)
    for segment, (stem, documented, _) in fetch.SEGMENTS.items():
        votes = {each[0]: json.loads(each[3]) for each in fetch._lines(members, f"{stem}_anonDataRatings.txt", 4)}
        for number, _, text in fetch._lines(members, f"{stem}_GroundTruth.txt", 3):
            group = f"{segment}-{number.partition('_')[0]}" if documented else None
            levels = [level(vote) for vote in votes[number]]
            yield {"input": text, "segment": segment, "group": group, "levels": levels}


def judged(levels: list[int]) -> dict[str, Any]:
    """Return what a panel says: the share of each level, and the likeliest, of equals the one nearest the median."""
    counts, middle = Counter(levels), median_low(levels)
    said = max(counts, key=lambda each: (counts[each], -abs(each - middle), -each))
    shares = {str(each): round(counts[each] / len(levels), 4) for each in range(1, 6)}
    return {"teacher_output": said, "teacher_probabilities": shares}


def calls(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the judge's calls: each text once, some twice, some with gold of other raters."""
    enough = [row for row in rows if len(row["levels"]) >= 2 * PANEL + 4]
    for number, row in enumerate(sorted(enough, key=lambda row: input_digest(f"sample {row['input']}"))[:CALLS]):
        levels, about = row["levels"], {name: row[name] for name in ("input", "segment", "group")}
        gold = median_low(levels[2 * PANEL :]) if number % MARKED == 0 else None
        yield about | judged(levels[:PANEL]) | {"gold": gold}
        if number % AGAIN == 0:
            yield about | judged(levels[PANEL : 2 * PANEL]) | {"gold": None}


def get_traffic(sample: Sample) -> Path:
    with sample.timed("fetch the rated texts"):
        return base.write_traffic(sample, calls([*rated(fetch.download())]))


def make(sample: Sample) -> int:
    """Make the whole sample; returns the number of the play."""
    traffic = get_traffic(sample)
    with sample.timed("open the project, its people and the gate; the sponsor locks"):
        base.found(sample, "Scores of a judge")
        play = base.qualify(sample, "judge-scores", PlayKind.COST, base.COST, GATE, ABOUT, Task.SCORE, LEVELS)
    base.take_in(sample, play, traffic, lambda counts: f"{counts['splits']}; {counts['audit']['teacher_says']}")
    what = "train the students, and the control that learns from levels alone"
    base.train_and_judge(sample, play, what, Spec.from_mapping(SPEC))
    return play


def main() -> None:
    """Make the sample again and open it, or print its summary."""
    with base.remade(base.parser(__doc__).parse_args(), "judge.distill") as sample:
        print("Making the sample of a judge's scores: some minutes of work on two cores.", flush=True)
        base.scored(sample, make(sample))


if __name__ == "__main__":
    main()
