"""Compares trainings on mixture-balanced batches with the authors' loader, step and schedule."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader
from torchvision.datasets.vision import VisionDataset

from debias.data.orders import Weighted
from debias.data.subsamples import class_mixture
from debias.training.optimizers import adamw, cosine
from debias.types import Batch
from parity_checks.cases import Replaced
from parity_checks.games import Normalised, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row
from parity_checks.sampled import EPOCHS, ROWS, SIZE, Logits, epochs, six_groups, train
from parity_checks.samplers import CLASSES, ours_first

MIXTURE, FOLDER = "tmlabonte/revisiting-finetuning", "milkshake"


class OurDraws:
    """Their sampler of an epoch: our next draws, as places in their subset."""

    def __init__(self, ours: dict[str, Any]) -> None:
        self.ours = ours

    def __iter__(self) -> Iterator[int]:
        own = np.asarray(self.ours["module"].dataset_train.indices)
        for batch in next(self.ours["left"]):
            for row in batch.index.tolist():
                yield int((own == row).argmax())


def training(clones: Clones) -> Iterator[Row]:
    ours: dict[str, Any] = {}
    code, steps = _code(clones, ours)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        data, ratio = six_groups(seed), (1.0, 1.2, 2.0)[seed % 3]
        order: Any = class_mixture(data.target, CLASSES, seed, ratio=ratio)
        model, given = Normalised(), epochs(order, data, seed)
        network = deepcopy(model)
        ours.update(left=iter(given), module=_module(code, data, order, ratio))
        loader = code["group_unbalanced_dataloader"](ours["module"], "mixture")
        theirs = _model(steps, network)
        (optimizer,), (schedule,) = theirs.configure_optimizers()
        for _ in range(EPOCHS):  # the loop itself is Lightning's
            for number, batch in enumerate(loader):
                optimizer.zero_grad()
                theirs.step(batch, number)["loss"].backward()
                optimizer.step()
            schedule.step()
        train(model, given, partial(adamw, lr=0.05, weight_decay=0.3), cosine)
        return states_apart([network], [model])

    compared = (
        "the network after 14 epochs of their steps, optimiser and schedule on batches of their "
        "loader, which draws as ours; ratios 1 to 2"
    )
    yield steps.row("class_mixture", compared, map(case, range(6)), bar=1e-10)


def _code(clones: Clones, ours: dict[str, Any]) -> tuple[Piece, Piece]:
    """Their loader of a mixture with the data set that it reads, and their steps."""
    space: dict[str, Any] = {
        "WeightedRandomSampler": lambda *_: OurDraws(ours), "DataLoader": DataLoader,
        "np": Replaced(np, {"in1d": np.isin}), "VisionDataset": VisionDataset,
        "abstractmethod": lambda method: method,
    }  # fmt: skip
    space = clones.take(
        MIXTURE, f"{FOLDER}/datamodules/dataset.py", "Dataset", "Subset", space=space
    ).space
    names = ("train_dataloader", "_data_loader")
    space = clones.take(MIXTURE, f"{FOLDER}/datamodules/datamodule.py", *names, space=space).space
    parent = space["train_dataloader"]
    methods = SimpleNamespace(train_dataloader=lambda: parent(ours["module"]))
    names = ("_make_balanced_subset", "group_unbalanced_dataloader")
    path = f"{FOLDER}/datamodules/retrain.py"
    code = clones.take(MIXTURE, path, *names, space=space | {"super": lambda: methods})
    space = {"SGD": SGD, "CosineAnnealingLR": CosineAnnealingLR}
    names = ("forward", "configure_optimizers", "step")
    return code, clones.take(MIXTURE, f"{FOLDER}/models/model.py", *names, space=space)


def _module(code: Piece, data: Batch, order: Weighted, ratio: float) -> Any:
    """Their data module, whose shuffle has the rows of our subset first."""
    whole = SimpleNamespace(
        root="", transform=None, target_transform=None, train=True, groups=None, data=data.image,
        targets=torch.stack([data.target, data.bias], 1).numpy(), train_indices=np.arange(ROWS),
        val_indices=None, test_indices=None,
    )  # fmt: skip
    module = SimpleNamespace(
        dataset_train=whole, mixture_ratio=ratio, num_classes=3, batch_size=SIZE, drop_last=False,
        num_workers=0, pin_memory=False, persistent_workers=False, shuffle=True,
        _shuffle_in_unison=partial(ours_first, order),
    )  # fmt: skip
    for name in ("_make_balanced_subset", "_data_loader"):
        setattr(module, name, partial(code[name], module))
    return module


def _model(steps: Piece, network: nn.Module) -> Any:
    """Their module of a network, with the methods that Lightning calls in training."""
    methods = {name: steps[name] for name in ("configure_optimizers", "step")}
    theirs: Any = type("Theirs", (), methods | {"__call__": steps["forward"]})()
    theirs.model, theirs.optimizer = Logits(network), AdamW
    theirs.hparams = SimpleNamespace(
        lr=0.05, weight_decay=0.3, lr_scheduler="cosine", max_epochs=EPOCHS, num_classes=3,
        class_weights=None, loss="cross_entropy", label_smoothing=0.0,
    )  # fmt: skip
    return theirs
