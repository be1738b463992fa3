"""What ships, checked by a stranger: a bundle of a real play holds, and no changed, added or missing file does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distill_tui.bundles import verify
from distill_tui.bundles.verify import verify_bundle
from distill_tui.digests import canonical, digest_of, folder_manifest
from distill_tui.people import signatures
from distill_tui.terms import Opinion
from support import real_play

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[real_play.Play, Path]]:
    """A play that Vera signed off and Dan shipped, and its bundle; tests change copies."""
    play = real_play.copy_to(tmp_path_factory.mktemp("shipped"))
    play.sign(comment="Read 30 cases; fine.")
    yield play, play.ship()
    play.project.close()


@pytest.fixture
def copy(shipped: tuple[real_play.Play, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped[1], tmp_path / "bundle"))


def rules_of(folder: Path, signer: str | None = None, roster: str | None = None) -> set[str]:
    return {problem.rule for problem in verify_bundle(folder, signer, roster).problems}


def resealed(folder: Path) -> None:
    """Do what a patched program does: make sums and manifest fit whatever is there now."""
    for name in (verify.SUMS, verify.MANIFEST):
        (folder / name).unlink(missing_ok=True)
    lines = [f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in folder_manifest(folder).items()]
    (folder / verify.SUMS).write_text("".join(lines))
    manifest = {"format": verify.FORMAT, "files": folder_manifest(folder)}
    (folder / verify.MANIFEST).write_bytes(canonical(manifest))


def edited(folder: Path, name: str, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file of the bundle, keep it canonical, and reseal."""
    value = json.loads((folder / name).read_bytes())
    edit(value)
    (folder / name).write_bytes(canonical(value))
    resealed(folder)


# --- refused: files --------------------------------------------------------------------------------------------------


def test_any_file_with_one_bit_changed_is_refused(copy: Path) -> None:
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for at in {0, len(content) // 2, len(content) - 1}:
            changed = bytearray(content)
            changed[at] ^= 1
            path.unlink()  # a file of its own: it may be a hard link
            path.write_bytes(bytes(changed))
            assert rules_of(copy), f"{path.name} with byte {at} changed"
        path.write_bytes(content)
    assert rules_of(copy) == set()


def test_any_missing_file_is_refused(copy: Path) -> None:
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.unlink()
        assert "bundle.missing" in rules_of(copy), path.name
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("bundle.extra", lambda b: (b / "model" / "extra.bin").write_bytes(b"x")),
        ("bundle.extra", lambda b: (b / ".hidden").write_bytes(b"")),
        ("bundle.extra", lambda b: (b / "model" / "config.json").rename(b / "model" / "config.json.orig")),
        ("bundle.missing", lambda b: (b / "model" / "config.json").rename(b / "model" / "config.json.orig")),
        ("bundle.extra", lambda b: (b / "link").symlink_to("/etc/passwd")),
        ("bundle.extra", lambda b: (b / "folder").symlink_to("model")),
        ("bundle.extra", lambda b: os.mkfifo(b / "pipe")),
        ("bundle.manifest", lambda b: (b / "manifest.json").write_bytes(b'{"format": "distill-tui bundle 1"}')),
        ("bundle.manifest", lambda b: (b / "manifest.json").write_bytes(canonical({"format": "another", "files": {}}))),
        ("bundle.unreadable", lambda b: (b / "manifest.json").write_bytes(b"[" * 100_000)),
        ("bundle.unreadable", lambda b: (b / "manifest.json").write_bytes(b"\xff\xfe")),
        ("bundle.missing", lambda b: (b / "manifest.json").unlink()),
    ],
)
def test_what_was_added_renamed_linked_or_unsealed_is_refused(copy: Path, rule: str, change: Change) -> None:
    change(copy)
    assert rule in rules_of(copy)


def test_a_file_that_is_swapped_for_a_link_to_its_own_content_is_refused(copy: Path, tmp_path: Path) -> None:
    gate = copy / "gate.json"
    gate.rename(tmp_path / "gate.json")
    gate.symlink_to(tmp_path / "gate.json")
    assert "bundle.extra" in rules_of(copy)


# --- refused: made by a patched program, all sums in order -------------------------------------------------------


def swap_weights(folder: Path) -> None:
    path = next((folder / "model").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(bytes(content))
    (folder / "model.json").write_bytes(canonical(folder_manifest(folder / "model")))
    resealed(folder)


def drop(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()
        resealed(folder)

    return change


def mend(name: str, edit: Callable[[Any], object]) -> Change:
    return lambda folder: edited(folder, name, edit)


def lower_the_bar(folder: Path) -> None:
    edited(folder, "gate.json", lambda gate: gate["criteria"][0].update(margin="0.9"))


def another_gate_toml(folder: Path) -> None:
    text = (folder / "gate.toml").read_text()
    assert "margin = 0.05" in text
    (folder / "gate.toml").write_text(text.replace("margin = 0.05", "margin = 0.5"))
    resealed(folder)


def worse_record(folder: Path) -> None:
    (path,) = (folder / "records").glob("*.json")
    record = json.loads(path.read_text())
    record["student"] = record["gold"]
    content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    path.unlink()
    (folder / "records" / f"{digest_of(content).removeprefix('sha256:')}.json").write_bytes(content)
    resealed(folder)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("sign_off.missing", drop("sign_off.json", "sign_off.sig")),
        ("sign_off.unsigned", drop("sign_off.sig")),
        ("sign_off.stale", swap_weights),
        ("sign_off.stale", lower_the_bar),
        ("sign_off.stale", another_gate_toml),
        ("sign_off.stale", worse_record),
        ("sign_off.stale", mend("roster.json", lambda roster: roster["people"].update(eve={"keys": []}))),
        ("sign_off.broken", mend("sign_off.json", lambda s: s["predicate"].update(signer="bob"))),
        ("sign_off.broken", mend("sign_off.json", lambda s: s["predicate"]["covers"].update(builders=[]))),
        ("sign_off.broken", mend("sign_off.json", lambda s: s["predicate"].update(opinion="refuse"))),
        ("bundle.claims", mend("evaluation.json", lambda e: e["criteria"][0].update(estimate="0.99"))),
        ("bundle.unreadable", drop("gate.json")),
        ("bundle.unreadable", drop("roster.json")),
        ("bundle.unreadable", drop("allowed_signers")),
    ],
)  # fmt: skip
def test_what_a_patched_program_reseals_is_refused_by_what_was_signed(copy: Path, rule: str, change: Change) -> None:
    change(copy)
    assert rule in rules_of(copy)


def test_an_entry_of_the_log_that_was_rewritten_is_refused(copy: Path) -> None:
    lines = (copy / "log.jsonl").read_text().splitlines()
    entry = json.loads(lines[3])
    entry["person"] = "bob"
    (copy / "log.jsonl").write_text("\n".join([*lines[:3], canonical(entry).decode(), *lines[4:]]) + "\n")
    resealed(copy)
    assert rules_of(copy) == {"bundle.log", "bundle.ship"}


def signed_by(folder: Path, key: Path, edit: Callable[[Any], object] = lambda s: None) -> None:
    """Sign the statement again, with another key and perhaps other words."""
    statement = json.loads((folder / "sign_off.json").read_bytes())
    edit(statement)
    content = canonical(statement)
    (folder / "sign_off.json").write_bytes(content)
    (folder / "sign_off.sig").write_text(signatures.sign(content, key, signatures.SIGN_OFF))
    resealed(folder)


def test_the_driver_s_own_signature_is_refused(shipped: tuple[real_play.Play, Path], copy: Path) -> None:
    signed_by(copy, shipped[0].key("dan"))
    assert "sign_off.foreign_key" in rules_of(copy)


def test_a_driver_who_says_that_he_is_the_validator_is_refused(
    shipped: tuple[real_play.Play, Path], copy: Path
) -> None:
    signed_by(copy, shipped[0].key("dan"), lambda s: s["predicate"].update(signer="dan"))
    assert {"sign_off.builder", "sign_off.not_validator"} <= rules_of(copy)


def test_a_whole_false_roster_is_refused_by_whoever_knows_the_key_or_the_roster(
    shipped: tuple[real_play.Play, Path], copy: Path
) -> None:
    play, real = shipped
    roster = json.loads((copy / "roster.json").read_bytes())
    true = digest_of((copy / "roster.json").read_bytes())
    roster["people"]["vera"]["keys"] = [play.public("bob").line]
    (copy / "roster.json").write_bytes(canonical(roster))
    (copy / "allowed_signers").write_text(signatures.allowed_signers([("vera", play.public("bob"))]))
    false = digest_of(canonical(roster))
    signed_by(copy, play.key("bob"), lambda s: s["predicate"]["covers"].update(roster=false))
    shipped_anew(copy, play, "dan")
    report = verify_bundle(copy)
    assert not report.problems and report.facts["trusted"].startswith("nothing yet")  # it agrees with itself, no more
    assert rules_of(copy, signer=play.public("vera").fingerprint) == {"sign_off.foreign_key"}
    assert rules_of(copy, roster=true) == {"roster.foreign"}
    assert rules_of(real, signer=play.public("vera").fingerprint, roster=true) == set()


def test_a_sign_off_of_another_student_is_refused(
    tmp_path: Path, shipped: tuple[real_play.Play, Path], copy: Path
) -> None:
    """New weights with last quarter's sign-off: the student was trained again, the signature is the old one."""
    swap_weights(copy)
    problems = verify_bundle(copy, shipped[0].public("vera").fingerprint).problems
    assert [p.rule for p in problems] == ["sign_off.stale", "bundle.ship"]
    assert "student" in problems[0].sentence


def test_a_refusal_ships_nothing_that_verifies(shipped: tuple[real_play.Play, Path], copy: Path) -> None:
    from distill_tui.people import statements

    def refusing(statement: Any) -> None:
        statement["predicate"] |= {"opinion": "refuse", "meaning": statements.MEANING[Opinion.REFUSE]}

    signed_by(copy, shipped[0].key("vera"), refusing)
    assert "sign_off.refused" in rules_of(copy)


# --- what holds ------------------------------------------------------------------------------------------------------


def test_the_bundle_of_a_real_play_holds(shipped: tuple[real_play.Play, Path]) -> None:
    play, folder = shipped
    report = verify_bundle(folder, play.public("vera").fingerprint)
    assert report.problems == []
    assert report.facts["gate"] == "held" and report.facts["assurance"] == "signed"
    assert report.facts["trusted"] == "the key that you named"
    assert report.facts["verdicts"].endswith("from 120 held-out rows")


def test_the_signed_bytes_are_shipped_as_they_were_stored(shipped: tuple[real_play.Play, Path]) -> None:
    play, folder = shipped
    row = play.project.dossier(play.id).sign_offs[-1].row
    assert row.opinion is Opinion.APPROVE
    assert (folder / "sign_off.json").read_bytes() == bytes(row.statement)
    assert (folder / "sign_off.sig").read_text() == row.signature


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    """Follow VERIFY.md: run every command that stands in it, where only standard tools are."""
    text = (folder / "VERIFY.md").read_text()
    commands = "\n".join(line[7:] for line in text.splitlines() if line.startswith("       ") and "SHA256:" not in line)
    assert "python" not in commands and "distill" not in commands.replace("@distill-tui", "")
    return subprocess.run(["sh", "-ec", commands], cwd=folder, capture_output=True, text=True, check=False)


def test_verify_md_is_followed_with_standard_tools_alone(shipped: tuple[real_play.Play, Path]) -> None:
    play, folder = shipped
    done = by_hand(folder)
    assert done.returncode == 0, done.stderr
    files = len(folder_manifest(folder / "model")) + 4
    assert done.stdout.count(": signed") == files and "CHANGED" not in done.stdout
    assert 'Good "sign-off.v1@distill-tui" signature for vera' in done.stdout
    assert play.public("vera").fingerprint in (folder / "VERIFY.md").read_text()


@pytest.mark.parametrize("change", [swap_weights, lower_the_bar, worse_record])
def test_verify_md_finds_by_hand_what_a_patched_program_resealed(copy: Path, change: Change) -> None:
    change(copy)
    assert "CHANGED" in by_hand(copy).stdout


def test_verify_md_finds_by_hand_that_a_statement_was_changed(copy: Path) -> None:
    edited(copy, "sign_off.json", lambda s: s["predicate"].update(comment="another"))
    done = by_hand(copy)
    assert done.returncode != 0 and "Good" not in done.stdout


@pytest.mark.slow
def test_plain_transformers_loads_the_student_of_a_bundle(shipped: tuple[real_play.Play, Path]) -> None:
    """In a process of its own: what uses a student needs nothing of this program."""
    code = (
        "import sys; from transformers import AutoModelForSequenceClassification as M, AutoTokenizer as T;"
        "m, t = M.from_pretrained(sys.argv[1]), T.from_pretrained(sys.argv[1]);"
        "says = m.config.id2label[m(**t('refund please', return_tensors='pt')).logits.argmax().item()];"
        "assert says == 'money' and 'distill_tui' not in sys.modules, says"
    )
    subprocess.run([sys.executable, "-c", code, str(shipped[1] / "model")], check=True)


# --- a ship that was signed ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed(shipped: tuple[real_play.Play, Path]) -> tuple[real_play.Play, Path]:
    """The same: Dan shipped with his key."""
    return shipped


@pytest.fixture
def keyed_copy(keyed: tuple[real_play.Play, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(keyed[1], tmp_path / "keyed"))


def shipped_anew(copy: Path, play: real_play.Play, by: str) -> None:
    """Have the ship cover what is there now, signed by a driver who means to deceive."""

    def cover(ship: Any) -> None:
        about = {each["name"]: each["digest"] for each in ship["subject"]}
        about["bundle"]["sha256"] = verify.content_digest(copy).removeprefix("sha256:")
        about["sign_off"]["sha256"] = digest_of((copy / "sign_off.json").read_bytes()).removeprefix("sha256:")

    signed_anew(copy, play, by, cover)
    statement = json.loads((copy / "sign_off.json").read_bytes())
    content, signature = (copy / "sign_off.json").read_bytes(), (copy / "sign_off.sig").read_text()
    found = signatures.verify(content, signature, signatures.SIGN_OFF)
    (copy / verify.BY_HAND).write_text(verify.by_hand(statement["predicate"]["signer"], found.fingerprint, by))
    resealed(copy)


def signed_anew(copy: Path, play: real_play.Play, by: str, edit: Callable[[Any], object]) -> None:
    """Change the ship and sign it again with another person's key, as a patched program would."""
    edited(copy, "ship.json", edit)
    (copy / "ship.sig").write_text(signatures.sign((copy / "ship.json").read_bytes(), play.key(by), signatures.SHIP))
    resealed(copy)


@pytest.mark.parametrize(
    ("by", "edit"),
    [("dan", lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)),
     ("dan", lambda s: s["subject"][1]["digest"].update(sha256="0" * 64)), ("bob", lambda s: None),
     ("vera", lambda s: s["predicate"].update(signer="vera")),
     ("dan", lambda s: s.update(predicateType="urn:distill-tui:gate:v1"))],
    ids=["another student", "another sign-off", "another key", "on one's own sign-off", "another kind"],
)  # fmt: skip
def test_a_ship_that_is_not_this_one_is_refused(
    keyed_copy: Path, keyed: tuple[real_play.Play, Path], by: str, edit: Callable[[Any], object]
) -> None:
    signed_anew(keyed_copy, keyed[0], by, edit)
    assert rules_of(keyed_copy) - {"bundle.altered"} == {"bundle.ship"}  # VERIFY.md names who shipped


@pytest.mark.parametrize("name", ["ship.json", "ship.sig", "ship_signers"])
def test_a_part_of_a_ship_is_none(keyed_copy: Path, name: str) -> None:
    (keyed_copy / name).unlink()
    resealed(keyed_copy)
    assert "bundle.ship" in rules_of(keyed_copy)


def test_a_ship_says_whose_and_without_one_nothing_covers_card_and_recipe(
    keyed: tuple[real_play.Play, Path], keyed_copy: Path
) -> None:
    report = verify_bundle(keyed[1])
    assert report.problems == []
    assert report.facts["shipped by"] == f"dan, signed with {keyed[0].public('dan').fingerprint}"
    drop("ship.json", "ship.sig", "ship_signers")(keyed_copy)
    assert "bundle.unsigned" in rules_of(keyed_copy)


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "recipe.json", "log.jsonl", "VERIFY.md", "allowed_signers"])
def test_whatever_a_patched_program_adds_to_a_file_is_refused(keyed_copy: Path, name: str) -> None:
    (keyed_copy / name).write_bytes((keyed_copy / name).read_bytes() + b"\n")
    resealed(keyed_copy)
    assert rules_of(keyed_copy)


def test_49_a_log_that_was_appended_to_or_shortened_is_refused(
    keyed_copy: Path, keyed: tuple[real_play.Play, Path]
) -> None:
    lines = (keyed_copy / "log.jsonl").read_bytes().splitlines()
    last = json.loads(lines[-1])
    entry = {"seq": last["seq"] + 1, "content": "sha256:" + "0" * 64}
    entry["digest"] = digest_of(canonical([entry["seq"], last["digest"], entry["content"]]))
    for changed in ([*lines, canonical(entry)], lines[:-1], lines[1:]):
        (keyed_copy / "log.jsonl").write_bytes(b"".join(line + b"\n" for line in changed))
        shipped_anew(keyed_copy, keyed[0], "dan")
        assert rules_of(keyed_copy) == {"bundle.log"}


def test_49b_a_second_record_that_misses_is_read_too(keyed_copy: Path, keyed: tuple[real_play.Play, Path]) -> None:
    (path,) = (keyed_copy / "records").glob("*.json")
    record = json.loads(path.read_text())
    record["student"] = [1 - each for each in record["student"]]
    content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    name = digest_of(content)
    (keyed_copy / "records" / f"{name.removeprefix('sha256:')}.json").write_bytes(content)
    signed_by(keyed_copy, keyed[0].key("vera"), lambda s: s["predicate"]["covers"]["evaluations"].append(name))
    shipped_anew(keyed_copy, keyed[0], "dan")
    assert "gate.misses" in rules_of(keyed_copy)


def test_verify_md_checks_a_signed_ship_by_hand(keyed: tuple[real_play.Play, Path], keyed_copy: Path) -> None:
    done = by_hand(keyed[1])
    assert done.returncode == 0, done.stderr
    assert 'Good "ship.v1@distill-tui" signature for dan' in done.stdout and "ship.json: of this" in done.stdout
    signed_anew(keyed_copy, keyed[0], "dan", lambda s: s["subject"][1]["digest"].update(sha256="0" * 64))
    assert "ship.json: CHANGED" in by_hand(keyed_copy).stdout
