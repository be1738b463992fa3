"""The words of the operation: stages, roles, kinds, and every action with its key, command and sentence.

Standard library only. Screens, commands, rules, tables and docs take their words from here, so that a thing has
one name everywhere. Nothing here decides anything: that is `rules`.
"""

from __future__ import annotations

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
    """What a play wins: the reason for which one distils."""

    COST = "cost"
    LATENCY = "latency"
    STABILITY = "stability"
    SPECIALIZATION = "specialization"


class Task(StrEnum):
    """What the student is asked to do."""

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
        """Whether a worker can ask this teacher; recorded outputs are all that there is."""
        return self not in (TeacherSource.NONE, TeacherSource.RECORDED)

    @property
    def writes(self) -> bool:
        """Whether this teacher can write text; the others choose among labels."""
        return self in (TeacherSource.PROMPTED, TeacherSource.ENDPOINT)


class Role(StrEnum):
    """Who answers for what in one play."""

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
    """What a worker was started for."""

    LABEL = "label"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REPRODUCE = "reproduce"
    OBSERVE = "observe"  # the live student, on a sample of production
    REHEARSE = "rehearse"  # the recipe, run again to see that it gives the same student


class RunStatus(StrEnum):
    """How a run stands. A lost run's process is gone; it can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def active(self) -> bool:
        """Whether a worker has it, or is about to."""
        return self in (RunStatus.QUEUED, RunStatus.RUNNING)


class StudentKind(StrEnum):
    """The rungs of the ladder that this release can train, cheapest first."""

    NGRAM = "ngram"  # words, pairs of words and pieces of words, weighted and added up
    STATIC = "static"  # token embeddings, averaged, and a small head: no attention
    SCRATCH = "scratch"  # a transformer that starts from random weights
    LAYERS = "layers"  # a transformer that starts from chosen layers of the teacher
    FOLDER = "folder"  # a transformer that starts from a local model folder
    TAGGER = "tagger"  # generation: a transformer that marks where the answer stands in the input
    CAUSAL = "causal"  # generation: a small language model that writes the answer

    @property
    def task(self) -> Task:
        """The task that it learns."""
        return Task.GENERATION if self in (StudentKind.TAGGER, StudentKind.CAUSAL) else Task.CLASSIFICATION


class Export(StrEnum):
    """The form in which a student ships. The gate judges that form."""

    SAFETENSORS = "safetensors"
    ONNX_INT8 = "onnx-int8"  # 8-bit weights, run by ONNX Runtime


class Control(StrEnum):
    """What is trained beside a student, to see what distillation is worth."""

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
    """What the held-out rows say of one criterion. Only `holds` counts."""

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
        """A number to compare by: higher is stronger."""
        return list(Assurance).index(self)


class Opinion(StrEnum):
    """What a validator's sign-off says."""

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
    """What a validator says of two answers, not knowing whose they are."""

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
    """How a live student does, by what was observed."""

    STEADY = "steady"
    LOOK = "look"  # amber: a row-by-row alarm, or other inputs, or another teacher
    ALARM = "alarm"  # red: the ceiling of disagreement is broken


class Remedy(StrEnum):
    """What was done about a live student."""

    ACKNOWLEDGE = "acknowledge"
    ROLL_BACK = "roll_back"
    REFRESH = "refresh"


class Action(StrEnum):
    """Everything that a person or a worker can do that changes what is decided.

    Each carries the `key` that does it on the screens (empty: no key of its own), the words of its `command`
    (empty: only a worker does it) and the `sentence` that help, palette and docs show.
    """

    key: str
    command: str
    sentence: str

    def __new__(cls, value: str, key: str, command: str, sentence: str) -> Action:
        """Make the member whose value is stored, and hang its words on it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.key, member.command, member.sentence = key, command, sentence
        return member

    # the project and its people
    OPEN_PROJECT = ("open_project", "", "init", "Make a project file; whoever makes it keeps the roster.")
    ENROL_PERSON = ("enrol_person", "", "person add", "Enrol a person, with an OS account, an SSH key, or both.")
    ADD_ACCOUNT = ("add_account", "", "account add", "Add an OS account to a person.")
    ADD_KEY = ("add_key", "", "key add", "Add an SSH public key to a person.")
    REVOKE_KEY = ("revoke_key", "", "key revoke", "Revoke an SSH key; what it signed before still stands.")
    SET_ASSURANCE = (
        "set_assurance",
        "",
        "assurance",
        "State the weakest proof with which a decision is accepted here.",
    )
    OPEN_PLAY = ("open_play", "n", "new", "Open a play: one task that a small model should take over.")
    # the five stages
    ASSIGN_ROLE = ("assign_role", "A", "role", "Give a role in this play to a person.")
    SIGN_ROSTER = ("sign_roster", "", "roster sign", "Sign who holds which role in a play, and whose keys are whose.")
    FILL_WORKSHEET = ("fill_worksheet", "e", "worksheet", "Fill in the numbers of the trigger.")
    QUALIFY = ("qualify", "Q", "qualify", "Pass the trigger and go on to the gate.")
    EDIT_GATE = ("edit_gate", "E", "gate edit", "Write the success gate (a TOML file), until it is locked.")
    LOCK_GATE = ("lock_gate", "L", "gate lock", "Lock the success gate for good.")
    IMPORT_TRAFFIC = (
        "import_traffic",
        "i",
        "import",
        "Import traffic from a file or a saved data set.",
    )
    SET_TEACHER = ("set_teacher", "U", "teacher", "Choose the teacher: recorded outputs, or a local model folder.")
    CONFIRM_TERMS = ("confirm_terms", "p", "terms", "Record what the provider's terms say of training on its outputs.")
    LABEL = ("label", "O", "label", "Have a worker compute the teacher's outputs.")
    BUILD_DATA = ("build_data", "B", "data build", "Window, deduplicate, split and count: a draft data set.")
    ACCEPT_FINDINGS = ("accept_findings", "D", "data accept", "Accept what the audit of the data found, with a reason.")
    FREEZE_DATA = ("freeze_data", "F", "data freeze", "Freeze the data set by its digest.")
    OPEN_ROW = ("open_row", "", "row open", "Open a held-out row: audited, and burnt where a builder opens it.")
    START_RUN = ("start_run", "T", "train", "Train a student in a background worker.")
    STOP_RUN = ("stop_run", "K", "train stop", "Stop a run and keep its checkpoint.")
    RESUME_RUN = ("resume_run", "C", "train resume", "Resume a stopped, failed or lost run from its checkpoint.")
    EVALUATE = ("evaluate", "R", "eval", "Judge one trained student on the held-out split: this round's one look.")
    REPRODUCE = ("reproduce", "V", "reproduce", "Run the evaluation again as the validator.")
    SPOT_CHECK = ("spot_check", "P", "spotcheck", "Judge held-out answers blind: whose they are is not shown.")
    SIGN_OFF = ("sign_off", "S", "sign", "Record the validator's sign-off.")
    REFUSE = ("refuse", "X", "reject", "Record the validator's refusal, with its reason.")
    WITHDRAW = ("withdraw", "W", "withdraw", "Take back your own sign-off or refusal.")
    SET_MAINTENANCE = ("set_maintenance", "M", "maintain", "Set the sampling budget and the refresh cadence.")
    SHIP = ("ship", "H", "ship", "Write the bundle and go live.")
    ITERATE = ("iterate", "I", "iterate", "Open the next round, weighted to the failures.")
    KILL = ("kill", "Z", "kill", "End this play for good, with a reason.")
    REHEARSE = ("rehearse", "t", "rehearse", "Run the recipe again and see that it gives the same student.")
    # the live student
    OBSERVE = ("observe", "o", "observe", "Take in a sample of production that the live student is watched by.")
    ACKNOWLEDGE = ("acknowledge", "w", "acknowledge", "Answer a drift alarm with a reason; the watch begins anew.")
    ROLL_BACK = ("roll_back", "b", "rollback", "Put a bundle that shipped before back as the live one.")
    REFRESH = ("refresh", "N", "refresh", "Open a round with fresh data, weighted to the new failures.")
    COMMENT = ("comment", "c", "comment", "Leave a comment in the log.")
    # what workers report as decisions
    FINISH_RUN = ("finish_run", "", "", "A worker finished its run.")
    END_RUN = ("end_run", "", "", "A run ended without finishing.")
    RECORD_EVALUATION = ("record_evaluation", "", "", "A worker recorded an evaluation.")
    RECORD_REPRODUCTION = ("record_reproduction", "", "", "A worker recorded the validator's own evaluation.")
    RECORD_OBSERVATIONS = ("record_observations", "", "", "A worker recorded what it observed of the live student.")


ABOUT_THE_ROSTER = (  # what can change whether a sign-off counts without naming its play
    Action.ENROL_PERSON,
    Action.ADD_ACCOUNT,
    Action.ADD_KEY,
    Action.REVOKE_KEY,
    Action.SET_ASSURANCE,
)
FIVE_STAGES = (Stage.QUALIFY, Stage.GATE, Stage.DATA, Stage.TRAIN, Stage.DECIDE)
