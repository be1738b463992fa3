"""Commands for the teacher: which it is, its terms, its labels, and the variations that it writes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from distill_tui import actions, tasks
from distill_tui.cli import shards
from distill_tui.cli.call import Call, UsageError, reading, text_of
from distill_tui.cli.data import import_report
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.follow import finished, started
from distill_tui.cli.options import AT_LEAST_1, FILE, Pairs, command, once, option_of, play, stacked, wait
from distill_tui.reports import data as reports
from distill_tui.reports import labels as label_reports
from distill_tui.review import controls
from distill_tui.rounds import batches, cost_estimate, variations
from distill_tui.rules import labels as label_rules
from distill_tui.rules import permission, requests, results
from distill_tui.rules.objection import Refused
from distill_tui.store import json_columns
from distill_tui.teachers import description
from distill_tui.terms import BEFORE_LOCK, Action, Executor, Stage, TeacherSource
from distill_tui.text import visible

SHOWN = 12  # labels of a teacher that is chosen


@command(Action.SET_TEACHER)
@play
@click.argument("folder", metavar="[FOLDER]", type=FILE, required=False, help="a local model folder")
@click.option("--recorded", is_flag=True, help="the outputs recorded in the traffic")
@click.option("--zero-shot", is_flag=True, help="FOLDER is an NLI model: does a text entail the template with a label?")
@click.option("--prompted", is_flag=True, help="FOLDER is a causal language model: it picks a label, or writes")
@click.option("--endpoint", metavar="URL", help="an OpenAI-compatible endpoint, like https://host/v1")
@click.option("--model", metavar="NAME", default="", show_default=False, help="the model at the endpoint")
@click.option(
    "--revision",
    metavar="TEXT",
    default="",
    show_default=False,
    help="the model's version at the endpoint; a new version is queried again",
)
@click.option(
    "--api",
    type=click.Choice(["systemone", "decisions"]),
    help="URL is a typed-decision API: every label's probability in one call (the template is its question)",
)
@click.option(
    "--labels",
    metavar="A,B,C|FILE",
    help="the labels to choose from (classification): with commas, quoted as in CSV, or a file with one a line",
)
@click.option(
    "--template",
    metavar="FILE",
    type=FILE,
    help="the prompt, with {input} and {labels}, or {label} with --zero-shot; a JSON list of messages for an endpoint",
)
@click.option(
    "--completes", is_flag=True, help="a --prompted model continues the template as plain text, up to a line end"
)
@click.option(
    "--schema", metavar="FILE", type=FILE, help="the JSON schema by which an endpoint answers (a generation task)"
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=TEXT",
    type=Pairs("x-team=search"),
    multiple=True,
    help="a header more of each request to an endpoint; it is kept in the project, so never a key",
)
@click.option("--body", metavar="JSON", help='more fields of each request to an endpoint, like {"top_p": 1}')
@click.option("--answer-tokens", metavar="N", type=int, help="the most tokens of an answer (256 if it writes text)")
@click.option(
    "--max-tokens",
    metavar="N",
    type=AT_LEAST_1,
    help="the most tokens that a model FOLDER reads at once (default: as many as it can)",
)
@click.option(
    "--windows", is_flag=True, help="a FOLDER that chooses among labels reads longer inputs in windows, and averages"
)
def teacher(
    call: Call,
    folder: str | None,
    recorded: bool,
    zero_shot: bool,
    prompted: bool,
    endpoint: str | None,
    model: str,
    revision: str,
    api: str | None,
    labels: str | None,
    template: str | None,
    schema: str | None,
    headers: tuple[tuple[str, str], ...],
    body: str | None,
    completes: bool,
    answer_tokens: int | None,
    max_tokens: int | None,
    windows: bool,
) -> None:
    _one_kind(folder, recorded, endpoint, zero_shot or prompted, zero_shot and prompted)
    for option, given in (("api", api), ("schema", schema), ("header", headers), ("body", body)):
        if given and not endpoint:
            raise UsageError(f"--{option} is for --endpoint URL.")
    if windows and not folder:
        raise UsageError("Only a model FOLDER reads in windows; leave out --windows.")
    if labels and folder and not (zero_shot or prompted):
        raise UsageError("A classifier has its own labels. Leave out --labels, or add --zero-shot or --prompted.")
    with reading():
        described = description.Described.recorded(labels) if recorded and labels else None
    if endpoint or zero_shot or prompted:
        source = TeacherSource.ZERO_SHOT if zero_shot else TeacherSource.PROMPTED
        with reading():
            described = description.Described.chosen(
                TeacherSource.ENDPOINT if endpoint else source,
                model,
                labels or "",
                text_of(template) if template else "",
                endpoint or "",
                revision,
                completes=completes,
                tokens=answer_tokens,
                reads=max_tokens or 0,
                api=api or "",
                schema=text_of(schema).strip() if schema else "",
                windows=windows,
                headers=json.dumps(once(headers), sort_keys=True) if headers else "",
                body=body or "",
            )
    tried = ""
    with reading():
        if folder:
            run = finished(
                call, actions.try_teacher(*call.about, Path(folder), described, max_tokens=max_tokens, windows=windows)
            )
            tried = json_columns.result_of(results.TeacherTrial, run).sentence
        else:
            actions.set_teacher(*call.about, described)
    _chosen(call, tried)


def _one_kind(folder: str | None, recorded: bool, endpoint: str | None, asked: bool, both: bool) -> None:
    """Check that exactly one kind of teacher is named, and that a way of asking belongs to a folder."""
    if (bool(folder), recorded, bool(endpoint)).count(True) != 1:
        raise UsageError("Name one of: a model FOLDER, --recorded, or --endpoint URL.")
    if both or (asked and not folder):
        raise UsageError("Use either --zero-shot or --prompted, together with a model FOLDER.")


def _chosen(call: Call, tried: str) -> None:
    """Name the teacher that was chosen, what its trial showed, and what its labels leave to settle."""
    dossier = call.dossier()
    play = dossier.play
    if tasks.of(play.task).has_labels:
        if named := label_rules.vocabulary(dossier).choices:
            more = f" and {len(named) - SHOWN:,} more" if len(named) > SHOWN else ""
            call.talk(visible(f"Its {len(named):,} labels: {' · '.join(named[:SHOWN])}{more}."))
        for line in label_reports.notes(label_rules.reading(dossier), dossier.code):
            call.talk(line)
    call.done(
        f"The teacher is {play.teacher_name}. {tried}".rstrip(),
        teacher=play.teacher_name,
        digest=play.teacher_digest,
        tried=tried,
    )


@command(Action.CONFIRM_TERMS)
@play
@click.option("--provider", metavar="NAME", required=True, help="the provider")
@click.option("--terms-version", metavar="TEXT", required=True, help="the version stated in the terms")
@click.option("--dated", metavar="DATE", required=True, help="the date of the terms, like 2026-11-24")
@click.option("--permitted", is_flag=True, help="the terms permit training on outputs")
@click.option("--forbidden", is_flag=True, help="the terms forbid it")
def terms(call: Call, provider: str, terms_version: str, dated: str, permitted: bool, forbidden: bool) -> None:
    if permitted == forbidden:
        raise UsageError("State what the terms allow: either --permitted or --forbidden.")
    actions.confirm_terms(*call.about, provider, terms_version, dated, permitted)
    call.done(f"The terms of {provider} are recorded.", permits=permitted)


# --- labels and variations -------------------------------------------------------------------------------------------

_limits = stacked(
    click.option("--budget", metavar="MONEY", help="the most that this teacher may cost in total (endpoints)"),
    click.option("--price-in", metavar="MONEY", help="the price of a million input tokens"),
    click.option("--price-out", metavar="MONEY", help="the price of a million output tokens"),
    click.option(
        "--price-cached",
        metavar="MONEY",
        help="the price of a million input tokens read from the provider's cache (default: --price-in)",
    ),
    click.option("--concurrency", metavar="N", help="parallel requests (default 4)"),
    click.option("--per-minute", metavar="N", help="the most requests per minute"),
    click.option("--timeout", metavar="SECONDS", help="the longest that one request may take (default 60)"),
    click.option("--attempts", metavar="N", help="attempts per input before the run fails (default 6)"),
    click.option(
        "--estimate",
        is_flag=True,
        help="label a few inputs now, and extrapolate cost and time; required before a paid run",
    ),
    wait,
)


@command(Action.LABEL)
@play
@shards.away
@click.option("--shards", "many", metavar="N", type=click.IntRange(min=1), default=1, help="how many shards, with --on")
@_limits
@click.option("--export", "out", metavar="FILE", type=FILE, help="write the requests for a provider's batch service")
@option_of(
    "--export",
    "--shape",
    type=click.Choice(["openai", "anthropic"]),
    help="the format of --export (default: by the endpoint's address)",
)
@option_of("--export", "--again", is_flag=True, help="with --export: also inputs that an earlier export asks about")
@click.option(
    "--import", "results", metavar="PATH", type=FILE, multiple=True, help="take a batch's results: a file or folder"
)
def label(
    call: Call,
    on: Executor,
    to: str | None,
    slurm: shards.Settings,
    many: int,
    estimate: bool,
    wait: bool,
    out: str | None,
    shape: str | None,
    again: bool,
    results: tuple[str, ...],
    **limits: str | None,
) -> int | None:
    given = _given(call, limits)
    if estimate:
        _estimate(
            call,
            requests.Label(given),
            lambda: cost_estimate.estimate_labels(call.project.artifacts, call.dossier(), given),
        )
        return None
    with reading():
        if out:
            _export(call, Path(out), shape or "", again=again)
            return None
        if results:
            return started(call, actions.label_results(*call.about, [Path(each) for each in results], given), wait)
        return started(call, actions.label(*call.about, given, shards.place_of(on, to, slurm, many)), wait)


def _export(call: Call, out: Path, shape: str, *, again: bool) -> None:
    """Write the requests of a batch, and print how many there are and what is left out."""
    dossier = call.project.ask_first(Action.LABEL, call.play_id, call.actor, requests.Label())
    made = batches.export(call.project.artifacts, dossier, out, shape, again=again)
    call.talk(f"{made.answered:,} inputs are answered; {made.waiting:,} wait for the results of an earlier export.")
    names = [str(each) for each in made.files]
    call.done(f"Wrote {made.requests:,} requests.", names, files=names, requests=made.requests, waiting=made.waiting)


def _given(call: Call, limits: Mapping[str, str | None]) -> dict[str, str]:
    """Return the limits that are set. Raises UsageError where the teacher costs nothing, and none would count."""
    given = {name: value for name, value in limits.items() if value is not None}
    if given and call.dossier().play.teacher_source not in (None, TeacherSource.ENDPOINT):
        raise UsageError(f"--{next(iter(given)).replace('_', '-')} is for a teacher at an endpoint.")
    return given


def _estimate(call: Call, request: requests.Label, ask: Callable[[], dict[str, object]]) -> None:
    dossier = call.dossier()
    asked = dossier
    if dossier.play.stage in BEFORE_LOCK:  # labelling waits for the lock, an estimate does not; all else holds
        asked = dataclasses.replace(dossier, play=dataclasses.replace(dossier.play, stage=Stage.DATA))
    reasons = permission.objections(Action.LABEL, asked, call.actor, request)
    if reasons:
        raise Refused(reasons)
    with reading():
        found = ask()
    for warning in controls.before_paying(dossier):
        call.talk(warning)
    call.data(found, reports.estimate(found))


@command(
    "data vary",
    "Have the teacher write variations of the open rows that the last student got wrong; review them before use.",
    action=Action.LABEL,
)
@play
@click.argument(
    "numbers", metavar="[ROW]…", type=int, nargs=-1, help="row numbers (default: rows that the student got wrong)"
)
@click.option("--each", metavar="N", type=int, default=3, help="variations per row, 1 to 20")
@click.option("--rows", metavar="N", type=AT_LEAST_1, default=50, help="the most rows, of validation")
@_limits
def data_vary(
    call: Call, numbers: tuple[int, ...], each: int, rows: int, estimate: bool, wait: bool, **limits: str | None
) -> int | None:
    given, about = _given(call, limits), (each, rows, list(numbers))
    if estimate:
        dossier = call.dossier()
        request = requests.Label(given, vary=True, sealed=variations.sealed(call.project, dossier, list(numbers)))
        _estimate(call, request, lambda: cost_estimate.estimate_variations(call.project, dossier, given, *about))
        return None
    with reading():
        return started(call, actions.vary(*call.about, *about, given), wait)


_run = click.option("--run", metavar="N", type=int, help="the run that wrote them (default: the newest)")


@command(
    "data take",
    "Add the reviewed variations of a run to the traffic, as a source of their own.",
    action=Action.IMPORT_TRAFFIC,
)
@play
@_run
@click.option(
    "--without",
    metavar="N",
    type=int,
    multiple=True,
    help="leave variation N out; more numbers may follow: --without 4 9",
)
@click.argument("more", metavar="[N]…", type=int, nargs=-1, help="more numbers for --without")
def data_take(call: Call, run: int | None, without: tuple[int, ...], more: tuple[int, ...]) -> None:
    if more and not without:
        raise UsageError(f"“{more[0]}” belongs to no option; use --without {more[0]} to leave it out.")
    taken = finished(call, actions.take_variations(*call.about, run, [*without, *more]))
    report = import_report(call, taken)
    call.done(f"Added {report['rows']:,} variations as {report['file_name']}.", [str(report["rows"])], **report)


@command("data variations", "Show the variations that wait for review: source row, weight, and what was filtered out.")
@play
@_run
def data_variations(call: Call, run: int | None) -> None:
    waiting = variations.waiting(call.project, call.dossier(), run)
    call.data(dataclasses.asdict(waiting), reports.variations(waiting, plain=call.plain))
    call.talk(f"`{PROGRAM} data take {call.play}` adds them; --without N leaves one out.")
