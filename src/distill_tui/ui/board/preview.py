"""Below the board: the selected play in five lines, with its one next step and why it cannot be taken yet. Pure."""

from __future__ import annotations

from textwrap import wrap

from textual.content import Content

from distill_tui.reports import text as report
from distill_tui.review import headline
from distill_tui.rules import next_step as next_step_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import waits_for
from distill_tui.rules.permission import objections
from distill_tui.terms import Role
from distill_tui.ui.widgets import show


def next_step(dossier: PlayDossier, actor: Actor) -> tuple[str, str]:
    """Return what comes next, and why this person cannot do it where that is so."""
    action = next_step_rules.next_step(dossier)
    if action is None:
        return "", ""
    reasons = objections(action, dossier, actor)
    more = f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return action.sentence.rstrip("."), f"{reasons[0].sentence}{more}" if reasons else ""


def shell_twin(dossier: PlayDossier) -> str:
    """Return the command that does the next step, or shows the play where nothing is due."""
    action, play = next_step_rules.next_step(dossier), dossier.play
    return report.command_line(action, play.code) if action else f"{report.PROGRAM} show {play.code}"


def lines(dossier: PlayDossier, actor: Actor, last_event: str, width: int, *, wide: bool) -> list[Content]:
    """Return the preview in at most five lines: what it is and is worth, what comes next, why not, and the command."""
    play = dossier.play
    dot = f" {show.glyph('dot')} "
    head = Content.assemble(" ", (f"{play.code} {show.visible(play.name)}", "bold"), dot, dot.join(_title(dossier)))
    does, blocked = next_step(dossier, actor)
    found = [head]
    if wide:
        found.append(_labelled("worth", dot.join(headline.of(dossier).lines(play.kind))))
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
