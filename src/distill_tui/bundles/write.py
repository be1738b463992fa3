"""Write a bundle: the student, its gate, evaluation and sign-off, under one manifest of SHA-256 digests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_tui import tasks
from distill_tui.bundles.verify import (
    FORMAT,
    MANIFEST,
    ROSTER,
    SHIP,
    SHIP_SIGNATURE,
    SHIP_SIGNERS,
    SPOT_CHECK,
    SUMS,
    evaluation_json,
)
from distill_tui.digests import canonical, folder_manifest
from distill_tui.gates.record import CERTAIN
from distill_tui.gates.written import to_json, to_toml
from distill_tui.people import signatures, statements
from distill_tui.people.keys import PublicKey
from distill_tui.reports import model_card
from distill_tui.rules import entities
from distill_tui.rules import who as who_rules
from distill_tui.rules.decide import counted_spot_check
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.results import TrainResult
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import result_of, stored_list
from distill_tui.terms import StatementKind, TeacherSource

HEADING = "# Checking this bundle by hand\n"
VERIFY = """# Checking this bundle by hand

With `ssh-keygen`, `sha256sum` and a shell, in this folder:

1. The sign-off is signed by a key of {signer}'s that `allowed_signers` holds:

       ssh-keygen -Y verify -f allowed_signers -I {signer} -n {namespace} -s sign_off.sig < sign_off.json

2. The key is really {signer}'s. No bundle can prove that: compare its fingerprint with the one that {signer} or the
   keeper of the roster sends you in another way.

       {fingerprint}

3. What was signed is what is here: the sign-off names these files by their SHA-256.

       for f in gate.json model.json roster.json records/*.json; do
         digest=$(sha256sum < "$f" | cut -c 1-64)
         if grep -q "sha256:$digest" sign_off.json; then echo "$f: signed"; else echo "$f: CHANGED"; fi
       done

4. The student's files are those that `model.json` names, and every other file is whole.

       for f in model/*; do
         digest=$(sha256sum < "$f" | cut -c 1-64)
         line="\\"${{f#model/}}\\":\\"sha256:$digest\\""
         if grep -qF "$line" model.json; then echo "$f: signed"; else echo "$f: CHANGED"; fi
       done
       sha256sum --check --strict --quiet SHA256SUMS

`distill-tui verify .` does all of this, finds files that were added, and computes every verdict of the gate again.
"""
VERIFY_SHIP = """
5. The ship is signed by a key of {signer}'s, and is about this sign-off.

       ssh-keygen -Y verify -f ship_signers -I {signer} -n {namespace} -s ship.sig < ship.json
       digest=$(sha256sum < sign_off.json | cut -c 1-64)
       if grep -q "$digest" ship.json; then echo "ship.json: of this sign-off"; else echo "ship.json: CHANGED"; fi
"""


def write_bundle(
    folder: Path,
    artifacts: Artifacts,
    dossier: PlayDossier,
    signed: SignOffFacts,
    log: Sequence[Any],
    ship: tuple[bytes, str] | None = None,
) -> None:
    """Write the bundle of a play into a new folder, with the ship's statement and signature where there are any."""
    evaluation, gate = dossier.evaluation, dossier.gate
    assert evaluation and gate
    folder.mkdir()
    _link_tree(artifacts.path(evaluation.model), folder / "model")
    files = {
        "gate.toml": to_toml(gate).encode(),
        "gate.json": to_json(gate).encode(),
        "model.json": canonical(folder_manifest(folder / "model")),
        ROSTER: canonical(who_rules.roster(dossier)),
        "sign_off.json": bytes(signed.row.statement),
        "recipe.json": canonical(_recipe(artifacts, dossier)),
        "evaluation.json": canonical(evaluation_json(dossier.judgements)),
        "MODEL_CARD.md": model_card.model_card(dossier, signed).encode(),
        "log.jsonl": b"".join(canonical(_entry(entry)) + b"\n" for entry in log),
    }
    for each in dossier.round_evaluations:
        files[f"records/{each.record.removeprefix('sha256:')}.json"] = artifacts.path(each.record).read_bytes()
    counted = counted_spot_check(dossier)
    if counted is not None:
        files[SPOT_CHECK] = counted.content.encode()
    by_hand = ""
    if signed.row.signature is not None:
        who, statement = signed.row.person_id, bytes(signed.row.statement)
        key, allowed = _signers(dossier, statement, signed.row.signature, signatures.SIGN_OFF, who)
        files |= {"sign_off.sig": signed.row.signature.encode(), "allowed_signers": allowed}
        by_hand = VERIFY.format(signer=who, namespace=signatures.SIGN_OFF, fingerprint=key)
    if ship is not None:
        content, signature = ship
        who = statements.read(content, StatementKind.SHIP)["predicate"]["signer"]
        _, allowed = _signers(dossier, content, signature, signatures.SHIP)
        files |= {SHIP: content, SHIP_SIGNATURE: signature.encode(), SHIP_SIGNERS: allowed}
        by_hand = (by_hand or HEADING) + VERIFY_SHIP.format(signer=who, namespace=signatures.SHIP)
    if by_hand:
        files["VERIFY.md"] = by_hand.encode()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    sums = "".join(f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in folder_manifest(folder).items())
    (folder / SUMS).write_text(sums)
    manifest = {"format": FORMAT, "files": folder_manifest(folder)}
    (folder / MANIFEST).write_bytes(canonical(manifest))


def _recipe(artifacts: Artifacts, dossier: PlayDossier) -> dict[str, object]:
    """Return what trains the judged student again: its spec, data, teacher and labels."""
    play, evaluation, gate, data = dossier.play, dossier.evaluation, dossier.gate, dossier.data_set
    assert evaluation and gate and data
    run = dossier.run(evaluation.run_id)
    recipe: dict[str, object] = {
        "format": "distill-tui recipe 1",
        "spec": run.spec if run else "",
        "rung": result_of(TrainResult, run).rung if run else "",
        "data": data.digest,
        "teacher": play.teacher_digest or play.teacher_source,
        "labels": stored_list(data.labels, f"the labels of data set {data.id}", str),
    }
    if play.teacher_source is TeacherSource.PROMPTED and not tasks.of(play.task).has_labels:
        recipe["asked"] = artifacts.text(play.teacher_digest)  # a student that learns its probabilities depends on it
    if gate.deferral is not None and dossier.record is not None:
        recipe["deferred_below"] = f"{dossier.record.deferred_below / CERTAIN:.4f}"
    return recipe


def _link_tree(source: Path, target: Path) -> None:
    """Copy a folder by hard links where the file system has them; artifacts are never edited in place."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            there = target / path.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, there)
            except OSError:
                there.write_bytes(path.read_bytes())


def _signers(
    dossier: PlayDossier, content: bytes, signature: str, namespace: str, person: str | None = None
) -> tuple[str, bytes]:
    """Return the fingerprint of the key that signed, and the allowed_signers file that a signature is checked by."""
    found = signatures.verify(content, signature, namespace)
    row = next(key for key in dossier.project.keys if key.fingerprint == found.fingerprint)
    key = PublicKey(row.kind, row.blob)
    return found.fingerprint, signatures.allowed_signers([(person or row.person_id, key)], (namespace,)).encode()


def _entry(entry: entities.AuditEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "person": entry.person_id or "",
        "proof": entry.proof,
        "action": entry.action.value,
        "play": entry.play_id or 0,
        "detail": entry.detail,
        "previous": entry.previous,
        "digest": entry.digest,
    }
