"""A model's use of background, position and size, from its accuracy on recombined images."""

import torch
from torch import Tensor

from debias.errors import InputError

CORNERS = (0, 2, 6, 8)
SIDES = (1, 3, 5, 7)


def background_robustness(all_backgrounds: Tensor, same_class: Tensor) -> Tensor:
    r"""Share of the accuracy that a model keeps if the background can be of any class.

    .. math:: \frac{\mathrm{acc}(\text{backgrounds of all classes})}
              {\mathrm{acc}(\text{backgrounds of the same class})}

    Source: Nauen et al., "ForAug", 2025 (its metric code is not public).

    Args:
        all_backgrounds: accuracies in [0, 1] of foregrounds on backgrounds of any class; a tensor
            of any shape.
        same_class: accuracies of the same foregrounds on backgrounds of their own class, of the
            same shape.

    Returns:
        float64, 1 for a model that does not use the background. NaN where an accuracy is NaN or
        ``same_class`` is 0.

    Example:
        >>> background_robustness(torch.tensor(0.375), torch.tensor(0.75)).item()
        0.5
    """
    return _ratio(all_backgrounds, same_class)


def background_gap(all_backgrounds: Tensor, same_class: Tensor) -> Tensor:
    """Accuracy that a model loses if the background can be of any class: 0 if it is not used.

    It is ``same_class - all_backgrounds``, with arguments as in :func:`background_robustness`.

    Source: Xiao et al., "Noise or Signal: The Role of Image Backgrounds in Object Recognition",
    ICLR 2021 (BG-Gap of Mixed-Same and Mixed-Rand).
    """
    return same_class.double() - all_backgrounds.double()


def foreground_focus(attribution: Tensor, mask: Tensor) -> Tensor:
    r"""Mean attribution of the foreground pixels, relative to the mean over the whole image.

    .. math:: \frac{\sum_p m_p \max(0, a_p) / \sum_p m_p}{\sum_p \max(0, a_p) / P}

    Source: Nauen et al., "ForAug", 2025 (its metric code is not public).

    Args:
        attribution: ``(N, H, W)`` attribution a of each of P = H W pixels; negative values count as
            0.
        mask: ``(N, H, W)`` foreground m in [0, 1].

    Returns:
        ``(N,)`` float64, at least 0. It is 1 for attribution without preference, and P divided by
        the mask's area for attribution inside the mask only. NaN where the mask is empty or the
        attribution has no positive value.
    """
    importance, inside = attribution.double().clamp(min=0).flatten(1), mask.double().flatten(1)
    return _ratio((importance * inside).sum(dim=1) / inside.sum(dim=1), importance.mean(dim=1))


def centre_bias(accuracies: Tensor) -> Tensor:
    r"""Share of the accuracy that a model loses if the foreground is not in the centre.

    .. math:: 1 - \frac{\min_{\text{corners}} \mathrm{acc} + \min_{\text{sides}} \mathrm{acc}}
                       {2\, \mathrm{acc}(\text{centre})}

    Source: Nauen et al., "ForAug", 2025 (its metric code is not public).

    Args:
        accuracies: ``(3, 3)`` in [0, 1], by the cell of the image that holds the foreground.

    Returns:
        Scalar float64: 0 for a model that is equally accurate everywhere, 1 for one that fails
        outside the centre, negative for one that prefers the border. NaN if a cell is NaN (nothing
        was tested there) or the centre's accuracy is 0.

    Raises:
        ValueError: ``accuracies`` is not ``(3, 3)``.

    Example:
        >>> cells = torch.tensor([[55, 66, 58], [70, 80, 72], [57, 68, 60]]).double() / 100
        >>> round(centre_bias(cells).item(), 5)  # 1 - (0.55 + 0.66) / 1.6
        0.24375
    """
    if accuracies.shape != (3, 3):
        raise InputError(
            f"accuracies must be (3, 3), one per cell of the frame; got {tuple(accuracies.shape)}"
        )
    cells = _ratio(accuracies, accuracies[1, 1]).flatten()
    return 1 - (cells[list(CORNERS)].amin() + cells[list(SIDES)].amin()) / 2


def size_bias(accuracies: Tensor, factors: Tensor) -> Tensor:
    r"""Relative accuracy :math:`\mathrm{acc}(f) / \mathrm{acc}(1)` for each foreground size.

    f is the factor on the foreground's area.

    Source: Nauen et al., "ForAug", 2025 (its metric code is not public).

    Args:
        accuracies: ``(F,)`` in [0, 1], of foregrounds whose area was multiplied by each factor.
        factors: ``(F,)`` these factors; exactly one of them is 1.

    Returns:
        ``(F,)`` float64, 1 for a model that does not depend on the size. NaN where the accuracy is
        NaN; all NaN if the accuracy at factor 1 is 0 or NaN.

    Raises:
        ValueError: no factor or several factors are 1, or the shapes differ.
    """
    unit = factors == 1
    if factors.ndim != 1 or accuracies.shape != factors.shape or int(unit.sum()) != 1:
        raise InputError(
            "size bias compares (F,) accuracies with the one at factor 1; got accuracies of shape "
            f"{tuple(accuracies.shape)} and factors {factors.tolist()}: give one accuracy per "
            "factor, and the factor 1 exactly once"
        )
    return _ratio(accuracies, accuracies[unit])


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    # a ratio to an accuracy of 0 is meaningless, so it is NaN instead of infinite
    return above.double() / torch.where(below == 0, torch.nan, below.double())
