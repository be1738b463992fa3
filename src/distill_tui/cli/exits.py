"""The program's name, its completion variable and its exit codes, which are a contract (docs/operation.md)."""

PROGRAM = "distill-tui"
COMPLETES = "_DISTILL_TUI_COMPLETE"  # set by the completion scripts
DONE, FAILED, USAGE, REFUSED, BAD_INPUT, ALARM, DUE, UNLABELLED, INTERRUPTED = 0, 1, 2, 3, 4, 6, 7, 8, 130
EXIT_CODES = {
    DONE: "done",
    FAILED: "failed: a check found something wrong, or a run that was waited for did not finish",
    USAGE: "usage: the command line itself is wrong",
    REFUSED: "rejected by a rule: one reason per line; with --json a list of {rule, sentence}",
    BAD_INPUT: "bad input: a file, a number or a key that cannot be used",
    ALARM: "a drift alarm is raised: from `observe` and `live`, for cron",
    DUE: "a refresh is due and no alarm is raised: from `observe` and `live`, for cron",
    UNLABELLED: "no labelled row was observed, so nothing is known: from `observe` and `live`, for cron",
    INTERRUPTED: "interrupted; a run that was waited for continues",
}
