"""Scores by every way in: opened by keys, tried as a file, taught by models, learnt by encoders, refreshed."""

from __future__ import annotations
