"""A config to the objects of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from debias import components
from debias.checks import check_batches, check_numbers, check_selection, check_turns, warn_of_prior
from debias.config import Config
from debias.data.checks import check_examples, check_requirements
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.inferred import Seen, seen_labels
from debias.data.pictures.preprocessing import Preprocessing
from debias.errors import InputError, near
from debias.models import Classifier, timm_classifier
from debias.parts import Parts
from debias.strategies.strategy import Strategy
from debias.training import DebiasModule, choose_precision, seed_all
from debias.training.memory import keep_freed_memory


def build(config: Config) -> Parts:
    """Build everything a run needs, and check it: nothing is trained; only drawn data is written.

    Raises:
        ValueError: whatever is wrong with the config or the data; the message names the thing, the
            value, the remedy.
    """
    check_numbers(config)
    accelerator = resolve_accelerator(config.accelerator, config.devices)
    examples: Examples = components.construct("data", config.data, {})
    seen = _seen(config, examples)
    required = requirements(config)
    check_examples(examples, require=required if seen.train is examples else ())
    check_requirements(seen.train, required)
    check_selection(config, seen.val)
    seed_all(config.seed)
    facts = facts_of(seen.train, config)
    strategy = components.find("strategy", config.strategy["name"])
    outputs = getattr(strategy, "model_outputs", Strategy.model_outputs)(seen.train.groups)
    model = _model(config, outputs)
    preprocessing: Preprocessing = components.construct("preprocessing", config.preprocessing, {})
    image = torch.zeros(1, 3, preprocessing.evaluation.height, preprocessing.evaluation.width)
    if accelerator == "cpu":
        keep_freed_memory()
    module = _module(config, model, facts | {"model": model, "image": image}, seen.val)
    data = _data(config, seen.batches, preprocessing, model, facts)
    check_turns(config, module, len(data.order))
    check_batches(config, module, len(data.order), image)
    warn_of_prior(config, module, data.order, facts)
    precision = config.precision
    if precision == "auto":
        precision = choose_precision(model, accelerator)
    return Parts(examples, data, module, accelerator, precision)


def _model(config: Config, outputs: int) -> Classifier:
    facts = {"outputs": outputs}
    model: Classifier = components.call(timm_classifier, "model", config.model, facts)
    # a no-op for what is computed; depthwise networks train up to twice as fast on CPUs, bfloat16
    # ones on GPUs
    convert: Any = model.to  # whose types know this argument in some releases of torch only
    convert(memory_format=torch.channels_last)
    return model


def _seen(config: Config, examples: Examples) -> Seen:
    file = Path(config.groups.file) if config.groups.file else None
    seen = seen_labels(examples, file, config.groups.splits)
    # true labels in place of inferred ones would be read without being told of
    if seen.train is examples and "inferred groups" in requirements(config):
        strategy = components.find("strategy", config.strategy["name"])
        by_strategy = "inferred groups" in getattr(strategy, "requires", ())
        kind = "strategy" if by_strategy else "sampler"
        raise InputError(
            f"{kind}.name={getattr(config, kind)['name']} reads inferred groups, and none stand in "
            "for the labels of training: set groups.file to a CSV of `debias infer-groups`, or "
            "take a recipe that infers them"
        )
    return seen


def smallest_batch(config: Config) -> int:
    """How many samples the config's strategy needs in each training batch.

    Raises:
        ValueError: the batch size is smaller.
    """
    name = config.strategy["name"]
    needed: int = getattr(components.find("strategy", name), "smallest_batch", 1)
    if config.batch_size < needed:
        raise InputError(
            f"{name} needs batches of at least {needed} samples; got batch_size={config.batch_size}"
        )
    return needed


def requirements(config: Config) -> tuple[str, ...]:
    """What the training data must carry for strategy, sampler and augmentation."""
    strategy = components.find("strategy", config.strategy["name"])
    required: tuple[str, ...] = getattr(strategy, "requires", ())
    sampled = components.required_facts("sampler", config.sampler["name"], components.SAMPLED)
    augmented = getattr(components.find("augment", config.augment["name"]), "requires", ())
    return tuple(dict.fromkeys([*required, *sampled, *augmented]))


def facts_of(examples: Examples, config: Config) -> dict[str, Any]:
    """What components may ask for by name: facts of the training split, and of the run.

    Strategies may ask for two more: the "model", and an "image" batch of one, from which shapes
    inside it are read.
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
        "inferred": examples.bias[train],  # asked for by who can do without a sample in every group
        "group": groups.encode(examples.target[train], examples.bias[train]),
        "seed": config.seed,
    }


def resolve_accelerator(accelerator: str, devices: int = 1) -> str:
    """What to compute on: "auto" is the best that is there.

    Raises:
        ValueError: it is unknown or not there, or has fewer devices than asked for.
    """
    there = {
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
        "cpu": devices,
    }
    if accelerator != "auto" and accelerator not in there:
        raise InputError(
            f"unknown accelerator {accelerator!r}; {near(accelerator, ['auto', *there])}"
        )
    chosen = (
        next(name for name, count in there.items() if count)
        if accelerator == "auto"
        else accelerator
    )
    if there[chosen] < devices:
        raise InputError(
            f"accelerator={chosen} has {there[chosen]} devices here, and devices={devices}: ask "
            "for fewer"
        )
    return chosen


def cache_folder(config: Config) -> Path | None:
    """Folder of the decoded images, or ``None`` where the config wants none."""
    if not config.cache:
        return None
    return Path(config.cache_dir) if config.cache_dir else Path(config.out) / "cache"


def _module(
    config: Config, model: Classifier, facts: dict[str, Any], validation: Examples
) -> DebiasModule:
    strategy: Strategy = components.construct("strategy", config.strategy, facts)
    optimizer = partial(_player_optimizer, config)
    scheduler = partial(_player_scheduler, config)
    players = strategy.players(model)
    for player in config.players:
        if player not in players:
            raise InputError(f"the strategy has no player {player!r}; {near(player, players)}")
    for player, parameters in players.items():
        scheduler(optimizer(player, parameters))  # a mistake in their options is found now
    frequencies = validation.frequencies("train")
    return DebiasModule(
        model,
        strategy,
        validation.groups,
        frequencies if bool(frequencies.any()) else None,
        training_groups=facts["groups"],
        optimizer=optimizer,
        scheduler=scheduler,
        augment=components.construct(
            "augment", config.augment, facts | {"mean": model.mean, "std": model.std}
        ),
        clip=config.clip,
    )


def _player_optimizer(config: Config, player: str, parameters: list[torch.nn.Parameter]) -> Any:
    own = config.players.get(player, {})
    if not isinstance(own, dict):
        raise InputError(
            f"players.{player} is a section: write its keys, as in players.{player}.lr=1e-3; got "
            f"{own}"
        )
    base = (
        config.optimizer
        if own.get("name", config.optimizer["name"]) == config.optimizer["name"]
        else {}
    )
    try:
        return components.construct("optimizer", {**base, **own}, {"parameters": parameters})
    except InputError:
        raise
    except ValueError as error:  # torch checks the ranges of the options
        raise InputError(
            f"optimizer of player {player}: {error}; correct this option of the optimizer"
        ) from error


def _player_scheduler(config: Config, optimizer: torch.optim.Optimizer) -> Any:
    facts = {"optimizer": optimizer, "epochs": config.epochs}
    return components.construct("scheduler", config.scheduler, facts)


def _data(
    config: Config,
    examples: Examples,
    preprocessing: Preprocessing,
    model: Classifier,
    facts: dict[str, Any],
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
        backgrounds=getattr(
            components.find("augment", config.augment["name"]), "reads_backgrounds", False
        ),
    )
