"""Makes the second sample: a small student extracts the parts of addresses, and learns it from a larger teacher.

    python sample_projects/address_extraction/extract.py FOLDER [--headless]

The task is generation: an answer is a JSON object. What the teacher answers to the play's lines is recorded in the
traffic, as a team's calls to a large model would be. People marked one line in three: of these the student learns what
they marked, and of the others what the teacher said. Everything goes through the same door as in the app.
"""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "feedback_sentiment"))

import addresses
import make_project as base
from make_project import Sample, points, say

from distill_tui.gates.gate import Criterion, Gate
from distill_tui.spec import Spec
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task

HERE = Path(__file__).parent
LESSONS = 3_000  # lines that the teacher learns from, which the play never sees
MARKED = 3  # of the play's lines every third was marked by people
GATE = Gate(
    criteria=(
        Criterion(Metric.FIELD_F1, Reference.TEACHER, margin=points("8"), binding=True),
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=points("25")),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=points("0")),
        Criterion(Metric.P95_LATENCY, threshold=Decimal(20)),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=1_500,
    minimum_assurance=Assurance.SIGNED,
    statement=(
        "Fields may be up to 8 points worse than the teacher's, and lines of which every field is right up to 25 "
        "points fewer: a person looks at each line anyway, and corrects a field in a second."
    ),
)
ABOUT = "Take number, street, unit, box, city, state and zip out of an address as people type it."
SPEC = {"student": "tagger", "layers": "0,1", "epochs": 4, "learning_rate": 5e-4, "vocabulary": 8000}


def get_traffic(sample: Sample) -> Path:
    """Fetch the lines, have the teacher learn from some and answer the others, and write these as traffic."""
    with sample.timed("fetch the marked addresses"):
        source = addresses.fetch(sample.folder / "source", say)
        rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
        lessons, play = base.grouped(rows, LESSONS, MARKED)
    with sample.timed("make the teacher (MiniLM, marks tokens), and record its answers"):
        files = [sample.folder / name for name in ("lessons.jsonl", "questions.jsonl", "answers.jsonl")]
        for path, rows in zip(files, (lessons, play), strict=False):
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        subprocess.run([sys.executable, str(HERE / "teacher.py"), *map(str, files)], check=True)
    answers = files[2].read_text(encoding="utf-8").splitlines()
    return base.write_traffic(
        sample, (row | {"teacher_output": json.loads(line)} for row, line in zip(play, answers, strict=True))
    )


def make(sample: Sample) -> int:
    """Make the whole sample; gives the number of the play."""
    traffic = get_traffic(sample)
    with sample.timed("open the project, its people and the gate; the sponsor locks"):
        base.found(sample, "Addresses")
        play = base.qualify(sample, "address-parts", PlayKind.COST, base.COST, GATE, ABOUT, Task.GENERATION)
    base.take_in(
        sample,
        play,
        traffic,
        lambda counts: (
            f"{sample.project.dossier(play).traffic[-1].rows:,} lines; {counts['splits']}, {counts['groups']:,} streets"
        ),
    )
    spec = Spec.from_mapping(SPEC | {"folder": str(addresses.encoder())})
    base.train_and_judge(sample, play, "train the student, and the control that learns from people's marks alone", spec)
    return play


def main() -> None:
    """Make the sample again and open it, or print its summary."""
    with base.remade(base.parser(__doc__).parse_args(), "addresses.distill") as sample:
        print("Making the sample of addresses: some minutes of work on two cores.", flush=True)
        base.scored(sample, make(sample))


if __name__ == "__main__":
    main()
