"""Which of several cues a model follows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy, mean_accuracy


class CueConflicts(NamedTuple):
    """Counts of the answers on images with two cues, shape and texture: four int64 scalars.

    Attributes:
        shape: conflicting images whose answer is the class of the shape.
        texture: conflicting images whose answer is the class of the texture.
        conflicts: conflicting images: their shape and texture are of different classes.
        total: all images whose shape and texture are known.
    """

    shape: Tensor
    texture: Tensor
    conflicts: Tensor
    total: Tensor


def map_classes(prediction: Tensor, mapping: Tensor) -> Tensor:
    """Map fine classes to coarse ones, such as the 1000 classes of ImageNet to 9 or 16.

    Args:
        prediction: integer fine classes in [0, K), of any shape.
        mapping: ``(K,)`` int64 coarse class of each fine class, or -1 for none: such a prediction
            is wrong for every target.

    Returns:
        Coarse classes, of the shape of ``prediction``.

    Raises:
        ValueError: a prediction is outside [0, K).
    """
    if prediction.numel() and not 0 <= int(prediction.min()) <= int(prediction.max()) < len(
        mapping
    ):
        raise InputError(
            f"predictions must be classes 0 to {len(mapping) - 1}; got a prediction "
            f"{int(prediction.min())} or {int(prediction.max())}"
        )
    return mapping[prediction]


def class_scores(logits: Tensor, mapping: Tensor, *, classes: int) -> Tensor:
    """Log of the mean probability of the fine classes in each coarse class.

    The mean, and not the sum, does not favour coarse classes of many fine classes, such as the 109
    dogs of ImageNet. If a coarse class has one fine class, the order of the scores is that of the
    logits.

    Source: Geirhos et al., "Generalisation in humans and deep neural networks", NeurIPS 2018
    (appendix of the updated version); reference code rgeirhos/texture-vs-shape.

    Args:
        logits: ``(N, K)`` logits of the fine classes.
        mapping: ``(K,)`` int64 coarse class of each fine class, or -1 for none.
        classes: number of coarse classes; each has at least one fine class.

    Returns:
        ``(N, classes)`` float64.

    Example:
        >>> logits = torch.tensor([[0.5, 0.2, 0.3]]).log()
        >>> class_scores(logits, torch.tensor([0, 1, 0]), classes=2).exp()
        tensor([[0.4000, 0.2000]], dtype=torch.float64)
    """
    inside = mapping >= 0
    of_class = torch.nn.functional.one_hot(mapping[inside], classes).double()
    probability = logits.double().softmax(dim=1)[:, inside]
    return (probability @ (of_class / of_class.sum(dim=0))).log()


def count_conflicts(response: Tensor, shape: Tensor, texture: Tensor) -> CueConflicts:
    """Count how often answers on N images follow the shape and how often the texture.

    Args:
        response: ``(N,)`` integer answered class; -1 follows no cue.
        shape: ``(N,)`` integer class of the shape; a row of -1 (unknown) is left out.
        texture: ``(N,)`` integer class of the texture; a row of -1 (unknown) is left out.
    """
    known = (shape >= 0) & (texture >= 0)
    conflict = known & (shape != texture)
    shapes, textures = conflict & (response == shape), conflict & (response == texture)
    return CueConflicts(shapes.sum(), textures.sum(), conflict.sum(), known.sum())


def shape_bias(shape: Tensor, texture: Tensor) -> Tensor:
    r"""Shape bias: of the answers that follow shape or texture, the share that follows the shape,
    :math:`n_s / (n_s + n_t)`.

    Source: Geirhos et al., "ImageNet-trained CNNs are biased towards texture; increasing shape bias
    improves accuracy and robustness", ICLR 2019; reference code bethgelab/model-vs-human.

    Args:
        shape: integer, number of conflicting images whose answer follows the shape.
        texture: integer tensor of equal size, number of those whose answer follows the texture.

    Returns:
        float64 in [0, 1]; 1 if only the shape is followed. People reach 0.96. NaN if both are 0.

    Differs from the reference: the reference then divides by zero. Some also call the share of
    *all* conflicting images whose answer follows the shape "shape bias"; that is ``shape_accuracy``
    in :func:`conflict_scalars`.

    Example:
        >>> shape_bias(torch.tensor(16), torch.tensor(10)).item()
        0.6153846153846154
    """
    return accuracy(shape, shape + texture)


def conflict_scalars(counts: CueConflicts) -> dict[str, Tensor]:
    """Shape bias, and how often the answers follow shape or texture.

    Returns:
        float64 scalars. ``shape_bias`` is that of :func:`shape_bias`. ``shape_fraction`` and
        ``texture_fraction`` divide the conflicting images whose answer follows the cue by all
        images, as model-vs-human does. ``shape_accuracy`` divides by the conflicting images. NaN if
        a divisor is 0.
    """
    return {
        "shape_bias": shape_bias(counts.shape, counts.texture),
        "shape_fraction": accuracy(counts.shape, counts.total),
        "texture_fraction": accuracy(counts.texture, counts.total),
        "shape_accuracy": accuracy(counts.shape, counts.conflicts),
    }


def cue_cells(cues: Tensor, *, labels: int) -> Tensor:
    """Index of the cell ``cue * labels + value`` of each cue of each image: ``(N, K)``.

    The index is -1, which is not counted, for an unknown value (-1). It is also -1 for images whose
    cues all agree, because they do not show which cue was followed. A value that is no label has
    the index ``K * labels``, which is out of range.
    """
    cells = cues + labels * torch.arange(cues.shape[1], device=cues.device)
    cells = torch.where(cues < labels, cells, cues.shape[1] * labels)
    agree = (cues == cues[:, :1]).all(dim=1, keepdim=True)
    return torch.where(agree | (cues < 0), -1, cells)


def cue_tally(response: Tensor, cues: Tensor, *, labels: int) -> Tally:
    """Count how often the answer equals the value of each cue, for each value.

    Args:
        response: ``(N,)`` integer answers.
        cues: ``(N, K)`` int64 value of each cue, in [0, labels), -1 where unknown.
        labels: number of values of a cue.

    Returns:
        Two ``(K, labels)`` int64 tensors, right and total. Images whose cues all agree are not
        counted.

    Raises:
        ValueError: a cue value is at least ``labels``.
    """
    cells = cue_cells(cues, labels=labels)
    if len(cues) and int(cells.max()) == cues.shape[1] * labels:
        raise InputError(f"cue value {int(cues.max())} is outside [0, {labels})")
    return count_cells(response[:, None] == cues, cells, (cues.shape[1], labels))


def count_cells(correct: Tensor, cells: Tensor, shape: tuple[int, ...]) -> Tally:
    """Right and total in each cell of a table of this shape; a cell of -1 is not counted."""
    known = cells >= 0
    right, total = (
        torch.bincount(cells[rows], minlength=math.prod(shape)).view(shape)
        for rows in (known & correct.bool(), known)
    )
    return Tally(right, total)


def cue_scalars(tally: Tally, names: Sequence[str]) -> dict[str, Tensor]:
    r"""How often a model follows each cue if cues conflict, after training on agreeing cues.

    .. math:: \mathrm{acc}_k = \frac1N \sum_i 1[\hat y_i = c_{ik}]

    with :math:`c_{ik}` the class that cue k of image i indicates, over N images with a conflict.

    Source: Scimeca et al., "Which Shortcut Cues Will DNNs Choose? A Study from the Parameter-Space
    Perspective", ICLR 2022 (WCST-ML; its code was not available).

    Args:
        tally: two ``(K, L)`` tensors, as :func:`cue_tally` returns them.
        names: names of the K cues.

    Returns:
        float64 scalars. ``cue/NAME`` in [0, 1] is the share of answers that follow a cue.
        ``cue_balanced/NAME`` is the mean of that share over the cue's values, so it does not depend
        on how common they are. ``preferred_cue`` is the position of the greatest ``cue/NAME``.
        ``chance`` is 1/L. NaN if no image was counted.
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
    """How often each cue is followed: the unweighted mean over the combinations of cue values.

    The paper of :func:`cue_scalars` reports these numbers. They equal ``cue/NAME`` there if all
    combinations are equally common.

    Args:
        response: ``(N,)`` integer answers.
        cues: ``(N, K)`` int64 value of each cue; images whose cues all agree are left out.

    Returns:
        ``(K,)`` float64 in [0, 1], over the combinations that occur; NaN without an image.
    """
    apart = (cues != cues[:, :1]).any(dim=1)
    cells, place = torch.unique(cues[apart], dim=0, return_inverse=True)
    followed = (response[apart][:, None] == cues[apart]).double()
    sums = followed.new_zeros(len(cells), cues.shape[1]).index_add(0, place, followed)
    return (sums / torch.bincount(place, minlength=len(cells))[:, None]).mean(dim=0)
