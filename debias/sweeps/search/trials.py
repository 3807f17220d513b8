"""Turn trials into runs for a launcher, and the results of runs into results of trials."""

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from debias.errors import InputError
from debias.reports.record import Selection, read_report
from debias.sweeps.files import files_of
from debias.sweeps.plan import PlannedRun
from debias.sweeps.protocol import check_runs
from debias.sweeps.search.objectives import OBJECTIVES, of_selection
from debias.sweeps.search.study import Study, Trial


class Candidate(NamedTuple):
    """A trial that has not ended: its study, its number and its runs."""

    study: Study
    number: int
    runs: list[PlannedRun]


class Trials:
    """Iterates over the runs of trials. A new trial is proposed only when a worker needs a run.

    A proposal can therefore use the results of all trials that have ended.

    Args:
        studies: the study of each config. New trials are taken from them in turn.
        labels: the protocol, which limits the group labels that runs may read; ``None`` allows all.
    """

    def __init__(self, studies: Sequence[Study], labels: str | None = None) -> None:
        self.studies, self.labels = studies, labels
        self.candidates: list[Candidate] = []
        self.started: set[str] = set()

    def __iter__(self) -> Iterator[PlannedRun]:
        """Yield the runs of unfinished trials of earlier commands, then those of new trials.

        At the end, yield the runs of trials that other commands have started and not finished. A
        trial whose run failed is tried only once: by the next command, at its beginning.
        """
        yield from self._unfinished(failed=True)
        growing = True
        while growing:
            growing = False
            for study in self.studies:
                if trial := study.ask():
                    growing = True
                    yield from self._runs(study, trial)
        yield from self._unfinished(failed=False)

    def ended(self, run: PlannedRun, failure: str = "") -> None:
        """Record the trials that end with this run: done, pruned, or failed in this command.

        Args:
            run: the run that ended.
            failure: why the run failed in all its attempts; empty if it is done or pruned.
        """
        self.started.discard(run.name)
        for candidate in list(self.candidates):
            names = [other.name for other in candidate.runs]
            if run.name in names and self._settled(candidate, failure):
                self.candidates.remove(candidate)

    def _unfinished(self, *, failed: bool) -> Iterator[PlannedRun]:
        for study in self.studies:
            # before the trials are read, since a run may fail between two runs of this loop
            own = {entry.number for entry in self.candidates if entry.study is study}
            for trial in study.unfinished(failed=failed):
                if trial.number not in own:
                    yield from self._runs(study, trial)

    def _runs(self, study: Study, trial: Trial) -> Iterator[PlannedRun]:
        try:
            runs = study.tuned.runs(trial.settings)
            check_runs(self.labels, runs)
        except InputError as error:  # an invalid combination, or labels that are not allowed
            study.fail(trial.number, str(error))
            return
        study.note_runs(trial.number, [run.name for run in runs])
        self.candidates.append(Candidate(study, trial.number, runs))
        for run in runs:
            # otherwise another trial has the same setting, and its run counts for both
            if run.name not in self.started:
                self.started.add(run.name)
                yield run

    def _settled(self, candidate: Candidate, failure: str) -> bool:
        study, number, runs = candidate
        files = [files_of(run) for run in runs]
        if pruned := [entry for entry in files if entry.pruned.is_file()]:
            study.prune(number, pruned[0].reason())
        elif failure:
            study.run_failed(number, failure)
        elif all(entry.report.is_file() for entry in files):
            self._finish(study, number, [read_report(run.folder).selection for run in runs])
        else:
            return False
        return True

    def _finish(self, study: Study, number: int, over_seeds: Sequence[Selection]) -> None:
        means = []
        for name in study.section.objectives:
            values = [of_selection(name, selection) for selection in over_seeds]
            defined = [value for value in values if value is not None]
            if len(defined) < len(values):
                remedy = ". Choose search.objectives=[worst_class]"
                reason = f"{name} is undefined on validation"
                study.fail(number, reason + remedy if OBJECTIVES[name].reads else reason)
                return
            means.append(statistics.fmean(defined))
        study.finish(number, means)
