"""The ship that was signed, in the bundle: who put the student into service, checked without the project.

It is about the student and the sign-off, not about the bundle, so it can stand in the bundle and its manifest. Who
ships without a key leaves none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from distill_tui.digests import digest_of
from distill_tui.people import signatures, statements
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection
from distill_tui.terms import StatementKind

STATEMENT, SIGNATURE, SIGNERS = "ship.json", "ship.sig", "ship_signers"
VERIFY = """
5. The ship is signed by a key of {signer}'s, and is about this sign-off.

       ssh-keygen -Y verify -f ship_signers -I {signer} -n {namespace} -s ship.sig < ship.json
       digest=$(sha256sum < sign_off.json | cut -c 1-64)
       if grep -q "$digest" ship.json; then echo "ship.json: of this sign-off"; else echo "ship.json: CHANGED"; fi
"""


def files(dossier: PlayDossier, content: bytes, signature: str) -> dict[str, bytes]:
    """Give the files that the ship is checked by, and what VERIFY.md says of them under its own name."""
    found = signatures.verify(content, signature, signatures.SHIP)
    row = next(key for key in dossier.project.keys if key.fingerprint == found.fingerprint)
    signers = signatures.allowed_signers(
        [(row.person_id, signatures.PublicKey(row.kind, row.blob))], (signatures.SHIP,)
    )
    return {STATEMENT: content, SIGNATURE: signature.encode(), SIGNERS: signers.encode()}


def by_hand(content: bytes) -> str:
    """Write the part of VERIFY.md about it."""
    return VERIFY.format(
        signer=statements.read(content, StatementKind.SHIP)["predicate"]["signer"], namespace=signatures.SHIP
    )


def check(folder: Path, facts: dict[str, str], owners: dict[str, str], signed_off_by: str) -> Iterator[Objection]:
    """Check a ship that was signed: whose key by the roster, about which sign-off, and not by who gave that."""
    there = [name for name in (STATEMENT, SIGNATURE, SIGNERS) if (folder / name).is_file()]
    if not there:
        return
    if len(there) < 3:
        yield Objection("bundle.ship", f"Of the ship there is only {' and '.join(there)} in this bundle.")
        return
    content = (folder / STATEMENT).read_bytes()
    try:
        statement = statements.read(content, StatementKind.SHIP)
        found = signatures.verify(content, (folder / SIGNATURE).read_text(), signatures.SHIP)
    except signatures.BadSignature as error:
        yield Objection("bundle.ship", f"The ship: {error}")
        return
    who = str(statement["predicate"].get("signer"))
    facts["shipped by"] = f"{who}, signed with {found.fingerprint}"
    if owners.get(found.fingerprint) != who:
        yield Objection("bundle.ship", f"The key that signed the ship is not {who}'s by the roster of this bundle.")
    if who == signed_off_by:
        yield Objection("bundle.ship", f"{who} shipped on their own sign-off.")
    about = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    model = str(json.loads((folder / "sign_off.json").read_bytes())["subject"][0]["digest"]["sha256"])
    sign_off = digest_of((folder / "sign_off.json").read_bytes()).removeprefix("sha256:")
    if about != {"student": model, "sign_off": sign_off}:
        yield Objection("bundle.ship", "The ship in this bundle is of another student or another sign-off.")
