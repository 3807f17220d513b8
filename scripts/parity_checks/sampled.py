"""Compares trainings on the batches of a sampler with the authors' loops."""

import math
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau
from torch.utils.data import Subset

from debias.data.orders import EpochSampler, Order
from debias.data.progressive import progressive as sampler
from debias.strategies.erm import ERM
from debias.training.optimizers import multi_step, sgd
from debias.types import Batch
from parity_checks.cases import Replaced, draws
from parity_checks.games import Normalised, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row
from parity_checks.samplers import CLASSES, expansion, our_choice

PDE, ROWS, EPOCHS, SIZE = "uclaml/PDE", 90, 14, 16
#: The helpers of their loop, and the classes of their algorithm, each with its file.
HELPERS = ("get_train_loader", "detach_and_clone", "collate_list", "move_to", "update_average")
CLASSES_OF = ("Algorithm", "GroupAlgorithm", "SingleModelAlgorithm", "ERM")
FILES = ("algorithm", "group_algorithm", "single_model_algorithm", "ERM")
#: What their loop reads besides the settings of the expansions.
CONFIG = {
    "n_epochs": EPOCHS, "progress_bar": False, "process_outputs_function": None, "device": "cpu",
    "gradient_accumulation_steps": 1, "log_every": 1000, "scheduler_metric_split": "val",
    "optimizer": "SGD", "lr": 0.2, "weight_decay": 0.01, "optimizer_kwargs": {"momentum": 0.9},
    "max_grad_norm": None, "use_data_parallel": False, "scheduler": "MultiStepLR",
    "scheduler_multistep_gamma": 0.01, "scheduler_kwargs": {"verbose": True},
    "scheduler_metric_name": None, "no_group_logging": True, "use_unlabeled_y": False,
}  # fmt: skip


class Logits(nn.Module):
    """A network that gives its logits only, as their algorithm reads them."""

    needs_y = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


class OurOrder:
    """Their loader: their set in the order of our epoch, if ours has the same samples.

    Otherwise the set is one batch. Each iteration takes the next of our epochs.
    """

    def __init__(self, dataset: Any, epochs: Iterator[list[Batch]], data: Batch) -> None:
        self.dataset, self.epochs, self.data = dataset, epochs, data

    def __len__(self) -> int:
        return -(-ROWS // SIZE)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        given, own = next(self.epochs), torch.as_tensor(self.dataset.indices)
        visited = torch.cat([batch.index for batch in given]).unique()
        same = len(own) == len(visited) and bool((own.sort().values == visited).all())
        for rows in [batch.index for batch in given] if same else [own]:
            y, bias = self.data.target[rows], self.data.bias[rows]
            yield self.data.image[rows], y, CLASSES.encode(y, bias)


def progressive(clones: Clones) -> Iterator[Row]:
    ours: dict[str, Any] = {}
    loader, learner, code = _code(clones, ours)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        options = {"warmup": (3, 4, 5)[seed % 3], "interval": (2, 1)[seed % 2], "added": 4 + seed}
        data = six_groups(seed)
        group = CLASSES.encode(data.target, data.bias)
        order: Any = sampler(group, CLASSES, seed, visits=ROWS, **options)
        model, given = Normalised(), epochs(order, data, seed)
        network = deepcopy(model)
        ours.update(order=order, data=data, left=iter(given))
        sets, config, grouper = expansion(group, options)
        config.__dict__.update(CONFIG, scheduler_multistep_milestones=[options["warmup"]])
        _complete(sets, loader, grouper)
        with torch.enable_grad():  # their validation switches gradients off and leaves them so
            theirs = learner(network, config, grouper)
            code["train"](theirs, sets, _LOG, config, 0, None, None, grouper)
        rate = partial(multi_step, at=[options["warmup"]], factor=0.01)
        train(model, given, partial(sgd, lr=0.2, momentum=0.9, weight_decay=0.01), rate)
        return states_apart([network], [model])

    compared = (
        "the network after 14 epochs by their loop, their sets in our order: momentum is carried "
        "on and the rate falls at the first expansion"
    )
    yield code.row("progressive", compared, map(case, range(6)), bar=1e-10)


def _code(clones: Clones, ours: dict[str, Any]) -> tuple[Piece, Any, Piece]:
    """Their loaders, which draw as ours, their ERM, and their loop, which keeps no files."""
    space: dict[str, Any] = {
        "np": Replaced(np, {"random": SimpleNamespace(choice=partial(our_choice, ours))}),
        "Subset": Subset,
        "DataLoader": lambda rows, **_: OurOrder(rows, ours["left"], ours["data"]),
    }
    loader = clones.take(PDE, "utils.py", *HELPERS, space=space)
    names = ("save_model_if_needed", "save_pred_if_needed", "log_results")
    space = loader.space | dict.fromkeys(names, _nothing) | {"math": math}
    code = clones.take(PDE, "train.py", "train", "run_epoch", space=space)
    return loader, _learner(clones, loader), code


def _nothing(*_: Any, **__: Any) -> None:
    pass


_LOG = SimpleNamespace(write=_nothing, log=_nothing)


def _learner(clones: Clones, loader: Piece) -> Any:
    """Their ERM as a function of network, config and grouper; its loss is that of PyTorch."""
    steps = clones.take(
        PDE, "scheduler.py", "initialize_scheduler", "step_scheduler",
        space={
            "MultiStepLR": lambda *given, verbose, **options: MultiStepLR(*given, **options),
            "ReduceLROnPlateau": ReduceLROnPlateau,
        },
    )  # fmt: skip
    descent = clones.take(PDE, "optimizer.py", "initialize_optimizer", space={"SGD": SGD})
    space = loader.space | descent.space | steps.space | {"numel": torch.numel}
    space |= {"initialize_model": lambda _, network: Logits(network)}
    for file, name in zip(FILES, CLASSES_OF, strict=True):
        space = clones.take(PDE, f"algorithms/{file}.py", name, space=space).space

    def compute(logits: Tensor, target: Tensor, return_dict: bool) -> Tensor:
        return nn.functional.cross_entropy(logits, target)

    loss = SimpleNamespace(compute=compute, agg_metric_field="loss")

    def made(network: nn.Module, config: Any, grouper: Any) -> Any:
        return space["ERM"](config, network, grouper, loss, None, None)

    return made


def _complete(sets: Any, loader: Piece, grouper: Any) -> None:
    """Add the first loader, a validation of one batch, and logs to their data."""
    data = sets["train"]["dataset"]
    sets["train"]["loader"] = loader["get_train_loader"](
        "standard", data, SIZE, grouper=grouper, subsample=True
    )
    group = torch.as_tensor(data.metadata_array)
    sets["val"]["loader"] = [(torch.randn(len(group), 10), group // 2, group)]
    data.eval = lambda *_, **__: ({"wg": 0.0}, "")
    for name, split in sets.items():
        split |= {"split": name, "name": name, "verbose": False, "eval_logger": _LOG}


def six_groups(seed: int) -> Batch:
    """Rows of six groups of very different sizes, in random order."""
    generator = draws(seed)
    counts = torch.tensor([30, 4, 6, 25, 5, 20])
    group = torch.arange(6).repeat_interleave(counts)[torch.randperm(ROWS, generator=generator)]
    images = torch.randn(ROWS, 10, generator=generator)
    return Batch(images, group // 2, group % 2, torch.arange(ROWS))


def epochs(order: Order, data: Batch, seed: int) -> list[list[Batch]]:
    """The batches of our epochs."""
    batches, found = EpochSampler(order, batch_size=SIZE, seed=seed), []
    for epoch in range(EPOCHS):
        batches.set_epoch(epoch)
        rows = [torch.from_numpy(each.positions) for each in batches]
        found.append([Batch(*(column[each] for column in data[:4])) for each in rows])
    return found


def train(model: nn.Module, given: list[list[Batch]], descent: Any, rate: Any) -> None:
    """Train by ERM: one optimiser for all epochs, and a learning rate per epoch."""
    optimizer = descent(list(model.parameters()))
    schedule = rate(optimizer, EPOCHS)
    for batches in given:
        play(model, ERM(CLASSES), batches, optimizer=lambda _: optimizer)
        schedule.step()
