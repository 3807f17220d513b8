"""Heads that are not plain linear ones: many fitted together, against a loop. Part of heads.py.

The loop is plain PyTorch: one head after the other, with autograd and ``torch.optim``. It fits only
``sequential`` heads, and its seconds are multiplied.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.energies import fit_energies
from debias.heads.linear import Rows
from debias.heads.orders import balanced_subsample, shuffled_order
from debias.heads.prototypes import PrototypeDescent, epoch_batches, fit_prototypes
from debias.losses.compositional import log_prior_of

BAR_KIND = 10.0
#: Result, processor seconds and wall-clock seconds of a call; prints a comparison with a bar.
Timed = Callable[[Callable[[], Tensor]], tuple[Tensor, float, float]]
Report = Callable[[str, list[float], list[float], float, float], None]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def prototypes(
    data: Rows, heads: int, sequential: int, epochs: int, timed: Timed, report: Report
) -> None:
    """Ensembles of three members that differ in the weight of the diversity."""
    data = data._replace(group=data.target)
    weights = torch.logspace(3, 5, heads)
    options = {"classes": 2, "members": 3, "epochs": epochs}
    ours, *together = timed(
        lambda: (
            fit_prototypes(
                data, seeded(), descent=PrototypeDescent(diversity=weights), **options
            ).prototypes
        )
    )
    chosen = list(range(0, heads, heads // sequential)[:sequential])
    theirs, *loop = timed(
        lambda: torch.stack(
            [_one_ensemble(data, heads, h, float(weights[h]), epochs) for h in chosen]
        )
    )
    report(f"{heads} ensembles of prototypes", together, loop, sequential / heads, BAR_KIND)
    agreement(ours[chosen], theirs)


def _one_ensemble(data: Rows, heads: int, head: int, weight: float, epochs: int) -> Tensor:
    generator, members = seeded(), []
    z = data.features
    z = (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)
    for t in (1, 2, 3):
        drawn = balanced_subsample(data.group, generator)
        start = 0.01 * torch.randn(heads, 2, z.shape[1], generator=generator)[head]
        p, s = start.requires_grad_(), torch.ones(1, requires_grad=True)
        optimizer = torch.optim.SGD([p, s], lr=1e-3, momentum=0.9)
        for _ in range(epochs):
            for rows in epoch_batches(len(drawn), 128, generator):
                features, target = z[drawn[rows]], data.target[drawn[rows]]
                loss = F.cross_entropy(
                    -10 * s.abs() * torch.cdist(F.normalize(features), F.normalize(p)), target
                )
                loss = loss + 10 * p.square().sum(1).mean()
                if members:
                    products = (p * torch.stack(members).sum(0)).sum(1) / (t * (z.shape[1] - 1))
                    loss = loss + weight * products.mean().abs()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        members.append(p.detach())
    return torch.stack(members)


def energies(
    data: Rows, heads: int, sequential: int, epochs: int, timed: Timed, report: Report
) -> None:
    """Additive energies that differ in the weight decay; a group has no row."""
    data = data.take((data.group != 2).nonzero().flatten())
    bias, size = data.group - 2 * data.target, data.features.shape[1]
    decays = torch.logspace(-3, 0, heads)
    start = torch.randn(1, 4, size, generator=seeded()) / size**0.5
    batches = shuffled_order(
        len(bias), batch_size=256, steps=epochs * len(bias) // 256, generator=seeded()
    )
    rows = (data.features, data.target, bias)
    ours, *together = timed(
        lambda: (
            fit_energies(
                *rows, start=start, classes=2, batches=batches, weight_decay=decays
            ).offsets
        )
    )
    chosen = list(range(0, heads, heads // sequential)[:sequential])
    theirs, *loop = timed(
        lambda: torch.stack([_one_energy(*rows, start, batches, float(decays[h])) for h in chosen])
    )
    report(f"{heads} heads of energies", together, loop, sequential / heads, BAR_KIND)
    agreement(ours[chosen], theirs)


def _one_energy(
    features: Tensor, target: Tensor, bias: Tensor, start: Tensor, batches: Tensor, decay: float
) -> Tensor:
    w, o = start[0].clone().requires_grad_(), torch.zeros(2, 2, requires_grad=True)
    optimizer = torch.optim.SGD([w, o], lr=0.01, momentum=0.9, weight_decay=decay)
    prior = log_prior_of(target, bias, classes=2, biases=2).float()

    def cells(rows: Tensor) -> Tensor:
        z = rows @ w.T
        return z[:, :2, None] + z[:, None, 2:]

    for rows in batches:
        logits = (-cells(features[rows]) - o + prior).flatten(1)
        loss = F.cross_entropy(logits, 2 * target[rows] + bias[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        found = cells(features)
        density = (-found - o + prior).exp().sum(dim=(1, 2), keepdim=True)
        return ((-found).exp() / density).mean(dim=0).log()


def agreement(ours: Tensor, theirs: Tensor) -> None:
    """Print how far the two sides are apart, beside the size of the parameters."""
    print(
        f"  parameters differ by {(ours - theirs).abs().median():.1e} in the median; their median "
        f"size is {theirs.abs().median():.1e}"
    )
