"""What the commands about a live student do. Exit codes 6 and 7 tell cron that an alarm stands, or a refresh is due."""

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

from distill_tui.cli import table
from distill_tui.cli.call import Call, InputError, UsageError
from distill_tui.terms import RunKind, RunStatus, Standing
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.monitor.history import LiveView
    from distill_tui.rules import entities
    from distill_tui.rules.dossier import PlayDossier

# --- actions ---------------------------------------------------------------------------------------------------------


def observe(call: Call) -> int:
    """Take in a file, every file of a folder, or standard input, and say how the live student stands."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, name in _files(call.args.file, Path(scratch)):
            code = _observe_one(call, path, name)
            if code:
                return code
    if call.args.no_wait:
        return table.DONE
    return _live(call, 0)


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
        raise InputError(f"{path.name} holds no files; give a folder of samples.")
    return [(each, each.name) for each in files]


def _observe_one(call: Call, path: Path, name: str) -> int:
    """Observe one file; one that was observed is passed over, one whose run ended early goes on."""
    from distill_tui import actions
    from distill_tui.cli.commands import mapping_of
    from distill_tui.cli.show import follow
    from distill_tui.dataset import traffic

    if not path.is_file():
        raise InputError(f"{path.name} is not a file; give a file, a folder of files, or - for standard input.")
    dossier, digest = call.dossier(), f"sha256:{traffic.source_digest(path)}"
    feed = next((each for each in dossier.feeds if each.source_digest == digest), None)
    if feed is None:
        run_id = actions.observe(*call.about, path, mapping_of(call, path), name=name)
    else:
        run = _run_of(dossier, feed)
        if run.status is RunStatus.FINISHED:
            call.talk(f"{name} was observed already; nothing was added.")
            return table.DONE
        run_id = run.id or 0
        if not run.status.active:
            actions.resume_run(*call.about, run_id)
    if call.args.no_wait:
        call.talk(f"Run {run_id} observes {name}.")
        return table.DONE
    return follow(call, run_id, quiet=True)


def _run_of(dossier: PlayDossier, feed: entities.Feed) -> entities.Run:
    """Find the run of a feed."""
    from distill_tui.store.json_columns import stored

    observing = (run for run in dossier.runs if run.kind is RunKind.OBSERVE)
    found = (run for run in observing if stored(run.spec, f"the spec of run {run.id}").get("feed") == feed.id)
    run = next(found, None)
    if run is None:
        raise InputError(f"No run is there that observed feed {feed.id}; restore the project from a backup.")
    return run


def acknowledge(call: Call) -> None:
    """Answer an alarm."""
    from distill_tui import actions

    actions.acknowledge(*call.about, call.args.message)
    call.done("Acknowledged; the watch begins anew, with the same ceiling.")


def roll_back(call: Call) -> None:
    """Put a bundle back."""
    from distill_tui import actions

    dossier = call.dossier()
    if call.args.confirm != dossier.play.code:
        raise UsageError(f"This changes what is live; confirm it with the play's own code: {dossier.play.code}.")
    actions.roll_back(*call.about, call.args.bundle, call.args.message)
    folder = call.project.artifacts.path(next(b.digest for b in call.dossier().bundles if b.id == call.args.bundle))
    call.done(f"Bundle {call.args.bundle} is live.", [visible(str(folder))], bundle=str(folder))


def refresh(call: Call) -> None:
    """Open a refresh."""
    from distill_tui import actions

    actions.refresh(*call.about, call.args.message)
    call.done("A refresh is open; what shipped stays live until it ships.")


def rehearse(call: Call) -> int | None:
    """Run the recipe again."""
    from distill_tui import actions
    from distill_tui.cli.commands import started

    return started(call, actions.rehearse(*call.about))


# --- questions -------------------------------------------------------------------------------------------------------


def show_live(call: Call) -> int:
    """Show how the live student does; 6 where an alarm stands, 7 where a refresh is due, 1 where a replay differs."""
    if call.args.window < 0:
        raise UsageError("--window is a number of days, like 30.")
    return _live(call, call.args.window)


def _live(call: Call, window: int) -> int:
    from distill_tui.monitor import history

    dossier = call.dossier()
    view = history.life(call.project, dossier)
    if view is None or dossier.live is None:
        raise InputError(
            f"Nothing of {call.args.play} has shipped yet; `{table.PROGRAM} ship {call.args.play}` does it."
        )
    trouble = history.replay_trouble(call.project, dossier)
    call.data(
        _live_json(dossier, view, window, trouble),
        _live_lines(dossier, view, window, plain=call.plain),
    )
    if trouble:
        call.talk(trouble)
        return table.FAILED
    if dossier.standing is Standing.ALARM:
        call.talk(
            f"ALARM: `{table.PROGRAM} acknowledge`, `rollback` or `refresh {call.args.play} -m REASON` answers it."
        )
        return table.ALARM
    if dossier.overdue:
        call.talk(
            f"A refresh is due since {dossier.refresh_due}: `{table.PROGRAM} refresh {call.args.play} -m REASON`."
        )
        return table.DUE
    return table.DONE


def _live_json(dossier: PlayDossier, view: LiveView, window: int, trouble: str) -> dict[str, Any]:
    from distill_tui.monitor import plan as observe

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
        "findings": list(view.findings),
        "watched_alone": bool(observe.alone(dossier.gate)),
        "since": view.since(window),
        "segments": [vars(each) for each in view.within(window)],
        "weeks": [vars(each) | {"rate": each.rate} for each in view.weeks],
        "worst": [vars(each) for each in view.worst],
        "noticing": view.noticing,
        "bundles": [asdict(each) for each in dossier.bundles],
        "remedies": [asdict(each) for each in dossier.remedies],
        "replay": trouble or "the observations give the stored state to the bit",
    }


def _live_lines(dossier: PlayDossier, view: LiveView, window: int, *, plain: bool) -> Iterator[str]:
    from distill_tui.monitor import plan as observe
    from distill_tui.reports import text

    live, play = dossier.live, dossier.play
    assert live is not None
    yield visible(f"{play.code} {play.name}: {dossier.standing.value}")
    yield f"bundle {live.id} of round {live.round}, shipped {live.shipped_at} by {live.shipped_by}"
    yield f"{view.rows:,} rows observed since the watch began, {view.labelled:,} with the teacher's answer"
    yield f"refresh due on {dossier.refresh_due}" if dossier.refresh_due else "no refresh is due"
    for finding in view.findings:
        yield visible(f"! {finding['sentence']}")
    if observe.alone(dossier.gate):
        yield observe.alone(dossier.gate)
    rows = [
        (each.name or "all", f"{each.rows:,}", *(_percent(x) for x in (_rate(each), each.at_gate, each.ceiling)))
        for each in view.within(window)
    ]
    yield f"segments since {view.since(window)}" if view.since(window) else ""
    yield from text.table(("SEGMENT", "ROWS", "DISAGREES", "AT THE GATE", "CEILING"), rows, plain=plain)
    for example in view.worst if view.findings else ():
        says = f"student {example.answer} ({100 * example.sure:.0f} % sure), teacher {example.teacher}"
        yield visible(f"  {example.day} {example.segment}: {says}: {example.text}")
    yield ""
    for line in view.noticing:
        yield observe.noticing_sentence(*line, play.sampling_per_month or 1)


def _rate(segment: Any) -> float | None:
    return segment.differ / segment.rows if segment.rows else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def show_probe(call: Call) -> None:
    """Print the inputs to ask the teacher again, one JSON object a line."""
    from distill_tui.monitor import history

    asked = history.probe(call.project, call.dossier())
    if not asked:
        raise InputError("There is no probe yet; it is chosen when the live student is first observed.")
    call.data(asked, [json.dumps({"input": each["input"]}, ensure_ascii=False) for each in asked])
    call.talk("Ask the teacher these, add its answers as teacher_output, and put them into the next file to observe.")


def retrain(call: Call) -> int:
    """Run a bundle's recipe on data, in a process of its own; no project file is needed."""
    args = call.args
    command = [sys.executable, "-m", "distill_tui.bundles.retrain", args.bundle, args.data, args.out]
    command += ["--teacher", args.teacher] if args.teacher else []
    command += ["--start", args.start] if args.start else []
    command += ["--threads", str(args.threads)] if args.threads else []
    said: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                said = json.loads(line)
            else:
                call.talk(line.rstrip())
    if "error" in said:
        raise InputError(said["error"])
    if process.returncode or not said:
        call.talk("The recipe could not be run to its end; what it said stands above.")
        return table.FAILED
    call.data(said, [visible(said["student"])])
    for sentence in _retrained(said):
        call.talk(sentence)
    return table.DONE


def _retrained(said: dict[str, Any]) -> Iterator[str]:
    if said["same_data"]:
        same = "the same student" if said["same_student"] else "ANOTHER student (other threads, libraries or teacher)"
        yield f"The recipe's own data set gave {same}: {said['digest'][:19]}…"
        return
    score = "–" if said["score"] is None else f"{said['score']:.3f}"
    yield f"Refreshed on other data: {said['score_name']} {score} on {said['rows_aside']:,} rows that were set aside."
    yield "Nobody judged or signed this student; bring the data into a play to ship one."
