"""One transition, from the trigger to the last hook.

The order is that of `transitions`:

    prepare event → per candidate: prepare, guards → before → exit
    → **commit** (a journal, where there is one, is written just before)
    → enter → on final → after → finalize

Up to the commit everything runs in the caller's task and whatever is raised there, cancellation
included, leaves the job as it was. From the commit on the hooks run to their end, one after the
other; what they raise is collected, and a cancellation from outside is held back until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint_if_cancelled

from ._arguments import Effects
from ._errors import GuardRefused, HookFailed, Refused, TransitionRefused, WouldBlock
from ._observers import tell_hook_failed, tell_refused, tell_transitioned, who_listens
from ._records import Transition
from ._replay import entry_of, replay
from ._stored import Entry
from ._table import Callback, Edge, TransitionEvent, Way
from ._turn import Turn
from .abc import Journal, SharedJournal

if TYPE_CHECKING:
    from ._job import Job

Failures = list[BaseException]


async def run(
    job: Job[Any, Any],
    trigger: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    effects: Effects,
    turn: Turn,
    attempt: int | None = None,
) -> Transition[Any]:
    """Take one trigger, and those that its hooks defer, through the whole order.

    Raises:
        Refused: the lifecycle or a guard does not let it, or it comes from an *attempt* that the
            job has moved on from; nothing has changed.
        HookFailed: it was committed, and hooks after the commit raised.
    """
    transition, failures = await _transit(job, trigger, args, kwargs, effects, turn, attempt)
    while turn.deferred:
        deferred = turn.deferred.pop(0)
        others = len(turn.deferred)
        try:
            if turn.at_once:
                check_at_once(job, deferred[0])
            later, its_failures = await _transit(job, *deferred, turn, deferred=True)
        except GeneratorExit:
            raise
        except Exception as error:
            failures.append(error)
            while len(turn.deferred) > others:
                turn.deferred.pop()
        except BaseException as error:
            failures.append(error)
            break
        else:
            group = _grouped(later, its_failures)
            failures += [each for each in its_failures if not isinstance(each, Exception)]
            failures += [group] if group else []
    return _conclude(transition, failures, turn.held_back)


async def ask(
    job: Job[Any, Any], trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any], turn: Turn
) -> None:
    """Ask the guards alone, as the trigger would.

    Raises:
        Refused: the lifecycle or a guard would not let it.
    """
    event = _event(job, trigger, args, kwargs)
    edge = await _chosen(job._state.ways.get(trigger), event, turn)
    missed = await _missed(job, job._journal, turn)
    if missed:
        for entry in missed:
            replay(job, entry)
        event.start_from(job._state)
        edge = await _chosen(job._state.ways.get(trigger), event, turn)
    if isinstance(edge, Refused):
        raise edge


async def _transit(
    job: Job[Any, Any],
    trigger: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    effects: Effects,
    turn: Turn,
    attempt: int | None = None,
    *,
    deferred: bool = False,
) -> tuple[Transition[Any], Failures]:
    """Commit one transition and run its hooks; return it with what they raised.

    Where it is not committed, a cancellation that was held back is raised instead of the reason;
    if *deferred*, it goes on being held back, and the reason is raised.
    """
    table = job._table
    event = _event(job, trigger, args, kwargs)
    try:
        ready = await _readied(job, event, effects, turn, attempt)
    except GeneratorExit:
        raise  # closed from outside: nothing can be awaited any more
    except BaseException as error:
        event.fail(error)
        await _unwind(event, turn, error, heard=isinstance(error, Exception), deferred=deferred)
        del event  # by this frame, the error would hold itself, and the job
        raise
    if isinstance(ready, Refused):
        tell_refused(job, trigger, ready)
        heard = isinstance(ready, TransitionRefused) and not job._state.ignores_invalid
        event.fail(ready, heard=heard)
        await _unwind(event, turn, ready, heard=heard, deferred=deferred)
        try:
            raise ready
        finally:
            del ready, event

    edge, transition = ready
    job._commit(edge.dest, transition, effects)
    event.transition = transition
    if event.data is not None:
        event.data.state = edge.dest.live
    entering = () if edge.internal else job._hooks_on(("status", edge.dest.name))
    hooks = (*edge.enter, *entering, *edge.after, *job._hooks_on(("trigger", trigger)))
    failures: Failures = []
    try:
        tell_transitioned(who_listens("transitioned"), job, transition)
    except BaseException as error:  # an interrupt: the hooks run all the same
        failures.append(error)
    if hooks:
        await _settle(hooks, event, turn, failures)
    group = _grouped(transition, failures) if failures else None
    if group is not None:
        event.fail(group.exceptions[0] if len(group.exceptions) == 1 else group)
        await _settle(table.on_exception, event, turn, failures)
    elif failures:
        event.fail(failures[0])
    elif event.data is not None:
        event.data.result = True
    if table.finalize_event:
        await _settle(table.finalize_event, event, turn, failures)
    return transition, failures


def _event(
    job: Job[Any, Any], trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TransitionEvent[Any]:
    event = TransitionEvent(job, trigger, args, kwargs)
    if job._table.event_data is not None:
        event.data = job._table.event_data(event, job._state)
    return event


async def _readied(
    job: Job[Any, Any],
    event: TransitionEvent[Any],
    effects: Effects,
    turn: Turn,
    attempt: int | None,
) -> tuple[Edge, Transition[Any]] | Refused:
    """Do all that comes before the commit, and return what is to be committed.

    Where others have moved the job meanwhile, as its journal knows, it takes their steps first, and
    the trigger is judged by where it stands then.
    """
    journal = job._journal
    while True:
        if attempt is not None and not job._goes_on(attempt):
            return TransitionRefused(job.id, job.status, event.trigger, job._state.ways)
        edge = await _chosen(job._state.ways.get(event.trigger), event, turn)
        if isinstance(edge, Refused):
            missed = await _missed(job, journal, turn)
            if not missed:
                return edge
        else:
            for callback in edge.before:
                await _called(callback, event, turn)
            transition: Transition[Any] = job._drafted(edge, effects)
            if journal is None:
                return edge, transition
            missed = await turn.shielded(journal.append(entry_of(edge, transition, effects)))
            if not missed:
                return edge, transition
        for entry in missed:
            replay(job, entry)
        if turn.held_back is not None:  # cancelled meanwhile, before anything was committed
            raise turn.held_back
        await checkpoint_if_cancelled()
        event.start_from(job._state)


async def _missed(job: Job[Any, Any], journal: Journal | None, turn: Turn) -> Sequence[Entry]:
    """Return the steps that others have taken for a job that is about to refuse a trigger."""
    if job._state.final or turn.held_back is not None:  # a cancelled caller waits no more
        return ()
    return await journal.missed(job.id, job.version) if isinstance(journal, SharedJournal) else ()


async def _chosen(way: Way | None, event: TransitionEvent[Any], turn: Turn) -> Edge | Refused:
    """Return the first candidate whose guards all pass, or why there is none."""
    job = event.job
    if way is None:
        return TransitionRefused(job.id, job.status, event.trigger, job._state.ways)
    for callback in job._table.prepare_event:
        await _called(callback, event, turn)
    refusals = []
    for edge in way.edges:
        event.dest = edge.dest.value
        if event.data is not None:
            event.data.transition = edge.live
        for callback in edge.prepare:
            await _called(callback, event, turn)
        for guard in edge.guards:
            answer = await _called(guard.callback, event, turn)
            passed = answer == guard.target
            if not passed:
                refusals.append((edge.dest.value, guard.callback.name, repr(answer)))
                break
        else:
            return edge
    return GuardRefused(job.id, job.status, event.trigger, refusals)


async def _called(callback: Callback, event: TransitionEvent[Any], turn: Turn) -> Any:
    """Return the answer of a callback before the commit, awaited where it is awaitable."""
    try:
        answer = callback(event)
        if answer is None or answer is True or answer is False or not isawaitable(answer):
            return answer
        # A cancelled caller gets no further than its next wait, here as anywhere.
        if not turn.at_once and turn.held_back is None:
            return await answer
    except Exception as error:
        tell_hook_failed(event.job, event.trigger, callback.name, error)
        raise
    raise _would_block(callback, event, answer)


async def _settle(
    callbacks: Iterable[Callback], event: TransitionEvent[Any], turn: Turn, failures: Failures
) -> None:
    """Run callbacks to their end, one after the other; what they raise joins *failures*."""
    for callback in callbacks:
        try:
            answer = callback(event)
            if answer is not None and isawaitable(answer):
                if turn.at_once:
                    raise _would_block(callback, event, answer)
                await turn.shielded(answer)
        except GeneratorExit:
            raise
        except BaseException as error:
            # A hook on exceptions may raise again what it was told.
            if error is not event.error and not any(error is each for each in failures):
                failures.append(error)
                try:
                    tell_hook_failed(event.job, event.trigger, callback.name, error)
                except BaseException as interrupt:  # the hooks that remain run all the same
                    failures.append(interrupt)


async def _unwind(
    event: TransitionEvent[Any], turn: Turn, error: BaseException, *, heard: bool, deferred: bool
) -> None:
    """Run what `transitions` runs where nothing was committed; raise what replaces *error*."""
    table = event.job._table
    failures: Failures = [error]
    if heard:
        await _settle(table.on_exception, event, turn, failures)
    heard_instead = failures[1:2]
    await _settle(table.finalize_event, event, turn, failures)
    others = [each for each in failures[1:] if not isinstance(each, Exception)]
    if not isinstance(error, Exception):
        others, heard_instead = [], []
    held_back = None if deferred else turn.held_back
    for replacement in (*_interrupts(failures[1:]), held_back, *others, *heard_instead):
        if replacement is not None:
            raise replacement from error


def _would_block(callback: Callback, event: TransitionEvent[Any], answer: Any) -> WouldBlock:
    if iscoroutine(answer):
        answer.close()
    return WouldBlock(event.job.id, event.trigger, f"{callback.name} is async")


def _conclude(
    transition: Transition[Any], failures: Failures, held_back: BaseException | None
) -> Transition[Any]:
    """Return the transition, or raise what came of it after the commit.

    An interrupt or a cancellation is raised as it is, with the exceptions as its cause.
    """
    if not failures and held_back is None:
        return transition
    group: Any = _grouped(transition, failures)
    others = [each for each in failures if not isinstance(each, Exception)]
    for fatal in (*_interrupts(failures), held_back, *others):
        if fatal is not None:
            raise fatal from group
    raise group


def _grouped(transition: Transition[Any], failures: Failures) -> HookFailed | None:
    exceptions = [each for each in failures if isinstance(each, Exception)]
    return HookFailed(transition, exceptions) if exceptions else None


def _interrupts(failures: Failures) -> Failures:
    return [each for each in failures if isinstance(each, (KeyboardInterrupt, SystemExit))]


def check_at_once(job: Job[Any, Any], trigger: str) -> None:
    """Raise `WouldBlock` if the trigger, taken now, might have to wait for something."""
    if job._journal is not None:
        raise WouldBlock(job.id, trigger, "its journal must be written")
    table, way = job._table, job._state.ways.get(trigger)
    callbacks: list[Callback] = [*table.finalize_event, *table.on_exception]
    if way is not None:
        callbacks += table.prepare_event
        callbacks += job._hooks_on(("trigger", trigger))
        for edge in way.edges:
            callbacks += edge.callbacks()
            callbacks += job._hooks_on(("status", edge.dest.name))
    for callback in callbacks:
        if callback.may_wait(job):
            raise WouldBlock(job.id, trigger, f"{callback.name} is async")
