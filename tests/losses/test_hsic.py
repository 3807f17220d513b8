"""HSIC against its definition over all quadruples in float64, a value by hand, properties."""

import itertools
import math

import numpy as np
import pytest
import torch

from debias.losses.hsic import (
    HSIC,
    hsic_biased,
    hsic_unbiased,
    linear_kernel,
    median_distance,
    rbf_kernel,
)
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)


def features(samples: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(
        samples, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def dependent(samples: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    x = features(samples, 3)
    return x, torch.tanh(x[:, :2]) + 0.3 * features(samples, 2, seed=1)


X, Y = dependent()
KERNELS = {
    "rbf": lambda x: [
        [math.exp(-sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) / 2) for q in x] for p in x
    ],
    "linear": lambda x: [[sum(a * b for a, b in zip(p, q, strict=True)) for q in x] for p in x],
}


def over_quadruples(kx, ky):
    """The U-statistic: mean over different i, j, q, r of K_ij L_ij + K_ij L_qr - 2 K_ij L_iq."""
    quadruples = list(itertools.permutations(range(len(kx)), 4))
    return sum(kx[i][j] * (ky[i][j] + ky[q][r] - 2 * ky[i][q]) for i, j, q, r in quadruples) / len(
        quadruples
    )


def by_traces(kx, ky):
    """tr(KHLH) / (m - 1)^2 with the matrices written out."""
    m = len(kx)
    h = np.eye(m) - np.ones((m, m)) / m
    return np.trace(np.array(kx) @ h @ np.array(ky) @ h) / (m - 1) ** 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("estimator", "definition"), [("unbiased", over_quadruples), ("biased", by_traces)]
)
@pytest.mark.parametrize("samples", [4, 7])
def test_equals_the_definition(kernel, estimator, definition, samples):
    x, y = dependent(samples)
    expected = definition(KERNELS[kernel](x.tolist()), KERNELS[kernel](y.tolist()))
    assert HSIC(kernel=kernel, estimator=estimator)(x, y).item() == pytest.approx(
        expected, rel=1e-10
    )


def test_hand_derived_values():
    """x = y = 0, 1, 2, 3 under a linear kernel, whose diagonal 0, 1, 4, 9 is not constant.

    Off the diagonal K holds 0, 0, 0, 2, 3, 6, twice each: tr = 2 (4 + 9 + 36) = 98; the sum is 22,
    the row sums are 0, 5, 8, 9 and their squares add to 170. Unbiased: (98 + 22^2 / 6 - 170) / 4 =
    13/6. Biased: HKH is the product of x - 1.5 with itself, of squared norm 5^2; 25 / 3^2.
    """
    kernel = linear_kernel(torch.arange(4.0)[:, None])
    assert hsic_unbiased(kernel, kernel).item() == pytest.approx(13 / 6, rel=1e-6)
    assert hsic_biased(kernel, kernel).item() == pytest.approx(25 / 9, rel=1e-6)


def test_the_diagonal_is_cleared_not_subtracted_from_rows():
    """Whatever is on the diagonals, nothing changes; K - diag(K), row by row, would differ."""
    kx, ky = linear_kernel(X), linear_kernel(Y)
    other = hsic_unbiased(kx + torch.diag(torch.arange(7.0)), ky - torch.diag(torch.arange(7.0)))
    torch.testing.assert_close(other, hsic_unbiased(kx, ky))
    tilted_x, tilted_y = kx - kx.diagonal(), ky - ky.diagonal()
    slip = (tilted_x @ tilted_y).trace() + tilted_x.sum() * tilted_y.sum() / 30
    slip = (slip - 2 * tilted_x.sum(0) @ tilted_y.sum(0) / 5) / 28
    assert not math.isclose(slip.item(), hsic_unbiased(kx, ky).item(), rel_tol=0.05)


@pytest.mark.parametrize("kernel", KERNELS)
def test_independent_features_give_zero_in_the_mean(kernel):
    """3,000 draws of 6 samples: unbiased within 4 standard errors of 0; biased is over 20 above."""
    x, y = features(18000, 2).split(6), features(18000, 1, seed=1).split(6)
    means, errors = [], []
    for estimator in ("unbiased", "biased"):
        hsic = HSIC(kernel=kernel, estimator=estimator)
        values = torch.stack([hsic(a, b) for a, b in zip(x, y, strict=True)])
        means.append(values.mean().item())
        errors.append(values.std().item() / 3000**0.5)
    assert abs(means[0]) < 4 * errors[0]
    assert means[1] > 20 * errors[1]


def test_unbiased_hsic_may_be_negative_and_grows_with_dependence():
    """A U-statistic of mean zero is negative about half of the time, so nothing may clamp it."""
    hsic = HSIC()
    values = [
        hsic(a, b).item()
        for a, b in zip(features(400, 2).split(4), features(400, 2, 1).split(4), strict=True)
    ]
    assert 20 < sum(value < 0 for value in values) < 80
    x, noise = features(200, 2), features(200, 2, seed=1)
    growing = [
        hsic(x, x * share + noise * (1 - share)).item() for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert growing == sorted(growing)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_properties(kernel, estimator):
    hsic = HSIC(kernel=kernel, estimator=estimator)
    assert_permutation_invariant(hsic, X, Y)
    assert_pure(hsic, X, Y)
    torch.testing.assert_close(hsic(X, Y), hsic(Y, X))
    torch.testing.assert_close(hsic(X, torch.ones(7, 2)), torch.tensor(0.0, dtype=torch.float64))
    assert_differentiable(hsic, X, Y)
    assert_differentiable(lambda y: hsic(X, y), Y)


def test_far_from_the_origin():
    """RBF distances do not know the origin: float32 features moved by 1,000 keep their HSIC."""
    x, y = X.float(), Y.float()
    torch.testing.assert_close(HSIC()(x + 1000, y - 1000), HSIC()(x, y), rtol=2e-3, atol=0)


def test_small_values_are_exact_in_float32():
    """Near constant kernels, sums of 256^2 ones cancel: float32 and float64 agree to 1e-3."""
    x, y = 0.05 * features(256, 8), 0.05 * features(256, 8, seed=1)
    expected = HSIC()(x, y)
    assert abs(expected.item()) < 1e-6
    torch.testing.assert_close(HSIC()(x.float(), y.float()).double(), expected, rtol=1e-3, atol=0)


def test_maps_are_flattened():
    x = features(7, 12)
    torch.testing.assert_close(HSIC()(x.reshape(7, 3, 2, 2), Y), HSIC()(x, Y))


@pytest.mark.parametrize("kernel", KERNELS)
def test_autocast_changes_nothing(kernel):
    x, y = X.float(), Y.float()
    hsic = HSIC(kernel=kernel)
    expected, sigma = hsic(x, y), median_distance(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(hsic(x, y), expected)
        assert torch.equal(median_distance(x), sigma)
        found = hsic(x.bfloat16(), y.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, hsic(x.bfloat16().float(), y.bfloat16().float()))


def test_bandwidths():
    """Twice the features at twice the bandwidth: the same kernel; bandwidths belong to features."""
    torch.testing.assert_close(rbf_kernel(2 * X, sigma=2.0), rbf_kernel(X))
    expected = hsic_unbiased(rbf_kernel(X, sigma=0.5), rbf_kernel(Y, sigma=torch.tensor(3.0)))
    torch.testing.assert_close(HSIC()(X, Y, sigma_x=0.5, sigma_y=torch.tensor(3.0)), expected)


@pytest.mark.parametrize("samples", [4, 5, 9])
def test_median_distance_equals_numpy(samples):
    x = features(samples, 3)
    expected = math.sqrt(np.median([sum((p - q) ** 2) for p in x.numpy() for q in x.numpy()]))
    assert median_distance(x).item() == pytest.approx(expected, rel=1e-10)


def test_median_distance_by_hand():
    """0, 1, 3: squared distances 0 three times, 1, 4 and 9 twice each; the fifth of nine is 1."""
    assert median_distance(torch.tensor([[0.0], [1.0], [3.0]])).item() == pytest.approx(1.0)


def test_equal_features_have_a_bandwidth_and_no_dependence():
    equal = torch.ones(6, 2, requires_grad=True)
    sigma = median_distance(equal)
    hsic = HSIC()(equal, features(6, 2).float(), sigma_x=sigma)
    (gradient,) = torch.autograd.grad(hsic, equal)
    assert (hsic.item(), gradient.abs().max().item()) == (0.0, 0.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_traces_to_one_graph(kernel):
    assert_one_graph(HSIC(kernel=kernel), X, Y)


def test_refuses_small_batches():
    with pytest.raises(
        ValueError, match="must be at least 4 for this HSIC; got 3: raise batch_size"
    ):
        HSIC()(X[:3], Y[:3])
    with pytest.raises(ValueError, match="must be at least 2 for this HSIC; got 1"):
        HSIC(estimator="biased")(X[:1], Y[:1])


@pytest.mark.parametrize("options", [{"kernel": "cosine"}, {"estimator": "unbaised"}])
def test_refuses_unknown_names(options):
    with pytest.raises(
        ValueError, match=f"must be one of .* for HSIC; got '{next(iter(options.values()))}'"
    ):
        HSIC(**options)
