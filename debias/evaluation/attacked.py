"""Accuracy of a trained model on adversarial examples of its own images."""

import torch
from torch import Tensor

from debias.data.orders import seeded_generator
from debias.evaluation.looking import chosen
from debias.losses.adversarial_examples import Ball, perturb
from debias.losses.classification import classification_losses
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_scalars
from debias.parts import Parts
from debias.types import Batch

#: Name of each attack to the changes that it may make, in units of pixels in [0, 1].
ATTACKS = {"linf_2": Ball("linf", 2 / 255), "linf_8": Ball("linf", 8 / 255)}
STEPS = 20
#: Length of a step as a share of the radius.
STEP = 0.25
SHOWN = ("average", "worst_group")


@torch.no_grad()
def attacked_scalars(
    parts: Parts, split: str = "test", *, most: int = 1000, progress: bool = True
) -> dict[str, float]:
    """Average and worst-group accuracy under projected gradient ascent (PGD).

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018.

    Args:
        parts: the objects of a run, with the weights to evaluate.
        split: the split whose images are attacked.
        most: largest number of images; :func:`debias.evaluation.looking.chosen` chooses them.
        progress: show a progress bar.

    Returns:
        ``average/clean`` and ``worst_group/clean`` over the chosen images, and both for each name
        of :data:`ATTACKS`. The worst group is NaN if no bias is known.

    Raises:
        ValueError: the outputs have no gradient by the pixels.
    """
    parts.ready()
    decided: dict[str, list[Tensor]] = {name: [] for name in ("clean", *ATTACKS)}
    facts: list[tuple[Tensor, Tensor]] = []
    loader = parts.loader(chosen(parts, split, most))
    for batch in parts.batches(loader, f"attacking {split}", progress=progress):
        facts.append((batch.target.cpu(), batch.bias.cpu()))
        for name, decisions in decided.items():
            image = attacked(parts, batch, ATTACKS[name]) if name in ATTACKS else batch.image
            decisions.append(parts.decisions(batch._replace(image=image)).cpu())
    target, bias = (torch.cat(each) for each in zip(*facts, strict=True))
    scalars: dict[str, float] = {}
    for name, decisions in decided.items():
        counts = margin_counts(torch.cat(decisions), target, bias, parts.groups)
        found = group_scalars(counts, parts.groups)
        scalars |= {f"{key}/{name}": found[key].item() for key in SHOWN}
    return scalars


def attacked(parts: Parts, batch: Batch, ball: Ball) -> Tensor:
    """``(N, 3, H, W)`` normalised adversarial examples of a batch, for a model in evaluation mode.

    The attack raises the loss of the outputs that evaluation uses. It starts at a random change,
    which depends only on the row of the image. So the result does not depend on the batch.

    Args:
        parts: the objects of a run; the model is in evaluation mode.
        batch: a normalised batch.
        ball: the changes that are allowed.

    Raises:
        ValueError: the outputs have no gradient by the pixels.
    """
    space = parts.space
    pixels = space.pixels(batch.image)
    draws = [
        ball.random(each[None], generator=seeded_generator(row))
        for each, row in zip(pixels.cpu(), batch.index.tolist(), strict=True)
    ]

    def losses_of(change: Tensor) -> Tensor:
        """The losses of the changed images."""
        logits = parts.module(batch.image + change / space.std).logits
        return classification_losses(logits, batch.target)

    start, step = torch.cat(draws).to(pixels), STEP * ball.epsilon
    change = perturb(losses_of, pixels, start, ball=ball, step=step, steps=STEPS)
    return batch.image + change / space.std
