"""That cards say what the rules say."""

from __future__ import annotations

from distill_tui.reports.text import card_json
from distill_tui.rules.how_it_stands import card_of
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.store import glance
from distill_tui.store.project import Project


def hold(project: Project) -> None:
    """Every card in the file is up to date, and says what the rules say now."""
    assert project.renew_cards() == 0, "a card was out of date"
    for card in glance.cards(project.path):
        dossier = project.dossier(card.id)
        assert card == card_of(dossier), (card, card_of(dossier))
        assert (card.next_step, card.waits_for) == (next_step(dossier), waits_for(dossier))
        assert card_json(card)["waits_for"] == waits_for(dossier)
