"""What the served log gives back: captured calls for `import`, and the audit channel's pairs for `observe`.

A place in the log is remembered for each use, so that nothing is taken twice. What was sent back to the teacher because
the student was unsure is not a fair sample: `import` takes none of it, and `observe` only what the digest chose.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from distill_tui import actions
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.serving import served_log
from distill_tui.store.gateway import IMPORT as IMPORT
from distill_tui.store.gateway import OBSERVE as OBSERVE
from distill_tui.store.gateway import TAKEN, place
from distill_tui.store.project import Project
from distill_tui.terms import Route, ServingMode

PREVIEW = "preview"
_PLAIN = ("segment", "group", "time", "cost", "latency_ms", "tokens_in", "tokens_out")


@dataclass
class Taken:
    """The rows that were taken out of a served log, as a file, and why others were not."""

    path: Path
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # by reason
    _until: tuple[int, int] = (0, 0)

    def says(self) -> str:
        """Describe what was left out, for a message; empty for nothing."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.most_common())


@contextmanager
def taken(folder: Path, use: str) -> Iterator[Taken]:
    """Write what is new for a use into a file of its own; the place is remembered where the block ends well."""
    with tempfile.TemporaryDirectory() as scratch:
        found = Taken(Path(scratch) / f"gateway-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl")
        with found.path.open("w", encoding="utf-8") as file:
            for found._until, record in served_log.read(folder, place(folder, IMPORT if use == PREVIEW else use)):
                row = _for_observe(record, found) if use == OBSERVE else _for_import(record, found)
                if row is not None:
                    file.write(json.dumps(row) + "\n")
                    found.rows += 1
        yield found
        if found._until > (0, 0) and use != PREVIEW:
            _remember(folder, use, found._until)


def _for_import(record: Mapping[str, object], found: Taken) -> dict[str, object] | None:
    """Return a call as a log of chats has it; None for what the teacher did not answer, or not as a fair sample."""
    if record.get("kind") != "request" or record.get("route") != Route.TEACHER:
        return None
    if record.get("why") == "unsure":
        found.left_out["sent back by the student: no fair sample"] += 1
        return None
    answer = record.get("teacher_text", record.get("teacher_output"))
    if record.get("status") != 200 or not isinstance(answer, str):
        found.left_out["without a whole answer"] += 1
        return None
    messages = record.get("messages") or [{"role": "user", "content": record.get("input")}]
    if record.get("input") is None and not record.get("messages"):
        found.left_out["without text, which the log does not keep"] += 1
        return None
    plain = {name: record[name] for name in _PLAIN if name in record}
    said = {"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return {"messages": messages, "choices": [said], "model": record.get("model", "")} | plain


def _for_observe(record: Mapping[str, object], found: Taken) -> dict[str, object] | None:
    """Return a pair of the audit channel: of what the student answered, of what it sent back, or of a shadow.

    The digest chose each, whatever was done with it. Without what was sent back the sample would be of the inputs that
    the student is sure of, and these differ from the inputs at the gate.
    """
    sent_back = record.get("why") == "unsure" or record.get("mode") == ServingMode.SHADOW
    if record.get("kind") != "audit" and not (record.get("kind") == "request" and record.get("audited") and sent_back):
        return None
    if not isinstance(record.get("input"), str) or not isinstance(record.get("teacher_output"), str):
        found.left_out["without text, which the log does not keep"] += 1
        return None
    wanted = ("input", "teacher_output", "segment", "group", "time")
    return {name: record[name] for name in wanted if name in record}


def _remember(folder: Path, use: str, until: tuple[int, int]) -> None:
    known: dict[str, object] = {}
    with suppress(OSError, ValueError):
        known = json.loads((folder / TAKEN).read_text(encoding="utf-8"))
    making = folder / f".{TAKEN}"
    making.write_text(json.dumps(known | {use: list(until)}), encoding="utf-8")
    making.replace(folder / TAKEN)


@dataclass(frozen=True)
class Captured:
    """What a gateway captured since the last import, and the run that imports it."""

    rows: int = 0
    run: int = 0  # 0: none
    waits: str = ""  # why the calls wait for `import --from-gateway`


def refresh(
    project: Project, play_id: int, code: str, actor: Actor, reason: str, *, since: str = "", days: int | None = None
) -> Captured:
    """Open a refresh and import what the gateway captured since the last import. Raises Refused.

    What the student answered is not among it, and what it sent back neither. A refresh that is open stays open where
    the import is refused: the calls wait.
    """
    actions.refresh(project, play_id, actor, reason, since=since, days=days)
    return capture(project, play_id, code, actor)


def capture(project: Project, play_id: int, code: str, actor: Actor) -> Captured:
    """Import what the gateway captured since the last import, by the play's own mapping; what is refused waits."""
    rows = 0
    try:
        with taken(served_log.folder_of(project.path, code), IMPORT) as found:
            rows = found.rows
            run = actions.import_traffic(project, play_id, actor, found.path, moves=True) if rows else 0
            return Captured(rows, run)
    except (Refused, ValueError) as error:
        return Captured(rows, 0, str(error))


def pass_over(project: Project, code: str) -> None:
    """Count the pairs as taken: those of a shadow before the first ship are dated too early for any watch."""
    with taken(served_log.folder_of(project.path, code), OBSERVE):
        pass


def observe(project: Project, play_id: int, code: str, actor: Actor) -> tuple[int, int]:
    """Hand new pairs of the audit channel to `observe`; return how many, and the run. Raises Refused."""
    with taken(served_log.folder_of(project.path, code), OBSERVE) as found:
        if not found.rows:
            return 0, 0
        return found.rows, actions.observe(project, play_id, actor, found.path, name="audit channel of the gateway")
