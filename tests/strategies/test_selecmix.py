"""SelecMix: the contrast and the mixed loss by definition, whose turn moves what, and L+."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.contradicting_pairs import contradicting_partners
from debias.strategies.lff import LfF
from debias.strategies.selecmix import SelecMix, SelecMixLfF
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)
#: Steps whose draws choose negatives, and positives.
NEGATIVE, POSITIVE = 3, 1


def pair(**options: float) -> tuple[SelecMix, TinyClassifier]:
    torch.manual_seed(0)
    model = TinyClassifier()
    return SelecMix(GROUPS, model, size=7, **options), model


def mixed_cross_entropy(
    model: TinyClassifier, similarities: torch.Tensor, step: int
) -> torch.Tensor:
    """CE of the partner's class on images that keep less than half of the sample itself."""
    generator = torch.Generator().manual_seed(step)
    positives = torch.rand(1, generator=generator).item() > 0.5
    assert positives == (step == POSITIVE)
    own = torch.rand(8, generator=generator) / 2
    losses = []
    for i, j in enumerate(contradicting_partners(similarities, BATCH.target, positives=positives)):
        assert (BATCH.target[i] == BATCH.target[j]) == positives
        image = own[i] * BATCH.image[i] + (1 - own[i]) * BATCH.image[j]
        losses.append(F.cross_entropy(model(image[None]).logits[0], BATCH.target[j]))
    return torch.stack(losses).mean()


def similarities_of(strategy: SelecMix | SelecMixLfF) -> torch.Tensor:
    embeddings = F.normalize(strategy.mixer.network(BATCH.image).logits.detach(), dim=1)
    assert embeddings.shape == (8, 7)
    return embeddings @ embeddings.T


@pytest.mark.parametrize("step", [NEGATIVE, POSITIVE])
def test_the_model_sees_mixed_images_alone(step):
    strategy, model = pair()
    similarities = similarities_of(strategy)
    first, second = strategy.turns(step)
    first.objective(model, BATCH)
    with torch.no_grad():  # the update of c between both turns
        strategy.mixer.network.head[0].weight.mul_(-1)
    expected = mixed_cross_entropy(model, similarities, step)
    assert second.objective(model, BATCH).total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_contrast_by_definition():
    strategy, model = pair(q=0.5, temperature=0.4)
    scores = (similarities_of(strategy).double() / 0.4).exp().fill_diagonal_(0)
    shares = scores / scores.sum(dim=1, keepdim=True)
    losses = []
    for i in range(8):
        found = [j for j in range(8) if j != i and BATCH.target[i] == BATCH.target[j]]
        p = shares[i, found]
        losses.append(-(0.5 * p.sqrt() * p.log()).mean())
    loss = strategy.turns(0)[0].objective(model, BATCH)
    assert loss.total.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    assert loss.terms["contrast"].item() == loss.total.item()


def test_l_adds_a_share_of_the_mixed_loss_to_that_of_lff():
    torch.manual_seed(0)
    model = TinyClassifier()
    strategy = SelecMixLfF(GROUPS, 8, model, size=7, mixed_weight=0.3)
    plain = LfF(GROUPS, 8, model)
    plain.network.load_state_dict(strategy.network.state_dict())
    mixed = mixed_cross_entropy(model, similarities_of(strategy), NEGATIVE)
    first, second = strategy.turns(NEGATIVE)
    first.objective(model, BATCH)
    loss, lff = second.objective(model, BATCH), plain.loss(model, BATCH)
    assert loss.total.item() == pytest.approx((lff.total + 0.3 * mixed).item(), rel=1e-5)
    assert loss.terms["mixed_cross_entropy"].item() == pytest.approx(mixed.item(), rel=1e-5)
    assert loss.weights == {"mixed_cross_entropy": 0.3}


@pytest.mark.parametrize("kind", ["V", "L"])
def test_a_turn_moves_only_its_own_networks(kind):
    model = TinyClassifier()
    strategy = SelecMix(GROUPS, model) if kind == "V" else SelecMixLfF(GROUPS, 8, model)
    players = strategy.players(model)
    everything = [*model.parameters(), *strategy.parameters()]
    assert sum(map(len, players.values())) == len(everything)
    for player, objective in strategy.turns(0):
        found = torch.autograd.grad(objective(model, BATCH).total, everything, allow_unused=True)
        moved = {id(p) for p, slope in zip(everything, found, strict=True) if slope is not None}
        assert moved == {id(p) for p in players[player]}


def test_separate_start_draws_all_of_the_contrastive_network():
    for redrawn in (False, True):
        model = TinyClassifier()
        network = SelecMix(GROUPS, model, separate_start=redrawn).mixer.network
        assert torch.equal(network.body[1].weight, model.body[1].weight) is not redrawn


@pytest.mark.parametrize(("option", "value"), [("q", 0.0), ("temperature", 0.0), ("size", 0)])
def test_refuses(option, value):
    with pytest.raises(ValueError, match=f"{option} must"):
        SelecMix(GROUPS, TinyClassifier(), **{option: value})


def test_refuses_a_negative_weight():
    with pytest.raises(ValueError, match="mixed_weight must"):
        SelecMixLfF(GROUPS, 8, TinyClassifier(), mixed_weight=-0.1)
