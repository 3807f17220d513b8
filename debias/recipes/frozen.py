"""A backbone that stands still: its features, kept in a file, and the heads on it."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from debias import config as configs
from debias.build import cache_folder
from debias.config import Config
from debias.data.examples import SPLITS
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.evaluation.predictions import features_of, with_labels
from debias.files import written_whole
from debias.heads.linear import Heads, Rows, fresh_heads, repeated
from debias.metrics.selection import GROUP_RULES, chosen_rule
from debias.parts import Parts
from debias.reports.predictions import Predictions
from debias.runs.run import Run, Stage, Trained
from debias.runs.single import recorder_of
from debias.training.module import DebiasModule
from debias.training.prediction import Predicted
from debias.training.recorder import save_weights


class Frozen:
    """Features of every split under a model that is not trained any more.

    They are extracted once in evaluation mode, and kept beside the decoded images under a digest of
    the weights, the normalisation and the split's files: another head, or another seed, on the same
    backbone finds them there. The model and its features lie in the main memory, where heads are
    fitted.

    Args:
        stage: whose model it is.
        config: it was built from.
    """

    def __init__(self, stage: Stage, config: Config) -> None:
        self.stage, self.config = stage, config

    @property
    def head(self) -> Heads:
        """The head that the model was trained with."""
        return repeated(self.model.head, count=1)

    def fresh_head(self, generator: torch.Generator) -> Heads:
        """A newly drawn head of the same shape."""
        head = self.model.head
        return fresh_heads(1, classes=head.out_features, size=head.in_features, generator=generator)

    @property
    def model(self) -> Any:
        """The classifier."""
        return self.stage.parts.module.model

    def features(self, split: str) -> Tensor:
        """``(N, D)`` float32 features of a split, in the order of its rows."""
        path = self._file(split)
        if path.is_file():
            found: Tensor = torch.load(path, weights_only=True)
            return found
        features = features_of(self.stage.parts, split, progress=self.config.progress)
        self.stage.parts.module.cpu()
        with written_whole(path) as beside:
            torch.save(features, beside)
        return features

    def labelled(self, split: str) -> Rows:
        """Features, classes and true groups of a split, for a recipe that ``reads`` them."""
        examples = self.stage.examples
        rows = examples.rows(split)
        target = examples.target[rows]
        return Rows(
            self.features(split), target, examples.groups.encode(target, examples.bias[rows])
        )

    def rows(self, split: str) -> Rows:
        """Features and classes of a split, and its groups if the selection rule reads them."""
        rows = self.labelled(split)
        return rows if split == "val" and self.grouped else rows._replace(group=rows.target)

    @property
    def grouped(self) -> bool:
        """Whether validation chooses by its groups, and not by its classes in their place."""
        labelled = bool(self.stage.examples.frequencies("val").any())
        return chosen_rule(self.config.select, labelled=labelled) in GROUP_RULES

    def predictions(self, head: nn.Linear) -> dict[str, Predictions]:
        """What the backbone under a head says of every split."""
        examples, found = self.stage.examples, {}
        for split in SPLITS:
            with torch.no_grad():
                predicted = Predicted(examples.rows(split), head(self.features(split)))
            found[split] = with_labels(examples, predicted)
        return found

    def _file(self, split: str) -> Path:
        folder = cache_folder(self.config) or self.stage.folder
        geometry = self.stage.parts.data.preprocessing.evaluation
        files = ImageFiles.of(self.stage.examples, self.stage.examples.rows(split), geometry)
        digest = hashlib.sha256(f"{self._backbone} {files.images_key()}".encode())
        return folder / "features" / f"{digest.hexdigest()[:16]}-{split}.pt"

    @cached_property
    def _backbone(self) -> str:
        parts = self.stage.parts
        said = (parts.precision, parts.data.mean.tolist(), parts.data.std.tolist())
        digest = hashlib.sha256(repr(said).encode())
        for name, value in sorted(self.model.backbone.state_dict().items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def refitted(run: Run, frozen: Frozen, head: nn.Linear, seconds: float) -> Trained:
    """The run whose model is a frozen backbone under a new head, recorded as one epoch.

    Args:
        run: whose folder receives weights and validation predictions.
        frozen: the backbone.
        head: D features to the classes.
        seconds: that the fit took.

    Raises:
        InputError: the fit has diverged.
    """
    if not all(bool(parameter.isfinite().all()) for parameter in head.parameters()):
        raise InputError(
            "the fit of the last layer diverged: its weights are not finite; lower the recipe's "
            "rate"
        )
    parts, config = frozen.stage.parts, frozen.config
    frozen.model.head = head
    predictions = frozen.predictions(head)
    recorder = recorder_of(parts, config, run.folder)
    validation = _validated(parts, predictions["val"])
    recorder.history = [{"epoch": 0, "train": {}, "val": validation, "seconds": seconds}]
    recorder.write(0, Predicted(predictions["val"].index, predictions["val"].logits))
    save_weights(parts.module, recorder.weights(0), recorder.metadata | {"epoch": 0})
    configs.save(config, run.folder / configs.LAST_STAGE)
    return Trained(parts, config, recorder, predictions)


def _validated(parts: Parts, rows: Predictions) -> dict[str, float]:
    module: DebiasModule = parts.module
    module.counts.update(rows.prediction(module.groups), rows.target, rows.bias)
    values = {name: value.item() for name, value in module.counts.compute().items()}
    module.counts.reset()
    return values
