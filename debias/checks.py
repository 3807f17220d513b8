"""What is refused before training starts, because no single component would refuse it."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from debias.config import Config, near
from debias.data.examples import Examples
from debias.data.orders import Order, seeded_generator
from debias.metrics.selection import GROUP_RULES, RULES
from debias.training import DebiasModule

#: The share of an epoch's draws that may fall on other classes or groups than the data has, as chance would have it.
MOVED = 0.1

#: What training and prediction can both compute in.
PRECISIONS = ("auto", "32-true", "bf16-mixed")


def check_numbers(config: Config) -> None:
    """Refuse the values that no component would refuse by itself.

    Raises:
        ValueError: naming the key, the value and what it must be.
    """
    for key in ("epochs", "batch_size", "eval_batch_size", "devices"):
        if getattr(config, key) < 1:
            raise ValueError(f"{key} must be at least 1; got {getattr(config, key)}")
    if config.seed < 0:
        raise ValueError(f"seed must be at least 0; got {config.seed}")
    if config.workers is not None and config.workers < 0:
        raise ValueError(f"workers must be at least 0, or null; got {config.workers}")
    if config.clip is not None and config.clip <= 0:
        raise ValueError(f"clip must be positive, or null for no clipping; got {config.clip}")
    if config.precision not in PRECISIONS:
        raise ValueError(f"unknown precision {config.precision!r}; {near(config.precision, PRECISIONS)}")
    if config.select not in RULES:
        raise ValueError(f"unknown selection rule select={config.select!r}; {near(config.select, RULES)}")


def check_selection(config: Config, examples: Examples) -> None:
    """Refuse a selection rule that reads group labels where the validation split has none; warn where it lacks a group.

    Raises:
        ValueError: naming the rules that need none.
    """
    counts = examples.frequencies("val")
    if config.select not in GROUP_RULES or bool((counts > 0).all()):
        return
    if not bool(counts.any()):
        others = " or ".join(f"select={rule}" for rule in RULES if rule not in GROUP_RULES)
        raise ValueError(
            f"select={config.select} needs bias labels in validation, and {examples.source} has none there: {others}"
        )
    empty = [name for name, count in zip(examples.groups.names, counts.tolist(), strict=True) if not count]
    warnings.warn(f"no validation image in {', '.join(empty)}: select={config.select} cannot see it", stacklevel=2)


def check_prior(config: Config, module: DebiasModule, order: Order, cell: Tensor, frequencies: Tensor) -> None:
    """Refuse a strategy that corrects for how often training has each class or group where batches are balanced.

    Both correct for the same, and together they turn a shortcut round.

    Args:
        config: of the run.
        module: with its strategy and augmentation.
        order: which training samples an epoch visits.
        cell: ``(N,)`` int64 class or group of each training sample, -1 where unknown.
        frequencies: ``(cells,)`` training samples of each, that the strategy corrects for.

    Raises:
        ValueError: a tenth of the draws fall on other classes or groups than in the data, or the augmentation moves
            biases.
    """
    name, sampler, augment = config.strategy["name"], config.sampler["name"], config.augment["name"]
    drawn = cell[order.draw(seeded_generator(config.seed))]
    counts = torch.bincount(drawn[drawn >= 0], minlength=len(frequencies))
    moved = counts / counts.sum() - frequencies / frequencies.sum()
    if float(moved.abs().sum()) / 2 >= MOVED:
        raise ValueError(
            f"strategy.name={name} corrects for how often the training data has each class or group, and "
            f"sampler.name={sampler} draws them otherwise: both together correct twice; set sampler.name=shuffled, or "
            "strategy.name=erm"
        )
    if "bias" in module.strategy.requires and getattr(module.augment, "moves_bias", False):
        raise ValueError(
            f"strategy.name={name} corrects for what the bias says of the class, and in the batches of "
            f"augment.name={augment} it says something else: take one of them"
        )


def check_turns(config: Config, module: DebiasModule, samples: int) -> None:
    """Refuse a run that ends before a player of its strategy has moved at all, as within too long a warm-up.

    Args:
        config: of the run.
        module: with its players.
        samples: that an epoch visits.

    Raises:
        ValueError: naming the players, and the steps of the run.
    """
    steps = config.epochs * math.ceil(samples / (config.batch_size * config.devices))
    waiting = set(module.players)
    for step in range(steps):
        waiting -= {turn.player for turn in module.strategy.turns(step)}
        if not waiting:
            return
    raise ValueError(
        f"this run has {steps} steps, in none of which the strategy lets {' or '.join(sorted(waiting))} move: train "
        "for more epochs, or shorten the strategy's warm-up (its options count in steps)"
    )
