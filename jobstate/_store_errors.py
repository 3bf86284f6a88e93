"""The errors of stores, and of what they keep: of the same family as all others."""

from __future__ import annotations

from ._errors import JobStateError

# --- what is stored -------------------------------------------------------------------------


class Unstorable(JobStateError, ValueError):
    """What was to be kept is no JSON, or too much of it; nothing was written.

    `path` says where in the record it stands, as in ``result.rows[3]``.
    """

    def __init__(self, job_id: str, path: str, problem: str) -> None:
        self.job_id, self.path, self.problem = job_id, path, problem
        super().__init__(job_id, path, problem)

    def __str__(self) -> str:
        return f"job {self.job_id} cannot be stored: {self.path}: {self.problem}"


class CorruptRecord(JobStateError, ValueError):
    """What a store has given is not what this package has written."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(path, problem)

    def __str__(self) -> str:
        return f"a stored record cannot be read: {self.path}: {self.problem}"


class NewerFormat(JobStateError):
    """What is stored was written by a later release, and is not read, let alone changed."""

    def __init__(self, what: str, found: int, known: int) -> None:
        self.what, self.found, self.known = what, found, known
        super().__init__(what, found, known)

    def __str__(self) -> str:
        return (
            f"{self.what} is of format {self.found}, and this release of jobstate knows formats "
            f"up to {self.known}: use a later release"
        )
