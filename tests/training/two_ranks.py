"""Losses, gradients, joined rows and training in each of two processes."""

from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from debias.errors import InputError
from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import group_means
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.strategy import Strategy
from debias.training.fit import seed_all
from debias.training.module import DebiasModule
from debias.training.prediction import Predicted, joined
from debias.training.terms import EpochSums, check_finite
from tests.fakes import GROUPS, TinyClassifier, batch_of

#: Rank 0 takes the first six samples, all of groups 0 and 1; rank 1 the last four, which see group
#: 2 but not 3.
LOSSES = torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0, 3.0, 2.0, 5.0, 1.0, 0.25], dtype=torch.float64)
GROUP = torch.tensor([0, 0, 1, 0, 0, 1, 2, 2, 0, -1])
INPUTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SHARDS = (slice(0, 6), slice(6, 10))
FREQUENCIES = torch.tensor([9, 4, 1, 1])


def group_losses(shard: slice) -> dict[str, Tensor]:
    means, counts = group_means(LOSSES[shard], GROUP[shard], 4)
    robust = GroupDROLoss(4, step_size=0.5, adjustment=1.0, counts=FREQUENCIES)
    steps = [
        (robust(LOSSES[shard] * (step + 1), GROUP[shard]), robust.weights) for step in range(3)
    ]
    losses, weights = zip(*steps, strict=True)
    return {
        "means": means,
        "counts": counts,
        "losses": torch.stack(losses),
        "weights": torch.stack(weights),
    }


def gradients(shard: slice) -> dict[str, Tensor]:
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    losses = (INPUTS[shard] @ weight).square()
    robust = GroupDROLoss(4, step_size=0.5)
    (gradient,) = torch.autograd.grad(robust(losses, GROUP[shard]), weight, retain_graph=True)
    local = sum(
        robust.weights[g].double() * losses[GROUP[shard] == g].mean()
        for g in range(4)
        if (GROUP[shard] == g).any()
    )
    (naive,) = torch.autograd.grad(local, weight)
    return {"gradient": gradient, "naive": naive}


def predictions(rank: int) -> dict[str, Tensor]:
    """Seven rows over two ranks, row 0 twice as a padding sampler would have it."""
    rows = torch.tensor([6, 4, 2, 0] if rank == 0 else [1, 3, 5, 0])
    found = joined([Predicted(rows, rows[:, None].float())])
    return {"rows": found.index, "logits": found.logits}


def train(model: torch.nn.Module, strategy: GroupDRO, part: slice) -> dict[str, Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(4):
        batch = batch_of(16, seed=seed)
        loss = strategy.loss(
            model, type(batch)(*(None if c is None else c[part] for c in batch))
        ).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {
        key.removeprefix("module."): value for key, value in model.state_dict().items()
    } | strategy.state_dict()


def epoch_means(part: slice) -> dict[str, Tensor]:
    """Training means of an epoch of four batches on which nothing moves; of every batch this
    process has a part.
    """
    strategies: list[Strategy] = [ERM(), GroupDRO(GROUPS, FREQUENCIES, step_size=0.5)]
    found = {}
    for strategy in strategies:
        seed_all(0)
        options = {"optimizer": torch.optim.SGD, "scheduler": torch.optim.lr_scheduler.ConstantLR}
        module = DebiasModule(TinyClassifier(), strategy, GROUPS, FREQUENCIES, **options)
        for step in range(4):
            loop = SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=step))
            module.trainer = SimpleNamespace(fit_loop=loop, current_epoch=0, max_epochs=1)
            batch = batch_of(16, seed=step)
            module.training_step(
                type(batch)(*(None if c is None else c[part] for c in batch)), step
            )
        for name, value in module.training_means().items():
            found[f"means/{type(strategy).__name__}/{name}"] = torch.tensor(value)
    return found


def trained_alone() -> dict[str, Tensor]:
    seed_all(0)
    return train(TinyClassifier(), GroupDRO(GROUPS, FREQUENCIES, step_size=0.5), slice(0, 16))


def trained_by_two(rank: int) -> dict[str, Tensor]:
    seed_all(0)
    model = DistributedDataParallel(TinyClassifier())
    part = slice(0, 5) if rank == 0 else slice(5, 16)
    return train(model, GroupDRO(GROUPS, FREQUENCIES, step_size=0.5), part)


def first_broken_step(rank: int) -> dict[str, Tensor]:
    """Losses are finite for 5 of 6 steps in process 0, for 3 in process 1: both end alike."""
    try:
        sums = EpochSums()
        sums.steps, sums.finite_steps = 6, torch.tensor(5 if rank == 0 else 3)
        check_finite(TinyClassifier(), sums, epoch=1)
    except InputError as error:
        return {"broken": torch.tensor(int(str(error).partition("loss of step ")[2].split()[0]))}
    return {}


def on_rank(rank: int) -> dict[str, Tensor]:
    shard = SHARDS[rank]
    trained = {f"trained/{key}": value for key, value in trained_by_two(rank).items()}
    means = epoch_means(slice(0, 8) if rank == 0 else slice(8, 16))
    found = (
        group_losses(shard)
        | gradients(shard)
        | predictions(rank)
        | trained
        | means
        | first_broken_step(rank)
    )
    return {key: value.detach().clone() for key, value in found.items()}
