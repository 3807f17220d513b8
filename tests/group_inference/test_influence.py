"""The Hessian in closed form against autograd, and what self-influence measures."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.group_inference import influence
from debias.group_inference.influence import class_curvature, hessian, self_influence
from tests.fakes import seeded

ROWS, SIZE, CLASSES = 40, 3, 3


FEATURES = torch.randn(ROWS, SIZE, generator=seeded()).double()
INPUTS = F.pad(FEATURES, (0, 1), value=1.0)
TARGET = torch.randint(CLASSES, (ROWS,), generator=seeded(1))
WEIGHTS = torch.rand(ROWS, generator=seeded(2)).double()
HEAD = torch.randn(CLASSES, SIZE + 1, generator=seeded(3)).double()


def losses(head: Tensor) -> Tensor:
    return F.cross_entropy(INPUTS @ head.view(CLASSES, -1).T, TARGET, reduction="none")


def test_the_hessian_is_that_of_autograd() -> None:
    """Ordered by class, then by input; with lambda ||theta||^2, whose ridge is 2 lambda."""
    expected = torch.autograd.functional.hessian(
        lambda head: (WEIGHTS * losses(head)).sum() + 0.1 * head.square().sum(), HEAD.flatten()
    )
    curvature = class_curvature((INPUTS @ HEAD.T).softmax(dim=1))[None]
    found = hessian(INPUTS, curvature, WEIGHTS[None], ridge=torch.tensor([0.2]).double())[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    basis = torch.linalg.qr(torch.randn(CLASSES, 2, generator=seeded(4)).double()).Q
    projected = class_curvature((INPUTS @ HEAD.T).softmax(dim=1), basis)
    torch.testing.assert_close(projected, basis.T @ curvature[0] @ basis, atol=1e-15, rtol=0)


def fitted(weights: Tensor) -> Tensor:
    """The head at the minimum of a weighted sum of losses, with the damping as a ridge."""
    head = torch.zeros(CLASSES * (SIZE + 1), dtype=torch.float64)

    def objective(head: Tensor) -> Tensor:
        return (weights * losses(head)).sum() + 0.005 * head.square().sum()

    for _ in range(8):
        gradient = torch.autograd.functional.jacobian(objective, head)
        curvature = torch.autograd.functional.hessian(objective, head)
        head = head - torch.linalg.solve(curvature, gradient)
    return head


def test_it_is_how_fast_the_own_loss_falls_with_the_weight_of_a_row() -> None:
    """Central difference at the minimum; the weights of all rows are 1 / N."""
    equal = torch.full((ROWS,), 1 / ROWS, dtype=torch.float64)
    head = fitted(equal)
    logits = INPUTS @ head.view(CLASSES, -1).T
    found = self_influence(FEATURES, TARGET, logits, damping=0.01)
    step = 1e-5 * F.one_hot(torch.tensor(7), ROWS)
    above, below = (losses(fitted(equal + sign * step))[7] for sign in (1, -1))
    assert float(-(above - below) / 2e-5) == pytest.approx(float(found[7]), rel=1e-6)


def test_without_curvature_it_is_the_squared_gradient() -> None:
    """A large damping d leaves ||p - e||^2 (||z||^2 + 1) / d; never negative."""
    logits = INPUTS @ HEAD.T
    residuals = logits.softmax(dim=1) - F.one_hot(TARGET, CLASSES)
    expected = residuals.square().sum(dim=1) * INPUTS.square().sum(dim=1)
    found = self_influence(FEATURES, TARGET, logits, damping=1e9)
    torch.testing.assert_close(1e9 * found, expected, atol=1e-7, rtol=0)
    assert bool((self_influence(FEATURES, TARGET, logits) >= 0).all())


def test_rows_that_the_head_had_to_memorise_stand_out() -> None:
    """Two of forty rows have another class than their features clearly say."""
    target, clear = (FEATURES[:, 0] > 0).long(), FEATURES[:, 0].abs().topk(2).indices
    noisy = target.clone()
    noisy[clear] = 1 - noisy[clear]
    found = self_influence(FEATURES, noisy, 3 * F.pad(FEATURES[:, :1], (1, 0)), damping=0.01)
    assert set(found.topk(2).indices.tolist()) == set(clear.tolist())


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(influence, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="the Hessian of 12 parameters needs"):
        self_influence(FEATURES, TARGET, INPUTS @ HEAD.T)
    with pytest.raises(ValueError, match="damping must be positive"):
        self_influence(FEATURES, TARGET, INPUTS @ HEAD.T, damping=0.0)
