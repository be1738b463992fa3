"""Write a bundle: the student, its gate, evaluation and sign-off, under one manifest of SHA-256 digests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from distill_tui import tasks
from distill_tui.bundles.by_hand import by_hand
from distill_tui.bundles.verify import (
    BY_HAND,
    FORMAT,
    LOG,
    MANIFEST,
    ROSTER,
    SHIP,
    SHIP_SIGNATURE,
    SHIP_SIGNERS,
    SPOT_CHECK,
    SUMS,
    content_digest,
    evaluation_json,
)
from distill_tui.dataset.traces import call_mapping
from distill_tui.digests import canonical, digest_of, folder_manifest
from distill_tui.gates.record import CERTAIN
from distill_tui.gates.written import to_json, to_toml
from distill_tui.people import signatures, statements
from distill_tui.people.keys import PublicKey
from distill_tui.reports import model_card
from distill_tui.rules import entities
from distill_tui.rules import who as who_rules
from distill_tui.rules.decide import counted_spot_check
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.results import DataCounts, TrainResult
from distill_tui.store import audit_log
from distill_tui.store.artifacts import Artifacts, folder_names
from distill_tui.store.json_columns import read, result_of, stored_list
from distill_tui.terms import StatementKind, TeacherSource


def write_content(
    folder: Path, artifacts: Artifacts, dossier: PlayDossier, signed: SignOffFacts, log: Sequence[entities.AuditEntry]
) -> str:
    """Write all of a bundle but the ship and what is computed of all files; return the digest that a ship signs."""
    evaluation = dossier.evaluation
    assert evaluation
    folder.mkdir()
    _copy_tree(artifacts.path(evaluation.model), folder / "model")
    for name, content in texts(folder, artifacts, dossier, signed, log).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return content_digest(folder)


def texts(
    folder: Path, artifacts: Artifacts, dossier: PlayDossier, signed: SignOffFacts, log: Sequence[entities.AuditEntry]
) -> dict[str, bytes]:
    """Return every file of a bundle's content but the model's: name → bytes. The model's copy is there already.

    The log ends at the last head that a signature covers.
    """
    gate, play = dossier.gate, dossier.play
    assert gate
    files = {
        "gate.toml": to_toml(gate).encode(),
        "gate.json": to_json(gate).encode(),
        "model.json": canonical(folder_manifest(folder / "model")),
        ROSTER: canonical(who_rules.roster(dossier)),
        "sign_off.json": bytes(signed.row.statement),
        "recipe.json": canonical(_recipe(artifacts, dossier)),
        "evaluation.json": canonical(evaluation_json(dossier.judgements)),
        "MODEL_CARD.md": model_card.model_card(dossier, signed).encode(),
        LOG: b"".join(canonical(_entry(entry, play.id)) + b"\n" for entry in log),
    }
    for each in dossier.round_evaluations:
        files[f"records/{each.record.removeprefix('sha256:')}.json"] = artifacts.path(each.record).read_bytes()
    counted = counted_spot_check(dossier)
    if counted is not None:
        files[SPOT_CHECK] = counted.content.encode()
    if signed.row.signature is not None:
        who, statement = signed.row.person_id, bytes(signed.row.statement)
        _, allowed = _signers(dossier, statement, signed.row.signature, signatures.SIGN_OFF, who)
        files |= {"sign_off.sig": signed.row.signature.encode(), "allowed_signers": allowed}
    return files


def seal(folder: Path, dossier: PlayDossier, signed: SignOffFacts, ship: tuple[bytes, str] | None) -> None:
    """Add the ship's statement and signature where there are any, how to check by hand, the sums and the manifest."""
    files, signer, key, shipper = dict[str, bytes](), "", "", ""
    if signed.row.signature is not None:
        signer, statement = signed.row.person_id, bytes(signed.row.statement)
        key, _ = _signers(dossier, statement, signed.row.signature, signatures.SIGN_OFF, signer)
    if ship is not None:
        content, signature = ship
        shipper = statements.read(content, StatementKind.SHIP)["predicate"]["signer"]
        _, allowed = _signers(dossier, content, signature, signatures.SHIP)
        files |= {SHIP: content, SHIP_SIGNATURE: signature.encode(), SHIP_SIGNERS: allowed}
    if signer or shipper:
        files[BY_HAND] = by_hand(signer, key, shipper).encode()
    for name, content in files.items():
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
        "task": play.task.value,
        "labels": stored_list(data.labels, f"the labels of data set {data.id}", str),
    }
    calls = call_mapping.of_traffic(each.mapping for each in dossier.traffic)
    if calls is not None:
        recipe["calls"] = calls.to_json()  # how a gateway makes the student's input of a request
    counted = read(DataCounts, data.counts, f"the count of data set {data.id}")
    if counted.names:
        recipe["names"] = dict(counted.names)
    if play.teacher_source is TeacherSource.PROMPTED and not tasks.of(play.task).has_labels:
        recipe["asked"] = artifacts.text(play.teacher_digest)  # a student that learns its probabilities depends on it
    if gate.deferral is not None and dossier.record is not None:
        recipe["deferred_below"] = f"{dossier.record.deferred_below / CERTAIN:.4f}"
    return recipe


def _copy_tree(source: Path, target: Path) -> None:
    """Copy the plain files of a folder. No link: a bundle must not change with the artifact."""
    for name in folder_names(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _signers(
    dossier: PlayDossier, content: bytes, signature: str, namespace: str, person: str | None = None
) -> tuple[str, bytes]:
    """Return the fingerprint of the key that signed, and the allowed_signers file that a signature is checked by."""
    found = signatures.verify(content, signature, namespace)
    row = next(key for key in dossier.project.keys if key.fingerprint == found.fingerprint)
    key = PublicKey(row.kind, row.blob)
    return found.fingerprint, signatures.allowed_signers([(person or row.person_id, key)], (namespace,)).encode()


def _entry(entry: entities.AuditEntry, play_id: int) -> dict[str, object]:
    """Return an entry as a bundle holds it: of another play, or of the project, only the digest of its content."""
    if entry.play_id != play_id:
        return {"seq": entry.seq, "content": audit_log.content_digest(entry), "digest": entry.digest}
    return {
        "seq": entry.seq,
        "at": entry.at,
        "person": entry.person_id or "",
        "proof": entry.proof,
        "action": entry.action.value,
        "play": entry.play_id or 0,
        "detail": entry.detail,
        "rows": digest_of(entry.rows),
        "state": entry.state,
        "digest": entry.digest,
    }
