"""Traffic in, frozen splits out (pyarrow); knows no play, role or project file."""
