"""OpenTelemetry spans of requests, where an OTLP endpoint is set and the packages of the extra `otel` are there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from distill_tui.serving import figures

if TYPE_CHECKING:
    from distill_tui.serving.otlp import Spans

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
INSTALL = "OTLP spans need packages of their own: `pip install 'distill-tui[otel]'`, or unset {}."


def from_environment(meters: figures.Meters) -> Spans | None:
    """Return what sends spans; None where no endpoint is set. Raises ValueError where the packages are missing."""
    named = next((name for name in ENDPOINTS if os.environ.get(name)), "")
    if not named:
        return None
    try:
        from distill_tui.serving import otlp
    except ModuleNotFoundError:
        raise ValueError(INSTALL.format(named)) from None
    return otlp.Spans(meters)
