"""Strategies against contextual bias, which need several labels, and their bare passes.

Used by ``scripts/bench strategies``.
"""

from typing import Any

import torch
from bare_passes import Case, Move
from torch.nn import functional as F

from debias.models.classifier import Classifier
from debias.strategies.attribute_decorrelation import AttributeDecorrelation
from debias.strategies.context_cam import ContextCAM
from debias.strategies.context_weighting import ContextWeighting
from debias.strategies.feature_split import FeatureSplit
from debias.strategies.strategy import Strategy
from debias.types import Batch, ContextPair, Groups

LABELS = Groups(
    ("no ball", "ball", "no hand", "hand"),
    ("all",),
    multi_label=True,
    contexts=(ContextPair(0, 1),),
)


def labelled(strategy: Strategy, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    entries = F.binary_cross_entropy_with_logits(model(batch.image).logits, batch.target.float())
    move("model", entries)


def maps(strategy: ContextCAM, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    found = model.backbone.forward_features(batch.image)  # type: ignore[operator]
    together = batch.target.all(dim=1)
    with torch.no_grad():
        initial: Any = strategy.initial
        kept = initial.eval().backbone.forward_features(batch.image[together])
    weight = model.head.weight[:, :, None, None]
    fixed = F.conv2d(kept, initial.head.weight[:, :, None, None])
    own = F.conv2d(found[together], weight)
    logits = model.head(found.mean(dim=(2, 3)))
    task = F.binary_cross_entropy_with_logits(logits, batch.target.float())
    move("model", task + own.prod(dim=1).mean() + (own - fixed).abs().mean())


def split(strategy: FeatureSplit, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    logits, features = model(batch.image)
    hidden = features.detach().mean(dim=0).expand(len(features), -1)
    half = features.shape[1] // 2
    alone = model.head(torch.cat([features[:, :half], hidden[:, half:]], dim=1))
    chosen = torch.where(batch.target.sum(dim=1, keepdim=True) == 1, alone, logits)
    move("model", F.binary_cross_entropy_with_logits(chosen, batch.target.float()))


def head_alone(
    strategy: AttributeDecorrelation, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    model.eval()
    with torch.no_grad():
        features = model(batch.image).features
    model.train()
    task = F.binary_cross_entropy_with_logits(model.head(features), batch.target.float())
    move("model", task + model.head.weight.norm(dim=0).sum())


def context_cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Every strategy at its defaults. The two labels occur alone, together and not at all."""
    image = torch.zeros_like(batch.image[:1])
    target = torch.stack([batch.target, batch.bias], dim=1)
    row, several = LABELS.row(target), batch._replace(target=target)
    made: dict[str, tuple[Strategy, Any]] = {
        "context_weighting": (ContextWeighting(LABELS, row), labelled),
        "context_cam": (ContextCAM(LABELS, model, image), maps),
        "feature_split": (FeatureSplit(LABELS, row, model, image), split),
        "attribute_decorrelation": (AttributeDecorrelation(LABELS), head_alone),
    }
    return {name: Case(*each, batch=several) for name, each in made.items()}
