"""Which tables an action may write: the door keeps to it when it appends an entry, the replay when it reads one.

The row of the project holds several settings, and that of a play too; each action changes only its own columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from distill_tui.terms import Action

_RUNS = {"run", "builder"}
_DRAFTS = {"worksheet_value", "gate", "play", "accepted_finding", "dropped_row"}
MAY_WRITE: dict[Action, set[str]] = {
    Action.OPEN_PROJECT: {"project", "person", "account"},
    Action.ENROL_PERSON: {"person", "account", "ssh_key"},
    Action.ADD_ACCOUNT: {"account"},
    Action.ADD_KEY: {"ssh_key"},
    Action.REVOKE_KEY: {"ssh_key"},
    Action.SET_ASSURANCE: {"project"},
    Action.SET_SEPARATION: {"project"},
    Action.ACCEPT_RESTORED: set(),
    Action.SET_CURRENCY: {"project"},
    Action.SET_ALARMS: {"project"},
    Action.OPEN_PLAY: {"play", "gate"},
    Action.ASSIGN_ROLE: {"role_holder", "builder"},
    Action.FILL_WORKSHEET: {"worksheet_value", "gate"},  # a draft's p95 follows the target
    Action.QUALIFY: {"play"},
    Action.EDIT_GATE: {"gate"},
    Action.LOCK_GATE: {"gate", "play"},
    Action.IMPORT_TRAFFIC: {"traffic", *_RUNS},
    Action.DROP_TRAFFIC: {"traffic", "data_set", *_RUNS},
    Action.SET_TEACHER: {"play", *_RUNS},
    Action.CONFIRM_TERMS: {"provider_terms"},
    Action.MAP_LABELS: {"play", "builder"},
    Action.LABEL: _RUNS,
    Action.BUILD_DATA: {"data_set", *_RUNS},
    Action.ACCEPT_FINDINGS: {"accepted_finding"},
    Action.DROP_ROW: {"dropped_row", "builder"},
    Action.FREEZE_DATA: {"data_set", "play", *_RUNS},
    Action.OPEN_ROW: {"opened_row"},
    Action.START_RUN: _RUNS,
    Action.STOP_RUN: {"run"},
    Action.RESUME_RUN: {"run"},
    Action.EVALUATE: _RUNS,
    Action.REPRODUCE: {"run"},
    Action.SPOT_CHECK: {"spot_check"},
    Action.SIGN_OFF: {"sign_off"},
    Action.REFUSE: {"sign_off"},
    Action.WITHDRAW: {"withdrawal"},
    Action.SET_MAINTENANCE: {"play"},
    Action.SHIP: {"bundle", "play"},
    Action.ITERATE: {"play", "builder"},
    Action.KILL: {"play"},
    Action.REHEARSE: {"run"},
    Action.REPEAT: {"run"},
    Action.OBSERVE: {"run", "feed"},
    Action.ACKNOWLEDGE: {"remedy"},
    Action.ROLL_BACK: {"remedy", "play"},
    Action.SUSPEND: {"remedy"},
    Action.RESUME: {"remedy"},
    Action.REFRESH: {"remedy", "play", "traffic", "builder"},
    Action.QUEUE_RUN: {"run"},
    Action.FINISH_RUN: {"run"},
    Action.END_RUN: {"run"},
    Action.RECORD_EVALUATION: {"run", "evaluation", "play"},
    Action.RECORD_REPRODUCTION: {"run", "evaluation"},
    Action.RECORD_OBSERVATIONS: {"run", "observation", "watch"},
    Action.UNDO: _DRAFTS,  # of these, what the action may write that is taken back: the replay sees to it
    Action.REDO: _DRAFTS,
    Action.REPAIR: set(),
    Action.SIGN_ROSTER: set(),
    Action.SERVE_MODE: set(),
    Action.FALL_BACK: set(),
    Action.NOTE_ALARM: set(),
    Action.COMMENT: set(),
    Action.OBJECT: set(),
}
_TEACHER = {"teacher_source", "teacher_name", "teacher_digest", "teacher_labels", "label_map"}
COLUMNS: dict[str, dict[Action, set[str]]] = {  # of rows that several actions change, what each may
    "project": {
        Action.SET_ASSURANCE: {"minimum_assurance"},
        Action.SET_SEPARATION: {"forbids"},
        Action.SET_CURRENCY: {"currency"},
        Action.SET_ALARMS: {"on_alarm", "webhook"},
    },
    "play": {
        Action.SET_TEACHER: _TEACHER,
        Action.MAP_LABELS: {"label_map"},
        Action.SET_MAINTENANCE: {"sampling_per_month", "refresh_days"},
        Action.KILL: {"outcome"},
    },
}
MOVES = ("stage", "stage_since", "round")  # of a play: the state machine says which action changes them


def others(action: Action, table: str, columns: Iterable[str]) -> Iterator[str]:
    """Yield the columns of a row that changed and are not an action's own."""
    may = COLUMNS.get(table)
    if may is not None:
        yield from (each for each in columns if each not in MOVES and each not in may.get(action, ()))


def strangers(action: Action, tables: Iterable[str], signed: bool) -> Iterator[str]:
    """Yield the tables that are not an action's own; a signed decision writes its statement too."""
    may = {*MAY_WRITE.get(action, ()), *(("statement",) if signed else ())}
    yield from (table for table in tables if table not in may)
