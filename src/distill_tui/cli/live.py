"""Commands for a live student. Exit codes 6 and 7 signal cron that an alarm is raised, or that a refresh is due."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill_tui import actions
from distill_tui.cli import traffic as columns_of
from distill_tui.cli.call import Call, InputError, UsageError
from distill_tui.cli.exits import ALARM, DONE, DUE, FAILED, PROGRAM
from distill_tui.cli.follow import follow, started
from distill_tui.cli.options import FILE, command, play, reason, wait
from distill_tui.dataset import traffic
from distill_tui.monitor import history
from distill_tui.monitor import plan as plans
from distill_tui.reports import text
from distill_tui.store import json_columns
from distill_tui.terms import Action, RunKind, RunStatus, Standing
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.monitor.history import LiveView
    from distill_tui.rules import entities
    from distill_tui.rules.dossier import PlayDossier

# --- act -------------------------------------------------------------------------------------------------------------


@command(Action.OBSERVE)
@play
@click.argument(
    "file",
    metavar="FILE",
    type=FILE,
    help="a file that `import` can read, a folder of such files, or - for JSONL on standard input",
)
@columns_of.columns
@click.option("--no-wait", is_flag=True, help="do not follow the run; otherwise the exit code reports the live student")
def observe(call: Call, file: str, no_wait: bool, **columns: str | None) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        for path, name in _files(file, Path(scratch)):
            code = _observe_one(call, path, name, no_wait, columns)
            if code:
                return code
    return DONE if no_wait else _live(call, 0)


def _files(word: str, scratch: Path) -> list[tuple[Path, str]]:
    if word == "-":
        path = scratch / "standard-input.jsonl"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return [(path, "standard input")]
    path = Path(word)
    if not path.is_dir():
        return [(path, path.name)]
    files = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    if not files:
        raise InputError(f"{path.name} contains no files; name a folder of samples.")
    return [(each, each.name) for each in files]


def _observe_one(call: Call, path: Path, name: str, no_wait: bool, columns: dict[str, str | None]) -> int:
    """Observe one file. A file that was observed is skipped; one whose run ended early is resumed."""
    if not path.is_file():
        raise InputError(f"{path.name} is not a file; name a file, a folder of files, or - for standard input.")
    dossier, digest = call.dossier(), f"sha256:{traffic.source_digest(path)}"
    feed = next((each for each in dossier.feeds if each.source_digest == digest), None)
    if feed is None:
        run_id = actions.observe(*call.about, path, columns_of.mapping(path, columns), name=name)
    else:
        run = _run_of(dossier, feed)
        if run.status is RunStatus.FINISHED:
            call.talk(f"{name} was observed before; nothing was added.")
            return DONE
        run_id = run.id or 0
        if not run.status.active:
            actions.resume_run(*call.about, run_id)
    if no_wait:
        call.talk(f"Run {run_id} observes {name}.")
        return DONE
    return follow(call, run_id, quiet=True)


def _run_of(dossier: PlayDossier, feed: entities.Feed) -> entities.Run:
    observing = (run for run in dossier.runs if run.kind is RunKind.OBSERVE)
    found = (
        run for run in observing if json_columns.stored(run.spec, f"the spec of run {run.id}").get("feed") == feed.id
    )
    run = next(found, None)
    if run is None:
        raise InputError(f"Feed {feed.id} has no run that observed it; restore the project from a backup.")
    return run


@command(Action.ACKNOWLEDGE)
@play
@reason
def acknowledge(call: Call, message: str) -> None:
    actions.acknowledge(*call.about, message)
    call.done("Acknowledged. The watch restarts with the same ceiling.")


@command(Action.ROLL_BACK)
@play
@click.option("--bundle", metavar="N", type=int, required=True, help="the number of the bundle, as `live` shows it")
@reason
@click.option("--confirm", metavar="CODE", required=True, help="the play's code again: this changes what is live")
def rollback(call: Call, bundle: int, message: str, confirm: str) -> None:
    dossier = call.dossier()
    if confirm != dossier.play.code:
        raise UsageError(
            f"This changes what is live; confirm it with the play's own code: --confirm {dossier.play.code}."
        )
    actions.roll_back(*call.about, bundle, message)
    folder = call.project.artifacts.path(next(b.digest for b in call.dossier().bundles if b.id == bundle))
    call.done(f"Bundle {bundle} is live.", [visible(str(folder))], bundle=str(folder))


@command(Action.REFRESH)
@play
@reason
def refresh(call: Call, message: str) -> None:
    actions.refresh(*call.about, message)
    call.done("A refresh is open; the shipped student stays live until the refresh ships.")


@command(Action.REHEARSE)
@play
@wait
def rehearse(call: Call, wait: bool) -> int | None:
    return started(call, actions.rehearse(*call.about), wait)


# --- look ------------------------------------------------------------------------------------------------------------


@command(
    "live",
    "Show how the live student does: state, findings, segments, detectable drift; exit 6 alarm, 7 refresh due.",
)
@play
@click.option(
    "--window", metavar="DAYS", type=click.IntRange(min=0), help="the segments of the last DAYS that were observed"
)
def live(call: Call, window: int | None) -> int:
    return _live(call, window or 0)


def _live(call: Call, window: int) -> int:
    dossier = call.dossier()
    view = history.life(call.project, dossier)
    if view is None or dossier.live is None:
        raise InputError(f"No student of {call.play} has shipped yet; `{PROGRAM} ship {call.play}` ships one.")
    trouble = history.replay_trouble(call.project, dossier)
    call.data(_live_json(dossier, view, window, trouble), live_lines(dossier, view, window, plain=call.plain))
    if trouble:
        call.talk(trouble)
        return FAILED
    if dossier.standing is Standing.ALARM:
        answers = f"`{PROGRAM} acknowledge`, `rollback` or `refresh {call.play} -m REASON`"
        call.talk(f"ALARM. Respond with {answers}.")
        return ALARM
    if dossier.overdue:
        call.talk(f"A refresh is due since {dossier.refresh_due}: `{PROGRAM} refresh {call.play} -m REASON`.")
        return DUE
    return DONE


def _live_json(dossier: PlayDossier, view: LiveView, window: int, trouble: str) -> dict[str, Any]:
    assert dossier.live is not None
    return {
        "standing": dossier.standing.value,
        "bundle": asdict(dossier.live),
        "refresh_due": dossier.refresh_due,
        "overdue": dossier.overdue,
        "refreshing": dossier.refreshing,
        "rows": view.rows,
        "labelled": view.labelled,
        "disagreement": view.rate,
        "findings": [asdict(each) | {"sentence": each.sentence} for each in view.findings],
        "watched_alone": bool(plans.alone(dossier.gate)),
        "since": view.since(window),
        "segments": [vars(each) for each in view.within(window)],
        "weeks": [vars(each) | {"rate": each.rate} for each in view.weeks],
        "worst": [vars(each) for each in view.worst],
        "noticing": view.noticing,
        "bundles": [asdict(each) for each in dossier.bundles],
        "remedies": [asdict(each) for each in dossier.remedies],
        "replay": trouble or "the observations give the stored state to the bit",
    }


def live_lines(dossier: PlayDossier, view: LiveView, window: int, *, plain: bool) -> Iterator[str]:
    """Yield the lines of `live` for a terminal."""
    live, play = dossier.live, dossier.play
    assert live is not None
    yield visible(f"{play.code} {play.name}: {dossier.standing.value}")
    yield f"bundle {live.id} of round {live.round}, shipped {live.shipped_at} by {live.shipped_by}"
    yield f"{view.rows:,} rows observed since the watch began, {view.labelled:,} with the teacher's answer"
    yield f"refresh due on {dossier.refresh_due}" if dossier.refresh_due else "no refresh is due"
    for finding in view.findings:
        yield visible(f"! {finding.sentence}")
    if plans.alone(dossier.gate):
        yield plans.alone(dossier.gate)
    rows = [
        (each.name or "all", f"{each.rows:,}", *(_percent(x) for x in (_rate(each), each.at_gate, each.ceiling)))
        for each in view.within(window)
    ]
    yield f"segments since {view.since(window)}" if view.since(window) else ""
    yield from text.table(("SEGMENT", "ROWS", "DISAGREES", "AT THE GATE", "CEILING"), rows, plain=plain)
    for example in view.worst if view.findings else ():
        answers = f"student {example.answer} ({100 * example.sure:.0f}% confident), teacher {example.teacher}"
        yield visible(f"  {example.day} {example.segment}: {answers}: {example.text}")
    yield ""
    for line in view.noticing:
        yield plans.noticing_sentence(*line, play.sampling_per_month or 1)


def _rate(segment: Any) -> float | None:
    return segment.differ / segment.rows if segment.rows else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


@command("probe", "Print the inputs to ask the teacher again, which reveal drift of the teacher itself.")
@play
def probe(call: Call) -> None:
    """Print one JSON object a line."""
    asked = history.probe(call.project, call.dossier())
    if not asked:
        raise InputError("There is no probe yet; it is chosen when the live student is first observed.")
    call.data(asked, [json.dumps({"input": each["input"]}, ensure_ascii=False) for each in asked])
    call.talk("Label these with the teacher, store its answers as teacher_output, and add them to the next sample.")


@command("retrain", "Rerun a bundle's recipe without its project: the same data give the same weights.")
@click.argument("bundle", metavar="BUNDLE", type=FILE, help="the bundle's folder")
@click.option(
    "--data", metavar="FILE", type=FILE, required=True, help="the frozen data set (reproduces), or traffic (refreshes)"
)
@click.option("--out", metavar="FOLDER", type=FILE, required=True, help="a new folder for the student")
@click.option("--teacher", metavar="FOLDER", type=FILE, help="the teacher's folder, if the recipe names a local one")
@click.option("--start", metavar="FOLDER", type=FILE, help="the model that a student of kind folder starts from")
@click.option("--threads", metavar="N", type=int, help="torch threads (default: the recipe's; others give other bits)")
def retrain(
    call: Call, bundle: str, data: str, out: str, teacher: str | None, start: str | None, threads: int | None
) -> int:
    """Run the recipe in a process of its own; no project file is needed."""
    words = [sys.executable, "-m", "distill_tui.bundles.retrain", bundle, data, out]
    words += ["--teacher", teacher] if teacher else []
    words += ["--start", start] if start else []
    words += ["--threads", str(threads)] if threads else []
    found: dict[str, Any] = {}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                found = json.loads(line)
            else:
                call.talk(line.rstrip())
    if "error" in found:
        raise InputError(found["error"])
    if process.returncode or not found:
        call.talk("The recipe did not run to its end; its output is above.")
        return FAILED
    call.data(found, [visible(found["student"])])
    for sentence in _retrained(found):
        call.talk(sentence)
    return DONE


def _retrained(found: dict[str, Any]) -> Iterator[str]:
    if found["same_data"]:
        same = "the same student" if found["same_student"] else "ANOTHER student (other threads, libraries or teacher)"
        yield f"The recipe's own data set gave {same}: {found['digest'][:19]}…"
        return
    score = "–" if found["score"] is None else f"{found['score']:.3f}"
    yield f"Refreshed on other data: {found['score_name']} {score} on {found['rows_aside']:,} rows held back."
    yield "This student was not evaluated or signed off; import the data into a play to ship one."
