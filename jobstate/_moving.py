"""How a job is moved: whose turn it is, and a transition at once or step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ._arguments import BARE_EFFECTS, NO_EFFECTS, Effects, effects_of
from ._errors import ReentrantTrigger, UnknownTrigger, WouldBlock
from ._loop import at_once, running_loop
from ._observers import tell_transitioned, who_listens
from ._records import S, T, Transition
from ._standing import Standing
from ._transit import ask, check_at_once, run
from ._turn import Turn

if TYPE_CHECKING:
    from ._job import Job


class Moving(Standing[T, S]):
    """What moves a job: see the triggers of `Job`."""

    __slots__ = ()

    async def _move(
        self,
        trigger: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        attempt: int | None = None,
    ) -> Transition[S]:
        """Take a trigger; on behalf of an *attempt*, only as long as that goes on."""
        if running_loop() is not self._home:
            self._check_home()
        effects = self._effects(trigger, args, kwargs)
        if self._turn is None and (attempt is None or self._goes_on(attempt)):
            transition = self._stepped(trigger, effects)
            if transition is not None:
                return transition
        turn = await self._my_turn(trigger)
        try:
            return await run(self._as_job, trigger, args, kwargs, effects, turn, attempt)
        finally:
            self._release()

    async def _ask(self, trigger: str, /, *args: Any, **kwargs: Any) -> None:
        """Raise what the trigger would be refused with, were it called now."""
        self._check_home()
        self._effects(self._known(trigger), args, kwargs)
        turn = await self._my_turn(trigger)
        try:
            await ask(self._as_job, trigger, args, kwargs, turn)
        finally:
            self._release()

    async def _my_turn(self, trigger: str) -> Turn:
        """Return the job's turn, once it is the running task's."""
        if self._turn is not None:
            self._check_not_mine(self._known(trigger), self._turn)
        return await self._take_turn()

    async def _take_turn(self) -> Turn:
        turn = self._turn
        if turn is None:
            self._turn = turn = Turn()
        else:
            await turn.wait(self._release)
        return turn

    def _move_now(
        self, trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Transition[S]:
        if running_loop() is not self._home:
            self._check_home()
        effects = self._effects(trigger, args, kwargs)
        turn = self._turn
        if turn is not None:
            self._check_not_mine(self._known(trigger), turn)
            raise WouldBlock(self.id, trigger, "it is in the middle of another transition")
        transition = self._stepped(trigger, effects)
        if transition is not None:
            return transition
        check_at_once(self._as_job, trigger)
        self._turn = turn = Turn(at_once=True)
        try:
            return at_once(run(self._as_job, trigger, args, kwargs, effects, turn))
        finally:
            self._release()

    def _effects(self, trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Effects:
        if args or kwargs:
            return effects_of(self.id, trigger, args, kwargs)
        return BARE_EFFECTS.get(trigger, NO_EFFECTS)

    def _stepped(self, trigger: str, effects: Effects) -> Transition[S] | None:
        """Move the job in a single step, where nothing at all is to be called meanwhile."""
        way = self._state.ways.get(trigger)
        if way is None:
            self._known(trigger)
        elif way.plain is not None and (self._own is None or self._own.is_idle):
            transition: Transition[S] = self._drafted(way.plain, effects)
            self._commit(way.plain.dest, transition, effects)
            listening = who_listens("transitioned")
            if listening:
                self._turn = Turn(at_once=True)
                try:
                    tell_transitioned(listening, self._as_job, transition)
                finally:
                    self._release()
            return transition
        return None

    def _check_not_mine(self, trigger: str, turn: Turn) -> None:
        if turn.is_mine:
            raise ReentrantTrigger(self.id, self.status, trigger)

    def _release(self) -> None:
        """Hand the turn to whoever is next."""
        if self._turn is not None and not self._turn.hand_on():
            self._turn = None

    def _known(self, trigger: str) -> str:
        if trigger not in self._table.triggers:
            raise UnknownTrigger(self.lifecycle.name, trigger, self._table.triggers)
        return trigger

    @property
    def _as_job(self) -> Job[T, S]:
        return cast("Job[T, S]", self)
