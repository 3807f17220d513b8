"""Gaussian models whose best linear classifier is known, and the training of such a classifier."""

from collections.abc import Iterator
from math import erf, sqrt

import torch
from torch import Tensor, nn

from debias.data.orders import Order, seeded_generator
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Outputs

GROUPS = Groups(("negative", "positive"), ("minus", "plus"))


class Linear(nn.Module):
    """A linear classifier in float64, which begins at zero."""

    def __init__(self, features: int, outputs: int = 2, *, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(features, outputs, bias=bias, dtype=torch.float64)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Outputs:
        return Outputs(self.head(image), image)


def drawn(batch: Batch, order: Order, *, epochs: int = 10) -> Batch:
    """All rows, each weighted by how often some epochs of a sampler visit it."""
    visits = torch.cat([order.draw(seeded_generator(0, epoch)) for epoch in range(epochs)])
    counts = torch.bincount(visits, minlength=len(batch.target)).double()
    return batch._replace(weight=counts / counts.mean())


def fit(strategy: Strategy, model: Linear, batch: Batch, *, iterations: int = 100) -> None:
    """Minimise the strategy's objective on all rows, by L-BFGS."""
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=iterations, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = strategy.loss(model, batch).total
        loss.backward()
        return loss

    optimizer.step(closure)


def two_classes(seed: int, rows: int, *, positive: float) -> Batch:
    """Classes N(-(1, 1), I) and N((1, 1), I); the second has the share ``positive``."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.arange(rows) < positive * rows).long()
    noise = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    return Batch(noise + signs(target), target, target, torch.arange(rows))


def with_shortcut(seed: int, rows: int, *, aligned: float = 0.95) -> Batch:
    """Balanced classes, and a third coordinate N(-3, 1) or N(3, 1), the bias's.

    The bias is the class with the probability ``aligned``.
    """
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(rows) % 2
    agrees = torch.rand(rows, generator=generator) < aligned
    bias = torch.where(agrees, target, 1 - target)
    noise = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    means = torch.cat([signs(target).expand(-1, 2), 3 * signs(bias)], dim=1)
    return Batch(noise + means, target, bias, torch.arange(rows))


def signs(value: Tensor) -> Tensor:
    """``(N, 1)`` column of -1 for 0 and 1 for 1."""
    return (2.0 * value - 1)[:, None]


@torch.no_grad()
def errors(strategy: Strategy, model: Linear, *, shortcut: bool = False) -> list[float]:
    """The exact error in % of each group of the Gaussians, from the classifier's own formula.

    The score is linear, f(x) = w x + b, and normal in every group. Without a shortcut, the groups
    are the two classes.
    """
    size = 3 if shortcut else 2
    points = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
    logits = strategy.classify(model, points).logits
    values = logits[:, 1] - logits[:, 0]
    offset, slope = values[0], values[1:] - values[0]
    return [
        100 * normal_tail(sign * float(offset + slope @ mean) / float(slope.norm()))
        for sign, mean in group_means(shortcut)
    ]


def group_means(shortcut: bool) -> Iterator[tuple[int, Tensor]]:
    for sign in (-1, 1):
        for bias in (-3.0, 3.0) if shortcut else (None,):
            mean = [sign, sign] if bias is None else [sign, sign, bias]
            yield sign, torch.tensor(mean).double()


def normal_tail(margin: float) -> float:
    """The probability that a standard normal number is above ``margin``."""
    return 0.5 * (1 - erf(margin / sqrt(2)))


class Overparametrised:
    """Random ReLU features of a noisy core and a clear shortcut, with groups of 1350 and 150 rows.

    The core is N(y, 100 I) and the shortcut N(a, I), each of 100 coordinates, with y and a of -1 or
    1. The test has 750 rows of each group. Source: Sagawa et al., "An Investigation of Why
    Overparameterization Exacerbates Spurious Correlations", ICML 2020.
    """

    def __init__(self, seed: int, features: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(200, features, generator=generator, dtype=torch.float64)
        self.directions = directions / directions.norm(dim=0)
        self.train = self._rows((1350, 150, 150, 1350), generator)
        self.test = self._rows((750,) * 4, generator)

    def _rows(self, counts: tuple[int, ...], generator: torch.Generator) -> Batch:
        group = torch.arange(4).repeat_interleave(torch.tensor(counts))
        target, bias = group // 2, group % 2
        noise = torch.randn(len(group), 200, generator=generator, dtype=torch.float64)
        core = 10 * noise[:, :100] + signs(target)
        inputs = torch.cat([core, noise[:, 100:] + signs(bias)], dim=1)
        return Batch((inputs @ self.directions).relu(), target, bias, torch.arange(len(group)))

    @torch.no_grad()
    def worst_error(self, model: Linear) -> float:
        """The test error in % of the worst group."""
        wrong = model(self.test.image).logits.argmax(dim=1) != self.test.target
        group = GROUPS.encode(self.test.target, self.test.bias)
        return max(100 * float(wrong[group == each].double().mean()) for each in range(4))
