"""Jobs with a declared lifecycle: driven from anywhere, awaited without polling."""

from ._adopted import as_job
from ._all_changes import AllChanges
from ._attempt import CurrentJob, current_job
from ._command import Command, CommandResult
from ._declared import EdgeInfo
from ._errors import (
    BadArgument,
    CallbackNotFound,
    GuardRefused,
    HookFailed,
    InvalidJobId,
    InvalidLifecycle,
    JobAbandoned,
    JobFailed,
    JobRevoked,
    JobStateError,
    LifecycleSealed,
    NothingToDefer,
    OutcomeUndeclared,
    ReentrantTrigger,
    ReentrantWait,
    Refused,
    ReportRefused,
    TransitionRefused,
    UnknownStatus,
    UnknownTrigger,
    Unreachable,
    UnsupportedDefinition,
    WouldBlock,
    WrongThread,
)
from ._job import Job, Registration
from ._job_lifecycle import JOB_LIFECYCLE
from ._jobs import Jobs
from ._lifecycle import Lifecycle
from ._observers import add_observer, remove_observer
from ._options import SubmitOptions
from ._records import ErrorInfo, Outcome, Progress, Snapshot, Transition
from ._recovery import Recovered
from ._retry import Retry
from ._run_errors import (
    AttemptInterrupted,
    AttemptTimedOut,
    ChangesLost,
    CommandFailed,
    DependencyCycle,
    DependencyFailed,
    DuplicateJob,
    ImpossibleDemand,
    JobNotFound,
    JobsClosed,
    JobUnfinished,
    LoopEnded,
    NoCurrentJob,
    NoLoopYet,
    RunnerClosed,
    StillRunning,
    StopRequested,
    UnsuitableResult,
    UnsuitableWork,
    WorkerDied,
)
from ._runner import JobRunner
from ._several import AsCompleted, all_completed, as_completed, first_completed
from ._status import Cancellation, JobStatus, RevokeCause
from ._store_errors import (
    AlreadyClaimed,
    CorruptRecord,
    ForeignStore,
    NewerFormat,
    NotRestorable,
    StaleVersion,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    Unstorable,
)
from ._stored import Entry, JobRecord, Kept, StoredJob
from ._table import TransitionEvent
from ._threadsafe import ThreadsafeJob
from ._waiting import Changes
from .observability.structlog import StructlogObserver

__version__ = "0.1.0"

__all__ = [
    "JOB_LIFECYCLE",
    "AllChanges",
    "AlreadyClaimed",
    "AsCompleted",
    "AttemptInterrupted",
    "AttemptTimedOut",
    "BadArgument",
    "CallbackNotFound",
    "Cancellation",
    "Changes",
    "ChangesLost",
    "Command",
    "CommandFailed",
    "CommandResult",
    "CorruptRecord",
    "CurrentJob",
    "DependencyCycle",
    "DependencyFailed",
    "DuplicateJob",
    "EdgeInfo",
    "Entry",
    "ErrorInfo",
    "ForeignStore",
    "GuardRefused",
    "HookFailed",
    "ImpossibleDemand",
    "InvalidJobId",
    "InvalidLifecycle",
    "Job",
    "JobAbandoned",
    "JobFailed",
    "JobNotFound",
    "JobRecord",
    "JobRevoked",
    "JobRunner",
    "JobStateError",
    "JobStatus",
    "JobUnfinished",
    "Jobs",
    "JobsClosed",
    "Kept",
    "Lifecycle",
    "LifecycleSealed",
    "LoopEnded",
    "NewerFormat",
    "NoCurrentJob",
    "NoLoopYet",
    "NotRestorable",
    "NothingToDefer",
    "Outcome",
    "OutcomeUndeclared",
    "Progress",
    "Recovered",
    "ReentrantTrigger",
    "ReentrantWait",
    "Refused",
    "Registration",
    "ReportRefused",
    "Retry",
    "RevokeCause",
    "RunnerClosed",
    "Snapshot",
    "StaleVersion",
    "StillRunning",
    "StopRequested",
    "StoreBroken",
    "StoreBusy",
    "StoreClosed",
    "StoredJob",
    "StructlogObserver",
    "SubmitOptions",
    "ThreadsafeJob",
    "Transition",
    "TransitionEvent",
    "TransitionRefused",
    "UnknownStatus",
    "UnknownTrigger",
    "Unreachable",
    "Unstorable",
    "UnsuitableResult",
    "UnsuitableWork",
    "UnsupportedDefinition",
    "WorkerDied",
    "WouldBlock",
    "WrongThread",
    "add_observer",
    "all_completed",
    "as_completed",
    "as_job",
    "current_job",
    "first_completed",
    "remove_observer",
]

add_observer(StructlogObserver())
