"""How a live student is watched."""
