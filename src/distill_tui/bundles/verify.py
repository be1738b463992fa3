"""Check a bundle from its folder only.

It trusts nothing that the bundle claims and that can be computed again: digests, verdicts, who built. Whose key signed
is the one thing that it cannot know: it names the key's fingerprint, to be compared with one received in another way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_tui.bundles.by_hand import by_hand
from distill_tui.digests import canonical, digest_of, folder_digest, folder_manifest
from distill_tui.gates import written
from distill_tui.gates.gate import Gate
from distill_tui.gates.interim import may_ship
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge, passed
from distill_tui.gates.record import Record
from distill_tui.gates.written import from_json, from_toml
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature, Verified
from distill_tui.rules import spot_checks
from distill_tui.rules.objection import Objection
from distill_tui.terms import Opinion, Role, StatementKind, Verdict

FORMAT = "distill-tui bundle 1"
MANIFEST = "manifest.json"
ROSTER = "roster.json"
SPOT_CHECK = "spot_checks.json"
SUMS = "SHA256SUMS"
LOG = "log.jsonl"
BY_HAND = "VERIFY.md"
SHIP, SHIP_SIGNATURE, SHIP_SIGNERS = "ship.json", "ship.sig", "ship_signers"


@dataclass
class Report:
    """What `verify` found: problems, each with its rule, and facts to show.

    `signer` and `roster` are what the person who verifies knows from elsewhere; the bundle cannot influence them.
    """

    signer: str | None = None  # fingerprint of the key that must have signed the sign-off
    roster: str | None = None  # digest of the roster that names whose keys these are
    problems: list[Objection] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def evaluation_json(judgements: Sequence[Judgement]) -> dict[str, object]:
    """Write the judgements for people and programs, numbers as text."""

    def text(number: float | None) -> str:
        return "" if number is None else repr(number)

    return {
        "verdict": "passed" if passed(judgements) else "missed",
        "criteria": [
            {
                "criterion": judgement.criterion.words,
                "scope": judgement.scope,
                "verdict": judgement.verdict.value,
                "rows": judgement.n,
                "estimate": text(judgement.estimate),
                "lower": text(judgement.lower),
                "upper": text(judgement.upper),
                "sentence": judgement.sentence,
            }
            for judgement in judgements
        ],
    }


def content_digest(folder: Path) -> str:
    """Digest everything in a bundle that its ship signs: every file but the ship and what is computed of the files."""
    apart = (MANIFEST, SUMS, BY_HAND, SHIP, SHIP_SIGNATURE, SHIP_SIGNERS)
    return digest_of(canonical({name: each for name, each in folder_manifest(folder).items() if name not in apart}))


def verify_bundle(folder: Path, signer: str | None = None, roster: str | None = None) -> Report:
    """Check a bundle without its project, by what is known from elsewhere: a key, or the whole roster."""
    report = Report(signer, roster)
    if not (folder / MANIFEST).is_file():
        report.problems.append(Objection("bundle.missing", f"{folder.name} is not a bundle: it has no {MANIFEST}."))
        return report
    for step in STEPS:
        try:
            report.problems += step(folder, report)
        except Exception as error:  # any fault in untrusted files is a problem of the bundle, never a pass
            report.problems.append(Objection("bundle.unreadable", f"The bundle cannot be read: {error!r}."))
    report.problems = list(dict.fromkeys(report.problems))
    return report


def files_trouble(folder: Path) -> str:
    """Return in one sentence how the files of a bundle are not those of its manifest; empty if they are."""
    if not (folder / MANIFEST).is_file():
        return f"{folder.name} is not a bundle: it has no {MANIFEST}."
    try:
        return next((str(problem) for problem in _files(folder, Report())), "")
    except Exception as error:  # any fault in untrusted files
        return f"The bundle cannot be read: {error!r}."


def _files(folder: Path, report: Report) -> Iterator[Objection]:
    """Every listed file is there and unchanged, and no other is."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            name = path.relative_to(folder).as_posix()
            yield Objection("bundle.extra", f"{name} is a link, or not a plain file; a bundle has only plain files.")
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


def _statement(folder: Path, report: Report) -> Iterator[Objection]:
    """The sign-off is a statement that approves, signed by the person it names."""
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
                "sign_off.unsigned",
                "The sign-off has no signature, so no one outside the project can check who gave it.",
            )
            return
        found = signatures.verify(content, (folder / "sign_off.sig").read_text(), signatures.SIGN_OFF)
    except BadSignature as error:
        yield Objection("sign_off.broken", str(error))
        return
    report.facts["signed with"] = found.fingerprint
    report.facts["assurance"] = "hardware" if found.hardware and found.present else "signed"
    yield from _whose_key(folder, who, found, report)


def _whose_key(folder: Path, who: str, found: Verified, report: Report) -> Iterator[Objection]:
    """The key is the signer's by the roster that was signed, and by what is trusted."""
    roster = json.loads((folder / ROSTER).read_bytes())
    owners = _owners(roster)
    if owners.get(found.fingerprint) != who:
        yield Objection("sign_off.foreign_key", f"The key that signed is not {who}'s by the roster of this bundle.")
    lines = [line.split() for line in (folder / "allowed_signers").read_text().splitlines()]
    if not any(words[:1] == [who] and " ".join(words[2:]) in roster["people"][who]["keys"] for words in lines):
        yield Objection("sign_off.foreign_key", f"allowed_signers does not hold the key that is {who}'s by the roster.")
    if report.signer is not None and report.signer != found.fingerprint:
        yield Objection(
            "sign_off.foreign_key", f"The sign-off is signed with {found.fingerprint}, not with {report.signer}."
        )
    there = digest_of((folder / ROSTER).read_bytes())
    if report.roster is not None and report.roster.removeprefix("sha256:") != there.removeprefix("sha256:"):
        yield Objection("roster.foreign", f"The roster of this bundle is {there}, not the one that you trust.")
    known = [name for name, value in (("key", report.signer), ("roster", report.roster)) if value]
    report.facts["trusted"] = (
        f"the {' and the '.join(known)} that you named"
        if known
        else f"nothing yet: compare the key with {who}'s, received in another way, and name it with --signer"
    )


def _owners(roster: Mapping[str, Any]) -> dict[str, str]:
    """Return the owner of each key, by its fingerprint."""
    return {
        signatures.read_public_key(line).fingerprint: person
        for person, proofs in roster["people"].items()
        for line in proofs["keys"]
    }


def _content(folder: Path, report: Report) -> Iterator[Objection]:
    """The content is what was signed, its verdicts are reproduced, and the signer never built."""
    predicate = statements.read_sign_off((folder / "sign_off.json").read_bytes())["predicate"]
    covers = predicate["covers"]
    gate = from_json((folder / "gate.json").read_text())
    digest = written.digest(gate)
    if digest != covers.get("gate") or written.digest(from_toml((folder / "gate.toml").read_text())) != digest:
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
            yield Objection("sign_off.stale", f"The evaluation {str(name)[7:19]}… that was signed off is missing.")
        else:
            records.append(Record.from_json(path.read_text()))
    if not records:
        yield Objection("gate.unmeasured", "The bundle has no evaluation that the sign-off names.")
        return
    record, judgements = records[0], judge(gate, records[0])
    for each in records:
        if each.model != covers.get("model") or each.data_set != covers.get("data"):
            yield Objection("sign_off.stale", "An evaluation is of another student or data set than was signed off.")
        found = judgements if each is record else judge(gate, each)
        ships = covers.get("verdict") == "interim" and may_ship(found, gate, each)
        for judgement in () if ships else found:
            if judgement.criterion.counts and judgement.verdict is not Verdict.HOLDS:
                again = "" if each is record else "Reproduced: "
                yield Objection(f"gate.{judgement.verdict.value}", f"{again}{judgement.sentence}")
    report.facts["gate"] = "held" if passed(judgements) else "not held"
    if gate.interim is not None and may_ship(judgements, gate, record):
        report.facts["interim"] = f"better than what was live; for {gate.interim.days} days after the ship"
    report.facts["verdicts"] = f"{len(judgements)} computed again from {len(record.rows):,} held-out rows"
    yield from _spot_check(folder, covers, gate, record, str(who))
    if (folder / "evaluation.json").read_bytes() != canonical(evaluation_json(judgements)):
        yield Objection("bundle.claims", "evaluation.json differs from the signed evaluation.")


def _spot_check(
    folder: Path, covers: Mapping[str, object], gate: Gate, record: Record, who: str
) -> Iterator[Objection]:
    """The spot check is the one that was signed, of the rows that were drawn, and as long as the gate asks."""
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


def _log(folder: Path, report: Report) -> Iterator[Objection]:
    """The log hashes up to the heads that were signed, and ends at the last of them."""
    heads = [statements.read_sign_off((folder / "sign_off.json").read_bytes())["predicate"]["audit"]]
    if (folder / SHIP).is_file():
        heads.append(json.loads((folder / SHIP).read_bytes())["predicate"]["audit"])
    previous, digests = "", dict[object, str]()
    for place, line in enumerate((folder / LOG).read_bytes().splitlines(), 1):
        entry = json.loads(line)
        if canonical(entry) != line or entry["seq"] != place or {*entry} not in (ELSEWHERE, {"seq", *LOGGED, "digest"}):
            yield Objection("bundle.log", f"Line {place} of {LOG} is not entry {place}.")
            return
        content = entry["content"] if "content" in entry else digest_of(canonical([entry[name] for name in LOGGED]))
        if entry["digest"] != digest_of(canonical([place, previous, content])):
            yield Objection("bundle.log", f"Entry {place} of {LOG} is not what was logged.")
            return
        previous = digests[place] = entry["digest"]
    for head in heads:
        if digests.get(head.get("size")) != head.get("head"):
            yield Objection("bundle.log", f"{LOG} does not hold the entry {head.get('size')} that was signed over.")
    if len(digests) != heads[-1].get("size"):
        yield Objection("bundle.log", f"{LOG} has {len(digests)} entries; the last head that was signed is another.")


UNSIGNED = ("sign_off.unsigned", "bundle.unsigned")  # objections to a bundle for which no signature was required
ELSEWHERE = {"seq", "content", "digest"}  # an entry of another play, or of the project
LOGGED = ("at", "person", "proof", "action", "play", "detail", "rows", "state")  # what an entry's content is


def _ship(folder: Path, report: Report) -> Iterator[Objection]:
    """A signed ship is signed by the person it names, about this sign-off, and not by who gave that."""
    there = [name for name in (SHIP, SHIP_SIGNATURE, SHIP_SIGNERS) if (folder / name).is_file()]
    if not there:
        yield Objection(
            "bundle.unsigned",
            f"The ship is not signed, so no signature covers the model card, the recipe and {LOG} of this bundle.",
        )
        return
    if len(there) < 3:
        yield Objection("bundle.ship", f"The bundle has only {' and '.join(there)} of the ship.")
        return
    content = (folder / SHIP).read_bytes()
    try:
        statement = statements.read(content, StatementKind.SHIP)
        found = signatures.verify(content, (folder / SHIP_SIGNATURE).read_text(), signatures.SHIP)
    except BadSignature as error:
        yield Objection("bundle.ship", f"The ship: {error}")
        return
    who = str(statement["predicate"].get("signer"))
    report.facts["shipped by"] = f"{who}, signed with {found.fingerprint}"
    if _owners(json.loads((folder / ROSTER).read_bytes())).get(found.fingerprint) != who:
        yield Objection("bundle.ship", f"The key that signed the ship is not {who}'s by the roster of this bundle.")
    if who == report.facts.get("signed off by", ""):
        yield Objection("bundle.ship", f"{who} shipped on their own sign-off.")
    about = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    covered = about.pop("bundle", "")
    if covered != content_digest(folder).removeprefix("sha256:"):
        yield Objection("bundle.ship", "The files of this bundle are not those that its ship was signed over.")
    model = str(json.loads((folder / "sign_off.json").read_bytes())["subject"][0]["digest"]["sha256"])
    sign_off = digest_of((folder / "sign_off.json").read_bytes()).removeprefix("sha256:")
    if about != {"student": model, "sign_off": sign_off}:
        yield Objection("bundle.ship", "The ship in this bundle is of another student or another sign-off.")


def _by_hand(folder: Path, report: Report) -> Iterator[Objection]:
    """How to check by hand is what this program writes: no command of another's is followed."""
    path = folder / BY_HAND
    if path.is_file():
        signed_off, shipped = report.facts.get("signed off by", ""), report.facts.get("shipped by", "").split(",")[0]
        if path.read_text() != by_hand(signed_off, report.facts.get("signed with", ""), shipped):
            yield Objection("bundle.altered", f"{BY_HAND} is not what this release writes.")


STEPS: tuple[Callable[[Path, Report], Iterator[Objection]], ...] = (_files, _statement, _content, _log, _ship, _by_hand)
