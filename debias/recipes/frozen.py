"""Frozen backbones: their cached features, and new heads on these features."""

import hashlib
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from debias import components, processes
from debias import config as configs
from debias.config import Config
from debias.data.examples import SPLITS
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.evaluation.predictions import features_of, with_labels
from debias.files import written_whole
from debias.heads.linear import Heads, Rows, fresh_heads, repeated
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_scalars
from debias.metrics.selection import GROUP_RULES, chosen_rule
from debias.parts import Parts
from debias.places import cache_folder, share_folder
from debias.progress import say
from debias.reports.predictions import Predictions
from debias.run_weights import architecture
from debias.runs.circumstances import machine, own_parts
from debias.runs.epochs import state_of
from debias.runs.run import Run, Stage, Trained
from debias.runs.single import recorder_of
from debias.store import FEATURES
from debias.strategies.strategy import Strategy
from debias.training.prediction import Predicted
from debias.training.recorder import Recorder, save_weights


class Frozen:
    """A model whose backbone is frozen, with the features of every split.

    Features are computed once, in evaluation mode, and cached in the folder ``share``, or without
    it beside the decoded images. The file name is a digest of the weights, the options of the
    model, the files of the user's own parts, the normalisation, the image files of the split, the
    precision, the device and the versions of packages. Another head or another seed on the same
    backbone reuses the file. Model and features are in CPU memory, where heads are fitted.

    Args:
        stage: the stage whose model is used.
        config: the config from which the stage was built.
    """

    def __init__(self, stage: Stage, config: Config) -> None:
        self.stage, self.config = stage, config

    @property
    def head(self) -> Heads:
        """The head with which the model was trained."""
        return repeated(self.model.head, count=1)

    def fresh_head(self, generator: torch.Generator) -> Heads:
        """A randomly initialised head with the shape of the trained one."""
        head = self.model.head
        return fresh_heads(1, classes=head.out_features, size=head.in_features, generator=generator)

    @property
    def model(self) -> Any:
        """The classifier of the stage: a network with ``backbone`` and ``head``."""
        return self.stage.parts.module.model

    def features(self, split: str) -> Tensor:
        """``(N, D)`` float32 features of a split, in the order of its rows. They are read from the
        cache, or computed and cached.
        """
        path = self._file(split)
        if processes.from_first(path.is_file()):
            # the folder may be another one on each machine
            cached: Tensor = processes.by_first(partial(torch.load, path, weights_only=True))
            return cached
        features = features_of(self.stage.parts, split, progress=self.config.progress)
        self.stage.parts.module.cpu()
        if processes.rank() == 0:
            with written_whole(path) as temporary:
                torch.save(features, temporary)
        return features

    def labelled(self, split: str) -> Rows:
        """Features, classes and groups of a split, for splits in the recipe's ``reads``. The groups
        are the true ones, unless the run's ``groups.file`` replaces them.
        """
        examples = self.stage.parts.seen(split)
        rows = examples.rows(split)
        target = examples.target[rows]
        return Rows(
            self.features(split), target, examples.groups.encode(target, examples.bias[rows])
        )

    def rows(self, split: str) -> Rows:
        """Features and classes of a split. The field ``group`` holds the groups for "val" if the
        selection rule uses them; otherwise it holds the classes.
        """
        rows = self.labelled(split)
        return rows if split == "val" and self.grouped else rows._replace(group=rows.target)

    @property
    def grouped(self) -> bool:
        """Whether the worst group, and not the worst class, chooses the head on validation."""
        return reads_groups(self.stage.parts, self.config)

    def predictions(self, head: nn.Module) -> dict[str, Predictions]:
        """Predictions of the backbone with a given head, for every split by name."""
        examples, predictions = self.stage.examples, {}
        for split in SPLITS:
            with torch.no_grad():
                predicted = Predicted(examples.rows(split), head(self.features(split)))
            predictions[split] = with_labels(examples, predicted)
        return predictions

    def _file(self, split: str) -> Path:
        kept = share_folder(self.config) or cache_folder(self.config)
        folder = kept or self.stage.folder
        geometry = self.stage.parts.data.preprocessing.evaluation
        files = ImageFiles.of(self.stage.examples, self.stage.examples.rows(split), geometry)
        digest = hashlib.sha256(f"{self._backbone} {files.images_key()}".encode())
        return folder / FEATURES / f"{digest.hexdigest()[:16]}-{split}.pt"

    @cached_property
    def _backbone(self) -> str:
        parts = self.stage.parts
        model = sorted(architecture(self.config.model).items())
        normalisation = (parts.data.mean.tolist(), parts.data.std.tolist())
        settings = (machine(parts), *normalisation, model, *own_parts(self.config))
        digest = hashlib.sha256(repr(settings).encode())
        for name, value in sorted(self.model.backbone.state_dict().items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def feeds_head(config: Config, *, key: str) -> Config:
    """The config of a stage, if its strategy computes the outputs as the model itself does.

    A head on the features is then a head of the model.

    Args:
        config: config of the stage.
        key: the option of the recipe that sets the strategy of the stage, for the message.

    Raises:
        ValueError: the strategy computes features or logits in another way than the model.
    """
    name = config.strategy["name"]
    make: type[Strategy] = components.find("strategy", name)
    own = (make.classify, make.model_outputs)
    if own != (Strategy.classify, Strategy.model_outputs):
        raise InputError(
            f"{key}.name={name} computes its outputs in another way than the model, whose features "
            "the recipe reads: use another strategy"
        )
    return config


def reads_groups(parts: Parts, config: Config) -> bool:
    """Whether the selection rule of a run reads the groups of the validation split."""
    labelled = bool(parts.seen("val").frequencies("val").any())
    return chosen_rule(config.select, labelled=labelled) in GROUP_RULES


def refitted(run: Run, frozen: Frozen, head: nn.Module, seconds: float) -> Trained:
    """Put a new head on a frozen backbone, and record it in the run's folder as one epoch.

    Args:
        run: the run whose folder receives weights and validation predictions.
        frozen: the frozen backbone.
        head: the new head, from D features to the classes.
        seconds: duration of the fit.

    Returns:
        The trained model with its predictions of every split.

    Raises:
        InputError: a weight of the head is not finite.
    """
    if not all(bool(parameter.isfinite().all()) for parameter in head.parameters()):
        raise InputError(
            "the fit of the last layer diverged: its weights must be finite; got NaN or infinity. "
            "Lower the learning rate of the recipe"
        )
    parts, config = frozen.stage.parts, frozen.config
    frozen.model.head = head
    predictions = frozen.predictions(head)
    recorder = recorder_of(parts, config, run.folder)
    validation = _validated(parts, predictions["val"])
    recorder.history = [{"epoch": 0, "train": {}, "val": validation, "seconds": seconds}]
    say(state_of(recorder.history, epochs=1, select=config.select).line())
    processes.by_first(partial(_write, run, recorder, parts, config, predictions["val"]))
    return Trained(parts, config, recorder, predictions)


def _write(
    run: Run, recorder: Recorder, parts: Parts, config: Config, validation: Predictions
) -> None:
    recorder.write(0, Predicted(validation.index, validation.logits))
    save_weights(parts.module, recorder.weights(0), recorder.metadata | {"epoch": 0})
    configs.save(config, run.folder / configs.LAST_STAGE)


def _validated(parts: Parts, rows: Predictions) -> dict[str, float]:
    groups, bias = parts.module.groups, parts.seen("val").bias[rows.index]
    # every process has all rows: the metric of the module would add them up
    counts = margin_counts(rows.prediction(groups), rows.target, bias, groups)
    values = group_scalars(counts, groups, parts.module.counts.train_frequencies)
    return {name: value.item() for name, value in values.items()}
