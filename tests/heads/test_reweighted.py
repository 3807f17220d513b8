"""Group-robust sample reweighting: its fit, its influence, and what it does to a rare group."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.linear import Rows, worst_group_accuracies
from debias.heads.reweighted import WeightedFits, reweighted_heads
from tests.heads.spurious_rows import spurious_rows

FITTED = spurious_rows(120, aligned=0.9, seed=0)
GUIDING = spurious_rows(200, aligned=0.5, seed=1)
JUDGED = spurious_rows(200, aligned=0.5, seed=2)
TEST = spurious_rows(2000, aligned=0.5, seed=3)


def objective(head: Tensor, rows: Rows, weights: Tensor, penalty: float) -> Tensor:
    """sum_i w_i CE_i + lambda ||theta||^2 of a ``(C, D + 1)`` head."""
    inputs = F.pad(rows.features.double(), (0, 1), value=1.0)
    losses = F.cross_entropy(inputs @ head.T, rows.target, reduction="none")
    return (weights * losses).sum() + penalty * head.square().sum()


def joined(fits: WeightedFits, position: Tensor) -> Tensor:
    """``(C, D + 1)`` float64 head of the first position."""
    return torch.einsum("ck,kr,rd->cd", fits.basis, position[0], fits.directions)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_fit_is_the_minimum(classes: int) -> None:
    """The gradient of every parameter is 0, with fewer rows than features and with more."""
    for count in (15, 120):
        rows = FITTED.take(torch.arange(count))
        rows = rows._replace(target=torch.arange(count) % classes)
        weights = torch.rand(1, count, generator=torch.Generator().manual_seed(1)).double()
        fits = WeightedFits(rows.features, rows.target, classes=classes, penalty=torch.tensor(0.01))
        start = fits.inputs.new_zeros(1, classes - 1, fits.inputs.shape[1])
        head = joined(fits, fits.fit(weights, start)).requires_grad_()
        objective(head, rows, weights[0], 0.01).backward()
        assert head.grad is not None
        assert float(head.grad.abs().max()) < 1e-7


def test_influence_is_the_derivative_of_the_groups_loss() -> None:
    """Central difference by the weight of one row, with weights scaled to sum to one.

    Without the part of the penalty, it would be another number.
    """
    fits = WeightedFits(
        FITTED.features.double(), FITTED.target, classes=2, penalty=torch.tensor(0.02).double()
    )
    weights = torch.rand(1, 120, generator=torch.Generator().manual_seed(1)).double()
    weights = weights / weights.sum()
    start = fits.inputs.new_zeros(1, 1, fits.inputs.shape[1])
    chosen = GUIDING.take((GUIDING.group == 1).nonzero().flatten())
    equal = torch.full((len(chosen.target),), 1 / len(chosen.target)).double()

    def loss(weights: Tensor) -> Tensor:
        head = joined(fits, fits.fit(weights / weights.sum(), start))
        return objective(head, chosen, equal, 0.0)

    position = fits.fit(weights, start)
    head = joined(fits, position).requires_grad_()
    [gradient] = torch.autograd.grad(objective(head, chosen, equal, 0.0), head)
    projected = torch.einsum("ck,cd,rd->kr", fits.basis, gradient, fits.directions)[None]
    found = 120 * fits.influence(weights, position, projected)[0]
    for row in (0, 5):
        step = 1e-5 * F.one_hot(torch.tensor([row]), 120)
        slope = float((loss(weights + step) - loss(weights - step)) / 2e-5)
        assert slope == pytest.approx(-float(found[row]), rel=1e-4)
    assert abs(float((weights[0] * found).sum())) < 1e-6  # scaling all weights changes nothing


def test_it_raises_the_worst_group_without_group_labels_of_the_fitted_rows() -> None:
    heads = reweighted_heads(
        FITTED.features, FITTED.target, GUIDING, JUDGED, classes=2, penalty=0.01, rounds=12
    )
    first = reweighted_heads(
        FITTED.features, FITTED.target, GUIDING, JUDGED, classes=2, penalty=0.01, rounds=1
    )
    worst = []
    for one in (first, heads):
        predictions = one.heads.logits(TEST.features).argmax(dim=2)
        worst.append(float(worst_group_accuracies(predictions, TEST.target, TEST.group)))
    assert worst[1] > worst[0] + 0.1
    torch.testing.assert_close(first.weights, torch.full((1, 120), 1 / 120).double())
    rare = (FITTED.group == 1) | (FITTED.group == 2)
    assert float(heads.weights[0, rare].sum()) > 1.5 * float(rare.float().mean())
    assert float(heads.weights.sum()) == pytest.approx(1.0)
    assert float(heads.weights.min()) >= 0
    assert int(heads.rounds) > 1


def test_heads_fitted_together_are_those_fitted_alone() -> None:
    """Of two penalties and steps; the best round of each is its own."""
    penalties, steps = torch.tensor([0.01, 0.1]), torch.tensor([1.0, 0.2])
    sets = (FITTED.features, FITTED.target, GUIDING, JUDGED)
    both = reweighted_heads(*sets, classes=2, penalty=penalties, step=steps, rounds=6)
    for head in (0, 1):
        alone = reweighted_heads(
            *sets, classes=2, penalty=penalties[head], step=steps[head], rounds=6
        )
        torch.testing.assert_close(both.weights[head], alone.weights[0], atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(both.heads.weights[head], alone.heads.weights[0])
        assert both.rounds[head] == alone.rounds[0]


def test_rows_without_a_group_do_not_guide() -> None:
    hidden = torch.arange(200) % 4 == 0
    known = (~hidden).nonzero().flatten()
    sets = (FITTED.features, FITTED.target)
    one, other = (
        reweighted_heads(*sets, guiding, judged, classes=2, rounds=3)
        for guiding, judged in (
            [
                each._replace(group=torch.where(hidden, -1, each.group))
                for each in (GUIDING, JUDGED)
            ],
            [each.take(known) for each in (GUIDING, JUDGED)],
        )
    )
    torch.testing.assert_close(one.weights, other.weights)


def test_a_group_may_be_absent_from_one_of_the_sets() -> None:
    """Rows of the last group guide only; before, the two sets had other numbers of groups."""
    few = JUDGED.take((JUDGED.group < 3).nonzero().flatten())
    found = reweighted_heads(FITTED.features, FITTED.target, GUIDING, few, classes=2, rounds=2)
    assert bool(found.weights.isfinite().all())
    hidden = JUDGED._replace(group=torch.full_like(JUDGED.group, -1))
    with pytest.raises(ValueError, match="GSR needs rows with groups to guide and to judge"):
        reweighted_heads(FITTED.features, FITTED.target, hidden, JUDGED, classes=2)


@pytest.mark.parametrize("option", ["penalty", "step", "largest_step", "rounds"])
def test_options_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must .* for GSR"):
        reweighted_heads(FITTED.features, FITTED.target, GUIDING, JUDGED, classes=2, **{option: 0})
