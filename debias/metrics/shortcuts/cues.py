"""Which of several cues a model answers by, and whether two models fail on the same images."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy, mean_accuracy


class CueConflicts(NamedTuple):
    """What was answered to images of two cues: four int64 scalars.

    Attributes:
        shape: conflicting images that were answered by their shape.
        texture: conflicting images that were answered by their texture.
        conflicts: images whose shape and texture are of different classes.
        total: all images.
    """

    shape: Tensor
    texture: Tensor
    conflicts: Tensor
    total: Tensor


class ErrorConsistency(NamedTuple):
    """Observed and expected share of images with both right or both wrong, and kappa."""

    observed: Tensor
    expected: Tensor
    kappa: Tensor


def map_classes(prediction: Tensor, mapping: Tensor) -> Tensor:
    """Classes of a fine set as those of a coarse one, such as ImageNet's 1000 as 9 or 16.

    Args:
        prediction: integer fine classes in [0, K), of any shape.
        mapping: ``(K,)`` int64 coarse class of each fine one, -1 for none: such an answer is wrong
            for every target.

    Raises:
        ValueError: a prediction has no place in the mapping.
    """
    if prediction.numel() and not 0 <= int(prediction.min()) <= int(prediction.max()) < len(
        mapping
    ):
        raise InputError(
            f"the mapping holds classes 0 to {len(mapping) - 1}; got a prediction "
            f"{int(prediction.min())} or {int(prediction.max())}"
        )
    return mapping[prediction]


def count_conflicts(response: Tensor, shape: Tensor, texture: Tensor) -> CueConflicts:
    """Count the answers to ``(N,)`` images, by the class of their shape and of their texture.

    A row with a class of -1 (unknown) is left out; a ``response`` of -1 agrees with nothing.
    """
    known = (shape >= 0) & (texture >= 0)
    conflict = known & (shape != texture)
    shapes, textures = conflict & (response == shape), conflict & (response == texture)
    return CueConflicts(shapes.sum(), textures.sum(), conflict.sum(), known.sum())


def shape_bias(shape: Tensor, texture: Tensor) -> Tensor:
    r"""Of the answers that follow either cue, the share that follows the shape:
    :math:`n_s / (n_s + n_t)`.

    Source: Geirhos et al., "ImageNet-trained CNNs are biased towards texture; increasing shape bias
    improves accuracy and robustness", ICLR 2019; reference code bethgelab/model-vs-human.

    Args:
        shape: integer, conflicting images answered by shape.
        texture: of the same shape, those answered by texture.

    Returns:
        float64 in [0, 1]: 1 for shape alone, people reach 0.96; NaN where both are 0.

    Differs from the reference: it divides by zero there. The share of *all* conflicting images that
    are answered by shape, also called shape bias by some, is ``shape_accuracy`` in
    :func:`conflict_scalars`.

    Example:
        >>> shape_bias(torch.tensor(16), torch.tensor(10)).item()
        0.6153846153846154
    """
    return accuracy(shape, shape + texture)


def conflict_scalars(counts: CueConflicts) -> dict[str, Tensor]:
    """``shape_bias``, the fractions of the images answered by either cue, ``shape_accuracy``.

    The two fractions divide by all images, conflicting or not, as model-vs-human does;
    ``shape_accuracy`` divides by those that conflict. float64, NaN where there is nothing to divide
    by.
    """
    return {
        "shape_bias": shape_bias(counts.shape, counts.texture),
        "shape_fraction": accuracy(counts.shape, counts.total),
        "texture_fraction": accuracy(counts.texture, counts.total),
        "shape_accuracy": accuracy(counts.shape, counts.conflicts),
    }


def error_consistency(counts: Tensor) -> ErrorConsistency:
    r"""How far two observers fail on the same images, beyond what their accuracies make likely.

    .. math:: \kappa = \frac{c_\mathrm{obs} - c_\mathrm{exp}}{1 - c_\mathrm{exp}},
              \qquad c_\mathrm{exp} = p_1 p_2 + (1 - p_1)(1 - p_2)

    Source: Geirhos et al., "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and
    humans by measuring error consistency", NeurIPS 2020; reference code bethgelab/model-vs-human.

    Args:
        counts: ``(2, 2)`` integer, images by (first is right, second is right), wrong before right.

    Returns:
        Three float64 scalars. Kappa is 1 for the same mistakes, 0 for unrelated ones, at least -1;
        NaN if both are always right or both always wrong, or without an image.
    """
    share = counts.double() / counts.sum()
    first, second = share.sum(dim=1), share.sum(dim=0)
    observed, expected = share.diagonal().sum(), (first * second).sum()
    kappa = torch.where(expected < 1, (observed - expected) / (1 - expected), torch.nan)
    return ErrorConsistency(observed, expected, kappa)


def cue_cells(cues: Tensor, *, labels: int) -> Tensor:
    """Cell ``cue * labels + value`` of each cue of each image, ``(N, K)``; -1 counts nowhere.

    Images whose cues all agree say nothing of which one was followed, and are not counted; nor is a
    value of -1. A value that is no label gets a cell of ``K * labels``, which is out of range.
    """
    cells = cues + labels * torch.arange(cues.shape[1], device=cues.device)
    cells = torch.where(cues < labels, cells, cues.shape[1] * labels)
    agree = (cues == cues[:, :1]).all(dim=1, keepdim=True)
    return torch.where(agree | (cues < 0), -1, cells)


def cue_tally(response: Tensor, cues: Tensor, *, labels: int) -> Tally:
    """How often the response equals each cue's value, by that value.

    Args:
        response: ``(N,)`` integer answers.
        cues: ``(N, K)`` int64 value of each cue, in [0, labels), -1 where unknown.
        labels: how many values there are.

    Returns:
        Two ``(K, labels)`` int64 tensors.

    Raises:
        ValueError: a value is not a label.
    """
    cells = cue_cells(cues, labels=labels)
    if len(cues) and int(cells.max()) == cues.shape[1] * labels:
        raise InputError(f"cue value {int(cues.max())} is outside [0, {labels})")
    return count_cells(response[:, None] == cues, cells, (cues.shape[1], labels))


def count_cells(correct: Tensor, cells: Tensor, shape: tuple[int, ...]) -> Tally:
    """Right and total in each cell of a table of this shape; a cell of -1 counts nowhere."""
    known = cells >= 0
    right, total = (
        torch.bincount(cells[rows], minlength=math.prod(shape)).view(shape)
        for rows in (known & correct.bool(), known)
    )
    return Tally(right, total)


def cue_scalars(tally: Tally, names: Sequence[str]) -> dict[str, Tensor]:
    r"""How often a model trained where all cues agree follows each where they differ.

    .. math:: \mathrm{acc}_k = \frac1N \sum_i 1[\hat y_i = c_{ik}]

    Source: Scimeca et al., "Which Shortcut Cues Will DNNs Choose? A Study from the Parameter-Space
    Perspective", ICLR 2022 (WCST-ML; its code was not at hand).

    Args:
        tally: ``(K, L)`` as :func:`cue_tally` returns it.
        names: of the K cues.

    Returns:
        float64 scalars: ``cue/NAME`` in [0, 1], the share of answers that follow a cue, and
        ``cue_balanced/NAME``, the mean over that cue's values, which does not depend on how common
        they are; ``preferred_cue``, the position of the greatest; ``chance`` = 1/L. NaN where no
        image was counted.
    """
    pooled = accuracy(tally.correct.sum(dim=1), tally.total.sum(dim=1))
    balanced = [mean_accuracy(row) for row in accuracy(*tally)]
    preferred = torch.where(
        pooled.isnan().all(), torch.nan, pooled.nan_to_num(-1.0).argmax().double()
    )
    return {
        **{f"cue/{name}": value for name, value in zip(names, pooled, strict=True)},
        **{f"cue_balanced/{name}": value for name, value in zip(names, balanced, strict=True)},
        "preferred_cue": preferred,
        "chance": torch.tensor(1 / tally.total.shape[1], dtype=torch.float64),
    }


def cell_balanced_cues(response: Tensor, cues: Tensor) -> Tensor:
    """How often each cue is followed, averaged over the combinations of cue values that occur, each
    counting the same.

    What the paper reports; equal to ``cue/NAME`` of :func:`cue_scalars` where every combination is
    equally common.

    Args:
        response: ``(N,)`` integer answers.
        cues: ``(N, K)`` int64 value of each cue; images whose cues all agree are left out.

    Returns:
        ``(K,)`` float64 in [0, 1]; NaN without an image.
    """
    apart = (cues != cues[:, :1]).any(dim=1)
    cells, place = torch.unique(cues[apart], dim=0, return_inverse=True)
    followed = (response[apart][:, None] == cues[apart]).double()
    sums = followed.new_zeros(len(cells), cues.shape[1]).index_add(0, place, followed)
    return (sums / torch.bincount(place, minlength=len(cells))[:, None]).mean(dim=0)
