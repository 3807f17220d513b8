"""Compares whole fits of last layers with the authors' code: order of steps, and what is fixed."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.heads.energies import fit_energies
from debias.heads.linear import Rows, worst_group_accuracies
from debias.heads.orders import balanced_subsample
from debias.heads.prototypes import PrototypeDescent, epoch_batches, fit_prototypes
from debias.losses.compositional import log_prior_of
from parity_checks.cases import apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

CRM = "facebookresearch/compositional-risk-minimization"
DPE = "minhto2802/dpe4subpop"


class Silent(list[Any]):
    """Items to loop over, with the method of a progress bar that their loops call."""

    def __init__(self, items: Any, **_: Any) -> None:
        super().__init__(items)

    def set_description(self, text: str) -> None:
        """Print nothing."""


def dpe(clones: Clones) -> Iterator[Row]:
    layers = clones.take(
        DPE, "src/dpe/isomaxplus.py", "IsoMaxPlusLossFirstPart", "IsoMaxPlusLossSecondPart"
    )
    code = clones.take(
        DPE, "src/dpe/core.py", "_train_prototypes", "cov_reg_scheduler_inv", "_train_ensemble",
        space={**layers.space, "tqdm": Silent, "get_scheduler_func": _constant_rate,
               "CrossEntropyLoss": nn.CrossEntropyLoss, "partial": partial,
               "_evaluate": _accuracy},
    )  # fmt: skip
    compared = (
        "prototypes and scales of 4 members, in turn: balanced draws, 6 epochs of SGD, the latest "
        "best epoch, their mean prediction; 2 and 3 classes, with and without penalties"
    )
    gaps = (_dpe(layers, code, seed) for seed in range(3))
    yield code.row("dpe", compared, gaps, bar=1e-9)


def _dpe(layers: Piece, code: Piece, seed: int) -> float:
    """Difference of all members, and of their mean prediction, after the same draws."""
    classes, generator = 2 + seed % 2, draws(seed)
    y = torch.arange(120) % classes
    y[100:] = 0
    x = torch.randn(120, 12, generator=generator) + F.one_hot(y, 12)
    rows = Rows(x, y, y)
    diversity = (1e3, 1e5, 0.0)[seed]
    # what our fit draws, in its order, is given to their loops
    twin, starts, loaders = draws(seed + 9), [], []
    for _ in range(4):
        drawn = balanced_subsample(y, twin)
        starts.append(0.01 * torch.randn(1, classes, 12, generator=twin)[0])
        loaders.append([drawn[epoch_batches(len(drawn), 16, twin)] for _ in range(6)])
    normal = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    batches = iter(_Epochs(normal, y, orders) for orders in loaders)

    def head(model: Any) -> Any:
        layer = layers["IsoMaxPlusLossFirstPart"](12, classes)
        layer.prototypes.data.copy_(starts.pop(0))
        return nn.Sequential(nn.Identity(), layer)

    *_, theirs = code["_train_ensemble"](
        head, {}, {"val": SimpleNamespace(x=normal, y=y)}, lambda _: next(batches, None),
        cov_reg=diversity, num_stages=4, alpha=0.0, epochs=6, wd_weight=10, device="cpu",
        entropic=20.0, lr=1e-2,
    )  # fmt: skip
    ours = fit_prototypes(
        rows, draws(seed + 9), classes=classes, members=4, epochs=6, batch_size=16, held_out=rows,
        descent=PrototypeDescent(1e-2, entropic_scale=20.0, diversity=diversity),
    )  # fmt: skip
    return _members_apart(layers, theirs, ours, x, normal)


def _members_apart(layers: Piece, theirs: Any, ours: Any, x: Tensor, normal: Tensor) -> float:
    """Difference of prototypes, scales and mean prediction; their layers take normal features."""
    logits = []
    for prototypes, scale in theirs:
        layer = layers["IsoMaxPlusLossFirstPart"](12, len(prototypes))
        layer.prototypes.data, layer.distance_scale.data = prototypes[:, 0], scale
        logits.append(layer(normal).softmax(1))
    return max(
        apart(torch.stack([p[:, 0] for p, _ in theirs]), ours.prototypes[0]),
        apart(torch.cat([s for _, s in theirs]), ours.scales[0]),
        apart(torch.stack(logits).mean(0), ours.head(0)(x).exp()),
    )


class _Epochs:
    """A loader whose every pass gives the batches of the next epoch."""

    def __init__(self, features: Tensor, target: Tensor, orders: list[Tensor]) -> None:
        self.features, self.target, self.orders = features, target, iter(orders)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for rows in next(self.orders):
            yield None, None, self.target[rows], None, self.features[rows]


def _constant_rate(*_: Any) -> Any:
    return lambda optimizer: None


def _accuracy(model: nn.Module, rows: Any, device: str) -> dict[str, dict[str, float]]:
    """Their evaluation, of the worst class."""
    with torch.no_grad():
        predictions = model(rows.x).argmax(dim=1)[None]
    worst = worst_group_accuracies(predictions, rows.y, rows.y)
    return {"min_group": {"accuracy": float(worst)}}


def crm(clones: Clones) -> Iterator[Row]:
    code = clones.take(CRM, "src/models/algorithms.py", "CRM")
    compared = (
        "weights, extrapolated offset and class probabilities after 40 steps, with an "
        "absent cell whose share is 0 on both sides; 2 and 3 classes, weight decay"
    )
    yield code.row("crm", compared, (_crm(code, seed) for seed in range(3)), bar=1e-9)


def _crm(code: Piece, seed: int) -> float:
    """Difference of the head and of its predictions, after the same batches."""
    generator, classes, biases = draws(seed), 2 + seed % 2, 2 + seed // 2
    y = torch.randint(classes, (200,), generator=generator)
    bias = torch.randint(biases, (200,), generator=generator)
    bias[(y == 1) & (bias == 0)] = 1
    x = torch.randn(200, 6, generator=generator) + F.one_hot(y, 6) + 2 * F.one_hot(bias + 2, 6)
    net = _Energies(torch.randn(classes + biases, 6, generator=generator), classes)
    start, batches = (
        net.weights.detach().clone()[None],
        torch.randperm(200, generator=generator)[:160].view(40, 4),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01 * seed)
    optimizer.lr_scheduler = None  # type: ignore[attr-defined]  # theirs has one
    facts = {"device": "cpu", "num_y": classes, "num_m": biases, "precompute_features": True}
    theirs = code["CRM"](facts, net, optimizer)
    prior = log_prior_of(y, bias, classes=classes, biases=biases)
    theirs.train_log_prior_prob = prior.flatten()
    for rows in batches:
        theirs.update((rows, x[rows], y[rows], bias[rows]))
    loader = [(torch.arange(200), x, y, bias)]
    theirs.get_crm_extrapolate_bias(loader, discarded_groups=[biases])
    _, probabilities, _ = theirs.evaluate(loader, torch.zeros(classes * biases), extrapolate=True)
    ours = fit_energies(
        x, y, bias, start=start, classes=classes, batches=batches, learning_rate=0.05,
        weight_decay=0.01 * seed,
    )  # fmt: skip
    return max(
        apart(net.weights, ours.weights[0]),
        apart(theirs.offset_corr, ours.offsets[0]),
        apart(probabilities, ours.head(0)(x).exp()),
    )


class _Energies(nn.Module):
    """Their linear network of energies, with its weights as one matrix."""

    def __init__(self, weights: Tensor, classes: int) -> None:
        super().__init__()
        self.weights, self.classes = nn.Parameter(weights), classes
        self.offset = nn.Parameter(torch.zeros(classes, len(weights) - classes))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, B)`` energies."""
        energies = x @ self.weights.T
        return energies[:, : self.classes, None] + energies[:, None, self.classes :]
