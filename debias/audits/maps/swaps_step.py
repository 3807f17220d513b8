"""The step of counterfactual pictures: swapped cells that change the model's decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.audits.cues.groups import GROUPS
from debias.audits.leaning.rows import HeldOut, held_out, model_of, no_run, turns_of_groups
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.maps.drawn import framed
from debias.audits.maps.swaps import counterfactual
from debias.audits.steps import Arrays, Audited, Step
from debias.errors import InputError
from debias.models.attribution import last_map_layer
from debias.models.copies import layers_after
from debias.models.layers import evaluating, read_layer
from debias.progress import each

NAME = "swaps"
#: Pictures among which pairs are found, pairs, and the most swaps of a pair.
MOST, PAIRS, SWAPS = 60, 8, 10
#: Most places of a map: each swap tries all pairs of two maps.
PLACES = 256
#: A cell is of the surroundings if so little of it is foreground.
SURROUNDINGS = 0.5


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    if audited.model.network.strategy is not None:
        return "the head alone does not decide"
    geometry = audited.model.network.geometry
    try:
        _layers(audited, np.zeros((1, geometry.height, geometry.width, 3), np.uint8))
    except InputError:
        return f"the network is no chain from maps of 2 to {PLACES} places to its head"
    return ""


def _layers(audited: Audited, picture: NDArray[np.uint8]) -> tuple[str, nn.Module]:
    """The layer with the maps, and the layers after it.

    Raises:
        ValueError: the network has no maps ``(C, h, w)`` of 2 to 256 places, or is no chain.
    """
    model = model_of(audited)
    image, network = model.normalised(picture), model.network.model
    layer = last_map_layer(network, image)
    with evaluating(network), torch.no_grad():
        shape = read_layer(network, layer, image).activation.shape
    if len(shape) != 4 or not 2 <= shape[2] * shape[3] <= PLACES:
        raise InputError(f"layer {layer!r} has no maps of 2 to {PLACES} places")
    return layer, layers_after(network, layer, image)


def _compute(audited: Audited) -> Arrays:
    shown, model = held_out(audited, MOST, label=turns_of_groups(audited)), model_of(audited)
    shares = model.probabilities(shown.pictures)
    chosen = _pairs(shares, shown.target, np.random.default_rng([audited.seed, 23]))
    layer, after = _layers(audited, shown.pictures[:1])
    swaps = np.full((len(chosen), SWAPS, 2), -1)
    flips = np.zeros(len(chosen), bool)
    grid = (0, 0)
    for place, (one, other) in enumerate(each(chosen, "swapping cells", "pair")):
        maps = _activations(audited, layer, shown.pictures[[one, other]])
        grid = maps.shape[2], maps.shape[3]
        goal, head = int(shown.target[other]), model.network.model.head
        found = counterfactual(after, head, maps[0], maps[1], goal, most=SWAPS)
        swaps[place, : len(found.swaps)] = found.swaps
        flips[place] = found.flips
    rows = np.array(chosen, np.int64).reshape(-1, 2)
    return {
        "positions": shown.positions[rows],
        "swaps": swaps,
        "flips": flips,
        "grid": np.array(grid),
        "pictures": shown.pictures[rows],
        "surroundings": _surroundings(shown, rows, swaps, grid),
    }


def _pairs(
    shares: NDArray[np.float64], target: NDArray[np.int64], generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Correct pictures, each with a correct picture of the class that the model finds next."""
    right = np.flatnonzero(shares.argmax(axis=1) == target)
    pairs = []
    for one in generator.permutation(right).tolist():
        ranked = (-shares[one]).argsort(kind="stable")
        donors = right[target[right] == ranked[1]]
        if len(donors):
            pairs.append((one, int(generator.choice(donors))))
    return pairs[:PAIRS]


def _activations(audited: Audited, layer: str, pictures: NDArray[np.uint8]) -> Tensor:
    model = model_of(audited)
    with evaluating(model.network), torch.no_grad():
        return read_layer(model.network.model, layer, model.normalised(pictures)).activation


def _surroundings(
    shown: HeldOut, rows: NDArray[np.int64], swaps: NDArray[np.int64], grid: tuple[int, int]
) -> NDArray[np.int64]:
    """``(K, 2)``: 1 if the first replaced cell (or its donor) is of the surroundings; or -1."""
    if shown.masks is None or not len(rows):
        return np.full((len(rows), 2), -1)
    found = np.empty((len(rows), 2), np.int64)
    for pair, (pictures, cells) in enumerate(zip(rows, swaps[:, 0], strict=True)):
        for side, (picture, cell) in enumerate(zip(pictures, cells, strict=True)):
            top, left, low, right = _cell(int(cell), grid, shown.masks.shape[1:])
            found[pair, side] = shown.masks[picture, top:low, left:right].mean() < SURROUNDINGS
    return found


def _cell(number: int, grid: tuple[int, int], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a cell, in pixels."""
    row, column = divmod(number, grid[1])
    down, across = size[0] / grid[0], size[1] / grid[1]
    ends = row * down, column * across, (row + 1) * down, (column + 1) * across
    top, left, low, right = (round(end) for end in ends)
    return top, left, max(low, top + 1), max(right, left + 1)


def _lines(audited: Audited) -> Sequence[AuditLine]:
    arrays = audited.found[NAME]
    flips, count = arrays["flips"], len(arrays["flips"])
    if not count:
        return []
    words = (
        f"{int(flips.sum())} of {count} decisions flip after {_mean_swaps(audited):.1f} swapped "
    )
    words += f"cells on average{_where(audited)}"
    return [AuditLine("maps", "swapped cells", "some", words, images=count)]


def _mean_swaps(audited: Audited) -> float:
    swaps = np.asarray(audited.found[NAME]["swaps"], np.int64)
    return float((swaps[..., 0] >= 0).sum(axis=1).mean())


def _where(audited: Audited) -> str:
    surroundings = np.asarray(audited.found[NAME]["surroundings"], np.int64)
    if (surroundings < 0).any():
        return ""
    both = int((surroundings == 1).all(axis=1).sum())
    return f"; {both} of {len(surroundings)} first swaps exchange surroundings"


def _section(audited: Audited) -> Section | None:
    arrays = audited.found[NAME]
    if not len(arrays["flips"]):
        return None
    return Section(
        "Which cell changes the decision",
        [
            "One cell of the model's last map is replaced by a cell of a picture of another class: "
            "the pair that raises the other class most, then the next, until the decision flips. "
            f"The first pair is framed. {int(arrays['flips'].sum())} of {len(arrays['flips'])} "
            f"decisions flip; swaps on average: {_mean_swaps(audited):.1f}"
            f"{_where(audited)}.",
        ],
        strips=[Strip("The replaced cell, and the cell in its place", (), *_framed(audited))],
    )


def _framed(audited: Audited) -> tuple[tuple[str, ...], tuple[NDArray[np.uint8], ...]]:
    """Captions and pictures: of each pair the picture, then the donor, with framed cells."""
    pairs = list(_framed_pairs(audited))
    return tuple(caption for caption, _ in pairs), tuple(picture for _, picture in pairs)


def _framed_pairs(audited: Audited) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    arrays = audited.found[NAME]
    grid = int(arrays["grid"][0]), int(arrays["grid"][1])
    rows = zip(arrays["pictures"], arrays["swaps"][:, 0], arrays["positions"], strict=True)
    for pictures, cells, positions in rows:
        for picture, cell, position, end in zip(
            pictures, cells, positions, ("", ", donor"), strict=True
        ):
            name = audited.classes[audited.target[position]]
            yield f"{name}{end}", framed(picture, _cell(int(cell), grid, picture.shape[:2]))


SWAP_STEP = Step(NAME, (GROUPS,), _compute, _lines, _section, _unavailable)
