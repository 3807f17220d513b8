"""CORALLoss and MMDLoss against their definitions in float64, and what they must leave alone."""

import itertools
import math

import pytest
import torch

from debias.losses.feature_distances import CORALLoss, MMDLoss
from tests.properties import (
    assert_differentiable,
    assert_ignores,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

GENERATOR = torch.Generator().manual_seed(0)
ENVIRONMENT = torch.tensor([0, 1, 0, 2, 1, 0, 2, 2, 0, 1, 2, 2, 0, 1])
FEATURES = (
    torch.randn(14, 3, generator=GENERATOR, dtype=torch.float64) * (1 + ENVIRONMENT[:, None])
    + ENVIRONMENT[:, None]
)
ALL = torch.ones(3, 3, dtype=torch.bool)
LOSSES = {
    "domainbed": CORALLoss(),
    "paper": CORALLoss(form="paper"),
    "biased": MMDLoss(),
    "unbiased": MMDLoss(gammas=(0.01, 0.3), unbiased=True),
}


def coral(x, y, *, means, factor):
    size = x.shape[1]
    distance = factor * (x.T.cov() - y.T.cov()).square().sum() / size**2
    return distance + (x.mean(dim=0) - y.mean(dim=0)).square().sum() / size if means else distance


def mmd(x, y, *, gammas, unbiased):
    """Kernel by kernel and pair by pair."""

    def mean(first, second, same):
        pairs = itertools.product(range(len(first)), range(len(second)))
        values = [
            sum(torch.exp(-gamma * (first[i] - second[j]).square().sum()) for gamma in gammas)
            for i, j in pairs
            if not (same and unbiased and i == j)
        ]
        return sum(values) / len(values)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


DEFINITIONS = {
    "domainbed": lambda x, y: coral(x, y, means=True, factor=1.0),
    "paper": lambda x, y: coral(x, y, means=False, factor=0.25),
    "biased": lambda x, y: mmd(
        x, y, gammas=[10.0**power for power in range(-3, 4)], unbiased=False
    ),
    "unbiased": lambda x, y: mmd(x, y, gammas=[0.01, 0.3], unbiased=True),
}


def expected(name, features, environment, pairs):
    rows = [features[environment == number] for number in range(3)]
    return sum(DEFINITIONS[name](rows[first], rows[second]) for first, second in pairs) / len(pairs)


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_definition_in_value_and_gradient(name):
    features = FEATURES.clone().requires_grad_()
    by_hand = expected(name, features, ENVIRONMENT, [(0, 1), (0, 2), (1, 2)])
    loss = LOSSES[name](features, ENVIRONMENT, ALL)
    torch.testing.assert_close(loss, by_hand)
    own, other = (torch.autograd.grad(value, features)[0] for value in (loss, by_hand))
    torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_compared_pairs_count(name):
    """Of a symmetric matrix each pair counts once; what is on or below the diagonal is not read."""
    compared = torch.zeros(3, 3, dtype=torch.bool)
    compared[0, 2] = compared[1, 2] = True
    by_hand = expected(name, FEATURES, ENVIRONMENT, [(0, 2), (1, 2)])
    torch.testing.assert_close(LOSSES[name](FEATURES, ENVIRONMENT, compared), by_hand)
    symmetric = compared | compared.T | torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close(LOSSES[name](FEATURES, ENVIRONMENT, symmetric), by_hand)
    assert LOSSES[name](FEATURES, ENVIRONMENT, compared.T).item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_an_environment_of_one_sample_contributes_nothing(name):
    """One sample of environment 1 and none of 3: 0 and 2 are compared; no gradient is NaN."""
    keep = (ENVIRONMENT != 1) | (torch.arange(14) == 4)
    features, environment = FEATURES[keep].clone().requires_grad_(), ENVIRONMENT[keep]
    loss = LOSSES[name](features, environment, torch.ones(4, 4, dtype=torch.bool))
    torch.testing.assert_close(loss, expected(name, features, environment, [(0, 2)]))
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient[environment == 1].abs().max() < 1e-12
    assert gradient[environment != 1].ne(0).any()
    alone = LOSSES[name](features[environment == 0], environment[environment == 0], ALL)
    assert alone.item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_properties(name):
    def loss(features, environment):
        return LOSSES[name](features, environment, ALL)

    assert_permutation_invariant(loss, FEATURES, ENVIRONMENT)
    assert_pure(loss, FEATURES, ENVIRONMENT)
    environment = torch.where(torch.arange(14) % 5 == 1, -1, ENVIRONMENT)
    assert_ignores(
        lambda column, rows: loss(column[:, None], rows),
        FEATURES[:, 0],
        environment,
        environment < 0,
    )
    assert_differentiable(loss, FEATURES, ENVIRONMENT)
    assert_one_graph(LOSSES[name], FEATURES, ENVIRONMENT, ALL)
    maps = FEATURES.reshape(14, 3, 1, 1)
    torch.testing.assert_close(loss(maps, ENVIRONMENT), loss(FEATURES, ENVIRONMENT))


@pytest.mark.parametrize("name", LOSSES)
def test_equal_samples_have_no_distance_and_moved_ones_have(name):
    """Every sample in environment 0 and in 1: all moments and means of kernels agree. Biased MMD
    counts i = j in the cross term as within, so it is 0; unbiased leaves them out within only, and
    is below 0."""
    features, environment = torch.cat([FEATURES, FEATURES]), torch.arange(2).repeat_interleave(14)
    loss = LOSSES[name](features, environment, ALL[:2, :2]).item()
    assert loss < -0.01 if name == "unbiased" else abs(loss) < 1e-9
    moved = torch.cat([FEATURES, 2 * FEATURES + 1])
    assert LOSSES[name](moved, environment, ALL[:2, :2]).item() > loss + 0.1


def test_coral_by_hand():
    """x in {0, 2} and {3, 3}: means 1 and 3, variances 2 and 0. (3 - 1)^2 + (2 - 0)^2 = 8; paper: 4
    / 4 = 1.
    """
    features, environment = torch.tensor([[0.0], [2.0], [3.0], [3.0]]), torch.tensor([0, 0, 1, 1])
    assert CORALLoss()(features, environment, ALL[:2, :2]).item() == pytest.approx(8)
    assert CORALLoss(form="paper")(features, environment, ALL[:2, :2]).item() == pytest.approx(1)


def test_mmd_by_hand():
    """x in {0, 1} and {0, 1}, gamma 1: within and across (2 + 2/e) / 4, so 0 when biased; 2/e - (1
    + 1/e) if not.
    """
    features, environment = torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.tensor([0, 0, 1, 1])
    assert MMDLoss(gammas=[1.0])(features, environment, ALL[:2, :2]).item() == pytest.approx(
        0, abs=1e-6
    )
    unbiased = MMDLoss(gammas=[1.0], unbiased=True)(features, environment, ALL[:2, :2]).item()
    assert unbiased == pytest.approx(1 / math.e - 1)


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_changes_nothing(name):
    features = FEATURES.float()
    plain = LOSSES[name](features, ENVIRONMENT, ALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(LOSSES[name](features, ENVIRONMENT, ALL), plain)
    assert LOSSES[name](features.bfloat16(), ENVIRONMENT, ALL).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CORALLoss(form="code"), "form must be one of domainbed, paper for CORAL"),
        (lambda: MMDLoss(gammas=()), r"gammas=\[\]"),
        (lambda: MMDLoss(gammas=(1.0, 0.0)), r"gammas\[1\] must be positive for MMD; got 0\.0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
