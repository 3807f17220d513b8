"""Zero-shot: classify by text embeddings that the user gives, without any training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from debias.config import Config
from debias.data.prompts import CANDIDATE, CLASS, SPURIOUS, Prompts, read_prompts
from debias.errors import InputError, check_at_least, check_one_of, check_positive
from debias.heads.zero_shot import (
    calibrated_projection,
    class_texts,
    orthogonal_projection,
    same_class_pairs,
)
from debias.models.last_layers import TextHead
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import PRETRAINED, TRAINED, LastLayer

NONE, ORTHOGONAL, CALIBRATED = "none", "orthogonal", "calibrated"


@dataclass(kw_only=True)
class ZeroShot(LastLayer):
    """Classify by given text embeddings, without training; also without their spurious directions.

    The logits are the scaled cosines of the image features to the text of each class, see
    :class:`debias.models.last_layers.TextHead`. Images and texts need one joint space, such as that
    of CLIP: ``model.embedding=true``. With ``projection``, the texts lose the directions of
    spurious prompts. Images are left as they are. "orthogonal" is
    :func:`debias.heads.zero_shot.orthogonal_projection`, and "calibrated" is
    :func:`debias.heads.zero_shot.calibrated_projection`, whose pairs are the candidates of equal
    class and different attribute.

    Source: Radford et al., ICML 2021 (CLIP), and Chuang et al., "Debiasing Vision-Language Models
    via Biased Prompts", 2023; reference code chingyaoc/debias_vl.

    Args:
        prompts: CSV file of the prompts, see :func:`debias.data.prompts.read_prompts`.
        embeddings: file of their text embeddings, see :func:`debias.data.prompts.read_embeddings`.
        projection: "none", "orthogonal" or "calibrated".
        strength: :math:`\\lambda` of "calibrated", at least 0.
        scale: factor of the cosines, positive. It changes probabilities, and no prediction.
        backbone: "pretrained", or the folder of a finished run.
        base: not used, since no stage is trained.

    Raises:
        ValueError: ``projection`` is another one, ``strength`` is negative, ``scale`` is not
            positive, or ``backbone`` is "trained".

    Differs from the reference: a class may have several prompts, whose mean is projected. Pairs
    follow from the table of prompts. There they are lists of numbers in the code.
    """

    fits_first_head = False

    prompts: str
    embeddings: str
    projection: str = NONE
    strength: float = 1000.0
    scale: float = 100.0
    backbone: str = PRETRAINED

    def __post_init__(self) -> None:
        check_one_of((NONE, ORTHOGONAL, CALIBRATED), {"recipe.projection": self.projection})
        check_at_least(0, {"recipe.strength": self.strength}, of="zero_shot")
        check_positive({"recipe.scale": self.scale}, of="zero_shot")
        if self.backbone == TRAINED:
            raise InputError(
                "recipe.backbone must be pretrained or the folder of a finished run for zero_shot, "
                "which trains nothing; got trained"
            )

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error if the prompts or their embeddings do not fit the data and the model."""
        super().check(parts, config)
        self._texts(parts)

    def fit(self, frozen: Frozen, seed: int) -> nn.Module:
        """Return the head of the class texts."""
        return TextHead(self._texts(frozen.stage.parts).float(), torch.tensor(self.scale))

    def _texts(self, parts: Parts) -> Tensor:
        """``(C, D)`` float64 text of each class."""
        names = parts.examples.groups.target_names
        prompts = read_prompts(Path(self.prompts), Path(self.embeddings), names)
        head: Any = parts.module.model.head
        size, features = prompts.embeddings.shape[1], head.in_features
        if size != features:
            raise InputError(
                f"the embeddings in {self.embeddings} must have as many numbers as the features of "
                f"the model, {features}; got {size}: use the text encoder of this model, and "
                "model.embedding=true for a tower of CLIP in timm"
            )
        classes = prompts.of(CLASS)
        target = torch.tensor([names.index(name) for name in classes.cells("class")])
        projection = self._projection(prompts)
        return class_texts(classes.embeddings, target, names, projection=projection)

    def _projection(self, prompts: Prompts) -> Tensor | None:
        if self.projection == NONE:
            return None
        spurious = prompts.of(SPURIOUS).embeddings
        if not len(spurious):
            raise InputError(
                f"recipe.projection={self.projection} needs rows of role spurious; "
                f"{self.prompts} has none: add some, or use recipe.projection=none"
            )
        if self.projection == ORTHOGONAL:
            return orthogonal_projection(spurious)
        candidates = prompts.of(CANDIDATE)
        pairs = same_class_pairs(candidates.cells("class"), candidates.cells("attribute"))
        if not len(pairs):
            raise InputError(
                "recipe.projection=calibrated needs two rows of role candidate with the same class "
                f"and different attributes; {self.prompts} has none: add some, or use "
                "recipe.projection=orthogonal"
            )
        return calibrated_projection(spurious, candidates.embeddings, pairs, strength=self.strength)
