"""The words of the operation: stages, roles, kinds, and every action with its key, command and sentence.

Standard library only. Screens, commands, rules, tables and docs take their words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a play stands. Five stages, then live; killed ends a play from any of the five."""

    QUALIFY = "qualify"
    GATE = "gate"
    DATA = "data"
    TRAIN = "train"
    DECIDE = "decide"
    LIVE = "live"
    KILLED = "killed"


class PlayKind(StrEnum):
    """Why a play distils."""

    COST = "cost"
    LATENCY = "latency"
    STABILITY = "stability"
    SPECIALIZATION = "specialization"


class Task(StrEnum):
    """What a student does."""

    CLASSIFICATION = "classification"
    GENERATION = "generation"


class TeacherSource(StrEnum):
    """Where the teacher's outputs come from."""

    NONE = ""  # no teacher is chosen yet
    RECORDED = "recorded"  # the imported traffic holds them
    LOCAL = "local"  # a classifier in a model folder
    ZERO_SHOT = "zero-shot"  # a local model that scores each label
    PROMPTED = "prompted"  # a local causal language model
    ENDPOINT = "endpoint"  # a chat API, which may cost money

    @property
    def computes(self) -> bool:
        """Return whether a worker can query this teacher."""
        return self not in (TeacherSource.NONE, TeacherSource.RECORDED)

    @property
    def can_write(self) -> bool:
        """Return whether this teacher can write text; the others choose among labels."""
        return self in (TeacherSource.PROMPTED, TeacherSource.ENDPOINT)


class Role(StrEnum):
    """The roles of a play."""

    SPONSOR = "sponsor"
    DRIVER = "driver"
    VALIDATOR = "validator"
    OPERATOR = "operator"


class Split(StrEnum):
    """The three parts of a frozen data set. Held-out is sealed: builders see counts and rates, never rows."""

    TRAIN = "train"
    VALIDATION = "validation"
    HELD_OUT = "held-out"


class FindingLevel(StrEnum):
    """What a finding about a data set asks for."""

    MUST = "must"  # accept it, or fix the data, before the freeze
    NOTE = "note"  # it may stay open


class RunKind(StrEnum):
    """What a run does."""

    IMPORT = "import"
    LABEL = "label"
    BUILD = "build"
    FREEZE = "freeze"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REPRODUCE = "reproduce"
    OBSERVE = "observe"  # the live student, on a sample of production
    REHEARSE = "rehearse"  # the recipe, run again to see that it gives the same student


class RunStatus(StrEnum):
    """The state of a run. A lost run's process is gone; it can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def active(self) -> bool:
        """Return whether a worker has the run, or will have it."""
        return self in (RunStatus.QUEUED, RunStatus.RUNNING)


class StudentKind(StrEnum):
    """The kinds of student, cheapest to train first."""

    NGRAM = "ngram"  # words, pairs of words and pieces of words, weighted and added up
    STATIC = "static"  # token embeddings, averaged, and a small head: no attention
    SCRATCH = "scratch"  # a transformer that starts from random weights
    LAYERS = "layers"  # a transformer that starts from chosen layers of the teacher
    FOLDER = "folder"  # a transformer that starts from a local model folder
    TAGGER = "tagger"  # generation: a transformer that marks the answer in the input
    CAUSAL = "causal"  # generation: a small language model that writes the answer

    @property
    def task(self) -> Task:
        return Task.GENERATION if self in (StudentKind.TAGGER, StudentKind.CAUSAL) else Task.CLASSIFICATION


class Export(StrEnum):
    """The form in which a student ships. The gate judges that form."""

    SAFETENSORS = "safetensors"
    ONNX_INT8 = "onnx-int8"  # 8-bit weights, run by ONNX Runtime


class Control(StrEnum):
    """Control arms: trained in addition to a student, to measure the gain of distillation."""

    HARD = "hard"  # hard labels only: gold where there is gold, else the teacher's answer
    GOLD = "gold"  # gold labels only: no teacher at all


class Metric(StrEnum):
    """What a criterion measures."""

    ACCURACY = "accuracy"  # share of rows on which the prediction is the gold label
    AGREEMENT = "agreement"  # share of rows on which the student predicts what the teacher does
    BRIER = "brier_score"  # mean squared distance of the probabilities from the gold label, 0 to 1
    FIELD_F1 = "field_f1"  # mean over rows of the F1 of the fields in a JSON answer, 0 to 1
    CHRF = "chrf"  # mean over rows of chrF: F of runs of characters that answer and gold share, 0 to 1
    P95_LATENCY = "p95_latency_ms"  # 95th percentile of one request at a time, milliseconds
    PAYBACK = "payback_months"  # build cost divided by the monthly saving
    SIZE = "size_mb"  # bytes of the student on disk, in units of 1,000,000
    DEFERRED = "deferred_share"  # share of requests that go back to the teacher, where the gate sends some back


class Reference(StrEnum):
    """What a criterion compares the student with."""

    TEACHER = "teacher"
    BASELINE = "baseline"
    NONE = "none"  # an absolute threshold


class Verdict(StrEnum):
    """The result of one criterion on the held-out rows. Only `holds` passes."""

    HOLDS = "holds"
    MISSES = "misses"
    UNPROVEN = "unproven"
    UNMEASURED = "unmeasured"


class Assurance(StrEnum):
    """How an identity was proved, weakest first."""

    ACCOUNT = "account"  # the uid of the process
    SESSION = "session"  # the key that an SSH session authenticated with
    SIGNED = "signed"  # an OpenSSH signature
    HARDWARE = "hardware"  # an OpenSSH signature by a hardware key, with touch

    @property
    def strength(self) -> int:
        """Return a number to compare by: higher is stronger."""
        return list(Assurance).index(self)


class Opinion(StrEnum):
    """The outcome of a validator's review."""

    APPROVE = "approve"
    REFUSE = "refuse"


class StatementKind(StrEnum):
    """What a signed statement is about."""

    GATE = "gate"
    ROSTER = "roster"
    WITHDRAWAL = "withdrawal"
    SHIP = "ship"
    SIGN_OFF = "sign-off"  # the only kind with a table of its own


class Judged(StrEnum):
    """A validator's judgement of two answers, blind to which is the student's."""

    A = "a"  # only the first is right
    B = "b"  # only the second is right
    BOTH = "both"
    NEITHER = "neither"


class Advice(StrEnum):
    """What the app recommends at `decide`."""

    SHIP = "ship"
    ITERATE = "iterate"
    KILL = "kill"


class Standing(StrEnum):
    """The state of a live student, from what was observed."""

    STEADY = "steady"
    LOOK = "look"  # amber: a row-by-row alarm, or other inputs, or another teacher
    ALARM = "alarm"  # red: the ceiling of disagreement is broken


class Remedy(StrEnum):
    """What was done about a live student."""

    ACKNOWLEDGE = "acknowledge"
    ROLL_BACK = "roll_back"
    REFRESH = "refresh"


FIVE_STAGES = (Stage.QUALIFY, Stage.GATE, Stage.DATA, Stage.TRAIN, Stage.DECIDE)
BEFORE_LOCK = (Stage.QUALIFY, Stage.GATE)
UNTIL_FREEZE = (*BEFORE_LOCK, Stage.DATA)
AFTER_LOCK = (Stage.DATA, Stage.TRAIN, Stage.DECIDE, Stage.LIVE)  # a bundle stays live during a refresh


@dataclass(frozen=True)
class Does:
    """What differs by action."""

    key: str  # on the screens; empty: no key of its own
    command: str  # empty: only a worker does it
    sentence: str  # in help, palette and docs
    stages: tuple[Stage, ...] = ()  # in which it is possible; none: it is about the project, not about one play
    to: Stage | None = None  # the stage that follows; None: the same
    tab: int = 0  # of the play's screen, from 1; 0: none
    short: str = ""  # next to its key, where the command is too long
    arguments: str = ""  # after the command and the play's code, which is {code}
    builds: bool = False  # makes its actor a builder of the play, for good
    reads_files: bool = False  # may name a path on this machine


class Action(StrEnum):
    """Everything that a person or a worker can do that changes what is decided."""

    key: str
    command: str
    sentence: str
    stages: tuple[Stage, ...]
    to: Stage | None
    tab: int
    short: str
    arguments: str
    builds: bool
    reads_files: bool

    def __new__(cls, value: str, does: Does) -> Action:
        """Make the member whose value is stored, with what differs by action as its attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        for name, each in vars(does).items():
            setattr(member, name, each)
        return member

    # fmt: off
    # the project and its people
    OPEN_PROJECT = "open_project", Does("", "init", "Create a project file. Its creator keeps the roster.")
    ENROL_PERSON = "enrol_person", Does("", "person add", "Enrol a person, with an OS account, an SSH key, or both.")
    ADD_ACCOUNT = "add_account", Does("", "account add", "Add an OS account to a person.")
    ADD_KEY = "add_key", Does("", "key add", "Add an SSH public key to a person.")
    REVOKE_KEY = "revoke_key", Does("", "key revoke", "Revoke an SSH key. What it signed before stays valid.")
    SET_ASSURANCE = "set_assurance", Does("", "assurance", "Raise the weakest proof of identity that decisions need.")
    OPEN_PLAY = "open_play", Does("n", "new", "Open a play: one task that a small model should take over.",
        short="new play")
    # the five stages
    ASSIGN_ROLE = "assign_role", Does("A", "role", "Assign a role in this play to a person.",
        (*FIVE_STAGES, Stage.LIVE), tab=1, short="roles", arguments="ROLE PERSON")
    SIGN_ROSTER = "sign_roster", Does("", "roster sign", "Sign the roster of a play: who holds which role and key.",
        (*FIVE_STAGES, Stage.LIVE))
    FILL_WORKSHEET = "fill_worksheet", Does("e", "worksheet", "Fill in the numbers of the trigger.",
        BEFORE_LOCK, tab=1, short="numbers", arguments="NAME=VALUE …")
    QUALIFY = "qualify", Does("Q", "qualify", "Pass the trigger and go on to the gate.",
        (Stage.QUALIFY,), to=Stage.GATE, tab=1)
    EDIT_GATE = "edit_gate", Does("E", "gate edit", "Edit the draft of the success gate (a TOML file).",
        BEFORE_LOCK, tab=2, short="edit", arguments="FILE")
    LOCK_GATE = "lock_gate", Does("L", "gate lock", "Lock the success gate for good.",
        (Stage.GATE,), to=Stage.DATA, tab=2, short="lock", arguments="--confirm {code}")
    IMPORT_TRAFFIC = "import_traffic", Does("i", "import", "Import traffic from a file or a saved data set.",
        UNTIL_FREEZE, tab=3, arguments="FILE", builds=True, reads_files=True)
    SET_TEACHER = "set_teacher", Does("U", "teacher", "Choose the teacher: recorded outputs, model or endpoint.",
        UNTIL_FREEZE, tab=3, arguments="--recorded", builds=True, reads_files=True)
    CONFIRM_TERMS = "confirm_terms", Does("p", "terms", "Record if the provider's terms permit training on outputs.",
        UNTIL_FREEZE, tab=3)
    LABEL = "label", Does("O", "label", "Label the traffic with the teacher, in a worker.",
        (Stage.DATA,), tab=3, builds=True)
    BUILD_DATA = "build_data", Does("B", "data build", "Build a draft data set: window, deduplicate, split, audit.",
        (Stage.DATA,), tab=3, short="build", builds=True)
    ACCEPT_FINDINGS = "accept_findings", Does("D", "data accept", "Accept findings of the data audit, with a reason.",
        (Stage.DATA,), tab=3, short="accept")
    FREEZE_DATA = "freeze_data", Does("F", "data freeze", "Freeze the data set by its digest.",
        (Stage.DATA,), to=Stage.TRAIN, tab=3, short="freeze", builds=True)
    OPEN_ROW = "open_row", Does("", "row open", "Open one held-out row. A builder who opens it burns it.",
        (Stage.TRAIN, Stage.DECIDE, Stage.LIVE))
    START_RUN = "start_run", Does("T", "train", "Train a student, in a worker.",
        (Stage.TRAIN,), tab=4, builds=True, reads_files=True)
    STOP_RUN = "stop_run", Does("K", "train stop", "Stop a run and keep its checkpoint.",
        (*FIVE_STAGES, Stage.LIVE), tab=4, short="stop")
    RESUME_RUN = "resume_run", Does("C", "train resume", "Resume a stopped, failed or lost run from its checkpoint.",
        (*FIVE_STAGES, Stage.LIVE), tab=4, short="resume")
    EVALUATE = "evaluate", Does("R", "eval", "Evaluate one student on the held-out rows: the one look of this round.",
        (Stage.TRAIN,), tab=5, builds=True)
    REPRODUCE = "reproduce", Does("V", "reproduce", "Reproduce the evaluation, as the validator.",
        (Stage.DECIDE,), tab=5)
    SPOT_CHECK = "spot_check", Does("P", "spotcheck", "Judge held-out answers blind, as the validator.",
        (Stage.DECIDE,), tab=6)
    SIGN_OFF = "sign_off", Does("S", "sign", "Sign off the evaluation, as the validator.", (Stage.DECIDE,), tab=6)
    REFUSE = "refuse", Does("X", "reject", "Reject the evaluation, as the validator, with a reason.",
        (Stage.DECIDE,), tab=6)
    WITHDRAW = "withdraw", Does("W", "withdraw", "Withdraw your own sign-off or rejection.", (Stage.DECIDE,), tab=6)
    SET_MAINTENANCE = "set_maintenance", Does("M", "maintain", "Set sampling and refresh of the live student.",
        (*FIVE_STAGES, Stage.LIVE), tab=6, short="maintain", arguments="--sample N --refresh-days N")
    SHIP = "ship", Does("H", "ship", "Write the bundle and go live.", (Stage.DECIDE,), to=Stage.LIVE, tab=6)
    ITERATE = "iterate", Does("I", "iterate", "Open the next round, weighted towards the failures.",
        (Stage.DECIDE,), to=Stage.DATA, tab=6, builds=True)
    KILL = "kill", Does("Z", "kill", "End this play for good, with a reason.",
        FIVE_STAGES, to=Stage.KILLED, tab=6, arguments="-m TEXT")
    REHEARSE = "rehearse", Does("t", "rehearse", "Train the evaluated student again from its recipe, and compare.",
        (Stage.DECIDE,), tab=6)
    # the live student
    OBSERVE = "observe", Does("o", "observe", "Import a sample of production, to monitor the live student.",
        AFTER_LOCK, tab=7, arguments="FILE", reads_files=True)
    ACKNOWLEDGE = "acknowledge", Does("w", "acknowledge", "Acknowledge a drift alarm. A new watch begins.",
        AFTER_LOCK, tab=7, arguments="-m TEXT")
    ROLL_BACK = "roll_back", Does("b", "rollback", "Make an earlier bundle the live one again.",
        AFTER_LOCK, to=Stage.LIVE, tab=7, arguments="--bundle N -m TEXT --confirm {code}")
    REFRESH = "refresh", Does("N", "refresh", "Open a round with fresh data, weighted towards the new failures.",
        (Stage.LIVE,), to=Stage.DATA, tab=7, arguments="-m TEXT", builds=True)
    COMMENT = "comment", Does("c", "comment", "Add a comment to the log.", tuple(Stage))
    QUEUE_RUN = "queue_run", Does("", "", "A person queued a run that imports traffic, or builds or freezes data.",
        UNTIL_FREEZE)
    # what workers report
    FINISH_RUN = "finish_run", Does("", "", "A worker finished its run.", tuple(Stage))
    END_RUN = "end_run", Does("", "", "A run ended without finishing.", tuple(Stage))
    RECORD_EVALUATION = "record_evaluation", Does("", "", "A worker recorded an evaluation.",
        (Stage.TRAIN,), to=Stage.DECIDE)
    RECORD_REPRODUCTION = "record_reproduction", Does("", "", "A worker recorded a reproduction of the evaluation.",
        (Stage.DECIDE,))
    RECORD_OBSERVATIONS = "record_observations", Does("", "", "A worker recorded observations of the live student.",
        AFTER_LOCK)
    # fmt: on


# those that can change whether a sign-off counts without naming its play
ABOUT_THE_ROSTER = tuple(a for a in Action if not a.stages and a not in (Action.OPEN_PROJECT, Action.OPEN_PLAY))
