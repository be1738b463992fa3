"""Commands for the traffic and the data set of a round."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill_tui import actions
from distill_tui.cli import traffic
from distill_tui.cli.call import Call, InputError, UsageError
from distill_tui.cli.follow import finished
from distill_tui.cli.options import AT_LEAST_1, FILE, command, play, reason
from distill_tui.dataset import browse, play_data, readers
from distill_tui.reports import data as reports
from distill_tui.reports import text
from distill_tui.rounds import play_traffic, requests
from distill_tui.store import json_columns
from distill_tui.terms import Action
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
    "file",
    metavar="FILE",
    type=FILE,
    help="JSONL, CSV, Parquet, gzip of one, a folder saved by `datasets`; - reads JSONL from standard input",
)
@traffic.columns
@click.option(
    "--most-rejects",
    metavar="SHARE",
    type=SHARE,
    default=0.05,
    help="the largest share of unusable rows with which the import succeeds",
)
@click.option("--preview", is_flag=True, help="show the columns as they would be read, with sample rows; store nothing")
def import_(call: Call, file: str, most_rejects: float, preview: bool, **columns: str | None) -> None:
    if file == "-":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "typed.jsonl"
            path.write_bytes(sys.stdin.buffer.read())
            _import(call, path, most_rejects, preview, columns, moves=True)
    else:
        _import(call, Path(file), most_rejects, preview, columns)


def _import(
    call: Call, path: Path, most_rejects: float, preview: bool, columns: dict[str, str | None], *, moves: bool = False
) -> None:
    mapping = traffic.mapping(path, columns)
    if preview:
        _preview(call, path, mapping)
        return
    run = actions.import_traffic(*call.about, path, mapping, most_rejects=most_rejects, moves=moves)
    report = import_report(call, finished(call, run))
    for reject in report.get("first_rejects", ()):
        call.talk(f"{path.name}, line {reject['line']}: {reject['reason']}. Left out.")
    leaks = report.get("held_out") or {}
    if sum(leaks.values()):
        counts = ", ".join(f"{count:,} {name}" for name, count in leaks.items() if count)
        call.talk(f"{sum(leaks.values()):,} inputs match held-out rows ({counts}) and are excluded from training.")
    call.done(f"Imported {report['rows']:,} rows, left out {report['rejects']:,}.", [str(report["rows"])], **report)


def import_report(call: Call, run: entities.Run) -> dict[str, Any]:
    """Return the report of what an importing run brought in."""
    imported = next(each for each in reversed(call.dossier().traffic) if each.artifact == run.artifact)
    return json_columns.stored(imported.report, f"the report of traffic file {imported.id}")


def _preview(call: Call, path: Path, mapping: ColumnMapping) -> None:
    look = readers.preview(path, mapping)
    columns = {name: column for name, column in asdict(mapping).items() if column}
    value = {"mapping": columns, "columns": look.columns, "rows": look.rows, "rejects": look.rejects}
    call.data(value | {"sampled": look.sampled}, reports.import_preview(look, columns, plain=call.plain))
    if look.rejects:
        call.talk(f"{len(look.rejects):,} of the first {look.sampled:,} rows cannot be used. Nothing was stored.")


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
@click.argument("findings", metavar="[FINDING]…", nargs=-1, help="finding ids, as `data show` lists them")
@click.option("--all", "all_", is_flag=True, help="all open findings")
@reason
def data_accept(call: Call, findings: tuple[str, ...], all_: bool, message: str) -> None:
    if bool(findings) == all_:
        raise UsageError("Name the findings, or use --all.")
    accepted = actions.accept_findings(*call.about, findings, message)
    call.done(f"Accepted {len(accepted)}.", accepted, accepted=accepted)


@command(Action.FREEZE_DATA)
@play
def data_freeze(call: Call) -> None:
    finished(call, actions.freeze_data(*call.about))
    data = call.dossier().data_set
    assert data is not None
    call.done("The data set is frozen.", [data.digest], data=data.digest)


@command(Action.OPEN_ROW)
@play
@click.argument("row", metavar="ROW", type=int, help="the row's number in the data set")
@click.option("--burn", is_flag=True, help="for a builder: I know that this burns the row, which then counts no longer")
def row_open(call: Call, row: int, burn: bool) -> None:
    opened = actions.open_row(*call.about, row, burn=burn)
    names = ("input", "gold", "teacher_output", "segment", "group")
    call.done("Opened, and logged.", [visible(f"{name}: {opened[name]}") for name in names], opened=opened)


# --- look ------------------------------------------------------------------------------------------------------------


@command("data show", "Show this round's data set in counts: splits, cells, findings.")
@play
def data_show(call: Call) -> None:
    dossier = call.dossier()
    row, value = dossier.data_set, None
    if row is not None:
        counts = json_columns.stored(row.counts, "the count of the data set")
        fields = {name: value for name, value in asdict(row).items() if name not in ("counts", "labels")}
        value = fields | counts
    call.data(value, text.data(dossier, plain=call.plain))


@command(
    "data window",
    "Measure the traffic: calls, tokens, spend and p95 per month, teacher against gold, the top patterns.",
)
@play
@traffic.measures
def data_window(call: Call, days: int, **prices: str | None) -> None:
    window, numbers = traffic.window(call, days, **prices)
    call.data(asdict(window) | {"worksheet": numbers}, reports.window(window, numbers, plain=call.plain))


@command(
    "data audit",
    "Show how the data set covers its traffic: by label, segment, length, language, month and topic.",
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
    "data request",
    "Choose the inputs to label for the next round: nearest to the last student's errors on validation.",
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
