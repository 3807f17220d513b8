"""Counterfactual pictures: swap a cell for one of another picture until the decision changes."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.models.layers import evaluating


class Swap(NamedTuple):
    """One exchanged cell.

    Attributes:
        cell: number of the replaced cell of the picture, row by row.
        donor: number of the cell of the other picture that replaces it.
    """

    cell: int
    donor: int


class Counterfactual(NamedTuple):
    """The swaps that change a decision, in order.

    Attributes:
        swaps: the exchanged cells; the first one raises the other class most.
        flips: whether the decision is the other class at last.
    """

    swaps: tuple[Swap, ...]
    flips: bool


def counterfactual(
    after: nn.Module,
    head: nn.Module,
    picture: Tensor,
    distractor: Tensor,
    other: int,
    *,
    most: int = 10,
) -> Counterfactual:
    """Replace cells of a picture's map by cells of a distractor's, until the decision flips.

    Each step tries all pairs of an unchanged cell and a cell of the distractor, and takes the pair
    with the greatest probability of the other class.

    Source: Goyal et al., "Counterfactual Visual Explanations", ICML 2019 (exhaustive search).

    Args:
        after: the layers from the map to the features.
        head: features to logits.
        picture: ``(C, h, w)`` activation of the picture.
        distractor: ``(C, h, w)`` activation of a picture of the other class.
        other: the other class.
        most: the most swaps.
    """
    cells, donors = picture.flatten(1).clone(), distractor.flatten(1)
    left, swaps = list(range(cells.shape[1])), list[Swap]()
    with evaluating(after), torch.no_grad():
        while left and len(swaps) < most:
            swap, flips = _best_swap(after, head, cells, donors, left, other, picture.shape)
            cells[:, swap.cell] = donors[:, swap.donor]
            left.remove(swap.cell)
            swaps.append(swap)
            if flips:
                return Counterfactual(tuple(swaps), True)
    return Counterfactual(tuple(swaps), False)


def _best_swap(
    after: nn.Module,
    head: nn.Module,
    cells: Tensor,
    donors: Tensor,
    left: list[int],
    other: int,
    shape: tuple[int, ...],
) -> tuple[Swap, bool]:
    best, belief, flips = Swap(left[0], 0), -1.0, False
    for cell in left:
        tried = cells.expand(donors.shape[1], *cells.shape).clone()
        tried[:, :, cell] = donors.T
        shares = head(after(tried.view(-1, *shape))).softmax(dim=1)
        donor = int(shares[:, other].argmax())
        if float(shares[donor, other]) > belief:
            best, belief = Swap(cell, donor), float(shares[donor, other])
            flips = int(shares[donor].argmax()) == other
    return best, flips
