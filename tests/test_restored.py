"""A file that lacks what an account saw of it, and a folder that others may write: nothing is decided there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from distill_tui import actions
from distill_tui.cli.app import COMMANDS, main
from distill_tui.cli.options import Pairs
from distill_tui.people import identity
from distill_tui.people.keys import PublicKey
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import Request, ServeMode
from distill_tui.store import audit_log, deciding, doctor, sqlite, whole_check
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, Assurance, ServingMode
from distill_tui.ui.app import DistillApp
from support import real_play
from support.at_the_screen import settled, text_of, told

Become = Callable[[str], None]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Become]:
    """Become another account of this machine, or of another: it remembers what it saw itself."""

    def become(name: str) -> None:
        (tmp_path / "accounts" / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "accounts" / name))

    become("first")
    yield become


def whole(play: real_play.Play) -> bytes:
    """Return the file with all that was committed in it, as a backup by `cp` of a closed project has it."""
    play.project.close()
    play.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return play.path.read_bytes()


def put_back(play: real_play.Play, content: bytes) -> None:
    whole(play)
    for end in ("-wal", "-shm"):
        Path(f"{play.path}{end}").unlink(missing_ok=True)
    play.path.write_bytes(content)


def copied(play: real_play.Play, folder: Path) -> real_play.Play:
    whole(play)
    return real_play.Play(folder, Project(Path(shutil.copytree(play.folder, folder)) / "team.distill"))


def rules(play: real_play.Play, action: Action, by: str, request: Request | None = None) -> set[str]:
    dossier = play.project.dossier(play.id, thorough=True)
    return {each.rule for each in objections(action, dossier, play.by(by), request)}


def accept(play: real_play.Play, by: str) -> None:
    actions.accept_restored(play.project, play.by(by), "The disk of the host failed.")


def test_50_an_older_file_is_read_only_until_the_keeper_and_one_more_person_accept_it(
    play: real_play.Play, account: Become, capsys: pytest.CaptureFixture[str]
) -> None:
    older = whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "The last word.")
    play.sign()
    put_back(play, older)
    for action, by in ((Action.SIGN_OFF, "vera"), (Action.SHIP, "dan"), (Action.COMMENT, "bob"), (Action.KILL, "sam")):
        assert "audit.restored" in rules(play, action, by)
    assert "audit.restored" in rules(play, Action.SERVE_MODE, "olga", ServeMode(ServingMode.CAPTURE))
    with pytest.raises(Refused, match="you have seen"):
        play.sign()
    assert main(["--project", str(play.path), "audit", "verify"]) == 1
    assert "an older copy" in capsys.readouterr().err
    assert not {each.name: each.ok for each in doctor.file(play.path)}["history"]
    assert main(["--project", str(play.path), "audit", "accept", "-m", "The disk failed."]) == 0  # ada, by her account
    assert "one more person must accept it" in capsys.readouterr().err
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")
    with pytest.raises(Refused, match="accepted it already"):
        accept(play, "ada")
    accept(play, "sam")
    assert "audit.restored" not in rules(play, Action.SIGN_OFF, "vera")
    play.sign()
    play.ship()
    with pytest.raises(Refused, match="goes on from everything"):
        accept(play, "vera")
    assert main(["--project", str(play.path), "audit", "verify"]) == 0


def at_the_command_line(play: real_play.Play, words: str, by: str) -> int:
    return main(["--project", str(play.path), "--key", str(play.key(by)), *words.split()])


COMMANDS_THAT_COUNT = (
    ("sign P-001 --approve -m good", "vera"),
    ("ship P-001", "dan"),
    ("serve P-001", "olga"),
)


def test_sign_ship_and_serve_end_with_one_sentence_and_its_cure_over_an_older_file(
    play: real_play.Play, account: Become, capsys: pytest.CaptureFixture[str]
) -> None:
    older = whole(play)
    play.sign()
    put_back(play, older)
    for words, by in COMMANDS_THAT_COUNT:
        assert at_the_command_line(play, words, by) == 3, words
        said = capsys.readouterr().err.strip()
        assert said.count("you have seen") == 1 and "audit accept -m TEXT" in said, said


def test_a_backup_that_another_account_opens_elsewhere_is_signed_shipped_and_served(
    play: real_play.Play, tmp_path: Path, account: Become, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup by `cp` of a closed project: what the first account did later is not in it, and no one there saw it."""
    backup = copied(play, tmp_path / "backup")
    play.project = Project.open(play.path)
    actions.comment(play.project, play.id, play.by("bob"), "After the backup.")
    account("elsewhere")
    backup.project.close()
    for words, by in COMMANDS_THAT_COUNT[:2]:
        code = at_the_command_line(backup, words, by)
        assert code == 0, capsys.readouterr().err
    assert "you have seen" not in capsys.readouterr().err
    backup.project = Project.open(backup.path)
    assert rules(backup, Action.SERVE_MODE, "olga", ServeMode(ServingMode.CAPTURE)) == set()
    assert len(backup.project.dossier(1).bundles) == 1
    backup.project.close()


def test_every_account_that_saw_more_goes_on_from_the_accepted_file_and_not_from_another_one(
    play: real_play.Play, account: Become
) -> None:
    older = whole(play)
    for name, times in (("first", 1), ("second", 3)):
        account(name)
        for _ in range(times):
            actions.comment(play.project, play.id, play.by("bob"), "More.")
    put_back(play, older)
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")
    account("third")
    assert "audit.restored" not in rules(play, Action.COMMENT, "bob")  # it saw nothing of it before
    account("first")
    accept(play, "bob")
    account("third")
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")  # for everyone, until the keeper accepts it too
    accept(play, "ada")
    for name in ("first", "second", "third"):
        account(name)
        assert "audit.restored" not in rules(play, Action.COMMENT, "bob")
    accepted = whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "After it.")
    put_back(play, accepted)
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")  # one acceptance is for one restore
    put_back(play, older)
    account("second")
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")


def test_50b_a_write_ahead_log_that_does_not_follow_from_the_file_is_noticed(
    play: real_play.Play, account: Become
) -> None:
    wal = Path(f"{play.path}-wal")
    actions.comment(play.project, play.id, play.by("bob"), "In the write-ahead log.")
    torn = wal.read_bytes()
    actions.comment(play.project, play.id, play.by("bob"), "And after it.")
    newer = whole(play)
    account("second")
    play.path.write_bytes(newer)
    wal.write_bytes(torn)
    play.project = Project.open(play.path)
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")
    play.project.close()
    play.project = Project.open(play.path)  # the one that closed wrote the log back into the file
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")


def test_50c_newest_commits_taken_away_with_the_write_ahead_log_are_missed(
    play: real_play.Play, account: Become
) -> None:
    whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "In the write-ahead log.")
    before = play.path.read_bytes()
    put_back(play, before)
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")


def test_a_copy_goes_on_elsewhere_and_comes_back_but_not_both_of_two(
    play: real_play.Play, tmp_path: Path, account: Become
) -> None:
    actions.comment(play.project, play.id, play.by("bob"), "Here.")
    whole(play)
    elsewhere = real_play.Play(
        tmp_path / "other", Project(shutil.copytree(play.folder, tmp_path / "other") / "team.distill")
    )
    account("elsewhere")
    actions.comment(elsewhere.project, play.id, elsewhere.by("bob"), "There.")
    account("first")
    assert rules(elsewhere, Action.COMMENT, "bob") == set()  # it goes on from here
    assert "audit.restored" in rules(play, Action.COMMENT, "bob")  # the one that stayed is the older one now
    account("elsewhere")
    forked = real_play.Play(
        tmp_path / "fork", Project(shutil.copytree(play.folder, tmp_path / "fork") / "team.distill")
    )
    account("third")
    for text in ("A history", "of its own"):
        actions.comment(forked.project, play.id, forked.by("bob"), text)
    account("first")
    with pytest.raises(Refused, match="is not the one that you have seen"):
        actions.comment(forked.project, play.id, forked.by("bob"), "No.")
    for each in (elsewhere, forked):
        each.project.close()


def test_a_keeper_who_is_alone_accepts_alone(tmp_path: Path, account: Become) -> None:
    project = Project.create(tmp_path / "own.distill", "Own", "ada", "Ada", identity.this_account())
    made = real_play.Play(tmp_path, project)
    ada = made.by("ada")
    older = whole(made)
    actions.open_play(project, ada, "one", real_play.PlayKind.COST)
    put_back(made, older)
    with pytest.raises(Refused, match=r"the keeper \(ada\) must accept it"):
        actions.open_play(project, ada, "two", real_play.PlayKind.COST)
    accept(made, "ada")
    actions.open_play(project, ada, "two", real_play.PlayKind.COST)
    project.close()


def test_an_acceptance_is_signed_where_the_project_asks_for_it(play: real_play.Play, account: Become) -> None:
    actions.add_key(play.project, play.by("ada"), "ada", _key(play, "ada"))
    ada = identity.by_key(play.project.project_dossier(), play.key("ada"))
    actions.set_assurance(play.project, ada, Assurance.SIGNED)
    older = whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "More.")
    put_back(play, older)
    with pytest.raises(Refused, match="requires assurance “signed”"):
        accept(play, "ada")
    actions.accept_restored(play.project, ada, "It was lost.")
    connection = sqlite.connect(play.path)
    deciding.watch(connection)
    connection.execute("BEGIN IMMEDIATE")
    forged = Actor("bob", f"key {play.public('bob').fingerprint}")
    audit_log.append(connection, now(), forged, Action.ACCEPT_RESTORED, None, {"reason": "unsigned"})
    connection.execute("COMMIT")
    assert "bob did not sign it" in whole_check.trouble(connection)
    connection.close()
    assert rules(play, Action.SHIP, "dan") & {"audit.broken"}


def _key(play: real_play.Play, person: str) -> PublicKey:
    real_play.make_key(play.key(person))
    return play.public(person)


def test_what_is_appended_while_an_acceptance_waits_does_not_count(play: real_play.Play, account: Become) -> None:
    older = whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "More.")
    put_back(play, older)
    accept(play, "ada")
    connection = sqlite.connect(play.path)
    deciding.watch(connection)
    connection.execute("BEGIN IMMEDIATE")
    audit_log.append(connection, now(), play.by("dan"), Action.COMMENT, 1, {"text": "past the door"})
    connection.execute("COMMIT")
    assert "does not count" in whole_check.trouble(connection)
    connection.close()


async def test_the_board_shows_that_a_file_is_read_only(play: real_play.Play, account: Become) -> None:
    older = whole(play)
    actions.comment(play.project, play.id, play.by("bob"), "More.")
    put_back(play, older)
    app = DistillApp(play.path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "READ-ONLY" in text_of(app) and "an older copy" in told(app)
        actions.accept_restored(play.project, play.by("ada"), "It was lost.")
        actions.accept_restored(play.project, play.by("sam"), "It was lost.")
        for _ in range(200):
            await pilot.pause(0.05)
            if "READ-ONLY" not in text_of(app):
                break
        assert "READ-ONLY" not in text_of(app)


# --- who else may write it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["team.distill", "", "team.distill.artifacts", ".."])
def test_51_a_file_or_folder_that_others_may_write_is_neither_signed_nor_shipped_from(
    play: real_play.Play, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = (play.folder / place).resolve()
    mode = opened.stat().st_mode
    opened.chmod(0o777)
    for action, by in ((Action.SIGN_OFF, "vera"), (Action.SHIP, "dan")):
        assert "file.exposed" in rules(play, action, by)
    assert not {each.name: each.ok for each in doctor.file(play.path)}["who may write"]
    assert main(["--project", str(play.path), "audit", "verify"]) == 1
    assert f"may write {opened}" in capsys.readouterr().err
    opened.chmod(mode)
    play.sign()
    play.ship()


def test_a_sticky_folder_above_is_safe_and_one_around_the_file_is_not(play: real_play.Play) -> None:
    play.folder.parent.chmod(0o1777)
    assert "file.exposed" not in rules(play, Action.SHIP, "dan")
    play.folder.chmod(0o1777)  # others could put a journal next to the file
    assert "file.exposed" in rules(play, Action.SHIP, "dan")
    play.folder.chmod(0o700)
    play.folder.parent.chmod(0o700)


def _words(command: click.Command, file: Path) -> Iterator[str]:
    """Yield words that the parser takes for what a command requires."""
    for param in command.params:
        if param.required:
            known = list(getattr(param.type, "choices", ()))
            number = isinstance(param.type, (click.types.IntParamType, click.types.FloatParamType))
            pair = isinstance(param.type, Pairs)
            path = isinstance(param.type, click.Path)
            word = str(known[0]) if known else "1" if number else "a=1" if pair else str(file) if path else "P-001"
            yield from [word] if isinstance(param, click.Argument) else [param.opts[-1], word]


def test_a_symbolic_link_is_refused_by_every_command_alike(
    play: real_play.Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link.distill"
    link.symlink_to(play.path)
    others = {}
    for words in COMMANDS.by_words:
        given = [*words.split(), *_words(COMMANDS.by_words[words], Path(f"{play.key('vera')}.pub"))]
        code = main(["--project", str(link), *given])
        said = capsys.readouterr().err
        if code not in (1, 4) or "is a symbolic link" not in said:
            others[words] = code, said
    assert not others
