"""The mode of a play's gateway, as an entry of the audit log has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from distill_tui.rules.entities import AuditEntry
from distill_tui.rules.requests import AUDIT_SHARE, ServeMode
from distill_tui.terms import Action, KeptContent, OnObjection, ServingMode, TeacherFault

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True)
class Serving:
    """What was set, when and by whom; `fell_back` where a gateway did it, with its reason."""

    mode: ServingMode
    percent: int  # of requests that the student answers, in a canary
    content: KeptContent
    audit_share: Decimal  # of the student's requests that the teacher answers too
    on_fault: TeacherFault
    bundle: int  # that was live when the mode was set; 0: none
    feed: int  # the newest feed at that moment; 0: none
    reason: str
    fell_back: bool
    person: str
    at: str
    seq: int  # of the log entry
    on_objection: OnObjection = OnObjection.FALL_BACK

    @property
    def words(self) -> str:
        """The mode for a line: with its share, where it has one."""
        return f"{self.mode.value} {self.percent}%" if self.mode is ServingMode.CANARY else self.mode.value

    def kept(self, mode: ServingMode) -> ServeMode:
        """Return the request for a mode in which all other settings stay."""
        percent = self.percent if mode is self.mode else 0
        how = self.content, self.audit_share, self.on_fault, "", self.on_objection
        return ServeMode(mode, percent, *how)


def detail(asked: ServeMode, bundle: int, feed: int) -> dict[str, object]:
    """Write what the log keeps of a mode."""
    return {
        "mode": asked.mode.value,
        "percent": asked.percent,
        "content": asked.content.value,
        "audit_share": str(asked.audit_share),
        "on_fault": asked.on_fault.value,
        "on_objection": asked.on_objection.value,
        "bundle": bundle,
        "feed": feed,
        "reason": asked.reason,
    }


def from_entry(entry: AuditEntry) -> Serving:
    """Read an entry; whatever it lacks, or another program wrote, is read as the careful choice."""
    try:
        found = json.loads(entry.detail)
    except (ValueError, RecursionError):
        found = {}
    values = found if isinstance(found, Mapping) else {}

    def number(name: str) -> int:
        value = values.get(name)
        return value if isinstance(value, int) else 0

    return Serving(
        mode=_word(ServingMode, values.get("mode"), ServingMode.SUSPENDED),
        percent=number("percent"),
        content=_word(KeptContent, values.get("content"), KeptContent.DIGESTS),
        audit_share=_share(values.get("audit_share")),
        on_fault=_word(TeacherFault, values.get("on_fault"), TeacherFault.FAIL),
        on_objection=_word(OnObjection, values.get("on_objection"), OnObjection.FALL_BACK),
        bundle=number("bundle"),
        feed=number("feed"),
        reason=str(values.get("reason") or ""),
        fell_back=entry.action is Action.FALL_BACK,
        person=entry.person_id or "",
        at=entry.at,
        seq=entry.seq,
    )


def _word(kind: type[Word], value: object, otherwise: Word) -> Word:
    return next((word for word in kind if word.value == value), otherwise)


def _share(value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return AUDIT_SHARE
