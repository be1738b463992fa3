"""`python -m distill_tui` is `distill-tui`."""

from distill_tui.cli.start import main

if __name__ == "__main__":
    raise SystemExit(main())
