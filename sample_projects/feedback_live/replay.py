"""Replays the life of a shipped student whose traffic shifts: news arrives after the launch.

    python sample_projects/feedback_live/replay.py FOLDER [--demo DEMO] [--headless]

Builds on the sample `feedback_sentiment`: its data, its teacher, its people. The student ships on tweets and on reviews
of goods and films. Then weeks of production come in through the real command, and from the fourth on more than half of
it is sentences of news editorials. The alarm is answered by a refresh, which is judged by the same locked gate. The
days of the replay lie before today, and are observed with --any-time. With --demo, the teacher and its answers are
taken from a sample that `make demo` made; else they are made here.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "feedback_sentiment"))

import make_project as base
from make_project import Sample, followed, say

from distill_tui import actions
from distill_tui.gates.gate import Criterion
from distill_tui.monitor import history
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.spec import Spec
from distill_tui.store.artifacts import TEACHER_CACHE
from distill_tui.terms import Metric, Opinion, PlayKind, Reference, Stage, StudentKind

LATE = "nyt"  # the segment that arrives after the launch
FIRST, FRESH = 3_600, 1_800  # rows of traffic before the launch, and of what the refresh imports
WEEK, CALM, SHIFTED, AFTER = 280, 3, 4, 2  # rows a week; weeks as before, with news, and after the refresh
SHARE = 0.6  # of news in a shifted week
SAMPLE, REFRESH_DAYS = 1_200, 60
GATE = replace(
    base.COST_GATE,
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.16"), binding=True),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    held_out_rows=600,
    statement="We accept up to 16 points less accuracy than the teacher from a student that answers in a millisecond.",
)
SPEC = Spec(student=StudentKind.STATIC, hidden=128, epochs=6, learning_rate=3e-3, alpha=0.7, controls=())


class Stream:
    """Rated texts in a fixed order, taken off as production uses them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.late = [row for row in rows if row["segment"] == LATE]
        self.usual = [row for row in rows if row["segment"] != LATE]
        self.day = datetime.now(UTC).date() - timedelta(weeks=CALM + SHIFTED + AFTER + 4)

    def take(self, count: int, share: float, days: int = 7) -> list[dict[str, Any]]:
        """Take so many rows, this share of them news, spread over the next days."""
        news = round(share * count)
        taken = [*self.late[:news], *self.usual[: count - news]]
        if len(taken) < count:
            raise SystemExit(f"{count} rows are wanted, and {len(taken)} are left. Take fewer.")
        del self.late[:news], self.usual[: count - news]
        taken.sort(key=lambda row: row["id"])
        for number, row in enumerate(taken):
            row["time"] = f"{self.day + timedelta(days=number % days)}T12:00:00Z"
        self.day += timedelta(days=days)
        return taken


def write(path: Path, rows: list[dict[str, Any]], *names: str) -> Path:
    """Write some fields of some rows as JSONL."""
    path.write_text("".join(json.dumps({n: row[n] for n in names}, ensure_ascii=False) + "\n" for row in rows))
    return path


def teacher(sample: Sample, rows: list[dict[str, Any]], demo: Path | None) -> Path:
    """Make the teacher, or take it with its answers from the other sample."""
    if demo is None:
        return base.get_teacher(sample, rows)
    shutil.copytree(demo / "minilm-sentiment", sample.folder / "minilm-sentiment")
    cache = demo / "feedback.distill.artifacts" / TEACHER_CACHE
    sample.project.artifacts.folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(cache)) as connection:
        connection.execute("VACUUM INTO ?", [str(sample.project.artifacts.folder / TEACHER_CACHE)])
    return sample.folder / "minilm-sentiment"


def trained_and_judged(sample: Sample, play: int) -> None:
    """Label, build, freeze, train, judge."""
    project, dana = sample.project, sample.dana
    followed(sample, actions.label(project, play, dana))
    followed(sample, actions.build_data(project, play, dana))
    say(f"  {base.counts_of(sample, play)['splits']}")
    base.accept_findings(sample, play)
    followed(sample, actions.freeze_data(project, play, dana))
    followed(sample, actions.start_run(project, play, dana, SPEC))
    followed(sample, actions.evaluate(project, play, dana))


def signed_and_shipped(sample: Sample, play: int) -> None:
    """Print the verdict, sign off as the validator, and ship."""
    for judgement in sample.project.dossier(play).judgements:
        say(f"  {judgement.verdict.value:9} {judgement.sentence}")
    vera = sample.by("vera")
    actions.sign_off(sample.project, play, vera, Opinion.APPROVE, "Read the evaluation.", key=sample.key("vera"))
    actions.ship(sample.project, play, sample.by("dana"), key=sample.key("dana"))


def observed_week(sample: Sample, stream: Stream, number: int, share: float) -> int:
    """Let a week of production come in through the command, as cron would, and print how the student stands."""
    rows = stream.take(WEEK, share)
    path = write(sample.folder / f"week-{number:02}.jsonl", rows, "input", "gold", "segment", "group", "time")
    command = [sys.executable, "-m", "distill_tui", "--project", str(sample.path), "observe", "P-001", str(path)]
    command.append("--any-time")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    view = history.life(sample.project, sample.project.dossier(1))
    if view is None or done.returncode not in (0, 6, 7, 8):
        raise SystemExit(f"The week could not be observed: {done.stderr}")
    shares = ", ".join(
        f"{each.name or 'all'} {100 * each.differ / each.rows:.1f}% of {each.rows}"
        for each in view.within(0)
        if each.rows
    )
    standing = sample.project.dossier(1).standing.value
    say(f"  week {number}, {share:.0%} news: {standing} (exit {done.returncode}); since the watch began: {shares}")
    for finding in view.findings:
        say(f"      {finding.sentence}")
    if view.drift is not None:
        say(f"      {view.drift.line}")
    return done.returncode


def replay(sample: Sample, demo: Path | None) -> None:
    """From the first traffic to the recovered student."""
    with sample.timed("fetch the rated texts"):
        source = base.fetch.fetch(sample.folder / "source", say)
        every = [json.loads(line) for line in source.read_text().splitlines()]
        teacher_rows, rows = base.divided(every, most=None)
        stream = Stream(rows)
    with sample.timed("open the project; the sponsor locks the gate"):
        base.found(sample)
        about = "Is a piece of customer feedback negative, neutral or positive?"
        play = base.qualify(sample, "feedback-live", PlayKind.COST, base.COST, GATE, about)
        actions.set_maintenance(sample.project, play, sample.dana, SAMPLE, REFRESH_DAYS)
    with sample.timed("make the teacher"):
        folder = teacher(sample, teacher_rows, demo)
    with sample.timed("the first round: label, build, train, judge, ship"):
        first = write(sample.folder / "first.jsonl", stream.usual[:FIRST], "input", "gold", "segment", "group")
        del stream.usual[:FIRST]
        followed(sample, actions.import_traffic(sample.project, play, sample.dana, first))
        followed(sample, actions.try_teacher(sample.project, play, sample.dana, folder))
        trained_and_judged(sample, play)
        signed_and_shipped(sample, play)
    with sample.timed("weeks of production; news arrives in the fourth"):
        for number in range(1, CALM + SHIFTED + 1):
            if observed_week(sample, stream, number, 0.0 if number <= CALM else SHARE) == 6:
                break
    dossier = sample.project.dossier(play)
    say(f"  Next: {next_step(dossier)}, for {waits_for(dossier)}.")
    with sample.timed("the refresh: fresh traffic, the same locked gate, a new sign-off"):
        actions.refresh(sample.project, play, sample.by("olga"), "News has arrived, and the student does not know it.")
        fresh = write(
            sample.folder / "fresh.jsonl", stream.take(FRESH, SHARE), "input", "gold", "segment", "group", "time"
        )
        followed(sample, actions.import_traffic(sample.project, play, sample.dana, fresh))
        trained_and_judged(sample, play)
        signed_and_shipped(sample, play)
    with sample.timed("weeks of production after the refresh"):
        for later in range(1, AFTER + 1):
            observed_week(sample, stream, number + later, SHARE)


def main() -> None:
    """Make the replay again, print its figures, and open it."""
    words = base.parser(__doc__, "print the figures only")
    words.add_argument("--demo", type=Path, help="a sample that `make demo` made: its teacher and answers are used")
    options = words.parse_args()
    with base.remade(options) as sample:
        demo = options.demo.absolute() if options.demo and (options.demo / "minilm-sentiment").is_dir() else None
        print("Replaying the life of a shipped student: some minutes of work on two cores.", flush=True)
        replay(sample, demo)
        assert sample.project.dossier(1).play.stage is Stage.LIVE


if __name__ == "__main__":
    main()
