"""From trials to runs and back: what the launcher asks for, and what happened."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from debias.errors import InputError
from debias.reports.record import read_report
from debias.sweeps.files import files_of
from debias.sweeps.plan import Run
from debias.sweeps.protocol import check_runs
from debias.sweeps.search.objectives import OBJECTIVES, of_selection
from debias.sweeps.search.planning import Tuned
from debias.sweeps.search.study import Study, Trial


class Candidate(NamedTuple):
    """A trial that has not ended, and its runs."""

    study: Study
    number: int
    runs: list[Run]


class Trials:
    """Hands out the runs of trials one by one, each when a worker is free, so that it follows from
    all that ended.

    Args:
        pairs: each config with its study; they take turns.
        objectives: of which every study is told.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tuned, Study]],
        objectives: Sequence[str],
        labels: str | None = None,
    ) -> None:
        self.pairs, self.objectives, self.labels = pairs, objectives, labels
        self.candidates: list[Candidate] = []
        self.given: set[str] = set()

    def __iter__(self) -> Iterator[Run]:
        """The runs of a stopped command's trials, then new ones, then other commands'."""
        yield from self._unfinished()
        growing = True
        while growing:
            growing = False
            for tuned, study in self.pairs:
                if trial := study.ask():
                    growing = True
                    yield from self._runs(tuned, study, trial)
        yield from self._unfinished()

    def ended(self, run: Run, failure: str = "") -> None:
        """Tell the studies of the trials that ended with a run: done, pruned or failed for good."""
        self.given.discard(run.name)
        owners = [
            entry
            for entry in self.candidates
            if any(other.name == run.name for other in entry.runs)
        ]
        for candidate in owners:
            if self._settled(candidate, failure):
                self.candidates.remove(candidate)

    def _unfinished(self) -> Iterator[Run]:
        for tuned, study in self.pairs:
            for trial in study.unfinished():
                if not any(
                    entry.study is study and entry.number == trial.number
                    for entry in self.candidates
                ):
                    yield from self._runs(tuned, study, trial)

    def _runs(self, tuned: Tuned, study: Study, trial: Trial) -> Iterator[Run]:
        try:
            runs = tuned.runs(trial.settings)
            check_runs(self.labels, runs)
        except InputError as error:  # no such combination, or it reads labels against the protocol
            study.fail(trial.number, str(error))
            return
        study.note_runs(trial.number, [run.name for run in runs])
        self.candidates.append(Candidate(study, trial.number, runs))
        for run in runs:
            if (
                run.name not in self.given
            ):  # else another trial has the same setting, and waits for it
                self.given.add(run.name)
                yield run

    def _settled(self, candidate: Candidate, failure: str) -> bool:
        study, number, runs = candidate
        files = [files_of(run) for run in runs]
        if any(entry.pruned.is_file() for entry in files):
            study.prune(number)
        elif failure:
            study.fail(number, failure)
        elif all(entry.report.is_file() for entry in files):
            reports = [read_report(run.folder) for run in runs]
            values = [
                [of_selection(name, report.selection) for report in reports]
                for name in self.objectives
            ]
            self._tell(study, number, values)
        else:
            return False
        return True

    def _tell(self, study: Study, number: int, values: Sequence[Sequence[float | None]]) -> None:
        for name, over_seeds in zip(self.objectives, values, strict=True):
            if None in over_seeds:
                remedy = (
                    ": choose search.objectives=[worst_class]"
                    if OBJECTIVES[name].reads_groups
                    else ""
                )
                study.fail(number, f"{name} is undefined on validation{remedy}")
                return
        study.finish(
            number,
            [statistics.fmean(value for value in row if value is not None) for row in values],
        )
