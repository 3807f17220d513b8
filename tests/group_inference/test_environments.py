"""EIIL's environments: the objective by its definition, where its optimum lies, and what stays as
it was drawn.
"""

import pytest
import torch
from torch.nn import functional as F

from debias.group_inference.environments import environment_violation, environment_weights
from debias.group_inference.errors import error_set


def some(samples: int = 40, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (samples,), generator=generator)


def derivative_of(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Derivative of each loss by a scale on its logits, by automatic differentiation."""
    scale = torch.ones(len(target), dtype=logits.dtype, requires_grad=True)
    losses = F.cross_entropy(logits * scale[:, None], target, reduction="sum")
    return torch.autograd.grad(losses, scale)[0]


def drawn(samples: int) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_violation_is_the_mean_of_squared_derivatives_of_the_weighted_risks():
    logits, target = some(classes=3)
    weights = drawn(40).sigmoid()
    squares = []
    for part in (weights, 1 - weights):
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        risk = (part * F.cross_entropy(logits * scale, target, reduction="none")).mean()
        squares.append(torch.autograd.grad(risk, scale)[0] ** 2)
    found = environment_violation(weights, derivative_of(logits, target))
    assert found.item() == pytest.approx(float(sum(squares)) / 2, rel=1e-12)


def test_one_step_by_definition():
    """Adam's first step moves every score by the learning rate, up where the objective grows."""
    logits, target = some(classes=3)
    score = drawn(40).requires_grad_()
    violation = environment_violation(score.sigmoid(), derivative_of(logits, target))
    (gradient,) = torch.autograd.grad(violation, score)
    expected = (score + 0.01 * gradient / (gradient.abs() + 1e-8)).sigmoid().detach()
    generator = torch.Generator().manual_seed(0)
    found = environment_weights(logits, target, generator, steps=1, learning_rate=0.01)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_the_optimum_parts_by_the_sign_of_the_derivative():
    logits, target = some(classes=3)
    weights = environment_weights(
        logits, target, torch.Generator().manual_seed(0), steps=2000, learning_rate=0.05
    )
    inside = weights > 0.5
    positive = derivative_of(logits, target) > 0
    assert inside.equal(positive) or inside.equal(~positive)
    assert environment_violation(weights, derivative_of(logits, target)) > environment_violation(
        drawn(40).sigmoid(), derivative_of(logits, target)
    )


def test_with_two_classes_that_is_the_error_set_or_its_complement():
    logits, target = some()
    weights = environment_weights(
        logits, target, torch.Generator().manual_seed(0), steps=2000, learning_rate=0.05
    )
    errors = error_set(logits, target)
    assert 0 < errors.sum() < 40
    assert (weights > 0.5).equal(errors) or (weights > 0.5).equal(~errors)


def test_what_says_nothing_stays_where_it_was_drawn():
    """A sample whose logits are equal has the same loss at every scale."""
    logits, target = some()
    logits[:3] = 0
    weights = environment_weights(
        logits, target, torch.Generator().manual_seed(0), steps=50, learning_rate=0.05
    )
    torch.testing.assert_close(weights[:3], drawn(40)[:3].sigmoid())
    assert (weights[3:] - drawn(40)[3:].sigmoid()).abs().min() > 1e-3


def test_draws_come_from_the_generator_and_nothing_has_gradient():
    logits, target = some()
    first, again, other = (
        environment_weights(
            logits.requires_grad_(), target, torch.Generator().manual_seed(seed), steps=3
        )
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad


@pytest.mark.parametrize(
    ("target", "steps"), [(torch.zeros(2, 2, dtype=torch.long), 1), (torch.zeros(2).long(), 0)]
)
def test_refuses(target, steps):
    with pytest.raises(ValueError, match="one class per sample and at least 1 step"):
        environment_weights(torch.zeros(2, 2), target, torch.Generator(), steps=steps)
