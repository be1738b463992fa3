"""What ships: the student, its gate, evaluation and sign-off, under one manifest of SHA-256 digests.

`verify` needs the folder only. It trusts nothing that the bundle claims and can be computed again: digests, verdicts,
who built. Whose key signed is the one thing that it cannot know; it names the key's fingerprint, to be compared with
one that was got another way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_tui import cards, gates, signing, tables
from distill_tui.artifacts import Artifacts, canonical, digest_of, folder_digest, folder_manifest
from distill_tui.rules import Dossier, Objection, SignOffFacts
from distill_tui.terms import Role

FORMAT = "distill-tui bundle 1"
MANIFEST = "manifest.json"
VERIFY = """# Checking this bundle by hand

With standard tools only, in this folder:

    ssh-keygen -Y verify -f allowed_signers -I {signer} -n {namespace} -s sign_off.sig < sign_off.json
    python3 -c "import json, sys; files = json.load(sys.stdin)['files']; \\
    print(*(f'{{d[7:]}}  {{n}}' for n, d in files.items()), sep='\\n')" < manifest.json | sha256sum -c

The first says that the key in `allowed_signers` signed `sign_off.json`; compare its fingerprint
(`ssh-keygen -l -f allowed_signers` after removing the first two words) with the validator's, got another way:
{fingerprint}. The second says that no listed file was changed. `distill-tui verify .` does both, finds files that were
added, and computes every verdict of the gate again.
"""


def write(folder: Path, artifacts: Artifacts, dossier: Dossier, signed: SignOffFacts, log: Sequence[Any]) -> None:
    """Write the bundle of a play that may ship into a new folder."""
    play, evaluation, gate, data = dossier.play, dossier.evaluation, dossier.gate, dossier.data_set
    assert play and evaluation and gate and data
    folder.mkdir()
    _link_tree(artifacts.path(evaluation.model), folder / "model")
    run = dossier.run(evaluation.run_id)
    recipe = {
        "format": "distill-tui recipe 1",
        "spec": run.spec if run else "",
        "data": data.digest,
        "teacher": play.teacher_digest or play.teacher_source,
        "labels": json.loads(data.labels),
    }
    files = {
        "gate.toml": gates.to_toml(gate).encode(),
        "gate.json": gates.to_json(gate).encode(),
        "sign_off.json": bytes(signed.row.statement),
        "recipe.json": canonical(recipe),
        "evaluation.json": canonical(_evaluation(dossier)),
        "MODEL_CARD.md": cards.model_card(dossier, signed).encode(),
        "log.jsonl": b"".join(canonical(_entry(entry)) + b"\n" for entry in log),
    }
    for each in dossier.round_evaluations:
        files[f"records/{each.record.removeprefix('sha256:')}.json"] = artifacts.path(each.record).read_bytes()
    if signed.row.signature is not None:
        files |= _signature_files(dossier, signed)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = {"format": FORMAT, "files": folder_manifest(folder)}
    (folder / MANIFEST).write_bytes(canonical(manifest))


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


def _signature_files(dossier: Dossier, signed: SignOffFacts) -> dict[str, bytes]:
    assert signed.row.signature is not None
    found = signing.verify(bytes(signed.row.statement), signed.row.signature, signing.SIGN_OFF)
    row = next(key for key in dossier.keys if key.fingerprint == found.fingerprint)
    who, key = signed.row.person_id, signing.PublicKey(row.kind, row.blob)
    text = VERIFY.format(signer=who, namespace=signing.SIGN_OFF, fingerprint=found.fingerprint)
    return {
        "sign_off.sig": signed.row.signature.encode(),
        "allowed_signers": signing.allowed_signers([(who, key)]).encode(),
        "VERIFY.md": text.encode(),
    }


def _entry(entry: tables.AuditEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "person": entry.person_id or "",
        "proof": entry.proof,
        "action": entry.action.value,
        "detail": entry.detail,
        "digest": entry.digest,
    }


def _evaluation(dossier: Dossier) -> dict[str, Any]:
    """Write the judgements for people and programs, numbers as text."""
    return {
        "verdict": "passed" if dossier.passed else "missed",
        "criteria": [
            {
                "criterion": judgement.criterion.words,
                "scope": judgement.scope,
                "verdict": judgement.verdict.value,
                "rows": judgement.n,
                "estimate": _text(judgement.estimate),
                "lower": _text(judgement.lower),
                "upper": _text(judgement.upper),
                "sentence": judgement.sentence,
            }
            for judgement in dossier.judgements
        ],
    }


def _text(number: float | None) -> str:
    return "" if number is None else repr(number)


# --- checking ----------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What `verify` found: problems, each with its rule, and facts to show."""

    problems: list[Objection] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def verify(folder: Path, signer: str | None = None) -> Report:
    """Check a bundle where its project was never seen; `signer` is the fingerprint that must have signed."""
    report = Report()
    if not (folder / MANIFEST).is_file():
        report.problems.append(Objection("bundle.missing", f"{folder.name} is no bundle: it has no {MANIFEST}."))
        return report
    steps: tuple[Callable[[Path, Report, str | None], Iterator[Objection]], ...] = (_files, _statement, _content)
    for step in steps:
        try:
            report.problems += step(folder, report, signer)
        except Exception as error:  # whatever untrusted files do to us, it is a problem of theirs and never a pass
            report.problems.append(Objection("bundle.unreadable", f"The bundle cannot be read: {error!r}."))
    return report


def _files(folder: Path, report: Report, signer: str | None) -> Iterator[Objection]:
    """Every listed file is there and unchanged, and no other is."""
    content = (folder / MANIFEST).read_bytes()
    manifest = json.loads(content)
    if canonical(manifest) != content or manifest.get("format") != FORMAT:
        yield Objection(
            "bundle.manifest", "The manifest is not canonical, or of a format that this release cannot read."
        )
        return
    listed, found = manifest["files"], folder_manifest(folder)
    found.pop(MANIFEST, None)
    report.facts["files"] = str(len(listed))
    for name in sorted(listed.keys() - found.keys()):
        yield Objection("bundle.missing", f"{name} is missing.")
    for name in sorted(found.keys() - listed.keys()):
        yield Objection("bundle.extra", f"{name} is not in the manifest; it was added afterwards.")
    for name in sorted(listed.keys() & found.keys()):
        if listed[name] != found[name]:
            yield Objection("bundle.altered", f"{name} was changed after the bundle was written.")


def _statement(folder: Path, report: Report, signer: str | None) -> Iterator[Objection]:
    """The sign-off is a statement, approves, and is signed by who it says."""
    path = folder / "sign_off.json"
    if not path.is_file():
        yield Objection("sign_off.missing", "The bundle has no sign-off.")
        return
    content = path.read_bytes()
    try:
        statement = signing.read_statement(content)
        predicate = statement["predicate"]
        who = str(predicate.get("signer"))
        report.facts |= {
            "signed off by": who,
            "on": str(predicate.get("issued")),
            "says": str(predicate.get("meaning")),
        }
        if predicate.get("opinion") != "approve":
            yield Objection("sign_off.refused", f"{who} did not approve.")
        if not (folder / "sign_off.sig").is_file():
            report.facts["assurance"] = "account: recorded, not provable outside the project"
            yield Objection(
                "sign_off.unsigned", "The sign-off carries no signature, so nobody else can check who gave it."
            )
            return
        found = signing.verify(content, (folder / "sign_off.sig").read_text(), signing.SIGN_OFF)
    except signing.BadSignature as error:
        yield Objection("sign_off.broken", str(error))
        return
    report.facts["signed with"] = found.fingerprint
    report.facts["signer's key"] = (
        "as you asked for" if signer == found.fingerprint else "not compared with a known one"
    )
    report.facts["assurance"] = "hardware" if found.hardware and found.present else "signed"
    if signer is not None and signer != found.fingerprint:
        yield Objection("sign_off.foreign_key", f"The sign-off is signed with {found.fingerprint}, not with {signer}.")
    lines = [line.split() for line in (folder / "allowed_signers").read_text().splitlines()]
    keys = [signing.read_public_key(" ".join(words[2:])).fingerprint for words in lines if words and words[0] == who]
    if found.fingerprint not in keys:
        yield Objection("sign_off.foreign_key", f"The key that signed is not listed as {who}'s in allowed_signers.")


def _content(folder: Path, report: Report, signer: str | None) -> Iterator[Objection]:
    """What was signed is what is here, the verdicts come out again, and the signer never built."""
    statement = signing.read_statement((folder / "sign_off.json").read_bytes())
    covers, predicate = statement["predicate"]["covers"], statement["predicate"]
    gate = gates.from_json((folder / "gate.json").read_text())
    digest = gates.digest(gate)
    if digest != covers.get("gate") or gates.digest(gates.from_toml((folder / "gate.toml").read_text())) != digest:
        yield Objection("sign_off.stale", "The gate in this bundle is not the one that was signed off.")
    if folder_digest(folder / "model") != covers.get("model"):
        yield Objection("sign_off.stale", "The student in this bundle is not the one that was signed off.")
    records = []
    for name in covers.get("evaluations", []):
        path = folder / "records" / f"{str(name).removeprefix('sha256:')}.json"
        if not path.is_file() or digest_of(path.read_bytes()) != name:
            yield Objection("sign_off.stale", f"The evaluation {str(name)[7:19]}… that was signed off is not here.")
        else:
            records.append(gates.Record.from_json(path.read_text()))
    if not records:
        yield Objection("gate.unmeasured", "The sign-off names no evaluation that is here.")
        return
    record = records[0]
    if record.model != covers.get("model") or record.data_set != covers.get("data"):
        yield Objection("sign_off.stale", "The evaluation is of another student or data set than was signed off.")
    judgements = gates.judge(gate, record)
    for judgement in judgements:
        if judgement.criterion.counts and judgement.verdict != "holds":
            yield Objection(f"gate.{judgement.verdict.value}", judgement.sentence)
    report.facts["gate"] = "held" if gates.passed(judgements) else "not held"
    report.facts["verdicts"] = f"{len(judgements)} computed again from {len(record.rows):,} held-out rows"
    who = predicate.get("signer")
    if who in covers.get("builders", []):
        yield Objection("sign_off.builder", f"{who} built this student and cannot sign it off.")
    if covers.get("roles", {}).get(Role.VALIDATOR.value) != who:
        yield Objection("sign_off.not_validator", f"{who} was not the validator of this play.")
