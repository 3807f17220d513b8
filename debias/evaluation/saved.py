"""The predictions that a finished run left behind, where they are those of its weights and of the
data as they are.
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
from debias.evaluation.predictions import load_weights, with_labels
from debias.parts import Parts
from debias.reports.predictions import REMEDY, Predictions, read
from debias.reports.record import read_report
from debias.training.prediction import Predicted


def origin(checkpoint: Path, precision: str) -> dict[str, str]:
    """What predictions come from: the SHA-256 of the weights, and the config's precision.

    Raises:
        ValueError: there is no such file.
    """
    try:
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        return {"weights": digest, "precision": precision}
    except FileNotFoundError:
        raise InputError(
            f"no checkpoint {checkpoint}: give a finished run, or train it first"
        ) from None


def trained_config(run: Path) -> Config:
    """The config of a finished run's model, with the groups and masks that the run made, wherever
    it lies by now.
    """
    config, groups, masks = configs.read(configs.evaluated(run)), run / "groups.csv", run / "masks"
    if Path(config.groups.file or "").name == groups.name and groups.is_file():
        config = replace(config, groups=replace(config.groups, file=str(groups)))
    own = Path(config.data.get("masks") or "").name == masks.name and masks.is_dir()
    return replace(config, data=config.data | {"masks": str(masks)}) if own else config


def finished(run: Path, overrides: Sequence[str] = ()) -> Parts:
    """The objects of a finished run, with the weights of its selected epoch.

    Args:
        run: the run's folder.
        overrides: of its config, such as where the data lies now.

    Raises:
        ValueError: no finished run there, or its data or weights do not fit.
    """
    epoch = read_report(run).selection.epoch
    fresh = ("model.pretrained=false", "model.weights=null", "cache=false")
    parts = build(configs.from_plain(configs.plain(trained_config(run)), [*overrides, *fresh]))
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    parts.ready()
    return parts


def saved_predictions(
    folder: Path,
    predicted_from: Mapping[str, str] | None,
    wanted: Mapping[str, str],
    examples: Examples,
) -> dict[str, Predictions]:
    """Predictions of every split as a run saved them, with all the digits of float32.

    That the pictures of the data are the same is not checked; their paths and labels are.

    Args:
        folder: of the run.
        predicted_from: the :func:`origin` of its predictions, by its report.
        wanted: the one of the predictions that are asked for.
        examples: the data set.

    Raises:
        ValueError: why these predictions will not do.
    """
    if predicted_from is None:
        raise InputError("the report does not say which weights made the saved ones")
    if predicted_from["weights"] != wanted["weights"]:
        raise InputError("other weights made the saved ones")
    if predicted_from["precision"] != wanted["precision"]:
        raise InputError(f"the saved ones are of precision={predicted_from['precision']}")
    return {
        split: _split(folder / "predictions" / f"{split}.csv", split, examples) for split in SPLITS
    }


def _split(path: Path, split: str, examples: Examples) -> Predictions:
    try:
        saved = read(path)
    except InputError as error:
        raise InputError(str(error).removesuffix(f"; {REMEDY}")) from None
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
