"""Below the board: the selected play in five lines, with its one next step and why it cannot be taken yet. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap

from textual.content import Content

from distill_tui import economics, rules
from distill_tui.rules import Actor, Dossier
from distill_tui.terms import PlayKind, Role
from distill_tui.ui import show


@dataclass(frozen=True)
class Figures:
    """Quality and savings of a play, as far as they are known."""

    student: float | None = None
    teacher: float | None = None
    baseline: float | None = None
    on: str = "validation"  # the split that quality was measured on
    saves: Decimal | None = None
    payback: Decimal | None = None
    measured: bool = False  # savings from the student's measured cost; else they are what it saves at most


def figures(dossier: Dossier) -> Figures:
    """Work out quality and savings: of the evaluation where there is one, else of the best student so far."""
    record = dossier.record
    per_1k, measured = Decimal(0), False
    prices = _prices(dossier)
    if record is None:
        best = next(iter(rules.trained(dossier)), None)
        score = json.loads(best.result).get("validation_score") if best is not None else None
        saves = economics.monthly_saving(prices, per_1k) if prices else None
        return Figures(student=float(score) if score is not None else None, saves=saves)
    times = [time for run in record.latency_us.get("student", ()) for time in run]
    if times and prices:
        mean = Decimal(sum(times)) / len(times)
        per_1k, measured = economics.student_cost_per_1k(mean, prices.machine_price_per_hour), True
    return Figures(
        student=_right(record.student, record.gold, record.teacher),
        teacher=_right(record.teacher, record.gold, record.teacher),
        baseline=_right(record.baseline, record.gold, record.teacher),
        on="held-out",
        saves=economics.monthly_saving(prices, per_1k) if prices else None,
        payback=economics.payback_months(prices, per_1k) if prices and measured else None,
        measured=measured,
    )


def _prices(dossier: Dossier) -> economics.Prices | None:
    try:
        return economics.Prices.from_values(rules.worksheet_numbers(dossier))
    except ValueError:
        return None


def _right(said: Sequence[int], gold: Sequence[int], teacher: Sequence[int]) -> float | None:
    """Share of rows answered right: by gold where there is any, else by the teacher. None without answers."""
    truth = gold if any(label >= 0 for label in gold) else teacher
    pairs = [(s, t) for s, t in zip(said, truth, strict=False) if t >= 0 and s >= 0]
    return sum(s == t for s, t in pairs) / len(pairs) if pairs else None


def worth(found: Figures, kind: PlayKind) -> list[str]:
    """Say quality, and beside it for a cost play the savings."""
    dash = show.glyph("dash")
    quality = f"quality ({found.on})  student {show.percent(found.student)}"
    if found.teacher is not None:
        quality += f"  teacher {show.percent(found.teacher)}  baseline {show.percent(found.baseline)}"
    if kind is not PlayKind.COST:
        return [quality]
    if found.saves is None:
        return [quality, f"saves {dash}"]
    saves = f"saves {'' if found.measured else 'at most '}{show.money(found.saves)}/month"
    if found.payback is not None:
        saves += f", pays back in {float(found.payback):.1f} months"
    return [quality, saves]


def next_step(dossier: Dossier, actor: Actor) -> tuple[str, str]:
    """Say what comes next, and why this person cannot do it where that is so."""
    action = rules.next_step(dossier)
    if action is None:
        return "", ""
    reasons = rules.objections(action, dossier, actor)
    more = f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return action.sentence.rstrip("."), f"{reasons[0].sentence}{more}" if reasons else ""


def shell_twin(dossier: Dossier) -> str:
    """Give the command that does the next step."""
    action = rules.next_step(dossier)
    play = dossier.play
    if play is None:
        return ""
    return f"distill-tui {action.command if action else 'show'} {play.code}"


def lines(dossier: Dossier, actor: Actor, last_event: str, width: int, *, wide: bool) -> list[Content]:
    """Give the preview in at most five lines: what it is and is worth, what comes next, why not, and the command."""
    play = dossier.play
    if play is None:
        return []
    dot = f" {show.glyph('dot')} "
    head = Content.assemble(" ", (f"{play.code} {show.visible(play.name)}", "bold"), dot, dot.join(_title(dossier)))
    does, blocked = next_step(dossier, actor)
    found = [head]
    if wide:
        found.append(_labelled("worth", dot.join(worth(figures(dossier), play.kind))))
    step = Content.assemble(("a", "bold $accent"), f" {does}") if does else Content("nothing is due")
    found.append(Content.assemble((f"   {'next step':<12}", "$tone-muted"), step))
    if blocked:
        found += _blocked(blocked, width, lines=1 if wide else 2)
    event = f"{dot}last: {show.visible(last_event)}" if last_event and wide else ""
    found.append(_labelled("CLI", f"{shell_twin(dossier)}{event}"))
    return found


def _labelled(label: str, text: str) -> Content:
    return Content.assemble((f"   {label:<12}", "$tone-muted"), text)


def _blocked(sentence: str, width: int, lines: int) -> list[Content]:
    """Wrap the reason into so many lines; what is cut is on the play's own screen."""
    room = max(20, width - 18)
    wrapped = wrap(show.visible(sentence), room)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], show.clip(" ".join(wrapped[lines - 1 :]), room)]
    first = Content.assemble(("   blocked     ", "$tone-muted"), (f"{show.mark('look')} ", "$tone-warn"), wrapped[0])
    return [first, *(Content(" " * 17 + line) for line in wrapped[1:])]


def _title(dossier: Dossier) -> list[str]:
    play = dossier.play
    assert play is not None
    words = [play.kind.value, f"driver {dossier.roles.get(Role.DRIVER, show.glyph('dash'))}"]
    words.append(f"{play.stage.value} for {show.ago(play.stage_since)}")
    if play.round > 1:
        words.append(f"round {play.round}")
    if dossier.gate_row is not None and dossier.gate_row.locked_at and dossier.gate_row.digest:
        digest = dossier.gate_row.digest.removeprefix("sha256:")[:8]
        words.append(f"gate locked {dossier.gate_row.locked_at[:10]} ({digest})")
    waits = rules.waits_for(dossier)
    return [show.visible(word) for word in (*words, *([f"waits for {waits}"] if waits else []))]
