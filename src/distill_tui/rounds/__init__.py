"""What the next round trains on: requested rows, variations, weights, and what a paid teacher costs."""
