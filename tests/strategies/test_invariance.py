"""IRM and V-REx: their schedule, their objective, and what they learn where ERM fails."""

import pytest
import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.losses.classification import classification_losses
from debias.losses.irm import scale_gradients
from debias.strategies.erm import ERM
from debias.strategies.irm import IRM
from debias.strategies.mmd import MMD
from debias.strategies.strategy import Strategy
from debias.strategies.vrex import VREx
from debias.types import Attribute, Batch, Groups
from tests.fakes import GROUPS, BodyNetwork, TinyClassifier, batch_of

BATCH = batch_of(16)
LABELS = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)


def by_environment(
    model: nn.Module, environment: Tensor, count: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Risk, and product of the halves' derivatives, of each environment; double precision."""
    logits = model(BATCH.image).logits.double()
    losses = classification_losses(logits, BATCH.target)
    gradients = scale_gradients(logits, BATCH.target)
    rows = [(environment == number).nonzero().flatten() for number in range(count)]
    products = [gradients[row[::2]].mean() * gradients[row[1::2]].mean() for row in rows]
    return [losses[row].mean() for row in rows], products


@pytest.mark.parametrize(("environments", "count"), [("bias", 2), ("group", 4)])
def test_irm_by_definition(environments, count):
    """Environments are biases or groups; the weight is 1 for three steps, then 7."""
    torch.manual_seed(0)
    model = TinyClassifier()
    strategy = IRM(GROUPS, environments=environments, penalty=7.0, warmup=3)
    environment = BATCH.bias if count == 2 else 2 * BATCH.target + BATCH.bias
    risks, products = by_environment(model, environment, count)
    for step, weight in ((0, 1.0), (2, 1.0), (3, 7.0), (100, 7.0)):
        (turn,) = strategy.turns(step)
        loss = turn.objective(model, BATCH)
        expected = (sum(risks) + weight * sum(products)) / count
        assert turn.player == "model"
        assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
        assert loss.terms["environment_risk"].item() == pytest.approx(
            (sum(risks) / count).item(), rel=1e-5
        )
        assert loss.terms["variation"].item() == pytest.approx(
            (sum(products) / count).item(), rel=1e-4
        )
    assert strategy.loss(model, BATCH).total.item() == loss.total.item()


def test_environments_of_one_attribute():
    """The second of two attributes is the environment; the loss is that of its values as biases."""
    model = TinyClassifier()
    place = torch.arange(16) % 3
    both = Groups.product(("a", "b"), (Attribute("colour", ("0", "1")), Attribute("place", "xyz")))
    batch = BATCH._replace(bias=3 * BATCH.bias + place)
    alone = IRM(both.alone(1)).loss(model, BATCH._replace(bias=place))
    of_place = IRM(both, environments="place")
    assert of_place.environments.count == 3
    assert torch.equal(of_place.loss(model, batch).total, alone.total)
    assert not torch.equal(IRM(both, environments="colour").loss(model, batch).total, alone.total)
    classes = MMD(both, environments="place", conditional=True).environments
    assert classes.of(batch).tolist() == (3 * batch.target + place).tolist()


def test_an_attribute_does_not_take_the_name_of_a_kind():
    """Of 2 classes and attributes "group" and "bias" of 2 and 3 values."""
    both = Groups.product(("a", "b"), (Attribute("group", ("0", "1")), Attribute("bias", "xyz")))
    batch = BATCH._replace(bias=3 * BATCH.bias + torch.arange(16) % 3)
    of_bias, of_group = IRM(both).environments, IRM(both, environments="group").environments
    assert (of_bias.count, of_group.count) == (6, 12)
    assert of_bias.of(batch).tolist() == batch.bias.tolist()
    assert of_group.of(batch).tolist() == (6 * batch.target + batch.bias).tolist()


def test_irm_rescaled_by_definition():
    """The loss is divided by the weight of 7 after the warm-up, and by nothing while that is 1."""
    model, strategy = TinyClassifier(), IRM(GROUPS, penalty=7.0, warmup=1, rescale=True)
    risks, products = by_environment(model, BATCH.bias, 2)
    totals = [strategy.turns(step)[0].objective(model, BATCH).total.item() for step in (0, 1)]
    assert totals[0] == pytest.approx((sum(risks) / 2 + sum(products) / 2).item(), rel=1e-5)
    assert totals[1] == pytest.approx((sum(risks) / 14 + sum(products) / 2).item(), rel=1e-5)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize(("environments", "count"), [("bias", 2), ("group", 4)])
def test_vrex_by_definition(rescale, environments, count):
    """Rescaled, the loss is divided by the weight of 7, and by nothing while that is 1."""
    model = TinyClassifier()
    strategy = VREx(GROUPS, environments=environments, penalty=7.0, warmup=1, rescale=rescale)
    environment = BATCH.bias if count == 2 else 2 * BATCH.target + BATCH.bias
    risks, _ = by_environment(model, environment, count)
    mean = sum(risks) / count
    variance = sum((risk - mean) ** 2 for risk in risks) / count
    totals = [strategy.turns(step)[0].objective(model, BATCH).total.item() for step in (0, 1)]
    assert totals[0] == pytest.approx((mean + variance).item(), rel=1e-5)
    assert totals[1] == pytest.approx(
        ((mean + 7 * variance) / (7 if rescale else 1)).item(), rel=1e-5
    )


@pytest.mark.parametrize("make", [IRM, VREx])
def test_l2_is_rescaled_with_the_loss(make):
    """It is the sum of the squares of all weights, times 0.3, and then divided by 7."""
    model = TinyClassifier()
    squares = sum(weights.double().square().sum().item() for weights in model.parameters())
    plain, with_l2 = (
        make(GROUPS, penalty=7.0, warmup=1, rescale=True, l2=l2).turns for l2 in (0.0, 0.3)
    )
    for step, divisor in ((0, 1), (1, 7)):
        losses = [turns(step)[0].objective(model, BATCH).total for turns in (plain, with_l2)]
        assert (losses[1] - losses[0]).item() == pytest.approx(0.3 * squares / divisor, rel=1e-4)


def test_vrex_is_half_of_the_authors_loss():
    """R1 + R2 + l2 |w|^2 + weight (R1 - R2)^2 with weight 1, and later 5 with all divided by 5."""
    model = TinyClassifier()
    options = {"penalty": 10.0, "warmup": 1, "warmup_penalty": 2.0, "rescale": True, "l2": 0.15}
    turns = VREx(GROUPS, **options).turns
    (one, two), _ = by_environment(model, BATCH.bias, 2)
    plain = one + two + 0.3 * sum(weights.double().square().sum() for weights in model.parameters())
    totals = [turns(step)[0].objective(model, BATCH).total.item() for step in (0, 1)]
    assert 2 * totals[0] == pytest.approx((plain + (one - two) ** 2).item(), rel=1e-5)
    assert 2 * totals[1] == pytest.approx(((plain + 5 * (one - two) ** 2) / 5).item(), rel=1e-5)


@pytest.mark.parametrize("make", [IRM, VREx])
def test_the_penalty_of_the_warmup_is_positive(make):
    with pytest.raises(InputError, match="warmup_penalty"):
        make(GROUPS, warmup_penalty=0.0)


def test_a_weight_below_one_is_never_divided_by():
    model = TinyClassifier()
    losses = [
        VREx(GROUPS, penalty=0.5, warmup=0, rescale=rescale).loss(model, BATCH).total
        for rescale in (True, False)
    ]
    assert torch.equal(*losses)


def test_without_penalty_it_is_erm_on_balanced_environments():
    """BATCH has each bias eight times: the mean of the risks is the mean of the losses."""
    model = TinyClassifier()
    loss = IRM(GROUPS, penalty=0.0).loss(model, BATCH).total
    torch.testing.assert_close(loss, ERM().loss(model, BATCH).total)


def test_the_square_is_an_option():
    model = TinyClassifier()
    gradients = scale_gradients(model(BATCH.image).logits, BATCH.target)
    expected = sum(gradients[BATCH.bias == number].mean() ** 2 for number in (0, 1)) / 2
    term = IRM(GROUPS, unbiased=False).loss(model, BATCH).terms["variation"]
    torch.testing.assert_close(term, expected.detach())


def test_several_labels_have_biases_as_environments():
    model = TinyClassifier()
    batch = BATCH._replace(target=torch.stack([BATCH.target, BATCH.bias], dim=1))
    losses = classification_losses(model(batch.image).logits, batch.target)
    risks = torch.stack([losses[batch.bias == number].mean() for number in (0, 1)])
    torch.testing.assert_close(
        VREx(LABELS).loss(model, batch).terms["environment_risk"], risks.mean().detach()
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IRM(GROUPS, environments="biases"), "one of bias, group; got 'biases'"),
        (lambda: IRM(LABELS, environments="group"), "unlike environments=bias, needs one class"),
        (lambda: IRM(GROUPS, penalty=-1.0), r"penalty must be at least 0 for IRM; got -1\.0"),
        (lambda: VREx(GROUPS, warmup=-1), "warmup must be at least 0 for VREx; got -1"),
        (lambda: IRM(GROUPS, l2=-0.1), r"l2 must be at least 0 for IRM; got -0\.1"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def perceptron() -> BodyNetwork:
    """Two numbers to sixteen hidden units to logits."""
    return BodyNetwork(nn.Sequential(nn.Linear(2, 16), nn.ReLU()), nn.Linear(16, 2))


def coloured(flips: list[float], generator: torch.Generator) -> Batch:
    """Shape and colour, +-1: the class is the shape in 3 of 4, the colour in all but ``flips``."""
    target, environment = (
        torch.randint(size, (4000,), generator=generator) for size in (2, len(flips))
    )
    chance = torch.stack([torch.full((4000,), 0.25), torch.tensor(flips)[environment]], dim=1)
    seen = target[:, None] ^ (torch.rand(4000, 2, generator=generator) < chance)
    return Batch(2.0 * seen - 1, target, environment, torch.arange(4000))


def accuracy_where_colours_lie(strategy: Strategy, seed: int) -> float:
    """After 300 full-batch steps on environments whose colour is right in 90 and 80 %, where it is
    right in 10 %.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model, train, test = perceptron(), coloured([0.1, 0.2], generator), coloured([0.9], generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(300):
        (turn,) = strategy.turns(step)
        optimizer.zero_grad()
        turn.objective(model, train).total.backward()
        optimizer.step()
    return (model(test.image).logits.argmax(dim=1) == test.target).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_shape_is_learnt_where_erm_learns_the_colour(seed):
    """Coloured MNIST without pictures; by shape alone 0.75. Seeds 0, 1, 2: IRM 0.762 0.751 0.748,
    with the square the same; V-REx by 10,000 likewise, by DomainBed's 10 no better than ERM, which
    has 0.10."""
    options = {"penalty": 1e4, "warmup": 100, "rescale": True}
    assert accuracy_where_colours_lie(ERM(), seed) < 0.15
    for strategy in (
        IRM(GROUPS, **options),
        IRM(GROUPS, unbiased=False, **options),
        VREx(GROUPS, **options),
    ):
        assert accuracy_where_colours_lie(strategy, seed) > 0.7
