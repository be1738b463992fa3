"""The command for the label map: see both vocabularies, and confirm what stands for what."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from distill_tui import actions
from distill_tui.cli.call import Call, InputError, UsageError, text_of
from distill_tui.cli.options import FILE, Pairs, command, once, play
from distill_tui.reports import labels as reports
from distill_tui.rules import labels as label_rules
from distill_tui.rules import requests
from distill_tui.terms import Action

if TYPE_CHECKING:
    from distill_tui.tasks.label_map import Reading


@command(Action.MAP_LABELS)
@play
@click.argument(
    "names",
    metavar="[NAME=LABEL]…",
    type=Pairs("Refund.=refund", last=True),
    nargs=-1,
    help="what a name stands for; NAME=NAME makes it a label, NAME= leaves it without one",
)
@click.option("--file", metavar="FILE.csv", type=FILE, help="the same as a CSV file of two columns, name and label")
@click.option("--confirm", is_flag=True, help="confirm what is given, and over it what is proposed; else only show it")
def labels(call: Call, names: tuple[tuple[str, str], ...], file: str | None, confirm: bool) -> None:
    given = _from_file(file) if file else {}
    given |= {name: label or None for name, label in once(names).items()}
    dossier = call.dossier()
    found = label_rules.reading(dossier)
    if confirm:
        actions.map_labels(*call.about, label_rules.settling(found, given).names)
        found = label_rules.reading(call.dossier())
        lines = list(reports.label_map(found, dossier.code, plain=call.plain))
        call.done(f"The label map is confirmed: {len(found.labels):,} labels.", lines, **_value(found))
        return
    if given:
        found = label_rules.reading(label_rules.with_names(dossier, requests.MapLabels(given)))
    call.data(_value(found), reports.label_map(found, dossier.code, plain=call.plain))


def _value(found: Reading) -> dict[str, object]:
    names = [asdict(each) | {"proposed": each.proposed} for each in found.names]
    return {"labels": found.labels, "names": names, "gold": found.gold, "answers": found.answers}


def _from_file(file: str) -> dict[str, str | None]:
    """Read a CSV file of names and labels; a first line `name,label` is a heading."""
    found: dict[str, str | None] = {}
    for line, row in enumerate(csv.reader(io.StringIO(text_of(file))), 1):
        if not row or (line == 1 and [each.strip().casefold() for each in row] == ["name", "label"]):
            continue
        if len(row) != 2:
            raise InputError(f"{file}:{line}: {len(row)} columns; write two, the name and its label.")
        if row[0] in found:
            raise UsageError(f"{file}:{line}: “{row[0]}” is there twice; keep one.")
        found[row[0]] = row[1].strip() or None
    return found
