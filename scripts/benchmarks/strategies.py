"""Seconds per training step of every strategy over ERM's, beside the ratio of its passes.

``bare_passes.py`` has each strategy a second time: the forward, backward and optimiser steps that
its definition requires, in plain PyTorch on the same networks, with cross-entropies as losses. The
bare passes give two ratios to ERM, by FLOPs (counted, without optimisers) and by time (measured in
the same run). One of them is the bar:

* ``flops`` if all networks of the strategy are dense convolutions, like the classifier. Arithmetic
  then determines the time.
* ``time`` if memory traffic determines it, which FLOPs do not measure. This holds for networks of
  1x1 convolutions and batch normalisation at full resolution. The biased networks of ReBias, RUBi
  and Learned-Mixin are such, and the mask network of the input adversary. It also holds for
  gradient projection, which reads two gradients of the model's size twice, and writes one.
  Augmentations are such too. Their bare passes change the images by a plain reference.

``passes`` is the step's own FLOPs over those of the bare passes: 1.00 means that the step makes no
unnecessary pass. A step of a strategy with a cycle is the mean over the cycle. Steps run in a plain
loop, which gives the same bits as training; ``scripts/bench overhead`` measures what Lightning
adds. Sides are interleaved step by step and timed in processor seconds, so that a busy machine
slows them alike. The median of the rounds counts. Run by ``scripts/bench strategies``.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from bare_passes import Case, cases, plain
from context_cases import context_cases
from layer_cases import layer_cases
from network_cases import network_cases
from pixel_cases import pixel_cases
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from debias.models.classifier import Classifier, timm_classifier
from debias.strategies.erm import ERM
from debias.types import Batch

BAR = 1.10


class Sides:
    """The two sides of a case: the trained strategy, and its bare passes; optimisers are shared."""

    def __init__(self, case: Case, model: Classifier, batch: Batch) -> None:
        self.case, self.model, self.batch = case, model, case.batch or batch
        self.players = case.strategy.players(model)
        # a tiny learning rate, because all sides share the model
        self.optimizers = {
            player: torch.optim.SGD(owned, lr=1e-6, momentum=0.9, weight_decay=1e-4)
            for player, owned in self.players.items()
        }
        case.strategy.train()

    def trained(self, step: int) -> None:
        """One step as in training: every turn of the strategy."""
        batch, augment, views = self.batch, self.case.augment, self.case.strategy.views
        if augment is not None and views:
            batch = batch._replace(views=tuple(augment(batch) for _ in range(views)))
        elif augment is not None:
            batch = augment(batch)
        for player, objective in self.case.strategy.turns(step):
            self._freeze_all_but(player)
            self.move(player, objective(self.case.changed or self.model, batch).total)
        self._freeze_all_but(*self.players)

    def bare(self, step: int) -> None:
        """One step of the bare passes."""
        self.case.passes(self.case.strategy, self.model, self.batch, self.move, step)

    def move(self, player: str, loss: Tensor | None) -> None:
        """Backward pass and optimiser step; without a loss, parameters already have gradients."""
        if loss is not None:
            self.optimizers[player].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[player].step()

    def _freeze_all_but(self, *movers: str) -> None:
        if len(self.players) > 1:
            for requires_grad, names in ((False, self.players), (True, movers)):
                for parameter in (parameter for name in names for parameter in self.players[name]):
                    parameter.requires_grad_(requires_grad)

    def cycle(self, side: Callable[[int], None]) -> None:
        """Run all steps of a cycle, after any warm-up."""
        start = 15  # every cycle begins again here, with the same draws
        torch.manual_seed(start)
        for step in range(start, start + self.case.cycle):
            side(step)


def seconds(run: Callable[[], None]) -> float:
    """Processor seconds of this process, which computes everything, not of other processes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def flops(side: Callable[[int], None], sides: Sides) -> float:
    """FLOPs per step of one side of a case."""
    with FlopCounterMode(display=False) as counter:
        sides.cycle(side)
    return float(counter.get_total_flops()) / sides.case.cycle


def pictures(count: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image, background = torch.randn(2, count, 3, size, size, generator=generator).unbind()
    image, background = (
        part.contiguous(memory_format=torch.channels_last) for part in (image, background)
    )
    mask = torch.zeros(count, 1, size, size)
    mask[:, :, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    index = torch.arange(count)
    return Batch(image, index % 2, index // 2 % 2, index, mask, None, background)


def compared(erm: Sides, sides: Sides, rounds: int) -> tuple[float, float]:
    """Seconds per step of the strategy, and of its bare passes, divided by those of ERM.

    Both are medians over the rounds.
    """
    runs = [
        lambda: erm.trained(0),
        lambda: sides.cycle(sides.trained),
        lambda: sides.cycle(sides.bare),
    ]
    ratios: list[tuple[float, float]] = []
    for number in range(-1, rounds):
        took = [0.0] * 3
        for place in range(3):  # each side goes first in turn
            which = (place + number) % 3
            took[which] = seconds(runs[which])
        ratios.append((took[1] / sides.case.cycle / took[0], took[2] / sides.case.cycle / took[0]))
    trained, bare = zip(*ratios[1:], strict=True)  # the first round warms up
    return statistics.median(trained), statistics.median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--only", default="", help="cases whose name contains one of these words, as lens,selecmix"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = timm_classifier(2, name="resnet18", pretrained=False).to(
        memory_format=torch.channels_last
    )  # type: ignore[call-overload]
    batch = pictures(options.batch_size, options.size)
    erm = Sides(Case(ERM(), plain), model, batch)
    erm_flops = flops(erm.trained, erm)
    print(
        f"resnet18, {options.size} px, batches of {options.batch_size}, one thread; ratios to ERM; "
        f"bar {BAR:.2f}"
    )
    print(f"{'':38}{'step':>7}{'flops':>7}{'time':>7}{'passes':>8}   step / bar")
    groups = (cases, network_cases, context_cases, layer_cases, pixel_cases)
    every = {name: case for group in groups for name, case in group(model, batch).items()}
    words = options.only.split(",")
    if unknown := [word for word in words if not any(word in name for name in every)]:
        parser.error(f"each word of --only must be part of a case's name; got {unknown[0]!r}")
    for name, case in every.items():
        if not any(word in name for word in words):
            continue
        sides = Sides(case, model, batch)
        bare, own = flops(sides.bare, sides), flops(sides.trained, sides)
        by_flops = bare / erm_flops
        step, by_time = compared(erm, sides, options.rounds)
        over = step / (by_flops if case.bar == "flops" else by_time)
        row = f"{name:38}{step:7.2f}{by_flops:7.2f}{by_time:7.2f}{own / bare:8.3f}"
        print(
            f"{row}   {over:.2f} of {case.bar:5} {'passed' if over <= BAR else 'FAILED'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
