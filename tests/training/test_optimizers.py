"""Learning-rate schedules by value."""

import math

import pytest
import torch

from debias.training.optimizers import cosine, sgd


@pytest.mark.parametrize("minimum", [0.0, 0.02])
def test_the_cosine_falls_to_its_minimum_after_the_last_epoch(minimum):
    """Half a cosine from 0.1: the e-th of four epochs has minimum + (0.1 - minimum) (1 + cos(pi e /
    4)) / 2.
    """
    optimizer = sgd([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = cosine(optimizer, 4, minimum=minimum)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [
        minimum + (0.1 - minimum) * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(5)
    ]
    assert rates == pytest.approx(expected)
    assert rates[-1] == pytest.approx(minimum)
    assert rates[-2] == pytest.approx(minimum + (0.1 - minimum) * 0.1464466)
