"""distill-tui: model distillation as an operation, in a terminal."""
