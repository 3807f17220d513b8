"""Context and artifacts: worked examples, reference results, loops and scikit-learn."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from debias.metrics.accuracy.uncertainty import percentile_interval
from debias.metrics.leakage.artifacts import resampled_auroc
from debias.metrics.scores.ranking import auroc, average_precision
from debias.metrics.shortcuts.context import (
    ContextPair,
    biased_pairs,
    context_report,
    contextual_bias,
    cooccurring_precision,
    exclusive_precision,
)
from tests.metrics.golden_cases import golden_record

golden = partial(golden_record, "contextual_bias.json")
nan = math.nan


def test_reference_context():
    case = golden("contextual_bias_score_and_exclusive_ap")
    inputs, expected = case["inputs"], case["expected"]
    scores = torch.tensor(inputs["scores"], dtype=torch.float64)
    labels = torch.tensor(inputs["labels"])
    pair = ContextPair(inputs["b"], inputs["c"])
    shown = labels[:, pair.label] == 1
    found = {
        "bias": contextual_bias(scores, labels, pair),
        "cooccur_ap": cooccurring_precision(scores, labels, pair),
        "exclusive_ap": exclusive_precision(scores, labels, pair),
        "overall_ap": average_precision(scores[:, pair.label], shown),
    }
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name], abs=case["tolerance"]), name


def test_worked_context():
    """Label 0, context 1. With context .9 and .7, alone .4, without the label .5 and .1: bias .8 /
    .4 = 2.

    Exclusive: .4 among .5 .1 is second: 1/2. Co-occurring: .9 .7 above both: 1.
    """
    first = torch.tensor([0.9, 0.7, 0.4, 0.5, 0.1], dtype=torch.float64)
    scores = torch.stack((first, torch.full_like(first, 0.6), torch.full_like(first, 0.2)), dim=1)
    labels = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    pair = ContextPair(0, 1)
    assert contextual_bias(scores, labels, pair).item() == pytest.approx(2.0)
    assert (
        exclusive_precision(scores, labels, pair),
        cooccurring_precision(scores, labels, pair),
    ) == (0.5, 1.0)
    names = ("b", "c", "never")
    report = context_report(scores, labels, [pair, ContextPair(2, 1)], names)
    expected = {
        "contextual_bias": 2.0,
        "exclusive_precision": 0.5,
        "cooccurring_precision": 1.0,
    }
    pairs = {f"{name}/b|c": value for name, value in expected.items()}
    undefined = dict.fromkeys((f"{name}/never|c" for name in expected), nan)
    # b: 1, 1 and 3/4; c in a row of ties: 3/5; the third label never occurs
    means = {**expected, "context_gap": 0.5, "mean_precision": (11 / 12 + 3 / 5) / 2}
    assert report == pytest.approx({**means, **pairs, **undefined}, nan_ok=True)


def test_an_empty_side_is_undefined():
    """The reference returns 0 there."""
    scores, labels = torch.tensor([[0.5, 0.5], [0.5, 0.5]]), torch.tensor([[1, 1], [0, 1]])
    for pair in (ContextPair(0, 1), ContextPair(1, 0)):
        assert contextual_bias(scores, labels, pair).isnan() == (pair == ContextPair(0, 1))
    assert exclusive_precision(scores, labels, ContextPair(0, 1)).isnan()
    assert contextual_bias(
        torch.zeros(2, 2), torch.tensor([[1, 1], [1, 0]]), ContextPair(0, 1)
    ).isnan()
    report = context_report(scores, labels, [], ("b", "c"))
    # both labels are ties: 1/2 and 1
    assert report.pop("mean_precision") == 0.75
    assert len(report) == 4
    assert all(math.isnan(value) for value in report.values())


def test_biased_pairs_are_the_strongest_context_of_each_label():
    """Label 0 is shown 4 times: twice beside 1 (.8 .6, alone .2 .2: bias 3.5), once beside 2 (.8,
    alone .6 .2 .2: 2.4).

    Label 1 never without 0, so beside 2 alone (.6 of 1 score with, .5 without: 1.2). Label 2 is
    always beside both.
    """
    labels = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    scores = torch.tensor(
        [[0.8, 0.6, 0.9], [0.6, 0.5, 0], [0.2, 0, 0], [0.2, 0, 0]], dtype=torch.float64
    )
    assert biased_pairs(scores, labels) == [ContextPair(0, 1), ContextPair(1, 2)]
    assert biased_pairs(scores, labels, top=1) == [ContextPair(0, 1)]
    # beside 1 in half of the images of 0, beside 2 in half of those of 1
    assert biased_pairs(scores, labels, share=0.5) == [ContextPair(0, 1), ContextPair(1, 2)]
    assert biased_pairs(scores, labels, share=0.51) == []
    # other images say which labels are common together
    alone = torch.tensor([[0, 1, 1], [1, 0, 0]])
    assert biased_pairs(scores, labels, shared=alone) == [ContextPair(1, 2)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_context_agrees_with_scikit_learn(seed, count):
    """Ties are common, since scores have one decimal."""
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 10).round() / 10
    labels = (torch.rand(count, 2, generator=generator) < 0.5).long()
    shown, beside = labels.bool().T
    for function, chosen in (
        (exclusive_precision, shown & ~beside),
        (cooccurring_precision, shown & beside),
    ):
        rows = chosen | ~shown
        expected = average_precision_score(chosen[rows], scores[rows, 0]) if chosen.any() else nan
        assert function(scores, labels, ContextPair(0, 1)).item() == pytest.approx(
            expected, abs=1e-12, nan_ok=True
        )


# --- artifacts ---


def test_perfect_and_constant_scores():
    """Every resample of separated scores has area 1, of constant ones 1/2."""
    positive = torch.tensor([True, True, False, False, False])
    generator = torch.Generator().manual_seed(0)
    for scores, area in ((positive.double(), 1.0), (torch.zeros(5), 0.5)):
        assert set(resampled_auroc(scores, positive, generator=generator).tolist()) == {area}


def test_the_interval_has_the_width_of_the_area_s_standard_error():
    """Uniform scores of 80 and 80: the variance of the area is (n + m + 1) / 12 n m, so 1.96
    standard errors are .0898.

    The interval holds the area itself, and narrows with a lower level.
    """
    generator = torch.Generator().manual_seed(0)
    positive = torch.arange(160) < 80
    scores = torch.rand(160, generator=generator)
    areas = resampled_auroc(scores, positive, generator=generator)
    low, high = percentile_interval(areas)
    assert low < auroc(scores, positive) < high
    assert (high - low).item() / 2 == pytest.approx(
        1.96 * math.sqrt(161 / (12 * 80 * 80)), rel=0.15
    )
    narrow = percentile_interval(areas, level=0.5)
    assert narrow.high - narrow.low < (high - low) / 2


def test_an_attribute_of_one_value_has_no_area():
    generator = torch.Generator().manual_seed(0)
    found = resampled_auroc(
        torch.rand(3), torch.ones(3, dtype=torch.bool), generator=generator, resamples=4
    )
    assert found.isnan().tolist() == [True] * 4
