"""The LightningModule: clipping, logged means, steps over a resume, mixed precision by turn."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.strategy import Strategy
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import cosine, sgd, step
from debias.training.prediction import predict
from debias.training.recorder import Recorder
from debias.types import Batch, Loss, Turn
from tests.fakes import GROUPS, TinyClassifier, TinyData, batch_of
from tests.toy_strategies import TwoPlayers

FREQUENCIES = torch.tensor([12, 12, 12, 12])


def module_of(
    make: Callable[[], Strategy], *, clip: float | None = None, lr: float = 0.1, epochs: int = 2
) -> DebiasModule:
    seed_all(0)

    def optimizer(player, parameters):
        return sgd(parameters, lr=lr, momentum=0.0, weight_decay=0.0)

    scheduler = partial(cosine, epochs=epochs)
    model, strategy = TinyClassifier(), make()
    return DebiasModule(
        model, strategy, GROUPS, FREQUENCIES, optimizer=optimizer, scheduler=scheduler, clip=clip
    )


def trained(module: DebiasModule, folder, *, epochs: int = 2, callbacks=()) -> DebiasModule:
    fit(module, TinyData(), trainer_of(module, folder, epochs=epochs, callbacks=callbacks))
    return module


def trainer_of(
    module: DebiasModule, folder, *, epochs: int, callbacks=(), precision: str = "32-true"
):
    return trainer(
        folder,
        epochs=epochs,
        seed=0,
        precision=precision,
        accelerator="cpu",
        unused=module.leaves_unused,
        progress=False,
        callbacks=callbacks,
    )


class Steep(ERM):
    """A thousand times the loss, so that every gradient is clipped."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return Loss(1000 * super().loss(model, batch).total, {})


class SteepTwoPlayers(TwoPlayers):
    """The same for each of two players."""

    def identify(self, model: nn.Module, batch: Batch) -> Loss:
        return Loss(1000 * super().identify(model, batch).total, {})

    def deceive(self, model: nn.Module, batch: Batch) -> Loss:
        return Loss(1000 * super().deceive(model, batch).total, {})


@pytest.mark.parametrize("strategy", [Steep, partial(SteepTwoPlayers, features=5)])
def test_clip_bounds_the_step_of_each_player(strategy, tmp_path):
    """Plain gradient descent with lr 0.1 and the norm clipped to 0.5: six steps go exactly 0.05
    each at most.
    """
    module = module_of(strategy, clip=0.5)
    before = {name: [p.detach().clone() for p in owned] for name, owned in module.players.items()}
    trained(module, tmp_path, epochs=1)
    for name, owned in module.players.items():
        moved = math.sqrt(
            sum((p - b).square().sum().item() for p, b in zip(owned, before[name], strict=True))
        )
        assert 0.01 < moved <= 6 * 0.05 * (1 + 1e-5)


def test_training_means_are_means_over_the_epoch(tmp_path):
    """Learning rate 0: the mean of the batch losses is that of the untrained model."""
    module = trained(module_of(partial(GroupDRO, GROUPS, FREQUENCIES), lr=0.0), tmp_path, epochs=1)
    means = module.training_means()
    robust = GroupDRO(GROUPS, FREQUENCIES)
    losses = [robust.loss(module.model, batch) for batch in TinyData().batches()]
    assert means["loss"] == pytest.approx(sum(loss.total.item() for loss in losses) / 6, rel=1e-5)
    weights = torch.stack([loss.terms["group_weight"] for loss in losses]).mean(dim=0)
    assert [means[f"group_weight/{name}"] for name in GROUPS.names] == pytest.approx(
        weights.tolist(), rel=1e-5
    )


def test_of_many_groups_and_classes_only_aggregates_are_followed(tmp_path, monkeypatch):
    """Four groups and two classes; at most three numbers of one kind."""
    monkeypatch.setattr("debias.training.module.MOST_FOLLOWED", 3)
    module = trained(module_of(partial(GroupDRO, GROUPS, FREQUENCIES)), tmp_path, epochs=1)
    classes = {f"class_accuracy/{name}" for name in GROUPS.target_names}
    assert {name for name in module.validation if "/" in name} == classes
    assert module.validation["worst_group"] <= module.validation["average"]
    assert not [name for name in module.training_means() if "/" in name]


def test_validation_is_what_predict_and_counting_give(tmp_path):
    module = trained(module_of(ERM), tmp_path)
    batch = batch_of(48)
    predicted = predict(module.model, TinyData().batches())
    assert predicted.index.tolist() == list(range(48))
    right = (predicted.logits.argmax(dim=1) == batch.target).double()
    assert module.validation["average"] == pytest.approx(right.mean().item())
    group = GROUPS.encode(batch.target, batch.bias)
    assert module.validation["worst_group"] == pytest.approx(
        min(right[group == g].mean().item() for g in range(4))
    )


class Steps(TwoPlayers):
    """Remembers every step that was taken."""

    def __init__(self) -> None:
        super().__init__(features=5)
        self.taken: list[int] = []

    def turns(self, step: int) -> tuple[Turn, ...]:
        first, *others = super().turns(step)
        return (Turn(first.player, partial(self.remember, step, first.objective)), *others)

    def remember(self, step: int, objective, model, batch):
        self.taken.append(step)
        return objective(model, batch)


def test_steps_count_batches_also_after_a_resume(tmp_path):
    """Six batches an epoch; two players step nine times an epoch, not to be counted instead."""
    first = Recorder(tmp_path / "one", write=lambda epoch, predicted: None)
    trained(module_of(Steps, epochs=4), tmp_path, epochs=2, callbacks=[first])
    resumed = module_of(Steps, epochs=4)
    second = Recorder(tmp_path / "one", write=lambda epoch, predicted: None)
    lightning = trainer_of(resumed, tmp_path, epochs=4, callbacks=[second])
    fit(resumed, TinyData(), lightning, resume=first.last)
    assert resumed.strategy.taken == list(range(12, 24))
    uninterrupted = trained(module_of(Steps, epochs=4), tmp_path / "other", epochs=4)
    assert uninterrupted.strategy.taken == list(range(24))
    torch.testing.assert_close(resumed.state_dict(), uninterrupted.state_dict(), rtol=0, atol=0)
    assert [entry["epoch"] for entry in second.history] == [0, 1, 2, 3]


@pytest.mark.parametrize("strategy", [ERM, partial(TwoPlayers, features=5)])
def test_schedules_step_once_an_epoch(strategy, tmp_path):
    module = module_of(strategy)
    module.make_scheduler = partial(step, epochs=3, every=1, factor=0.1)
    trained(module, tmp_path, epochs=3)
    optimizers = module.optimizers(use_pl_optimizer=False)
    optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
    assert [
        group["lr"] for optimizer in optimizers for group in optimizer.param_groups
    ] == pytest.approx([1e-4] * len(optimizers))


class LateModel(TwoPlayers):
    """The model moves from the second epoch on, after six batches."""

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn("probe", self.identify),) if step < 6 else (Turn("model", self.deceive),)


def test_a_schedule_waits_for_its_player(tmp_path):
    """Three epochs, a tenth after each: the probe moved in one of them, the model in two."""
    module = module_of(partial(LateModel, features=5))
    module.make_scheduler = partial(step, epochs=3, every=1, factor=0.1)
    trained(module, tmp_path, epochs=3)
    rates = [
        optimizer.param_groups[0]["lr"] for optimizer in module.optimizers(use_pl_optimizer=False)
    ]
    assert rates == pytest.approx([1e-2, 1e-3])


class WhatTheProbeLearnt(Strategy):
    """The probe's turn, then a turn that only looks at the probe's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.probe = nn.Linear(5, 2)
        self.seen: list[torch.Tensor] = []

    def players(self, model):
        return {"probe": list(self.probe.parameters()), "model": list(model.parameters())}

    def turns(self, step):
        return (Turn("probe", self.identify), Turn("model", self.look))

    def identify(self, model, batch):
        return Loss(self.probe(model(batch.image).features).square().mean(), {})

    def look(self, model, batch):
        features = model(batch.image).features
        self.seen.append(
            (self.probe(features) - (features @ self.probe.weight.T + self.probe.bias))
            .detach()
            .float()
        )
        return Loss(features.sum() * 0.0, {})


def test_a_later_turn_sees_moved_weights_under_autocast(tmp_path):
    """In one cached autocast region the second turn would use the weights that the first turn's
    forward had cast.
    """
    module = module_of(WhatTheProbeLearnt, lr=1.0)
    lightning = trainer(
        tmp_path,
        epochs=1,
        seed=0,
        precision="bf16-mixed",
        accelerator="cpu",
        progress=False,
        unused=True,
    )
    fit(module, TinyData(), lightning)
    assert max(difference.abs().max().item() for difference in module.strategy.seen) < 0.02


class InFloat32(Strategy):
    """Two players, each of which descends on a product that it takes in float32, autocast off."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, 4), 0.1))
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.hook = self.weight.register_hook(lambda gradient: None)

    def players(self, model):
        return {"own": [self.weight], "model": list(model.parameters())}

    def turns(self, step):
        return (Turn("own", self.loss), Turn("model", self.still))

    def loss(self, model, batch):
        self.hook.remove()
        with torch.autocast("cpu", enabled=False):
            values = batch.image.flatten(1)[:, :4]
            outer = 1 + values.abs()
            expected = values.T @ outer
            self.hook = self.weight.register_hook(
                lambda gradient: self.kept.append((gradient.clone(), expected))
            )
            return Loss((values @ self.weight * outer).sum(), {})

    def still(self, model, batch):
        return Loss(model(batch.image).logits.sum() * 0.0, {})


def test_what_is_computed_in_float32_has_gradients_of_float32(tmp_path):
    """d sum(o * (v W)) / dW = v^T o, to the precision of float32; rounded to bfloat16 it is off by
    parts in 256.
    """
    module = module_of(InFloat32, lr=0.0)
    lightning = trainer(
        tmp_path,
        epochs=1,
        seed=0,
        precision="bf16-mixed",
        accelerator="cpu",
        progress=False,
        unused=True,
    )
    fit(module, TinyData(), lightning)
    assert module.strategy.kept
    for gradient, expected in module.strategy.kept:
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("owned", "frozen", "expected"),
    [("all", False, False), ("head", False, True), ("head", True, False)],
)
def test_a_step_leaves_parameters_unused_where_nobody_moves_them(owned, frozen, expected):
    """A single player that owns the head alone: the backbone gets none, unless it is frozen."""
    model = TinyClassifier()
    model.body.requires_grad_(not frozen)
    moved = model if owned == "all" else model.head
    strategy = ERM()
    strategy.players = lambda model: {"model": list(moved.parameters())}
    scheduler = partial(cosine, epochs=1)
    module = DebiasModule(
        model, strategy, GROUPS, FREQUENCIES, optimizer=partial(sgd, lr=0.1), scheduler=scheduler
    )
    assert module.leaves_unused is expected


def test_predict_leaves_the_mode_and_uses_evaluation_mode():
    model = nn.Sequential(nn.Dropout(0.9))
    seen = []
    model.forward = lambda image: seen.append(model.training) or TinyClassifier()(image)  # type: ignore[method-assign]
    model.train()
    predict(model, [batch_of(4)])
    assert seen == [False]
    assert model.training
