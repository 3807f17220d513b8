"""The strategies of BiasEnsemble: the biased side sees the amplified set alone, the model all."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.strategies.amplified import AmplifiedDisentangled, AmplifiedLfF
from debias.strategies.disentangled import Disentangled, permutation
from debias.strategies.generalized_cross_entropy import GeneralizedCrossEntropy
from debias.strategies.lff import LfF
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)
#: Rows 0 to 2 of the batch.
FEW = torch.arange(20) < 3


def pair(amplified: Tensor = FEW) -> tuple[AmplifiedLfF, TinyClassifier]:
    torch.manual_seed(0)
    model = TinyClassifier()
    return AmplifiedLfF(GROUPS, 20, model, amplified), model


def as_lff() -> tuple[LfF, TinyClassifier]:
    """LfF with the same networks."""
    torch.manual_seed(0)
    model = TinyClassifier()
    return LfF(GROUPS, 20, model), model


def test_the_biased_network_learns_the_amplified_set_alone():
    """Its gradient is that of the mean cross-entropy of three samples; it weights all eight."""
    strategy, model = pair()
    logits = strategy.network(BATCH.image).logits
    losses = F.cross_entropy(logits, BATCH.target, reduction="none")
    parameters = list(strategy.network.parameters())
    expected = torch.autograd.grad(losses[:3].mean(), parameters)
    found = strategy.loss(model, BATCH)
    for gradient, own in zip(torch.autograd.grad(found.total, parameters), expected, strict=True):
        torch.testing.assert_close(gradient, own)
    memory = strategy.difficulty.biased.values[BATCH.index]
    torch.testing.assert_close(memory, losses.detach())


def test_the_model_learns_as_in_lff():
    """Same weights, same gradient of the model: only the biased side differs."""
    gradients = []
    for strategy, model in (pair(), as_lff()):
        strategy.loss(model, BATCH).total.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for own, of_lff in zip(*gradients, strict=True):
        assert torch.equal(own, of_lff)


def test_without_a_sample_of_the_set_the_biased_network_stays():
    strategy, model = pair(torch.zeros(20, dtype=torch.bool))
    total = strategy.loss(model, BATCH).total
    assert bool(total.isfinite())
    total.backward()
    assert all(not parameter.grad.any() for parameter in strategy.network.parameters())


def test_with_all_samples_it_is_lff_with_cross_entropy():
    (strategy, model), (lff, twin) = pair(torch.ones(20, dtype=torch.bool)), as_lff()
    logits = lff.network(BATCH.image).logits
    difference = F.cross_entropy(logits, BATCH.target) - lff.biased_loss(
        logits, BATCH.target, BATCH.index
    )
    found = strategy.loss(model, BATCH).total - lff.loss(twin, BATCH).total
    assert found.item() == pytest.approx(difference.item(), rel=1e-4)
    assert abs(difference.item()) > 0.01


def test_a_swapped_bias_feature_brings_its_membership():
    """The biased terms are means over rows 0 to 2, in their own places and where they are swapped
    to; everything else is DisEnt's.
    """
    torch.manual_seed(0)
    model = TinyClassifier()
    weights = {"biased_weight": 3.0, "swap_weight": 0.5, "biased_swap_weight": 7.0}
    strategy = AmplifiedDisentangled(GROUPS, 20, model, FEW, **weights)
    plain = Disentangled(GROUPS, 20, model, **weights)
    plain.load_state_dict(strategy.state_dict())
    order = permutation(8, key=3)
    z_l, side = model(BATCH.image).features, strategy.network(BATCH.image)
    other = strategy.biased_context(z_l)

    def terms(loss) -> Tensor:
        own = loss(side.logits + other, BATCH.target, BATCH.index)
        swapped = side.logits[order] + other
        return 3.0 * own + 3.5 * loss(swapped, BATCH.target[order], BATCH.index[order])

    def by_hand(logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        return F.cross_entropy(logits[index < 3], target[index < 3])

    found = strategy.objective(model, BATCH, key=3).total
    rest = plain.objective(copy.deepcopy(model), BATCH, key=3).total - terms(plain.biased_loss)
    assert found.item() == pytest.approx((rest + terms(by_hand)).item(), rel=1e-5)


@pytest.mark.parametrize("scaled", [True, False])
def test_generalized_cross_entropy_by_definition(scaled):
    """Its value in both forms, and a gradient of p^q times that of cross-entropy, times q."""
    model = TinyClassifier()
    losses = F.cross_entropy(model(BATCH.image).logits, BATCH.target, reduction="none")
    p = (-losses.detach()).exp() ** 0.6
    strategy = GeneralizedCrossEntropy(GROUPS, q=0.6, scaled=scaled)
    found = strategy.loss(model, BATCH).total
    value = 0.6 * p * losses if scaled else (1 - p) / 0.6
    assert found.item() == pytest.approx(value.mean().item(), rel=1e-5)
    slope = torch.autograd.grad(found, model.head.bias)[0]
    factor = 0.6 if scaled else 1.0
    expected = torch.autograd.grad((factor * p * losses).mean(), model.head.bias)[0]
    torch.testing.assert_close(slope, expected)
    with pytest.raises(ValueError, match=r"q must lie in \(0, 1\] for GeneralizedCrossEntropy"):
        GeneralizedCrossEntropy(GROUPS, q=0.0)
