"""Plain-text reports: values in, lines of text out. Nothing is read, decided or printed here.

Text that comes from data goes through `visible`, so that no control character reaches a terminal.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from distill_tui import tasks
from distill_tui.gates import alternatives, economics
from distill_tui.gates.gate import Criterion, baseline_name
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.wording import DASH, money
from distill_tui.reports import pace
from distill_tui.review import deferral, headline, sections
from distill_tui.review.sections import Section
from distill_tui.rules.data import findings
from distill_tui.rules.decide import covers, sign_off_troubles
from distill_tui.rules.dossier import SignOffFacts
from distill_tui.rules.findings import Fold, folded
from distill_tui.rules.gate import terms_unclear, trigger, worksheet_numbers
from distill_tui.rules.next_step import waits_for
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import TrainResult
from distill_tui.rules.training import OF_DATA
from distill_tui.store.json_columns import result_of, stored
from distill_tui.terms import Action, PlayKind, Reference, Role, RunKind, RunStatus, Verdict
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.dataset import play_data
    from distill_tui.review.review import Review
    from distill_tui.rules import entities
    from distill_tui.rules.card import Card
    from distill_tui.rules.dossier import PlayDossier

MARKS = {Verdict.HOLDS: "✓", Verdict.MISSES: "✗", Verdict.UNPROVEN: "?", Verdict.UNMEASURED: "–"}
_VERDICTS = frozenset(verdict.value for verdict in Verdict)
PROGRAM = "distill-tui"


# --- layout ----------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, plain: bool = False) -> list[str]:
    """Lay out rows in columns under a head; plain: the cells of a row with tabs between them."""
    cells = [[visible("" if cell is None else str(cell)) for cell in row] for row in (head, *rows)]
    if plain:
        return ["\t".join(row) for row in cells]
    widths = [max(_width(row[place]) for row in cells) for place in range(len(head))]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _facts(pairs: Iterable[tuple[str, object]]) -> list[str]:
    return [f"{name + ':':<12} {visible(str(value))}" for name, value in pairs]


def short(digest: str | None) -> str:
    return f"{digest.removeprefix('sha256:')[:12]}…" if digest else "–"


# --- the list --------------------------------------------------------------------------------------------------------


def cards(found: Sequence[Card], *, plain: bool = False) -> list[str]:
    head = ("ID", "PLAY", "KIND", "STAGE", "ROUND", "STATE", "WAITS FOR", "VALIDATION", "SAVES AT MOST")
    rows = [
        (
            card.code,
            card.name,
            card.kind.value,
            card.stage.value,
            card.round,
            card.state[1],
            card.waits_for or "–",
            card.score or DASH,
            "–" if card.saves is None else f"≤ {money(card.saves, card.currency)}",
        )
        for card in found
    ]
    return table(head, rows, plain=plain)


def card_json(card: Card) -> dict[str, object]:
    return {
        "play": card.code,
        "name": card.name,
        "kind": card.kind.value,
        "stage": card.stage.value,
        "round": card.round,
        "stage_since": card.stage_since,
        "state": card.state[1],
        "next_step": card.next_step.value if card.next_step is not None else None,
        "waits_for": card.waits_for,
        "signed_off": card.signed_off,
        "saves_per_month_at_most": None if card.saves is None else str(card.saves),
        "currency": card.currency,
        "validation_quality": card.quality,
        "validation_measure": card.measure,
        "passed": card.passed,
        "run": None if card.run is None else {"run": card.run.id, "kind": card.run.kind, "status": card.run.status},
    }


# --- a play ----------------------------------------------------------------------------------------------------------


def play(dossier: PlayDossier) -> Iterator[str]:
    row = dossier.play
    yield visible(f"{row.code} {row.name}: {row.kind.value}, {row.task.value}")
    if row.summary:
        yield visible(row.summary)
    yield ""
    teacher = f"{row.teacher_name} {short(row.teacher_digest) if row.teacher_digest else ''}".strip()
    yield from _facts(
        [
            ("stage", f"{row.stage.value} since {row.stage_since}, round {row.round}"),
            *([("outcome", row.outcome)] if row.outcome else []),
            *((role.value, dossier.roles.get(role, "none yet")) for role in Role),
            ("builders", ", ".join(f"{p} ({', '.join(actions)})" for p, actions in dossier.builders.items()) or "none"),
            ("gate", _gate_line(dossier)),
            ("teacher", teacher or "none yet"),
            ("traffic", f"{sum(t.rows for t in dossier.traffic):,} rows in {len(dossier.traffic)} files"),
            ("data set", _data_line(dossier)),
            ("maintenance", _maintenance(row)),
            *_evaluated(dossier),
        ]
    )
    for facts in dossier.sign_offs:
        yield from _facts([("sign-off", sign_off_line(dossier, facts))])


def _gate_line(dossier: PlayDossier) -> str:
    row = dossier.gate_row
    if row is None:
        return "none yet"
    if row.locked_at is None:
        return "a draft"
    return f"locked {row.locked_at} by {row.locked_by}, {short(row.digest)}"


def _counts(data: entities.DataSet, part: str = "") -> dict[str, Any]:
    return stored(data.counts, f"the count of data set {data.id}", part)


def _data_line(dossier: PlayDossier) -> str:
    data = dossier.data_set
    if data is None:
        return "none yet in this round"
    splits = ", ".join(f"{name} {rows:,}" for name, rows in _counts(data, "splits").items())
    return f"{splits}; {f'frozen {data.frozen_at}' if data.frozen_at else 'a draft'}, {short(data.digest)}"


def _maintenance(row: entities.Play) -> str:
    if row.sampling_per_month is None or row.refresh_days is None:
        return "not set"
    return f"{row.sampling_per_month:,} calls sampled per month, a refresh every {row.refresh_days} days"


def _evaluated(dossier: PlayDossier) -> Iterator[tuple[str, str]]:
    """Yield the verdict, quality and, of a cost play, savings; never one without the other."""
    held = f"the gate is {'held' if dossier.passed else 'not held'}"
    yield "evaluation", held if dossier.judgements else "none in this round"
    found = headline.of(dossier)
    yield "quality", found.quality
    if dossier.play.kind is PlayKind.COST:
        yield "savings", found.savings


def sign_off_line(dossier: PlayDossier, facts: SignOffFacts) -> str:
    row = facts.row
    troubles = [o.sentence for o in sign_off_troubles(dossier, facts)]
    counts = " ".join(troubles) if troubles else "It counts."
    key = f"; {facts.revoked}" if facts.revoked else ""
    how = f"{row.assurance.value}{key}, {row.recorded_at}"
    return f"{row.person_id} {row.opinion.value}s ({how}): “{row.comment}”. {counts}"


def decided(dossier: PlayDossier) -> Iterator[sections.Line]:
    """Yield who locked, built, signed and shipped, as lines of a report."""
    row = dossier.gate_row
    if row is not None and row.locked_at:
        yield sections.Line(f"{row.locked_by} locked the gate on {row.locked_at[:10]} ({short(row.digest)}).")
    for person, acts in sorted(dossier.builders.items()):
        yield sections.Line(f"{person} built: {', '.join(acts).replace('_', ' ')}.")
    for facts in dossier.sign_offs:
        yield sections.Line(sign_off_line(dossier, facts))
    for bundle in dossier.bundles:
        yield sections.Line(f"{bundle.shipped_by} shipped bundle {short(bundle.digest)} on {bundle.shipped_at[:10]}.")
    if not dossier.sign_offs:
        yield sections.Line("Not signed off.", "look")


def next_step(dossier: PlayDossier, step: Action | None, reasons: Sequence[Objection]) -> Iterator[str]:
    code = dossier.code
    if step is None:
        yield f"{code} has no next step."
        return
    waits = waits_for(dossier)
    yield visible(f"{step.sentence}{f' Waits for {waits}.' if waits else ''}")
    yield command_line(step, code)
    yield from (visible(f"Not yet: {reason.sentence}") for reason in reasons)


def command_line(action: Action, code: str) -> str:
    return f"{PROGRAM} {action.command} {code} {action.arguments.format(code=code)}".rstrip()


# --- worksheet and gate ----------------------------------------------------------------------------------------------


def worksheet(dossier: PlayDossier, *, plain: bool = False) -> Iterator[str]:
    rows, currency = [], dossier.project.currency
    for question in (*economics.WORKSHEET[dossier.play.kind], *economics.BESIDES[dossier.play.kind]):
        value = dossier.worksheet.get(question.name)
        required = question in economics.WORKSHEET[dossier.play.kind]
        source = value.source if value else f"{'' if required else 'optional, '}for example {question.example}"
        rows.append(
            (question.name, value.value if value else "–", question.unit_in(currency), question.sentence, source)
        )
    yield from table(("NUMBER", "VALUE", "UNIT", "QUESTION", "SOURCE"), rows, plain=plain)
    yield ""
    reasons = list(trigger(dossier))
    yield from [visible(reason.sentence) for reason in reasons] or ["The trigger holds."]
    yield from alternatives.sentences(worksheet_numbers(dossier), dossier.project.currency)


def gate(dossier: PlayDossier, *, plain: bool = False) -> Iterator[str]:
    if dossier.gate_trouble:
        yield visible(dossier.gate_trouble)
    if dossier.gate is None:
        return
    is_ = dossier.gate
    yield from _facts(
        [
            ("gate", _gate_line(dossier)),
            ("statement", is_.statement or "–"),
            ("confidence", f"{is_.confidence} of the whole gate over {is_.rounds} rounds"),
            ("held-out", f"{is_.held_out_rows:,} rows; validation share {is_.validation_share}, seed {is_.seed}"),
            ("window", f"{is_.window_from or 'any'} to {is_.window_to or 'any'}"),
            ("baseline", baseline_name(is_, dossier.play.task)),
            ("assurance", f"{is_.minimum_assurance.value} or stronger"),
            *([("sent back", deferral.asked(is_))] if is_.deferral is not None else []),
            *([("predecessor", is_.predecessor)] if is_.predecessor else []),
        ]
    )
    yield ""
    yield from table(("CRITERION", "HOLDS WHEN", "COUNTS"), [_criterion(each) for each in is_.criteria], plain=plain)
    if note := tasks.of(dossier.play.task).metrics_note:
        yield note
    for sentence in () if dossier.locked else tasks.gate_problems(is_, dossier.play.kind, dossier.play.task):
        yield visible(f"Cannot be locked: {sentence}")


def _criterion(each: Criterion) -> tuple[str, str, str]:
    bar = each.threshold if each.reference is Reference.NONE else each.margin
    if each.reference is not Reference.NONE:
        ahead = f"ahead by {-bar}" if bar else "ahead"
        bound = f"within {bar} of the {each.reference.value}" if bar is None or bar > 0 else ahead
    else:
        bound = f"{'at least' if each.at_least else 'at most'} {bar}"
    return each.words, bound, "binding" if each.binding else (f"no: {each.watch_only}" if each.watch_only else "yes")


# --- data, runs, log -------------------------------------------------------------------------------------------------


def data(dossier: PlayDossier, *, every: bool = False, plain: bool = False) -> Iterator[str]:
    """Print the data set: findings by what they cost the verdict, one kind in one line unless `every`; then counts."""
    row = dossier.data_set
    if row is None:
        yield "There is no data set in this round yet."
        return
    counts = _counts(row)
    yield f"Round {row.round}: {_data_line(dossier)}"
    yield from _findings(dossier, every)
    if dossier.play.teacher_source:
        yield from (visible(f"! {objection.sentence}") for objection in terms_unclear(dossier))
    yield ""
    cells = [(c.get("split"), c.get("segment"), c.get("label"), c.get("rows")) for c in counts.get("cells", ())]
    yield from table(("SPLIT", "SEGMENT", "GOLD", "ROWS"), cells, plain=plain)
    yield ""
    tally = counts.get("tally", {})
    yield from (visible(f"{name.replace('_', ' ')}: {value:,}") for name, value in tally.items() if value)
    for name, factor in (counts.get("weights") or {}).items():
        yield visible(f"weight of training rows {name.removesuffix(' / ?')}: {factor}")


def _findings(dossier: PlayDossier, every: bool) -> Iterator[str]:
    found = findings(dossier)
    folds = [Fold(each.id, (each,)) for each in found] if every else folded(found)
    for fold in folds:
        state = f"accepted: {fold.accepted}" if fold.accepted else fold.level.value
        yield visible(f"! {fold.name} ({state}): {fold.says}")
    if len(folds) < len(found):
        yield f"{len(found):,} findings in {len(folds):,} lines; --all writes out each."


def runs(found: Sequence[entities.Run], *, plain: bool = False) -> list[str]:
    head = ("RUN", "PLAY", "ROUND", "KIND", "STATUS", "STEP", "VALIDATION", "STARTED", "BY", "MESSAGE")
    rows = [
        (
            run.id,
            f"P-{run.play_id:03d}",
            run.round,
            run.kind.value,
            run.status.value,
            f"{run.step}/{run.total}" if run.total else run.step,
            _score(run),
            run.created_at,
            run.started_by,
            run.error or run.message,
        )
        for run in found
    ]
    return table(head, rows, plain=plain)


def _score(run: entities.Run) -> str:
    finished = run.kind is RunKind.TRAIN and run.status is RunStatus.FINISHED
    return result_of(TrainResult, run).shown if finished else DASH


_RUN_COLUMNS = (
    *("round", "kind", "status", "step", "total", "message", "error", "started_by", "created_at", "claimed_at"),
    *("heartbeat_at", "ended_at", "student_run", "artifact"),
)


def run_json(run: entities.Run) -> dict[str, object]:
    values = {name: getattr(run, name) for name in _RUN_COLUMNS}
    read = {name: stored(getattr(run, name), f"the {name} of run {run.id}") for name in ("spec", "result")}
    return {"run": run.id, "play": f"P-{run.play_id:03d}"} | values | read


def progress(run: entities.Run, rate: float | None) -> str:
    """Print how a run stands in one line: how far, how fast, how long it still takes, and what it does."""
    parts = [f"run {run.id} {run.kind.value} {run.status.value}"]
    unit, done = pace.unit(run.kind), pace.share(run)
    if run.kind in OF_DATA:  # its message counts the rows of each phase
        parts += [done] if done else []
    elif run.total and run.kind in pace.EVEN:
        parts.append(f"{unit.removesuffix('s')} {run.step:,}/{run.total:,} ({done})")
    elif run.total:
        parts.append(f"part {run.step:,}/{run.total:,}")
    elif run.step:
        parts.append(f"{unit.removesuffix('s')} {run.step:,}")
    if rate and run.status is RunStatus.RUNNING and not pace.at_its_end(run):
        parts.append(f"{rate:,.1f} {unit}/s" if rate < 100 else f"{rate:,.0f} {unit}/s")
    left = pace.left(run, rate)
    parts += [left] if left else []
    if run.error or run.message:
        parts.append(run.error or run.message)
    return visible(" · ".join(parts))


def log(entries: Sequence[entities.AuditEntry], *, plain: bool = False) -> list[str]:
    rows = [
        (
            entry.seq,
            entry.at,
            entry.person_id or "–",
            entry.proof,
            entry.action.value,
            f"P-{entry.play_id:03d}" if entry.play_id else "–",
            entry.detail,
        )
        for entry in entries
    ]
    return table(("ENTRY", "WHEN", "WHO", "PROVED BY", "ACTION", "PLAY", "DETAIL"), rows, plain=plain)


# --- evaluation and sign-off -----------------------------------------------------------------------------------------


def evaluation(found: Review | None, *, every: bool = True, plain: bool = False) -> Iterator[str]:
    if found is None:
        yield "There is no evaluation in this round yet."
        return
    seen, passed = found.evaluation, "PASSED" if found.passed else "NOT PASSED"
    yield f"{passed}: run {seen.run_id}, {seen.recorded_at}, {short(seen.record)}"
    yield from parts(sections.of(found), every=every, plain=plain)


def parts(found: Iterable[Section], *, every: bool = True, plain: bool = False) -> Iterator[str]:
    """Print sections: a title, its sentences, its table, of a long one the first rows unless `every`."""
    for section in found:
        yield ""
        yield visible(f"{section.title}{f' ({section.note})' if section.note else ''}:")
        yield from (_marked(line.text, line.word) for line in section.lines)
        if section.rows:
            rows = section.shown(every=every)
            yield from table([column.title.upper() for column in section.columns], rows, plain=plain)
            if len(rows) < len(section.rows):
                yield f"and {len(section.rows) - len(rows):,} more; --all lists them"


def judgements(found: Iterable[Judgement]) -> Iterator[str]:
    return (_marked(line.text, line.word) for line in sections.folded(found))


def _marked(text: str, word: str) -> str:
    return visible(f"{MARKS[Verdict(word)]} {word:<10} {text}" if word in _VERDICTS else text)


def evaluation_json(found: Review | None) -> dict[str, object]:
    """Return a review in counts and rates; the held-out rows themselves stay sealed."""
    if found is None:
        return {"evaluation": None}
    values = dataclasses.asdict(found)
    for name in ("play", "locked", "people", "gate", "labels", "task", "numbers", "reasons", "more_rows", "seeds"):
        del values[name]
    return values | {
        "judgements": [judgement_json(each) for each in found.judgements],
        "controls": [line.text for line in sections.worth(found).lines],
        "subjects": [{**dataclasses.asdict(each), "p95_ms": each.p95_ms} for each in found.costs],
        "advice": {"advice": found.advice.value, "reasons": list(found.reasons)},
    }


def judgement_json(each: Judgement) -> dict[str, object]:
    criterion = dataclasses.asdict(each.criterion) | {"words": each.criterion.words}
    return dataclasses.asdict(each) | {"criterion": criterion, "sentence": each.sentence}


def to_judge(dossier: PlayDossier, items: Sequence[play_data.ToJudge]) -> Iterator[str]:
    """Print answers for a blind check, without their authors, and how to judge them."""
    for number, each in enumerate(items, 1):
        yield visible(f"{number}. {' '.join(each.text.split())}")
        yield visible(f"   a  {each.item.a}")
        yield visible(f"   b  {each.item.b}")
        yield ""
    yield "Judge each: a, b, both or neither are right; where both are the same: both or neither."
    yield f"  {PROGRAM} spotcheck {dossier.play.code} 1=both 2=a … {len(items)}=neither"


def to_sign(dossier: PlayDossier, seen: str, reasons: Sequence[Objection]) -> Iterator[str]:
    """Print what a sign-off covers, and the commands that sign or reject it."""
    code = dossier.code
    yield "A sign-off covers exactly this:"
    for name, value in covers(dossier).items():
        yield visible(f"  {name + ':':<12} {value if isinstance(value, str | int) else json.dumps(value)}")
    yield ""
    yield from judgements(dossier.judgements)
    yield ""
    yield from (visible(f"Not yet: {reason.sentence}") for reason in reasons)
    if reasons:
        return
    yield "To sign exactly that:"
    yield f"  {PROGRAM} sign {code} --approve -m TEXT --seen {seen} --key FILE"
    yield f"  {PROGRAM} reject {code} -m TEXT --seen {seen} --key FILE"
    yield "Without --key the sign-off is proved by your OS account only."
