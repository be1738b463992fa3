"""One play on one screen."""
