"""Plain loops for ``scripts/bench published``: the arithmetic of the authors' scripts, no more.

The data are random tensors in memory. Steps and evaluations are those of the scripts.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

BATCH = 256
CLASSES = 10


def seconds(table: str, steps: int) -> float:
    """Processor seconds of a loop after its first step, with its evaluations."""
    loop = {"irm": irm, "lff_erm": lff_erm, "lff": lff}[table](steps)
    next(loop)
    started = time.process_time()
    for _ in loop:
        pass
    return time.process_time() - started


def mlp(inputs: int, *widths: int, inplace: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, widths[-1]))


def irm(steps: int) -> Iterator[None]:
    """All images of both environments, and the accuracy on the test, at every step."""
    sizes = 25_000, 25_000, 10_000
    environments = [(torch.rand(n, 2 * 14 * 14), torch.rand(n, 1).round()) for n in sizes]
    model = mlp(2 * 14 * 14, 390, 390, 1, inplace=True)
    optimizer = Adam(model.parameters(), lr=4.9e-4)
    for _ in range(steps):
        risks, penalties, accuracies = [], [], []
        for image, target in environments:
            logit = model(image)
            scale = torch.ones((), requires_grad=True)
            risks.append(F.binary_cross_entropy_with_logits(logit, target))
            scaled = F.binary_cross_entropy_with_logits(logit * scale, target)
            (slope,) = torch.autograd.grad(scaled, [scale], create_graph=True)
            penalties.append(slope**2)
            accuracies.append(((logit > 0) == (target > 0)).float().mean())
        l2 = torch.stack([weight.norm() ** 2 for weight in model.parameters()]).sum()
        risk, penalty = torch.stack(risks[:2]).mean(), torch.stack(penalties[:2]).mean()
        loss = risk + 1.1e-3 * l2 + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


class Tinted:
    """Random pictures in memory, and the batches of an epoch."""

    def __init__(self, count: int) -> None:
        self.image = torch.randint(0, 256, (count, 28 * 28 * 3), dtype=torch.uint8)
        self.target = torch.randint(0, CLASSES, (count,))
        self.bias = torch.randint(0, CLASSES, (count,))

    def batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for rows in order.split(BATCH):
            # divided by 255 twice, as in the authors' code
            yield rows, self.image[rows].float() / 255 / 255, self.target[rows]


@torch.no_grad()
def unbiased_accuracy(model: nn.Module, data: Tinted) -> float:
    """Mean accuracy over the cells of class and colour."""
    correct, counts = torch.zeros(CLASSES**2), torch.zeros(CLASSES**2)
    for rows, image, target in data.batches(torch.arange(len(data.target))):
        cell = target * CLASSES + data.bias[rows]
        correct.index_add_(0, cell, (model(image).argmax(dim=1) == target).float())
        counts.index_add_(0, cell, torch.ones(len(cell)))
    return float((correct / counts).mean())


def lff_erm(steps: int) -> Iterator[None]:
    train, test = Tinted(60_000), Tinted(10_000)
    model = mlp(28 * 28 * 3, 100, 100, 100, CLASSES)
    optimizer = Adam(model.parameters(), lr=1e-3)
    for _ in range(steps // 235):
        for _, image, target in train.batches(torch.randperm(60_000)):
            loss = F.cross_entropy(model(image), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield
        unbiased_accuracy(model, test)


def lff(steps: int) -> Iterator[None]:
    """Both networks, with moving averages of the losses relative to the largest of the class."""
    train, test = Tinted(60_000), Tinted(10_000)
    biased, model = (mlp(28 * 28 * 3, 100, 100, 100, CLASSES) for _ in range(2))
    optimizers = [Adam(network.parameters(), lr=1e-3) for network in (biased, model)]
    averages, visited = torch.zeros(2, 60_000), torch.zeros(60_000)
    for _ in range(steps // 235):
        for rows, image, target in train.batches(torch.randperm(60_000)):
            logits = [network(image) for network in (biased, model)]
            losses = [F.cross_entropy(each, target, reduction="none") for each in logits]
            fresh = torch.stack(losses).detach()
            averages[:, rows] = 0.7 * averages[:, rows] + (1 - 0.7 * visited[rows]) * fresh
            visited[rows] = 1
            greatest = [
                torch.zeros(CLASSES).scatter_reduce(0, train.target, each, "amax")
                for each in averages
            ]
            hard, hard_for_model = averages[:, rows] / torch.stack(greatest)[:, target]
            weight = hard / (hard + hard_for_model + 1e-8)
            chance = logits[0].softmax(dim=1).gather(1, target[:, None]).squeeze(1).detach()
            loss = (0.7 * chance**0.7 * losses[0]).mean() + (weight * losses[1]).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            yield
        for network in (biased, model):
            unbiased_accuracy(network, test)
