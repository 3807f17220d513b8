"""The numbers of two benchmarks: pictures whose cues conflict, and pictures in several variants."""

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Tally
from debias.metrics.shortcuts.cues import conflict_scalars, count_conflicts, shape_bias
from debias.metrics.shortcuts.preferences import variant_scalars
from debias.types import Groups


def cues_are_classes(groups: Groups) -> bool:
    """Whether every bias value has the name of a class, so that the bias is a cue to a class."""
    return not groups.multi_label and set(groups.bias_names) <= set(groups.target_names)


def cue_conflict_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """Shape bias, of all pictures and of those of each shape.

    The target is the shape, and the bias is the texture. Pictures whose shape and texture are of
    the same class are left out.

    Source: Geirhos et al., ICLR 2019, as in :func:`debias.metrics.shortcuts.cues.shape_bias`.

    Args:
        prediction: ``(N,)`` integer class.
        target: ``(N,)`` integer class of the shape.
        bias: ``(N,)`` integer value whose name is the class of the texture; -1 is unknown.
        groups: names and numbering; see :func:`cues_are_classes`.

    Returns:
        The floats of :func:`debias.metrics.shortcuts.cues.conflict_scalars`, and
        ``shape_bias/CLASS`` of each shape. NaN where no answer follows shape or texture.
    """
    classes = torch.tensor([groups.target_names.index(name) for name in groups.bias_names])
    texture = torch.where(bias < 0, -1, classes[bias.long().clamp(min=0)])
    scalars = conflict_scalars(count_conflicts(prediction, target, texture))
    for number, name in enumerate(groups.target_names):
        rows = target == number
        counts = count_conflicts(prediction[rows], target[rows], texture[rows])
        scalars[f"shape_bias/{name}"] = shape_bias(counts.shape, counts.texture)
    return {key: value.item() for key, value in scalars.items()}


def variant_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """Accuracy on each variant of a data set; the bias is the variant.

    Source: Xiao et al., ICLR 2021, as in
    :func:`debias.metrics.shortcuts.preferences.variant_scalars`.

    Args:
        prediction: ``(N,)`` integer class.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer variant; -1 is left out.
        groups: names and numbering.

    Returns:
        ``accuracy/VARIANT`` in [0, 1], and ``background_gap`` if there are the variants
        "mixed_same" and "mixed_rand". NaN for a variant without pictures.
    """
    known = bias >= 0
    right, total = (
        torch.bincount(bias[rows], minlength=groups.biases)
        for rows in (known & (prediction == target), known)
    )
    scalars = variant_scalars(Tally(right, total), groups.bias_names)
    return {key: value.item() for key, value in scalars.items()}
