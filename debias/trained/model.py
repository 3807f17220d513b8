"""Loads the classifier of a finished run, with its preprocessing, as a plain module of PyTorch."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from debias import components
from debias import config as configs
from debias.config import Config
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.preprocessing import Preprocessing
from debias.errors import InputError
from debias.merging import Settings
from debias.models.checkpoints import load_weights
from debias.models.classifier import Classifier
from debias.models.layers import evaluating
from debias.progress import each
from debias.reports.record import Report, read_report
from debias.strategies.strategy import Strategy
from debias.trained.images import Images, Picture, read, shaped
from debias.trained.predictions import ImagePredictions
from debias.types import Groups, Outputs


class TrainedModel(nn.Module):
    """A trained classifier: normalised images in, logits out, with the preprocessing of its run.

    It is a plain module. It can be moved, called, traced and saved like any other. It needs neither
    Lightning nor the data of the run.

    Attributes:
        model: the network.
        strategy: the run's strategy, if it changes the images or computes the classes; else
            ``None``.
        groups: the groups of the run, with the names of the classes.
        classes: name of each logit: the classes, or the labels.
        geometry: the steps that resize and crop a picture in evaluation.
        mean: ``(3, 1, 1)`` mean of each channel, for pixels in [0, 1].
        std: ``(3, 1, 1)`` standard deviation of each channel.
        report: the record of the run.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: Classifier, strategy: Strategy | None, geometry: Geometry, report: Report
    ) -> None:
        super().__init__()
        self.model, self.strategy, self.geometry, self.report = model, strategy, geometry, report
        self.groups: Groups = report.groups
        names = self.groups.target_names
        self.classes = names[1::2] if self.groups.multi_label else names
        for name, values in (("mean", model.mean), ("std", model.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(N, outputs)`` of normalised images ``(N, 3, H, W)``."""
        outputs: Outputs
        if self.strategy is None:
            outputs = self.model(image)
        else:
            outputs = self.strategy.classify(self.model, image)
        return outputs.logits

    def normalise(self, image: Tensor) -> Tensor:
        """Convert uint8 pixels ``([N,] 3, H, W)`` to the model's input, on the same device."""
        mean, std = self.mean.to(image.device), self.std.to(image.device)
        return image.float().mul_(1 / (255 * std)).add_(-mean / std)

    def preprocess(self, picture: Picture) -> Tensor:
        """The model's input ``(3, H, W)`` of one picture: resized, cropped and normalised.

        Args:
            picture: a file, a ``PIL.Image``, or an ``(H, W, 3)`` uint8 array.

        Raises:
            ValueError: the picture cannot be read.
        """
        return self.normalise(shaped(picture, self.geometry))

    def predict(
        self, images: Images, *, batch_size: int = 64, workers: int = 0, progress: bool = False
    ) -> ImagePredictions:
        """Predict images in evaluation mode, in float32, on the model's device.

        Args:
            images: a folder, a file or a pattern such as "photos/*.jpg"; a list of files, of
                ``PIL.Image`` or of arrays; ``(N, 3, H, W)`` tensors, or a ``DataLoader`` whose
                batches begin with one. Tensors have the model's size. Those of uint8 are normalised
                here, those of float are already.
            batch_size: number of images per step.
            workers: number of processes that read files.
            progress: show a progress bar on a terminal.

        Raises:
            ValueError: there is no picture, or none can be read.
        """
        batches = read(images, self.geometry, batch_size=batch_size, workers=workers)
        names: list[str] = []
        unreadable: dict[str, str] = {}
        logits: list[Tensor] = []
        with evaluating(self), torch.inference_mode():
            for batch in each(batches, "predicting pictures", "batch", bar=progress):
                good = [place for place, reason in enumerate(batch.reasons) if not reason]
                names += [batch.names[place] for place in good]
                pairs = zip(batch.names, batch.reasons, strict=True)
                unreadable |= {name: reason for name, reason in pairs if reason}
                if good:
                    logits.append(self._logits(batch.image[good]))
        if not logits:
            first = next(iter(unreadable.values()), "there is none")
            raise InputError(f"no picture can be read: {first}")
        return ImagePredictions(tuple(names), torch.cat(logits), self.groups, unreadable)

    def export(self, folder: str | PathLike[str], *, format: str = "safetensors") -> None:
        """Write the model for other programs; see :func:`debias.trained.export.export`."""
        from debias.trained.export import export

        export(self, format, Path(folder))

    def _logits(self, image: Tensor) -> Tensor:
        image = image.to(self.mean.device)
        image = self.normalise(image) if image.dtype == torch.uint8 else image
        logits: Tensor = self(image)
        return logits.float().cpu()


def load(run: str | PathLike[str]) -> TrainedModel:
    """Load the model of a finished run, with the weights of its selected epoch, in evaluation mode.

    Neither the data of the run nor the initial weights are needed. No code in a file runs.

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
        facts = {"outputs": make.model_outputs(report.groups)}
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


def _facts(config: Config, report: Report, model: Classifier, geometry: Geometry) -> Settings:
    """Facts of the data for a strategy, as far as the report has them."""
    data, groups = report.data, report.groups
    counts = data.class_counts or data.counts
    return {
        "groups": groups,
        "samples": sum(map(sum, counts.values())) // (groups.outputs if groups.multi_label else 1),
        "frequencies": torch.tensor(data.counts["train"]),
        "class_frequencies": torch.tensor(counts["train"]),
        "seed": config.seed,
        "model": model,
        "image": torch.zeros(1, 3, geometry.height, geometry.width),
        "mean": model.mean,
        "std": model.std,
    }
