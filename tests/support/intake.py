"""Traffic files and the person who imports them."""

from __future__ import annotations

import os

from distill_tui.rules.actor import Actor

MINE = f"account uid {os.getuid()}"


MIA = Actor("mia", MINE)
