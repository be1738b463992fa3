"""What the commands that only ask do: one function a question. Nothing is written but by the run that is followed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.cli import start, table
from distill_tui.cli.call import Call, InputError, UsageError, plain_objections, text_of
from distill_tui.cli.live import retrain, show_live, show_probe  # noqa: F401
from distill_tui.terms import Action, RunKind, RunStatus
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.actions.failures import Failure
    from distill_tui.dataset.window import Measured, TokenPrices
    from distill_tui.rules import entities
    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.rules.objection import Objection


# --- the screens and the roster --------------------------------------------------------------------------------------


def open_screens(call: Call) -> int | None:
    """Show the screens, or where there is no terminal the list."""
    if call.args.recent:
        list_recent(call)
        return None
    call.args.project = call.args.file or call.args.project
    terminal = start.drawable()
    if terminal and not (call.json or call.plain):
        call.args.project = call.args.project or choose_recent(call)
    if call.json or call.plain or not terminal:
        call.args.filter = ""
        list_plays(call)
        call.talk(f"The screens open in a terminal: `{table.PROGRAM} open {call.path.name}`.")
        return None
    return start.screens(call.path, key=call.key, play=call.play_id if call.args.play else None)


def list_recent(call: Call) -> None:
    """List the projects that were opened last on this account."""
    from distill_tui.people import remembered

    found = remembered.recent()
    call.data([str(path) for path in found], [visible(str(path)) for path in found])
    if not found:
        call.talk(f"No project was opened here yet; `{table.PROGRAM} init FILE.distill --name TEXT` makes one.")


def choose_recent(call: Call) -> str | None:
    """Where no project is named and none is here, ask which of the recent ones is meant; None where one is clear."""
    from distill_tui.people import remembered

    try:
        _ = call.path
        return None
    except UsageError:
        found = remembered.recent()
        if not found:
            raise
    call.talk("No project is named. Recent ones, the newest first:")
    for number, path in enumerate(found, start=1):
        call.talk(f"  {number}  {path}")
    sys.stderr.write("Which one? [1] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    chosen = answer.strip() or "1"
    if not answer or not chosen.isdecimal() or not 1 <= int(chosen) <= len(found):
        raise UsageError(f"“{chosen}” is none of them; `{table.PROGRAM} open FILE` opens a file.")
    return str(found[int(chosen) - 1])


def print_completion(call: Call) -> None:
    """Print a completion script."""
    from distill_tui.cli import completion

    text = completion.script(call.args.shell)
    call.data({"shell": call.args.shell, "script": text}, text.splitlines())


def list_people(call: Call) -> None:
    """Show the roster."""
    from distill_tui.reports import text as report

    dossier = call.project.project_dossier()
    keeper = dossier.keeper
    people: list[dict[str, Any]] = [
        {
            "person": person.id,
            "name": person.name,
            "keeper": person.id == keeper,
            "accounts": [a.uid for a in dossier.accounts if a.person_id == person.id],
            "keys": [
                {"fingerprint": k.fingerprint, "revoked_at": k.revoked_at}
                for k in dossier.keys
                if k.person_id == person.id
            ],
        }
        for person in dossier.people.values()
    ]
    rows = [
        (
            p["person"],
            p["name"],
            "keeper" if p["keeper"] else "",
            ", ".join(f"uid {uid}" for uid in p["accounts"]) or "–",
            ", ".join(k["fingerprint"] + (" (revoked)" if k["revoked_at"] else "") for k in p["keys"]) or "–",
        )
        for p in people
    ]
    call.data(people, report.table(("PERSON", "NAME", "", "ACCOUNTS", "KEYS"), rows, plain=call.plain))


def show_actor(call: Call) -> None:
    """Say who this is."""
    actor, found = call.actor, []
    for card in _cards(call):
        roles = [role.value for role, person in card.roles.items() if person == actor.person]
        found.append({"play": card.code, "name": card.name, "roles": roles} if roles else None)
    plays = [play for play in found if play]
    who = actor.person or "nobody who is enrolled: you may look, not act"
    lines = [visible(f"{who}, proved by {actor.proof} ({actor.assurance.value})")]
    lines += [visible(f"{p['play']} {p['name']}: {', '.join(p['roles'])}") for p in plays]
    value = {"person": actor.person, "proof": actor.proof, "assurance": actor.assurance.value, "plays": plays}
    call.data(value, lines)


def show_roster(call: Call) -> None:
    """Show who is who in a play, under the digest that is signed."""
    from distill_tui.digests import canonical, digest_of
    from distill_tui.rules import who as who_rules
    from distill_tui.rules.who import roster_signed

    dossier = call.dossier()
    roster = who_rules.roster(dossier)
    digest = digest_of(canonical(roster))
    unsigned = list(roster_signed(dossier))
    lines = [digest]
    for person, proofs in roster["people"].items():
        roles = ", ".join(role for role, holder in roster["roles"].items() if holder == person) or "a builder"
        uids = ", ".join(f"uid {uid}" for uid in proofs["accounts"])
        keys = [k.fingerprint for k in dossier.project.keys if k.person_id == person]
        lines.append(visible(f"{person} ({roles}): {', '.join([*([uids] if uids else []), *keys])}"))
    lines += [visible(each.sentence) for each in unsigned]
    call.data({"digest": digest, **roster, "objections": plain_objections(unsigned)}, lines)


# --- gate and data ---------------------------------------------------------------------------------------------------


def show_gate(call: Call) -> None:
    """Show the gate."""
    from distill_tui import gates
    from distill_tui.reports import text as report
    from distill_tui.store import queries

    dossier = call.dossier()
    if call.args.toml and dossier.gate is not None and not call.json:
        sys.stdout.write(queries.draft(dossier.gate, queries.repeats(call.project, dossier)))
        return
    found = gates.problems(dossier.gate, dossier.play.kind, dossier.play.task) if dossier.gate else []
    row = dossier.gate_row
    value = {
        "gate": json.loads(gates.to_json(dossier.gate)) if dossier.gate else None,
        "digest": gates.digest(dossier.gate) if dossier.gate else None,
        "locked_at": row.locked_at if row else None,
        "locked_by": row.locked_by if row else None,
        "problems": [*([dossier.gate_trouble] if dossier.gate_trouble else []), *found],
    }
    call.data(value, report.gate(dossier, plain=call.plain))


def compare_gates(call: Call) -> None:
    """Put two gates side by side."""
    from distill_tui import gates
    from distill_tui.reports import text as report
    from distill_tui.store import queries

    dossier = call.dossier()
    other = queries.find_play(call.project, call.args.other) if call.args.other else dossier.play.predecessor
    if other is None:
        raise UsageError(f"{dossier.play.code} follows no other play; name the one to compare with.")
    before = call.project.dossier(other)
    if before.gate is None or dossier.gate is None:
        raise InputError(before.gate_trouble or dossier.gate_trouble or "One of the two plays has no gate yet.")
    lines = gates.compare(before.gate, dossier.gate)
    head = ("", "", before.play.code, dossier.play.code)
    rows = [("moved" if line.moved else "", line.what, line.before or "–", line.now or "–") for line in lines]
    value = [{"what": line.what, "before": line.before, "now": line.now, "moved": line.moved} for line in lines]
    call.data(
        {"before": before.play.code, "now": dossier.play.code, "lines": value},
        report.table(head, rows, plain=call.plain),
    )


def show_power(call: Call) -> None:
    """Say what the rows can prove."""
    from distill_tui import gates
    from distill_tui.rules.gate import segment_shares
    from distill_tui.store import queries

    dossier = call.dossier()
    if dossier.gate is None:
        raise InputError(dossier.gate_trouble or "There is no gate yet; write one with `gate edit`.")
    found = queries.repeats(call.project, dossier)
    notes = gates.power(
        dossier.gate if found is None else replace(dossier.gate, teacher_agreement=found.share),
        segment_shares=segment_shares(dossier),
    )
    value: list[dict[str, object]] = [
        {
            "criterion": n.criterion.words,
            "scope": n.scope,
            "rows": n.rows,
            "enough": n.enough,
            "possible": n.possible,
            "smallest": n.smallest,
            "rows_needed": n.rows_needed,
            "sentence": n.sentence,
        }
        for n in notes
    ]
    told = [] if found is None else [f"{found.sentence} The gate does not say so yet: `gate show --toml` proposes it."]
    call.data(value, [visible(sentence) for sentence in (*(note.sentence for note in notes), *told)])


def measured_window(call: Call) -> tuple[Measured, dict[str, str]]:
    """Measure the traffic by the options that say over how many days and at what prices."""
    from distill_tui.store import queries

    if not 1 <= call.args.days <= 366:
        raise UsageError(f"--days is {call.args.days}; it is 1 to 366.")
    return queries.window(call.project, call.play_id, days=call.args.days, prices=_prices(call))


def _prices(call: Call) -> TokenPrices | None:
    from decimal import Decimal, InvalidOperation

    from distill_tui.dataset.window import TokenPrices

    given = (call.args.price_in, call.args.price_out, call.args.price_source)
    if not any(given):
        return None
    if not all(given):
        raise UsageError("Prices are given together: --price-in, --price-out and --price-source.")
    try:
        per_in, per_out = Decimal(given[0]), Decimal(given[1])
    except InvalidOperation:
        raise UsageError("A price is a number like 0.15, for a million tokens.") from None
    if not (per_in.is_finite() and per_out.is_finite() and per_in >= 0 and per_out >= 0):
        raise UsageError("A price is a number of 0 or more, like 0.15.")
    return TokenPrices(per_in, per_out, given[2])


def show_window(call: Call) -> None:
    """Measure the traffic."""
    import dataclasses

    from distill_tui.reports import data

    measured, numbers = measured_window(call)
    value = dataclasses.asdict(measured) | {"worksheet": numbers}
    call.data(value, data.window(measured, numbers, plain=call.plain))


def show_audit(call: Call) -> None:
    """Show the audit."""
    from distill_tui.reports import data
    from distill_tui.store.json_columns import stored

    dossier = call.dossier()
    found = stored(dossier.data_set.counts, "the count of the data set", "audit") if dossier.data_set else {}
    axes = found.get("axes", {})
    if call.args.axis:
        if axes and call.args.axis not in axes:
            raise UsageError(f"There is no axis “{call.args.axis}”; there are {', '.join(axes)}.")
        found = found | {"axes": {name: values for name, values in axes.items() if name == call.args.axis}}
    if not found:
        call.talk("There is no data set in this round yet, or it was built before audits.")
    call.data(found, data.audit(found, plain=call.plain))


def show_rows(call: Call) -> None:
    """Show rows."""
    from distill_tui.dataset.browse import Wanted
    from distill_tui.reports import data
    from distill_tui.store import queries

    args = call.args
    wanted = Wanted(args.label, args.segment, args.split, args.search, args.below, args.above, args.conflicts)
    if wanted.problem():
        raise UsageError(wanted.problem())
    if args.offset < 0 or args.show < 1:
        raise UsageError("--offset is 0 or more, and --show is 1 or more.")
    rows = queries.rows(call.project, call.play_id)
    found = rows.find(wanted)
    shown = [rows.at(int(place)) for place in found[args.offset : args.offset + args.show]]
    value = {"found": len(found), "rows_in_all": len(rows), "held_out_sealed": rows.sealed, "rows": shown}
    call.data(value, data.rows(shown, plain=call.plain))
    call.talk(f"{len(found):,} of {len(rows):,} rows; {rows.sealed:,} held-out rows are sealed.")


def show_ledger(call: Call) -> None:
    """Show the ledger."""
    from distill_tui.reports import data
    from distill_tui.store import queries

    found = queries.ledger(call.project, call.play_id)
    call.data(found, data.ledger(found))


def show_request(call: Call) -> None:
    """Show what the next round needs."""
    import dataclasses

    from distill_tui.reports import data
    from distill_tui.rounds import requests

    if call.args.rows < 1:
        raise UsageError("--rows is 1 or more.")
    file = Path(call.args.file) if call.args.file else None
    wanted, cells = requests.request(call.project, call.play_id, file, call.args.rows)
    if call.args.out:
        out = Path(call.args.out)
        if out.exists():
            raise InputError(f"{out.name} exists already; name a new file.")
        out.write_text("".join(f"{line}\n" for line in requests.lines(wanted)), encoding="utf-8")
        call.talk(f"{len(wanted):,} inputs are in {out.name}; fill in gold and import it.")
    value = {"failures": cells, "rows": [dataclasses.asdict(each) for each in wanted]}
    call.data(value, data.request(wanted, cells, plain=call.plain))


def show_variations(call: Call) -> None:
    """Show the variations that wait."""
    import dataclasses

    from distill_tui.reports import data
    from distill_tui.rounds import variations

    wait = variations.waiting(call.project, call.dossier(), call.args.run)
    call.data(dataclasses.asdict(wait), data.variations(wait, plain=call.plain))
    call.talk(f"`distill-tui data take {call.args.play}` takes them in; --without N leaves one out.")


def show_pairs(call: Call) -> None:
    """Show pairs at the border."""
    import dataclasses

    from distill_tui.reports import data
    from distill_tui.store import queries

    if not 0 <= call.args.around <= 1 or call.args.show < 1:
        raise UsageError("--around is a similarity from 0 to 1, and --show is 1 or more.")
    pairs, texts, looked = queries.border(call.project, call.play_id, call.args.around)
    shown = [
        dataclasses.asdict(pair) | {"one": texts[pair.one], "other": texts[pair.other]}
        for pair in pairs[: call.args.show]
    ]
    call.data({"rows": looked, "pairs": shown, "found": len(pairs)}, data.pairs(shown, plain=call.plain))
    call.talk(f"{len(pairs):,} pairs of {looked:,} rows are within 0.2 of {call.args.around}.")


def show_data(call: Call) -> None:
    """Show the counts."""
    from distill_tui.reports import text as report
    from distill_tui.store.json_columns import stored

    dossier = call.dossier()
    row = dossier.data_set
    value = _but(asdict(row), "counts", "labels") | stored(row.counts, "the count of the data set") if row else None
    call.data(value, report.data(dossier, plain=call.plain))


# --- runs ------------------------------------------------------------------------------------------------------------


def follow(call: Call, run_id: int, *, quiet: bool = False) -> int:
    """Show a run's progress on standard error until it ends; `quiet` prints no data of it."""
    from distill_tui.reports import text as report
    from distill_tui.runs.executors import local

    progress = Progress(call)
    try:
        run = local.wait(call.project, run_id, progress)
    except KeyboardInterrupt:
        progress.end()
        call.talk(f"Run {run_id} goes on; `{table.PROGRAM} train status {call.args.play} --follow` follows it again.")
        raise
    progress.end()
    finished = run.status is RunStatus.FINISHED
    call.talk(f"Run {run_id} {run.status.value}{'' if finished else _why(run)}.")
    if finished and run.kind in (RunKind.EVALUATE, RunKind.REPRODUCE):
        call.talk(f"The gate is {'held' if call.dossier().passed else 'not held'}.")
    if not finished:
        call.talk(f"`{table.PROGRAM} train resume {call.args.play} --run {run_id} --wait` goes on from its checkpoint.")
    if call.json and not quiet:
        call.data(report.run_json(run))
    return table.DONE if finished else table.FAILED


def _why(run: entities.Run) -> str:
    reason = (run.error or run.message).strip().rstrip(".")
    return f": {reason}" if reason else ""


class Progress:
    """Tells how a run stands: one moving line on a terminal, else a line now and then."""

    EVERY = 5.0  # seconds between two lines where they do not move

    def __init__(self, call: Call, clock: Callable[[], float] = time.monotonic) -> None:
        self.moving = sys.stderr.isatty() and not call.plain and os.environ.get("TERM", "dumb") != "dumb"
        self.clock = clock
        self.began: tuple[float, int] | None = None  # when we first saw it running, and at which step
        self.told: tuple[float, RunStatus] | None = None

    def __call__(self, run: entities.Run) -> None:
        from distill_tui.reports import text as report

        now = self.clock()
        line = report.progress(run, self._rate(run, now))
        if self.moving:
            width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
            sys.stderr.write(f"\r{line[:width]}\x1b[K")
        elif self.told is None or self.told[1] is not run.status or now - self.told[0] >= self.EVERY:
            sys.stderr.write(f"{line}\n")
            self.told = (now, run.status)
        sys.stderr.flush()

    def _rate(self, run: entities.Run, now: float) -> float | None:
        if run.status is not RunStatus.RUNNING or not run.step:  # what comes before the first step has no rate
            self.began = None
            return None
        began, step = self.began = self.began or (now, run.step)
        return (run.step - step) / (now - began) if now > began and run.step > step else None

    def end(self) -> None:
        """Leave the moving line behind."""
        if self.moving:
            sys.stderr.write("\n")


def show_runs(call: Call) -> int | None:
    """Show runs, or follow the active one."""
    from distill_tui.reports import text as report

    runs = call.dossier().runs
    active = next((run.id for run in runs if run.status.active), None)
    if call.args.follow:
        if active is not None:
            return follow(call, active)
        call.talk("No run is active.")
    call.data([report.run_json(run) for run in runs], report.runs(runs, plain=call.plain))
    return None


def show_jobs(call: Call) -> None:
    """Show what workers do now."""
    from distill_tui.reports import text as report
    from distill_tui.store import queries

    runs = queries.active_runs(call.project)
    call.data([report.run_json(run) for run in runs], report.runs(runs, plain=call.plain) if runs else [])
    if not runs:
        call.talk("No run is active.")


def show_evaluation(call: Call) -> None:
    """Show the evaluation."""
    from distill_tui.reports import text as report

    dossier = call.dossier()
    for trouble in dossier.file_troubles:
        call.talk(trouble)
    call.data(report.evaluation_json(dossier), report.evaluation(dossier, plain=call.plain))


def show_failures(call: Call) -> None:
    """Page through failures; a held-out row is opened through the door, one log entry each."""
    from dataclasses import asdict

    from distill_tui.actions import failures

    dossier = call.dossier()
    found = failures.failures(call.project, dossier, call.actor)
    if found is None:
        raise InputError("No student of this round was looked at yet; train one first.")
    if call.args.first < 1 or call.args.count < 1:
        raise UsageError("--first and --count are 1 or more.")
    numbers = range(call.args.first, min(call.args.first + call.args.count, len(found.order) + 1))
    seen = [failures.look(call.project, call.actor, found, number) for number in numbers]
    call.data([asdict(each) for each in seen], [line for each in seen for line in _failure(each)])
    call.talk(f"{len(found.order):,} rows of the {found.split.value} split are wrong; run {found.run}.")


def _failure(each: Failure) -> Iterator[str]:
    sure = "" if each.sure is None else f", {100 * each.sure:.0f} % sure"
    kind = "student wrong, teacher right" if each.teacher_right else "both wrong"
    yield visible(f"{each.number}/{each.total} row {each.row} ({each.split.value}, {each.segment}): {kind}")
    yield visible(f"  input    {each.input}")
    yield visible(f"  gold     {each.gold or '–'}")
    yield visible(f"  teacher  {each.teacher or '–'}")
    yield visible(f"  student  {each.student}{sure}")
    if each.apart:
        yield visible(f"  apart in {', '.join(each.apart)}")


def write_evaluation(call: Call) -> None:
    """Write the sponsor's page."""
    from distill_tui.reports import html

    dossier, path = call.dossier(), Path(call.args.file)
    if dossier.evaluation is None or dossier.record is None:
        raise InputError("There is no evaluation in this round yet.")
    with path.open("x", encoding="utf-8") as file:
        file.write(html.page(dossier))
    call.data({"file": str(path)}, [visible(str(path))])


# --- plays -----------------------------------------------------------------------------------------------------------


def list_plays(call: Call) -> None:
    """List the plays, without importing what a change needs."""
    from distill_tui.reports import text as report

    words = call.args.filter.casefold().split()
    cards = [card for card in _cards(call) if all(word in _haystack(card) for word in words)]
    if call.json:
        call.data([report.card_json(card) for card in cards])
    elif cards:
        call.data(None, report.cards(cards, plain=call.plain))
    if not cards and words:
        call.talk("No play fits.")
    elif not cards:
        from distill_tui.rules.next_step import FIRST_PLAY

        call.talk(f"No plays yet; `{table.PROGRAM} new NAME --kind cost` opens the first.")
        call.talk(FIRST_PLAY)


def _haystack(card: Any) -> str:
    words = [card.code, card.name, card.summary, card.kind.value, card.stage.value, card.state[1], card.waits or ""]
    return " ".join([*words, *card.roles.values()]).casefold()


def _cards(call: Call) -> Any:
    """Read the cards; a file that is not of this format goes the long way, which says why or brings it up to date."""
    from distill_tui.store import glance, migrations, sqlite

    try:
        connection = sqlite.connect(call.path, read_only=True)
        try:
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")]
        finally:
            connection.close()
    except sqlite.DatabaseErrors:
        found = []
    if found != [migrations.VERSION, migrations.APPLICATION_ID]:
        _ = call.project
    return glance.cards(call.path)


def show_play(call: Call) -> None:
    """Show a play."""
    from distill_tui import gates
    from distill_tui.reports import text as report
    from distill_tui.rules.decide import sign_off_troubles
    from distill_tui.rules.next_step import next_step
    from distill_tui.rules.permission import objections

    dossier = call.dossier()
    step = next_step(dossier)
    reasons = objections(step, dossier, call.actor) if step else []
    sign_offs = [
        _but(asdict(facts.row), "statement", "signature")
        | {"troubles": plain_objections(sign_off_troubles(dossier, facts))}
        for facts in dossier.sign_offs
    ]
    value = {
        "play": dossier.play.code,
        **_but(asdict(dossier.play), "id"),
        "roles": dossier.roles,
        "builders": dossier.builders,
        "worksheet": {name: row.value for name, row in dossier.worksheet.items()},
        "gate": json.loads(gates.to_json(dossier.gate)) if dossier.gate else None,
        "gate_digest": dossier.gate_row.digest if dossier.gate_row else None,
        "traffic": [
            {name: getattr(each, name) for name in ("name", "rows", "rejects", "imported_at")}
            for each in dossier.traffic
        ],
        "data_set": {"digest": dossier.data_set.digest, "frozen_at": dossier.data_set.frozen_at}
        if dossier.data_set
        else None,
        "runs": [report.run_json(run) for run in dossier.runs],
        **report.evaluation_json(dossier),
        "sign_offs": sign_offs,
        "bundles": [asdict(bundle) for bundle in dossier.bundles],
        "next": _next(dossier, step, reasons),
    }
    call.data(value, [*report.play(dossier), "", *report.next_step(dossier, step, reasons)])


def _but(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _next(dossier: PlayDossier, step: Action | None, reasons: Iterable[Objection]) -> dict[str, Any]:
    from distill_tui.reports import text as report
    from distill_tui.rules.next_step import waits_for

    code = dossier.code
    return {
        "action": step.value if step else None,
        "sentence": step.sentence if step else None,
        "command": report.command_line(step, code) if step else None,
        "waits_for": waits_for(dossier),
        "objections": plain_objections(reasons),
    }


def show_next(call: Call) -> None:
    """Say the next step."""
    from distill_tui.reports import text as report
    from distill_tui.rules.next_step import next_step
    from distill_tui.rules.permission import objections

    dossier = call.dossier()
    step = next_step(dossier)
    reasons = objections(step, dossier, call.actor) if step else []
    call.data(_next(dossier, step, reasons), report.next_step(dossier, step, reasons))


def show_why(call: Call) -> None:
    """Say why not."""
    from distill_tui.rules.permission import objections

    words = " ".join(call.args.wanted)
    wanted = next((a for a in Action if a.command and words in (a.command, a.value, a.key)), None)
    if wanted is None:
        known = ", ".join(action.command for action in Action if action.command)
        raise UsageError(f"There is no action “{words}”; there are: {known}.")
    dossier = call.dossier(thorough=wanted in (Action.SIGN_OFF, Action.SHIP))
    reasons = objections(wanted, dossier, call.actor)
    value = {"action": wanted.value, "allowed": not reasons, "objections": plain_objections(reasons)}
    call.data(value, [visible(reason.sentence) for reason in reasons] or [f"Nothing stands against “{words}”."])


# --- proofs ----------------------------------------------------------------------------------------------------------


def show_log(call: Call) -> None:
    """Show the log."""
    from distill_tui.reports import text as report
    from distill_tui.store import queries

    if call.args.last is not None and call.args.last < 1:
        raise UsageError("--last is 1 or more.")
    play_id = call.play_id if call.args.play else None
    entries = queries.entries(call.project, play_id, call.args.last)
    value = [asdict(entry) | {"detail": _json_or_text(entry.detail)} for entry in entries]
    call.data(value, report.log(entries, plain=call.plain))


def _json_or_text(text: str) -> object:
    """Read JSON; what somebody put in its place is shown as it is, because a log is read when it is in doubt."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def verify_log(call: Call) -> int:
    """Check the chain, and that it follows on what this account saw."""
    from distill_tui.people import log_heads
    from distill_tui.store import queries

    dossier = call.project.project_dossier(thorough=True)
    if call.args.forget:
        log_heads.forget(dossier.uid)
        call.talk("What you saw of this log before is forgotten.")
    found = queries.untrustworthy(call.project)
    trouble = dossier.audit_trouble or queries.look_back(call.project) or next(iter(found), "")
    call.data(
        {"entries": dossier.audit_size, "head": dossier.audit_head, "trouble": trouble or None},
        [] if trouble else [f"{dossier.audit_size} entries, head {dossier.audit_head}: the chain is whole."],
    )
    if trouble:
        call.talk(trouble)
    return table.FAILED if trouble else table.DONE


def verify_bundle(call: Call) -> int:
    """Check a bundle, or the verdicts of the project."""
    from distill_tui.bundles import bundle

    if call.args.bundle is None:
        return _verify_verdicts(call)
    folder = Path(call.args.bundle)
    if not folder.is_dir():
        raise InputError(f"{folder.name} is not a folder; give the folder of a bundle.")
    found = bundle.verify(folder, call.args.signer, call.args.roster)
    for problem in found.problems:
        call.talk(problem.sentence)
    lines = [visible(f"{name}: {value}") for name, value in found.facts.items()]
    whole = [] if found.problems else ["The bundle is whole."]
    call.data({"problems": plain_objections(found.problems), "facts": found.facts}, [*lines, *whole])
    return table.FAILED if found.problems else table.DONE


def _verify_verdicts(call: Call) -> int:
    """Compute every stored verdict again, and check the chain that they are logged in."""
    from dataclasses import asdict

    from distill_tui.store import verdicts

    found = list(verdicts.check(call.project))
    chain = call.project.project_dossier(thorough=True).audit_trouble
    troubles = [*(each.trouble for each in found if each.trouble), *([chain] if chain else [])]
    for trouble in troubles:
        call.talk(trouble)
    whole = [] if troubles else [f"{len(found)} stored verdicts come out again, and the log's chain is whole."]
    value = {"verdicts": [asdict(each) for each in found], "chain": chain or None}
    call.data(value, whole)
    return table.FAILED if troubles else table.DONE


def back_up(call: Call) -> int:
    """Copy the project."""
    from distill_tui.store.backup import backup

    target = Path(call.args.file)
    copied = backup(call.project, target)
    size = f"{copied.artifacts} artifacts, {copied.bytes / 1e6:,.1f} MB"
    lines = [visible(f"{target.name}: {copied.entries} entries, head {copied.head}; {size}.")]
    call.data({"file": str(target)} | {name: getattr(copied, name) for name in copied.__slots__}, lines)
    if copied.trouble:
        call.talk(f"It was copied as it is, but it is not whole: {copied.trouble}")
    return table.FAILED if copied.trouble else table.DONE


def set_up_ssh(call: Call) -> int | None:
    """Show and check the set-up of an OpenSSH server."""
    import pwd

    from distill_tui.people import ssh_server
    from distill_tui.reports import text as report

    user = call.args.user or pwd.getpwuid(os.getuid()).pw_name
    dossier, path = call.project.project_dossier(), call.project.path
    keys = ssh_server.key_lines(dossier, path, agent=call.args.agent)
    block = ssh_server.match_block(user, agent=call.args.agent)
    if call.args.check is None:
        lines = [
            f"# ~{user}/.ssh/authorized_keys, or better a file that only root can write:",
            *keys,
            "",
            "# /etc/ssh/sshd_config:",
            *block.splitlines(),
        ]
        call.data({"user": user, "authorized_keys": keys, "sshd_config": block}, map(visible, lines))
        return None
    config = Path(call.args.sshd_config) if call.args.sshd_config else None
    looks = [
        *ssh_server.check_keys(dossier, path, text_of(call.args.check)),
        *ssh_server.check_server(user, config),
    ]
    rows = [("ok" if look.ok else "WRONG", look.name, look.says) for look in looks]
    value = [{"check": look.name, "ok": look.ok, "says": look.says} for look in looks]
    call.data(value, report.table(("", "CHECK", "SAYS"), rows, plain=call.plain))
    return table.DONE if all(look.ok for look in looks) else table.FAILED


def serve_ssh(call: Call) -> int:
    """Run a private server."""
    from distill_tui.people import ssh_server

    if not 0 < call.args.port < 65536:
        raise UsageError("--port is a number from 1 to 65535.")
    how = ssh_server.Serving(call.args.port, call.args.listen, call.args.agent, call.args.idle)
    code = ssh_server.serve(call.project, how, call.talk)
    return table.FAILED if code else table.DONE


def run_session(call: Call) -> int:
    """Run a session."""
    from distill_tui.cli import ssh_session

    return ssh_session.run(call.path, call.args.idle)


def examine(call: Call) -> int:
    """Check machine and file."""
    from distill_tui.reports import text as report
    from distill_tui.store import doctor

    try:
        path = call.path
    except UsageError as error:
        call.talk(str(error))
        findings = doctor.machine()
    else:
        findings = [*doctor.machine(), *doctor.file(path)]
    rows = [("ok" if f.ok else "WRONG", f.name, f.says) for f in findings]
    value = [{"check": f.name, "ok": f.ok, "says": f.says} for f in findings]
    call.data(value, report.table(("", "CHECK", "SAYS"), rows, plain=call.plain))
    return table.DONE if all(f.ok for f in findings) else table.FAILED


def show_spec(call: Call) -> None:
    """Print the table of actions."""
    if call.args.markdown:
        sys.stdout.write(table.markdown())
        return
    questions = [{"command": c.words, "sentence": c.sentence} for c in table.COMMANDS if not c.action]
    value = {"actions": table.actions(), "questions": questions, "exit_codes": table.EXIT_CODES}
    lines = [f"{a['key'] or ' ':<3}{a['command']:<14}{a['sentence']}" for a in table.actions()]
    lines += [f"   {q['command']:<14}{q['sentence']}" for q in questions]
    lines += ["", *(f"{code:>4}  {says}" for code, says in table.EXIT_CODES.items())]
    call.data(value, lines)
