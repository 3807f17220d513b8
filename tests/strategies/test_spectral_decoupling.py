"""Spectral decoupling: values by definition, where the logits come to rest, and what it refuses."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.types import Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


def test_value_by_definition():
    model = TinyClassifier()
    logits = model(BATCH.image).logits.double()
    penalty = logits.pow(2).sum() / 16
    loss = SpectralDecoupling(GROUPS, coefficient=0.3).loss(model, BATCH)
    assert loss.total.item() == pytest.approx(
        (F.cross_entropy(logits, BATCH.target) + 0.3 * penalty).item(), rel=1e-6
    )
    assert loss.terms["logit_penalty"].item() == pytest.approx(penalty.item(), rel=1e-6)


def test_shifts_by_definition():
    """The published form: a coefficient of 0.1 on the mean of each class, which is 0.2 here."""
    model = TinyClassifier()
    logits = model(BATCH.image).logits.double()
    difference = logits[:, 1] - logits[:, 0]
    error = torch.log1p(torch.exp(-difference * (2 * BATCH.target - 1))).mean()
    of_zero = (difference[BATCH.target == 0] - 0.44).square().mean()
    of_one = (difference[BATCH.target == 1] - 2.5).square().mean()
    loss = SpectralDecoupling(GROUPS, coefficient=0.2, shifts=(0.44, 2.5)).loss(model, BATCH)
    assert loss.total.item() == pytest.approx(
        (error + 0.1 * of_zero + 0.1 * of_one).item(), rel=1e-6
    )


def test_schedule_by_definition():
    """Two steps with a coefficient of 0.1 and a factor of 1, then 4 and a factor of 0.5."""
    model = TinyClassifier()
    logits = model(BATCH.image).logits.double()
    error, penalty = F.cross_entropy(logits, BATCH.target), logits.pow(2).sum() / 16
    strategy = SpectralDecoupling(
        GROUPS, coefficient=4.0, warmup=2, warmup_coefficient=0.1, scale=0.5
    )
    totals = [strategy.turns(step)[0].objective(model, BATCH).total.item() for step in (0, 1, 2)]
    early, late = (error + 0.1 * penalty).item(), 0.5 * (error + 4 * penalty).item()
    assert totals == pytest.approx([early, early, late], rel=1e-6)
    assert strategy.loss(model, BATCH).total.item() == totals[2]


@pytest.mark.parametrize(
    "weight", [None, torch.tensor([0.0, 2.0, 1.0, 0.5] * 2)], ids=["plain", "weighted"]
)
def test_coefficient_0_is_erm(weight):
    model, batch = TinyClassifier(), BATCH._replace(weight=weight)
    loss = SpectralDecoupling(GROUPS, coefficient=0.0).loss(model, batch)
    torch.testing.assert_close(loss.total, ERM().loss(model, batch).total)


def test_logits_come_to_rest_where_the_slopes_meet():
    """Logits (d/2, -d/2) of samples of class 0: log(1 + e^-d) + lambda d^2 / 4 is least at d = 1.2
    for this lambda.

    The slope -1 / (1 + e^d) + lambda d / 2 is zero at d = 1.2 where lambda = (2 / 1.2) / (1 +
    e^1.2); under cross-entropy alone d grows for ever.
    """
    strategy = SpectralDecoupling(GROUPS, coefficient=2 / 1.2 / (1 + math.exp(1.2)))
    model = TinyClassifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batch = BATCH._replace(
        image=torch.ones_like(BATCH.image), target=torch.zeros(8, dtype=torch.int64)
    )
    for _ in range(500):
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()
    assert model(batch.image).logits[0].tolist() == pytest.approx([0.6, -0.6], abs=1e-3)


def test_labels_are_penalised_too():
    labels = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)
    model = TinyClassifier()
    batch = BATCH._replace(target=torch.stack([BATCH.target, BATCH.bias], dim=1))
    logits = model(batch.image).logits
    expected = (
        F.binary_cross_entropy_with_logits(logits, batch.target.float())
        + 0.1 * logits.pow(2).sum() / 16
    )
    torch.testing.assert_close(SpectralDecoupling(labels).loss(model, batch).total, expected)


def test_state_survives():
    model, restored = TinyClassifier(), SpectralDecoupling(GROUPS, shifts=(0.0, 0.0))
    strategy = SpectralDecoupling(GROUPS, shifts=(0.44, 2.5))
    restored.load_state_dict(strategy.state_dict())
    assert torch.equal(restored.loss(model, BATCH).total, strategy.loss(model, BATCH).total)


def test_refuses():
    with pytest.raises(
        ValueError, match=r"coefficient must be at least 0 for SpectralDecoupling; got -0\.1"
    ):
        SpectralDecoupling(GROUPS, coefficient=-0.1)
    with pytest.raises(ValueError, match="got 1 for landbird, waterbird"):
        SpectralDecoupling(GROUPS, shifts=(1.0,))
    for groups in (
        Groups(("a", "b", "c"), ("x",)),
        Groups(("no", "yes"), ("x",), multi_label=True),
    ):
        with pytest.raises(ValueError, match="leave shifts out"):
            SpectralDecoupling(groups, shifts=(1.0, 1.0))
