"""The step ``strategies``: where a model looks, and slices of what it looks at."""

from collections.abc import Iterator
from copy import deepcopy

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.proposals import conflicting
from debias.audits.leaning.rows import model_of, no_run, read_pictures
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.maps.maps_step import MAPS, explained_by, map_checks
from debias.audits.model import AuditedModel
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.slices.errors import fitted_half, validation_rows
from debias.audits.slices.judging import slice_precisions
from debias.audits.slices.maps import looked_at, map_strategies
from debias.audits.slices.slices_step import (
    found_by_mixture,
    named_slices,
    shown_rows,
    slice_line,
)
from debias.audits.steps import Arrays, Audited, Step
from debias.group_inference.slices import PredictedImages

#: Name of the step.
STRATEGIES = "strategies"
#: Most images that get maps, fewest images that do, and images per batch of maps.
MOST, FEWEST, BATCH = 300, 40, 16
#: Least silhouette of two ways of looking, pictures of each, and side of a drawn mean map.
APART, PICTURES, SIDE = 0.4, 4, 96


def _compute(audited: Audited) -> Arrays:
    model, rows = model_of(audited), validation_rows(audited, MOST)
    shown = read_pictures(audited, rows)
    shares = model.probabilities(shown.pictures)
    maps = decided_maps(model, shown.pictures, shares.argmax(axis=1))
    found = map_strategies(maps, shown.target, seed=audited.seed)
    generator = np.random.default_rng(audited.seed)
    fitted = fitted_half(audited, rows, generator)
    weights = []
    for pictures in (looked_at(shown.pictures, maps), shown.pictures):
        features = model.features(pictures).astype(np.float64)
        images = PredictedImages(features, shown.target, shares)
        weights.append(found_by_mixture(images, fitted, deepcopy(generator)).astype(np.float32))
    return {
        "rows": rows,
        "judged": ~fitted,
        "weights": weights[0],
        "plain weights": weights[1],
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
    doubt = "" if map_checks(audited).believed else "; these maps do not follow the model"
    found = [
        one._replace(name=f"{one.name} (by maps)") for one in named_slices(audited, STRATEGIES)
    ]
    lines = [slice_line(audited, one, rows) for one in found[:2]]
    return [line._replace(words=line.words + doubt) for line in lines]


def _section(audited: Audited) -> Section:
    arrays, believed = audited.found[STRATEGIES], map_checks(audited).believed
    rows, classes = arrays["rows"].astype(np.int64), range(len(audited.classes))
    strips = [strip for one in classes for strip in _ways(audited, one)] if believed else []
    slices = named_slices(audited, STRATEGIES)
    strips += [Strip(f"Slice {one.name}, by maps", shown_rows(one, rows)) for one in slices]
    columns = dict(_columns(audited))
    return Section(
        "Slices by maps",
        [*_sentences(len(rows), believed)],
        header=("class", *columns),
        table=[(audited.classes[one], *(of[one] for of in columns.values())) for one in classes],
        strips=strips,
    )


def _sentences(images: int, believed: bool) -> Iterator[str]:
    yield f"Grad-CAM maps of {images:,} validation images were clustered within each class. " + (
        "The first picture of a row is the mean map of a cluster. A mean map on a corner is often "
        "a mark, such as a logo."
        if believed
        else "These maps do not follow the model, so mean maps are not shown. Neither clusters nor "
        "slices by maps say where it looks."
    )
    yield (
        "Slices by maps were found on the features of what the model looked at: the rest of the "
        "picture was filled with its mean colour. Precision is the share of wrong images among the "
        "ten with the largest weight, in the slice that fits the errors of the class best. Beside "
        "it is that of slices of the same whole pictures. Rare images are those whose bias label "
        "is not the usual one of their class; the audit reads bias labels only to score slices."
    )


def _columns(audited: Audited) -> Iterator[tuple[str, list[str]]]:
    """Title and cells by class of each column of the table."""
    arrays, number = audited.found[STRATEGIES], len(audited.classes)
    target = audited.target[arrays["rows"].astype(np.int64)]
    clusters = [len(np.unique(arrays["cluster"][target == one])) for one in range(number)]
    yield "clusters", list(map(str, clusters))
    numbers = {"silhouette": arrays["silhouette"].tolist(), **dict(_precisions(audited))}
    for title, values in numbers.items():
        padded = [*values, *[np.nan] * (number - len(values))]
        yield title, ["–" if np.isnan(value) else f"{value:.2f}" for value in padded]


def _precisions(audited: Audited) -> Iterator[tuple[str, list[float]]]:
    """Title and precision at 10 by class, by maps and without them, on the judged images."""
    arrays = audited.found[STRATEGIES]
    judged, rows = arrays["judged"].astype(bool), arrays["rows"].astype(np.int64)
    target, bias = audited.target[rows], audited.examples.bias.numpy()[audited.rows[rows]]
    sought = {"precision": (~arrays["correct"].astype(bool), judged)}
    known = judged & (bias >= 0)
    if known.any():
        rare = np.zeros(len(rows), bool)
        rare[known] = conflicting(target[known], bias[known])
        sought["precision for rare images"] = (rare, known)
    for title, (true, where) in sought.items():
        for name, given in (("by maps", "weights"), ("without maps", "plain weights")):
            weight = arrays[given][where].astype(np.float64)
            yield f"{title}, {name}", slice_precisions(weight, true[where], target[where])


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


def _unavailable(audited: Audited) -> str:
    few = audited.model is not None and len(validation_rows(audited, MOST)) < FEWEST
    return f"fewer than {FEWEST} validation images" if few else no_run(audited)


STRATEGIES_STEP = Step(
    STRATEGIES, (DUPLICATES, MAPS), _compute, _lines, _section, _unavailable, version=2
)
