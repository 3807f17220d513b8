"""elastic_norm by hand, by singular values in float64, by its inequalities, and over processes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from debias.losses.elastic import elastic_norm
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)
from tests.two_ranks import found_by_both

FEATURES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
nuclear_norm = partial(elastic_norm, nuclear=1.0, frobenius=0.0)
frobenius_norm = partial(elastic_norm, nuclear=0.0, frobenius=1.0)


def test_by_hand():
    """diag(3, 4): (0.1 * (3 + 4) + 0.01 * (9 + 16)) / 2 = 0.475."""
    found = elastic_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), nuclear=0.1, frobenius=0.01)
    assert found.item() == pytest.approx(0.475)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 2, 3, 1), (1, 24)])
def test_equals_the_singular_values_of_numpy(shape):
    features = FEATURES.reshape(shape)
    values = np.linalg.svd(features.reshape(shape[0], -1).numpy(), compute_uv=False)
    expected = (0.3 * values.sum() + 0.2 * (values**2).sum()) / shape[0]
    assert elastic_norm(features, nuclear=0.3, frobenius=0.2).item() == pytest.approx(expected)


def test_of_one_direction_both_norms_agree():
    """Z = a b^T has one singular value, |a| |b|: here 5 * 3."""
    features = torch.outer(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0, 2.0]))
    assert nuclear_norm(features).item() == pytest.approx(15 / 2)
    assert frobenius_norm(features).item() == pytest.approx(15**2 / 2)


def test_the_nuclear_norm_lies_between_the_frobenius_norm_and_that_times_the_root_of_the_rank():
    nuclear, frobenius = 6 * nuclear_norm(FEATURES), (6 * frobenius_norm(FEATURES)).sqrt()
    assert frobenius < nuclear < 2 * frobenius


def test_a_rotation_of_the_features_changes_nothing():
    rotation, _ = torch.linalg.qr(FEATURES[:4])
    torch.testing.assert_close(elastic_norm(FEATURES @ rotation), elastic_norm(FEATURES))


def test_the_gradient_is_that_of_the_singular_vectors():
    """d|Z|_* / dZ = U V^T at full rank, and d|Z|_F^2 / dZ = 2 Z."""
    features = FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nuclear_norm(features), features)
    u, _, vh = torch.linalg.svd(FEATURES, full_matrices=False)
    torch.testing.assert_close(gradient, u @ vh / 6)
    (gradient,) = torch.autograd.grad(frobenius_norm(features), features)
    torch.testing.assert_close(gradient, FEATURES / 3)


@pytest.mark.parametrize(
    "features",
    [
        torch.zeros(4, 3),
        torch.ones(4, 3),
        1e4 * torch.eye(4),
        torch.ones(1, 5),
        1e-20 * torch.eye(3),
    ],
    ids=["zero", "one direction", "equal values", "one sample", "tiny"],
)
def test_values_that_repeat_or_vanish_have_a_bounded_gradient(features):
    features = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nuclear_norm(features), features)
    assert torch.linalg.matrix_norm(len(features) * gradient, ord=2) < 1 + 1e-5


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("frobenius", [0.0, 0.2])
def test_the_norm_of_features_that_are_not_finite_is_not_finite(value, frobenius):
    features = FEATURES.clone()
    features[2, 1] = value
    assert not elastic_norm(features, nuclear=0.3, frobenius=frobenius).isfinite()


def test_properties():
    norm = partial(elastic_norm, nuclear=0.3, frobenius=0.2)
    assert_permutation_invariant(norm, FEATURES)
    assert_pure(norm, FEATURES)
    assert_differentiable(norm, FEATURES)
    assert_one_graph(norm, FEATURES)
    assert_read_in_float32(norm, FEATURES)


def test_the_norm_without_weight_is_0():
    assert elastic_norm(FEATURES, nuclear=0.0, frobenius=0.0).item() == 0


SHARDS = (slice(0, 4), slice(4, 6))


def on_rank(rank: int) -> dict[str, Tensor]:
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    value = elastic_norm((FEATURES * weight)[SHARDS[rank]], nuclear=0.3, frobenius=0.2)
    (gradient,) = torch.autograd.grad(value, weight)
    return {"value": value.detach(), "gradient": gradient}


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    """Singular values of the joined batch are not those of its parts."""
    ranks = found_by_both(on_rank, tmp_path)
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    value = elastic_norm(FEATURES * weight, nuclear=0.3, frobenius=0.2)
    (gradient,) = torch.autograd.grad(value, weight)
    for rank in ranks:
        torch.testing.assert_close(rank["value"], value.detach(), rtol=1e-12, atol=0)
    mean = (ranks[0]["gradient"] + ranks[1]["gradient"]) / 2
    torch.testing.assert_close(mean, gradient, rtol=1e-9, atol=1e-12)
