"""Compares the training of a translator and its critic with StarGAN's networks and loop."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from debias.strategies.translation import Translation
from debias.types import Batch
from parity_checks.cases import apart, draws
from parity_checks.games import CLASSES, play
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY = "yunjey/stargan"
STEPS, IMAGES, SIDE = 12, 6, 16
HALF = (0.5, 0.5, 0.5)
#: The optimiser of both players. A critic diverges at the rate of the other games.
slow = partial(torch.optim.SGD, lr=0.01, momentum=0.9)


def translation(clones: Clones) -> Iterator[Row]:
    names = ("ResidualBlock", "Generator", "Discriminator")
    networks = clones.take(REPOSITORY, "model.py", *names)
    losses = clones.take(REPOSITORY, "solver.py", "gradient_penalty", "classification_loss")
    loop = clones.lines(REPOSITORY, "solver.py", 244, 296)
    compared = (
        f"both networks after {STEPS} steps: their layers, a turn of G after every 1 to 3 of D, "
        "the gradient penalty, the cycle; equal draws of classes"
    )
    gaps = [_trained(networks, losses, loop, seed) for seed in range(6)]
    yield loop.row("translation (StarGAN)", compared, gaps, bar=1e-10)


def _trained(networks: Piece, losses: Piece, loop: Piece, seed: int) -> float:
    """The difference after a training of both, from equal weights and with equal draws."""
    torch.manual_seed(seed)
    every, sizes = seed % 3 + 1, {"width": 4, "blocks": 2, "depth": 3}
    weights = {"class_weight": 0.7, "cycle_weight": 3.0, "penalty_weight": 5.0}
    options: dict[str, Any] = {"critic_turns": every, **sizes, **weights}
    ours = Translation(CLASSES, torch.zeros(1, 3, SIDE, SIDE), HALF, HALF, **options)
    # their classes are those of a shuffled batch
    ours.drawn = lambda target: target.roll(1)  # type: ignore[method-assign]
    solver = _solver(networks, losses, every)
    pairs = ((solver.G, ours.translator), (solver.D, ours.critic))
    for theirs, own in pairs:
        for one, other in zip(theirs.parameters(), own.parameters(), strict=True):
            one.data.copy_(other.data)
    solver.g_optimizer, solver.d_optimizer = (slow(net.parameters()) for net, _ in pairs)
    given = _batches(seed)
    torch.manual_seed(seed)
    for step, batch in enumerate(given):
        labels = batch.target, batch.target.roll(1)
        named = zip(("org", "trg"), labels, strict=True)
        state = {f"label_{name}": label for name, label in named}
        state |= {f"c_{name[6:]}": F.one_hot(label, 3).double() for name, label in state.items()}
        loop.run(state | {"self": solver, "i": step, "x_real": batch.image})
    torch.manual_seed(seed)
    play(nn.Identity(), ours, given, optimizer=slow)
    return max(
        apart(*pair)
        for theirs, own in pairs
        for pair in zip(theirs.parameters(), own.parameters(), strict=True)
    )


def _solver(networks: Piece, losses: Piece, every: int) -> Any:
    """The object that their methods read, with networks of our sizes."""
    solver = SimpleNamespace(
        G=networks["Generator"](conv_dim=4, c_dim=3, repeat_num=2),
        D=networks["Discriminator"](image_size=SIDE, conv_dim=4, c_dim=3, repeat_num=3),
        lambda_cls=0.7, lambda_rec=3.0, lambda_gp=5.0, n_critic=every, dataset="RaFD",
        device="cpu",
    )  # fmt: skip
    for name in ("gradient_penalty", "classification_loss"):
        setattr(solver, name, partial(losses[name], solver))
    solver.reset_grad = lambda: [network.zero_grad() for network in (solver.G, solver.D)]
    return solver


def _batches(seed: int) -> list[Batch]:
    """Batches of random pixels in [-1, 1]."""
    generator = draws(seed)
    images = torch.rand(STEPS, IMAGES, 3, SIDE, SIDE, generator=generator) * 2 - 1
    targets = torch.randint(3, (STEPS, IMAGES), generator=generator)
    return [Batch(*pair, pair[1], pair[1]) for pair in zip(images, targets, strict=True)]
