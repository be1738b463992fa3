"""That cards, and what is printed from them, say what the rules say."""

from __future__ import annotations

from distill_tui.reports.text import card_json
from distill_tui.rules.how_it_stands import card_of
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.rules.permission import objections
from distill_tui.store import glance
from distill_tui.store.cards import stale
from distill_tui.store.project import Project
from support.story import actor


def hold(project: Project) -> None:
    """Every card is up to date, and says what the rules say now.

    `list` prints the cards. `next` and `why` print what the rules say of a play whose verdicts are those of its card.
    """
    with project.view() as connection:
        assert not stale(connection, project.artifacts), "a card is out of date"
    for card in glance.cards(project.path):
        dossier, shown = project.dossier(card.id), project.dossier(card.id, shown=True)
        assert card == card_of(dossier), (card, card_of(dossier))
        assert card_json(card)["waits_for"] == waits_for(dossier)
        for each in (dossier, shown):
            assert (card.next_step, card.waits_for) == (next_step(each), waits_for(each))
        for person in sorted(set(dossier.roles.values())) if card.next_step else ():
            why = objections(card.next_step, dossier, actor(person))
            assert objections(card.next_step, shown, actor(person)) == why
