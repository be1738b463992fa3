"""What weakens the separation of builders and validator is named, signed with the sign-off, and shown."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rules import separation
from distill_tui.rules.decide import covers, sign_off_troubles
from distill_tui.rules.entities import SshKey
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.store import whole_check
from distill_tui.terms import Action, Role, Weakness
from distill_tui.ui.play import evidence
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets.page import Lines
from support import real_play
from support.story import AT, ROLES, actor, changed, person, signed


def plain(lines: Lines) -> str:
    return " ".join(" ".join(str(line) for line in lines).split())


def test_53_a_sponsor_who_makes_himself_the_validator_is_named_in_what_is_signed() -> None:
    play = replace(signed(), roles={**ROLES, Role.VALIDATOR: "sam"}, late_roles=(("validator", "vera", "sam"),))
    assert separation.notes(play) == [
        "The validator was changed after the lock, from vera to sam.",
        "sam is the sponsor and the validator.",
    ]
    assert covers(play)["separation"] == separation.notes(play)


def test_a_builder_who_gave_the_validator_a_key_is_named_and_makes_an_older_sign_off_stale() -> None:
    play = signed()
    assert not separation.notes(play) and not list(sign_off_troubles(play, play.sign_offs[0]))
    later = replace(play, enrolled_by={"vera": ("mia", "dan")})
    assert separation.notes(later) == ["vera, the validator, was enrolled or given a key by dan, who built."]
    assert any("separation changed" in each.sentence for each in sign_off_troubles(later, later.sign_offs[0]))


def test_two_persons_of_a_play_with_one_name_are_named() -> None:
    people = {name: person(name) for name in ROLES.values()}
    people["vera"] = replace(people["vera"], name="  dan ")
    play = changed(signed(), people=people)
    assert separation.notes(play) == ["dan and vera have the same name."]


def key_of(person: str, *parts: bytes) -> SshKey:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    text = base64.b64encode(blob).decode()
    return SshKey(fingerprint=f"SHA256:{person}", person_id=person, kind=parts[0].decode(), blob=text, added_at=AT)


def test_keys_of_one_device_are_named_whatever_form_they_have() -> None:
    """One secret makes several keys: a hardware key for another application, the same numbers under another kind."""
    ours = key_of("vera", b"sk-ssh-ed25519@openssh.com", b"n" * 32, b"ssh:")
    for theirs in (
        key_of("dan", b"sk-ssh-ed25519@openssh.com", b"n" * 32, b"ssh:work"),
        key_of("dan", b"ssh-ed25519", b"n" * 32),
    ):
        assert "dan and vera have keys of one device." in separation.notes(changed(signed(), keys=(ours, theirs)))
    other = key_of("dan", b"ssh-ed25519", b"m" * 32)
    assert separation.notes(changed(signed(), keys=(ours, other, key_of("eve", b"ssh-ed25519", b"n" * 32)))) == []


WEAK = {  # how each weakness comes about
    Weakness.SHARED_NAME: lambda play: changed(
        play, people={n: replace(person(n), name="Sam") for n in ROLES.values()}
    ),
    Weakness.SHARED_KEY: lambda play: changed(
        play, keys=(key_of("vera", b"ssh-ed25519", b"n"), key_of("dan", b"sk-ssh-ed25519@openssh.com", b"n", b"ssh:"))
    ),
    Weakness.BUILDER_ENROLS: lambda play: replace(play, enrolled_by={"vera": ("dan",)}),
    Weakness.LATE_ROLE: lambda play: replace(play, late_roles=(("operator", "olga", "omar"),)),
    Weakness.SPONSOR_VALIDATES: lambda play: replace(play, late_roles=(("sponsor", "vera", "sam"),)),
}


@pytest.mark.parametrize("weakness", list(Weakness))
def test_each_weakness_ends_sign_off_and_ship_only_where_the_project_forbids_it(weakness: Weakness) -> None:
    play = WEAK[weakness](signed())
    for action, who in ((Action.SIGN_OFF, "vera"), (Action.SHIP, "dan")):
        for forbids in (frozenset(), frozenset({weakness.value})):
            asked = changed(play, forbids=forbids)
            rules = {reason.rule for reason in objections(action, asked, actor(who))}
            assert ("separation.forbidden" in rules) == bool(forbids), (weakness, action, rules)
    for width in (118, 78):  # tab 6
        shown = plain(evidence.separated(View(play, actor("vera")), width))
        assert all(note in shown for note in separation.notes(play)) and separation.notes(play)


def test_what_a_project_forbids_is_the_keeper_s_signed_word_and_is_never_taken_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = real_play.copy_to(tmp_path)
    with pytest.raises(Refused, match="Only the keeper"):
        actions.set_separation(play.project, play.by("sam"), [Weakness.LATE_ROLE])
    with pytest.raises(Refused, match="can forbid"):
        actions.set_separation(play.project, play.by("ada"), ["everything"])
    assert main(["--project", str(play.path), "separation", "late-role", "shared-name"]) == 0
    actions.set_separation(play.project, play.by("ada"), [Weakness.SHARED_KEY])  # added to what is there
    forbids = play.project.project_dossier().forbids
    assert forbids == {"late-role", "shared-name", "shared-key"}
    play.sign()
    with pytest.raises(Refused, match="cannot change after the lock"):
        actions.assign_role(play.project, play.id, play.by("sam"), Role.OPERATOR, "bob")
    play.ship()
    assert main(["--project", str(play.path), "roster", "show", "P-001"]) == 0
    shown = capsys.readouterr().out
    assert "vera (validator)" in shown and "enrolled by ada" in shown
    with play.project.view() as connection:
        assert whole_check.trouble(connection) == ""
    play.project.close()


def test_a_key_that_is_revoked_later_is_shown_next_to_every_signature_that_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = real_play.copy_to(tmp_path)
    play.sign()
    actions.comment(play.project, play.id, play.by("vera"), "And a word.")
    fingerprint = play.public("vera").fingerprint
    actions.revoke_key(play.project, play.by("ada"), fingerprint)
    entry = play.project.project_dossier().audit_size
    after = f"key revoked after it, at entry {entry}"
    dossier = play.project.dossier(play.id)
    assert dossier.sign_offs[0].revoked == after and not dossier.sign_offs[0].trouble
    assert after in plain(evidence.sign_offs(View(dossier, play.by("vera")), 118))  # tab 6
    assert main(["--project", str(play.path), "log", "P-001"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if fingerprint in line and "DETAIL" not in line]
    assert len(lines) >= 2 and all(after in line for line in lines)
    assert main(["--project", str(play.path), "show", "P-001"]) == 0
    assert after in capsys.readouterr().out
    play.project.close()
