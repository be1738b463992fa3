"""Who acts, and what they signed."""
