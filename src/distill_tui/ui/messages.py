"""What the app tells its screens."""

from __future__ import annotations

from textual.message import Message


class ProjectChanged(Message, bubble=False):
    """Somebody changed the project file, perhaps in another process: load what you show again."""
