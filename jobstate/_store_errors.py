"""The errors of stores, and of what they keep: of the same family as all others."""

from __future__ import annotations

from ._errors import JobStateError

# --- stores ---------------------------------------------------------------------------------


class StaleVersion(JobStateError):
    """Somebody else has moved the job meanwhile; nothing was written."""

    def __init__(self, job_id: str, expected: int, actual: int) -> None:
        self.job_id, self.expected, self.actual = job_id, expected, actual
        super().__init__(job_id, expected, actual)

    def __str__(self) -> str:
        return f"job {self.job_id} is at version {self.actual}, not at {self.expected}"


class StoreClosed(JobStateError):
    """The store was closed on our side, so nothing can be asked of it, or waited for."""

    def __init__(self, store: str) -> None:
        self.store = store
        super().__init__(store)

    def __str__(self) -> str:
        return f"store {self.store} was closed"


class StoreBroken(JobStateError):
    """The world keeps the store from doing its part; the cause is attached, where there is one.

    What was to be written may or may not be there, unless *problem* says more. It is safe to
    repeat it with the same ``append_id``.
    """

    def __init__(self, store: str, problem: str) -> None:
        self.store, self.problem = store, problem
        super().__init__(store, problem)

    def __str__(self) -> str:
        return f"store {self.store}: {self.problem}"


class StoreBusy(JobStateError, TimeoutError):
    """Another program has kept the store locked for too long; nothing was written."""

    def __init__(self, store: str, seconds: float) -> None:
        self.store, self.seconds = store, seconds
        super().__init__(store, seconds)

    def __str__(self) -> str:
        return f"store {self.store} was locked by another program for more than {self.seconds:g} s"


class AlreadyClaimed(JobStateError):
    """What is known by a name is run by another already; nothing has changed.

    *here* says whether it was claimed with this same store object.
    """

    def __init__(self, store: str, name: str, here: bool = False) -> None:
        self.store, self.name, self.here = store, name, here
        super().__init__(store, name, here)

    def __str__(self) -> str:
        whose = "this same store object" if self.here else "another user of the store"
        return f"store {self.store}: {self.name!r} is claimed already, by {whose}"


class ForeignStore(JobStateError, ValueError):
    """What is there is no store of this package, and was left as it is."""

    def __init__(self, store: str, found: str) -> None:
        self.store, self.found = store, found
        super().__init__(store, found)

    def __str__(self) -> str:
        return f"{self.store} is no store of jobs, but {self.found}; it was left as it is"


# --- what is stored -------------------------------------------------------------------------


class Unstorable(JobStateError, ValueError):
    """What was to be kept is no JSON, or too much of it; nothing was written.

    *path* says where in the record it stands, as in ``result.rows[3]``.
    """

    def __init__(self, job_id: str, path: str, problem: str) -> None:
        self.job_id, self.path, self.problem = job_id, path, problem
        super().__init__(job_id, path, problem)

    def __str__(self) -> str:
        return f"job {self.job_id} cannot be stored: {self.path}: {self.problem}"


class CorruptRecord(JobStateError, ValueError):
    """What a store has given is not what this package has written.

    A store says of which job (*job_id*) it is, and at which *position* to go on: in a stream after
    that of the record, in lists of jobs after, or before, that of the job's creation.
    """

    def __init__(
        self, path: str, problem: str, job_id: str | None = None, position: int | None = None
    ) -> None:
        self.path, self.problem, self.job_id, self.position = path, problem, job_id, position
        super().__init__(path, problem, job_id, position)

    def at(self, job_id: str, position: int) -> CorruptRecord:
        """Return the same of a record of which is known where it is."""
        return CorruptRecord(self.path, self.problem, job_id, position)

    def __str__(self) -> str:
        where = _where(self.job_id, self.position)
        return f"a stored record{where} cannot be read: {self.path}: {self.problem}"


class NotRestorable(JobStateError):
    """A job that is kept cannot be taken up here; it stays in its store as it is."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id, self.problem = job_id, problem
        super().__init__(job_id, problem)

    def __str__(self) -> str:
        return f"job {self.job_id} cannot be restored: {self.problem}"


class NewerFormat(JobStateError):
    """What is stored was written by a later release, and is not read, let alone changed.

    Of a record, a store says where it is, as it does of a `CorruptRecord`.
    """

    def __init__(
        self,
        what: str,
        found: int,
        known: int,
        job_id: str | None = None,
        position: int | None = None,
    ) -> None:
        self.what, self.found, self.known = what, found, known
        self.job_id, self.position = job_id, position
        super().__init__(what, found, known, job_id, position)

    def at(self, job_id: str, position: int) -> NewerFormat:
        """Return the same of a record of which is known where it is."""
        return NewerFormat(self.what, self.found, self.known, job_id, position)

    def __str__(self) -> str:
        return (
            f"{self.what}{_where(self.job_id, self.position)} is of format {self.found}, and this "
            f"release of jobstate knows formats up to {self.known}: use a later release"
        )


def _where(job_id: str | None, position: int | None) -> str:
    return "" if position is None else f" (of job {job_id}, position {position})"


STORE_FAULTS = (
    StoreBusy,
    StoreBroken,
    StoreClosed,
    ForeignStore,
    StaleVersion,
    CorruptRecord,
)
"""What is wrong with a store, and not with a job of it, or with what is asked of it."""
