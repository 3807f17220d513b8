"""ReBias: each turn's value by definition, who moves which way, bandwidths, limits."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.hsic import HSIC
from debias.strategies.erm import ERM
from debias.strategies.rebias import ReBias
from debias.types import Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


def pair(**options: float | str) -> tuple[ReBias, TinyClassifier]:
    torch.manual_seed(0)
    return ReBias(GROUPS, **options), TinyClassifier()


def unbiased_hsic(x: Tensor, y: Tensor, sigma_x: float = 1.0, sigma_y: float = 1.0) -> float:
    """The formula of the paper in float64, with the diagonals taken out by hand."""
    m = len(x)
    k = np.exp(-(torch.cdist(x.double(), x.double()).detach().numpy() ** 2) / (2 * sigma_x**2)) * (
        1 - np.eye(m)
    )
    other = np.exp(
        -(torch.cdist(y.double(), y.double()).detach().numpy() ** 2) / (2 * sigma_y**2)
    ) * (1 - np.eye(m))
    value = (
        np.trace(k @ other)
        + k.sum() * other.sum() / ((m - 1) * (m - 2))
        - 2 / (m - 2) * (k @ other).sum()
    )
    return float(value / (m * (m - 3)))


def test_values_by_definition():
    """Two networks g: sum of CE(g) - 0.5 HSIC(f, g), then CE(f) + 2 times the sum of HSIC(f, g)."""
    strategy, model = pair(biased_networks=2, lambda_f=2.0, lambda_g=0.5, sigma=3.0)
    outputs, biased = model(BATCH.image), [network(BATCH.image) for network in strategy.networks]
    errors = [F.cross_entropy(g.logits, BATCH.target).item() for g in biased]
    hsic = sum(unbiased_hsic(outputs.features, g.features, 3.0, 3.0) for g in biased)
    found = strategy.biased_loss(model, BATCH)
    assert found.total.item() == pytest.approx(sum(errors) - 0.5 * hsic, rel=1e-5)
    assert found.terms["biased_hsic"].item() == pytest.approx(hsic, rel=1e-4)
    assert found.terms["biased_cross_entropy"].item() == pytest.approx(sum(errors), rel=1e-5)
    found = strategy.model_loss(model, BATCH)
    error = F.cross_entropy(outputs.logits, BATCH.target).item()
    assert found.total.item() == pytest.approx(error + 2.0 * hsic, rel=1e-5)
    assert found.terms["cross_entropy"].item() == pytest.approx(error, rel=1e-5)
    assert found.terms["hsic"].item() == pytest.approx(hsic, rel=1e-4)
    assert not any(term.requires_grad for term in found.terms.values())


@pytest.mark.parametrize("updates", [1, 3])
def test_the_biased_networks_move_first(updates):
    strategy, model = pair(biased_updates=updates)
    for step in (0, 7):
        assert [turn.player for turn in strategy.turns(step)] == ["biased"] * updates + ["model"]
    players = strategy.players(model)
    assert [len(players["model"]), len(players["biased"])] == [
        4,
        len(list(strategy.networks.parameters())),
    ]


def gradients(owner: nn.Module, loss: Tensor) -> list[Tensor | None]:
    owner.zero_grad()
    loss.backward()
    return [parameter.grad for parameter in owner.parameters()]


def test_who_receives_gradient():
    """In its turn each side alone, even where nobody has frozen the other."""
    strategy, model = pair()
    given = gradients(strategy, strategy.biased_loss(model, BATCH).total)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in given)
    assert all(parameter.grad is None for parameter in model.parameters())
    strategy.zero_grad()
    given = gradients(model, strategy.model_loss(model, BATCH).total)
    assert all(gradient is not None and gradient.ne(0).any() for gradient in given)
    assert all(parameter.grad is None for parameter in strategy.parameters())


def test_signs_and_scales_of_the_gradients():
    """g gets -lambda_g times the gradient of HSIC beside that of CE, f gets +lambda_f times it."""
    strategy, model = pair(lambda_f=300.0, lambda_g=200.0, sigma=3.0)
    network = strategy.networks[0]
    f, g = model(BATCH.image), network(BATCH.image)
    for owner, loss, other, error, factor in (
        (
            network,
            strategy.biased_loss,
            f.features.detach(),
            F.cross_entropy(g.logits, BATCH.target),
            -200.0,
        ),
        (
            model,
            strategy.model_loss,
            g.features.detach(),
            F.cross_entropy(f.logits, BATCH.target),
            300.0,
        ),
    ):
        own = g.features if owner is network else f.features
        parameters = list(owner.parameters())
        of_error = torch.autograd.grad(error, parameters, retain_graph=True)
        hsic = HSIC()(own, other, sigma_x=3.0, sigma_y=3.0)
        of_hsic = torch.autograd.grad(hsic, parameters, retain_graph=True, allow_unused=True)
        of_loss = torch.autograd.grad(loss(model, BATCH).total, parameters)
        assert max(abs(factor) * h.abs().max() for h in of_hsic if h is not None) > 0.01
        for whole, e, h in zip(of_loss, of_error, of_hsic, strict=True):
            torch.testing.assert_close(
                whole, e if h is None else e + factor * h, rtol=1e-3, atol=1e-6
            )


def moved(strategy: ReBias, model: nn.Module, player: str, lr: float) -> None:
    """Take one player's turn by plain gradient descent."""
    turn = next(turn for turn in strategy.turns(1) if turn.player == player)
    owned = strategy.players(model)[player]
    for parameter, gradient in zip(
        owned, torch.autograd.grad(turn.objective(model, BATCH).total, owned), strict=True
    ):
        parameter.data -= lr * gradient


def test_g_climbs_hsic_and_f_descends_it():
    """With a weight that drowns cross-entropy, a turn of g raises HSIC, and one of f lowers it."""
    strategy, model = pair(lambda_f=1e4, lambda_g=1e4, sigma=3.0)
    values = []
    for player in ("biased", "model"):
        values.append(strategy.model_loss(model, BATCH).terms["hsic"].item())
        moved(strategy, model, player, lr=1e-6)
    values.append(strategy.model_loss(model, BATCH).terms["hsic"].item())
    assert values[0] < values[1] > values[2]


def test_the_second_turn_sees_the_moved_g():
    strategy, model = pair()
    still = strategy.model_loss(model, BATCH).total.item()
    biased, of_model = strategy.turns(0)
    optimizer = torch.optim.SGD(strategy.players(model)["biased"], lr=1.0)
    biased.objective(model, BATCH).total.backward()
    optimizer.step()
    assert abs(of_model.objective(model, BATCH).total.item() - still) > 1e-5


def test_without_weights_the_model_learns_by_erm():
    strategy, model = pair(lambda_f=0.0, lambda_g=0.0)
    assert torch.equal(strategy.model_loss(model, BATCH).total, ERM().loss(model, BATCH).total)


def median(features: Tensor) -> float:
    return math.sqrt(
        np.median(torch.cdist(features.double(), features.double()).detach().numpy() ** 2)
    )


def test_the_median_is_estimated_when_it_is_due():
    """At steps 0 and 5, of each network's own features, before use; in between they stand."""
    strategy, model = pair(
        bandwidth="median", sigma=2.0, median_every=5, biased_networks=2, biased_updates=2
    )
    for step in range(6):
        batch = batch_of(8, seed=step)
        f, biased = model(batch.image), [network(batch.image) for network in strategy.networks]
        before = strategy.sigma_model.clone(), strategy.sigma_biased.clone()
        loss = strategy.turns(step)[0].objective(model, batch)
        if step % 5:
            assert torch.equal(before[0], strategy.sigma_model)
            assert torch.equal(before[1], strategy.sigma_biased)
            continue
        sigma, sigmas = 2 * median(f.features), [2 * median(g.features) for g in biased]
        assert strategy.sigma_model.item() == pytest.approx(sigma, rel=1e-3)
        assert strategy.sigma_biased.tolist() == pytest.approx(sigmas, rel=1e-3)
        expected = sum(
            unbiased_hsic(f.features, g.features, sigma, s)
            for g, s in zip(biased, sigmas, strict=True)
        )
        assert loss.terms["biased_hsic"].item() == pytest.approx(expected, rel=1e-2)
        for turn in strategy.turns(step)[1:]:
            kept = strategy.sigma_model.clone()
            turn.objective(model, batch_of(8, seed=9))
            assert torch.equal(strategy.sigma_model, kept)


def test_a_fixed_bandwidth_stays():
    strategy, model = pair(bandwidth="fixed", sigma=0.5)
    strategy.turns(0)[0].objective(model, BATCH)
    assert (strategy.sigma_model.item(), strategy.sigma_biased.tolist()) == (0.5, [0.5])


def test_several_labels():
    """Two labels: binary cross-entropies, and a g with two logits."""
    labels = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)
    strategy, model = ReBias(labels), TinyClassifier()
    batch = BATCH._replace(target=torch.stack([BATCH.target, BATCH.bias], dim=1))
    expected = F.binary_cross_entropy_with_logits(model(batch.image).logits, batch.target.float())
    assert strategy.model_loss(model, batch).terms["cross_entropy"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_a_batch_too_small():
    strategy, model = pair()
    with pytest.raises(ValueError, match="at least 4 for this HSIC; got 3"):
        strategy.turns(0)[0].objective(model, batch_of(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"biased": "simple_conv_k2"}, "simple_conv_k2"),
        ({"biased_networks": 0}, "biased_networks must be at least 1 for ReBias; got 0"),
        ({"biased_updates": 0}, "biased_updates must be at least 1 for ReBias; got 0"),
        ({"median_every": 0}, "median_every must be at least 1 for ReBias; got 0"),
        ({"sigma": 0.0}, r"sigma must be positive for ReBias; got 0\.0"),
        ({"lambda_f": -1.0}, r"lambda_f must be at least 0 for ReBias; got -1\.0"),
        ({"lambda_g": -1.0}, r"lambda_g must be at least 0 for ReBias; got -1\.0"),
        ({"kernel": "cosine"}, "cosine"),
        ({"estimator": "best"}, "best"),
        ({"bandwidth": "mean"}, "bandwidth must be one of fixed, median for ReBias; got 'mean'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        ReBias(GROUPS, **options)
