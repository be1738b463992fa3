"""What a key asks before it acts."""
