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
from distill_tui.gates import economics
from distill_tui.gates.gate import Criterion
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.wording import percent
from distill_tui.review import deferral, headline, sections
from distill_tui.rules.data import findings
from distill_tui.rules.decide import covers, sign_off_troubles
from distill_tui.rules.dossier import SignOffFacts
from distill_tui.rules.gate import terms_unclear, trigger
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
    head = ("ID", "PLAY", "KIND", "STAGE", "ROUND", "STATE", "WAITS FOR", "QUALITY", "SAVES PER MONTH")
    rows = [
        (
            card.code,
            card.name,
            card.kind.value,
            card.stage.value,
            card.round,
            card.state[1],
            card.waits_for or "–",
            percent(card.quality),
            "–" if card.saves is None else f"≤ {card.saves:,.2f}",
        )
        for card in found
    ]
    return table(head, rows, plain=plain)


def card_json(card: Card) -> dict[str, Any]:
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
        "validation_quality": card.quality,
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
    return f"{row.person_id} {row.opinion.value}s ({row.assurance.value}, {row.recorded_at}): “{row.comment}”. {counts}"


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
    rows = []
    for question in (*economics.WORKSHEET[dossier.play.kind], *economics.BESIDES[dossier.play.kind]):
        value = dossier.worksheet.get(question.name)
        required = question in economics.WORKSHEET[dossier.play.kind]
        source = value.source if value else f"{'' if required else 'optional, '}for example {question.example}"
        rows.append((question.name, value.value if value else "–", question.unit, question.sentence, source))
    yield from table(("NUMBER", "VALUE", "UNIT", "QUESTION", "SOURCE"), rows, plain=plain)
    yield ""
    reasons = list(trigger(dossier))
    yield from [visible(reason.sentence) for reason in reasons] or ["The trigger holds."]


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
            ("baseline", is_.baseline),
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


def data(dossier: PlayDossier, *, plain: bool = False) -> Iterator[str]:
    row = dossier.data_set
    if row is None:
        yield "There is no data set in this round yet."
        return
    counts = _counts(row)
    yield f"Round {row.round}: {_data_line(dossier)}"
    yield ""
    cells = [(c.get("split"), c.get("segment"), c.get("label"), c.get("rows")) for c in counts.get("cells", ())]
    yield from table(("SPLIT", "SEGMENT", "GOLD", "ROWS"), cells, plain=plain)
    yield ""
    tally = counts.get("tally", {})
    yield from (visible(f"{name.replace('_', ' ')}: {value:,}") for name, value in tally.items() if value)
    for name, factor in (counts.get("weights") or {}).items():
        yield visible(f"weight of training rows {name.removesuffix(' / ?')}: {factor}")
    for each in findings(dossier):
        state = f"accepted: {each.accepted}" if each.accepted else each.level.value
        yield visible(f"! {each.id} ({state}): {each.says}")
    if dossier.play.teacher_source:
        yield from (visible(f"! {objection.sentence}") for objection in terms_unclear(dossier))


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
            percent(_score(run)),
            run.created_at,
            run.started_by,
            run.error or run.message,
        )
        for run in found
    ]
    return table(head, rows, plain=plain)


def _score(run: entities.Run) -> float | None:
    finished = run.kind is RunKind.TRAIN and run.status is RunStatus.FINISHED
    return result_of(TrainResult, run).validation_score if finished else None


_RUN_COLUMNS = (
    *("round", "kind", "status", "step", "total", "message", "error", "started_by", "created_at", "claimed_at"),
    *("heartbeat_at", "ended_at", "student_run", "artifact"),
)


def run_json(run: entities.Run) -> dict[str, Any]:
    values = {name: getattr(run, name) for name in _RUN_COLUMNS}
    read = {name: stored(getattr(run, name), f"the {name} of run {run.id}") for name in ("spec", "result")}
    return {"run": run.id, "play": f"P-{run.play_id:03d}"} | values | read


def progress(run: entities.Run, rate: float | None) -> str:
    """Print how a run stands in one line: step, rate, time left."""
    parts = [f"run {run.id} {run.kind.value} {run.status.value}"]
    if run.total:
        parts.append(f"step {run.step:,}/{run.total:,} ({100 * run.step / run.total:.0f}%)")
    elif run.step:
        parts.append(f"step {run.step:,}")
    even = run.kind in (RunKind.TRAIN, RunKind.LABEL, *OF_DATA)  # the steps of an evaluation take different times
    if rate and even and run.status is RunStatus.RUNNING:
        parts.append(f"{rate:,.1f} steps/s")
        if run.total:
            parts.append(f"{_duration((run.total - run.step) / rate)} left")
    if run.error or run.message:
        parts.append(run.error or run.message)
    return visible(" · ".join(parts))


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 5400 else f"{whole / 3600:.1f} h"


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


def evaluation(found: Review | None, *, plain: bool = False) -> Iterator[str]:
    if found is None:
        yield "There is no evaluation in this round yet."
        return
    seen, passed = found.evaluation, "PASSED" if found.passed else "NOT PASSED"
    yield f"{passed}: run {seen.run_id}, {seen.recorded_at}, {short(seen.record)}"
    for section in sections.of(found):
        yield ""
        yield visible(f"{section.title}{f' ({section.note})' if section.note else ''}:")
        yield from (_marked(line.text, line.word) for line in section.lines)
        if section.rows:
            yield from table([column.title.upper() for column in section.columns], section.rows, plain=plain)


def judgements(found: Iterable[Judgement]) -> Iterator[str]:
    return (_marked(line.text, line.word) for line in map(sections.judgement, found))


def _marked(text: str, word: str) -> str:
    return visible(f"{MARKS[Verdict(word)]} {word:<10} {text}" if word in _VERDICTS else text)


def evaluation_json(found: Review | None) -> dict[str, Any]:
    """Return a review in counts and rates; the held-out rows themselves stay sealed."""
    if found is None:
        return {"evaluation": None}
    values = dataclasses.asdict(found)
    for name in ("play", "locked", "people", "gate", "labels", "task", "numbers", "reasons", "more_rows"):
        del values[name]
    return values | {
        "judgements": [judgement_json(each) for each in found.judgements],
        "controls": [line.text for line in sections.worth(found).lines],
        "subjects": [{**dataclasses.asdict(each), "p95_ms": each.p95_ms} for each in found.costs],
        "advice": {"advice": found.advice.value, "reasons": list(found.reasons)},
    }


def judgement_json(each: Judgement) -> dict[str, Any]:
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
