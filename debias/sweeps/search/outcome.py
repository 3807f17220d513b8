"""The results of a search: the table of its trials, and the chosen settings."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from debias.errors import InputError
from debias.files import write_atomically
from debias.sweeps.search.objectives import hypervolume_line
from debias.sweeps.search.planning import SearchPlan, Tuned
from debias.sweeps.search.study import Study, Trial


def write_trials(path: Path, studies: Sequence[Study]) -> None:
    """Write a CSV file with one row per trial.

    The columns are the trial's config, number, status, objective values on validation, settings,
    and the reason if it failed or was pruned.

    Args:
        path: the file to write.
        studies: the study of each config.
    """
    objectives = studies[0].section.objectives
    keys = list(dict.fromkeys(key for study in studies for key in study.tuned.space))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["config", "trial", "status", *objectives, *keys, "reason"])
    for study in studies:
        for trial in study.trials():
            values = trial.values or [""] * len(objectives)
            settings = [trial.settings.get(key, "") for key in keys]
            state = (study.tuned.source, trial.number, trial.state)
            writer.writerow([*state, *values, *settings, trial.reason])
    write_atomically(path, buffer.getvalue())


def most_tried(path: Path) -> int:
    """Read a file of :func:`write_trials`, and return the largest number of trials of a config."""
    with path.open(encoding="utf-8", newline="") as file:
        return max(Counter(row["config"] for row in csv.DictReader(file)).values())


def lines(studies: Sequence[Study]) -> Iterator[str]:
    """Summarise each config in lines: trials by state, reasons of failures, chosen settings."""
    for study in studies:
        trials = study.trials()
        counts = Counter(trial.state for trial in trials)
        ended = ", ".join(f"{count} {state}" for state, count in counts.items())
        yield f"{study.tuned.source}: {len(trials)} trials: {ended}"
        failed = [trial for trial in trials if trial.state == "failed"]
        yield from (f"  failed: trial {trial.number}: {trial.reason}" for trial in failed)
        objectives = study.section.objectives
        best = study.best()
        yield from (f"  chosen: {_described(trial, objectives)}" for trial in best)
        if best and len(objectives) > 1:
            yield f"  {hypervolume_line([trial.values for trial in best], objectives)}"


def chosen(planned: SearchPlan, studies: Sequence[Study]) -> list[tuple[Tuned, dict[str, object]]]:
    """The chosen settings of every config, to be trained again on the final seeds.

    Raises:
        ValueError: all trials of a config failed or were pruned.
    """
    for study in studies:
        if not study.best():
            source, table = study.tuned.source, planned.out / "trials.csv"
            raise InputError(
                f"{source}: no trial is done. See the reasons in {table}: correct them and run the "
                "same command again, or change the search and its out=FOLDER"
            )
    return [(study.tuned, trial.settings) for study in studies for trial in study.best()]


def _described(trial: Trial, objectives: Sequence[str]) -> str:
    named = zip(objectives, trial.values, strict=True)
    values = [f"{name} {100 * value:.1f}" for name, value in named]
    settings = [f"{key}={value}" for key, value in trial.settings.items()]
    return f"trial {trial.number}: {' '.join(settings)}: {', '.join(values)} on validation"
