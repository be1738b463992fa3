"""A drift alarm as people and programs get it: in a terminal, by a command, by a webhook, in a feed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import answer_to_alarm
from distill_tui.terms import Role


@dataclass(frozen=True)
class Alarm:
    """What is to be known of a play whose student drifted."""

    project: str
    play: str
    name: str
    standing: str
    bundle: int
    feed: int
    at: str  # when it was recorded
    since: str  # the day on which the drift began; empty where it is not known
    what: str  # what drifted, in one line
    why: str  # what the next step rests on
    next: str  # the command
    operator: str

    @property
    def text(self) -> str:
        """Everything in one line."""
        return f"{self.play} {self.name}: drift alarm. {self.why} {self.what} Next: {self.next}".replace("  ", " ")


def alarm_of(dossier: PlayDossier) -> Alarm | None:
    """Return the alarm of the current watch as it stands; None where no student is live or nothing was observed."""
    live, watch, drift = dossier.live, dossier.watch, dossier.drift
    if live is None or watch is None:
        return None
    step, why = answer_to_alarm(dossier)
    return Alarm(
        project=dossier.project.name,
        play=dossier.code,
        name=dossier.play.name,
        standing=watch.standing.value,
        bundle=live.id,
        feed=watch.feed_id,
        at=watch.recorded_at,
        since=drift.since if drift is not None else "",
        what=drift.line if drift is not None else "",
        why=why,
        next=f"distill-tui {step.command} {dossier.code} {step.arguments.format(code=dossier.code)}".strip(),
        operator=dossier.roles.get(Role.OPERATOR, ""),
    )
