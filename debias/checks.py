"""What is refused before training starts, because no single component would refuse it."""

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from debias.config import Config
from debias.data.checks import fewer
from debias.data.examples import Examples
from debias.data.orders import Order, seeded_generator
from debias.errors import InputError, check_at_least, check_finite, near
from debias.merging import Section
from debias.metrics.selection import AUTO, GROUP_RULES, RULES, chosen_rule
from debias.models.layers import evaluating
from debias.training.module import DebiasModule
from debias.types import Groups

#: The share of draws that may fall on other classes or groups than the data has, beside what chance
#: explains.
MOVED = 0.1

#: Draws for each class or group, from which its share is known to a few percent.
ENOUGH = 400

#: What training and prediction can both compute in.
PRECISIONS = ("auto", "32-true", "bf16-mixed")


def check_numbers(config: Config) -> None:
    """Refuse the values that no component would refuse by itself.

    Raises:
        ValueError: naming the key, the value and what it must be.
    """
    sizes = {key: getattr(config, key) for key in ("epochs", "batch_size", "eval_batch_size")}
    sizes = {key: size for key, size in sizes.items() if size is not None}
    check_at_least(1, sizes | {"devices": config.devices})
    check_at_least(0, {"seed": config.seed})
    check_at_least(0, {"workers": config.workers or 0}, hint="null lets debias choose")
    check_finite("players", config.players)
    if config.clip is not None and not 0 < config.clip < math.inf:
        raise InputError(
            f"clip must be positive and finite, or null for no clipping; got {config.clip}"
        )
    if config.precision not in PRECISIONS:
        raise InputError(
            f"unknown precision {config.precision!r}; {near(config.precision, PRECISIONS)}"
        )
    if config.select not in (AUTO, *RULES):
        raise InputError(
            f"unknown selection rule select={config.select!r}; "
            f"{near(config.select, [AUTO, *RULES])}"
        )


def check_selection(config: Config, examples: Examples) -> None:
    """Refuse a selection rule that reads group labels where the validation split has none; warn
    where it lacks a group.

    Raises:
        ValueError: naming the rules that need none.
    """
    counts = examples.frequencies("val")
    rule = chosen_rule(config.select, labelled=bool(counts.any()))
    if rule not in GROUP_RULES or bool((counts > 0).all()):
        return
    if not bool(counts.any()):
        others = " or ".join(f"select={rule}" for rule in RULES if rule not in GROUP_RULES)
        raise InputError(
            f"select={rule} needs bias labels in validation, and {examples.source} has none there: "
            f"{others}"
        )
    empty = fewer(examples.groups.names, counts)
    warnings.warn(
        f"no validation image in {', '.join(empty)}: select={rule} cannot see it", stacklevel=2
    )


def warn_of_prior(config: Config, module: DebiasModule, order: Order, facts: Section) -> None:
    """Warn of a strategy that corrects for frequencies which its batches do not have.

    What balances them corrects for the same: together they turn a shortcut round.

    Args:
        config: of the run.
        module: with its strategy and augmentation.
        order: which training samples an epoch visits.
        facts: of the training split, with the "group" and the class "row" of each sample.
    """
    prior, groups = module.strategy.corrects_prior, facts["groups"]
    if not prior:
        return
    by_class, by_group = (facts["row"], groups.rows), (facts["group"], groups.count)
    cell, cells = by_class if prior == "class" else by_group
    generator = seeded_generator(config.seed)
    draws = [order.draw(generator) for _ in range(math.ceil(ENOUGH * cells / max(len(order), 1)))]
    seen = (cell, cell[torch.cat(draws)])
    shares = [_shares(samples, cells, groups, prior) for samples in seen]
    # of the rows that an order of a part of the data has chosen
    chance = math.sqrt(cells / len(order)) / 2
    moved = prior != "class" and module.augment.moves_bias
    if moved or float((shares[0] - shares[1]).abs().sum()) / 2 > MOVED + chance:
        kind = "augment" if moved else "sampler"
        by = f"{kind}.name={getattr(config, kind)['name']}"
        warnings.warn(
            f"strategy.name={config.strategy['name']} corrects for how often the training data has "
            f"each {prior}, and {by} changes that in its batches: both together correct twice, and "
            "may turn a shortcut round; take one of them",
            stacklevel=2,
        )


def _shares(cell: Tensor, cells: int, groups: Groups, prior: str) -> Tensor:
    """``(cells,)`` shares of classes or groups; of "class given bias", each bias counts alike."""
    counts = torch.bincount(cell[cell >= 0], minlength=cells).double()
    if prior != "class given bias":
        return counts / counts.sum()
    of_bias = counts.view(groups.rows, groups.biases)
    return (of_bias / of_bias.sum(dim=0).clamp(min=1) / groups.biases).flatten()


def check_batches(config: Config, module: DebiasModule, samples: int, image: Tensor) -> None:
    """Refuse a batch of one image where a batch normalisation has one value per channel.

    Such a layer cannot train on one value. A last batch of one image is left out; only a run of one
    image per process has no other batch.

    Args:
        config: of the run.
        module: with its model.
        samples: that an epoch visits.
        image: ``(1, 3, H, W)`` of the size that the model is trained on.

    Raises:
        InputError: naming the batch size, or the number of images.
    """
    each = math.ceil(samples / config.devices)
    if min(config.batch_size, each) > 1 or not _normalises_one_value(module.model, image):
        return
    if config.batch_size > 1:
        raise InputError(
            f"an epoch visits {each} image per process, and batch normalisation needs two: add "
            "images"
        )
    raise InputError(
        f"batch_size=1 with {config.model['name']}: its batch normalisation cannot train on one "
        f"image of {image.shape[2]} x {image.shape[3]} pixels; set batch_size to 2 or more"
    )


@torch.no_grad()
def _normalises_one_value(model: nn.Module, image: Tensor) -> bool:
    """Whether a layer that normalises by its batch sees one value per channel of an image."""
    sizes: list[int] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Note how many values of each channel there are."""
        sizes.append(inputs[0].numel() // inputs[0].shape[1])

    layers = [
        layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.training
    ]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    with evaluating(model):
        model(image)
    for hook in hooks:
        hook.remove()
    return 1 in sizes


def check_turns(config: Config, module: DebiasModule, samples: int) -> None:
    """Refuse a run that ends before a player of its strategy has moved at all.

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
    raise InputError(
        f"this run has {steps} steps, and in none of them the strategy lets "
        f"{' or '.join(sorted(waiting))} move: train for more epochs, or shorten the strategy's "
        "warm-up (its options count in steps)"
    )
