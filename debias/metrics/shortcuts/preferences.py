"""How much accuracy goes with the background or with shortcuts, and what answers follow."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy, mean_accuracy
from debias.metrics.shortcuts.cues import count_cells, count_conflicts, shape_bias
from debias.metrics.shortcuts.recombination import background_gap
from debias.types import Groups

#: The two variants of ImageNet-9 that the gap compares.
SAME_CLASS, ANY_CLASS = "mixed_same", "mixed_rand"


def variant_scalars(tally: Tally, names: Sequence[str]) -> dict[str, Tensor]:
    """Accuracy on each variant, and the gap between backgrounds of the same and any class.

    Source: Xiao et al., "Noise or Signal: The Role of Image Backgrounds in Object Recognition",
    ICLR 2021; reference code MadryLab/backgrounds_challenge.

    Args:
        tally: two ``(V,)`` int64 tensors, right and total on each variant.
        names: of the V variants.

    Returns:
        float64 scalars ``accuracy/NAME`` and, if "mixed_same" and "mixed_rand" are among the names,
        ``background_gap``, ideally 0; NaN where a variant was not seen.
    """
    accuracies = dict(zip(names, accuracy(*tally), strict=True))
    scalars = {f"accuracy/{name}": value for name, value in accuracies.items()}
    if {SAME_CLASS, ANY_CLASS} <= set(names):
        scalars["background_gap"] = background_gap(accuracies[ANY_CLASS], accuracies[SAME_CLASS])
    return scalars


def challenge_accuracy(tally: Tally) -> Tensor:
    """Share of the foregrounds that no background fools the model about.

    Source: Xiao et al., ICLR 2021 (Background Challenge; a ResNet-50 reaches 0.223).

    Args:
        tally: two ``(F,)`` int64 tensors: on how many backgrounds each foreground was recognised,
            of how many.

    Returns:
        Scalar float64 in [0, 1], ideally 1; a foreground without a background is left out, NaN if
        all are.

    Example:
        >>> challenge_accuracy(Tally(torch.tensor([3, 2, 0]), torch.tensor([3, 3, 0]))).item()
        0.5
    """
    seen = tally.total > 0
    return accuracy((seen & (tally.correct == tally.total)).sum(), seen.sum())


def shortcut_cells(conflicting: Tensor) -> Tensor:
    """Cell in [0, 2^K) of each ``(N, K)`` row that says which shortcuts mislead (1) or not (0); -1
    if one is unknown.

    The first shortcut is the slowest digit, so that the counts of all cells fold into ``(2,) * K``.
    """
    powers = 2 ** torch.arange(conflicting.shape[1] - 1, -1, -1, device=conflicting.device)
    return torch.where(
        (conflicting < 0).any(dim=1), -1, (conflicting.clamp(0, 1) * powers).sum(dim=1)
    )


def shortcut_tally(correct: Tensor, conflicting: Tensor) -> Tally:
    """Right and total by which of K shortcuts mislead.

    Args:
        correct: ``(N,)`` bool.
        conflicting: ``(N, K)`` int64: 1 where a shortcut points to another class (an uncommon
            background), 0 where it points to the target, -1 where unknown: such a row is left out.

    Returns:
        Two ``(2,) * K`` int64 tensors, indexed by whether each shortcut misleads.
    """
    return count_cells(correct, shortcut_cells(conflicting), (2,) * conflicting.shape[1])


def shortcut_scalars(
    tally: Tally, train_frequencies: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    r"""Accuracy in distribution, and how much of it is lost when some of the shortcuts mislead.

    .. math:: \mathrm{ID} = \sum_s \pi_s\, \mathrm{acc}_s,
              \qquad \mathrm{gap}_s = \mathrm{acc}_s - \mathrm{ID}

    over the sets s of shortcuts that mislead, with :math:`\pi` their shares of the training data.

    Source: Li et al., "A Whac-A-Mole Dilemma: Shortcuts Come in Multiples Where Mitigating One
    Amplifies Others", CVPR 2023 (UrbanCars: gaps BG, CoObj and both; from its definitions, the code
    was not at hand).

    Args:
        tally: two ``(2,) * K`` int64 tensors, as :func:`shortcut_tally` returns them.
        train_frequencies: ``(2,) * K`` training images of each cell.
        names: of the K shortcuts.

    Returns:
        float64 scalars ``in_distribution`` in [0, 1] and ``gap/NAME``, ``gap/NAME+NAME``, ...: at
        most 0 for a model that uses the shortcuts, ideally 0; NaN where a cell was not seen.

    Raises:
        ValueError: the shapes do not fit the names.
    """
    shape = (2,) * len(names)
    if tally.total.shape != shape or train_frequencies.shape != shape:
        raise InputError(
            f"{len(names)} shortcuts have counts and frequencies of shape {shape}; got "
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
    """``(biases,)`` int64: the class that each bias is a shortcut to; -1 if none or several."""
    rows = [
        [row for row, bias in groups.aligned if bias == value] for value in range(groups.biases)
    ]
    return torch.tensor([row[0] if len(row) == 1 else -1 for row in rows])


def shortcut_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """Whether a model follows the target or the shortcut where the two lead to different classes.

    The shape bias of any data set whose ``groups.aligned`` says which class a bias value is the
    shortcut to.

    Args:
        prediction: ``(N,)`` integer class.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer, -1 where unknown: such an image is left out.
        groups: names and numbering of the groups.

    Returns:
        ``target_preference`` in [0, 1], ideally 1; ``target_fraction`` and ``shortcut_fraction`` of
        the conflicting images. Plain floats, NaN without a conflict; an empty dict when multi-label
        or without aligned groups.
    """
    if groups.multi_label or not groups.aligned:
        return {}
    cue = torch.where(bias < 0, -1, bias_classes(groups).to(bias.device)[bias.long().clamp(min=0)])
    counts = count_conflicts(prediction, target, cue)
    return {
        "target_preference": shape_bias(counts.shape, counts.texture).item(),
        "target_fraction": accuracy(counts.shape, counts.conflicts).item(),
        "shortcut_fraction": accuracy(counts.texture, counts.conflicts).item(),
    }


def _subsets(names: Sequence[str]) -> list[str]:
    """Names of the shortcuts that mislead in each cell, joined; empty if none does."""
    digits = (format(cell, f"0{len(names)}b") for cell in range(2 ** len(names)))
    return [
        "+".join(name for name, digit in zip(names, row, strict=True) if digit == "1")
        for row in digits
    ]
