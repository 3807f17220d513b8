"""Heads that are not plain linear ones: many fitted together, against a loop. Part of heads.py.

The loop is plain PyTorch: one head after the other, with autograd and ``torch.optim``. It fits only
``sequential`` heads, and its seconds are multiplied.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.linear import Rows
from debias.heads.orders import balanced_subsample
from debias.heads.prototypes import PrototypeDescent, epoch_batches, fit_prototypes

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


def agreement(ours: Tensor, theirs: Tensor) -> None:
    """Print how far the two sides are apart, beside the size of the parameters."""
    print(
        f"  parameters differ by {(ours - theirs).abs().median():.1e} in the median; their median "
        f"size is {theirs.abs().median():.1e}"
    )
