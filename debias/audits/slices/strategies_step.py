"""The step ``strategies``: where a model looks, and slices of what it looks at."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.probing import unit_folds
from debias.audits.cues.units import audited_units
from debias.audits.drawing import taking_turns
from debias.audits.leaning.rows import model_of, read_pictures
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.maps.maps_step import MAP_STEP, explained_by
from debias.audits.model import AuditedModel
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.slices.discovery import PredictedImages
from debias.audits.slices.maps import looked_at, map_strategies
from debias.audits.slices.slices_step import (
    found_by_mixture,
    named_slices,
    shown_rows,
    slice_line,
)
from debias.audits.steps import Arrays, Audited, Step
from debias.data.examples import SPLITS

#: Name of the step.
STRATEGIES = "strategies"
#: Most images that get maps, fewest images that do, and images per batch of maps.
MOST, FEWEST, BATCH = 300, 40, 16
#: Least silhouette of two ways of looking, pictures of each, and side of a drawn mean map.
APART, PICTURES, SIDE = 0.4, 4, 96


def _rows(audited: Audited) -> NDArray[np.int64]:
    val = np.flatnonzero(audited.split == SPLITS.index("val"))
    generator = np.random.default_rng([audited.seed, MOST])
    return val[taking_turns(audited.target[val], MOST, generator)]


def _compute(audited: Audited) -> Arrays:
    model, rows = model_of(audited), _rows(audited)
    shown = read_pictures(audited, rows)
    shares = model.probabilities(shown.pictures)
    maps = decided_maps(model, shown.pictures, shares.argmax(axis=1))
    found = map_strategies(maps, shown.target, seed=audited.seed)
    features = model.features(looked_at(shown.pictures, maps)).astype(np.float64)
    guided = PredictedImages(features, shown.target, shares)
    generator = np.random.default_rng(audited.seed)
    rank = generator.permutation(len(rows))
    fitted = unit_folds(audited_units(audited)[rows], shown.target, rank, folds=2) == 0
    weights = found_by_mixture(guided, fitted, generator)
    return {
        "rows": rows,
        "judged": ~fitted,
        "weights": weights.astype(np.float32),
        "correct": shares.argmax(axis=1) == shown.target,
        "cluster": found.cluster,
        "silhouette": found.silhouette,
        "mean maps": found.mean_maps,
    }


def decided_maps(
    model: AuditedModel, pictures: NDArray[np.uint8], decided: NDArray[np.int64]
) -> NDArray[np.float32]:
    """``(N, h, w)`` Grad-CAM maps of the predicted classes, in [0, 1].

    Args:
        model: the model.
        pictures: ``(N, H, W, 3)`` uint8, as the model receives them.
        decided: ``(N,)`` int64 predicted classes.
    """
    parts = []
    for start in range(0, len(pictures), BATCH):
        image = model.normalised(pictures[start : start + BATCH])
        target = torch.from_numpy(decided[start : start + BATCH]).to(image.device)
        parts.append(explained_by(model, target)(model.network.model, image))
    maps: NDArray[np.float32] = torch.cat(parts).float().numpy()
    return maps


def _lines(audited: Audited) -> list[AuditLine]:
    """The slices of what the model looked at, that the plain slices may have missed."""
    rows = audited.found[STRATEGIES]["rows"].astype(np.int64)
    found = named_slices(audited, STRATEGIES)[:2]
    return [slice_line(audited, one._replace(name=f"{one.name} (by maps)"), rows) for one in found]


def _section(audited: Audited) -> Section | None:
    arrays = audited.found[STRATEGIES]
    rows, cluster = arrays["rows"].astype(np.int64), arrays["cluster"].astype(np.int64)
    strips = [strip for one in range(len(audited.classes)) for strip in _ways(audited, one)]
    slices = named_slices(audited, STRATEGIES)
    strips += [Strip(f"Slice {one.name}, by maps", shown_rows(one, rows)) for one in slices]
    if not strips:
        return None
    text = (
        f"Grad-CAM maps of {len(rows):,} validation images were clustered within each class. The "
        "first picture of a row is the mean map of a cluster. A mean map on a corner is often a "
        "mark, such as a logo.",
        "Slices by maps were found on the features of what the model looked at: the rest of the "
        "picture was filled with its mean colour.",
    )
    header = ("class", "clusters", "silhouette")
    table = [
        (name, str(len(np.unique(cluster[audited.target[rows] == one]))), _number(value))
        for one, (name, value) in enumerate(
            zip(audited.classes, arrays["silhouette"].tolist(), strict=False)
        )
    ]
    return Section("Where the model looks", text, header=header, table=table, strips=strips)


def _ways(audited: Audited, one: int) -> list[Strip]:
    """One row per cluster of a class, if its clusters are well apart."""
    arrays = audited.found[STRATEGIES]
    rows, cluster = arrays["rows"].astype(np.int64), arrays["cluster"].astype(np.int64)
    if one >= len(arrays["silhouette"]) or not arrays["silhouette"][one] >= APART:
        return []
    own, strips = audited.target[rows] == one, []
    for number in np.unique(cluster[own]):
        members = rows[own & (cluster == number)]
        title = f"{audited.classes[one]}, cluster {number + 1}: {len(members)} images"
        shown = [np.asarray(audited.pictures[row]) for row in members[:PICTURES]]
        mean = _drawn(arrays["mean maps"][one, number].astype(np.float64))
        strips.append(Strip(title, (), ("mean map",), (mean, *shown)))
    return strips


def _drawn(map_: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A small map as a grey picture, brightest where the model looks most."""
    grey = (255 * map_ / max(float(map_.max()), 1e-12)).astype(np.uint8)
    large = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST))
    return np.repeat(large[..., None], 3, axis=2)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _unavailable(audited: Audited) -> str:
    reason = MAP_STEP.unavailable(audited)
    few = not reason and len(_rows(audited)) < FEWEST
    return f"fewer than {FEWEST} validation images" if few else reason


STRATEGIES_STEP = Step(STRATEGIES, (DUPLICATES,), _compute, _lines, _section, _unavailable)
