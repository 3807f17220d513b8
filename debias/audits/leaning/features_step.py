"""The step of spuriosity ranking: features of the model on which its accuracy depends."""

from __future__ import annotations

import math

import numpy as np

from debias.audits.leaning.reliance import FeatureGap, spuriosity_gaps
from debias.audits.leaning.rows import held_out, model_of, no_run, percent
from debias.audits.lines import AuditLine, Section, Strip
from debias.audits.steps import Arrays, Audited, Step
from debias.models.last_layers import linear_layer

NAME = "features"
#: Pictures that are ranked, and the number at each end of a ranking.
MOST, ENDS = 600, 100
#: Gap from which on a feature is shown.
SHOWN_GAP = 0.2
#: Most features that are shown, and pictures at each end.
FEATURES, PICTURES = 3, 6


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    if audited.model.network.strategy is not None:
        return "the head alone does not decide"
    return "" if hasattr(audited.model.network.model.head, "weight") else "the head is not linear"


def _compute(audited: Audited) -> Arrays:
    shown, model = held_out(audited, MOST), model_of(audited)
    weight = linear_layer(model.network.model.head).get_parameter("weight")
    return {
        "positions": shown.positions,
        "decided": model.decided(shown.pictures),
        "features": model.features(shown.pictures),
        "weight": weight.detach().float().cpu().numpy(),
    }


def _gaps(audited: Audited) -> list[FeatureGap]:
    """The features whose gap is shown: great, and too great for chance."""
    arrays = audited.found[NAME]
    target = audited.target[arrays["positions"]]
    gaps = spuriosity_gaps(
        np.asarray(arrays["features"], np.float32),
        np.asarray(arrays["weight"], np.float32),
        target,
        np.asarray(arrays["decided"] == target),
        images=ENDS,
    )
    sizes = np.bincount(target)
    return [
        gap
        for gap in gaps
        if gap.gap >= SHOWN_GAP and _certain(gap, min(ENDS, sizes[gap.target] // 2))
    ]


def _certain(gap: FeatureGap, images: int) -> bool:
    """Whether the gap is above three standard errors: many features are looked at."""
    shares = [(images * share + 1) / (images + 2) for share in (gap.top, gap.bottom)]
    error = math.sqrt(sum(share * (1 - share) / (images + 2) for share in shares))
    return gap.gap > 3 * error


def _lines(audited: Audited) -> list[AuditLine]:
    return [_line(gap, audited) for gap in _gaps(audited)[:1]]


def _line(gap: FeatureGap, audited: Audited) -> AuditLine:
    name = audited.classes[gap.target]
    words = f"accuracy on {name} {percent(gap.top)} where this feature is strongest, "
    words += f"{percent(gap.bottom)} where it is weakest: look at the pictures"
    positions = audited.found[NAME]["positions"]
    rows = tuple(int(positions[row]) for row in gap.highest[:PICTURES])
    measure = "difference of accuracies"
    strength, title = "some", f"feature {gap.feature}"
    return AuditLine(
        "taken", title, strength, words, gap.gap, chance=0.0, measure=measure, rows=rows
    )


def _section(audited: Audited) -> Section | None:
    gaps = _gaps(audited)
    if not gaps:
        return None
    positions = audited.found[NAME]["positions"]
    strips = []
    for gap in gaps[:FEATURES]:
        for end, places in (("strongest", gap.highest), ("weakest", gap.lowest)):
            title = f"{audited.classes[gap.target]}, feature {gap.feature} {end}"
            rows = tuple(int(positions[place]) for place in places[:PICTURES])
            strips.append(Strip(title, rows))
    return Section(
        "Features on which accuracy depends",
        [
            "The held-out images of a class are ranked by a feature that the model uses for it. "
            "You decide whether the feature is the object. If it is not, the class has a shortcut.",
        ],
        header=("class", "feature", "accuracy where strongest", "where weakest", "gap"),
        table=[
            (
                audited.classes[gap.target],
                str(gap.feature),
                percent(gap.top),
                percent(gap.bottom),
                f"{100 * gap.gap:.0f}",
            )
            for gap in gaps[:10]
        ],
        strips=strips,
    )


RANKING_STEP = Step(NAME, (), _compute, _lines, _section, _unavailable)
