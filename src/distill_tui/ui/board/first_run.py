"""What stands in the place of a board without plays: what a play is, how to begin, and which play to begin with."""

from __future__ import annotations

from textwrap import fill

from textual.content import Content

from distill_tui.rules.next_step import FIRST_PLAY
from distill_tui.ui.widgets import show


def text(file: str, *, restricted: bool) -> Content:
    """Show how a first play is opened; a `restricted` screen, of a session over SSH, cannot open one."""
    if restricted:
        return Content("\n   No plays yet. A play is opened on the host of this project, not in a session over SSH.\n")
    return Content.assemble(
        "\n   No plays yet. A play is one task that a small model should take over.\n\n",
        *_key("n", "new play", "a name, a kind and a sentence: takes a minute"),
        *_key("i", "import traffic", "how a log of inputs and teacher outputs comes in"),
        *_key("?", "all keys", ""),
        *_key("q", "quit", ""),
        f"\n{fill(FIRST_PLAY, 76, initial_indent='   ', subsequent_indent='   ')}\n",
        "\n   The same from a shell:\n\n",
        f"     distill-tui --project {show.visible(file)} new refund-intent --kind cost\n",
        "     distill-tui import P-001 traffic.jsonl\n",
    )


def _key(key: str, what: str, why: str) -> list[str | tuple[str, str]]:
    return ["     ", (key, "bold"), f"   {what:<18}", (f"{why}\n", "$tone-muted")]
