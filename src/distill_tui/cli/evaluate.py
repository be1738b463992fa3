"""Commands for evaluations: start one, show it, page through its errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_tui import actions
from distill_tui.cli.call import Call, InputError
from distill_tui.cli.follow import started
from distill_tui.cli.options import AT_LEAST_1, FILE, command, play, wait
from distill_tui.reports import html, text
from distill_tui.review import review
from distill_tui.terms import Action
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.actions.failures import Failure


@command(Action.EVALUATE)
@play
@click.option("--run", metavar="N", type=int, help="the number of the run")
@wait
def eval_(call: Call, run: int | None, wait: bool) -> int | None:
    return started(call, actions.evaluate(*call.about, run), wait)


@command(Action.REPRODUCE)
@play
@wait
def reproduce(call: Call, wait: bool) -> int | None:
    return started(call, actions.reproduce(*call.about), wait)


@command(Action.REPEAT)
@play
@click.option("--seeds", metavar="N", type=AT_LEAST_1, default=3, show_default=True, help="how many further seeds")
@wait
def repeat(call: Call, seeds: int, wait: bool) -> int | None:
    return started(call, actions.repeat(*call.about, seeds), wait)


every = click.option("--all", "all_", is_flag=True, help="list every class, not the worst only")


@command("eval show", "Show this round's evaluation: the verdict first, then what a reviewer checks.")
@play
@every
def eval_show(call: Call, all_: bool) -> None:
    _show(call, all_)


@command("evaluation", "Show this round's evaluation; the same as `eval show`.")
@play
@every
def evaluation(call: Call, all_: bool) -> None:
    _show(call, all_)


def _show(call: Call, all_: bool) -> None:
    dossier = call.dossier()
    for trouble in dossier.file_troubles:
        call.talk(trouble)
    found = review.of(dossier)
    call.data(text.evaluation_json(found), text.evaluation(found, every=all_, plain=call.plain))


@command(
    "eval failures",
    "Page through the rows that the student got wrong: of validation, or for the validator of the held-out split.",
)
@play
@click.option("--first", metavar="N", type=AT_LEAST_1, default=1, help="the first row to show")
@click.option("--count", metavar="N", type=AT_LEAST_1, default=10, help="how many rows")
def eval_failures(call: Call, first: int, count: int) -> None:
    """Page through failures; each held-out row is opened through the door and logged."""
    from distill_tui.actions import failures  # loads all actions, which `--help` must not

    found = failures.failures(call.project, call.dossier(), call.actor)
    if found is None:
        raise InputError("No student of this round has been evaluated yet; train one first.")
    numbers = range(first, min(first + count, len(found.order) + 1))
    seen = [failures.look(call.project, call.actor, found, number) for number in numbers]
    call.data(seen, [line for each in seen for line in _failure(each)])
    call.talk(f"{len(found.order):,} rows of the {found.split.value} split are wrong; run {found.run}.")


def _failure(each: Failure) -> Iterator[str]:
    sure = "" if each.sure is None else f", {100 * each.sure:.0f}% confident"
    kind = "student wrong, teacher right" if each.teacher_right else "both wrong"
    yield visible(f"{each.number}/{each.total} row {each.row} ({each.split.value}, {each.segment}): {kind}")
    yield visible(f"  input    {each.input}")
    yield visible(f"  gold     {each.gold or '–'}")
    yield visible(f"  teacher  {each.teacher or '–'}")
    yield visible(f"  student  {each.student}{sure}")
    if each.apart:
        yield visible(f"  differs in {', '.join(each.apart)}")


@command("report", "Write a play as one self-contained HTML page: decision, quality, money, segments, who signed.")
@play
@click.argument("file", metavar="FILE", type=FILE, help="the file to write; it must not exist")
def report(call: Call, file: str) -> None:
    dossier, path = call.dossier(), Path(file)
    found = review.of(dossier)
    if found is None:
        raise InputError("There is no evaluation in this round yet.")
    with path.open("x", encoding="utf-8") as page:
        page.write(html.report(found, text.decided(dossier)))
    call.data({"file": str(path)}, [visible(str(path))])
