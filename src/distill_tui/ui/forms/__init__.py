"""What each key opens: one form an action, in a file a group."""

from distill_tui.ui.forms import data, decide, gate, live, runs, teacher, traffic  # each declares its forms  # noqa: F401
