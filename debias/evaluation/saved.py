"""Finished runs: their config, weights and saved predictions.

Saved predictions are used only if they fit the run's weights and the current data.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from debias import config as configs
from debias.build import build
from debias.config import Config
from debias.data.examples import SPLITS, Examples
from debias.errors import InputError
from debias.evaluation.predictions import with_labels
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.reports.predictions import Predictions, read
from debias.reports.record import read_report
from debias.reports.wording import PREDICT_AGAIN
from debias.training.prediction import Predicted


def origin(checkpoint: Path, precision: str) -> dict[str, str]:
    """The origin of predictions: the SHA-256 of the weights, and the config's precision.

    Raises:
        ValueError: the checkpoint does not exist.
    """
    try:
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        return {"weights": digest, "precision": precision}
    except FileNotFoundError:
        raise InputError(
            f"no checkpoint {checkpoint}: give a finished run, or train it first"
        ) from None


def trained_config(run: Path) -> Config:
    """The config that a finished run's model was built from.

    If the run made its own groups or masks, the config has their paths inside ``run``, also after
    the folder was moved.
    """
    config, groups, masks = configs.read(configs.evaluated(run)), run / "groups.csv", run / "masks"
    given = configs.read(run / "config.yaml")  # has the paths of the user
    file, folder = config.groups.file, config.data.get("masks")
    if file != given.groups.file and Path(file or "").name == groups.name and groups.is_file():
        config = replace(config, groups=replace(config.groups, file=str(groups)))
    own = folder != given.data.get("masks") and Path(folder or "").name == masks.name
    if own and masks.is_dir():
        config = replace(config, data=config.data | {"masks": str(masks)})
    return config


def finished(run: Path, overrides: Sequence[str] = ()) -> Parts:
    """The objects of a finished run, with the weights of its selected epoch.

    Args:
        run: the run's folder.
        overrides: changes to its config, such as a new ``data.root``.

    Raises:
        ValueError: the folder has no finished run, or its data or weights do not fit.
    """
    epoch = read_report(run).selection.epoch
    fresh = ("model.pretrained=false", "model.weights=null", "cache=false")
    config = configs.from_plain(configs.plain(trained_config(run)), [*overrides, *fresh])
    parts = build(config, trains=False)
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    parts.ready()
    return parts


def saved_predictions(
    folder: Path,
    predicted_from: Mapping[str, str] | None,
    wanted: Mapping[str, str],
    examples: Examples,
) -> dict[str, Predictions]:
    """Read the predictions of every split that a run saved, with all digits of float32.

    The paths and labels of the images are compared with the data set; their pixels are not.

    Args:
        folder: the run's folder.
        predicted_from: the :func:`origin` of its predictions, from its report.
        wanted: the origin that they must have.
        examples: the data set.

    Raises:
        ValueError: the origins differ or the report has none, or a file does not fit the data set.
    """
    if predicted_from is None:
        raise InputError("the report does not name the weights of the saved predictions")
    if predicted_from["weights"] != wanted["weights"]:
        raise InputError("the saved predictions come from other weights")
    if predicted_from["precision"] != wanted["precision"]:
        raise InputError(f"the saved predictions have precision={predicted_from['precision']}")
    return {
        split: _split(folder / "predictions" / f"{split}.csv", split, examples) for split in SPLITS
    }


def _split(path: Path, split: str, examples: Examples) -> Predictions:
    try:
        saved = read(path)
    except InputError as error:
        raise InputError(str(error).removesuffix(f"; {PREDICT_AGAIN}")) from None
    rows = examples.rows(split)
    if not torch.equal(saved.index, rows):
        raise InputError(f"{path} has other rows than the data")
    expected = with_labels(examples, Predicted(rows, saved.logits))
    if saved.paths != expected.paths:
        raise InputError(f"{path} has other images than the data")
    same = torch.equal(saved.target, expected.target) and torch.equal(saved.bias, expected.bias)
    if not same or saved.logits.shape != (len(rows), examples.groups.outputs):
        raise InputError(f"{path} has other labels than the data")
    return saved
