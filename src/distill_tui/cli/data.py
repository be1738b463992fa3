"""Commands for the traffic and the data set of a round."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill_tui import actions, tasks
from distill_tui.cli import traffic
from distill_tui.cli.call import Call, InputError, UsageError
from distill_tui.cli.follow import finished
from distill_tui.cli.options import AT_LEAST_1, FILE, command, play, reason
from distill_tui.dataset import browse, opening, play_data, previews, readers
from distill_tui.dataset.traces import call_mapping
from distill_tui.reports import data as reports
from distill_tui.reports import labels as label_reports
from distill_tui.reports import text
from distill_tui.rounds import call_mappings, play_traffic, requests
from distill_tui.rules import data as data_rules
from distill_tui.rules import labels
from distill_tui.serving import feed
from distill_tui.store import gateway, json_columns
from distill_tui.terms import Action, FindingLevel
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.rules import entities

SHARE = click.FloatRange(0, 1)
_filter = partial(click.option, default="", show_default=False)


# --- act -------------------------------------------------------------------------------------------------------------


@command(Action.IMPORT_TRAFFIC)
@play
@click.argument(
    "files",
    metavar="[FILE]…",
    nargs=-1,
    type=FILE,
    help="files, folders, archives or globs: JSONL, JSON, CSV, Parquet, logs of model calls; - reads standard input",
)
@traffic.columns
@traffic.call_options
@click.option(
    "--most-rejects",
    metavar="SHARE",
    type=SHARE,
    default=0.05,
    help="the largest share of unusable rows with which the import succeeds",
)
@click.option(
    "--separator",
    metavar="TEXT",
    default="",
    show_default=False,
    help="between the labels of a text, in a multilabel play (default: found in the data; \\n is a line break)",
)
@click.option("--empty-set", is_flag=True, help="in a multilabel play: an empty cell of gold means none of the labels")
@click.option("--scrub", is_flag=True, help="replace personal data that the screen finds by placeholders")
@click.option("--any-time", is_flag=True, help="keep rows whose time is before 2010 or in the future")
@click.option("--from-gateway", is_flag=True, help="take what is new of the calls that the play's gateway captured")
@click.option("--preview", is_flag=True, help="show what is recognised and how it would be read; store nothing")
def import_(
    call: Call,
    files: tuple[str, ...],
    most_rejects: float,
    any_time: bool,
    from_gateway: bool,
    preview: bool,
    separator: str,
    empty_set: bool,
    scrub: bool,
    answers_of: str,
    take: str | None,
    with_system: bool,
    after: str | None,
    before: str | None,
    pattern: str | None,
    input_template: str | None,
    answer: str | None,
    **columns: str | None,
) -> None:
    made = {"take": take, "with_system": with_system, "after": after, "before": before, "pattern": pattern}
    made |= {"input_template": input_template, "answer": answer}

    def load(source: list[Path], *, moves: bool = False) -> None:
        so_far, play = call_mappings.template_of(call.dossier()), call.dossier().play
        mapping = traffic.mapping(
            source,
            columns,
            any_time=any_time,
            template=so_far,
            several=tasks.of(play.task).several,
            scale=labels.scale_text(play),
            separator=separator,
            empty_set=empty_set,
        )
        calls = traffic.calls(call.dossier(), source, made, mapping.teacher_output)
        how = _Import(
            source, mapping, replace(calls or call_mapping.DEFAULT, scrub=True) if scrub else calls, answers_of
        )
        if preview:
            _preview(call, how)
        else:
            _import(call, how, most_rejects, moves=moves)

    if from_gateway == bool(files):
        raise UsageError("Name files, or take the gateway's calls with --from-gateway.")
    if from_gateway:
        _from_gateway(call, load, preview=preview)
    elif files == ("-",):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "typed.jsonl"
            path.write_bytes(sys.stdin.buffer.read())
            load([path], moves=True)
    else:
        load([Path(each) for each in files])


def _from_gateway(call: Call, load: Callable[..., None], *, preview: bool) -> None:
    folder = gateway.folder_of(call.path, call.dossier().code)
    with feed.taken(folder, feed.PREVIEW if preview else feed.IMPORT) as found:
        if found.left_out:
            call.talk(f"Left out: {found.says()}.")
        if not found.rows:
            raise InputError("The gateway has captured no new calls with whole answers; `serve --mode capture` does.")
        load([found.path], moves=not preview)


@dataclass(frozen=True)
class _Import:
    """What is imported, and how its rows are read."""

    source: list[Path]
    mapping: ColumnMapping
    calls: call_mapping.CallMapping | None
    answers_of: str

    @property
    def name(self) -> str:
        return opening.source_name(self.source)


def _import(call: Call, how: _Import, most_rejects: float, *, moves: bool = False) -> None:
    if proposal := reports.gold_proposal(readers.different_values(how.source), how.mapping.named()):
        call.talk(proposal)
    if how.calls is not None:
        table = not readers.is_log(how.source)
        call.talk(f"{'Answers' if table else 'Calls'} are read as: {how.calls.says(table=table)}.")
    for line in reports.answers(how.mapping):
        call.talk(line)
    run = actions.import_traffic(
        *call.about,
        how.source,
        how.mapping,
        calls=how.calls,
        answers_of=how.answers_of,
        most_rejects=most_rejects,
        moves=moves,
    )
    report = import_report(call, finished(call, run))
    for reject in report.get("first_rejects", ()):
        call.talk(f"{reject.get('file') or how.name}, line {reject['line']}: {reject['reason']}. Left out.")
    for why, count in report.get("passed_over", ()):
        call.talk(f"Passed over {count:,}: {why}.")
    for kind, count in (report.get("scrubbed") or {}).items():
        call.talk(f"Replaced {count:,} times: {kind}.")
    leaks = report.get("held_out") or {}
    if sum(leaks.values()):
        counts = ", ".join(f"{count:,} {name}" for name, count in leaks.items() if count)
        call.talk(f"{sum(leaks.values()):,} inputs match held-out rows ({counts}) and are excluded from training.")
    for form, count in report.get("time_forms", ()):
        call.talk(f"{count:,} times are {form}.")
    for doubt in filter(None, [*report.get("doubts", ()), report.get("contradictions")]):
        call.talk(f"! {doubt}")
    if report.get("first_time"):
        call.talk(f"Times from {report['first_time'][:10]} to {report['last_time'][:10]} (UTC).")
    dossier = call.dossier()
    if tasks.of(dossier.play.task).has_labels:
        for line in label_reports.summary(labels.reading(dossier), dossier.code):
            call.talk(line)
    call.done(f"Imported {report['rows']:,} rows, left out {report['rejects']:,}.", [str(report["rows"])], **report)


def import_report(call: Call, run: entities.Run) -> dict[str, Any]:
    imported = next(each for each in reversed(call.dossier().traffic) if each.artifact == run.artifact)
    return json_columns.stored(imported.report, f"the report of traffic file {imported.id}")


def _preview(call: Call, how: _Import) -> None:
    calls = how.calls or call_mapping.DEFAULT
    look = previews.preview(how.source, how.mapping, calls, answers_of=how.answers_of, sampled=previews.PREVIEWED)
    columns = how.mapping.named()
    value: dict[str, object] = {"mapping": columns, "columns": look.columns, "rows": look.rows, "rejects": look.rejects}
    value |= {"recognised": look.recognised, "taken": look.taken, "models": look.models, "reasons": look.reasons}
    value |= {"spend": None if look.spend is None else str(look.spend), "p95_ms": look.p95_ms, "whole": look.whole}
    value |= {"time_forms": look.time_forms, "doubts": look.doubts}
    value |= {"calls": None if how.calls is None else asdict(how.calls)}
    currency = call.dossier().project.currency
    says = how.calls.says(table=not readers.is_log(how.source)) if how.calls is not None else ""
    for line in reports.answers(how.mapping):
        call.talk(line)
    lines, dossier = list(reports.import_preview(look, columns, says, currency, plain=call.plain)), call.dossier()
    if tasks.of(dossier.play.task).has_labels:
        found = labels.read_with(dossier, look.names)
        lines += ["", f"Labels in the first {look.sampled:,} rows:"]
        lines += label_reports.label_map(found, dossier.code, plain=call.plain)
        value["names"] = asdict(look.names)
    call.data(value | {"sampled": look.sampled}, lines)
    if not look.rows:
        raise InputError(f"None of the first {look.sampled:,} rows of {how.name} can be used. Nothing was stored.")
    if look.rejects:
        call.talk(f"{len(look.rejects):,} of the first {look.sampled:,} rows cannot be used. Nothing was stored.")


@command(Action.DROP_TRAFFIC)
@play
@click.argument("file", metavar="N", type=AT_LEAST_1, help="the number of the file, from 1, as the tab Data lists them")
@reason
def import_drop(call: Call, file: int, message: str) -> None:
    name = actions.drop_traffic(*call.about, file, message)
    call.done(f"Dropped {name}. What was built of it is gone too; `data build` builds a new draft.", dropped=name)


@command(Action.BUILD_DATA)
@play
def data_build(call: Call) -> None:
    finished(call, actions.build_data(*call.about))
    dossier = call.dossier()
    assert dossier.data_set is not None
    counts = json_columns.stored(dossier.data_set.counts, "the count of the data set")
    call.done("Built.", text.data(dossier, plain=call.plain), **counts)


@command(Action.ACCEPT_FINDINGS)
@play
@click.argument("findings", metavar="[FINDING]…", nargs=-1, help="ids or kinds of findings, as `data show` lists them")
@click.option("--all", "all_", is_flag=True, help="all open notes; what must be accepted is named by its id")
@reason
def data_accept(call: Call, findings: tuple[str, ...], all_: bool, message: str) -> None:
    if bool(findings) == all_:
        raise UsageError("Name the findings, or use --all.")
    accepted = actions.accept_findings(*call.about, findings, message)
    if left := [each.id for each in data_rules.open_findings(call.dossier()) if each.level is FindingLevel.MUST]:
        call.talk(f"Still open, to be accepted by id: {' '.join(left)}.")
    call.done(f"Accepted {len(accepted)}.", accepted, accepted=accepted)


@command(Action.FREEZE_DATA)
@play
def data_freeze(call: Call) -> None:
    finished(call, actions.freeze_data(*call.about))
    data = call.dossier().data_set
    assert data is not None
    call.done("The data set is frozen.", [data.digest], data=data.digest)


@command(Action.DROP_ROW)
@play
@click.argument("row", metavar="ROW", type=int, help="the row's number in the draft, as `rows` lists it")
@reason
def row_drop(call: Call, row: int, message: str) -> None:
    actions.drop_row(*call.about, row, message)
    call.done(f"Row {row} is left out from the next `data build` on; `undo` puts it back.", row=row)


@command(Action.OPEN_ROW)
@play
@click.argument("row", metavar="ROW", type=int, help="the row's number in the data set")
@click.option("--burn", is_flag=True, help="for a builder: I know that this burns the row, which then counts no longer")
def row_open(call: Call, row: int, burn: bool) -> None:
    opened = actions.open_row(*call.about, row, burn=burn)
    names = ("input", "gold", "teacher_output", "segment", "group")
    call.done("Opened, and logged.", [visible(f"{name}: {opened[name]}") for name in names], opened=opened)


# --- look ------------------------------------------------------------------------------------------------------------


@command("data show", "Show this round's data set in counts: findings, splits, cells.")
@play
@click.option("--all", "every", is_flag=True, help="write out every finding, not one line for those of one kind")
def data_show(call: Call, every: bool) -> None:
    dossier = call.dossier()
    row, value = dossier.data_set, None
    if row is not None:
        counts = json_columns.stored(row.counts, "the count of the data set")
        fields = {name: value for name, value in asdict(row).items() if name not in ("counts", "labels")}
        value = fields | counts
    call.data(value, text.data(dossier, every=every, plain=call.plain))


@command(
    "data window",
    "Measure the traffic: calls, tokens, spend and p95 per month, teacher against gold, the top patterns.",
)
@play
@traffic.measures()
def data_window(call: Call, days: int, **prices: str | None) -> None:
    window, numbers = traffic.window(call, days, **prices)
    call.data(
        asdict(window) | {"worksheet": numbers},
        reports.window(window, numbers, call.dossier().project.currency, plain=call.plain),
    )


@command(
    "data audit", "Show how the data set covers its traffic: by label, segment, length, language, month and topic."
)
@play
@click.option("--axis", metavar="NAME", help="only this one")
def data_audit(call: Call, axis: str | None) -> None:
    data_set = call.dossier().data_set
    found = json_columns.stored(data_set.counts, "the count of the data set", "audit") if data_set else {}
    axes = found.get("axes", {})
    if axis:
        if axes and axis not in axes:
            raise UsageError(f"There is no axis “{axis}”; the axes are {', '.join(axes)}.")
        found = found | {"axes": {name: values for name, values in axes.items() if name == axis}}
    if not found:
        call.talk("There is no data set in this round yet, or it was built before audits.")
    call.data(found, reports.audit(found, plain=call.plain))


@command("rows", "Browse the rows of this round's data set; held-out rows are sealed and left out.")
@play
@_filter("--label", metavar="LABEL", help="the gold label, or the teacher's if there is no gold")
@_filter("--segment", metavar="NAME", help="only this segment")
@_filter("--split", metavar="SPLIT", help="train or validation")
@_filter("--search", metavar="TEXT", help="anywhere in the input; case is ignored")
@click.option("--below", metavar="P", type=float, help="the teacher's highest probability is below P")
@click.option("--above", metavar="P", type=float, help="the teacher's highest probability is P or more")
@_filter("--conflicts", metavar="KIND", help="teacher: differs from gold; near: duplicates with different labels")
@click.option("--offset", metavar="N", type=click.IntRange(min=0), default=0, help="skip the first N")
@click.option("--show", metavar="N", type=AT_LEAST_1, default=50, help="how many rows")
def rows(call: Call, offset: int, show: int, **filters: Any) -> None:
    wanted = browse.Filter(**filters)
    if wanted.problem():
        raise UsageError(wanted.problem())
    rows = play_data.rows(call.project, call.play_id)
    found = rows.find(wanted)
    shown = [rows.at(int(place)) for place in found[offset : offset + show]]
    value = {"found": len(found), "rows_in_all": len(rows), "held_out_sealed": rows.sealed, "rows": shown}
    call.data(value, reports.rows(shown, plain=call.plain))
    call.talk(f"{len(found):,} of {len(rows):,} rows; {rows.sealed:,} held-out rows are sealed.")


@command("data ledger", "Show the teacher's calls, tokens and cost, and what the cache saved.")
@play
def data_ledger(call: Call) -> None:
    found = play_traffic.ledger(call.project, call.play_id)
    call.data(found, reports.ledger(found))


@command(
    "data request", "Choose the inputs to label for the next round: nearest to the last student's errors on validation."
)
@play
@click.argument(
    "file",
    metavar="[FILE]",
    type=FILE,
    required=False,
    help="fresh traffic (default: the imported traffic without gold)",
)
@click.option("--rows", metavar="N", type=AT_LEAST_1, default=100, help="how many inputs")
@click.option("--out", metavar="FILE.jsonl", type=FILE, help="write them to this file: add gold, then import it")
def data_request(call: Call, file: str | None, rows: int, out: str | None) -> None:
    wanted, cells = requests.request(call.project, call.play_id, Path(file) if file else None, rows)
    if out:
        path = Path(out)
        if path.exists():
            raise InputError(f"{path.name} exists already; name a new file.")
        path.write_text("".join(f"{line}\n" for line in requests.lines(wanted)), encoding="utf-8")
        call.talk(f"{len(wanted):,} inputs are in {path.name}; add gold and import it.")
    value = {"failures": cells, "rows": [asdict(each) for each in wanted]}
    call.data(value, reports.request(wanted, cells, plain=call.plain))


@command("data pairs", "Show pairs of rows close to the near-duplicate threshold; held-out rows are left out.")
@play
@click.option("--around", metavar="SHARE", type=SHARE, default=0.5, help="the similarity to look at")
@click.option("--show", metavar="N", type=AT_LEAST_1, default=10, help="how many pairs")
def data_pairs(call: Call, around: float, show: int) -> None:
    pairs, texts, looked = play_data.border(call.project, call.play_id, around)
    shown = [asdict(pair) | {"one": texts[pair.one], "other": texts[pair.other]} for pair in pairs[:show]]
    call.data({"rows": looked, "pairs": shown, "found": len(pairs)}, reports.pairs(shown, plain=call.plain))
    call.talk(f"{len(pairs):,} pairs of {looked:,} rows are within 0.2 of {around}.")
