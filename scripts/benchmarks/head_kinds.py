"""Heads that are not plain linear ones: many fitted together, against a loop. Part of heads.py.

The loop is plain PyTorch: one head after the other, with autograd and ``torch.optim``. It fits only
``sequential`` heads, and its seconds are multiplied.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.energies import fit_energies
from debias.heads.linear import Rows
from debias.heads.orders import balanced_subsample, shuffled_order
from debias.heads.prototypes import PrototypeDescent, epoch_batches, fit_prototypes
from debias.heads.reweighted import reweighted_heads
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


def reweighting(
    data: Rows, heads: int, sequential: int, rounds: int, timed: Timed, report: Report
) -> None:
    """Rounds of GSR that differ in the penalty, on 200 rows of 100 features."""
    rows = data._replace(features=data.features[:, :100])
    sets = [rows.take(torch.arange(start, start + 200)) for start in (0, 200, 400)]
    penalties = torch.logspace(-2, 0, heads)
    ours, *together = timed(
        lambda: (
            reweighted_heads(
                *sets[0][:2], *sets[1:], classes=2, penalty=penalties, rounds=rounds
            ).weights
        )
    )
    chosen = list(range(0, heads, heads // sequential)[:sequential])
    theirs, *loop = timed(
        lambda: torch.stack([_one_reweighting(sets, float(penalties[h]), rounds) for h in chosen])
    )
    report(f"{heads} reweighted heads", together, loop, sequential / heads, BAR_KIND)
    agreement(ours[chosen], theirs)


def _one_reweighting(sets: list[Rows], penalty: float, rounds: int) -> Tensor:
    """As the authors: L-BFGS, and the Hessian by autograd."""
    x, guide, judge = (F.pad(one.features.double(), (0, 1), value=1.0) for one in sets)
    members = [F.one_hot(one.group, 4).double() for one in sets[1:]]
    by_group, judged = (one / one.sum(0) for one in members)
    weights, shares = torch.full((len(x),), 1 / len(x)).double(), torch.ones(4).double()
    best, kept = -1.0, weights
    for _ in range(rounds):
        weighted = partial(_weighted_loss, x, sets[0].target, weights, penalty)
        head = _lbfgs(weighted, torch.zeros(2 * x.shape[1], dtype=torch.float64))
        wrong = (judge @ head.view(2, -1).T).argmax(1) != sets[2].target
        errors = wrong.double() @ judged
        if 1 - float(errors.max()) > best:
            best, kept = 1 - float(errors.max()), weights
        shares = shares * errors.exp() / (shares * errors.exp()).sum()
        curvature = torch.autograd.functional.hessian(weighted, head)
        loss = partial(_weighted_loss, guide, sets[1].target, by_group @ shares, 0.0)
        solved = torch.linalg.solve(curvature, torch.autograd.functional.jacobian(loss, head))
        residuals = (x @ head.view(2, -1).T).softmax(1) - F.one_hot(sets[0].target, 2)
        own = (residuals[:, :, None] * x[:, None]).flatten(1) + 2 * penalty * head
        move = own @ solved / len(x)
        weights = (weights + move * (1 / move.norm()).clamp(max=1)).clamp(min=0)
        weights = weights / weights.sum()
    return kept


def _weighted_loss(x: Tensor, y: Tensor, weights: Tensor, penalty: float, head: Tensor) -> Tensor:
    losses = F.cross_entropy(x @ head.view(2, -1).T, y, reduction="none")
    return (weights * losses).sum() + penalty * head.square().sum()


def _lbfgs(objective: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    head = start.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [head], max_iter=300, tolerance_grad=1e-7, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        optimizer.zero_grad()
        loss = objective(head)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)
    return head.detach()


def agreement(ours: Tensor, theirs: Tensor) -> None:
    """Print how far the two sides are apart, beside the size of the parameters."""
    print(
        f"  parameters differ by {(ours - theirs).abs().median():.1e} in the median; their median "
        f"size is {theirs.abs().median():.1e}"
    )
