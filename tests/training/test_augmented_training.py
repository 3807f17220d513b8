"""Augmentation inside a training: what the objectives see, how far training is said to be, and what
comes of it.
"""

from functools import partial

import pytest
import torch

from debias.augment.augmentation import Augmentation
from debias.strategies.erm import ERM
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import sgd, step
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, TinyData
from tests.toy_strategies import TwoPlayers

EPOCHS, BATCHES = 4, 6  # TinyData has 48 samples in batches of 8


class Brightening(Augmentation):
    """Adds more the longer training goes on, 1 at first, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: list[float] = []
        self.before: list[torch.Tensor] = []

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        self.progress.append(progress)
        self.before.append(batch.image)
        return batch._replace(image=batch.image + 1 + progress)


class SeeingERM(ERM):
    """Remembers the pictures of its objective."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def loss(self, model, batch):
        self.seen.append(batch.image)
        return super().loss(model, batch)


class SeeingTwoPlayers(TwoPlayers):
    """Remembers the pictures of both objectives."""

    def __init__(self) -> None:
        super().__init__(features=5)
        self.seen: list[torch.Tensor] = []

    def identify(self, model, batch):
        self.seen.append(batch.image)
        return super().identify(model, batch)

    def deceive(self, model, batch):
        self.seen.append(batch.image)
        return super().deceive(model, batch)


def optimizer_of(player, parameters):
    return sgd(parameters, lr=0.1, momentum=0.9, weight_decay=0.0)


def trained(strategy, augment, folder) -> DebiasModule:
    seed_all(0)
    module = DebiasModule(
        TinyClassifier(),
        strategy,
        GROUPS,
        torch.full((4,), 12),
        optimizer=optimizer_of,
        scheduler=partial(step, epochs=EPOCHS, every=1, factor=0.5),
        augment=augment,
    )
    lightning = trainer(
        folder,
        epochs=EPOCHS,
        seed=0,
        accelerator="cpu",
        unused=module.leaves_unused,
        progress=False,
    )
    fit(module, TinyData(), lightning)
    return module


@pytest.mark.parametrize("make", [SeeingERM, SeeingTwoPlayers])
def test_every_objective_sees_the_augmented_batch(make, tmp_path):
    """Once a batch, also where two players look at it in turn; progress is 0, 1/4, 2/4, 3/4."""
    strategy, augment = make(), Brightening()
    trained(strategy, augment, tmp_path)
    assert augment.progress == [epoch / EPOCHS for epoch in range(EPOCHS) for _ in range(BATCHES)]
    given = [batch.image for batch in TinyData().batches()] * EPOCHS
    assert all(torch.equal(*pair) for pair in zip(augment.before, given, strict=True))
    looks = [len(strategy.turns(number)) for number in range(EPOCHS * BATCHES)]
    changed = [image + 1 + share for image, share in zip(given, augment.progress, strict=True)]
    expected = [image for image, times in zip(changed, looks, strict=True) for _ in range(times)]
    assert all(torch.equal(*pair) for pair in zip(strategy.seen, expected, strict=True))


def test_training_on_augmented_batches_equals_a_plain_loop(tmp_path):
    module = trained(ERM(), Brightening(), tmp_path)
    seed_all(0)
    model = TinyClassifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = 0.1 * 0.5**epoch
        for batch in TinyData().batches():
            logits = model(batch.image + 1 + epoch / EPOCHS).logits
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, batch.target).backward()
            optimizer.step()
    for ours, plain in zip(module.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain)


class SeeingViews(SeeingERM):
    """Reads two augmented views of each batch."""

    views = 2

    def loss(self, model, batch):
        self.seen += [view.image for view in batch.views]
        return super().loss(model, batch)


def test_a_strategy_of_views_sees_the_batch_and_its_augmented_copies(tmp_path):
    strategy, augment = SeeingViews(), Brightening()
    trained(strategy, augment, tmp_path)
    assert len(strategy.seen) == 3 * EPOCHS * BATCHES
    assert len(augment.before) == 2 * EPOCHS * BATCHES  # each view is drawn by itself
    given = [batch.image for batch in TinyData().batches()] * EPOCHS
    for number, image in enumerate(given):
        *views, unchanged = strategy.seen[3 * number : 3 * number + 3]
        assert torch.equal(unchanged, image)
        assert all(torch.equal(view, image + 1 + number // BATCHES / EPOCHS) for view in views)
