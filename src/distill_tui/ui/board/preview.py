"""Below the board: the selected play in five lines, with its one next step and why it cannot be taken yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from distill_tui.reports import text as report
from distill_tui.review import headline
from distill_tui.rules import entities
from distill_tui.rules import next_step as next_step_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.card import is_under_way
from distill_tui.rules.dossier import PlayDossier, read_object
from distill_tui.rules.next_step import waits_for
from distill_tui.rules.permission import objections
from distill_tui.store import gateway, queries
from distill_tui.terms import Action, Role
from distill_tui.ui import act_as
from distill_tui.ui.play.log_tab import action_words
from distill_tui.ui.widgets import show

if TYPE_CHECKING:
    from distill_tui.store.project import Project


def next_step(dossier: PlayDossier, actor: Actor) -> tuple[str, str]:
    """Return what comes next, and why this person cannot do it where that is so."""
    action = next_step_rules.next_step(dossier)
    if action is None:
        return "", ""
    reasons = objections(action, dossier, actor)
    more = f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return action.sentence.rstrip("."), f"{reasons[0].sentence}{more}" if reasons else ""


def shell_twin(dossier: PlayDossier, actor: Actor) -> str:
    """Return the command that does the next step, or shows the play where nothing is due.

    A person in a session over SSH has no shell on the host, so theirs is one for their own machine.
    """
    action, play = next_step_rules.next_step(dossier), dossier.play
    if actor.over_ssh:
        return elsewhere(action, play.code, actor.address)
    return report.command_line(action, play.code) if action else f"{report.PROGRAM} show {play.code}"


def elsewhere(action: Action | None, code: str, address: str) -> str:
    """Return the command on one's own machine: a signature is made there, anything else in another session."""
    host = address or "ssh://HOST"
    if action in (Action.SIGN_OFF, Action.REFUSE):
        opinion = "approve" if action is Action.SIGN_OFF else "refuse"
        return f"{report.PROGRAM} sign --via {host} {code} --{opinion} -m TEXT --key FILE"
    return f"ssh -t {host}"


@dataclass(frozen=True)
class Preview:
    """The selected play as it was loaded, and what happened to it last."""

    dossier: PlayDossier
    last_event: str = ""
    served: str = ""  # what its gateway does now

    def twin(self, actor: Actor) -> str:
        return shell_twin(self.dossier, actor)

    def lines(self, actor: Actor, width: int, *, wide: bool, keys: dict[str, Path]) -> list[Content]:
        """Return at most five lines: what it is and is worth, what comes next, why not, and the command.

        `keys` are those of a practice project: with one of them the person may take the next step.
        """
        play, dossier = self.dossier.play, self.dossier
        dot = f" {show.glyph('dot')} "
        name, words = f"{play.code} {show.visible(play.name)}", _title(dossier)
        while len(words) > 1 and cell_len(dot.join((name, *words))) > width - 2:
            words = words[:-1]  # a date that is cut shows nothing
        head = Content.assemble(" ", (name, "bold"), dot, dot.join(words))
        does, blocked = next_step(dossier, actor)
        found = [head]
        if wide:
            worth = headline.of(dossier).lines(play.kind)
            found.append(_labelled("worth", dot.join([*worth, *([f"gateway {self.served}"] if self.served else [])])))
        step = Content.assemble(("a", "bold $accent"), f" {does}") if does else Content("nothing is due")
        found.append(Content.assemble((f"   {'next step':<12}", "$tone-muted"), step))
        if blocked:
            found += _blocked(blocked, width, lines=1 if wide else 2)
        event = f"{dot}last: {show.visible(self.last_event)}" if self.last_event and wide else ""
        practice = act_as.hint(keys, actor, waits_for(dossier))
        if practice:
            found.append(Content.assemble(" " * 15, (practice, "bold $accent"), (event, "$tone-muted")))
        else:
            found.append(_labelled("CLI", f"{self.twin(actor)}{event}"))
        return found


def load(project: Project, play: int) -> Preview:
    entries = queries.entries(project, play, last=1)
    events = (f"{each.at[5:16].replace('T', ' ')} {each.person_id or ''} {_event(each)}" for each in entries)
    dossier = project.dossier(play)
    now = gateway.read(project.path, dossier.code)
    served = f"{now.per_minute:,}/min, {now.words}" if now is not None and now.running else ""
    return Preview(dossier, " ".join(events), served)


def _event(entry: entities.AuditEntry) -> str:
    """Return what an entry of the log is about; of a comment, its text."""
    text = read_object(entry.detail).get("text") if entry.action is Action.COMMENT else None
    return f"“{text}”" if text else action_words(entry.action)


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
    busy = any(is_under_way(play.stage, run.status) for run in dossier.runs)
    waits = None if busy else waits_for(dossier)
    if waits:
        words.append(f"waits for {waits}")
    if dossier.gate_row is not None and dossier.gate_row.locked_at and dossier.gate_row.digest:
        digest = dossier.gate_row.digest.removeprefix("sha256:")[:8]
        words.append(f"gate locked {dossier.gate_row.locked_at[:10]} ({digest})")
    return [show.visible(word) for word in words]
