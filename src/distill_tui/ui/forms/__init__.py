"""What each key opens: one form an action, in a file a group."""

from distill_tui.ui.forms import (  # each declares its forms  # noqa: F401
    data,
    decide,
    drafts,
    gate,
    labels,
    live,
    runs,
    serving,
    teacher,
    traffic,
)
