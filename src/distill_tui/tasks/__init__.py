"""All that differs by task."""
