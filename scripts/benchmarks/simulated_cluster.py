"""A cluster whose runs take made time. The pool of the launchers works on it as on real machines.

A run is a list of stages. A stage that another run has trained takes ``TAKE`` seconds, and one that
another run trains now is waited for, as with the shared folder of a sweep. Used by
``scripts/bench simulate``.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from debias.sweeps.launchers.pool import End
from debias.sweeps.launchers.signals import StopSignals
from debias.sweeps.plan import PlannedRun

#: Seconds until a process of a run trains, and to take the files of a stage.
START, TAKE = 10.0, 5.0


class Stage(NamedTuple):
    """A stage of a run: its seconds, and the key that equal stages share; empty if none can be."""

    key: str
    seconds: float


class Cluster:
    """An engine of the pool with a clock of its own.

    Args:
        slots: number of runs at a time.
        stages: the stages of each run, by its name.
        finish: writes what a finished run leaves. It gets the run and its seconds.
        share: whether equal stages are trained once.
    """

    def __init__(
        self,
        slots: int,
        stages: Mapping[str, Sequence[Stage]],
        finish: Callable[[PlannedRun, float], None],
        *,
        share: bool,
    ) -> None:
        self.slots, self.stages, self.finish, self.share = slots, stages, finish, share
        self.now, self.trained, self.waited, self.started = 0.0, 0.0, 0.0, 0
        self.kept: dict[str, float] = {}
        self.ends: list[tuple[float, int, float, PlannedRun]] = []

    @property
    def active(self) -> int:
        """The number of runs that have not ended."""
        return len(self.ends)

    def room(self) -> bool:
        """Whether a slot is free."""
        return self.active < self.slots

    def start(self, run: PlannedRun) -> None:
        """Compute when the run will end. Runs that started before it have decided what is kept."""
        time = self.now + START
        for stage in self.stages[run.name]:
            kept = self.kept.get(stage.key) if self.share and stage.key else None
            if kept is None:
                self.trained += stage.seconds
                time += stage.seconds
                self.kept[stage.key] = time
            else:
                self.waited += max(0.0, kept - time)
                time = max(kept, time) + TAKE
        self.started += 1
        heapq.heappush(self.ends, (time, self.started, time - self.now, run))

    def ended(self, seconds: float) -> list[End]:
        """Move the clock to the next end, and return the runs that have ended then."""
        ends = []
        if self.ends:
            self.now = self.ends[0][0]
        while self.ends and self.ends[0][0] == self.now:
            _, _, spent, run = heapq.heappop(self.ends)
            self.finish(run, spent)
            ends.append(End(run, 0))
        return ends

    def stop(self, signals: StopSignals) -> None:
        """Forget the runs that have not ended."""
        self.ends.clear()
