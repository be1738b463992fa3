"""Who acts. The screens import it for their first frame, without the other rules."""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui.terms import Assurance


@dataclass(frozen=True)
class Actor:
    """Who acts, and how that was proved. Without a `person`: read-only."""

    person: str | None
    proof: str
    assurance: Assurance = Assurance.ACCOUNT
    run: int | None = None  # set for a worker: it acts for the person who started its run
    host: str | None = None  # of an SSH session: the person whose account runs it, where that account is enrolled
    over_ssh: bool = False  # in an SSH session, whatever the assurance
    key: str = ""  # the file of the key that proved them on this machine: decisions are signed with it
    address: str = ""  # of an SSH session: its address, as `sign --via` takes it
