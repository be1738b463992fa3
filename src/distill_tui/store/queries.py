"""The questions that screens and commands ask. Plain values out; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from distill_tui import gates
from distill_tui.people import log_heads
from distill_tui.rules import entities, spot_checks
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import answers_to_judge
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.entities import AuditEntry, Run, RunPoint
from distill_tui.rules.results import label_result
from distill_tui.rules.spot_checks import Item
from distill_tui.store import audit_log
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.rows import first, select
from distill_tui.terms import Action, RunStatus, Split

if TYPE_CHECKING:
    from distill_tui.dataset.browse import Rows
    from distill_tui.dataset.duplicates import Pair
    from distill_tui.dataset.repeats import Repeats
    from distill_tui.dataset.window import Measured, TokenPrices


def find_play(project: Project, word: str) -> int:
    """Find a play by its code (P-007), its number or its name. Raises ProjectError with what there is."""
    with project.view() as connection:
        plays = connection.execute("SELECT id, name FROM play ORDER BY id").fetchall()
    for number, name in plays:
        if word in (str(number), name) or word.upper() in (f"P-{number:03d}", f"P-{number}"):
            return int(number)
    known = ", ".join(f"P-{number:03d} {name}" for number, name in plays[:20]) or "none yet"
    raise ProjectError(f"There is no play “{word}”; there are: {known}.")


def entries(project: Project, play_id: int | None = None, last: int | None = None) -> list[AuditEntry]:
    """Read audit entries, oldest first: of one play or of all, and only the last so many."""
    which = "WHERE play_id = ?" if play_id is not None else "WHERE ? IS NULL"
    with project.view() as connection:
        found = select(
            connection, AuditEntry, f"{which} ORDER BY seq DESC LIMIT ?", play_id, -1 if last is None else last
        )
    return list(reversed(found))


def untrustworthy(project: Project) -> list[str]:
    """Return what is wrong in any play: tables that differ from the log, and signed statements that do not hold."""
    found: list[str] = []
    for play in plays(project):
        dossier = project.dossier(play, thorough=True)
        troubles = [dossier.project.audit_trouble, dossier.gate_trouble]
        troubles += [facts.trouble for facts in dossier.sign_offs] + [facts.trouble for facts in dossier.statements]
        found += [trouble for trouble in troubles if trouble and trouble not in found]
    return found


def plays(project: Project) -> list[int]:
    with project.view() as connection:
        return [int(number) for (number,) in connection.execute("SELECT id FROM play ORDER BY id")]


def look_back(project: Project) -> str:
    """Return a sentence where the log does not continue what this account saw of it; else remember where it ends."""
    with project.view() as connection:
        last = first(connection, AuditEntry, "ORDER BY seq DESC")
        row = first(connection, entities.Project)
        if last is None or row is None:
            return ""
        before, now = log_heads.seen(row.uid), log_heads.Head(last.seq, last.digest)
        then = audit_log.head(connection, before.size) if before else None
    trouble = log_heads.trouble(row.uid, now, then)
    if not trouble and before != now:
        log_heads.remember(row.uid, now)
    return trouble


def log_since(project: Project, after: int, size: int) -> list[list[Any]]:
    """Return the entries after one up to another: the fields that their digests cover, and the digest of each."""
    with project.view() as connection:
        found = select(connection, AuditEntry, "WHERE seq > ? AND seq <= ? ORDER BY seq", after, size)
    return [[*audit_log.entry_fields(each), each.digest] for each in found]


def run(project: Project, run_id: int) -> Run | None:
    with project.view() as connection:
        return first(connection, Run, "WHERE id = ?", run_id)


def curve(project: Project, run_id: int) -> list[RunPoint]:
    """Return the points of a run's curve, in order."""
    with project.view() as connection:
        return list(select(connection, RunPoint, "WHERE run_id = ? ORDER BY step", run_id))


_ACTIVE = f"status IN ({', '.join(repr(status.value) for status in RunStatus if status.active)})"


def active_runs(project: Project) -> list[Run]:
    """Return the runs that a worker has, or is about to have."""
    with project.view() as connection:
        return list(select(connection, Run, f"WHERE {_ACTIVE}"))


def jobs(project: Project, last: int) -> list[tuple[Run, str]]:
    """Return the last runs of all plays with the play's code and name: the active ones first, then the newest."""
    with project.view() as connection:
        found = select(connection, Run, f"ORDER BY {_ACTIVE} DESC, id DESC LIMIT ?", last)
        names = dict(connection.execute("SELECT id, name FROM play"))
    return [(each, f"P-{each.play_id:03d} {names[each.play_id]}") for each in found]


@dataclass(frozen=True)
class ToJudge:
    """Two answers for a validator to judge blind, with the input that they were given to."""

    item: Item
    text: str


def answers_to_draw(dossier: PlayDossier, wanted: int = 0) -> int:
    """How many answers a validator is shown: what they want, or the gate where that is more; else ten."""
    return max(wanted, answers_to_judge(dossier)) or 10


def to_judge(project: Project, play_id: int, actor: Actor, count: int) -> list[ToJudge]:
    """Draw answers for this validator, with their held-out inputs. Raises Refused for anybody else."""
    from distill_tui.dataset import frozen

    dossier = project.ask_first(Action.SPOT_CHECK, play_id, actor)
    assert dossier.record is not None and dossier.data_set is not None and actor.person is not None
    trouble = project.artifacts.trouble(dossier.data_set.artifact)
    if trouble:
        raise ProjectError(trouble)
    items = spot_checks.draw(dossier.record, actor.person, count)
    rows = frozen.load(project.artifacts.path(dossier.data_set.artifact), Split.HELD_OUT)
    texts = dict(zip(rows.rows.tolist(), rows.inputs, strict=True))
    return [ToJudge(item, texts.get(item.row, "")) for item in items]


def window(
    project: Project, play_id: int, *, days: int = 90, prices: TokenPrices | None = None
) -> tuple[Measured, dict[str, str]]:
    """Measure a play's traffic; gives what was found, and the numbers of its worksheet that follow. Raises BadInput."""
    from distill_tui.dataset import window as windows
    from distill_tui.gates import economics
    from distill_tui.rounds import variations

    dossier = project.dossier(play_id)
    calls = [traffic for traffic in dossier.traffic if not variations.taken(traffic)]  # what was written is no call
    files = [project.artifacts.path(traffic.artifact) for traffic in calls]
    measured = windows.measure(files, days=days, prices=prices)
    asked = {question.name for question in economics.WORKSHEET[dossier.play.kind]}
    return measured, {name: f"{n:f}" for name, n in windows.worksheet(measured).items() if name in asked}


def repeats(project: Project, dossier: PlayDossier) -> Repeats | None:
    """Measure how often the teacher of the traffic agrees with itself, for a gate that does not say; else None.

    A local teacher or an endpoint did not write what the traffic holds, so nothing is known of it.
    """
    from distill_tui.dataset import repeats as repeated

    play, gate = dossier.play, dossier.gate
    if play is None or play.teacher_source.computes or dossier.locked:
        return None
    if gate is not None and gate.teacher_agreement is not None:
        return None
    return repeated.measure([project.artifacts.path(traffic.artifact) for traffic in dossier.traffic])


def draft(gate: gates.Gate, found: Repeats | None) -> str:
    """Write a draft gate as the TOML to edit, with what was measured of the teacher where it was."""
    if found is None:
        return gates.to_toml(gate)
    measured = replace(gate, teacher_agreement=found.share)
    return f"# teacher_agreement is measured. {found.sentence}\n{gates.to_toml(measured)}"


def rows(project: Project, play_id: int) -> Rows:
    """Give this round's rows to look through, held-out rows left out. Raises ProjectError, BadInput."""
    from distill_tui.dataset import browse

    data = project.dossier(play_id).data_set
    if data is None:
        raise ProjectError("There is no data set in this round yet; `data build` makes one.")
    return browse.Rows(project.artifacts.path(data.artifact))


def ledger(project: Project, play_id: int) -> dict[str, Any]:
    """Say what a play's teacher was asked, and what its cache saved: inputs not asked again, and their price."""
    from distill_tui.rounds import variations
    from distill_tui.teachers import cache

    dossier = project.dossier(play_id)
    paid = variations.paid(project.artifacts.folder, dossier)
    labels = cache.ledger(project.artifacts.folder, dossier.play.teacher_digest)
    runs = [label_result(run) for run in dossier.runs]
    hits = sum(run.cached for run in runs if run is not None)
    each = paid.money / paid.calls if paid.calls else Decimal(0)
    return {
        "teacher": dossier.play.teacher_name,
        "calls": paid.calls,
        "tokens_in": paid.tokens_in,
        "tokens_out": paid.tokens_out,
        "money": f"{paid.money:.6f}",
        "unread": labels.unread,
        "cache_hits": hits,
        "money_not_spent": f"{each * hits:.6f}",
    }


MOST_PAIRED = 20_000  # rows among which pairs at the border are looked for


def border(project: Project, play_id: int, around: float) -> tuple[list[Pair], list[str], int]:
    """Find pairs at the border of near duplicates in this round's data set, held-out rows left out.

    Gives the pairs, the texts that they number, and how many rows were looked at. Raises ProjectError.
    """
    from distill_tui.dataset import duplicates, frozen
    from distill_tui.terms import Split

    data = project.dossier(play_id).data_set
    if data is None:
        raise ProjectError("There is no data set in this round yet; `data build` makes one.")
    path = project.artifacts.path(data.artifact)
    rows = (row for row in frozen.stored(path) if row["split"] != Split.HELD_OUT)
    texts = [row["input"] for row in islice(rows, MOST_PAIRED)]
    return duplicates.border(texts, around), texts, len(texts)
