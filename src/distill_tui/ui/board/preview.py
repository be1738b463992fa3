"""Below the board: the selected play in five lines, with its one next step and why it cannot be taken yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from textwrap import wrap

from textual.content import Content

from distill_tui import gates
from distill_tui.gates import economics
from distill_tui.reports import text as report
from distill_tui.rules import next_step as next_step_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.next_step import waits_for
from distill_tui.rules.permission import objections
from distill_tui.rules.training import trained
from distill_tui.terms import PlayKind, Role
from distill_tui.ui.widgets import show


@dataclass(frozen=True)
class Figures:
    """Quality and savings of a play, as far as they are known."""

    measure: str = "quality"  # accuracy against gold, agreement with the teacher, or the score on validation rows
    student: float | None = None
    teacher: float | None = None
    baseline: float | None = None
    saves: Decimal | None = None
    payback: Decimal | None = None
    measured: bool = False  # savings by the student's measured cost; else what it saves at most

    @property
    def on(self) -> str:
        """The split that quality was measured on."""
        return "held-out" if self.measure in ("accuracy", "agreement") else "validation"


def figures(dossier: PlayDossier) -> Figures:
    """Work out quality and savings: of the evaluation where there is one, else of the best student so far."""
    record, prices = dossier.record, _prices(dossier)
    if record is None:
        best = next(iter(trained(dossier)), None)
        found = show.read(best.result).get("validation_score") if best is not None else None
        score = found if isinstance(found, int | float) else None
        measure = "quality" if score is None else "validation score"
        saves = economics.monthly_saving(prices, Decimal(0)) if prices else None
        return Figures(measure, student=None if score is None else float(score), saves=saves)
    if dossier.gate is not None:  # what is served, where the gate sends some requests back
        back = gates.handed_back(dossier.gate, record)
        prices = replace(prices, fallback_share=back) if prices is not None and back is not None else prices
    served = record if dossier.gate is None else gates.together(dossier.gate, record)
    rates, measure = gates.segment_rates(served)[0], "accuracy"
    student, teacher, baseline = map(_share, (rates.student, rates.teacher, rates.baseline))
    if student is None:
        measure, student, teacher, baseline = "agreement", _share(rates.agreement), None, None
    per_1k = _student_cost(record, prices) if prices else None
    return Figures(
        measure,
        student,
        teacher,
        baseline,
        saves=economics.monthly_saving(prices, per_1k or Decimal(0)) if prices else None,
        payback=economics.payback_months(prices, per_1k) if prices and per_1k is not None else None,
        measured=per_1k is not None,
    )


def _share(rate: gates.Rate | None) -> float | None:
    return None if rate is None else rate.share


def _prices(dossier: PlayDossier) -> economics.Prices | None:
    try:
        return economics.Prices.from_values(worksheet_numbers(dossier))
    except ValueError:
        return None


def _student_cost(record: gates.Record, prices: economics.Prices) -> Decimal | None:
    """Say what 1,000 answers of the student cost by its timed runs; None where none was timed."""
    times = [time for run in record.latency_us.get("student", ()) for time in run]
    if not times:
        return None
    return economics.student_cost_per_1k(Decimal(sum(times)) / len(times), prices.machine_price_per_hour)


def worth(found: Figures, kind: PlayKind) -> list[str]:
    """Say quality, and beside it for a cost play the savings."""
    quality = f"{found.measure}  student {show.percent(found.student)}"
    if found.teacher is not None:
        quality += f"  teacher {show.percent(found.teacher)}"
    if found.baseline is not None:
        quality += f"  baseline {show.percent(found.baseline)}"
    if kind is not PlayKind.COST:
        return [quality]
    if found.saves is None:
        return [quality, f"saves {show.glyph('dash')}"]
    saves = f"saves {'' if found.measured else 'at most '}{show.money(found.saves)} a month"
    if found.payback is not None:
        saves += f", pays back in {float(found.payback):.1f} months"
    return [quality, saves]


def next_step(dossier: PlayDossier, actor: Actor) -> tuple[str, str]:
    """Say what comes next, and why this person cannot do it where that is so."""
    action = next_step_rules.next_step(dossier)
    if action is None:
        return "", ""
    reasons = objections(action, dossier, actor)
    more = f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return action.sentence.rstrip("."), f"{reasons[0].sentence}{more}" if reasons else ""


def shell_twin(dossier: PlayDossier) -> str:
    """Give the command that does the next step, or shows the play where nothing is due."""
    action, play = next_step_rules.next_step(dossier), dossier.play
    return report.command_line(action, play.code) if action else f"{report.PROGRAM} show {play.code}"


def lines(dossier: PlayDossier, actor: Actor, last_event: str, width: int, *, wide: bool) -> list[Content]:
    """Give the preview in at most five lines: what it is and is worth, what comes next, why not, and the command."""
    play = dossier.play
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


def _title(dossier: PlayDossier) -> list[str]:
    play = dossier.play
    words = [play.kind.value, f"driver {dossier.roles.get(Role.DRIVER, show.glyph('dash'))}"]
    words.append(f"{play.stage.value} for {show.ago(play.stage_since)}")
    if play.round > 1:
        words.append(f"round {play.round}")
    if dossier.gate_row is not None and dossier.gate_row.locked_at and dossier.gate_row.digest:
        digest = dossier.gate_row.digest.removeprefix("sha256:")[:8]
        words.append(f"gate locked {dossier.gate_row.locked_at[:10]} ({digest})")
    waits = waits_for(dossier)
    return [show.visible(word) for word in (*words, *([f"waits for {waits}"] if waits else []))]
