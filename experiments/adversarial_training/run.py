"""Which of two cues a model follows, the faint or the loud one, with and without attacks.

usage: python experiments/adversarial_training/run.py
"""

import torch
from torch import Tensor, nn

from debias.metrics.altered.pictures import filter_variation
from debias.strategies.adversarial_training import AdversarialTraining
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.types import Batch, Outputs

SIDE, TRAIN, TEST, EPOCHS, BATCH = 16, 1500, 1000, 10, 100
FAINT, LOUD, EPSILON, NOISE = 8 / 255, 0.3, 16 / 255, 0.02
#: How often each cue shows the class in training. The faint one is the better one.
RIGHT = {"faint": 0.98, "loud": 0.9}
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


class Network(nn.Module):
    """Two convolutions, an average over positions, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head = nn.Linear(32, 2)

    def forward(self, image: Tensor) -> Outputs:
        """Logits and features of images."""
        features = self.body(image)
        return Outputs(self.head(features), features)


def pictures(shape: Tensor, texture: Tensor, *, faint: str, generator: torch.Generator) -> Tensor:
    """Normalised grey pictures: a wide bar (the shape), and stripes of one pixel (the texture).

    Value 1 turns a bar or the stripes by a right angle.
    """
    count, lines = len(shape), torch.arange(SIDE)
    place = torch.randint(3, SIDE - 3, (count, 1), generator=generator)
    bar = ((lines - place).abs() <= 2).float()[:, None, :].expand(count, SIDE, SIDE)
    stripes = (lines % 2).float()[None, None, :].expand(count, SIDE, SIDE) - 0.5
    turned = [
        torch.where(value.bool().view(-1, 1, 1), each.mT, each)
        for value, each in ((shape, bar), (texture, stripes))
    ]
    strength = {"shape": (FAINT, LOUD), "texture": (LOUD, FAINT)}[faint]
    noise = NOISE * torch.randn(count, SIDE, SIDE, generator=generator)
    grey = 0.4 + strength[0] * turned[0] + strength[1] * turned[1] + noise
    return ((grey.clamp(0, 1) - 0.5) / 0.25)[:, None].expand(count, 3, SIDE, SIDE)


def cue(target: Tensor, right: float, generator: torch.Generator) -> Tensor:
    """Values that are the class with a probability, and else the other one."""
    return torch.where(torch.rand(len(target), generator=generator) < right, target, 1 - target)


def followed(strategy: Strategy, *, faint: str, seed: int) -> tuple[float, float, float]:
    """Accuracy of shape and texture where both are random, and the variation of the filters."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (TRAIN,), generator=generator)
    loud = "texture" if faint == "shape" else "shape"
    cues = {
        faint: cue(target, RIGHT["faint"], generator),
        loud: cue(target, RIGHT["loud"], generator),
    }
    image = pictures(cues["shape"], cues["texture"], faint=faint, generator=generator)
    torch.manual_seed(seed)
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(TRAIN).split(BATCH):
            optimizer.zero_grad()
            batch = Batch(image[rows], target[rows], target[rows], rows)
            strategy.loss(model, batch).total.backward()
            optimizer.step()
    shape, texture = (torch.randint(2, (TEST,), generator=generator) for _ in range(2))
    with torch.no_grad():
        tested = pictures(shape, texture, faint=faint, generator=generator)
        found = model(tested).logits.argmax(dim=1)
    right = [(found == value).float().mean().item() for value in (shape, texture)]
    return right[0], right[1], filter_variation(model.body[0].weight.detach())


def main() -> None:
    """Print the table of three seeds."""
    robust = AdversarialTraining(MEAN, STD, epsilon=EPSILON)
    print("| faint cue | training | accuracy of the shape | of the texture | filter variation |")
    print("| --- | --- | --- | --- | --- |")
    for faint in ("texture", "shape"):
        for name, strategy in (("ERM", ERM()), ("adversarial", robust)):
            runs = torch.tensor([followed(strategy, faint=faint, seed=seed) for seed in range(3)])
            cells = [", ".join(f"{100 * run[place]:.1f}" for run in runs) for place in (0, 1)]
            cells.append(f"{runs[:, 2].mean():.2f}")
            print(f"| {faint} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
