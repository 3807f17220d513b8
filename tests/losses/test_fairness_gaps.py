"""The fairness gaps against fairlearn and the metrics of evaluation, by hand, and gradients."""

import pytest
import torch

from debias.losses.fairness_gaps import (
    demographic_parity_gap,
    equal_opportunity_gap,
    equalized_odds_gap,
)
from debias.metrics import joint_counts
from debias.metrics.fairness.rates import equalized_odds_mean, group_rates, rate_difference
from debias.types import Groups
from tests.properties import assert_one_graph, assert_permutation_invariant, assert_pure

generator = torch.Generator().manual_seed(0)
PROBABILITY = torch.rand(40, 3, generator=generator, dtype=torch.float64)
TARGET = torch.randint(3, (40,), generator=generator)
PRESENT = torch.nn.functional.one_hot(TARGET, 3)
BIAS = torch.randint(-1, 3, (40,), generator=generator)


def every(probability, present, bias, biases=3):
    return torch.stack(
        [
            demographic_parity_gap(probability, bias, biases=biases),
            equal_opportunity_gap(probability, present, bias, biases=biases),
            equalized_odds_gap(probability, present, bias, biases=biases),
        ]
    )


def naive_gap(probability, counted, bias):
    rates = []
    for b in set(bias) - {-1}:
        taken = [
            p for p, c, other in zip(probability, counted, bias, strict=True) if c and other == b
        ]
        rates += [sum(taken) / len(taken)] if taken else []
    return max(rates) - min(rates) if rates else 0.0


def test_equals_the_definition():
    found = every(PROBABILITY, PRESENT, BIAS)
    for outcome in range(3):
        probability, present = PROBABILITY[:, outcome].tolist(), PRESENT[:, outcome].tolist()
        absent = [1 - here for here in present]
        parity = naive_gap(probability, [1] * 40, BIAS.tolist())
        true, false = (
            naive_gap(probability, counted, BIAS.tolist()) for counted in (present, absent)
        )
        assert found[:, outcome].tolist() == pytest.approx(
            [parity, true, (true + false) / 2], rel=1e-12
        )


def test_by_hand():
    """Bias 0: 0.9, 0.5 of positives, 0.1 of a negative. Bias 1: 0.4; 0.3 and 0.2 of negatives.

    Parity 0.5 - 0.3 = 0.2; opportunity 0.7 - 0.4 = 0.3; false positives 0.25 - 0.1 = 0.15, odds
    0.225.
    """
    probability = torch.tensor([[0.9], [0.5], [0.1], [0.4], [0.3], [0.2]])
    present, bias = torch.tensor([[1], [1], [0], [1], [0], [0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert every(probability, present, bias, 2).flatten().tolist() == pytest.approx(
        [0.2, 0.3, 0.225]
    )


def test_with_decisions_for_probabilities_they_are_the_metrics_of_evaluation():
    groups = Groups(("a", "b", "c"), ("x", "y", "z"))
    choice = PROBABILITY.argmax(dim=1)
    rates = group_rates(joint_counts(choice, TARGET, BIAS, groups), groups)
    expected = [
        rate_difference(rates.selection),
        rate_difference(rates.true_positive),
        equalized_odds_mean(rates),
    ]
    found = every(torch.nn.functional.one_hot(choice, 3).double(), PRESENT, BIAS)
    torch.testing.assert_close(found, torch.stack(expected))


def test_with_decisions_for_probabilities_they_are_fairlearns():
    metrics = pytest.importorskip("fairlearn.metrics")
    known = BIAS >= 0
    choice, target, bias = PROBABILITY[known, 1].round(), PRESENT[known, 1], BIAS[known]
    features = {"sensitive_features": bias.numpy()}
    expected = [
        metrics.demographic_parity_difference(target.numpy(), choice.numpy(), **features),
        metrics.equal_opportunity_difference(target.numpy(), choice.numpy(), **features),
        metrics.equalized_odds_difference(target.numpy(), choice.numpy(), agg="mean", **features),
    ]
    assert every(choice[:, None], target[:, None], bias).flatten().tolist() == pytest.approx(
        expected
    )


def test_an_absent_value_of_the_bias_changes_nothing():
    assert torch.equal(every(PROBABILITY, PRESENT, BIAS, 3), every(PROBABILITY, PRESENT, BIAS, 5))


@pytest.mark.parametrize("bias", [torch.zeros(40, dtype=torch.int64), torch.full((40,), -1)])
def test_nothing_to_compare_costs_nothing(bias):
    probability = PROBABILITY.clone().requires_grad_()
    gaps = every(probability, PRESENT, bias)
    assert gaps.eq(0).all()
    (gradient,) = torch.autograd.grad(gaps.sum(), probability)
    assert gradient.eq(0).all()


def test_an_outcome_that_one_bias_lacks_is_not_compared():
    """Both positives have bias 0: no opportunity gap, and odds are half the gap of false positives,
    0.6 - 0.2.
    """
    probability = torch.tensor([[0.9], [0.8], [0.6], [0.2]])
    present, bias = torch.tensor([[1], [1], [0], [0]]), torch.tensor([0, 0, 0, 1])
    assert equal_opportunity_gap(probability, present, bias, biases=2).item() == 0
    assert equalized_odds_gap(probability, present, bias, biases=2).item() == pytest.approx(0.2)


def test_gradient_lowers_the_favoured_and_raises_the_other():
    """d gap / dp is 1 / n of the greatest rate, -1 / n of the least, and 0 of the one between and
    of the unknown.
    """
    probability = torch.tensor([[0.9], [0.7], [0.1], [0.5], [0.4]], requires_grad=True)
    gap = demographic_parity_gap(probability, torch.tensor([0, 0, 1, 2, -1]), biases=3)
    (gradient,) = torch.autograd.grad(gap.sum(), probability)
    assert gradient.flatten().tolist() == [0.5, 0.5, -1.0, 0.0, 0.0]


def test_a_fair_model_is_left_alone():
    probability = torch.full((6, 1), 0.3, requires_grad=True)
    gap = demographic_parity_gap(probability, torch.tensor([0, 0, 0, 1, 1, 1]), biases=2)
    assert gap.item() == 0
    assert torch.autograd.grad(gap.sum(), probability)[0].eq(0).all()


def test_properties():
    assert_permutation_invariant(every, PROBABILITY, PRESENT, BIAS)
    assert_pure(every, PROBABILITY, PRESENT, BIAS)
    assert every(PROBABILITY.bfloat16(), PRESENT, BIAS).dtype == torch.float32


def test_compiles_to_one_graph():
    assert_one_graph(every, PROBABILITY, PRESENT, BIAS)
