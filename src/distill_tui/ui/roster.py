"""Who is enrolled, by which accounts and keys, in which roles. The keeper enrols and adds proofs here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import OptionList, Static

from distill_tui.rules.dossier import ProjectDossier
from distill_tui.rules.requests import RevokeKey
from distill_tui.store import glance, queries
from distill_tui.terms import Action, Role, Stage
from distill_tui.ui.forms import people
from distill_tui.ui.forms.form import objection
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.choices import Choices
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine
from distill_tui.ui.widgets.page import Column, Lines

if TYPE_CHECKING:
    from distill_tui.rules.card import Card
    from distill_tui.ui.app import DistillApp

KEYS = {  # keys of this screen alone; on a play they mean something else
    "E": (Action.ENROL_PERSON, "enrol"),
    "U": (Action.ADD_ACCOUNT, "add account"),
    "P": (Action.ADD_KEY, "add public key"),
    "R": (Action.REVOKE_KEY, "revoke key"),
}
BY_NAME = {action.value: action for action, _ in KEYS.values()}
Enrolled = Mapping[str, tuple[str, str]]  # by person, account and key: who enrolled it, and when
DETAIL = 8  # lines below the list that show the person under the cursor
COLUMNS = (Column("PERSON", 16), Column("NAME", 0), Column("ACCOUNTS", 14), Column("KEYS", 14), Column("ROLES", 30, 1))


def table(dossier: ProjectDossier, cards: list[Card], width: int) -> Lines:
    keeper = dossier.keeper
    rows = []
    for person in sorted(dossier.people):
        keys = [key for key in dossier.keys if key.person_id == person]
        revoked = sum(key.revoked_at is not None for key in keys)
        count = f"{len(keys) - revoked}" + (f" (+{revoked} revoked)" if revoked else "")
        name = dossier.people[person].name + (" (keeper)" if person == keeper else "")
        rows.append((person, name, _accounts(dossier, person), count, _held(cards, person)))
    return page.table(COLUMNS, rows, width)


NO_KEY = "none: can sign by account only"
NO_PROOF = "none, and no account: cannot act here yet. U adds an account, P a public key"


def _accounts(dossier: ProjectDossier, person: str) -> str:
    uids = [f"uid {account.uid}" for account in dossier.accounts if account.person_id == person]
    return ", ".join(uids) or show.glyph("dash")


def _held(cards: list[Card], person: str) -> str:
    alive = [card for card in cards if card.stage is not Stage.KILLED]
    counts = {role: sum(card.roles.get(role) == person for card in alive) for role in Role}
    return ", ".join(f"{role.value} {count}" for role, count in counts.items() if count) or show.glyph("dash")


def detail(dossier: ProjectDossier, cards: list[Card], enrolled: Enrolled, person: str, width: int) -> Lines:
    lines = [page.heading(person.upper(), dossier.people[person].name)]
    lines += page.fact("enrolled", _by(enrolled, person) or show.glyph("dash"), width)
    uids = [f"uid {account.uid}" for account in dossier.accounts if account.person_id == person]
    for uid in uids or [show.glyph("dash")]:
        lines += page.fact("account", f"{uid} {_by(enrolled, uid)}".rstrip(), width)
    keys = [key for key in dossier.keys if key.person_id == person]
    for key in keys:
        gone = f", revoked {key.revoked_at[:10]}" if key.revoked_at else ""
        added = f"{key.fingerprint} ({key.kind}) {_by(enrolled, key.fingerprint)}".rstrip()
        lines += page.fact("key", f"{added}{gone}", width)
    if not keys:
        lines += page.fact("key", NO_KEY if uids else NO_PROOF, width)
    for card in cards:
        roles = [role.value for role, holder in card.roles.items() if holder == person]
        waits = "; waits for them" if card.is_turn_of(person) else ""
        if roles:
            lines += page.fact(card.code, f"{card.name}: {', '.join(sorted(roles))}{waits}", width)
    return lines


def _by(enrolled: Enrolled, what: str) -> str:
    """Return who enrolled a person, an account or a key, and when, by the log."""
    by, at = enrolled.get(what, ("", ""))
    return f"by {by}, {at[:10]}" if by else ""


class RosterScreen(Screen[None]):
    """The people of a project; the selected one below."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    DEFAULT_CSS = """
    RosterScreen #roster-head { height: 1; margin: 1 0 0 0; }
    RosterScreen OptionList { height: 1fr; border: none; padding: 0; background: $background; }
    RosterScreen #person { height: 9; text-wrap: nowrap; border-top: solid $tone-muted 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"change('{action.value}')", short) for key, (action, short) in KEYS.items()),
        Binding("y", "copy", "Copy the person's keys", show=False),
        Binding("colon", "app.command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("q,escape", "dismiss", "back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.project_dossier: ProjectDossier | None = None
        self.cards: list[Card] = []
        self.enrolled: Enrolled = {}

    @property
    def selected(self) -> str | None:
        at = self.query_one(OptionList).highlighted if self.is_mounted else None
        names = sorted(self.project_dossier.people) if self.project_dossier is not None else []
        return names[at] if at is not None and at < len(names) else None

    def compose(self) -> ComposeResult:
        yield Heading("People of this project")
        yield Static("", id="roster-head", markup=False)
        yield Choices(markup=False, compact=True)
        yield Static(" loading", id="person", markup=False)
        yield MessageLine()
        yield KeyLine()

    def on_mount(self) -> None:
        self.on_project_changed()

    def on_project_changed(self, _: ProjectChanged | None = None) -> None:
        path = self.app.path
        read = lambda project: (project.project_dossier(), glance.cards(path), queries.enrolments(project))  # noqa: E731
        self.app.load(self, read, self._loaded)

    def _loaded(self, found: tuple[ProjectDossier, list[Card], Enrolled]) -> None:
        held = self.selected
        self.project_dossier, self.cards, self.enrolled = found
        self._draw(held or self.app.actor.person)

    def on_resize(self) -> None:
        self._draw(self.selected)

    def _draw(self, at: str | None) -> None:
        if self.project_dossier is None:
            return
        names = sorted(self.project_dossier.people)
        head, *lines = table(self.project_dossier, self.cards, self.size.width - 2)
        self.query_one("#roster-head", Static).update(head)
        self.query_one(Choices).fill(lines, names.index(at) if at in names else 0 if names else None)
        self._draw_person()

    @on(OptionList.OptionHighlighted)
    def _draw_person(self) -> None:
        person = self.selected
        if self.project_dossier is not None and person is not None:
            lines = detail(self.project_dossier, self.cards, self.enrolled, person, self.size.width - 2)
            if len(lines) > DETAIL:
                lines[DETAIL - 1 :] = [page.muted(f"  and {len(lines) - DETAIL + 1:,} more")]
            self.query_one("#person", Static).update(page.page(lines))
        self.refresh_bindings()

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if self.blocked(action, parameters) else True

    def blocked(self, action: str, parameters: tuple[object, ...]) -> str | None:
        if action != "change":
            return None
        if self.project_dossier is None:
            return "The roster is still being loaded."
        wanted = BY_NAME[str(parameters[0])]
        if wanted is Action.REVOKE_KEY:
            keys = self._keys_of(self.selected)
            if not keys:
                return f"{self.selected or 'This person'} has no key to revoke."
            return objection(wanted, self.project_dossier, self.app.actor, RevokeKey(keys[0]))
        return objection(wanted, self.project_dossier, self.app.actor)

    def _keys_of(self, person: str | None) -> list[str]:
        keys = self.project_dossier.keys if self.project_dossier is not None else ()
        return [key.fingerprint for key in keys if key.person_id == person and key.revoked_at is None]

    def action_copy(self) -> None:
        keys = self._keys_of(self.selected)
        self.app.copy_to_clipboard("\n".join(keys))
        self.app.say(f"{len(keys)} fingerprint{'s' * (len(keys) != 1)} on the clipboard.")

    def action_change(self, name: str) -> None:
        if self.project_dossier is None:
            return
        actor, person = self.app.actor, self.selected or ""
        match BY_NAME[name]:
            case Action.ENROL_PERSON:
                form = people.enrol(actor)
            case Action.ADD_ACCOUNT:
                form = people.add_account(actor, person)
            case Action.ADD_KEY:
                form = people.add_key(actor, person)
            case _:
                form = people.revoke_key(actor, person, self._keys_of(person))
        form.take(self.app, self.project_dossier)
