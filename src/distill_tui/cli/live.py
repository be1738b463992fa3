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
from distill_tui.cli.exits import ALARM, DONE, DUE, FAILED, PROGRAM, UNLABELLED
from distill_tui.cli.follow import finished, follow, started
from distill_tui.cli.options import FILE, command, play, reason, wait
from distill_tui.dataset import traffic
from distill_tui.gates import problems
from distill_tui.gates.wording import money
from distill_tui.monitor import history
from distill_tui.monitor import plan as plans
from distill_tui.monitor import refresh as judging
from distill_tui.monitor import routes as by_threshold
from distill_tui.reports import text
from distill_tui.rounds import call_mappings
from distill_tui.rules import alarm, gate, results
from distill_tui.runs.executors import local
from distill_tui.serving import feed
from distill_tui.store import gateway
from distill_tui.terms import Action, Role, RunKind, RunStatus, Standing
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.monitor.history import LiveView
    from distill_tui.monitor.routes import RoutePoint
    from distill_tui.rules import entities
    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.store.gateway import GatewayNow

# --- act -------------------------------------------------------------------------------------------------------------


@command(Action.OBSERVE)
@play
@click.argument(
    "file",
    metavar="[FILE]",
    type=FILE,
    required=False,
    help="a file that `import` can read, a folder of such files, or - for JSONL on standard input",
)
@click.option("--from-gateway", is_flag=True, help="take what is new in the audit channel of the play's gateway")
@columns_of.columns
@click.option("--id", "own_id", metavar="COLUMN", help="the column of your own ids, by which late answers are joined")
@click.option("--any-time", is_flag=True, help="take rows dated before the first ship, to replay earlier traffic")
@click.option(
    "--most-rejects",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    default=0.05,
    help="share of unusable rows above which the exit code is 1; the usable ones count all the same",
)
@click.option("--no-wait", is_flag=True, help="do not follow the run; otherwise the exit code reports the live student")
def observe(
    call: Call,
    file: str | None,
    from_gateway: bool,
    own_id: str | None,
    any_time: bool,
    most_rejects: float,
    no_wait: bool,
    **columns: str | None,
) -> int:
    if from_gateway == (file is not None):
        raise UsageError("Name a file, or take the gateway's pairs with --from-gateway.")
    if file is None:
        return _observe_gateway(call, no_wait)
    bad = False
    with tempfile.TemporaryDirectory() as scratch:
        for path, name in _files(file, Path(scratch)):
            feed_id, code = _observe_one(call, path, name, (own_id, any_time, columns), no_wait)
            bad |= feed_id is not None and _report_rejects(call, feed_id, most_rejects)
            if code:
                return code
    code = DONE if no_wait else _live(call, 0, replay=False)
    return FAILED if bad and code != ALARM else code


def _report_rejects(call: Call, feed_id: int, most: float) -> bool:
    """Print how many rows of a file could not be used, and why; return whether they are more than the share."""
    dossier = call.dossier()
    feed = next(each for each in dossier.feeds if each.id == feed_id)
    if not feed.rejects:
        return False
    reasons = "; ".join(f"{reason} ({rows:,})" for reason, rows in history.reject_reasons(dossier, feed))
    whole = feed.rows + feed.rejects
    call.talk(f"{feed.name}: {feed.rejects:,} of {whole:,} rows could not be used: {reasons}.")
    return feed.rejects > most * whole


def _observe_gateway(call: Call, no_wait: bool) -> int:
    rows, run_id = feed.observe(call.project, call.play_id, call.dossier().code, call.actor)
    if not rows:
        call.talk("The audit channel has no new pairs; nothing was added.")
        return DONE
    call.talk(f"Run {run_id} observes {rows:,} pairs of the audit channel.")
    code = DONE if no_wait else follow(call, run_id, quiet=True)
    return code if code or no_wait else _live(call, 0, replay=False)


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


_How = tuple[str | None, bool, dict[str, str | None]]  # the column of ids, whether any time is taken, other columns


def _observe_one(call: Call, path: Path, name: str, how: _How, no_wait: bool) -> tuple[int | None, int]:
    """Observe one file; return the feed that was taken in, and the exit code.

    A file that the live bundle was watched by is skipped; one whose run ended early is resumed.
    """
    if not path.is_file():
        raise InputError(f"{path.name} is not a file; name a file, a folder of files, or - for standard input.")
    dossier, digest = call.dossier(), f"sha256:{traffic.source_digest(path)}"
    live, (own_id, any_time, columns) = dossier.live, how
    seen = [each for each in dossier.feeds if each.source_digest == digest and live and each.bundle_id == live.id]
    feed = next(iter(seen), None)
    if feed is None:
        template = call_mappings.template_of(dossier)
        mapping = columns_of.feed_mapping(path, columns, own_id, template)
        with local.prepared(RunKind.OBSERVE):
            run_id = actions.observe(*call.about, path, mapping, name=name, any_time=any_time)
        feed = call.dossier().feeds[-1]
    else:
        run = _run_of(dossier, feed)
        if run.status is RunStatus.FINISHED:
            call.talk(f"{name} was observed before; nothing was added.")
            return None, DONE
        run_id = run.id or 0
        if not run.status.active:
            actions.resume_run(*call.about, run_id)
    if no_wait:
        call.talk(f"Run {run_id} observes {name}.")
        return feed.id, DONE
    return feed.id, follow(call, run_id, quiet=True)


def _run_of(dossier: PlayDossier, feed: entities.Feed) -> entities.Run:
    run = results.run_of_feed(dossier.runs, feed.id)
    if run is None:
        raise InputError(f"Feed {feed.id} has no run that observed it; restore the project from a backup.")
    return run


@command(Action.ACKNOWLEDGE)
@play
@reason
def acknowledge(call: Call, message: str) -> None:
    actions.acknowledge(*call.about, message)
    call.done("Acknowledged. The watch restarts with the same ceiling.")


@command(Action.OBJECT)
@play
@reason
@click.option("--lift", is_flag=True, help="take your objection back")
def object_(call: Call, message: str, lift: bool) -> None:
    actions.object_(*call.about, message, lift=lift, key=call.key)
    call.done("Your objection is taken back." if lift else "You object. Running gateways fall back to the teacher.")


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


@command(Action.SUSPEND)
@play
@reason
def suspend(call: Call, message: str) -> None:
    actions.suspend(*call.about, message)
    call.done(f"Suspended: the student of {call.play} answers nothing until `{PROGRAM} resume {call.play} -m REASON`.")


@command(Action.RESUME)
@play
@reason
def resume(call: Call, message: str) -> None:
    actions.resume(*call.about, message)
    call.done(f"Resumed: the student of {call.play} answers again.")


@command(Action.REFRESH)
@play
@reason
@click.option("--since", metavar="DATE", help="held-out rows are of this day or later (default: the drift's onset)")
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(min=1),
    help="held-out rows are of the last N days that were observed (default without a drift: the refresh cadence)",
)
def refresh(call: Call, message: str, since: str | None, days: int | None) -> None:
    if since is not None and days is not None:
        raise UsageError("Set --since or --days, not both.")
    if since is not None and not problems.is_date(since):
        raise UsageError(f"--since is {since}; write a date like 2026-11-24.")
    project, play_id, actor = call.about
    found = feed.refresh(project, play_id, call.dossier().code, actor, message, since=since or "", days=days)
    if found.run:
        finished(call, found.run)
        call.talk(f"Imported {found.rows:,} calls that the gateway captured since the last import.")
    elif found.waits:
        call.talk(
            f"{found.rows:,} captured calls wait for `{PROGRAM} import {call.play} --from-gateway`: {found.waits}"
        )
    dossier = call.dossier()
    call.talk(judging.can_judge(call.project, dossier, dossier.judged_from).sentence)
    call.done("A refresh is open; the shipped student stays live until the refresh ships.", captured=found.rows)


@command(Action.REHEARSE)
@play
@wait
def rehearse(call: Call, wait: bool) -> int | None:
    return started(call, actions.rehearse(*call.about), wait)


# --- look ------------------------------------------------------------------------------------------------------------


@command(
    "live", "Show how the live student does: state, findings, segments, detectable drift; exit 6 alarm, 7 refresh due."
)
@play
@click.option(
    "--window", metavar="DAYS", type=click.IntRange(min=0), help="the segments of the last DAYS that were observed"
)
def live(call: Call, window: int | None) -> int:
    return _live(call, window or 0)


def _live(call: Call, window: int, *, replay: bool = True) -> int:
    """Show the live student; without `replay` where a worker has just read all observations again."""
    dossier = call.dossier()
    view = history.life(call.project, dossier)
    if view is None or dossier.live is None:
        raise InputError(f"No student of {call.play} has shipped yet; `{PROGRAM} ship {call.play}` ships one.")
    trouble = history.replay_trouble(call.project, dossier) if replay else ""
    now = gateway.read(call.path, dossier.code)
    shown = _live_json(dossier, view, window, trouble) | {"gateway": _gateway_json(dossier, now)}
    call.data(shown, live_lines(dossier, view, window, plain=call.plain, now=now))
    code, found = _code(dossier, view, trouble), alarm.alarm_of(dossier)
    if code == FAILED:
        call.talk(trouble)
    elif code == ALARM and found is not None:
        call.talk(f"ALARM. {found.text}")
    elif code == DUE:
        call.talk(f"A refresh is due since {dossier.refresh_due}: `{PROGRAM} refresh {call.play} -m REASON`.")
    elif code == UNLABELLED:
        call.talk(f"No labelled row was observed, so nothing is known: `{PROGRAM} observe {call.play} FILE`.")
    return code


def _code(dossier: PlayDossier, view: LiveView, trouble: str) -> int:
    if trouble:
        return FAILED
    if dossier.standing is Standing.ALARM:
        return ALARM
    if dossier.overdue:
        return DUE
    return UNLABELLED if not view.labelled and view.people is None else DONE  # amber inputs alone say nothing of it


def _live_json(dossier: PlayDossier, view: LiveView, window: int, trouble: str) -> dict[str, object]:
    assert dossier.live is not None
    found, last = alarm.alarm_of(dossier), dossier.feeds[-1] if dossier.feeds else None
    return {
        "project": dossier.project.name,
        "play": dossier.code,
        "name": dossier.play.name,
        "now": dossier.project.now,
        "operator": dossier.roles.get(Role.OPERATOR),
        "standing": dossier.standing.value,
        "exit_code": _code(dossier, view, trouble),
        "alarm": asdict(found) | {"text": found.text} if found and dossier.standing is Standing.ALARM else None,
        "answering": dossier.answering is not None,
        "interim_until": dossier.interim_until,
        "last_file": asdict(last) | {"reasons": history.reject_reasons(dossier, last)} if last else None,
        "suspended": asdict(dossier.suspended) if dossier.suspended else None,
        "bundle": asdict(dossier.live),
        "refresh_due": dossier.refresh_due,
        "overdue": dossier.overdue,
        "refreshing": dossier.refreshing,
        "rows": view.rows,
        "labelled": view.labelled,
        "disagreement": view.rate,
        "findings": [asdict(each) | {"sentence": each.sentence} for each in view.findings],
        "drift": asdict(view.drift) | {"line": view.drift.line} if view.drift else None,
        "people": vars(view.people) if view.people else None,
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


def _gateway_json(dossier: PlayDossier, now: GatewayNow | None) -> dict[str, object] | None:
    """Return how the gateway stands, with what each threshold would do."""
    if now is None:
        return None
    both = {"cost_today": now.cost_today, "saved": now.saved}
    amounts = {name: None if each is None else str(each) for name, each in both.items()}
    found = asdict(now) | amounts | {"answered": dict(now.routes)}
    return found | {"routes": [asdict(each) for each in _routes(dossier, now)]}


def _routes(dossier: PlayDossier, now: GatewayNow) -> list[RoutePoint]:
    price = gate.worksheet_numbers(dossier).get("teacher_cost_per_1k")
    return list(by_threshold.points(now.routing, price)) if now.routing is not None else []


def _gateway_lines(dossier: PlayDossier, now: GatewayNow | None) -> Iterator[str]:
    serving = dossier.serving
    if serving is None:
        return
    why = f": {serving.reason}" if serving.fell_back else ""
    yield visible(f"gateway: {serving.words} since {serving.at}, set by {serving.person}{why}")
    if now is not None:
        shares = ", ".join(f"{name} {count:,}" for name, count in now.routes)
        running = f"{now.per_minute:,} requests per minute, p95 {now.p95_ms} ms" if now.running else "not running"
        saved = "costs not known" if now.saved is None else f"saved {money(now.saved, dossier.project.currency)}"
        yield f"  {running}; answered by {shares or 'no one'}; {saved} since {now.since}"
        for each in _routes(dossier, now):
            agrees = "agreement not known"
            if each.agrees is not None:
                bounds = f"{100 * each.lower:.1f} to {100 * each.upper:.1f}"
                agrees = f"agrees {_percent(each.agrees)} (95% CI {bounds}, {each.pairs:,} pairs)"
            force = ", in force" if each.served else ""
            yield f"  sure at least {each.threshold:.2f}{force}: student {_percent(each.by_student)}, {agrees}"


def live_lines(
    dossier: PlayDossier, view: LiveView, window: int, *, plain: bool, now: GatewayNow | None = None
) -> Iterator[str]:
    live, play = dossier.live, dossier.play
    assert live is not None
    yield visible(f"{play.code} {play.name}: {dossier.standing.value}")
    yield f"bundle {live.id} of round {live.round}, shipped {live.shipped_at} by {live.shipped_by}"
    if dossier.interim_line:
        yield f"! {dossier.interim_line}"
    if dossier.suspended is not None:
        yield visible(f"! suspended by {dossier.suspended.person_id}: {dossier.suspended.reason}")
    yield from _gateway_lines(dossier, now)
    yield f"{view.rows:,} rows observed since the watch began, {view.labelled:,} with the teacher's answer"
    yield f"refresh due on {dossier.refresh_due}" if dossier.refresh_due else "no refresh is due"
    for finding in view.findings:
        yield visible(f"! {finding.sentence}")
    for sentence in view.drift.sentences if view.drift else ():
        yield visible(f"  {sentence}")
    if view.people_line:
        yield view.people_line
    yield from _last_feed_lines(dossier)
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


def _last_feed_lines(dossier: PlayDossier) -> Iterator[str]:
    for last in dossier.feeds[-1:]:
        bad = f", {last.rejects:,} rows could not be used" if last.rejects else ""
        yield visible(f"last file: {last.name}, {last.received_at}, {last.rows:,} rows{bad}")
        for why, rows in history.reject_reasons(dossier, last):
            yield visible(f"  {rows:,}: {why}")


def _rate(segment: history.Segment) -> float | None:
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
@click.option(
    "--start", metavar="FOLDER", type=FILE, help="the model that the student starts from, if the recipe names one"
)
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
