"""Fields of a sheet, filled in."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input


def fill(app: Any, **values: str) -> None:
    for name, value in values.items():
        app.screen.query_one(f"#field-{name}", Input).value = value
