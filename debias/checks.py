"""Checks before training, for mistakes in a run that no single component can see."""

import math
import os
import warnings
from shutil import which

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from debias.config import Config
from debias.data.checks import absent_groups
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.orders import Order, seeded_generator
from debias.data.progressive import Expanding
from debias.errors import InputError, check_at_least, check_finite, check_one_of, near
from debias.merging import Section, named
from debias.metrics.selection import AUTO, GROUP_RULES, RULES, chosen_rule
from debias.models.layers import evaluating
from debias.training.loggers import check_loggers
from debias.training.module import DebiasModule
from debias.types import Groups

#: Largest distance (total variation) between the class or group shares of the batches and of the
#: data that gives no warning, beyond what chance explains.
LARGEST_SHIFT = 0.1

#: Draws per class or group, enough to estimate its share to a few percent.
DRAWS = 400

#: Values of ``precision`` that both training and prediction support.
PRECISIONS = ("auto", "32-true", "bf16-mixed")

#: Values of ``scale_lr``: the power of the number of processes that multiplies learning rates.
RATE_POWERS = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}


def check_numbers(config: Config) -> None:
    """Check the settings that belong to no component, such as ``epochs``, ``seed`` and ``select``.

    Raises:
        ValueError: a number is out of range, or ``precision`` or ``select`` is unknown; the message
            names the key, its value and the allowed values.
    """
    keys = ("epochs", "batch_size", "eval_batch_size", "accumulate")
    sizes = {key: getattr(config, key) for key in keys}
    sizes = {key: size for key, size in sizes.items() if size is not None}
    check_at_least(1, sizes | {"devices": config.devices, "nodes": config.nodes})
    check_at_least(0, {"seed": config.seed})
    hint = "null lets debias choose"
    check_at_least(0, {"workers": config.workers or 0, "cache_gb": config.cache_gb or 0}, hint=hint)
    check_finite("players", config.players)
    if config.clip is not None and not 0 < config.clip < math.inf:
        raise InputError(
            f"clip must be positive and finite, or null for no clipping; got {config.clip}"
        )
    if config.ema is not None and not 0 < config.ema < 1:
        raise InputError(f"ema must be in (0, 1), or null for no average; got {config.ema}")
    if config.accumulate > 1 and config.batch_size < 2 * config.accumulate:
        raise InputError(
            f"accumulate must be 1, or at most half of batch_size={config.batch_size}, since each "
            f"part of a batch needs two images; got {config.accumulate}"
        )
    check_loggers(config.loggers)
    check_one_of(RATE_POWERS, {"scale_lr": config.scale_lr})
    if config.precision not in PRECISIONS:
        raise InputError(
            f"unknown precision {config.precision!r}; {near(config.precision, PRECISIONS)}"
        )
    if config.select not in (AUTO, *RULES):
        raise InputError(
            f"unknown selection rule select={config.select!r}; "
            f"{near(config.select, [AUTO, *RULES])}"
        )


def rate_factor(config: Config) -> float:
    r"""Factor of all learning rates: :math:`n`, :math:`\sqrt n` or 1 for n processes.

    Each process adds a batch, so that a step has n times as many images.

    Source: linear: Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    2017; square root: Krizhevsky, "One weird trick for parallelizing convolutional neural
    networks", 2014.

    Args:
        config: the settings of the run, with a ``scale_lr`` of :data:`RATE_POWERS`.

    Example:
        >>> rate_factor(Config(nodes=2, devices=2, scale_lr="sqrt"))
        2.0
    """
    return float(config.processes ** RATE_POWERS[config.scale_lr])


def check_selection(config: Config, examples: Examples) -> None:
    """Check that the validation split has the bias labels that the selection rule reads.

    A warning names the groups that have images, but no validation image.

    Raises:
        ValueError: the rule reads bias labels, and no validation image has one; the message names
            the rules that need none.
    """
    counts = examples.frequencies("val")
    rule = chosen_rule(config.select, labelled=bool(counts.any()))
    if rule not in GROUP_RULES or bool((counts > 0).all()):
        return
    if not bool(counts.any()):
        others = " or ".join(f"select={rule}" for rule in RULES if rule not in GROUP_RULES)
        raise InputError(
            f"select={rule} needs bias labels in the validation split, and {examples.source} has "
            f"none there: use {others}"
        )
    if empty := absent_groups(examples, "val"):
        warnings.warn(
            f"no validation image in {empty}: select={rule} ignores these groups", stacklevel=2
        )


def warn_of_prior(config: Config, module: DebiasModule, order: Order, facts: Section) -> None:
    """Warn if a strategy corrects for training frequencies that its batches do not have.

    A balancing sampler or augmentation corrects for the same frequencies. Both together
    over-correct: the model then learns the opposite shortcut.

    Args:
        config: the settings of the run.
        module: the module with the strategy and the augmentation.
        order: the training samples that an epoch visits.
        facts: facts of the training split, with the "group" and the class "row" of each sample.
    """
    prior, groups = module.strategy.corrects_prior, facts["groups"]
    if not prior:
        return
    by_class, by_group = (facts["row"], groups.rows), (facts["group"], groups.count)
    cell, cells = by_class if prior == "class" else by_group
    generator = seeded_generator(config.seed)
    draws = [order.draw(generator) for _ in range(math.ceil(DRAWS * cells / max(len(order), 1)))]
    seen = (cell, cell[torch.cat(draws)])
    shares = [_shares(samples, cells, groups, prior) for samples in seen]
    # an order may have chosen a random part of the data, whose shares differ by chance
    chance = math.sqrt(cells / len(order)) / 2
    augmented = prior != "class" and module.augment.moves_bias
    if augmented or float((shares[0] - shares[1]).abs().sum()) / 2 > LARGEST_SHIFT + chance:
        kind = "augment" if augmented else "sampler"
        by = named(kind, getattr(config, kind))
        warnings.warn(
            f"strategy.name={config.strategy['name']} corrects for how often the training data has "
            f"each {prior}, and {by} changes that in its batches: both together over-correct, and "
            "may teach the opposite shortcut; use one of them",
            stacklevel=2,
        )


def warn_of_old_bias(config: Config, required: tuple[str, ...], *, outdated: bool) -> None:
    """Warn if a strategy reads bias labels that the augmented images may no longer have.

    Args:
        config: the settings of the run.
        required: what the strategy requires of the training data.
        outdated: whether the augmentation has ``outdates_bias``.
    """
    if outdated and {"bias", "some bias", "groups"} & set(required):
        warnings.warn(
            f"strategy.name={config.strategy['name']} reads bias labels, and the "
            "augmentation keeps those of the original images: use a strategy that reads none, "
            "unless the changed images have the same bias",
            stacklevel=2,
        )


def _shares(cell: Tensor, cells: int, groups: Groups, prior: str) -> Tensor:
    """``(cells,)`` share of the samples in each class or group.

    For the prior "class given bias", every bias value has the same total share.
    """
    counts = torch.bincount(cell[cell >= 0], minlength=cells).double()
    if prior != "class given bias":
        return counts / counts.sum()
    of_bias = counts.view(groups.rows, groups.biases)
    return (of_bias / of_bias.sum(dim=0).clamp(min=1) / groups.biases).flatten()


def check_batch_size(config: Config, needed: int) -> None:
    """Check that ``batch_size`` is large enough for the config's strategy.

    Args:
        config: the settings of the run.
        needed: the ``smallest_batch`` of the strategy, or of its class if no strategy is built yet.

    Raises:
        ValueError: ``batch_size`` is below it.
    """
    if config.batch_size < needed:
        raise InputError(
            f"{config.strategy['name']} needs batches of at least {needed} samples; got "
            f"batch_size={config.batch_size}"
        )


def check_batches(config: Config, module: DebiasModule, samples: int, image: Tensor) -> None:
    """Refuse batches that are too small for the strategy, or for a batch normalisation.

    A batch normalisation cannot train on one value. It can get one value only from a batch of one
    image: with ``batch_size=1``, or if an epoch has one image per process. In other runs, training
    leaves out a last batch of one image.

    Args:
        config: the settings of the run.
        module: the module with the model and the strategy.
        samples: number of samples that an epoch visits.
        image: ``(1, 3, H, W)`` image of the size that the model is trained on.

    Raises:
        InputError: ``batch_size`` is below the ``smallest_batch`` of the strategy, or a batch of
            one image gives such a layer one value per channel.
    """
    check_batch_size(config, module.strategy.smallest_batch)
    each = math.ceil(samples / config.processes)
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
    """Whether some batch normalisation in training mode gets one value per channel of ``image``."""
    sizes: list[int] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Record the number of values per channel that the layer gets."""
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


def check_passes(config: Config, module: DebiasModule, accelerator: str) -> None:
    """Check that the network can be compiled, or get batches in parts, if the config says so.

    Args:
        config: the settings of the run.
        module: the module with the strategy.
        accelerator: the accelerator that the run computes on.

    Raises:
        InputError: the strategy reads or replaces a layer inside the network; the augmentation
            changes one, and ``compile`` is set; both are set; or compiling needs a C++ compiler,
            and there is none.
    """
    layer, replaced = module.strategy.layer, module.strategy.replaces
    inside = f"replaces {replaced}" if layer is None else f"reads the layer {layer}"
    for key, default in (("accumulate", 1), ("compile", False)):
        if getattr(config, key) != default and (layer is not None or replaced):
            raise InputError(
                f"strategy.name={config.strategy['name']} {inside} inside the "
                f"network, which {key}={getattr(config, key)} does not allow: leave {key} out"
            )
    if config.compile and module.augment.changes_layers:
        raise InputError(
            f"{named('augment', config.augment)} changes layers inside the network, which "
            "compile=true does not allow: leave compile out"
        )
    if config.compile and config.accumulate > 1:
        raise InputError(
            f"compile=true does not work with accumulate={config.accumulate}: set only one of them"
        )
    if config.compile and accelerator == "cpu" and not which(os.environ.get("CXX", "g++")):
        raise InputError("compile=true needs a C++ compiler on a CPU: install g++, or set CXX")


def check_joined_statistics(config: Config, accelerator: str) -> None:
    """Refuse ``sync_batchnorm`` for several CPUs. A run of GPUs may be evaluated on a CPU.

    Raises:
        InputError: several processes train on CPUs, where torch does not join batch statistics.
    """
    if config.sync_batchnorm and config.processes > 1 and accelerator == "cpu":
        raise InputError(
            "sync_batchnorm=true needs GPUs, since torch joins batch statistics only there; got "
            "accelerator=cpu: leave it out, or set model.freeze_batch_norm=true"
        )


def check_growth(config: Config, order: Order) -> None:
    """Check that a set of training samples that is to grow does so before the last epoch.

    Args:
        config: the settings of the run.
        order: the order of the samples.

    Raises:
        ValueError: the first expansion is after the last epoch.
    """
    if isinstance(order, Expanding) and order.added and order.warmup >= config.epochs:
        raise InputError(
            f"sampler.warmup must be below epochs, so that the set of samples grows; got "
            f"sampler.warmup={order.warmup} and epochs={config.epochs}: set a smaller one, or "
            "sampler.name=group_subsample"
        )


def check_turns(config: Config, module: DebiasModule, data: ImageData) -> None:
    """Check that the strategy updates each of its players at least once in the run, and that a set
    of samples that is to grow does so. Warn of a part of the strategy that begins after the run.

    Args:
        config: the settings of the run.
        module: the module with the strategy and its players.
        data: the training data.

    Raises:
        ValueError: a player is never updated; the message names it and the number of steps. Or no
            epoch trains the model, or the set of samples grows in none.
    """
    check_growth(config, data.order)
    if config.epochs <= (idle := module.strategy.idle_epochs):
        raise InputError(
            f"epochs must be above {idle} with strategy.name={config.strategy['name']}, since the "
            f"earlier ones do not train the model; got epochs={config.epochs}: set a larger number"
        )
    steps = config.epochs * data.steps(config.processes)
    for option, first in module.strategy.begins.items():
        if first >= steps:
            warnings.warn(
                f"this run has {steps} steps, and a part of {config.strategy['name']} begins at "
                f"step strategy.{option}={first}, so that it is never trained: train for more "
                "epochs, or set a smaller number",
                stacklevel=2,
            )
    waiting = set(module.players)
    for step in range(steps):
        waiting -= {turn.player for turn in module.strategy.turns(step)}
        if not waiting:
            return
    raise InputError(
        f"this run has {steps} steps, and the strategy updates {' or '.join(sorted(waiting))} in "
        "none of them: train for more epochs, or shorten the strategy's warm-up (its options count "
        "steps)"
    )
