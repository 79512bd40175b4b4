"""Several processes that take turns step by step, in every order that makes a difference.

Each process runs in a thread of its own that stands still before each of its steps until it is its turn, so a list of
turns determines everything that happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.proof.project import Perform, Step, T

Process = Callable[[Perform], object]
# Of the processes that could take a step now, and those steps, the one that does; None: that is enough.
Choose = Callable[[Mapping[int, Step]], int | None]


class Abandoned(BaseException):
    """The schedule is not played to its end; no Exception, so that nothing handles it."""


class Player:
    """One process that stands still before each of its steps. `ended_by` is the error that ended it, if one did."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.step: Step | None = None
        self.ended_by: BaseException | None = None

    def start(self) -> None:
        """Go to the first step."""
        self._thread.start()
        self._stands.acquire()

    def take_turn(self) -> None:
        """Take the step and go to the next one, or to the end."""
        self._turn.release()
        self._stands.acquire()

    def abandon(self) -> None:
        """End here."""
        self._is_abandoned = True
        while self.step is not None:
            self.take_turn()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._process(self._perform)
        except BaseException as error:
            # Expected or not is told by who judges the schedule.
            self.ended_by = error
        finally:
            self.step = None
            self._stands.release()

    def _perform(self, step: Step, act: Callable[[], T]) -> T:
        self.step = step
        self._stands.release()
        self._turn.acquire()
        if self._is_abandoned:
            raise Abandoned
        return act()


def play(processes: Sequence[Process], choose: Choose) -> list[BaseException | None] | None:
    """What ended each process, None for a good end; None where the schedule was abandoned."""
    players = [Player(process) for process in processes]
    for player in players:
        player.start()
    while steps := {number: player.step for number, player in enumerate(players) if player.step is not None}:
        number = choose(steps)
        if number is None:
            for player in players:
                player.abandon()
            return None
        players[number].take_turn()
    return [player.ended_by for player in players]


def are_independent(one: Step, other: Step) -> bool:
    """Whether the order of two steps of different processes makes no difference; time matters to everything."""
    if "clock" in (one.thing, other.thing):
        return False
    return one.thing != other.thing or not (one.changes or other.changes)


@dataclass(slots=True)
class _Fork:
    """A point at which there was a choice. Those asleep need not be tried: that order was played before."""

    steps: Mapping[int, Step]
    asleep: frozenset[int]
    choice: int
    tried: set[int] = field(default_factory=set)


class Orders:
    """Every order of the steps of some processes that makes a difference, one after the other (sleep sets).

    Source: P. Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, 1996, chapter 5.
    """

    def __init__(self) -> None:
        self._path: list[_Fork] = []
        self._depth = 0

    def __iter__(self) -> Iterator[Choose]:
        """A way to choose for each schedule; play it before asking for the next."""
        while True:
            self._depth = 0
            yield self._choose
            if not self._go_on():
                return

    def turns(self) -> list[int]:
        """The turns of the schedule played last."""
        return [fork.choice for fork in self._path]

    def _choose(self, steps: Mapping[int, Step]) -> int | None:
        self._depth += 1
        if self._depth <= len(self._path):
            return self._path[self._depth - 1].choice
        asleep = self._asleep(steps)
        awake = sorted(steps.keys() - asleep)
        if not awake:
            return None
        self._path.append(_Fork(steps, asleep, awake[0]))
        return awake[0]

    def _asleep(self, steps: Mapping[int, Step]) -> frozenset[int]:
        if not self._path:
            return frozenset()
        last = self._path[-1]
        taken = last.steps[last.choice]
        still = (last.asleep | last.tried) & steps.keys()
        return frozenset(number for number in still if are_independent(last.steps[number], taken))

    def _go_on(self) -> bool:
        """Turn to the next choice of the last fork that has one; whether there is one."""
        while self._path:
            fork = self._path[-1]
            fork.tried.add(fork.choice)
            left = sorted(fork.steps.keys() - fork.asleep - fork.tried)
            if left:
                fork.choice = left[0]
                return True
            self._path.pop()
        return False
