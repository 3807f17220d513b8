"""What the feature sieve is for: a shortcut that a small head reads early, and a class it cannot.

A tint all over the picture goes with the class 98 times in 100. The class is whether two opposite
corners are alike. The auxiliary head sees 5 of 6 cells at a time and adds up what it sees; no place
sees both corners, so it cannot know.
"""

from collections.abc import Callable

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.heads import ResidualHead
from debias.strategies.erm import ERM
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.strategy import Strategy
from debias.types import Batch, Outputs
from tests.fakes import GROUPS, take_turns, worst_group

SAMPLES, BATCH, ALIGNED, STEPS = 2000, 100, 0.98, 1000
SHAPE = (16, 6, 6)


class CornerNet(nn.Module):
    """A stem of one layer, a cell for every 2x2 pixels; above it, what can compare the corners."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 2, stride=2), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(16, 32, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 64), nn.ReLU()
        )
        self.head = nn.Linear(64, 2)
        self.feature_size = 64

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(self.stem(image))
        return Outputs(self.head(features), features)


def corners(samples: int, *, aligned: float, seed: int) -> Batch:
    """Noise of deviation 0.5; a tint of one, up or down, is the bias; corners of two, alike or not,
    are the class.
    """
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(samples) % 2
    bias = torch.where(torch.rand(samples, generator=generator) < aligned, target, 1 - target)
    sign = 2 * torch.randint(2, (samples,), generator=generator) - 1
    image = 0.5 * torch.randn(samples, 3, 12, 12, generator=generator)
    image[:, 0] += (2 * bias - 1)[:, None, None]
    image[:, 1, :2, :2] += 2 * sign[:, None, None]
    image[:, 1, -2:, -2:] += 2 * (sign * (2 * target - 1))[:, None, None]
    return Batch(image, target, bias, torch.arange(samples))


def sieve(model: nn.Module, **options: float) -> FeatureSieve:
    """An auxiliary head of one block on the stem; the published clock and weights by default."""
    return FeatureSieve(
        GROUPS, model, torch.zeros(1, 3, 12, 12), layer="stem", depth=1, width=16, **options
    )


def batches(data: Batch, steps: int) -> list[Batch]:
    """Epochs of shuffled batches, as many as it takes."""
    rows: list[Tensor] = []
    while len(rows) < steps:
        rows += torch.randperm(len(data.target)).split(BATCH)
    return [
        Batch(*(None if column is None else column[chosen] for column in data))
        for chosen in rows[:steps]
    ]


def trained(
    make: Callable[[nn.Module], Strategy],
    *,
    seed: int,
    rate: float,
    aligned: float = ALIGNED,
    steps: int = STEPS,
) -> tuple[CornerNet, Strategy]:
    """A model after a plain loop with Adam, at ``rate``; players other than the model at 0.01."""
    torch.manual_seed(seed)
    model = CornerNet()
    strategy = make(model)
    players = strategy.players(model)
    rates = {player: rate if player == "model" else 1e-2 for player in players}
    optimizers = {
        player: torch.optim.Adam(owned, lr=rates[player]) for player, owned in players.items()
    }
    for step, batch in enumerate(batches(corners(SAMPLES, aligned=aligned, seed=seed), steps)):
        take_turns(strategy, model, batch, step, optimizers)
    return model.eval(), strategy.eval()


@torch.no_grad()
def worst_group_of(model: nn.Module, *, seed: int) -> float:
    """Accuracy of the worst group where tint and class are independent."""
    test = corners(2000, aligned=0.5, seed=seed + 1000)
    return worst_group(model(test.image).logits, test)


def small_head(model: CornerNet, wanted: str, *, aligned: float, steps: int = 300) -> float:
    """How often a new auxiliary head, taught on the stem as it stands, is right about new data of
    the same kind.
    """
    torch.manual_seed(7)
    head = ResidualHead(SHAPE, 2, width=16, depth=1)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for batch in batches(corners(SAMPLES, aligned=aligned, seed=3000), steps):
        optimizer.zero_grad()
        F.cross_entropy(head(model.stem(batch.image).detach()), getattr(batch, wanted)).backward()
        optimizer.step()
    test = corners(2000, aligned=aligned, seed=4000)
    with torch.no_grad():
        chosen = head.eval()(model.stem(test.image)).argmax(dim=1)
    return (chosen == getattr(test, wanted)).float().mean().item()


@torch.no_grad()
def leak(read: Callable[[Tensor], Tensor]) -> float:
    """How often a new logistic attacker finds the tint, where it says nothing of the class."""
    learn, test = (corners(2000, aligned=0.5, seed=seed) for seed in (3000, 4000))
    attacker = LogisticRegression(C=100.0, max_iter=1000).fit(
        read(learn.image).numpy(), learn.bias.numpy()
    )
    return attacker.score(read(test.image).numpy(), test.bias.numpy())


def plain(*, seed: int, steps: int) -> tuple[CornerNet, nn.Module]:
    """The paper's algorithm as a loop that knows no strategies: identify, forget, train."""
    torch.manual_seed(seed)
    model = CornerNet()
    small = nn.Sequential(
        *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2)),
    )
    identify = torch.optim.Adam(small.parameters(), lr=1e-2)
    forget = torch.optim.Adam(model.stem.parameters(), lr=1e-2)
    train = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step, batch in enumerate(batches(corners(SAMPLES, aligned=ALIGNED, seed=seed), steps)):
        identify.zero_grad()
        F.cross_entropy(small(model.stem(batch.image).detach()), batch.target).backward()
        identify.step()
        if step % 5 == 0:
            forget.zero_grad()
            F.cross_entropy(small(model.stem(batch.image)), torch.full((BATCH, 2), 0.5)).backward()
            forget.step()
        train.zero_grad()
        F.cross_entropy(model(batch.image).logits, batch.target).backward()
        train.step()
    return model.eval(), small.eval()


def test_it_is_the_loop_of_the_paper():
    """From one start and batches, a loop from the paper ends in the same model and head."""
    model, small = plain(seed=0, steps=20)
    ours, strategy = trained(sieve, seed=0, rate=1e-3, steps=20)
    for found, wanted in ((ours, model), (strategy.auxiliary, small)):
        for value, other in zip(
            found.state_dict().values(), wanted.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(
        trained(sieve, seed=0, rate=1e-3, steps=19)[0].head.weight, model.head.weight, atol=1e-5
    )


@pytest.mark.slow
def test_the_shortcut_is_easy_and_the_class_needs_depth():
    """On the stem of a new and of a trained model, and by the whole model.

    Measured when written: a new small head finds the tint always, and the class 0.487 and 0.491 of
    the time where the tint is silent about it, 0.984 where it is not; the whole model, trained
    where the tint is silent, is always right.
    """
    torch.manual_seed(0)
    able, _ = trained(lambda model: ERM(), seed=0, rate=1e-3, aligned=0.5, steps=300)
    for model in (CornerNet(), able):
        assert small_head(model, "bias", aligned=0.5) > 0.98
        assert small_head(model, "target", aligned=0.5) < 0.55
        assert small_head(model, "target", aligned=ALIGNED) > 0.95
    assert worst_group_of(able, seed=0) > 0.98


@pytest.mark.slow
def test_the_worst_group_gains_though_the_stem_still_shows_the_tint():
    """Worst groups of seeds 0, 1, 2: the sieve 0.996, 0.984, 1.000; ERM 0.030, 0.542, 0.000.

    Seed 1 is tested, on which both controls below fail.

    Chosen on seeds 100 to 102, by the worst group of validation data: ERM's rate, of 0.0003, 0.001,
    0.003 and 0.01. At 0.001, the rate of the sieve's model, ERM is at 0.018, 0.104, 0.812: on some
    seeds it finds the class by luck. The sieve's other rates (0.01) and 1000 steps; all five
    settings near them, at that length, gave at least 0.96 there, and the clock was left as
    published. Half the steps are too few (0.15, 0.81, 0.91), and forgetting at every step missed
    one seed of three by then. The toy was chosen there too: with corners half as strong 600 steps
    gave 0.87 at best, and with 95 in 100 aligned ERM needs no help (0.96, 1.00, 0.76).

    Controls on seeds 0, 1, 2: a weight of 0 on forgetting gives 0.030, 0.051, 0.531; forgetting
    what the head makes of shuffled classes 0.914, 0.043, 0.027.

    A new attacker finds the tint as before in the stem's mean (always, in both), and in one cell of
    it (0.978, 0.994, 0.991, of ERM 0.992, 0.994, 0.996); in the logits it finds 0.751, 0.727,
    0.553, of ERM 0.999, 0.899, 0.999. So the sieve does not erase the shortcut from the layer; it
    makes the model learn the class by other means.
    """
    erm, _ = trained(lambda model: ERM(), seed=1, rate=1e-2)
    model, _ = trained(sieve, seed=1, rate=1e-3)
    found = worst_group_of(model, seed=1)
    assert found > 0.9
    assert found > worst_group_of(erm, seed=1) + 0.3
    assert leak(lambda image: model.stem(image).mean(dim=(2, 3))) > 0.95
    assert leak(lambda image: model(image).logits) < leak(lambda image: erm(image).logits) - 0.1


@pytest.mark.slow
def test_a_layer_too_late_gains_nothing():
    """Where the class can be read, it is forgotten too: 0.016; other seeds 0.305, 0.183."""
    model, _ = trained(
        lambda model: FeatureSieve(
            GROUPS, model, torch.zeros(1, 3, 12, 12), layer="body", depth=1, width=16
        ),
        seed=0,
        rate=1e-3,
    )
    assert worst_group_of(model, seed=0) < 0.5
