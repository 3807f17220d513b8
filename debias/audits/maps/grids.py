"""Grids of pictures on which the right place of a map is known: GridPG, DiFull and DiPart."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.attribution import Classify, layer_gradient
from debias.models.layers import evaluating

#: A grid has two rows and two columns.
CELLS = 4
#: Sums of attribution below this count as none.
LEAST = 1e-7


def cell_shares(maps: Tensor, cell: int) -> Tensor:
    """Share of the positive attribution that lies in one cell of a 2 x 2 grid.

    Source: Rao, Böhle and Schiele, "Towards Better Understanding Attribution Methods", CVPR 2022;
    reference code sukrutrao/Attribution-Evaluation.

    Args:
        maps: ``(N, H, W)`` float, H and W even.
        cell: number of the cell, row by row.

    Returns:
        ``(N,)`` float64 in [0, 1]; 0 without attribution, as in the reference. A uniform map has
        0.25.

    Example:
        >>> cell_shares(torch.ones(1, 2, 2), 0)
        tensor([0.2500], dtype=torch.float64)
    """
    positive = maps.double().clamp(min=0)
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    row, column = divmod(cell, 2)
    inside = positive[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
    total = positive.sum(dim=(1, 2))
    return torch.where(total > LEAST, inside.sum(dim=(1, 2)) / total, 0.0)


class GridOf(NamedTuple):
    """One grid: four pictures, and the cell whose class is explained.

    Attributes:
        rows: positions of the four pictures, row by row.
        cell: number of the explained cell. No other cell has its class.
    """

    rows: tuple[int, int, int, int]
    cell: int


def drawn_grids(
    target: NDArray[np.int64],
    confidence: NDArray[np.float64],
    generator: np.random.Generator,
    *,
    most: int,
    least: float = 0.99,
) -> list[GridOf]:
    """Draw grids of pictures that the model is sure about; the explained class takes turns.

    The explained cell is the top left or the bottom right one.

    Args:
        target: ``(N,)`` int64 classes.
        confidence: ``(N,)`` probability of the true class.
        generator: source of the draws.
        most: number of grids.
        least: probability from which on the model is sure.

    Returns:
        No grid if the model is sure of pictures of fewer than two classes.

    Differs from the reference: the other three cells may share a class, so that two classes are
    enough. The reference has four classes per grid.
    """
    sure = np.flatnonzero(confidence > least)
    classes = np.unique(target[sure])
    if len(classes) < 2:
        return []
    grids = []
    for number in range(most):
        one = classes[number % len(classes)]
        own = int(generator.choice(sure[target[sure] == one]))
        others = generator.choice(sure[target[sure] != one], 3).tolist()
        cell = (number // len(classes) % 2) * (CELLS - 1)
        rows = [own, *others] if cell == 0 else [*others, own]
        grids.append(GridOf((rows[0], rows[1], rows[2], rows[3]), cell))
    return grids


def grid_image(cells: Tensor) -> Tensor:
    """``(3, 2H, 2W)`` picture of ``(4, 3, H, W)`` cells."""
    rows = [torch.cat([cells[2 * row], cells[2 * row + 1]], dim=2) for row in range(2)]
    return torch.cat(rows, dim=1)


def difull_map(
    model: nn.Module, cells: Tensor, target: int, cell: int, *, classify: Classify | None = None
) -> Tensor:
    r"""Grad-CAM on a grid, if the model sees only one cell when it scores the class.

    Each cell goes through the network by itself, and the logit is that of ``cell`` alone. Nothing
    outside it has an influence, so that a faithful map has a share of 1 in it. Grad-CAM averages
    the gradient over the whole grid, which only scales the weights, and applies the weights to the
    maps of all four cells.

    Source: as :func:`cell_shares`.

    Args:
        model: maps images to outputs.
        cells: ``(4, 3, H, W)`` float, normalised.
        target: the explained class.
        cell: number of the cell that the model sees.
        classify: as for :func:`debias.models.attribution.grad_cam`.

    Returns:
        ``(2h, 2w)`` float, at the resolution of the layer.
    """
    seen = layer_gradient(model, cells[cell : cell + 1], target=target, classify=classify)
    weight = seen.gradient.mean(dim=(2, 3))[0]
    activation = layer_gradient(model, cells, target=target, classify=classify).activation
    maps = torch.einsum("c,nchw->nhw", weight, activation).clamp(min=0)
    return grid_image(maps[:, None])[0]


def dipart_map(
    after: nn.Module, head: nn.Module, activation: Tensor, target: int, cell: int
) -> Tensor:
    """Grad-CAM on the maps of a whole grid, if the head pools only one cell of them.

    The receptive field of the network may reach over the border of a cell.

    Source: as :func:`cell_shares`.

    Args:
        after: the layers from the map to the features; see
            :func:`debias.models.copies.layers_after`.
        head: features to logits.
        activation: ``(C, 2h, 2w)`` map of the grid.
        target: the explained class.
        cell: number of the cell.
    """
    row, column = divmod(cell, 2)
    height, width = activation.shape[1] // 2, activation.shape[2] // 2
    down, right = row * height, column * width
    with evaluating(after), torch.enable_grad():
        part = activation[:, down : down + height, right : right + width].detach()
        part = part.clone().requires_grad_()
        logit = head(after(part[None]))[0, target]
        (gradient,) = torch.autograd.grad(logit, part)
    return torch.einsum("c,chw->hw", gradient.mean(dim=(1, 2)), activation).clamp(min=0)


def enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """``(N, h, w)`` maps at ``(height, width)``, bilinearly."""
    return F.interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
