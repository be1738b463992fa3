"""Who acts. A module of its own, because the screens need it for their first frame and the rules only after it."""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui.terms import Assurance


@dataclass(frozen=True)
class Actor:
    """Who acts, and how that was proved. A `person` of None may look, not act."""

    person: str | None
    proof: str
    assurance: Assurance = Assurance.ACCOUNT
    run: int | None = None  # set for a worker: it acts for the person who started its run
    host: str | None = None  # of a session over SSH: the person whose account runs it, where it is somebody's
    over_ssh: bool = False  # in a session, however well it is proved who it is
    address: str = ""  # of a session: where it was reached, as `sign --via` takes it
