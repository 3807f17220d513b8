"""The step of maps: Grad-CAM of held-out pictures, and the checks that say whether to show them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.audits.cues.groups import GROUPS
from debias.audits.leaning.rows import HeldOut, held_out_in_turns, model_of, no_run
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.maps.deletion import deletion_insertion
from debias.audits.maps.drawn import overlaid
from debias.audits.maps.grid_shares import GridShares, grid_shares
from debias.audits.maps.grids import GridOf, drawn_grids, enlarged
from debias.audits.maps.randomisation import Explain, instability, randomised
from debias.audits.model import AuditedModel
from debias.audits.steps import Arrays, Audited, Step
from debias.errors import InputError
from debias.models.attribution import grad_cam
from debias.progress import each

MAPS = "maps"
#: Pictures that are explained, those of the slower checks, and grids.
MOST, FEW, GRIDS = 60, 24, 40
#: Maps are shown only if DiFull is at least, and the correlation after a new head at most, this.
LEAST_DIFULL, MOST_CORRELATION = 0.9, 0.5
#: Pictures that are shown.
SHOWN = 16


class MapChecks(NamedTuple):
    """The checks of a model's maps; NaN for a check that the network does not allow.

    Attributes:
        deletion: deletion area of the maps minus that of random orders; below 0 if maps are good.
        insertion: insertion area minus that of random orders; above 0 if maps are good.
        gridpg: share of a map in the cell of its class, in a grid of four pictures.
        difull: the same, if the model sees this cell alone when it scores the class.
        dipart: the same, if it pools this cell alone.
        new_head: rank correlation of maps before and after the head has new weights.
        unstable: greatest relative change of a map under noises of 1/255.
    """

    deletion: float
    insertion: float
    gridpg: float
    difull: float
    dipart: float
    new_head: float
    unstable: float

    @property
    def believed(self) -> bool:
        """Whether the maps follow the model, as far as the checks can tell."""
        return not (self.difull < LEAST_DIFULL or self.new_head > MOST_CORRELATION)


def explained_by(model: AuditedModel, target: Tensor) -> Explain:
    """Grad-CAM of the given classes ``(N,)``, of the model or of a copy with other weights."""
    strategy = model.network.strategy
    classify = None if strategy is None else strategy.classify

    def maps(network: nn.Module, image: Tensor) -> Tensor:
        """``(N, h, w)`` maps on the CPU, at the resolution of the last layer with places."""
        given = grad_cam(network, image, target=target, upsample=False, classify=classify)
        return given.cpu()

    return maps


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    if find_spec("captum") is None:
        return "captum is not installed"
    height, width = audited.model.network.geometry.height, audited.model.network.geometry.width
    blank = audited.model.normalised(np.zeros((1, height, width, 3), np.uint8))
    try:
        maps = explained_by(audited.model, torch.tensor([0]))(audited.model.network.model, blank)
    except InputError:
        return "the network has no maps"
    return "" if maps.numel() > 1 else "the last map has a single place"


def _compute(audited: Audited) -> Arrays:
    shown, model = held_out_in_turns(audited, MOST), model_of(audited)
    shares = model.probabilities(shown.pictures)
    decided = shares.argmax(axis=1)
    maps = torch.cat(list(_maps(model, shown.pictures, torch.from_numpy(decided))))
    height, width = shown.pictures.shape[1:3]
    ranked = enlarged(maps, height, width).double().numpy()
    areas = _areas(model, shown, ranked, decided, audited.seed)
    confidence = shares[np.arange(len(decided)), shown.target]
    generator = np.random.default_rng([audited.seed, 17])
    grids = grid_shares(
        model, shown.pictures, shown.target, _grids(shown.target, confidence, generator)
    )
    names, correlations, unstable = _robustness(model, shown.pictures, decided, audited.seed)
    return {
        "positions": shown.positions,
        "decided": decided,
        "maps": maps.numpy(),
        "pictures": shown.pictures[:SHOWN],
        "areas": areas,
        "grids": np.array(grids),
        "layers": np.array(names),
        "correlations": np.array(correlations),
        "unstable": unstable,
    }


def _grids(
    target: NDArray[np.int64], confidence: NDArray[np.float64], generator: np.random.Generator
) -> list[GridOf]:
    """Grids of pictures that the model is sure about; without any, of those it gets right."""
    for least in (0.99, 0.5):
        grids = drawn_grids(target, confidence, generator, most=GRIDS, least=least)
        if grids:
            return grids
    return []


def _maps(model: AuditedModel, pictures: NDArray[np.uint8], target: Tensor) -> Iterator[Tensor]:
    """Maps of 16 pictures at a time: Grad-CAM keeps activations for a backward pass."""
    for start in range(0, len(pictures), 16):
        part = slice(start, start + 16)
        image = model.normalised(pictures[part])
        yield explained_by(model, target[part].to(image.device))(model.network.model, image)


def _areas(
    model: AuditedModel,
    shown: HeldOut,
    ranked: NDArray[np.float64],
    decided: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """``(M, 4)``: deletion and insertion by the map, then by a random order."""
    generator, rows = np.random.default_rng([seed, 19]), []
    title = "deleting and inserting pixels"
    for place in each(range(len(decided)), title, "picture"):
        picture = shown.pictures[place]
        believed = partial(_believed, model, int(decided[place]))
        by_map = deletion_insertion(picture, ranked[place], believed)
        by_chance = deletion_insertion(picture, generator.random(ranked[place].shape), believed)
        rows.append([*by_map, *by_chance])
    return np.array(rows)


def _believed(model: AuditedModel, target: int, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return model.probabilities(pictures)[:, target]


def _robustness(
    model: AuditedModel, pictures: NDArray[np.uint8], decided: NDArray[np.int64], seed: int
) -> tuple[list[str], list[float], NDArray[np.float64]]:
    """Layers with new weights, correlations of maps, and the instability of maps."""
    few, device = pictures[:FEW], model.network.mean.device
    explain = explained_by(model, torch.from_numpy(decided[:FEW]).to(device))
    classifier = model.network.model
    found = randomised(classifier, model.normalised(few), explain, seed=seed)
    pixels = torch.from_numpy(few).permute(0, 3, 1, 2).float() / 255
    unstable = instability(
        classifier,
        pixels,
        explain,
        lambda image: model.network.normalise(255 * image.to(device)),
        generator=torch.Generator().manual_seed(seed),
    )
    return [one.layer for one in found], [one.correlation for one in found], unstable.numpy()


def map_checks(audited: Audited) -> MapChecks:
    """The checks of the maps of the model under audit."""
    arrays = audited.found[MAPS]
    deleted, inserted, deleted_random, inserted_random = arrays["areas"].mean(axis=0).tolist()
    shares = GridShares(*arrays["grids"].tolist())
    return MapChecks(
        deleted - deleted_random,
        inserted - inserted_random,
        *shares,
        float(arrays["correlations"][0]),
        float(np.median(np.asarray(arrays["unstable"], np.float64))),
    )


def _lines(audited: Audited) -> Sequence[AuditLine]:
    checks = map_checks(audited)
    numbers = f"DiFull {_text(checks.difull)}, rank correlation after a new head "
    numbers += _text(checks.new_head)
    if checks.believed:
        words = f"the maps follow the model ({numbers}): see the pictures"
        return [
            AuditLine("maps", "Grad-CAM", "some", words, images=len(audited.found[MAPS]["maps"]))
        ]
    words = f"these maps do not follow the model ({numbers}), so they are not shown"
    return [AuditLine("maps", "Grad-CAM", "warning", words)]


def _section(audited: Audited) -> Section:
    checks = map_checks(audited)
    strips = _strips(audited) if checks.believed else ()
    verdict = "The maps are shown below, red where they are greatest."
    if not checks.believed:
        verdict = "These maps do not follow the model, so they are not shown."
    return Section(
        "Where the model looks",
        [
            "Grad-CAM maps of the decided class. A map is believed only if DiFull is at least "
            f"{LEAST_DIFULL} and its rank correlation with the maps of a new, untrained head is at "
            f"most {MOST_CORRELATION}. {verdict}",
        ],
        header=("check", "value", "wanted", "passed"),
        table=[*_rows(checks), *_layer_rows(audited)],
        strips=strips,
    )


def _rows(checks: MapChecks) -> Iterator[tuple[str, ...]]:
    wanted = (
        ("deletion, minus random order", checks.deletion, "below 0", checks.deletion < 0),
        ("insertion, minus random order", checks.insertion, "above 0", checks.insertion > 0),
        ("GridPG", checks.gridpg, "above 0.25", checks.gridpg > 0.25),
        ("DiFull", checks.difull, f"at least {LEAST_DIFULL}", checks.difull >= LEAST_DIFULL),
        ("DiPart", checks.dipart, "near DiFull", abs(checks.dipart - checks.difull) < 0.1),
        ("change under noise of 1/255", checks.unstable, "below 1", checks.unstable < 1),
    )
    for name, value, text, passed in wanted:
        answer = "not measured" if math.isnan(value) else "yes" if passed else "no"
        yield name, _text(value), text, answer


def _layer_rows(audited: Audited) -> Iterator[tuple[str, ...]]:
    arrays = audited.found[MAPS]
    for name, value in zip(arrays["layers"].tolist(), arrays["correlations"].tolist(), strict=True):
        answer = "yes" if value <= MOST_CORRELATION else "no"
        below = name.removeprefix("backbone.")
        yield f"rank correlation, new weights down to {below}", _text(value), "at most 0.5", answer


def _strips(audited: Audited) -> list[Strip]:
    arrays = audited.found[MAPS]
    pictures = tuple(map(overlaid, arrays["pictures"], arrays["maps"]))
    pairs = zip(audited.target[arrays["positions"]], arrays["decided"], strict=True)
    captions = [f"{audited.classes[one]}, called {audited.classes[other]}" for one, other in pairs]
    return [Strip("Maps of held-out pictures", (), tuple(captions[:SHOWN]), pictures)]


def _text(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


MAP_STEP = Step(MAPS, (GROUPS,), _compute, _lines, _section, _unavailable, version=2)
