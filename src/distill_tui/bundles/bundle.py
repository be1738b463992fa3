"""What ships: the student, its gate, evaluation and sign-off, under one manifest of SHA-256 digests.

`verify` needs the folder only. It trusts nothing that the bundle claims and can be computed again: digests, verdicts,
who built. Whose key signed is the one thing that it cannot know; it names the key's fingerprint, to be compared with
one that was got another way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_tui import gates, tasks
from distill_tui.bundles import shipped
from distill_tui.digests import canonical, digest_of, folder_digest, folder_manifest
from distill_tui.people import signatures, statements
from distill_tui.reports import model_card
from distill_tui.rules import entities, spot_checks
from distill_tui.rules import who as who_rules
from distill_tui.rules.decide import counted_spot_check
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import TrainResult
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import result_of, stored_list
from distill_tui.terms import Opinion, Role, TeacherSource, Verdict

FORMAT = "distill-tui bundle 1"
MANIFEST = "manifest.json"
ROSTER = "roster.json"
SPOT_CHECK = "spot_checks.json"
SUMS = "SHA256SUMS"
HEADING = b"# Checking this bundle by hand\n"
VERIFY = """# Checking this bundle by hand

With `ssh-keygen`, `sha256sum` and a shell, in this folder:

1. The sign-off is signed by a key of {signer}'s that `allowed_signers` holds:

       ssh-keygen -Y verify -f allowed_signers -I {signer} -n {namespace} -s sign_off.sig < sign_off.json

2. The key is really {signer}'s. No bundle can prove that: compare its fingerprint with the one that {signer}, or
   whoever keeps the roster, gives you in another way.

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


def write(
    folder: Path,
    artifacts: Artifacts,
    dossier: PlayDossier,
    signed: SignOffFacts,
    log: Sequence[Any],
    ship: tuple[bytes, str] | None = None,
) -> None:
    """Write the bundle of a play that may ship into a new folder; with the ship's statement and signature, if any."""
    play, evaluation, gate, data = dossier.play, dossier.evaluation, dossier.gate, dossier.data_set
    assert play and evaluation and gate and data
    folder.mkdir()
    _link_tree(artifacts.path(evaluation.model), folder / "model")
    run = dossier.run(evaluation.run_id)
    recipe = {
        "format": "distill-tui recipe 1",
        "spec": run.spec if run else "",
        "rung": result_of(TrainResult, run).rung if run else "",
        "data": data.digest,
        "teacher": play.teacher_digest or play.teacher_source,
        "labels": stored_list(data.labels, f"the labels of data set {data.id}", str),
    }
    if play.teacher_source is TeacherSource.PROMPTED and not tasks.of(play.task).has_labels:
        recipe["asked"] = artifacts.text(play.teacher_digest)  # what a student that learns its probabilities depends on
    if gate.deferral is not None and dossier.record is not None:
        recipe["deferred_below"] = f"{dossier.record.deferred_below / gates.CERTAIN:.4f}"
    files = {
        "gate.toml": gates.to_toml(gate).encode(),
        "gate.json": gates.to_json(gate).encode(),
        "model.json": canonical(folder_manifest(folder / "model")),
        ROSTER: canonical(who_rules.roster(dossier)),
        "sign_off.json": bytes(signed.row.statement),
        "recipe.json": canonical(recipe),
        "evaluation.json": canonical(_evaluation(dossier.judgements)),
        "MODEL_CARD.md": model_card.model_card(dossier, signed).encode(),
        "log.jsonl": b"".join(canonical(_entry(entry)) + b"\n" for entry in log),
    }
    for each in dossier.round_evaluations:
        files[f"records/{each.record.removeprefix('sha256:')}.json"] = artifacts.path(each.record).read_bytes()
    counted = counted_spot_check(dossier)
    if counted is not None:
        files[SPOT_CHECK] = counted.content.encode()
    if signed.row.signature is not None:
        files |= _signature_files(dossier, signed)
    if ship is not None:
        files |= shipped.files(dossier, *ship)
        files["VERIFY.md"] = files.get("VERIFY.md", HEADING) + shipped.by_hand(ship[0]).encode()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    sums = "".join(f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in folder_manifest(folder).items())
    (folder / SUMS).write_text(sums)
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


def _signature_files(dossier: PlayDossier, signed: SignOffFacts) -> dict[str, bytes]:
    assert signed.row.signature is not None
    found = signatures.verify(bytes(signed.row.statement), signed.row.signature, signatures.SIGN_OFF)
    row = next(key for key in dossier.project.keys if key.fingerprint == found.fingerprint)
    who, key = signed.row.person_id, signatures.PublicKey(row.kind, row.blob)
    text = VERIFY.format(signer=who, namespace=signatures.SIGN_OFF, fingerprint=found.fingerprint)
    return {
        "sign_off.sig": signed.row.signature.encode(),
        "allowed_signers": signatures.allowed_signers([(who, key)]).encode(),
        "VERIFY.md": text.encode(),
    }


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


def _evaluation(judgements: Sequence[gates.Judgement]) -> dict[str, Any]:
    """Write the judgements for people and programs, numbers as text."""
    return {
        "verdict": "passed" if gates.passed(judgements) else "missed",
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
            for judgement in judgements
        ],
    }


def _text(number: float | None) -> str:
    return "" if number is None else repr(number)


# --- checking ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """What whoever verifies knows from elsewhere; nothing of it is in the bundle's power."""

    signer: str | None = None  # fingerprint of the key that must have signed the sign-off
    roster: str | None = None  # digest of the roster that says whose keys these are


@dataclass
class Report:
    """What `verify` found: problems, each with its rule, and facts to show."""

    problems: list[Objection] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def verify(folder: Path, signer: str | None = None, roster: str | None = None) -> Report:
    """Check a bundle where its project was never seen, by what is known from elsewhere: a key, or the whole roster."""
    report, trust = Report(), Trust(signer, roster)
    if not (folder / MANIFEST).is_file():
        report.problems.append(Objection("bundle.missing", f"{folder.name} is no bundle: it has no {MANIFEST}."))
        return report
    for step in STEPS:
        try:
            report.problems += step(folder, report, trust)
        except Exception as error:  # whatever untrusted files do to us, it is a problem of theirs and never a pass
            report.problems.append(Objection("bundle.unreadable", f"The bundle cannot be read: {error!r}."))
    report.problems = list(dict.fromkeys(report.problems))
    return report


def _files(folder: Path, report: Report, trust: Trust) -> Iterator[Objection]:
    """Every listed file is there and unchanged, and no other is."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            name = path.relative_to(folder).as_posix()
            yield Objection("bundle.extra", f"{name} is a link or no plain file; a bundle has none.")
            return
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


def _statement(folder: Path, report: Report, trust: Trust) -> Iterator[Objection]:
    """The sign-off is a statement, approves, and is signed by who it says."""
    path = folder / "sign_off.json"
    if not path.is_file():
        yield Objection("sign_off.missing", "The bundle has no sign-off.")
        return
    content = path.read_bytes()
    try:
        predicate = statements.read_sign_off(content)["predicate"]
        who = str(predicate.get("signer"))
        report.facts |= {
            "signed off by": who,
            "on": str(predicate.get("issued")),
            "says": str(predicate.get("meaning")),
        }
        if predicate.get("opinion") != Opinion.APPROVE:
            yield Objection("sign_off.refused", f"{who} did not approve.")
        if not (folder / "sign_off.sig").is_file():
            report.facts["assurance"] = "account: recorded, not provable outside the project"
            yield Objection(
                "sign_off.unsigned", "The sign-off carries no signature, so nobody else can check who gave it."
            )
            return
        found = signatures.verify(content, (folder / "sign_off.sig").read_text(), signatures.SIGN_OFF)
    except signatures.BadSignature as error:
        yield Objection("sign_off.broken", str(error))
        return
    report.facts["signed with"] = found.fingerprint
    report.facts["assurance"] = "hardware" if found.hardware and found.present else "signed"
    yield from _whose_key(folder, who, found, report, trust)


def _whose_key(folder: Path, who: str, found: signatures.Verified, report: Report, trust: Trust) -> Iterator[Objection]:
    """The key is the signer's by the roster that was signed, and by what whoever verifies knows."""
    roster = json.loads((folder / ROSTER).read_bytes())
    owners = _owners(roster)
    if owners.get(found.fingerprint) != who:
        yield Objection("sign_off.foreign_key", f"The key that signed is not {who}'s by the roster of this bundle.")
    lines = [line.split() for line in (folder / "allowed_signers").read_text().splitlines()]
    if not any(words[:1] == [who] and " ".join(words[2:]) in roster["people"][who]["keys"] for words in lines):
        yield Objection("sign_off.foreign_key", f"allowed_signers does not hold the key that is {who}'s by the roster.")
    if trust.signer is not None and trust.signer != found.fingerprint:
        yield Objection(
            "sign_off.foreign_key", f"The sign-off is signed with {found.fingerprint}, not with {trust.signer}."
        )
    there = digest_of((folder / ROSTER).read_bytes())
    if trust.roster is not None and trust.roster.removeprefix("sha256:") != there.removeprefix("sha256:"):
        yield Objection("roster.foreign", f"The roster of this bundle is {there}, not the one that you trust.")
    known = [name for name, value in (("key", trust.signer), ("roster", trust.roster)) if value]
    report.facts["trusted"] = (
        f"the {' and the '.join(known)} that you named"
        if known
        else f"nothing yet: compare the key with {who}'s, got in another way, and name it with --signer"
    )


def _owners(roster: Mapping[str, Any]) -> dict[str, str]:
    """Say whose each key is, by its fingerprint."""
    return {
        signatures.read_public_key(line).fingerprint: person
        for person, proofs in roster["people"].items()
        for line in proofs["keys"]
    }


def _ship(folder: Path, report: Report, trust: Trust) -> Iterator[Objection]:
    """Where the ship is signed, it is by who it says, and about this sign-off."""
    owners = _owners(json.loads((folder / ROSTER).read_bytes()))
    yield from shipped.check(folder, report.facts, owners, report.facts.get("signed off by", ""))


def _content(folder: Path, report: Report, trust: Trust) -> Iterator[Objection]:
    """What was signed is what is here, the verdicts come out again, and the signer never built."""
    predicate = statements.read_sign_off((folder / "sign_off.json").read_bytes())["predicate"]
    covers = predicate["covers"]
    gate = gates.from_json((folder / "gate.json").read_text())
    digest = gates.digest(gate)
    if digest != covers.get("gate") or gates.digest(gates.from_toml((folder / "gate.toml").read_text())) != digest:
        yield Objection("sign_off.stale", "The gate in this bundle is not the one that was signed off.")
    if folder_digest(folder / "model") != covers.get("model"):
        yield Objection("sign_off.stale", "The student in this bundle is not the one that was signed off.")
    if digest_of((folder / ROSTER).read_bytes()) != covers.get("roster"):
        yield Objection("sign_off.stale", "The roster in this bundle is not the one that was signed off.")
    who = predicate.get("signer")
    if who in covers.get("builders", []):
        yield Objection("sign_off.builder", f"{who} built this student and cannot sign it off.")
    if covers.get("roles", {}).get(Role.VALIDATOR.value) != who:
        yield Objection("sign_off.not_validator", f"{who} was not the validator of this play.")
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
        if judgement.criterion.counts and judgement.verdict is not Verdict.HOLDS:
            yield Objection(f"gate.{judgement.verdict.value}", judgement.sentence)
    report.facts["gate"] = "held" if gates.passed(judgements) else "not held"
    report.facts["verdicts"] = f"{len(judgements)} computed again from {len(record.rows):,} held-out rows"
    yield from _spot_check(folder, covers, gate, record, str(who))
    if (folder / "evaluation.json").read_bytes() != canonical(_evaluation(judgements)):
        yield Objection("bundle.claims", "evaluation.json says something else than the signed evaluation gives.")


def _spot_check(
    folder: Path, covers: Mapping[str, Any], gate: gates.Gate, record: gates.Record, who: str
) -> Iterator[Objection]:
    """The spot check is the one that was signed, holds what was drawn, and is as long as the gate says."""
    path = folder / SPOT_CHECK
    text = path.read_text() if path.is_file() else None
    if spot_checks.summary(text) != covers.get("spot_check"):
        yield Objection("sign_off.stale", "The spot check in this bundle is not the one that was signed off.")
        return
    wrong = spot_checks.trouble(record, who, text) if text is not None else ""
    if wrong:
        yield Objection("spot_check.wrong", wrong)
    elif spot_checks.summary(text)["judged"] < min(gate.minimum_spot_check, sum(each >= 0 for each in record.teacher)):
        yield Objection("spot_check.missing", f"The gate asks for {gate.minimum_spot_check} answers judged blind.")


def _claims(folder: Path, report: Report, trust: Trust) -> Iterator[Objection]:
    """The log that travels with the student is what was logged, and the sign-off was given on top of it."""
    audit = statements.read_sign_off((folder / "sign_off.json").read_bytes())["predicate"]["audit"]
    for line in (folder / "log.jsonl").read_bytes().splitlines():
        entry = json.loads(line)
        names = ("seq", "at", "person", "proof", "action", "play", "detail", "previous")
        if digest_of(canonical([entry[name] for name in names])) != entry["digest"]:
            yield Objection("bundle.claims", f"Entry {entry['seq']} of log.jsonl is not what was logged.")
        elif entry["seq"] == audit.get("size") and entry["digest"] != audit.get("head"):
            yield Objection("bundle.claims", f"Entry {entry['seq']} of log.jsonl is not the one that was signed over.")


STEPS: tuple[Callable[[Path, Report, Trust], Iterator[Objection]], ...] = (_files, _statement, _content, _claims, _ship)
