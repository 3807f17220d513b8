"""A config to the objects of a run."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from debias import components
from debias.config import Config, near
from debias.data.checks import check_examples
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.preprocessing import Preprocessing
from debias.metrics.selection import GROUP_RULES, RULES
from debias.models import Classifier, timm_classifier
from debias.strategies import Strategy
from debias.training import DebiasModule, choose_precision, seed_all

#: What training and prediction can both compute in.
PRECISIONS = ("auto", "32-true", "bf16-mixed")


class Parts(NamedTuple):
    """The objects of one run: its rows, its loaders, model and strategy as one module, and where it computes how."""

    examples: Examples
    data: ImageData
    module: DebiasModule
    accelerator: str
    precision: str


def build(config: Config) -> Parts:
    """Build everything a run needs, and check it: nothing is trained and nothing is written but drawn data.

    Raises:
        ValueError: whatever is wrong with the config or the data; the message names the thing, the value, the remedy.
    """
    check_numbers(config)
    accelerator = resolve_accelerator(config.accelerator, config.devices)
    examples: Examples = components.construct("data", config.data, {})
    check_examples(examples, require=requirements(config))
    check_selection(config, examples)
    seed_all(config.seed)
    facts = facts_of(examples, config)
    strategy = components.find("strategy", config.strategy["name"])
    outputs = getattr(strategy, "model_outputs", Strategy.model_outputs)(examples.groups)
    model: Classifier = components.call(timm_classifier, "model", config.model, {"outputs": outputs})
    preprocessing: Preprocessing = components.construct("preprocessing", config.preprocessing, {})
    image = torch.zeros(1, 3, preprocessing.evaluation.height, preprocessing.evaluation.width)
    # a no-op for what is computed; depthwise networks train up to twice as fast on CPUs, bfloat16 ones on GPUs
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = _module(config, model, facts | {"model": model, "image": image})
    data = _data(config, examples, preprocessing, model, facts)
    check_turns(config, module, len(data.order))
    precision = choose_precision(model, accelerator) if config.precision == "auto" else config.precision
    return Parts(examples, data, module, accelerator, precision)


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


def smallest_batch(config: Config) -> int:
    """How many samples the config's strategy needs in each training batch.

    Raises:
        ValueError: the batch size is smaller.
    """
    name = config.strategy["name"]
    needed: int = getattr(components.find("strategy", name), "smallest_batch", 1)
    if config.batch_size < needed:
        raise ValueError(f"{name} needs batches of at least {needed} samples; got batch_size={config.batch_size}")
    return needed


def requirements(config: Config) -> tuple[str, ...]:
    """What the training data must carry for the config's strategy, sampler and augmentation: "bias", "mask"."""
    strategy = components.find("strategy", config.strategy["name"])
    required: tuple[str, ...] = getattr(strategy, "requires", ())
    sampled = components.required_facts("sampler", config.sampler["name"], {"group": "bias", "bias": "bias"})
    augmented = getattr(components.find("augment", config.augment["name"]), "requires", ())
    return tuple(dict.fromkeys([*required, *sampled, *augmented]))


def facts_of(examples: Examples, config: Config) -> dict[str, Any]:
    """What components may ask for by name: facts of the training split, and of the run.

    Strategies may ask for two more: the "model", and an "image" batch of one, from which shapes inside it are read.
    """
    train = examples.rows("train")
    groups = examples.groups
    row = groups.row(examples.target[train])
    return {
        "groups": groups,
        "samples": len(examples),
        "frequencies": examples.frequencies("train"),
        "class_frequencies": torch.bincount(row.flatten(), minlength=groups.rows),
        "row": row,
        "bias": examples.bias[train],
        "group": groups.encode(examples.target[train], examples.bias[train]),
        "seed": config.seed,
    }


def resolve_accelerator(accelerator: str, devices: int = 1) -> str:
    """What to compute on: "auto" is the best that is there.

    Raises:
        ValueError: it is unknown or not there, or has fewer devices than asked for.
    """
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": devices}
    if accelerator != "auto" and accelerator not in there:
        raise ValueError(f"unknown accelerator {accelerator!r}; {near(accelerator, ['auto', *there])}")
    chosen = next(name for name, count in there.items() if count) if accelerator == "auto" else accelerator
    if there[chosen] < devices:
        raise ValueError(f"accelerator={chosen} has {there[chosen]} devices here, and devices={devices}: ask for fewer")
    return chosen


def cache_folder(config: Config) -> Path | None:
    """Folder of the decoded images, or ``None`` where the config wants none."""
    if not config.cache:
        return None
    return Path(config.cache_dir) if config.cache_dir else Path(config.out) / "cache"


def _module(config: Config, model: Classifier, facts: dict[str, Any]) -> DebiasModule:
    strategy: Strategy = components.construct("strategy", config.strategy, facts)
    optimizer = partial(_player_optimizer, config)
    scheduler = partial(_player_scheduler, config)
    players = strategy.players(model)
    for player in config.players:
        if player not in players:
            raise ValueError(f"the strategy has no player {player!r}; {near(player, players)}")
    for player, parameters in players.items():
        scheduler(optimizer(player, parameters))  # a mistake in their options is found now
    frequencies = facts["frequencies"]
    return DebiasModule(
        model,
        strategy,
        facts["groups"],
        frequencies if bool(frequencies.any()) else None,
        optimizer=optimizer,
        scheduler=scheduler,
        augment=components.construct("augment", config.augment, facts),
        clip=config.clip,
    )


def _player_optimizer(config: Config, player: str, parameters: list[torch.nn.Parameter]) -> Any:
    own = config.players.get(player, {})
    base = config.optimizer if own.get("name", config.optimizer["name"]) == config.optimizer["name"] else {}
    return components.construct("optimizer", {**base, **own}, {"parameters": parameters})


def _player_scheduler(config: Config, optimizer: torch.optim.Optimizer) -> Any:
    return components.construct("scheduler", config.scheduler, {"optimizer": optimizer, "epochs": config.epochs})


def _data(
    config: Config, examples: Examples, preprocessing: Preprocessing, model: Classifier, facts: dict[str, Any]
) -> ImageData:
    return ImageData(
        examples,
        preprocessing,
        components.construct("sampler", config.sampler, facts),
        mean=model.mean,
        std=model.std,
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        smallest_batch=smallest_batch(config),
        seed=config.seed,
        workers=config.workers,
        cache_dir=cache_folder(config),
        channels_last=True,
        backgrounds="mask" in requirements(config),
    )
