"""How accuracy depends on the background and on shortcuts, and whether predictions follow them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import (
    Margins,
    Tally,
    aligned_groups,
    group_tally,
    margin_counts,
)
from debias.metrics.accuracy.scalars import accuracy, mean_accuracy
from debias.metrics.shortcuts.cues import count_conflicts, shape_bias
from debias.metrics.shortcuts.recombination import background_gap
from debias.types import Groups

#: The two variants of ImageNet-9 that ``background_gap`` compares.
SAME_CLASS, ANY_CLASS = "mixed_same", "mixed_rand"
#: Largest number of shortcuts with a gap for each combination of them.
MOST_SHORTCUTS = 4


def variant_scalars(tally: Tally, names: Sequence[str]) -> dict[str, Tensor]:
    """Accuracy on each variant of a data set, and the gap between same-class and any backgrounds.

    Source: Xiao et al., "Noise or Signal: The Role of Image Backgrounds in Object Recognition",
    ICLR 2021; reference code MadryLab/backgrounds_challenge.

    Args:
        tally: two ``(V,)`` int64 tensors, right and total on each variant.
        names: names of the V variants.

    Returns:
        float64 scalars ``accuracy/NAME``. If "mixed_same" and "mixed_rand" are among the names,
        also ``background_gap``, ideally 0. NaN for a variant without images.
    """
    accuracies = dict(zip(names, accuracy(*tally), strict=True))
    scalars = {f"accuracy/{name}": value for name, value in accuracies.items()}
    if {SAME_CLASS, ANY_CLASS} <= set(names):
        scalars["background_gap"] = background_gap(accuracies[ANY_CLASS], accuracies[SAME_CLASS])
    return scalars


def shortcut_cells(conflicting: Tensor) -> Tensor:
    """Cell of each image, ``(N,)`` in [0, 2^K): one binary digit per shortcut, 1 if it misleads.

    The first shortcut is the most significant digit, so counts by cell reshape to ``(2,) * K``.

    Args:
        conflicting: ``(N, K)`` integer: 1 for a shortcut that misleads, 0 for one that does not, -1
            where unknown: the index of such a row is -1.
    """
    powers = 2 ** torch.arange(conflicting.shape[1] - 1, -1, -1, device=conflicting.device)
    return torch.where(
        (conflicting < 0).any(dim=1), -1, (conflicting.clamp(0, 1) * powers).sum(dim=1)
    )


def shortcut_scalars(
    tally: Tally, train_frequencies: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    r"""In-distribution accuracy, and the accuracy gap if some of the shortcuts mislead.

    .. math:: \mathrm{ID} = \sum_s \pi_s\, \mathrm{acc}_s,
              \qquad \mathrm{gap}_s = \mathrm{acc}_s - \mathrm{ID}

    over the sets s of shortcuts that mislead, with :math:`\mathrm{acc}_s` the accuracy on images of
    set s, and :math:`\pi_s` the share of the training images in it.

    Source: Li et al., "A Whac-A-Mole Dilemma: Shortcuts Come in Multiples Where Mitigating One
    Amplifies Others", CVPR 2023 (UrbanCars: gaps BG, CoObj and both; from its definitions, since
    its code was not available).

    Args:
        tally: two ``(2,) * K`` int64 tensors, right and total; index 1 is a shortcut that misleads.
        train_frequencies: ``(2,) * K`` number of training images of each cell.
        names: names of the K shortcuts.

    Returns:
        float64 scalars ``in_distribution`` in [0, 1], and ``gap/NAME``, ``gap/NAME+NAME`` and so
        on for the shortcuts that mislead. A gap is at most 0 for a model that uses the shortcuts,
        ideally 0. NaN for a cell without images.

    Raises:
        ValueError: a table does not have the shape ``(2,) * K`` for K names.
    """
    shape = (2,) * len(names)
    if tally.total.shape != shape or train_frequencies.shape != shape:
        raise InputError(
            f"{len(names)} shortcuts need counts and frequencies of shape {shape}; got "
            f"{tuple(tally.total.shape)} and {tuple(train_frequencies.shape)}"
        )
    accuracies = accuracy(*tally).flatten()
    average = mean_accuracy(accuracies, train_frequencies.flatten().to(accuracies))
    gaps = {
        f"gap/{name}": value - average
        for name, value in zip(_subsets(names), accuracies, strict=True)
        if name
    }
    return {"in_distribution": average, **gaps}


def bias_classes(groups: Groups) -> Tensor:
    """``(biases,)`` int64: the class to which each bias value is aligned; -1 if none or several."""
    rows = [
        [row for row, bias in groups.aligned if bias == value] for value in range(groups.biases)
    ]
    return torch.tensor([row[0] if len(row) == 1 else -1 for row in rows])


def misleading(groups: Groups) -> Tensor:
    """Which of several bias attributes mislead in each group.

    Returns:
        ``(groups.count, K)`` int64 for the K attributes with aligned pairs, in their order: 0 if
        the pair of target and value is aligned, otherwise 1.
    """
    shortcuts = [place for place, one in enumerate(groups.attributes) if one.aligned]
    values = groups.decode(torch.arange(groups.biases)).repeat(groups.rows, 1)
    row = torch.arange(groups.rows).repeat_interleave(groups.biases)
    columns = []
    for place in shortcuts:
        alone = groups.alone(place)
        aligned = aligned_groups(alone)
        columns.append((~aligned[alone.encode(row, values[:, place])]).long())
    return torch.stack(columns, dim=1) if columns else values.new_zeros(groups.count, 0)


def shortcut_gaps(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor
) -> dict[str, Tensor]:
    """The numbers of :func:`shortcut_scalars` for data with several bias attributes.

    Each attribute with aligned pairs is a shortcut. It misleads in a group whose pair of target and
    value is not aligned.

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``, single-label.
        groups: the groups, with ``attributes``.
        train_frequencies: ``(groups.count,)`` training samples of each group.

    Returns:
        float64 scalars. Empty unless 2 to ``MOST_SHORTCUTS`` attributes have aligned pairs.
    """
    names = [attribute.name for attribute in groups.attributes if attribute.aligned]
    if not 2 <= len(names) <= MOST_SHORTCUTS:
        return {}
    cells, shape = shortcut_cells(misleading(groups)), (2,) * len(names)

    def summed(numbers: Tensor) -> Tensor:
        """Sum numbers of groups to the combinations of misleading shortcuts."""
        sums = numbers.new_zeros(2 ** len(names))
        return sums.index_add(0, cells.to(numbers.device), numbers).view(shape)

    correct, total = map(summed, group_tally(counts))
    return shortcut_scalars(Tally(correct, total), summed(train_frequencies), names)


def shortcut_report(
    prediction: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    train_frequencies: Tensor | None = None,
) -> dict[str, float]:
    """Whether a model follows the target or the shortcut if they lead to different classes.

    This is the shape bias for any data set. ``groups.aligned`` gives the class that each bias value
    is a shortcut to.

    Args:
        prediction: ``(N,)`` integer class.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer, -1 where unknown: such an image is left out.
        groups: names and numbering of the groups. With several bias attributes, a combination is a
            shortcut to the class to which all of them lead.
        train_frequencies: ``(groups.count,)`` training samples of each group, or ``None``.

    Returns:
        Plain floats: ``target_preference`` in [0, 1], ideally 1, and ``target_fraction`` and
        ``shortcut_fraction`` of the conflicting images. NaN without conflicting images. With
        training frequencies, also the numbers of :func:`shortcut_gaps`. An empty dict when
        multi-label or without aligned groups.
    """
    if groups.multi_label or not groups.aligned:
        return {}
    cue = torch.where(bias < 0, -1, bias_classes(groups).to(bias.device)[bias.long().clamp(min=0)])
    counts = count_conflicts(prediction, target, cue)
    gaps: dict[str, Tensor] = {}
    if train_frequencies is not None and groups.attributes:
        table = margin_counts(prediction, target, bias, groups)
        gaps = shortcut_gaps(table, groups, train_frequencies)
    return {
        "target_preference": shape_bias(counts.shape, counts.texture).item(),
        "target_fraction": accuracy(counts.shape, counts.conflicts).item(),
        "shortcut_fraction": accuracy(counts.texture, counts.conflicts).item(),
        **{name: value.item() for name, value in gaps.items()},
    }


def _subsets(names: Sequence[str]) -> list[str]:
    """Joined names of the shortcuts that mislead in each cell; empty for the cell without any."""
    digits = (format(cell, f"0{len(names)}b") for cell in range(2 ** len(names)))
    return [
        "+".join(name for name, digit in zip(names, row, strict=True) if digit == "1")
        for row in digits
    ]
