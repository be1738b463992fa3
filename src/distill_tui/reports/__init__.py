"""Evaluations and data in print."""
