"""Checks of a data set before it is frozen: counts, coverage of the traffic, and personal data."""
