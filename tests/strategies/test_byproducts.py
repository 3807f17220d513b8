"""Byproducts: its loss by definition, both heads, ERM as its limit, and what clicks teach."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import config as configs
from debias.build import build
from debias.losses.clicks import click_from_mask
from debias.strategies.byproducts import Byproducts
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.types import Batch
from tests.commands.conftest import overrides
from tests.commands.test_labels_taken import Staged
from tests.fakes import GROUPS, TinyClassifier, TinyData, batch_of
from tests.losses.test_scales import NETWORKS, at_the_head, share, watched

SIDE = 8
IMAGE = torch.zeros(1, 3, SIDE, SIDE)


def with_spots(samples: int = 8) -> Batch:
    """Images with a bright spot of two by two pixels, which the masks show."""
    batch, generator = batch_of(samples, side=SIDE), torch.Generator().manual_seed(1)
    mask = torch.zeros(samples, 1, SIDE, SIDE)
    for row, (x, y) in enumerate(torch.randint(SIDE - 1, (samples, 2), generator=generator)):
        mask[row, :, y : y + 2, x : x + 2] = 1
    return batch._replace(image=0.1 * batch.image + 3 * mask, mask=mask)


BATCH = with_spots()


def made(head: str, **options: float) -> tuple[nn.Module, Byproducts]:
    torch.manual_seed(0)
    model = Staged(2)
    return model, Byproducts(GROUPS, model, IMAGE, head=head, **options)


def definition(model: nn.Module, strategy: Byproducts, batch: Batch) -> Tensor:
    """Mean smooth distance over the samples with foreground, in float64."""
    model, head = model.double(), strategy.head.double()
    images, total, found = batch.image.double(), torch.zeros(()).double(), 0
    for image, mask in zip(images, batch.mask, strict=True):
        if not mask.any():
            continue
        if isinstance(head, nn.Linear):
            predicted = head(model(image[None]).features)[0]
        else:
            scores = head(model.backbone[:5](image[None]))[0, 0]
            shares = scores.exp() / scores.exp().sum()
            centres = (torch.arange(len(shares)).double() + 0.5) / len(shares)
            predicted = torch.stack([shares.sum(0) @ centres, shares.sum(1) @ centres])
        click = click_from_mask(mask[None])[0].double()
        total, found = total + F.smooth_l1_loss(predicted, click), found + 1
    return total / found


@pytest.mark.parametrize("head", ["linear", "soft_argmax"])
def test_by_definition(head):
    """Two of eight samples have no click, and count neither in the sum nor in the mean."""
    model, strategy = made(head, strength=0.7)
    model.eval()
    mask = BATCH.mask.clone()
    mask[[1, 4]] = 0
    batch = BATCH._replace(mask=mask)
    loss, task = strategy.loss(model, batch), ERM().loss(model, batch).total.item()
    expected = definition(model, strategy, batch).item()
    assert loss.terms["click"].item() == pytest.approx(expected, rel=1e-5)
    assert loss.total.item() == pytest.approx(task + 0.7 * expected, rel=1e-5)
    assert loss.weights == {"click": 0.7}


@pytest.mark.parametrize("head", ["linear", "soft_argmax"])
def test_who_gets_gradient(head):
    model, strategy = made(head)
    assert strategy.players(model) == {"model": [*model.parameters(), *strategy.parameters()]}
    click = strategy.loss(model, BATCH).total - ERM().loss(model, BATCH).total
    click.backward()
    assert all(each.grad.ne(0).any() for each in strategy.parameters())
    assert all(each.grad.ne(0).any() for each in model.backbone.conv1.parameters())
    assert all(each.grad.abs().max() < 1e-6 for each in model.head.parameters())


def test_the_maps_of_a_named_layer():
    """The click then trains no later layer."""
    torch.manual_seed(0)
    model = Staged(2)
    strategy = Byproducts(GROUPS, model, IMAGE, head="soft_argmax", layer="layer1")
    click = strategy.loss(model, BATCH).total - ERM().loss(model, BATCH).total
    later = model.backbone.layer2[0].weight
    earlier = model.backbone.layer1[0].weight
    gradients = torch.autograd.grad(click, [earlier, later])
    assert gradients[0].abs().max() > 1e-4
    assert gradients[1].abs().max() < 1e-7


def test_without_strength_or_without_clicks_it_is_erm():
    model, strategy = made("linear", strength=0.0)
    parameters = list(model.parameters())
    _, other = made("linear")
    empty = BATCH._replace(mask=torch.zeros_like(BATCH.mask))
    losses = [ERM().loss(model, BATCH).total, strategy.loss(model, BATCH).total]
    losses.append(other.loss(model, empty).total)
    gradients = [torch.autograd.grad(loss, parameters) for loss in losses]
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        assert torch.equal(loss, losses[0])
        assert all(torch.equal(*pair) for pair in zip(gradient, gradients[0], strict=True))


def test_sample_weights_count_for_class_and_click():
    model, strategy = made("linear")
    alone = Batch(*(column[:2] for column in BATCH[:5]))
    doubled = alone._replace(weight=torch.tensor([2.0, 2.0]))
    twice = 2 * strategy.loss(model, alone).total
    torch.testing.assert_close(strategy.loss(model, doubled).total, twice)


class Spots(TinyData):
    """The batches of :func:`with_spots`, made of the images alone, since the data has no masks."""

    def __init__(self) -> None:
        super().__init__(side=SIDE)
        self.batch = with_spots(48)._replace(mask=None)


class FromImages(Byproducts):
    """Byproducts whose masks are the bright pixels."""

    def loss(self, model, batch):
        return super().loss(model, batch._replace(mask=(batch.image[:, :1] > 1.5).float()))


@pytest.mark.parametrize("head", ["linear", "soft_argmax"])
def test_lightning_equals_the_plain_loop(head, tmp_path):
    ends = []
    for loop in (plain_loop, lightning_loop):
        seed_all(0)
        model = Staged(2)
        strategy = FromImages(GROUPS, model, IMAGE, head=head)
        loop(model, strategy, tmp_path)
        ends.append([*model.state_dict().values(), *strategy.state_dict().values()])
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))


def plain_loop(model: nn.Module, strategy: Strategy, folder) -> None:
    optimizer = sgd(strategy.players(model)["model"], lr=0.1)
    seed_all(0)
    for batch in Spots().batches():
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()


def lightning_loop(model: nn.Module, strategy: Strategy, folder) -> None:
    module = DebiasModule(
        model,
        strategy,
        GROUPS,
        torch.tensor([12, 12, 12, 12]),
        optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
        scheduler=lambda optimizer: constant(optimizer, epochs=1),
    )
    fit(module, Spots(), trainer(folder, epochs=1, seed=0, accelerator="cpu", progress=False))


def test_soft_argmax_learns_where_the_object_is_and_linear_less():
    """Errors in sides of the image after 60 steps, on new images; the middle errs by 0.27."""
    errors = {}
    for head in ("linear", "soft_argmax"):
        model, strategy = made(head, strength=20.0)
        optimizer = torch.optim.Adam(strategy.players(model)["model"], lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            strategy.loss(model, with_spots(64)).total.backward()
            optimizer.step()
        new = with_spots(128)
        losses = strategy.loss(model, new).terms["click"]
        errors[head] = (2 * losses).sqrt().item()
    assert errors["soft_argmax"] < 0.1 < errors["linear"] < 0.27


@pytest.mark.parametrize("network", NETWORKS)
def test_by_its_defaults_the_click_is_neither_nothing_nor_everything(network):
    """Its gradient beside that of cross-entropy, on features of the scale of real networks."""

    def term(model, batch):
        torch.manual_seed(0)
        strategy = Byproducts(GROUPS, model, batch.image[:1])
        total = strategy.loss(model, spotted(batch)).total
        return total - F.cross_entropy(model(batch.image).logits, batch.target)

    def spotted(batch):
        return batch._replace(mask=with_spots(len(batch.target)).mask)

    assert 1e-6 < share(term, network) < 1e3
    model, batch = at_the_head(network)
    watched(Byproducts(GROUPS, model, batch.image[:1]), model, spotted(batch))


def test_refuses():
    model = Staged(2)
    with pytest.raises(ValueError, match=r"strength must be at least 0 for Byproducts; got -1"):
        Byproducts(GROUPS, model, IMAGE, strength=-1)
    with pytest.raises(ValueError, match=r"head must be one of linear, soft_argmax for Byprod"):
        Byproducts(GROUPS, model, IMAGE, head="mean")
    tiny = TinyClassifier(3 * SIDE**2)
    tiny.backbone = tiny.body
    with pytest.raises(ValueError, match="does not read the average of its last maps"):
        Byproducts(GROUPS, tiny, IMAGE, head="soft_argmax")
    with pytest.raises(ValueError, match=r"layer=layer1 is for the head soft_argmax; got strat"):
        Byproducts(GROUPS, model, IMAGE, layer="layer1")
    with pytest.raises(ValueError, match=r"layer=flatten must give maps, \(C, H, W\); got \(4,\)"):
        Byproducts(GROUPS, model, IMAGE, head="soft_argmax", layer="flatten")
    with pytest.raises(ValueError, match="Byproducts needs a mask for every image; got a batch w"):
        Byproducts(GROUPS, model, IMAGE).loss(model, BATCH._replace(mask=None))


def test_a_config_trains_on_the_clicks_of_its_crops(tmp_path):
    """The crops move the birds, so that the clicks spread: by 0.05 to 0.3 along each axis."""
    options = ("strategy.name=byproducts", "strategy.head=soft_argmax", "strategy.layer=layer2")
    parts = build(configs.load("drawn_birds", overrides(tmp_path, *options)))
    batch = parts.data.on_after_batch_transfer(next(iter(parts.data.train_dataloader())), 0)
    click = click_from_mask(batch.mask)
    loss = parts.module.strategy.loss(parts.module.model, batch)
    assert 0.05 < click[click[:, 0] >= 0].std(dim=0).min() < 0.3
    assert 0 < loss.terms["click"].item() < 0.125
