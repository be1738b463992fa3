"""What is signed: in-toto Statements in canonical JSON, one kind for each meaning. Pure.

The bytes that were signed are stored and shipped as they are. Reading rejects everything that is not exactly the
canonical form, so that one statement has one text and reads the same for everyone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from distill_tui.digests import canonical
from distill_tui.people import signatures
from distill_tui.people.keys import BadSignature
from distill_tui.terms import Opinion, StatementKind

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
LONGEST = 1_000_000  # bytes; the project file refuses more, too
NAMESPACES = {
    StatementKind.SIGN_OFF: signatures.SIGN_OFF,
    StatementKind.WITHDRAWAL: signatures.WITHDRAWAL,
    StatementKind.GATE: signatures.GATE,
    StatementKind.ROSTER: signatures.ROSTER,
    StatementKind.SHIP: signatures.SHIP,
    StatementKind.DECISION: signatures.DECISION,
    StatementKind.OBJECTION: signatures.OBJECTION,
}
MEANING: dict[Opinion | StatementKind, str] = {
    Opinion.APPROVE: "I independently reviewed this student against its locked gate and accept its quality for launch.",
    Opinion.REFUSE: "I independently reviewed this student against its locked gate and do not accept it for launch.",
    StatementKind.WITHDRAWAL: "I take back the sign-off or refusal that is named here.",
    StatementKind.GATE: "I lock this gate: it defines what success means in this play, and never changes.",
    StatementKind.ROSTER: (
        "These persons hold these roles in this play, and these accounts and keys are theirs alone."
    ),
    StatementKind.DECISION: "I decide what is named here, in this project.",
    StatementKind.OBJECTION: "I object to this student staying in service, for the reason that is given here.",
    StatementKind.SHIP: "I put this student into service, on the sign-off that is named here.",
}


def write(
    kind: StatementKind,
    subject: Mapping[str, str],
    *,
    signer: str,
    role: str,
    meaning: Opinion | StatementKind,
    audit_size: int,
    audit_head: str,
    issued: str,
    **more: object,
) -> bytes:
    """Write an in-toto Statement v1: its subjects' digests, what it means, who made it, when, and the log's head."""
    predicate: dict[str, object] = {
        "signer": signer,
        "role": role,
        "meaning": MEANING[meaning],
        "audit": {"size": audit_size, "head": audit_head},
        "issued": issued,
        **more,
    }
    about = [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subject.items()]
    return canonical(
        {"_type": STATEMENT_TYPE, "subject": about, "predicateType": predicate_type(kind), "predicate": predicate}
    )


def sign_off(
    covers: Mapping[str, object],
    criteria: Sequence[Mapping[str, str]],
    *,
    opinion: Opinion,
    comment: str,
    **who_and_when: Any,
) -> bytes:
    """Write a sign-off: what was reviewed, the verdicts of the gate, and the opinion."""
    return write(
        StatementKind.SIGN_OFF,
        {"student": str(covers["model"])},
        role="validator",
        meaning=opinion,
        covers=dict(covers),
        criteria=[dict(each) for each in criteria],
        opinion=opinion,
        comment=comment,
        **who_and_when,
    )


def predicate_type(kind: StatementKind) -> str:
    return f"urn:distill-tui:{kind}:v1"


def read(content: bytes, kind: StatementKind) -> dict[str, Any]:
    """Read the exact bytes of a statement of one kind. Raises BadSignature."""
    if len(content) > LONGEST:
        raise BadSignature(f"The statement is longer than {LONGEST:,} bytes.")
    try:
        value = json.loads(content)
        same = canonical(value) == content
    except (ValueError, TypeError, RecursionError):
        raise BadSignature("The statement is not canonical JSON.") from None
    if not same or not isinstance(value, dict):
        raise BadSignature("The statement is not canonical JSON.")
    if value.get("_type") != STATEMENT_TYPE or value.get("predicateType") != predicate_type(kind):
        raise BadSignature(f"This is not a {kind} statement of a known version.")
    predicate = value.get("predicate")
    if not isinstance(predicate, dict) or not isinstance(predicate.get("audit"), dict):
        raise BadSignature("The statement does not name a head of the audit log.")
    return value


def read_sign_off(content: bytes) -> dict[str, Any]:
    """Read a sign-off; its meaning must be the sentence of its opinion. Raises BadSignature."""
    value = read(content, StatementKind.SIGN_OFF)
    predicate = value["predicate"]
    if not isinstance(predicate.get("covers"), dict):
        raise BadSignature("The statement has no `covers` field.")
    opinion = predicate.get("opinion")
    if opinion not in list(Opinion) or predicate.get("meaning") != MEANING[Opinion(opinion)]:
        raise BadSignature("The statement has no opinion, or its meaning is not the sentence of its opinion.")
    model = str(predicate["covers"].get("model")).removeprefix("sha256:")
    if value.get("subject") != [{"digest": {"sha256": model}, "name": "student"}]:
        raise BadSignature("The statement's subject is not the student that it covers.")
    return value
