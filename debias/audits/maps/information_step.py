"""The step of performance information curves; slow, so it runs on request."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.leaning.rows import model_of, read_pictures
from debias.audits.lines import Section
from debias.audits.maps.grids import enlarged
from debias.audits.maps.information import (
    POINTS,
    InformationCurve,
    aggregated,
    information_curve,
    random_pixels,
)
from debias.audits.maps.maps_step import MAPS
from debias.audits.model import AuditedModel
from debias.audits.steps import Arrays, Audited, Step
from debias.progress import each

NAME = "information"
#: Most pictures.
MOST = 50
CURVES = ("SIC, Grad-CAM", "SIC, random order", "AIC, Grad-CAM", "AIC, random order")


def _compute(audited: Audited) -> Arrays:
    arrays = audited.found[MAPS]
    shown = read_pictures(audited, arrays["positions"][:MOST].astype(np.int64))
    height, width = shown.pictures.shape[1:3]
    maps = torch.from_numpy(np.asarray(arrays["maps"][:MOST], np.float32))
    ranked = enlarged(maps, height, width).double().numpy()
    generator = np.random.default_rng([audited.seed, 29])
    heights = np.full((len(CURVES), len(shown.pictures), POINTS + 1), np.nan, np.float32)
    for place in each(range(len(shown.pictures)), "revealing information", "picture"):
        decided, seen = int(arrays["decided"][place]), random_pixels(height, width, generator)
        orders = (ranked[place], generator.random((height, width)))
        beliefs = [partial(one, model_of(audited), decided) for one in (_softmax, _right)]
        pairs = [(order, belief) for belief in beliefs for order in orders]
        for number, (order, belief) in enumerate(pairs):
            found = information_curve(shown.pictures[place], order, belief, seen)
            if found is not None:
                heights[number, place] = found.height
    return {"heights": heights}


def _softmax(model: AuditedModel, target: int, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return model.probabilities(pictures)[:, target]


def _right(model: AuditedModel, target: int, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    right: NDArray[np.float64] = (model.decided(pictures) == target).astype(np.float64)
    return right


def _section(audited: Audited) -> Section:
    table = []
    for name, rows in zip(CURVES, audited.found[NAME]["heights"], strict=True):
        known = [InformationCurve(row, 0.0) for row in rows if not np.isnan(row).any()]
        area = f"{aggregated(known).area:.3f}" if known else "–"
        table.append((name, area, str(len(known))))
    return Section(
        "Information that the maps reveal",
        [
            "Area under the median curve of the model's belief (SIC) or correctness (AIC) against "
            "the information of a partly revealed picture. Maps that rank the right pixels first "
            "have a larger area than a random order. Pictures are left out if the model is not "
            "sure of them, or knows them by one pixel in a hundred.",
        ],
        header=("curve", "area", "pictures"),
        table=table,
    )


CURVE_STEP = Step(NAME, (MAPS,), _compute, lambda audited: (), _section, on_request=True)
