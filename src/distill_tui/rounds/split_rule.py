"""The rule that draws a round's splits, as the locked gate states it."""

from __future__ import annotations

from distill_tui import gates
from distill_tui.dataset.split import SplitRule
from distill_tui.rules.dossier import PlayDossier


def split_rule(dossier: PlayDossier, gate: gates.Gate) -> SplitRule:
    """Return the rule that draws the splits; the gate's window was of the first traffic and does not bind a refresh."""
    first = dossier.first_round == 1
    window = (gate.window_from or None, gate.window_to or None) if first else (None, None)
    return SplitRule(gate.seed, gate.held_out_rows, gate.validation_share, *window, by_time=gate.by_time)
