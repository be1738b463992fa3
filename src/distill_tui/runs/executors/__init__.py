"""Where a run's worker runs: on this machine."""
