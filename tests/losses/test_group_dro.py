"""GroupDROLoss and group_means against hand-derived values and a definition in float64."""

import math

import pytest
import torch

from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import group_means
from tests.properties import (
    assert_differentiable,
    assert_ignores,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_state_survives,
)

LOSSES = torch.tensor([1.0, 3.0, 0.5, 2.0, 4.0], dtype=torch.float64)
GROUP = torch.tensor([0, 0, 1, 1, 3])


def naive(losses, group, q, *, step_size, adjustment=0.0, counts=None):
    """One step of the definition, group by group: the new q and the loss."""
    means = {
        g: sum(x for x, h in zip(losses, group, strict=True) if h == g) / group.count(g)
        for g in set(group)
    }
    margin = [adjustment / math.sqrt(counts[g]) if counts else 0.0 for g in range(len(q))]
    q = [
        q[g] * math.exp(step_size * (means[g] + margin[g])) if g in means else q[g]
        for g in range(len(q))
    ]
    q = [value / sum(q) for value in q]
    return q, sum(q[g] * mean for g, mean in means.items())


def test_hand_derived_value():
    """Means 0 and 2, eta = log 2: q = (1, 4) / 5 and the loss is 4/5 * 2 = 1.6."""
    robust = GroupDROLoss(groups=2, step_size=math.log(2))
    loss = robust(torch.tensor([0.0, 2.0, 2.0]), torch.tensor([0, 1, 1]))
    torch.testing.assert_close(robust.weights, torch.tensor([0.2, 0.8]))
    assert loss.item() == pytest.approx(1.6)


@pytest.mark.parametrize(("adjustment", "counts"), [(0.0, None), (2.0, [400, 100, 25, 4])])
def test_equals_the_definition_over_many_steps(adjustment, counts):
    generator = torch.Generator().manual_seed(0)
    robust = GroupDROLoss(
        4, step_size=0.3, adjustment=adjustment, counts=torch.tensor(counts) if counts else None
    )
    robust.double()
    q = [0.25] * 4
    for _ in range(20):
        losses = torch.rand(7, generator=generator, dtype=torch.float64)
        group = torch.randint(4, (7,), generator=generator)
        q, expected = naive(
            losses.tolist(), group.tolist(), q, step_size=0.3, adjustment=adjustment, counts=counts
        )
        assert robust(losses, group).item() == pytest.approx(expected, rel=1e-6)
        assert robust.weights.tolist() == pytest.approx(q, rel=1e-6)


def test_gradient_is_the_group_weight_over_the_group_size():
    """dL/dl_i = q_g / n_g, nothing through q itself: the weights are constants of the step."""
    robust = GroupDROLoss(4, step_size=0.5)
    losses = LOSSES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(robust(losses, GROUP), losses)
    sizes = torch.tensor([2, 2, 2, 2, 1])
    torch.testing.assert_close(gradient, robust.weights[GROUP].double() / sizes, rtol=1e-6, atol=0)


def test_weights_sum_to_one_and_follow_the_worst_group():
    robust = GroupDROLoss(4, step_size=1.0)
    for _ in range(200):
        robust(LOSSES, GROUP)
    assert robust.weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert robust.weights.argmax().item() == 3
    assert robust.weights[3].item() > 0.999


def test_a_weight_that_underflows_comes_back():
    """Group 0 falls behind by e^-200, far below float32; 200 steps for it restore q = 1/2."""
    robust = GroupDROLoss(2, step_size=1.0)
    for group in [1] * 200 + [0] * 200:
        robust(torch.ones(1), torch.tensor([group]))
    assert robust.weights[0].item() == pytest.approx(0.5, abs=1e-3)


def test_an_absent_group_keeps_its_share_of_the_rest():
    """Groups 1 and 2 are absent, so q_1 / q_2 stays, also adjusted (the reference raises them)."""
    robust = GroupDROLoss(3, step_size=1.0, adjustment=1.0, counts=torch.tensor([9, 4, 1]))
    robust(torch.tensor([1.0]), torch.tensor([0]))
    torch.testing.assert_close(robust.weights[1], robust.weights[2])
    expected = math.exp(1 + 1 / 3) / (math.exp(1 + 1 / 3) + 2)
    assert robust.weights[0].item() == pytest.approx(expected)


def test_evaluation_mode_leaves_the_weights():
    robust = GroupDROLoss(4, step_size=1.0).eval()
    loss = robust(LOSSES, GROUP)
    assert robust.weights.tolist() == pytest.approx([0.25] * 4)
    assert loss.item() == pytest.approx(0.25 * (2.0 + 1.25 + 4.0))


def test_properties():
    robust = GroupDROLoss(4).eval()
    assert_permutation_invariant(robust, LOSSES, GROUP)
    assert_pure(GroupDROLoss(4), LOSSES, GROUP)
    assert_ignores(
        robust,
        LOSSES,
        torch.tensor([0, -1, 1, 1, -1]),
        torch.tensor([False, True, False, False, True]),
    )
    assert_differentiable(robust.double(), LOSSES, GROUP)


def test_state_survives():
    assert_state_survives(
        lambda: GroupDROLoss(4, step_size=1.0), lambda robust: robust(LOSSES, GROUP)
    )


def test_traces_to_one_graph():
    # in evaluation mode the weights stay, so that both see the same
    assert_one_graph(GroupDROLoss(4).eval(), LOSSES, GROUP)
    compiled = torch.compile(GroupDROLoss(4), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(LOSSES, GROUP), GroupDROLoss(4)(LOSSES, GROUP))


def test_low_precision_losses_are_summed_in_float32():
    """1,000 losses of 1/256 in bfloat16: a running sum would stall, the mean is exact."""
    losses = torch.full((1000,), 1 / 256, dtype=torch.bfloat16)
    means, _ = group_means(losses, torch.zeros(1000, dtype=torch.int64), 1)
    assert means.dtype == torch.float32
    assert means.item() == pytest.approx(1 / 256, rel=1e-6)


def test_group_means_of_an_empty_group_is_zero():
    means, counts = group_means(LOSSES, GROUP, 5)
    assert means.tolist() == [2.0, 1.25, 0.0, 4.0, 0.0]
    assert counts.tolist() == [2, 2, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, r"step_size must be positive for GroupDRO; got 0\.0"),
        ({"adjustment": -1.0}, r"adjustment must be at least 0 for GroupDRO; got -1\.0"),
        ({"adjustment": 1.0}, "needs counts"),
        ({"counts": torch.tensor([0, 0])}, r"\[0, 0\]"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        GroupDROLoss(2, **options)
