"""What came of it all: how each job ended, whether it was meant to, and the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from statistics import median
from typing import NamedTuple, TypeAlias

from jobstate import Job, JobStatus, Transition

from .plan import FAILED, RETRIED, RETRIED_IN_VAIN, REVOKED, STRAIGHT, File, Plan, Story, printable
from .work import Findings, parses

FileJob: TypeAlias = Job[Findings]


class Step(NamedTuple):
    """A line of a job's history."""

    seconds: float
    """When it was, from the making of the job on."""

    status: JobStatus
    why: str


class Kind(NamedTuple):
    """Jobs with the same history."""

    jobs: int
    history: Story
    """With the status that it began in."""

    seconds: float
    """How long such a job was at work, in the median."""

    @property
    def at_work(self) -> str:
        """The same for people."""
        started = JobStatus.STARTED in self.history
        return f"{1e3 * self.seconds:,.1f} ms" if started else "never"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a plan."""

    plan: Plan
    jobs: tuple[FileJob, ...]
    """The job of each file, in the order of the plan."""

    delays: Mapping[FileJob, float]
    """Seconds from a job's last transition to the wake-up of who awaited it, for each job."""

    room: int
    """How many bytes may be at work at once, where more than one file is."""

    began: float
    ended: float
    """In POSIX seconds."""

    @property
    def kinds(self) -> list[Kind]:
        """The histories that jobs have, the most frequent first."""
        alike: dict[Story, list[FileJob]] = {}
        for job in self.jobs:
            alike.setdefault(_story(job), []).append(job)
        kinds = [
            Kind(len(jobs), (JobStatus.PENDING, *story), median(map(_at_work, jobs)))
            for story, jobs in alike.items()
        ]
        return sorted(kinds, key=lambda kind: -kind.jobs)

    @property
    def winding(self) -> list[FileJob]:
        """The jobs that did not go straight through."""
        return [job for job in self.jobs if _story(job) != STRAIGHT]

    @property
    def together(self) -> int:
        """The most bytes that several files at work at the same time had; 0 if none ever were."""
        moves = []
        for job, file in zip(self.jobs, self.plan.files, strict=True):
            for step in job.history:
                if step.dest is JobStatus.STARTED:
                    moves.append((step.timestamp, 1, file.size))
                elif step.source is JobStatus.STARTED:
                    moves.append((step.timestamp, -1, -file.size))
        files = size = most = 0
        for _, one, more in sorted(moves):
            files, size = files + one, size + more
            most = max(most, size if files > 1 else 0)
        return most

    @property
    def sentences(self) -> list[str]:
        """What was found, and how it went."""
        found = [job.result for job in self.jobs if job.result is not None]
        size, packed = sum(each.size for each in found), sum(each.packed for each in found)
        digests = sha256("".join(each.digest for each in found).encode()).hexdigest()
        waits = {job: 1e6 * delay for job, delay in self.delays.items()}
        sentences = [
            f"{counted(sum(each.functions for each in found), 'function')} in "
            f"{counted(len(found), 'file')} of {amount(size)}, packed to {amount(packed)}; "
            f"SHA-256 of all: {digests[:16]}…",
            "From a job's last transition to the wake-up of who awaited it: "
            f"median {median(waits.values()):,.0f} µs, worst {max(waits.values()):,.0f} µs; "
            f"{waits[self.jobs[-1]]:,.0f} µs for the job revoked in line.",
        ]
        if together := self.together:
            sentences.append(
                f"Files at work at the same time had {amount(together)} at most, of the "
                f"{amount(self.room)} that there is room for."
            )
        if unforeseen := sum(map(_unforeseen, self.jobs, self.plan.files)):
            sentences.append(
                f"{counted(unforeseen, 'failure')} had not been foreseen: files that Python itself "
                "cannot read or parse either."
            )
        return sentences

    @property
    def verdict(self) -> str:
        """That all is well, where it is."""
        jobs, seconds = counted(len(self.jobs), "job"), self.ended - self.began
        return "" if self.surprises else f"All {jobs} ended as they should, in {seconds:.1f} s."

    @property
    def surprises(self) -> list[str]:
        """What is off, a sentence each: nothing, if every job came to what it had to."""
        crowd = f"{self.together:,} bytes were at work at once, and there is room for {self.room:,}"
        return [crowd] * (self.together > self.room) + [
            f"{file.name} was to go {_arrows(file.story)}, and went {_arrows(_story(job))}"
            for job, file in zip(self.jobs, self.plan.files, strict=True)
            if _story(job) != file.story and not _unforeseen(job, file)
        ]


_REASONS = {
    RETRIED: (JobStatus.RETRY, "not in UTF-8, which is tried first"),
    RETRIED_IN_VAIN: (JobStatus.FAILURE, "not in UTF-8, and not Python either"),
    FAILED: (JobStatus.FAILURE, "no attempt can read it as Python"),
    REVOKED: (JobStatus.REVOKED, "asked for twice, and once is enough"),
}


def opening(plan: Plan) -> Iterator[tuple[JobStatus, str]]:
    """Return what is special about a plan: which job is to come to what, and why."""
    for file in plan.files:
        if file.story != STRAIGHT:
            status, reason = _REASONS[file.story]
            written = " (written to a temporary folder)" if file.written else ""
            yield status, f"{file.name}{written}: {reason}"


def steps(job: FileJob) -> list[Step]:
    """Return the history of a job, with its beginning."""
    steps = [
        Step(age(job, step.timestamp), step.dest, printable(step.reason)) for step in job.history
    ]
    if job.result is not None:
        steps[-1] = steps[-1]._replace(why=counted(job.result.functions, "function"))
    return [Step(0.0, job.lifecycle.initial, ""), *steps]


def news(transition: Transition) -> str | None:
    """Return what to tell of a transition at once, in a few words, if it is out of the ordinary."""
    match transition.dest:
        case JobStatus.RETRY | JobStatus.FAILURE if transition.error is not None:
            return transition.error.reason
        case JobStatus.REVOKED:
            return transition.reason
        case JobStatus.SUCCESS if transition.attempt > 1:
            return f"at attempt {transition.attempt}"
    return None


def age(job: FileJob, timestamp: float) -> float:
    """Return for how many seconds there was the job at that time."""
    return max(0.0, timestamp - job.created_at.timestamp())


def counted(number: int, thing: str) -> str:
    """Return how many there are of something."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def amount(size: int) -> str:
    """Return a number of bytes as people read it."""
    number, unit = (size / 1e6, "MB") if size >= 1e6 else (size / 1e3, "kB")
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:,.1f} {unit}"


def _story(job: FileJob) -> Story:
    return tuple(transition.dest for transition in job.history)


def _arrows(story: Iterable[JobStatus]) -> str:
    return " → ".join((JobStatus.PENDING, *story))


def _at_work(job: FileJob) -> float:
    """Return for how many seconds a job was STARTED."""
    return sum(
        after.timestamp - before.timestamp
        for before, after in pairwise(job.history)
        if before.dest is JobStatus.STARTED
    )


def _unforeseen(job: FileJob, file: File) -> bool:
    """Whether the job of a file without a flaw to be seen had to fail; Python is asked for that."""
    if file.story != STRAIGHT or job.status is not JobStatus.FAILURE:
        return False
    try:
        return not parses(file.path.read_bytes())
    except OSError:
        return True
