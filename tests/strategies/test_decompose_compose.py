"""DaC's last stage: composed pictures by hand, the loss by definition, who is combined with whom,
who is trained.
"""

import copy
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from debias.strategies.decompose_compose import (
    DecomposeCompose,
    combined_pictures,
    masked_pictures,
    partners,
)
from debias.strategies.erm import ERM
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.types import Batch
from tests.fakes import GROUPS, BackboneNetwork, TinyClassifier, batch_of, worst_group


def masked_batch(samples: int = 8, *, seed: int = 0) -> Batch:
    """Random pictures and soft masks, the last row first; no bias is known."""
    mask = torch.rand(samples, 1, 2, 2, generator=torch.Generator().manual_seed(seed + 1))
    batch, rows = batch_of(samples, seed=seed), torch.arange(samples).flip(0)
    return batch._replace(bias=torch.full_like(batch.bias, -1), index=rows, mask=mask)


def low_at(*places: int, samples: int = 8) -> torch.Tensor:
    """The partition by row that is 0 for these samples of :func:`masked_batch`, and 1 or unknown
    for others.
    """
    partition = torch.tensor([1, -1]).repeat(samples // 2)
    partition[samples - 1 - torch.tensor(places, dtype=torch.int64)] = 0
    return partition


#: Of the samples 2 and 5.
LOW = low_at(2, 5)


def test_pictures_by_hand():
    """Two pictures of four pixels, 10 and 20, the colour 5; the masks cover pixels 0, 1 and 1, 2.
    Of the first, alone: 10, 10 and then the colour. Combined: 10, 10; pixel 2 is the other's own
    object, so the colour; pixel 3 is its rest.
    """
    image = torch.tensor([10.0, 20.0]).view(2, 1, 1, 1).expand(2, 3, 1, 4)
    mask = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 0]]).view(2, 1, 1, 4)
    colour, rows = torch.full((1, 3, 1, 1), 5.0), torch.arange(2)
    assert masked_pictures(image, mask, colour)[:, 0, 0].tolist() == [
        [10, 10, 5, 5],
        [5, 20, 20, 5],
    ]
    combined = combined_pictures(image, mask, rows, rows.flip(0), colour)
    assert combined[:, 0, 0].tolist() == [[10, 10, 5, 20], [5, 20, 20, 10]]
    assert torch.equal(combined[:, 0], combined[:, 2])
    # where both masks are a half, each has its share: 10 / 2 + 1/2 (20 / 2 + 5 / 2)
    soft = combined_pictures(image, torch.full_like(mask, 0.5), rows[:1], rows[1:], colour)
    assert soft.unique().tolist() == [11.25]


def expected_loss(
    model: nn.Module, batch: Batch, mask: torch.Tensor, pairs: dict[int, int], alpha: float
) -> float:
    """The docstring's equation sample by sample in float64; ``pairs`` has each one's partner."""
    model, x, m = copy.deepcopy(model).double(), batch.image.double(), mask.double()
    c = x.mean(dim=(0, 2, 3)).view(3, 1, 1)

    def losses(pictures: list[torch.Tensor], rows: list[int]) -> torch.Tensor:
        return F.cross_entropy(model(torch.stack(pictures)).logits, batch.target[rows])

    alone = [m[i] * x[i] + (1 - m[i]) * c for i in pairs]
    among = [m[i] * x[i] + (1 - m[i]) * ((1 - m[j]) * x[j] + m[j] * c) for i, j in pairs.items()]
    plain = losses(list(x), list(range(len(x))))
    return (plain + alpha * (losses(alone, list(pairs)) + losses(among, list(pairs)))).item()


@pytest.mark.parametrize("invert", [False, True])
def test_value_by_definition(invert):
    """Samples 2 and 5 are of classes 0 and 1, so each is the other's partner."""
    model, batch = TinyClassifier(), masked_batch()
    loss = DecomposeCompose(GROUPS, LOW, alpha=6.0, invert=invert).loss(model, batch)
    mask = 1 - batch.mask if invert else batch.mask
    assert loss.total.item() == pytest.approx(
        expected_loss(model, batch, mask, {2: 5, 5: 2}, 6.0), rel=1e-5
    )
    assert set(loss.terms) == {"cross_entropy", "masked", "combined"}
    terms = {name: term.item() for name, term in loss.terms.items()}
    assert loss.total.item() == pytest.approx(
        terms["cross_entropy"] + 6 * (terms["masked"] + terms["combined"]), rel=1e-6
    )


def test_without_low_losses_it_is_erm():
    model, batch = TinyClassifier(), masked_batch()
    loss = DecomposeCompose(GROUPS, low_at()).loss(model, batch)
    assert loss.total.item() == pytest.approx(ERM().loss(model, batch).total.item(), rel=1e-6)
    assert loss.terms["masked"] == loss.terms["combined"] == 0


def test_of_one_class_nothing_is_combined():
    """The chosen, 0 and 2, are both of class 0: their masked pictures count, none is combined."""
    model, batch = TinyClassifier(), masked_batch()
    loss = DecomposeCompose(GROUPS, low_at(0, 2), alpha=2.0).loss(model, batch)
    colour = batch.image.mean(dim=(0, 2, 3), keepdim=True)
    alone = batch.mask[[0, 2]] * batch.image[[0, 2]] + (1 - batch.mask[[0, 2]]) * colour
    masked = F.cross_entropy(model(alone).logits, batch.target[[0, 2]])
    assert loss.total.item() == pytest.approx(
        (ERM().loss(model, batch).total + 2 * masked).item(), rel=1e-6
    )
    assert loss.terms["combined"] == 0


def test_weights_follow_their_samples():
    """With a weight of 0 for all but sample 5, what is left is its own losses, in the means of 8, 2
    and 2 samples.
    """
    model, batch = TinyClassifier(), masked_batch()
    found = DecomposeCompose(GROUPS, LOW, alpha=1.0).loss(
        model, batch._replace(weight=F.one_hot(torch.tensor(5), 8).float())
    )
    colour = batch.image.mean(dim=(0, 2, 3), keepdim=True)
    pictures = torch.cat(
        [
            batch.image[5:6],
            masked_pictures(batch.image[5:6], batch.mask[5:6], colour),
            combined_pictures(
                batch.image, batch.mask, torch.tensor([5]), torch.tensor([2]), colour
            ),
        ]
    )
    own = F.cross_entropy(model(pictures).logits, batch.target[5].expand(3), reduction="none")
    assert found.total.item() == pytest.approx(
        (own * torch.tensor([1 / 8, 1 / 2, 1 / 2])).sum().item(), rel=1e-5
    )


def test_partners_are_chosen_ones_of_another_class_each_as_likely():
    """Of samples 1 to 6, classes 0, 0, 1, 1, 1, 2: sample 1 has 3 to 6, sample 6 all but itself."""
    target, chosen = torch.tensor([2, 0, 0, 1, 1, 1, 2, 0]), torch.arange(1, 7)
    torch.manual_seed(0)
    drawn = []
    for _ in range(400):
        combined, partner = partners(target, chosen)
        assert torch.equal(combined, chosen)
        drawn.append(partner)
    draws = torch.stack(drawn)
    assert torch.isin(draws, chosen).all()
    assert (target[draws] != target[chosen]).all()
    for column, expected in ((0, [3, 4, 5, 6]), (5, [1, 2, 3, 4, 5])):
        values, counts = draws[:, column].unique(return_counts=True)
        assert values.tolist() == expected
        # each is binomial: 4 standard deviations at most from its mean
        share = 1 / len(expected)
        assert (counts - 400 * share).abs().max() < 4 * (400 * share * (1 - share)) ** 0.5


def test_no_partner_where_there_is_one_class_or_nobody():
    for chosen in (torch.tensor([1, 2, 7]), torch.tensor([], dtype=torch.int64)):
        combined, partner = partners(torch.tensor([2, 0, 0, 1, 1, 1, 2, 0]), chosen)
        assert len(combined) == len(partner) == 0


def test_only_the_head_is_trained():
    """Its gradient is that of the equation; the backbone has none, and is owned by nobody."""
    model, batch = TinyClassifier(), masked_batch()
    strategy = DecomposeCompose(GROUPS, LOW, alpha=6.0)
    (owned,) = strategy.players(model).values()
    assert {id(parameter) for parameter in owned} == {
        id(parameter) for parameter in model.head.parameters()
    }
    strategy.loss(model, batch).total.backward()
    assert all(parameter.grad is None for parameter in model.body.parameters())
    twin, colour, rows = copy.deepcopy(model), batch.image.mean(dim=(0, 2, 3), keepdim=True), [2, 5]
    twin.zero_grad()
    alone = masked_pictures(batch.image[rows], batch.mask[rows], colour)
    among = combined_pictures(
        batch.image, batch.mask, torch.tensor(rows), torch.tensor([5, 2]), colour
    )
    F.cross_entropy(twin(batch.image).logits, batch.target).backward()
    for pictures in (alone, among):
        (6 * F.cross_entropy(twin(pictures).logits, batch.target[rows])).backward()
    torch.testing.assert_close(model.head.weight.grad, twin.head.weight.grad)
    torch.testing.assert_close(model.head.bias.grad, twin.head.bias.grad)


class Normalised(BackboneNetwork):
    """A backbone with batch normalisation and dropout, and a head."""

    def __init__(self) -> None:
        layers = (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5))
        super().__init__(nn.Sequential(*layers), nn.Linear(16, 2))


def test_the_backbone_is_in_evaluation_mode_and_training_mode_is_back_after():
    """Averages stay, dropout drops nothing: the value is that of a model in evaluation mode."""
    model, batch, strategy = Normalised(), masked_batch(), DecomposeCompose(GROUPS, LOW)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = strategy.loss(model.train(), batch).total
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert found.item() == pytest.approx(
        expected_loss(copy.deepcopy(model).eval(), batch, batch.mask, {2: 5, 5: 2}, 6.0), rel=1e-5
    )


class Masked(pl.LightningDataModule):
    """Batches of eight with masks, a sample of either class chosen: there is nothing to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = masked_batch(48)

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(
            TensorDataset(*self.batch[:5]),
            8,
            collate_fn=lambda rows: Batch(*map(torch.stack, zip(*rows, strict=True))),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.train_dataloader()


def test_lightning_equals_the_plain_loop(tmp_path):
    seed_all(0)
    low = low_at(*range(2, 48, 8), *range(5, 48, 8), samples=48)
    model, strategy = TinyClassifier(), DecomposeCompose(GROUPS, low)
    start, (owned,) = copy.deepcopy(model), strategy.players(model).values()
    optimizer = sgd(owned, lr=0.1)
    for _ in range(2):
        for batch in Masked().train_dataloader():
            optimizer.zero_grad()
            strategy.loss(model, batch).total.backward()
            optimizer.step()
    module = DebiasModule(
        copy.deepcopy(start),
        DecomposeCompose(GROUPS, low),
        GROUPS,
        torch.tensor([12, 12, 12, 12]),
        optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
        scheduler=partial(constant, epochs=2),
    )
    fit(module, Masked(), trainer(tmp_path, epochs=2, seed=0, accelerator="cpu", progress=False))
    for one, other in ((module.model, model), (model.body, start.body)):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert not any(
        torch.equal(a, b)
        for a, b in zip(model.head.parameters(), start.head.parameters(), strict=True)
    )


def object_and_place(samples: int, *, seed: int) -> Batch:
    """Left half an object, dim; right half a place, loud, that goes with the class in 95 %; masks
    on the left.
    """
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (samples,), generator=generator)
    place = torch.where(torch.rand(samples, generator=generator) < 0.95, target, 1 - target)
    image = torch.randn(samples, 3, 2, 2, generator=generator)
    image[..., 0] += (2.0 * target - 1)[:, None, None] * 0.4
    image[..., 1] += (2.0 * place - 1)[:, None, None] * 2
    mask = torch.tensor([1.0, 0.0]).expand(samples, 1, 2, 2)
    return Batch(image, target, place, torch.arange(samples), mask)


def worst_group_of(strategy: DecomposeCompose, seed: int) -> float:
    """Of a head on raw pixels after 100 full batches, all of whose samples are chosen."""
    torch.manual_seed(seed)
    model = TinyClassifier(12, 12)
    model.body = nn.Flatten()
    batch, test = object_and_place(256, seed=seed), object_and_place(4000, seed=seed + 100)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()
    return worst_group(model(test.image).logits, test)


def test_right_masks_free_the_head_of_the_shortcut_and_wrong_ones_bind_it():
    """Worst group at seeds 0 to 2: 0.22 to 0.33 without composed pictures, 0.78 to 0.83 with them
    (the object alone allows 0.84), 0 to 0.01 with masks of the place. With alpha 6, 0.58 to 0.67:
    the combined pictures outweigh the batch, and as their places are another class's, the head
    takes the shortcut the other way round."""
    for seed in range(3):
        options = ({"alpha": 0.0}, {"alpha": 1.0}, {"alpha": 6.0}, {"alpha": 1.0, "invert": True})
        plain, right, heavy, wrong = (
            worst_group_of(DecomposeCompose(GROUPS, torch.zeros(256), **option), seed)
            for option in options
        )
        assert right > plain + 0.2
        assert plain < heavy < right
        assert wrong < plain


def test_refuses():
    with pytest.raises(ValueError, match="alpha must be at least 0 for DecomposeCompose; got -1"):
        DecomposeCompose(GROUPS, LOW, alpha=-1.0)
    with pytest.raises(ValueError, match=r"a batch without masks: set recipe\.name=dac"):
        DecomposeCompose(GROUPS, LOW).loss(TinyClassifier(), batch_of(8))
