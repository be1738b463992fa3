"""Imported traffic, and the data sets that are built from it."""
