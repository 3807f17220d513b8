"""Heads of additive energies against a plain loop, and a group that training does not have."""

import pytest
import torch
from torch.nn import functional as F

from debias.heads.energies import Energies, fit_energies
from debias.heads.linear import worst_group_accuracies
from debias.heads.orders import shuffled_order
from debias.losses.compositional import extrapolated_offsets, log_prior_of
from tests.fakes import seeded
from tests.heads.spurious_rows import SIZE, spurious_rows

#: Class and bias do not lie around 0, so the normalisers of the cells differ.
SHIFT = torch.where(torch.arange(SIZE) < 2, 1.0, 0.0)
ROWS = spurious_rows(400, aligned=0.8, seed=0)
ROWS = ROWS._replace(features=ROWS.features + SHIFT)
TEST = spurious_rows(2000, aligned=0.5, seed=1)
TEST = TEST._replace(features=TEST.features + SHIFT)


def order(rows: int, steps: int, size: int = 32) -> torch.Tensor:
    return shuffled_order(rows, batch_size=size, steps=steps, generator=seeded(3))


def test_energies_follow_the_papers_objective() -> None:
    """Two heads at once with settings of their own, each as a loop of torch's SGD.

    The cell (1, 0) has no row. The loop leaves it out of the softmax.
    """
    keep = ROWS.group != 2
    features, target = ROWS.features[keep].double(), ROWS.target[keep]
    bias = ROWS.group[keep] - 2 * target
    start = torch.randn(1, 4, SIZE, generator=seeded()).double()
    rates, decays = torch.tensor([0.1, 0.3]).double(), torch.tensor([0.0, 0.05]).double()
    batches, prior = order(len(target), 25), log_prior_of(target, bias, classes=2, biases=2)
    found = fit_energies(
        features, target, bias, start=start, classes=2, batches=batches, learning_rate=rates,
        weight_decay=decays, momentum=0.8,
    )  # fmt: skip
    for head in (0, 1):
        w = start[0].clone().requires_grad_()
        o = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD(
            [w, o], lr=float(rates[head]), momentum=0.8, weight_decay=float(decays[head])
        )
        for rows in batches:
            z = features[rows] @ w.T
            energies = z[:, :2, None] + z[:, None, 2:]
            seen = (-energies - o + prior).flatten(1)[:, [0, 1, 3]]
            place = torch.tensor([0, 1, -1, 2])[2 * target[rows] + bias[rows]]
            optimizer.zero_grad()
            F.cross_entropy(seen, place).backward()
            optimizer.step()
        w, o = w.detach(), o.detach()
        torch.testing.assert_close(found.weights[head], w, atol=1e-12, rtol=0)
        z = features @ w.T
        expected = extrapolated_offsets(z[:, :2, None] + z[:, None, 2:], o, prior)
        torch.testing.assert_close(found.offsets[head], expected, atol=1e-12, rtol=0)


def fitted(keep: torch.Tensor, *, hidden: torch.Tensor | None = None) -> Energies:
    target = ROWS.target[keep]
    bias = ROWS.group[keep] - 2 * target
    rows = torch.arange(len(target))
    if hidden is not None:
        bias = torch.where(hidden, -1, bias)
        rows = (~hidden).nonzero().flatten()
    return fit_energies(
        ROWS.features[keep], target, bias, start=torch.zeros(1, 4, SIZE), classes=2,
        batches=rows[order(len(rows), 300)], learning_rate=0.1, weight_decay=0.01,
    )  # fmt: skip


def test_a_group_without_a_row_is_predicted() -> None:
    """The extrapolated offsets are why: with none, the dropped group falls to about 0.6."""
    found = fitted(ROWS.group != 1)
    without = Energies(found.weights, torch.zeros_like(found.offsets))
    groups = TEST.group
    predictions = torch.stack([one.head(0)(TEST.features).argmax(1) for one in (found, without)])
    worst = worst_group_accuracies(predictions, TEST.target, groups).tolist()
    assert worst[0] > 0.8
    assert worst[1] < 0.7


def test_rows_of_unknown_bias_are_left_out() -> None:
    """As if they were not there, with batches of the others."""
    every = torch.ones(400, dtype=torch.bool)
    hidden = torch.arange(400) % 3 == 0
    one, other = fitted(every, hidden=hidden), fitted(~hidden)
    torch.testing.assert_close(one.weights, other.weights)
    torch.testing.assert_close(one.offsets, other.offsets)


@pytest.mark.parametrize(("absent", "what"), [((0, 2), "bias value 0"), ((2, 3), "class 1")])
def test_a_class_or_bias_value_without_a_row_is_refused(absent: tuple[int, ...], what: str) -> None:
    with pytest.raises(ValueError, match=f"got none of {what}: add some"):
        fitted(~torch.isin(ROWS.group, torch.tensor(absent)))


def test_settings_out_of_range_are_refused() -> None:
    target = ROWS.target
    for option, value in {"learning_rate": 0.0, "weight_decay": -1.0, "momentum": 1.0}.items():
        with pytest.raises(ValueError, match=f"{option} must .* for CRM"):
            fit_energies(
                ROWS.features, target, ROWS.group - 2 * target, start=torch.zeros(1, 4, SIZE),
                classes=2, batches=order(400, 1), **{option: value},
            )  # fmt: skip
