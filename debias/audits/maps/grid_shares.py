"""Mean shares of a model's Grad-CAM maps in the right cell of grids of its own pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.audits.maps.grids import (
    GridOf,
    cell_shares,
    difull_map,
    dipart_map,
    enlarged,
    grid_image,
)
from debias.audits.model import AuditedModel
from debias.errors import InputError
from debias.models.attribution import Classify, last_map_layer, layer_gradient
from debias.models.copies import layers_after
from debias.models.layers import read_layer


class GridShares(NamedTuple):
    """Mean shares over grids; NaN for one that the network does not allow, or without a grid.

    Attributes:
        gridpg: the model sees the whole grid.
        difull: it sees the explained cell alone.
        dipart: it pools the explained cell alone.
    """

    gridpg: float
    difull: float
    dipart: float


def grid_shares(
    model: AuditedModel,
    pictures: NDArray[np.uint8],
    target: NDArray[np.int64],
    grids: Sequence[GridOf],
) -> GridShares:
    """Measure the maps of a model on grids of its pictures.

    GridPG and DiPart need a network that takes pictures of twice the size, which a ViT with fixed
    positions does not. DiPart also needs a network whose layers after the map can be copied.

    Args:
        model: the model.
        pictures: ``(N, H, W, 3)`` uint8, of the model's size.
        target: ``(N,)`` classes.
        grids: positions of four pictures each.
    """
    strategy, network = model.network.strategy, model.network.model
    classify = None if strategy is None else strategy.classify
    after = _after(model, pictures[:1])
    found: list[tuple[float, float, float]] = []
    for grid in grids:
        cells, one = model.normalised(pictures[list(grid.rows)]), int(target[grid.rows[grid.cell]])
        whole = _whole_grid(network, grid_image(cells)[None], one, classify)
        part = math.nan
        if whole is not None and after is not None and strategy is None:
            maps = dipart_map(after, network.head, whole[1], one, grid.cell)
            part = _share(maps, grid.cell, cells)
        full = difull_map(network, cells, one, grid.cell, classify=classify)
        gridpg = math.nan if whole is None else _share(whole[0], grid.cell, cells)
        found.append((gridpg, _share(full, grid.cell, cells), part))
    return GridShares(*np.mean(found, axis=0).tolist()) if found else GridShares(*[math.nan] * 3)


def _share(maps: Tensor, cell: int, cells: Tensor) -> float:
    """Share in a cell, after enlarging the map to the size of the grid, as the reference does."""
    height, width = 2 * cells.shape[2], 2 * cells.shape[3]
    return float(cell_shares(enlarged(maps[None].float(), height, width), cell))


def _whole_grid(
    network: nn.Module, image: Tensor, target: int, classify: Classify | None
) -> tuple[Tensor, Tensor] | None:
    """The Grad-CAM map ``(h, w)`` of a grid and the layer's ``(C, h, w)``, or ``None``."""
    try:
        seen = layer_gradient(network, image, target=target, classify=classify)
    except (InputError, RuntimeError, AssertionError):  # pictures of another size are not taken
        return None
    weight = seen.gradient.mean(dim=(2, 3))
    return torch.einsum("nc,nchw->hw", weight, seen.activation).clamp(min=0), seen.activation[0]


def _after(model: AuditedModel, picture: NDArray[np.uint8]) -> nn.Module | None:
    """The layers from the map to the features, if the map is ``(C, h, w)`` and they are a chain."""
    image, network = model.normalised(picture), model.network.model
    try:
        layer = last_map_layer(network, image)
        with torch.no_grad():
            shape = read_layer(network, layer, image).activation.shape
        return layers_after(network, layer, image) if len(shape) == 4 else None
    except InputError:
        return None
