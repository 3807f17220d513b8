"""Compares adversarial training with the authors' loops, and its steps with another library."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.adversarial_examples import Ball, perturb
from debias.strategies.adversarial_training import AdversarialTraining, FreeAdversarialTraining
from debias.strategies.lens import Lens
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups
from parity_checks.cases import BodyNetwork, apart, draws
from parity_checks.games import STEPS, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import Row

FAST, ROBUSTNESS = "locuslab/fast_adversarial", "MadryLab/robustness"
REMOVAL, THREE = "aahmadian-liu/rep-learning-shortcut", Groups(("a", "b", "c"), ("x", "y"))
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
IMAGES, SHAPE, EPSILON = 16, (3, 4, 4), 8 / 255


class Pictures(BodyNetwork):
    """Small images to five features after batch normalisation to three logits."""

    def __init__(self) -> None:
        layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5), nn.Tanh())
        super().__init__(nn.Sequential(*layers), nn.Linear(5, 3))


def pictures(seed: int) -> list[Batch]:
    """Batches of normalised images, some of whose pixels are 0 or 1; the last batch is smaller."""
    generator, given = draws(seed), []
    for step in range(STEPS):
        size = IMAGES if step < STEPS - 1 else IMAGES // 2
        pixels = (1.4 * torch.rand(size, *SHAPE, generator=generator) - 0.2).clamp(0, 1)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        y = torch.randint(3, (size,), generator=generator)
        given.append(Batch((pixels - mean) / std, y, y, torch.arange(size)))
    return given


def adversarial_training(clones: Clones) -> Iterator[Row]:
    compared = (
        "network after 12 steps, attacked in training mode; from zero and from the same random "
        "changes"
    )
    for file, first, steps in (("train_fgsm.py", 101, 1), ("train_pgd.py", 96, 7)):
        loop = clones.lines(FAST, f"CIFAR10/{file}", first, first + (28 if steps == 1 else 27))

        def case(seed: int, loop: Any = loop, steps: int = steps) -> float:
            start = ("zero", "random")[seed % 2]
            options: dict[str, Any] = {"random_start": start == "random", "attack_mode": "train"}
            ours = AdversarialTraining(MEAN, STD, steps=steps, **options)
            args = {"delta_init": start, "attack_iters": steps}
            return _trained(clones, loop, ours, args, 10 / 255 if steps == 1 else 2 / 255, seed)

        yield loop.row("adversarial_training", compared, map(case, range(4)), bar=1e-10)


def free_adversarial_training(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(FAST, "CIFAR10/train_free.py", 94, 110)

    def case(seed: int) -> float:
        replays = (1, 3)[seed % 2]
        ours = FreeAdversarialTraining(MEAN, STD, torch.zeros(1, *SHAPE), IMAGES, replays=replays)
        return _trained(clones, loop, ours, {"minibatch_replays": replays}, EPSILON, seed)

    compared = "network and change after 12 batches of 1 and 3 replays, the last batch smaller"
    yield loop.row("free_adversarial_training", compared, map(case, range(4)), bar=1e-10)


def lens(clones: Clones) -> Iterator[Row]:
    space = {"globalconf": SimpleNamespace(visualize=False)}
    names = ("process_batch", "rloss", "accuracy", "ce_loss")
    code = clones.take(REMOVAL, "Code/algorithms/ShortcutRemoval.py", *names, space=space)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        adversary = ("least_likely", "full")[seed % 2]
        options = {"adversary": adversary, "closeness": 2.0, "width": 2, "depth": 2}
        ours = Lens(THREE, torch.zeros(1, *SHAPE), **options)
        nn.init.normal_(ours.lens.last[1].weight, std=0.1)
        model, given = Pictures(), pictures(seed)
        network, changing = deepcopy(model), deepcopy(ours.lens)
        trainer = SimpleNamespace(
            classifier=lambda x: network(x).logits, lens=lambda x: changing(x) - x, totit=0,
            lamda=2.0, advloss={"full": "negative"}.get(adversary, adversary),
            optimizers={
                "classifier": descent(network.parameters()), "lens": descent(changing.parameters())
            },
        )  # fmt: skip
        for batch in given:
            trainer.tensors = {"dataX": batch.image, "labels": batch.target}
            code["process_batch"](trainer, True)
        play(model, ours, given)
        return states_apart([network, changing], [model, ours.lens])

    compared = (
        "network and lens after 12 steps: turns, both images, either adversary; not the authors' "
        "code"
    )
    yield code.row("lens (a re-implementation)", compared, map(case, range(4)), bar=1e-10)


def perturbation(clones: Clones) -> Iterator[Row]:
    names = ("AttackerStep", "LinfStep", "L2Step")
    code = clones.take(ROBUSTNESS, "robustness/attack_steps.py", *names, space={"ch": torch})

    def case(seed: int) -> float:
        norm = ("linf", "l2")[seed % 2]
        generator = draws(seed)
        pixels = torch.rand(IMAGES, *SHAPE, generator=generator)
        weight = torch.randn(IMAGES, *SHAPE, generator=generator)
        ball = Ball(norm, (0.05, 0.5)[seed % 2])

        def losses_of(change: Tensor) -> Tensor:
            return (weight * (pixels + change)).square().flatten(1).sum(1)

        theirs = code[{"linf": "LinfStep", "l2": "L2Step"}[norm]](pixels, ball.epsilon, 0.1)
        found, change = pixels.clone(), torch.zeros_like(pixels)
        for _ in range(7):
            found = theirs.project(theirs.step(found, 2 * weight.square() * found))
        change = perturb(losses_of, pixels, change, ball=ball, step=0.1, steps=7)
        torch.manual_seed(seed)
        random = theirs.random_perturb(pixels)
        torch.manual_seed(seed)
        return max(apart(found, pixels + change), apart(random, pixels + ball.random(pixels)))

    compared = "images after 7 steps in either norm, and random starts"
    because = "they add 1e-10 to lengths, torch 1e-7"
    yield code.row("adversarial_training", compared, map(case, range(6)), bar=1e-6, because=because)


def _trained(
    clones: Clones, loop: Any, ours: Any, args: dict[str, Any], alpha: float, seed: int
) -> float:
    """The difference after a training of both; their numbers are in units of normalised images."""
    clamp = clones.take(FAST, "CIFAR10/utils.py", "clamp")["clamp"]
    torch.manual_seed(seed)
    model, given = Pictures(), pictures(seed)
    network = deepcopy(model)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    state = {
        "model": lambda x: network(x).logits, "opt": descent(network.parameters()), "F": F,
        "criterion": nn.CrossEntropyLoss(), "amp": SimpleNamespace(scale_loss=_unscaled),
        "clamp": clamp, "epsilon": EPSILON / std, "alpha": alpha / std,
        "lower_limit": -mean / std, "upper_limit": (1 - mean) / std,
        "scheduler": SimpleNamespace(step=lambda: None), "args": SimpleNamespace(**args),
        "train_loader": [(batch.image, batch.target) for batch in given],
        "delta": torch.zeros(IMAGES, *SHAPE, requires_grad=True),
        "train_loss": 0, "train_acc": 0, "train_n": 0,
    }  # fmt: skip
    torch.manual_seed(seed)
    found = loop.run(state)
    torch.manual_seed(seed)
    _play(model, ours, given)
    gap = states_apart([network], [model])
    return (
        gap if not hasattr(ours, "change") else max(gap, apart(found["delta"] * std, ours.change))
    )


def _play(model: nn.Module, ours: Strategy, given: list[Batch]) -> None:
    def by_channel(ball: Ball, pixels: Tensor) -> Tensor:
        change = torch.zeros_like(pixels)
        for channel in range(3):
            change[:, channel].uniform_(-ball.epsilon, ball.epsilon)
        return change.clamp(-pixels, 1 - pixels)

    with patch.object(Ball, "random", by_channel):
        play(model, ours, given)


@contextmanager
def _unscaled(loss: Tensor, _: object) -> Iterator[Tensor]:
    yield loss
