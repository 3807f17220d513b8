"""Learning-rate schedules by value, and the options of optimisers."""

import copy
import math
from functools import partial

import pytest
import torch
from timm.optim import get_optimizer_info, list_optimizers
from torch import nn
from torch.optim import SGD

from debias.components import component
from debias.errors import InputError
from debias.training.optimizers import adam, adamw, constant, cosine, multi_step, sgd, step, timm


@pytest.mark.parametrize("minimum", [0.0, 0.02])
def test_the_cosine_falls_to_its_minimum_after_the_last_epoch(minimum):
    """Half a cosine from 0.1: the e-th of four epochs has minimum + (0.1 - minimum) (1 + cos(pi e /
    4)) / 2.
    """
    optimizer = sgd([nn.Parameter(torch.zeros(1))], lr=0.1)
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


@pytest.mark.parametrize(
    "schedule", [constant, partial(cosine, minimum=0.02), partial(step, every=2)]
)
def test_a_warm_up_grows_linearly_to_the_schedule(schedule):
    """Three warm-up epochs have 1/4, 2/4 and 3/4 of 0.1. The schedule of the other five epochs
    follows, as it is without a warm-up.
    """
    after = _rates(schedule, epochs=5)
    warmed = _rates(schedule, epochs=8, warmup=3)
    assert warmed == pytest.approx([0.025, 0.05, 0.075, *after])


def test_a_rate_falls_after_given_epochs():
    """Halved after two and after four epochs, also with a warm-up before."""
    schedule = partial(multi_step, at=[2, 4], factor=0.5)
    falling = [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    assert _rates(schedule, epochs=6) == pytest.approx(falling)
    assert _rates(schedule, epochs=6, warmup=1) == pytest.approx([0.05, *falling[1:]])


@pytest.mark.parametrize("at", [[], [2, 2], [3, 2], [0, 2], [2, 6]])
def test_refuses_epochs_of_a_fall(at):
    with pytest.raises(ValueError, match=r"scheduler\.at must be increasing .*: set others, or"):
        _rates(partial(multi_step, at=at), epochs=6)


def _rates(schedule, *, epochs: int, warmup: int = 0, stop: int | None = None) -> list[float]:
    """The learning rate of each epoch; the run is interrupted after ``stop`` epochs and resumes."""
    optimizer = sgd([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = schedule(optimizer, epochs, warmup=warmup)
    rates = []
    for epoch in range(epochs):
        if epoch == stop:
            states = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
            optimizer = sgd([nn.Parameter(torch.zeros(1))], lr=0.1)
            scheduler = schedule(optimizer, epochs, warmup=warmup)
            optimizer.load_state_dict(states[0]), scheduler.load_state_dict(states[1])
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", [constant, cosine, partial(step, every=2)])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_warm_up_resumes_at_its_epoch(schedule, stop):
    """Interrupted in the warm-up, at its end, and after it: the same rates to the last digit."""
    whole = _rates(schedule, epochs=8, warmup=3)
    assert _rates(schedule, epochs=8, warmup=3, stop=stop) == whole


@pytest.mark.parametrize("warmup", [-1, 5, 6])
def test_a_warm_up_is_shorter_than_the_training(warmup):
    optimizer = sgd([nn.Parameter(torch.zeros(1))])
    with pytest.raises(
        InputError,
        match=f"at least 0 and below epochs=5; got {warmup}: set another, or give the stages of",
    ):
        constant(optimizer, 5, warmup=warmup)


def test_options_reach_the_optimiser():
    """Each option arrives in the parameter group, and the defaults are those of torch."""
    parameters = [nn.Parameter(torch.zeros(1))]
    for make in (adam, adamw):
        group = make(parameters, betas=(0.5, 0.75), eps=0.25).param_groups[0]
        assert (tuple(group["betas"]), group["eps"]) == ((0.5, 0.75), 0.25)
        own = (torch.optim.Adam if make is adam else torch.optim.AdamW)(parameters).defaults
        assert make(parameters).defaults == own
    assert sgd(parameters, nesterov=True).param_groups[0]["nesterov"]
    with pytest.raises(InputError, match=r"optimizer.betas must be two numbers.*got \[0.9\]"):
        component("optimizer", {"name": "adam", "betas": [0.9]})({"parameters": parameters})


def test_timm_s_optimisers_by_name():
    """All that need no second derivatives move a weight; options arrive, as does timm's default."""
    for opt in list_optimizers(exclude_filters=["bnb*", "fused*", "kron*"]):
        if not get_optimizer_info(opt).second_order:
            weight = nn.Parameter(torch.ones(4, 3))
            optimizer = timm([weight], opt=opt, lr=0.1)
            for _ in range(2):
                (weight * torch.arange(12).view(4, 3)).sum().backward()
                optimizer.step()
            assert not torch.equal(weight, torch.ones(4, 3)), opt
            assert bool(weight.isfinite().all()), opt
    section = {"name": "timm", "opt": "lamb", "lr": 0.5, "betas": [0.5, 0.75], "eps": 0.25}
    lamb = component("optimizer", section)({"parameters": [weight]})
    group = lamb.param_groups[0]
    assert type(lamb).__name__ == "Lamb"
    assert (group["lr"], tuple(group["betas"]), group["eps"]) == (0.5, (0.5, 0.75), 0.25)
    momentum = timm([weight], opt="momentum", momentum=0.25)
    assert isinstance(momentum, SGD)
    assert momentum.param_groups[0]["momentum"] == 0.25


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"opt": "lam"}, "timm has no optimiser optimizer.opt='lam'; did you mean 'lamb'"),
        ({}, "optimizer needs opt"),
        ({"opt": "adahessian"}, "optimizer.opt=adahessian needs second derivatives"),
        ({"opt": "lamb", "momentum": 0.9}, "lamb has no optimizer.momentum.*has betas, eps"),
        ({"opt": "sgd", "eps": 0.1}, "sgd has no optimizer.eps: leave it out; it has momentum"),
        ({"opt": "lamb", "betas": [0.9]}, r"lamb needs 2 optimizer.betas; got \[0.9\]"),
        ({"opt": "lamb", "nesterov": True}, "unknown option optimizer.nesterov"),
    ],
)
def test_options_of_timm_s_optimisers_are_checked(section, message):
    parameters = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(InputError, match=message):
        component("optimizer", {"name": "timm", **section})({"parameters": parameters})
