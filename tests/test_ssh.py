"""Sessions over a real sshd, and signatures that are made elsewhere. Refusal first."""

from __future__ import annotations

import base64
import json
import os
import pwd
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.actions import sign_offs
from distill_tui.cli import ssh_session
from distill_tui.cli.app import main
from distill_tui.digests import canonical
from distill_tui.people import identity, log_heads, signatures, ssh_client, ssh_server
from distill_tui.people.log_heads import Head
from distill_tui.people.ssh_client import Host as Address
from distill_tui.people.ssh_client import ViaError
from distill_tui.rules import who
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import covers
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.store import queries
from distill_tui.terms import Action, Assurance, Opinion, Role
from distill_tui.ui.forms.decide import intent
from support import needs, real_play
from support.ssh_host import Host, Session, free_port


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One server for this file; tests that change the project work on one play and say what they leave."""
    folder = tmp_path_factory.mktemp("host")
    play = real_play.copy_to(folder)
    made = Host(play, folder)
    yield made
    made.close()
    play.project.close()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


# --- addresses and answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "host", "http://host", "ssh://", "ssh://-oProxyCommand=id", "ssh://user@-oX", "ssh://-l@host", "ssh://host:0",
     "ssh://host:65536", "ssh://host:22x", "ssh://host/path", "ssh://us er@host", "ssh://host\n", "ssh://host;id",
     "ssh://$(id)@host"],
)  # fmt: skip
def test_an_address_that_could_be_an_option_or_a_command_is_refused(url: str) -> None:
    with pytest.raises(ViaError):
        Address.read(url)


def test_an_address_says_user_host_and_port() -> None:
    told = Address.read("ssh://distill@team.example:2222")
    assert told.command("statement P-001 approve")[-3:] == ["--", "distill@team.example", "statement P-001 approve"]
    assert "2222" in told.command("x") and "-a" in told.command("x")
    assert Address.read("ssh://[::1]:2222").name == "::1"


class Liar:
    """A host that answers with whatever it likes."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.name, self.port, self.answer = "liar", 22, answer

    def ask(self, words: str, line: Any) -> dict[str, Any]:
        return self.answer


def answered(play: real_play.Play, since: int = 0, comment: str = "ok") -> dict[str, Any]:
    """What an honest host answers."""
    vera = play.by("vera")
    dossier, content = sign_offs.ask_to_sign(play.project, 1, vera, Opinion.APPROVE, comment, keyed=True)
    log = queries.log_since(play.project, since, dossier.project.audit_size)
    more: dict[str, Any] = {"accepted": accepted} if (accepted := queries.acceptances(play.project)) else {}
    more["roster"] = who.roster(dossier)
    return json.loads(json.dumps({"statement": base64.b64encode(content).decode(), "log": log} | more))  # type: ignore[no-any-return]


def fetched(answer: dict[str, Any], play: str = "P-001", opinion: str = "approve") -> ssh_client.Fetched:
    return ssh_client.fetch(Liar(answer), play, opinion, "ok")  # type: ignore[arg-type]


def test_a_statement_that_says_something_else_than_was_asked_is_refused(play: real_play.Play) -> None:
    good = answered(play)
    assert fetched(good).predicate["signer"] == "vera"
    for wrong in (("P-002", "approve"), ("P-001", "refuse")):
        with pytest.raises(ViaError, match="another statement"):
            fetched(good, *wrong)
    with pytest.raises(ViaError, match="another statement"):
        fetched(answered(play, comment="another comment"))


def test_a_host_that_was_restored_is_signed_for_once_two_accepted_it(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validator's machine saw more than the host has now; the host shows the two entries, and they are printed."""
    play.project.close()
    older = play.path.read_bytes()
    actions.comment(play.project, 1, play.by("bob"), "Lost with the disk.")
    fetched(answered(play))
    here = os.environ["XDG_STATE_HOME"]
    play.project.close()
    play.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    play.path.write_bytes(older)
    answer = answered_elsewhere(play, monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Refused, match="another history"):
        patch.setenv("XDG_STATE_HOME", here)
        fetched(answer)
    for person in ("ada", "sam"):  # on the host, whose account remembers nothing
        actions.accept_restored(play.project, play.by(person), "The disk failed.")
    answer = answered_elsewhere(play, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", here)
    lied = json.loads(json.dumps(answer))
    lied["accepted"][-1][1][1] = "bob"
    with pytest.raises(Refused, match="not in its log"):
        fetched(lied)
    again = fetched(answer)
    assert "accepted by ada" in again.restored and "sam" in ssh_client.lines(again)[0]
    assert log_heads.seen("ssh://liar:22") == log_heads.seen(play.project.project_dossier().uid)


def answered_elsewhere(play: real_play.Play, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the host's account answers, which remembers nothing of what the validator's machine saw."""
    monkeypatch.setenv("XDG_STATE_HOME", str(play.folder / "host"))
    return answered(play)


@pytest.mark.parametrize("answer", [{}, {"statement": ""}, {"statement": "!"}, {"statement": "e30="}, {"statement": 1}])
def test_an_answer_that_is_no_statement_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ViaError):
        fetched(answer)


def test_a_host_with_another_history_is_refused(play: real_play.Play) -> None:
    """What was seen is remembered on the validator's own machine, and the log must go on from there."""
    good = answered(play)
    fetched(good)
    size = play.project.dossier(1).project.audit_size
    actions.comment(play.project, 1, play.by("bob"), "another entry")
    again = fetched(answered(play, since=size))
    assert again.head.size == size + 1
    uid = play.project.project_dossier().uid
    for name in ("ssh://liar:22", uid):
        assert log_heads.seen(name) == again.head
    with pytest.raises(Refused, match="another history"):
        fetched(good)  # an older copy
    forged = answered(play, since=size + 1)
    log_heads.file("ssh://liar:22").unlink()
    log_heads.remember("ssh://liar:22", Head(size, "sha256:" + "0" * 64))
    with pytest.raises(Refused, match="another history"):
        fetched(answered(play, since=size))
    log_heads.file("ssh://liar:22").unlink()
    with pytest.raises(Refused, match="another history"):
        fetched(forged)  # it must show its log from the beginning to an account that has seen none of it
    whole = answered(play)
    whole["log"][3][2] = "bob"
    with pytest.raises(Refused, match="another history"):
        fetched(whole)


# --- handing in ----------------------------------------------------------------------------------------------------


def handed_in(play: real_play.Play, content: bytes, key: str = "vera", by: str = "vera") -> set[str]:
    """Hand a signed statement in; gives the rules that refused it, none where it was recorded."""
    signature = signatures.sign(content, play.key(key), signatures.SIGN_OFF)
    try:
        actions.hand_in(play.project, 1, play.by(by), content, signature)
    except Refused as refused:
        return {each.rule for each in refused.objections}
    return set()


def statement(play: real_play.Play, **changes: Any) -> bytes:
    content = sign_offs.ask_to_sign(play.project, 1, play.by("vera"), Opinion.APPROVE, "ok", keyed=True)[1]
    value = json.loads(content)
    value["predicate"] |= {name: each for name, each in changes.items() if name != "covers"}
    value["predicate"]["covers"] |= changes.get("covers", {})
    return canonical(value)


def test_only_what_this_project_would_have_written_is_taken(play: real_play.Play) -> None:
    for changes in (
        {"comment": "fine", "tool": "mine"},
        {"criteria": []},
        {"role": "sponsor"},
        {"audit": {"size": 3, "head": "sha256:" + "1" * 64}},
        {"audit": {"size": "3", "head": None}},
        {"covers": {"evaluations": []}},
        {"covers": {"verdict": "missed"}},
        {"covers": {"project": "0" * 32}},
        {"covers": {"play": 2}},
        {"covers": {"round": 2}},
        {"covers": {"builders": []}},
        {"covers": {"extra": "1"}},
    ):
        assert handed_in(play, statement(play, **changes)) == {"sign_off.moved"}, changes
    assert not play.project.dossier(1).sign_offs


def test_a_signature_by_another_s_key_is_not_taken(play: real_play.Play) -> None:
    assert handed_in(play, statement(play), key="dan") == {"sign_off.foreign_key"}
    assert handed_in(play, statement(play, signer="dan"), key="dan", by="dan") >= {"sign_off.builder"}


def test_what_was_signed_elsewhere_counts_as_if_it_had_been_signed_here(play: real_play.Play) -> None:
    assert handed_in(play, statement(play)) == set()
    (facts,) = play.project.dossier(1, thorough=True).sign_offs
    assert facts.row.assurance is Assurance.SIGNED and not facts.trouble
    play.ship()


def test_what_is_handed_in_to_a_builders_host_counts_by_its_signature(play: real_play.Play) -> None:
    proof = f"session of dan's account, key {play.public('vera').fingerprint}"
    vera = Actor("vera", proof, Assurance.SESSION, host="dan")
    with pytest.raises(Refused, match="a builder of this play"):
        actions.sign_off(play.project, 1, vera, Opinion.APPROVE, "ok")
    content = sign_offs.ask_to_sign(play.project, 1, vera, Opinion.APPROVE, "ok", keyed=True)[1]
    signature = signatures.sign(content, play.key("vera"), signatures.SIGN_OFF)
    actions.hand_in(play.project, 1, vera, content, signature)
    whole = play.project.dossier(1, thorough=True)
    assert not whole.project.audit_trouble and not whole.sign_offs[0].trouble
    play.ship()


# --- who a session is ------------------------------------------------------------------------------------------------


def as_in_a_session(play: real_play.Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> Any:
    file = tmp_path / "auth"
    file.write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setenv("SSH_USER_AUTH", str(file))
    return identity.by_session(play.project.project_dossier())


def test_a_session_without_one_known_key_is_nobody(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for lines in ((), ("password",), (f"publickey {play.public('vera').line}x",)[:0], ("hostbased x",)):
        assert as_in_a_session(play, monkeypatch, tmp_path, *lines).person is None
    both = [f"publickey {play.public(who).line}" for who in ("vera", "dan")]
    assert as_in_a_session(play, monkeypatch, tmp_path, *both).person is None
    actions.revoke_key(play.project, play.by("ada"), play.public("vera").fingerprint)
    assert as_in_a_session(play, monkeypatch, tmp_path, both[0]).person is None
    monkeypatch.setenv("SSH_USER_AUTH", str(tmp_path / "missing"))
    assert identity.by_session(play.project.project_dossier()).person is None


def test_a_session_names_the_key_and_whoever_s_account_runs_it(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vera = as_in_a_session(play, monkeypatch, tmp_path, f"publickey {play.public('vera').line}")
    assert (vera.person, vera.assurance, vera.host) == ("vera", Assurance.SESSION, "ada")
    assert vera.proof == f"session of ada's account, key {play.public('vera').fingerprint}"
    account = pwd.getpwuid(os.getuid()).pw_name
    for connection, address in (
        ("", ""), ("10.0.0.7 50000 10.0.0.1 22", f"ssh://{account}@10.0.0.1:22"),
        ("fe80::2 50000 fe80::1 2222", f"ssh://{account}@[fe80::1]:2222"),
    ):  # fmt: skip
        monkeypatch.setenv("SSH_CONNECTION", connection)
        assert identity.by_session(play.project.project_dossier()).address == address
        assert not address or Address.read(address).port in (22, 2222)


def test_a_session_signs_where_the_gate_takes_sessions_and_not_where_it_asks_for_a_key(play: real_play.Play) -> None:
    vera = replace(play.by("vera"), assurance=Assurance.SESSION, host="ada")
    with pytest.raises(Refused, match="sign --via"):
        actions.sign_off(play.project, 1, vera, Opinion.APPROVE, "ok")
    with pytest.raises(Refused, match="sign --via ssh://ada@host:2222 P-001"):
        actions.sign_off(play.project, 1, replace(vera, address="ssh://ada@host:2222"), Opinion.APPROVE, "ok")
    gate = real_play.gate_with(minimum_assurance=Assurance.SESSION)
    seen = replace(play.project.dossier(1, thorough=True), gate=gate)
    assert objections(Action.SIGN_OFF, seen, vera) == []
    weak = replace(vera, assurance=Assurance.ACCOUNT)
    assert {o.rule for o in objections(Action.SIGN_OFF, seen, weak)} == {"sign_off.weak"}


def test_a_file_that_others_can_write_proves_nobody(play: real_play.Play) -> None:
    for place, open_to_all, own in ((play.path, 0o666, 0o600), (play.folder, 0o770, 0o700)):
        place.chmod(open_to_all)
        with pytest.raises(Refused, match="Other accounts may write"):
            ssh_session.begin(play.project)
        place.chmod(own)
    assert ssh_session.begin(play.project).assurance is Assurance.SESSION


@pytest.mark.parametrize(
    ("term", "kept"),
    [("xterm", "xterm"), ("screen.xterm-256color", "screen.xterm-256color"), ("../../etc/x$(id)", "xterm-256color"),
     ("\x1b]0;x\x07", "xterm-256color"), ("dumb", "xterm-256color"), ("x" * 65, "xterm-256color"),
     ("", "xterm-256color")],
)  # fmt: skip
def test_of_the_environment_only_what_a_session_needs_is_kept(
    monkeypatch: pytest.MonkeyPatch, term: str, kept: str
) -> None:
    with monkeypatch.context() as patch:
        for name in ("TEXTUAL_DRIVER", "PYTHONSTARTUP", "LD_PRELOAD", "EDITOR", "LC_ALL", "DISTILL_PROJECT", "PAGER"):
            patch.setenv(name, "evil")
        patch.setenv("TERM", term)
        before = dict(os.environ)
        try:
            ssh_session.clean_environment()
            found = dict(os.environ)
        finally:
            os.environ.clear()
            os.environ |= before
    assert "evil" not in found.values() and found["TERM"] == kept


# --- the server ----------------------------------------------------------------------------------------------------


def test_every_key_may_run_the_session_and_nothing_else(play: real_play.Play) -> None:
    lines = ssh_server.key_lines(play.project.project_dossier(), play.path)
    assert len(lines) == 5
    assert all(line.startswith('restrict,pty,command="') and line.count("ssh-ed25519") == 1 for line in lines)
    actions.revoke_key(play.project, play.by("ada"), play.public("bob").fingerprint)
    assert len(ssh_server.key_lines(play.project.project_dossier(), play.path)) == 4


WIDER = {  # a setting that would widen a session, and the check that names it
    "AcceptEnv LD_PRELOAD": "acceptenv",
    "AcceptEnv *": "acceptenv",
    "SetEnv PYTHONPATH=/tmp": "setenv",
    "ForceCommand /bin/sh": "forcecommand",
    "StrictModes no": "strictmodes",
    "AuthorizedPrincipalsFile /etc/ssh/people": "authorizedprincipalsfile",
    "IgnoreRhosts no": "ignorerhosts",
}


def test_a_set_up_is_checked_line_by_line_and_setting_by_setting(
    play: real_play.Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs.program("sshd")
    file, config = tmp_path / "authorized_keys", tmp_path / "sshd_config"

    def checked(text: str, settings: str) -> tuple[int, dict[str, bool]]:
        file.write_text(text)
        key = tmp_path / "host_key"
        if not key.exists():
            real_play.make_key(key)
        config.write_text(f"HostKey {key}\n{settings}\n")
        words = ["ssh", "setup", "--json", "--check", str(file), "--sshd-config", str(config)]
        code = main(["--project", str(play.path), *words])
        return code, {each["check"]: each["ok"] for each in json.loads(capsys.readouterr().out)}

    assert main(["--project", str(play.path), "ssh", "setup", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    good = "".join(f"{line}\n" for line in told["authorized_keys"])
    assert checked(good, told["sshd_config"])[0] == 0
    code, found = checked(good, "")
    assert code == 1 and not found["exposeauthinfo"] and not found["permituserrc"]
    for setting, name in WIDER.items():
        code, found = checked(good, f"{setting}\n{told['sshd_config']}")  # the first of two counts
        assert code == 1 and [each for each, ok in found.items() if not ok] == [name], setting
    free = f"{play.public('dan').line}\n"
    lines = good.splitlines()
    theirs = next(number for number, line in enumerate(lines) if line.endswith(free.strip()))
    code, found = checked("\n".join([*lines[:theirs], free, *lines[theirs + 1 :]]), told["sshd_config"])
    assert code == 1 and [name for name, ok in found.items() if not ok] == [f"line {theirs + 1}"]
    assert checked(good + free, told["sshd_config"])[0] == 1
    code, found = checked("\n".join(good.splitlines()[1:]), told["sshd_config"])
    assert code == 1 and found["missing"] is False


def test_a_folder_that_others_can_write_holds_no_host_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "open"))
    with pytest.raises(ssh_server.ServerError, match="Others can write"):
        ssh_server._state("0" * 32)


def test_a_key_that_is_enrolled_while_the_server_runs_gets_in(host: Host, tmp_path: Path) -> None:
    key = host.play.key("zoe")
    real_play.make_key(key)
    assert host.run("zoe", "statement P-001 approve").returncode == 255
    actions.enrol_person(host.play.project, host.play.by("ada"), "zoe", "Zoe", key=host.play.public("zoe"))
    for _ in range(100):
        time.sleep(0.2)
        if host.run("zoe", "id").returncode == 2:
            break
    said = json.loads(host.run("zoe", "statement P-001 approve", given=b"{}").stdout)
    assert {each["rule"] for each in said["objections"]} == {"role.validator"}


# --- sign --via ------------------------------------------------------------------------------------------------------


def via(host: Host, *words: str, given: str | None = None, by: str = "vera") -> subprocess.CompletedProcess[str]:
    """Run `sign --via` as on the validator's own machine: another state folder, no project file."""
    command = [sys.executable, "-m", "distill_tui", "--key", str(host.play.key(by)), "sign", "--via", host.url]
    more = ["--ssh-config", str(host.config), "P-001", *words]
    env = host.env | {"XDG_STATE_HOME": str(host.folder / "own")}
    return subprocess.run([*command, *more], input=given or "", capture_output=True, text=True, env=env, check=False)


def test_the_driver_cannot_sign_from_elsewhere_either(host: Host) -> None:
    said = via(host, "--json", by="dan")
    assert said.returncode == 3
    assert {each["rule"] for each in json.loads(said.stdout)} >= {"role.validator", "sign_off.builder"}


def test_a_statement_is_shown_signed_here_and_handed_in(host: Host) -> None:
    shown = via(host, "--json")
    assert shown.returncode == 0, shown.stderr
    seen = json.loads(shown.stdout)["seen"]
    nobody = via(host, "--approve", "-m", "from home")
    assert nobody.returncode == 2 and "You are asked to sign, as vera" in nobody.stderr
    people = host.play.project.project_dossier().people
    for person, role in (("vera", "validator"), ("dan", "driver")):  # person, key, enrolled by whom and when
        roster = f"{person} ({role}): {host.play.public(person).fingerprint}; enrolled by ada, "
        assert roster + people[person].enrolled_at[:10] in nobody.stderr
    other = via(host, "--approve", "-m", "from home", "--seen", "sha256:" + "0" * 64)
    assert other.returncode == 3 and not host.play.project.dossier(1).sign_offs
    done = via(host, "--approve", "-m", "from home", "--seen", seen)
    assert done.returncode == 0 and done.stdout.strip() == "1" and "It counts" in done.stderr
    (facts,) = host.play.project.dossier(1, thorough=True).sign_offs
    assert facts.row.assurance is Assurance.SIGNED and facts.row.comment == "from home" and not facts.trouble
    assert host.play.project.dossier(1).sign_offs[0].statement["predicate"]["covers"]["play"] == 1


# --- sessions with a terminal -------------------------------------------------------------------------------------


def test_a_session_opens_at_what_waits_and_judges_blind_over_the_line(host: Host) -> None:
    session = Session(host, "vera")
    try:
        session.wait_for(b"vera")
        session.wait_for(b"mail-topic")
        session.press(b":")  # no command line
        session.press(b"\x1a")  # no suspending
        session.read(1)
        session.press(b"\x11")
        assert session.ended() == 0
        assert session.written.count(b"\x1b[?1049h") == session.written.count(b"\x1b[?1049l") == 1
    finally:
        session.close()


def test_the_command_that_a_session_copies_signs_from_the_persons_own_machine(
    play: real_play.Play, tmp_path: Path
) -> None:
    host = Host(play, tmp_path)
    config, own = ["--ssh-config", str(host.config)], host.env | {"XDG_STATE_HOME": str(tmp_path / "own")}
    try:
        sign = copied(host, "vera")
        filled = [str(play.key("vera")) if word == "FILE" else word for word in shlex.split(sign)[1:]]
        seen = json.loads(via(host, "--json").stdout)["seen"]
        done = subprocess.run(
            [sys.executable, "-m", "distill_tui", *filled, *config, "--seen", seen],
            capture_output=True, text=True, env=own, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and "It counts" in done.stderr, (sign, done.stderr)
        again = shlex.split(copied(host, "vera"))  # nothing more to sign: another session
        assert again[:2] == ["ssh", "-t"]
        told = subprocess.run(
            ["ssh", "-F", str(host.config), "-i", str(play.key("vera")), *again[1:], "id"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        assert told.returncode == 2, "this program answered, and refused a command"
    finally:
        host.close()


def copied(host: Host, person: str) -> str:
    """Return what `Y` puts on the clipboard of the terminal at the other end."""
    session = Session(host, person, (120, 36))
    try:
        session.wait_for(b"mail-topic")
        for _ in range(60):
            session.press(b"Y")
            found = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)", session.read(0.5))
            if found:
                return base64.b64decode(found[-1]).decode()
        raise AssertionError(session.written[-2000:])
    finally:
        session.close()


def test_a_port_is_a_number_and_a_server_ends_when_it_is_told(host: Host) -> None:
    words = [sys.executable, "-m", "distill_tui", "--project", str(host.play.path), "ssh", "serve", "--port", "70000"]
    assert subprocess.run(words, capture_output=True, env=host.env, check=False).returncode == 2
    assert free_port() != host.port and host.process.poll() is None


# --- heads that were seen --------------------------------------------------------------------------------------------


def audit(play: real_play.Play, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["--project", str(play.path), "audit", "verify", *words])
    out = capsys.readouterr()
    return code, out.out + out.err


def test_an_older_copy_is_noticed_by_whoever_saw_more(
    play: real_play.Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(play, capsys)[0] == 0
    play.project.close()
    older = {name: (play.folder / name).read_bytes() for name in ("team.distill",)}
    actions.comment(play.project, 1, play.by("bob"), "more")
    assert audit(play, capsys)[0] == 0
    play.project.close()
    play.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for name, content in older.items():
        (play.folder / name).write_bytes(content)
    code, said = audit(play, capsys)
    assert code == 1 and "older copy" in said
    assert main(["--project", str(play.path), "whoami"]) == 0
    assert "older copy" in capsys.readouterr().err  # whatever opens the file says so
    for person in ("ada", "sam"):
        actions.accept_restored(play.project, play.by(person), "It was restored on purpose.")
    assert audit(play, capsys)[0] == 0


def test_a_fork_is_noticed_by_whoever_is_shown_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = real_play.copy_to(tmp_path / "one"), real_play.copy_to(tmp_path / "two")
    here = os.environ["XDG_STATE_HOME"]
    for made, texts in ((one, ["to vera"]), (two, ["to sam", "and more"])):
        monkeypatch.setenv("XDG_STATE_HOME", str(made.folder / "of-the-forger"))
        for text in texts:
            actions.comment(made.project, 1, made.by("bob"), text)
    monkeypatch.setenv("XDG_STATE_HOME", here)
    assert audit(one, capsys)[0] == 0
    code, said = audit(two, capsys)
    assert code == 1 and "another copy" in said
    assert audit(one, capsys)[0] == 0
    for made in (one, two):
        made.project.close()


def test_the_roster_that_a_project_asks_for_is_signed_by_its_sponsor(play: real_play.Play) -> None:
    with pytest.raises(Refused, match="has no key, so the roster could not be changed any more"):
        actions.set_assurance(play.project, play.by("ada"), Assurance.SIGNED)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(play.key("ada"))], check=True)
    actions.add_key(play.project, play.by("ada"), "ada", play.public("ada"))
    actions.set_assurance(play.project, play.by("ada"), Assurance.SIGNED)
    with pytest.raises(Refused, match="requires a signed roster"):
        play.sign()
    with pytest.raises(Refused, match="Only the sponsor"):
        actions.sign_roster(play.project, 1, play.by("dan"), key=play.key("dan"))
    with pytest.raises(Refused, match="signed with a key"):
        actions.sign_roster(play.project, 1, play.by("sam") and replace(play.by("sam"), assurance=Assurance.ACCOUNT))
    actions.sign_roster(play.project, 1, play.by("sam"), key=play.key("sam"))
    play.sign()
    with pytest.raises(Refused, match="requires assurance “signed” for a decision; yours has “account”"):
        actions.ship(play.project, 1, play.by("dan"))
    actions.assign_role(play.project, 1, play.by("sam"), Role.OPERATOR, "bob")
    with pytest.raises(Refused, match="has not signed the current one"):
        actions.ship(play.project, 1, play.by("dan"), key=play.key("dan"))
    actions.sign_roster(play.project, 1, play.by("sam"), key=play.key("sam"))
    play.sign()
    actions.ship(play.project, 1, play.by("dan"), key=play.key("dan"))
    kinds = [facts.row.kind for facts in play.project.dossier(1).statements if not facts.trouble]
    assert [kind for kind in kinds if kind != "decision"] == ["roster", "roster", "ship"]
    assert "decision" in kinds, "a change of roles is signed too"


@pytest.mark.slow
def test_a_forwarded_agent_signs_inside_a_session(play: real_play.Play, tmp_path: Path) -> None:
    made, socket = Host(play, tmp_path, "--agent"), tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.05)
        held = os.environ | {"SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(play.key("vera"))], env=held, check=True)
        forward = ("-A", "-o", "IdentityAgent=SSH_AUTH_SOCK")
        session = Session(made, "vera", (100, 30), options=forward, SSH_AUTH_SOCK=str(socket))
        session.wait_for(b"mail-topic")
        session.read(2)
        session.press(b"S")
        session.wait_for(b"type P-001")
        session.read(2)
        session.press(b"in the session\r")
        for _ in range(20):  # to the last line
            session.press(b"\x1b[6~")
            session.read(0.2)
        session.press(intent("P-001", covers(play.project.dossier(1))).encode() + b"\r")
        session.wait_for(b"is recorded")
        session.close()
    finally:
        agent.terminate()
        agent.wait()
        made.close()
    (facts,) = play.project.dossier(1, thorough=True).sign_offs
    assert facts.row.assurance is Assurance.SIGNED and not facts.trouble
    proofs = [entry.proof for entry in queries.entries(play.project, 1) if entry.action is Action.SIGN_OFF]
    assert proofs == [f"session of ada's account, key {play.public('vera').fingerprint}"]


def test_52_eight_people_log_in_while_two_hundred_connections_are_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.program("sshd")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tmp_path.chmod(0o700)
    folder = ssh_server._state("0" * 32)
    config = ssh_server._write_config(folder, ssh_server.Serving(port, "127.0.0.1"))
    real_play.make_key(tmp_path / "vera")
    public = (tmp_path / "vera.pub").read_text()
    (folder / "authorized_keys").write_text(f'restrict,command="echo in" {public}')
    server = subprocess.Popen([ssh_server.sshd(), "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    idle = []
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(200)]
        user = pwd.getpwuid(os.getuid()).pw_name
        options = [
            f"-o{each}" for each in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
        ]
        command = ["ssh", "-F", "none", "-T", "-p", str(port), "-i", str(tmp_path / "vera"), *options]
        people = [
            subprocess.Popen([*command, f"{user}@127.0.0.1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(8)
        ]
        assert [person.communicate(timeout=60)[0] for person in people] == [b"in\n"] * 8
    finally:
        for each in idle:
            each.close()
        server.terminate()
        server.wait()
