"""The step of variance: how much of a run's features the class explains, and how much each cue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.groups import GROUPS, proposals
from debias.audits.leaning.rows import held_out, model_of, no_run
from debias.audits.lines import Section, ValueBar
from debias.audits.steps import Arrays, Audited, Step
from debias.metrics.leakage.variance import variance_report

VARIANCE = "variance"
#: Most held-out pictures whose features are read.
MOST = 1000
#: Name of the bias labels in the table.
LABELS = "bias labels"
#: Columns of the table.
HEADER = ("cue", "explains", "alone", "class explains", "alone", "cue by chance", "images")


class ExplainedVariance(NamedTuple):
    """Shares of the variance of features: eta squared, in [0, 1].

    Attributes:
        target: what the class explains.
        attribute: what a cue or the bias labels explain.
        attribute_alone: what the attribute explains beyond the class.
        target_alone: what the class explains beyond the attribute.
        chance: what the attribute would explain on average if it were drawn at random.
        images: number of pictures with a known attribute.
    """

    target: float
    attribute: float
    attribute_alone: float
    target_alone: float
    chance: float
    images: int


def explained_variance(
    features: NDArray[np.float32], target: NDArray[np.int64], attribute: NDArray[np.int64]
) -> ExplainedVariance:
    r"""How much of the variance of features the class explains, and how much an attribute.

    With :math:`\eta^2` of :func:`debias.metrics.leakage.variance.variance_explained`, what a alone
    explains is :math:`\eta^2_{(y, a)} - \eta^2_y`. By chance, K values explain (K - 1) / (N - 1).

    Args:
        features: ``(N, D)`` features.
        target: ``(N,)`` classes.
        attribute: ``(N,)`` values of the attribute; rows with -1 are left out.

    Example:
        >>> z, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 0, 1, 1])
        >>> explained_variance(z, y, np.array([0, 1, 0, 1]))[:4]
        (1.0, 0.0, 0.0, 1.0)
    """
    known = attribute >= 0
    z, y, a = (torch.from_numpy(part[known]) for part in (features, target, attribute))
    one, other = variance_report(z, a, y), variance_report(z, y, a)
    return ExplainedVariance(
        one["variance/target"],
        one["variance/bias"],
        one["variance/bias_alone"],
        other["variance/bias_alone"],
        (len(np.unique(attribute[known])) - 1) / max(len(a) - 1, 1),
        len(a),
    )


def _attributes(
    audited: Audited, positions: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Name and values of each proposal, and of the bias labels if some are known."""
    rows = audited.rows[positions]
    for one in proposals(audited):
        yield one.title, one.word[rows]
    bias = audited.examples.bias.numpy()[rows]
    if (bias >= 0).any():
        yield LABELS, bias


def _compute(audited: Audited) -> Arrays:
    shown = held_out(audited, MOST)
    features = model_of(audited).features(shown.pictures)
    named = dict(_attributes(audited, shown.positions))
    found = [explained_variance(features, shown.target, values) for values in named.values()]
    return {"names": np.array(list(named), np.str_), "numbers": np.array(found)}


def _section(audited: Audited) -> Section | None:
    arrays = audited.found[VARIANCE]
    rows = [ExplainedVariance._make(row) for row in arrays["numbers"].tolist()]
    if not rows or np.isnan(rows[0].target):  # no held-out bias label, or constant features
        return None
    named = list(zip(arrays["names"].tolist(), rows, strict=True))
    return Section(
        "What the features hold",
        [
            "Share of the variance of the model's features on held-out images that the class, what "
            "a cue says, or the bias labels explain. Alone is what one explains beyond the other. "
            "These shares are no findings: features may hold what the last layer ignores.",
        ],
        bars=[
            ValueBar("class", rows[0].target),
            *(ValueBar(name, one.attribute) for name, one in named),
        ],
        header=HEADER,
        table=[
            (name, *map(_share, (one[1], one[2], one[0], one[3], one.chance)), f"{one.images:,.0f}")
            for name, one in named
        ],
    )


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f} %"


def _unavailable(audited: Audited) -> str:
    if audited.model is None:
        return no_run(audited)
    known = bool((audited.examples.bias >= 0).any())
    there = known or len(audited.found.get(GROUPS, {}).get("cues", ())) > 0
    return "" if there else "no proposal of groups, and no bias labels"


VARIANCE_STEP = Step(VARIANCE, (GROUPS,), _compute, lambda audited: (), _section, _unavailable)
