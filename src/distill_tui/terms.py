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

    CLASSIFICATION = "classification"  # it chooses one label
    MULTILABEL = "multilabel"  # it chooses any number of labels
    SCORE = "score"  # it gives a level of a scale, or a number of a range
    GENERATION = "generation"  # it writes a text


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
    TEACHER = "teacher"  # a model is tried before it becomes the teacher
    LABEL = "label"
    BUILD = "build"
    FREEZE = "freeze"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REPRODUCE = "reproduce"
    OBSERVE = "observe"  # the live student, on a sample of production
    REHEARSE = "rehearse"  # the recipe, run again to see that it gives the same student
    REPEAT = "repeat"  # the evaluated student's recipe with other seeds, on the validation rows


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


class Executor(StrEnum):
    """Where a run works."""

    LOCAL = "local"  # a worker process on this machine
    SLURM = "slurm"  # jobs of a cluster's Slurm
    FILES = "files"  # shards in a folder, run by any engine or by hand


class StudentKind(StrEnum):
    """The kinds of student, cheapest to train first."""

    NGRAM = "ngram"  # words, pairs of words and pieces of words, weighted and added up
    STATIC = "static"  # token embeddings, averaged, and a small head: no attention
    SCRATCH = "scratch"  # a transformer that starts from random weights
    LAYERS = "layers"  # a transformer that starts from chosen layers of the teacher
    FROZEN = "frozen"  # a small head on a local encoder that stays as it is
    FOLDER = "folder"  # a transformer that starts from a local model folder
    CAUSAL_LABELS = "causal_labels"  # a language model that starts from a local folder: an answer is a label's text
    TAGGER = "tagger"  # generation: a transformer that marks the answer in the input
    CAUSAL = "causal"  # generation: a small language model that writes the answer

    @property
    def writes(self) -> bool:
        """Return whether it writes its answers; the others have a probability for each label."""
        return self in (StudentKind.TAGGER, StudentKind.CAUSAL)

    @property
    def reads(self) -> bool:
        """Return whether it has an output for each label; a language model has only the labels' texts."""
        return not self.writes and self is not StudentKind.CAUSAL_LABELS


class Export(StrEnum):
    """The form in which a student ships. The gate judges that form."""

    SAFETENSORS = "safetensors"
    ONNX_INT8 = "onnx-int8"  # 8-bit weights, run by ONNX Runtime
    FASTEST = "fastest"  # 8-bit ONNX for a static and a frozen student, for any other as it was trained


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
    HAMMING = "hamming_loss"  # mean over rows of the share of labels that are wrong, 0 to 1
    MAE = "mae"  # mean distance of scores from gold, as a share of the scale from its lowest to its highest, 0 to 1
    WITHIN_ONE = "within_one"  # share of rows within one level of gold, or within a tenth of a range
    KAPPA = "weighted_kappa"  # quadratic weighted kappa with gold, -1 to 1
    SPEARMAN = "spearman"  # rank correlation with gold, -1 to 1
    MICRO_F1 = "micro_f1"  # F1 of all labels of all rows together
    MACRO_F1 = "macro_f1"  # mean of the F1 of the labels that occur in gold
    LABEL_F1 = "label_f1"  # F1 of one label; this and the next two have a scope like "label: NAME"
    PRECISION = "precision"  # of the rows where the student gives a label, the share that has it
    RECALL = "recall"  # of the rows that have a label, the share where the student gives it
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
    def by(self) -> str:
        """What proved it, in words."""
        words = {"account": "an OS account", "session": "an SSH session", "signed": "an SSH signature"}
        return words.get(self.value, "a signature of a hardware key")

    @property
    def strength(self) -> int:
        """Return a number to compare by: higher is stronger."""
        return list(Assurance).index(self)


class Weakness(StrEnum):
    """What weakens the separation of builders and validator. A project may forbid each."""

    SHARED_NAME = "shared-name"  # two persons of a play have one name
    SHARED_KEY = "shared-key"  # two persons of a play have keys of one device
    BUILDER_ENROLS = "builder-enrols"  # a builder enrolled the validator, or gave them an account or a key
    LATE_ROLE = "late-role"  # a role was changed after the lock
    SPONSOR_VALIDATES = "sponsor-validates"  # the validator is the sponsor, or was


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
    DECISION = "decision"  # a change of the roster, or of a gateway's mode
    OBJECTION = "objection"  # of a validator, after the ship
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

    UNLABELLED = "unlabelled"  # no row with the teacher's answer was observed: nothing is known
    STEADY = "steady"
    LOOK = "look"  # amber: a row-by-row alarm, or other inputs, or another teacher
    ALARM = "alarm"  # red: the ceiling of disagreement is broken


class Remedy(StrEnum):
    """What was done about a live student."""

    ACKNOWLEDGE = "acknowledge"
    ROLL_BACK = "roll_back"
    REFRESH = "refresh"
    SUSPEND = "suspend"
    RESUME = "resume"


class ServingMode(StrEnum):
    """What answers the requests of a play at its gateway."""

    CAPTURE = "capture"  # the teacher; every call is recorded
    SHADOW = "shadow"  # the teacher; the student answers too, unseen
    CANARY = "canary"  # the student for a fixed share of requests, else the teacher
    CASCADE = "cascade"  # the student where it is sure enough, else the teacher
    SUSPENDED = "suspended"  # the teacher; the student is not asked

    @property
    def by_student(self) -> bool:
        """Return whether a student's answers leave the gateway."""
        return self in (ServingMode.CANARY, ServingMode.CASCADE)


class KeptContent(StrEnum):
    """What the served log keeps of the texts."""

    FULL = "full"
    SCRUBBED = "scrubbed"  # personal data that the screen finds is masked
    DIGESTS = "digests"  # no text at all


class TeacherFault(StrEnum):
    """What a gateway does where the teacher gives no usable answer."""

    FAIL = "fail"  # pass the error on
    STUDENT = "student"  # answer with the student, and mark the reply


class OnObjection(StrEnum):
    """What a gateway does where the validator objects to the live student."""

    FALL_BACK = "fall-back"  # to the teacher
    GO_ON = "go-on"  # the operator and the sponsor decide


class Route(StrEnum):
    """Who answered a request at the gateway."""

    STUDENT = "student"
    TEACHER = "teacher"
    FALLBACK = "fallback"  # the student, because the teacher could not answer


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
    SET_SEPARATION = "set_separation", Does("", "separation",
        "Forbid what weakens the separation of builders and validator.", arguments="WORD …")
    SET_CURRENCY = "set_currency", Does("", "currency", "Set the currency of all amounts, until a gate is locked.")
    SET_ALARMS = "set_alarms", Does("", "alarms", "Set the command and the webhook that get each drift alarm.",
        arguments="[-- COMMAND …]")
    REPAIR = "repair", Does("", "audit repair", "Put the log's rows back where tables differ from it.")
    ACCEPT_RESTORED = "accept_restored", Does("", "audit accept",
        "Accept a file that was restored or forked: the keeper and one more person.", arguments="-m TEXT")
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
    DROP_TRAFFIC = "drop_traffic", Does("", "import drop", "Drop an imported file, until the freeze, with a reason.",
        UNTIL_FREEZE, arguments="N -m TEXT", builds=True)
    SET_TEACHER = "set_teacher", Does("U", "teacher", "Choose the teacher: recorded outputs, model or endpoint.",
        UNTIL_FREEZE, tab=3, arguments="--recorded", builds=True, reads_files=True)
    CONFIRM_TERMS = "confirm_terms", Does("P", "terms", "Record if the provider's terms permit training on outputs.",
        UNTIL_FREEZE, tab=3, arguments="--provider NAME --terms-version TEXT --dated DATE --permitted")
    MAP_LABELS = "map_labels", Does("m", "labels", "Confirm which label each name in gold and in answers stands for.",
        UNTIL_FREEZE, tab=3, arguments="--confirm", builds=True)
    LABEL = "label", Does("O", "label", "Label the traffic with the teacher, in a worker.",
        (Stage.DATA,), tab=3, builds=True)
    BUILD_DATA = "build_data", Does("B", "data build", "Build a draft data set: window, deduplicate, split, audit.",
        (Stage.DATA,), tab=3, short="build", builds=True)
    ACCEPT_FINDINGS = "accept_findings", Does("D", "data accept", "Accept findings of the data audit, with a reason.",
        (Stage.DATA,), tab=3, short="accept", arguments="FINDING… -m TEXT")
    DROP_ROW = "drop_row", Does("", "row drop", "Leave a row out of the data sets from now on, with a reason.",
        (Stage.DATA,), arguments="ROW -m TEXT", builds=True)
    FREEZE_DATA = "freeze_data", Does("F", "data freeze", "Freeze the data set by its digest.",
        (Stage.DATA,), to=Stage.TRAIN, tab=3, short="freeze", builds=True)
    OPEN_ROW = "open_row", Does("", "row open", "Open one held-out row. A builder who opens it burns it.",
        (Stage.TRAIN, Stage.DECIDE, Stage.LIVE), arguments="ROW")
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
    REPEAT = "repeat", Does("E", "eval repeat", "Train the evaluated student with other seeds, compared on validation.",
        (Stage.DECIDE,), tab=5, short="repeat")
    SPOT_CHECK = "spot_check", Does("P", "spotcheck", "Judge held-out answers blind, as the validator.",
        (Stage.DECIDE,), tab=6)
    SIGN_OFF = "sign_off", Does("S", "sign", "Sign off the evaluation, as the validator.", (Stage.DECIDE,), tab=6)
    REFUSE = "refuse", Does("X", "reject", "Reject the evaluation, as the validator, with a reason.",
        (Stage.DECIDE,), tab=6, arguments="-m TEXT")
    WITHDRAW = "withdraw", Does("W", "withdraw", "Withdraw your own sign-off or rejection.",
        (Stage.DECIDE,), tab=6, arguments="-m TEXT")
    SET_MAINTENANCE = "set_maintenance", Does("M", "maintain", "Set sampling and refresh of the live student.",
        (*FIVE_STAGES, Stage.LIVE), tab=6, short="maintain", arguments="--sample N --refresh-days N")
    SHIP = "ship", Does("H", "ship", "Write the bundle and go live.", (Stage.DECIDE,), to=Stage.LIVE, tab=6)
    ITERATE = "iterate", Does("I", "iterate", "Open the next round, weighted towards the failures.",
        (Stage.DECIDE,), to=Stage.DATA, tab=6, builds=True)
    KILL = "kill", Does("Z", "kill", "End this play or retire its live student, for good.",
        (*FIVE_STAGES, Stage.LIVE), to=Stage.KILLED, tab=6, arguments="-m TEXT")
    REHEARSE = "rehearse", Does("T", "rehearse", "Train the evaluated student again from its recipe, and compare.",
        (Stage.DECIDE,), tab=6)
    # the live student
    OBSERVE = "observe", Does("I", "observe", "Import a sample of production, to monitor the live student.",
        AFTER_LOCK, tab=7, arguments="FILE", reads_files=True)
    ACKNOWLEDGE = "acknowledge", Does("W", "acknowledge", "Acknowledge a drift alarm. A new watch begins.",
        AFTER_LOCK, tab=7, arguments="-m TEXT")
    ROLL_BACK = "roll_back", Does("O", "rollback", "Make an earlier bundle the live one again.",
        AFTER_LOCK, to=Stage.LIVE, tab=7, arguments="--bundle N -m TEXT --confirm {code}")
    SUSPEND = "suspend", Does("S", "suspend", "Switch the live student off: the teacher answers until it is resumed.",
        AFTER_LOCK, tab=7, arguments="-m TEXT")
    RESUME = "resume", Does("", "resume", "Switch a suspended student on again.",
        AFTER_LOCK, tab=7, arguments="-m TEXT")
    OBJECT = "object", Does("", "object", "Object to the live student, as the validator; --lift takes it back.",
        AFTER_LOCK, arguments="-m TEXT")
    REFRESH = "refresh", Does("N", "refresh", "Open a round with fresh data, weighted towards the new failures.",
        (Stage.LIVE,), to=Stage.DATA, tab=7, arguments="-m TEXT", builds=True)
    SERVE_MODE = "serve_mode", Does("V", "serve mode", "Set what answers a play's requests at its gateway.",
        (*FIVE_STAGES, Stage.LIVE), tab=7, short="gateway", arguments="capture")
    COMMENT = "comment", Does("c", "comment", "Add a comment to the log.", tuple(Stage), arguments="TEXT")
    UNDO = "undo", Does("u", "undo", "Undo your last change of a draft: numbers, gate, labels, findings, rows.",
        UNTIL_FREEZE)
    REDO = "redo", Does("ctrl+r", "redo", "Redo what you undid last.", UNTIL_FREEZE)
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
    NOTE_ALARM = "note_alarm", Does("", "", "A worker passed a drift alarm on.", AFTER_LOCK)
    FALL_BACK = "fall_back", Does("", "", "A gateway fell back to the teacher.", (*FIVE_STAGES, Stage.LIVE))
    # fmt: on


# drafts: what one of these wrote, its person can undo until it is fixed
DRAFTS = (
    Action.FILL_WORKSHEET, Action.EDIT_GATE, Action.MAP_LABELS, Action.ACCEPT_FINDINGS, Action.DROP_ROW,
)  # fmt: skip
# those that can change whether a sign-off counts without naming its play
ABOUT_THE_ROSTER = tuple(a for a in Action if not a.stages and a not in (Action.OPEN_PROJECT, Action.OPEN_PLAY))
