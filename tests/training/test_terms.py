"""Training warns once of a weighted term that is numerically zero in the whole first epoch in
which it counts.
"""

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor

from debias.errors import InputError
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.training.terms import EpochSums
from debias.types import Loss, Turn
from tests.training.test_module import module_of, trained


def test_sums_of_an_epoch_by_hand():
    """Losses 1, 3 and NaN in three steps, a term in the first and last: steps 0 and 1 are finite.

    The term's mean is (0.5 + 1.5) / 2 over the two turns that have it, not over three steps.
    """
    sums = EpochSums()
    total, term = torch.tensor(1.0, requires_grad=True), torch.tensor(0.5, dtype=torch.float64)
    sums.add(Loss(total, {"penalty": term}))
    sums.end_step()
    sums.add(Loss(torch.tensor(3.0), {}))
    sums.end_step()
    assert {name: value.item() for name, value in sums.means().items()} == {
        "loss": 2.0,
        "penalty": 0.5,
    }
    sums.add(Loss(torch.tensor(torch.nan), {"penalty": torch.tensor(1.5)}))
    sums.end_step()
    assert (sums.steps, int(sums.finite_steps)) == (3, 2)
    assert sums.means()["penalty"].item() == 1.0
    assert sums.means()["penalty"].dtype == torch.float32
    assert not sums.means()["loss"].requires_grad
    assert (total.item(), term.item()) == (1.0, 0.5)


#: Steps of an epoch of the small data.
EPOCH = 6


class Penalised(Strategy):
    """ERM and one term, whose value and weight follow from the step."""

    def __init__(self, value, weight):
        super().__init__()
        self.value, self.weight = value, weight

    def turns(self, step):
        return (Turn("model", partial(self.penalised, step)),)

    def penalised(self, step, model, batch):
        total, value = ERM().loss(model, batch).total, Tensor([self.value(step)]).squeeze()
        weight = self.weight(step)
        return Loss(total + weight * value, {"penalty": value}, {"penalty": weight})


def told(value, weight, folder):
    """The warnings of four epochs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(module_of(lambda: Penalised(value, weight)), folder, epochs=4)
    return [
        str(warning.message) for warning in caught if "numerically zero" in str(warning.message)
    ]


def test_a_term_that_stays_below_is_told_once(tmp_path):
    (message,) = told(lambda step: -1e-18, lambda step: 2.0, tmp_path)
    assert message.startswith(
        "terms of the loss are numerically zero in their whole first epoch: penalty (mean "
        "-1e-18, weight 2). "
    )


def test_a_term_that_is_something_for_a_step_is_not_told(tmp_path):
    assert told(lambda step: 1e-6 if step == EPOCH - 1 else 0.0, lambda step: 1.0, tmp_path) == []


def test_a_ramp_at_zero_is_looked_at_when_its_weight_has_risen(tmp_path):
    """Nothing in two epochs without weight; then something, or still nothing."""
    weight = lambda step: float(step >= 2 * EPOCH)  # noqa: E731
    assert told(lambda step: float(step >= 2 * EPOCH), weight, tmp_path / "something") == []
    assert len(told(lambda step: 0.0, weight, tmp_path / "nothing")) == 1


def test_a_term_that_has_reached_zero_later_is_not_told(tmp_path):
    assert told(lambda step: float(step < EPOCH), lambda step: 1.0, tmp_path) == []


def test_nan_is_another_fault(tmp_path):
    with pytest.raises(InputError, match="training diverged: the loss of step 0"):
        told(lambda step: torch.nan, lambda step: 1.0, tmp_path)
