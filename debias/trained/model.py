"""Loads the classifier of a finished run, with its preprocessing, as a plain module of PyTorch."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch

from debias import components
from debias import config as configs
from debias.config import Config
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.images import MAX_PIXELS
from debias.data.pictures.preprocessing import Preprocessing
from debias.errors import InputError
from debias.merging import Settings
from debias.models.checkpoints import load_weights
from debias.models.classifier import Classifier
from debias.reports.record import Report, read_report
from debias.strategies.strategy import Strategy
from debias.trained.picture_model import PictureModel
from debias.types import Groups


class TrainedModel(PictureModel):
    """The classifier of a finished run, with the preprocessing of its run.

    It has the attributes of :class:`debias.trained.picture_model.PictureModel`.

    Attributes:
        report: the record of the run.
    """

    def __init__(
        self, model: Classifier, strategy: Strategy | None, geometry: Geometry, report: Report
    ) -> None:
        most = report.config["data"].get("max_pixels", MAX_PIXELS)
        super().__init__(model, geometry, report.groups, strategy=strategy, max_pixels=most)
        self.report = report

    def export(self, folder: str | PathLike[str], *, format: str = "safetensors") -> None:
        """Write the model for other programs; see :func:`debias.trained.export.export`."""
        from debias.trained.export import export

        export(self, format, Path(folder))


def load(run: str | PathLike[str]) -> TrainedModel:
    """Load the model of a finished run, with the weights of its selected epoch, in evaluation mode.

    The data of the run are not needed. Neither are the initial weights, unless a function of yours
    reads them and has no argument ``pretrained``. No code in a file runs.

    Args:
        run: the run's folder.

    Raises:
        ValueError: the folder has no finished run, or its weights do not fit.
    """
    folder = Path(run)
    report = read_report(folder)
    config = configs.read(configs.evaluated(folder))
    preprocessing: Preprocessing = components.construct("preprocessing", config.preprocessing, {})
    make = components.find("strategy", config.strategy["name"])
    section = {**config.model, "pretrained": False, "weights": None}
    with torch.random.fork_rng(devices=[]):  # new weights are drawn, which the file replaces
        facts = {"outputs": make.model_outputs(_groups(report))}
        model: Classifier = components.construct("model", section, facts)
        strategy = _strategy(config, report, model, preprocessing.evaluation)
    trained = TrainedModel(model, strategy, preprocessing.evaluation, report)
    checkpoint = folder / "checkpoints" / f"epoch={report.selection.epoch:03d}.ckpt"
    load_weights(trained, checkpoint, only=("model.", "strategy.") if strategy else "model.")
    return trained.eval()


def _strategy(
    config: Config, report: Report, model: Classifier, geometry: Geometry
) -> Strategy | None:
    """The strategy of a run, if the model alone does not give its predictions."""
    name = config.strategy["name"]
    make: Any = components.find("strategy", name)
    if make.classify is Strategy.classify and make.prepare is Strategy.prepare:
        return None
    try:
        strategy: Strategy = components.construct(
            "strategy", config.strategy, _facts(config, report, model, geometry)
        )
    except KeyError as fact:
        raise InputError(
            f"strategy.name={name} needs {fact} of the training data, which a loaded model does "
            "not have: use `debias evaluate`"
        ) from None
    return strategy


def _groups(report: Report) -> Groups:
    """The groups that training saw."""
    own, seen = report.groups, report.training_groups
    if seen is None:
        return own
    names = (own.target_names, tuple(seen.biases))
    return Groups(*names, multi_label=own.multi_label, contexts=own.contexts)


def _facts(config: Config, report: Report, model: Classifier, geometry: Geometry) -> Settings:
    """Facts of the data for a strategy, as far as the report has them."""
    data, groups, seen = report.data, _groups(report), report.training_groups
    counts = data.class_counts or data.counts
    inferred = bool(config.groups.file) and "train" in config.groups.splits
    sizes = seen.counts if seen else data.counts["train"]
    return {
        "groups": groups,
        "samples": sum(map(sum, counts.values())) // (groups.outputs if groups.multi_label else 1),
        # reports of earlier versions do not have those of inferred groups
        **({} if inferred and not seen else {"frequencies": torch.tensor(sizes)}),
        "class_frequencies": torch.tensor(counts["train"]),
        "seed": config.seed,
        "model": model,
        "image": torch.zeros(1, 3, geometry.height, geometry.width),
        "mean": model.mean,
        "std": model.std,
    }
