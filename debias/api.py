"""The commands as functions: ``debias.train``, ``load``, ``evaluate``, ``compare`` and ``audit``.

Overrides are a list of ``key=value`` texts, or a mapping such as ``{"optimizer.lr": 1e-3}``. A text
in a mapping is read as on the command line; a path is not changed.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from debias import config as configs
from debias.config import EXECUTION, Config
from debias.errors import check_one_of
from debias.json_files import plain
from debias.merging import taken
from debias.reports.evaluation import Evaluation, group_table
from debias.reports.record import Report, read_report

if TYPE_CHECKING:
    import pandas
    from pytorch_lightning import Callback

    from debias.audits.record import AuditReport
    from debias.reports.comparison import ComparedMethod, Comparison
    from debias.trained.model import TrainedModel

Overrides: TypeAlias = "Sequence[str] | Mapping[str, Any]"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run. It may be given wherever the path of a run's folder may.

    Attributes:
        folder: the run's folder.
    """

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @cached_property
    def report(self) -> Report:
        """The record of the run, such as ``report.test.scalars["worst_group"]``."""
        return read_report(self.folder)

    def table(self, split: str = "test") -> pandas.DataFrame:
        """Accuracy, 95 % interval and count of each group of the split train, val or test.

        Raises:
            ValueError: there is no such split.
        """
        check_one_of(("train", "val", "test"), {"split": split})
        return group_table(getattr(self.report, split))

    def load(self) -> TrainedModel:
        """The model of the run; see :func:`load`."""
        return load(self)


def train(
    config: str | PathLike[str] | Config,
    overrides: Overrides = (),
    *,
    resume: str | PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
    trainer: Mapping[str, Any] | None = None,
) -> TrainedRun:
    """Train one run, evaluate it and write its report, as ``debias train`` does.

    Args:
        config: name of a shipped config, the path of a YAML file, or a config.
        overrides: changes to the config.
        resume: folder of an interrupted run; "auto" resumes the config's own run if it was
            interrupted, and returns it if it is finished.
        callbacks: your own callbacks of Lightning, for the last stage.
        trainer: options of Lightning's Trainer; see :class:`debias.training.fit.Additions`.

    Raises:
        ValueError: the config, the data or the folder has a mistake; nothing has been trained then.
    """
    from debias.commands.begin import locked
    from debias.commands.train import chosen_run
    from debias.commands.train import train as train_config
    from debias.places import run_held

    texts = _texts(overrides)
    if isinstance(config, Config):
        chosen = configs.from_plain(configs.plain(config), texts)
    else:
        chosen = configs.load(fspath(config), texts)
    with run_held(chosen):
        folder = None if resume is None else chosen_run(chosen, fspath(resume))
        if resume == "auto" and folder and (folder / "report.json").is_file():
            return TrainedRun(folder)
        # before training does it: the fast imports of the command line are not for a user's process
        from debias.training.fit import Additions

        additions = Additions(tuple(callbacks), trainer or {})
        return TrainedRun(train_config(chosen, resume=folder, alone=locked, additions=additions))


def load(run: str | PathLike[str]) -> TrainedModel:
    """Load the model of a finished run: a plain module with its preprocessing, without Lightning.

    Its methods ``predict`` and ``preprocess`` take new pictures.

    Args:
        run: a run, or its folder.

    Raises:
        ValueError: the folder has no finished run, or its weights do not fit.
    """
    from debias.trained.model import load as load_model

    return load_model(run)


def evaluate(place: str | PathLike[str], overrides: Overrides = ()) -> Evaluation:
    """Evaluate a run, a checkpoint or a CSV file of predictions, as ``debias evaluate`` does.

    The report of a run is updated, unless ``data=NAME`` names another data set than the run's.

    Args:
        place: a run, its folder, a checkpoint, a file of predictions, or "timm:NAME".
        overrides: options such as ``measures=fairness,leakage``, ``positive=waterbird``,
            ``fresh=true``, ``data.root=PATH`` and ``data=NAME``.

    Raises:
        ValueError: as in ``debias evaluate``.
    """
    from debias.commands.evaluate import evaluate_run
    from debias.commands.evaluate_elsewhere import evaluate_elsewhere, is_elsewhere
    from debias.commands.predictions import evaluate_file
    from debias.evaluation.measures import chosen_families

    texts = _texts(overrides)
    if is_elsewhere(fspath(place), texts):
        return evaluate_elsewhere(fspath(place), texts, tell=log.info)[0]
    measures, others = taken(texts, "measures", "all")
    families, path = chosen_families(measures), Path(place)
    if path.suffix == ".csv":
        return evaluate_file(path, others, families)[0]
    return evaluate_run(path, others, families, tell=log.info)[0]


def audit(source: str | PathLike[str], overrides: Overrides = ()) -> AuditReport:
    """Look for shortcuts in a data set or a run without bias labels, as ``debias audit`` does.

    Writes the page, ``audit.json`` and the files of the steps. ``report.lines`` has the findings,
    strong ones first.

    Args:
        source: a config, a table, a folder of images, a data set known by name, or a run.
        overrides: options such as ``target=COLUMN``, ``images=5000``, ``out=FOLDER`` and
            ``data.root=PATH``.

    Raises:
        ValueError: the source, the data or an option has a mistake.
    """
    from debias.commands.audit import audit as audit_source

    return audit_source(fspath(source), _texts(overrides), tell=log.info)[0]


def compare(*runs: str | PathLike[str], measures: Sequence[str] = ()) -> pandas.DataFrame:
    """Compare finished runs in one table, as ``debias compare`` does.

    Shares are in [0, 1]. ``NAME_std`` is the standard deviation over the seeds. A run that is left
    out gives a warning with the reason.

    Args:
        runs: runs, their folders, or folders that hold runs.
        measures: further columns, as "family:key".

    Returns:
        One row per method, best worst group (or class) first.

    Raises:
        ValueError: no run has a value for one of ``measures``.
    """
    import pandas

    from debias.reports.comparison import compare as compared
    from debias.storage.results import results_folder

    comparison = compared(
        [results_folder(fspath(run)) for run in runs], ignore=EXECUTION, measures=measures
    )
    for reason in comparison.left_out:
        warnings.warn(f"left out: {reason}", stacklevel=2)
    return pandas.DataFrame([_row(method, comparison) for method in comparison.methods])


def _row(method: ComparedMethod, comparison: Comparison) -> dict[str, Any]:
    from debias.reports.split import PREFIXES

    spreads = {name: method.test(name) for name in comparison.scores}
    spreads |= {name: method.measure(name) for name in comparison.measures}
    row: dict[str, Any] = {"method": method.label, "group_labels": method.group_labels}
    row["seeds"] = list(method.seeds)
    for name, spread in spreads.items():
        row |= {name: spread.mean, f"{name}_std": spread.deviation}
    prefix = PREFIXES[comparison.kind]
    row |= {name: method.test(prefix + name).mean for name in comparison.groups}
    return row | {"seconds_per_epoch": method.seconds_per_epoch}


def _texts(overrides: Overrides) -> list[str]:
    """Overrides as ``key=value`` texts."""
    if isinstance(overrides, str):
        raise TypeError(f"overrides must be a list of texts or a mapping; got {overrides!r}")
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={_text(value)}" for key, value in overrides.items()]


def _text(value: Any) -> str:
    """A value as YAML, which includes JSON. A text is YAML already, and a path is none."""
    if isinstance(value, str):
        return value
    value = fspath(value) if isinstance(value, PathLike) else value
    return json.dumps(value, default=plain, ensure_ascii=False)
