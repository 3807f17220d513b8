"""The same labels in another number type change no metric: 0 and 1 are not row numbers."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from debias.metrics.amplification import counts as amplification_counts
from debias.metrics.discovery import errors as discovery
from debias.metrics.leakage import artifacts
from debias.metrics.leakage.amplification import leakage_report
from debias.metrics.leakage.attackers import BiasRows
from debias.metrics.leakage.probes import probe_report, v_information
from debias.metrics.scores import retrieval
from debias.metrics.scores.ranking import auroc, average_precision, pair_wins
from debias.metrics.scores.report import reliability_rows, scores_report
from debias.metrics.shortcuts import preferences as shortcuts
from debias.types import Groups

GROUPS = Groups(("0", "1"), ("x", "y"), aligned=((0, 0), (1, 1)))
LABELS = Groups(("not s", "s", "not b", "b"), ("x", "y"), multi_label=True)
DRAW = torch.Generator().manual_seed(0)
TARGET, BIAS = torch.randint(2, (2, 60), generator=DRAW)
PREDICTION = torch.where(torch.rand(60, generator=DRAW) < 0.7, TARGET, BIAS)
SCORE = torch.rand(60, generator=DRAW, dtype=torch.float64)
PAIR = torch.stack((1 - SCORE, SCORE), dim=1)
BOTH = torch.stack((TARGET, BIAS), dim=1)
FEATURES = torch.randn(60, 3, generator=DRAW, dtype=torch.float64) + BIAS[:, None]
MINORITY = (TARGET != BIAS).long()

Cast = Callable[[Tensor], Tensor]


def _artifacts(cast: Cast) -> Any:
    draw = torch.Generator().manual_seed(1)
    return artifacts.resampled_auroc(SCORE, cast(TARGET), generator=draw, resamples=20)


def _probe(cast: Cast) -> Any:
    halves = [BiasRows(FEATURES[part], cast(BIAS)[part]) for part in (slice(40), slice(40, 60))]
    return probe_report(FEATURES, cast(BIAS)), v_information(*halves)


MEASURES: dict[str, Callable[[Cast], Any]] = {
    "auroc": lambda cast: auroc(SCORE, cast(TARGET)),
    "average_precision": lambda cast: average_precision(SCORE, cast(TARGET)),
    "pair_wins": lambda cast: pair_wins(SCORE, cast(TARGET), cast(BIAS), biases=2),
    "artifacts": _artifacts,
    "probe": _probe,
    "slice_precision": lambda cast: retrieval.slice_precision(
        PAIR, cast(TARGET), cast(BIAS), cast(MINORITY)
    ),
    "class_discovery": lambda cast: discovery.class_discovery(
        cast(PREDICTION), cast(TARGET), cast(MINORITY)
    ),
    "scores": lambda cast: scores_report(PAIR, cast(TARGET), cast(BIAS), GROUPS),
    "scores of labels": lambda cast: scores_report(PAIR, cast(BOTH), cast(BIAS), LABELS),
    "shortcuts": lambda cast: shortcuts.shortcut_report(
        cast(PREDICTION), cast(TARGET), cast(BIAS), GROUPS
    ),
    "co_occurrence": lambda cast: amplification_counts.co_occurrence(cast(BOTH), cast(BOTH)),
    "leakage": lambda cast: leakage_report(PAIR, cast(TARGET), cast(BIAS), GROUPS, rounds=1),
    "leakage of labels": lambda cast: leakage_report(
        PAIR, cast(BOTH), cast(BIAS), LABELS, rounds=1
    ),
}


def plain(found: Any) -> list[float]:
    if isinstance(found, Tensor):
        return [float(value) for value in found.flatten()]
    if isinstance(found, dict):
        return plain(list(found.values()))
    if isinstance(found, tuple | list):
        return [value for part in found for value in plain(part)]
    return [float(found)] if isinstance(found, int | float) else []


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int32])
@pytest.mark.parametrize("name", MEASURES)
def test_the_number_type_of_the_labels_does_not_matter(name: str, dtype: torch.dtype) -> None:
    expected, found = (
        plain(MEASURES[name](partial(torch.Tensor.to, dtype=kind))) for kind in (torch.long, dtype)
    )
    assert expected
    assert found == pytest.approx(expected, nan_ok=True)


def test_labels_of_zero_and_one_are_no_row_numbers() -> None:
    """Positives .9 and .4, negatives .6 and .1: 3 of 4 pairs; precision 1, 2/3 at these."""
    score, positive = torch.tensor([0.9, 0.6, 0.4, 0.1]), torch.tensor([1, 0, 1, 0])
    assert auroc(score, positive).item() == 0.75
    assert average_precision(score, positive).item() == pytest.approx(5 / 6, abs=1e-12)


@pytest.mark.parametrize("groups", [GROUPS, LABELS])
def test_scores_of_nothing_are_undefined(groups: Groups) -> None:
    """No bias value is known, so that none has numbers of its own."""
    target = torch.zeros((0, 2) if groups.multi_label else 0, dtype=torch.long)
    facts = torch.zeros(0, 2), target, torch.zeros(0, dtype=torch.long), groups
    found = scores_report(*facts)
    assert found
    assert all(math.isnan(value) for value in found.values())
    assert all(row["samples"] == [0] * 15 for row in reliability_rows(*facts))
