"""Builds the objects of a run from its config."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from debias import components
from debias.augment.augmentation import Augmentation
from debias.augment.in_order import InOrder
from debias.checks import (
    check_batches,
    check_numbers,
    check_passes,
    check_selection,
    check_turns,
    rate_factor,
    warn_of_old_bias,
    warn_of_prior,
)
from debias.components import Chosen, Component
from debias.config import Config
from debias.data.checks import check_examples, check_requirements
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.partition import Partition, read_partition, seen_by_run
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.picture_folder import read_folder
from debias.data.pictures.preprocessing import Preprocessing
from debias.devices import resolve_accelerator
from debias.errors import InputError, near
from debias.merging import Section, Settings
from debias.models.classifier import Classifier
from debias.models.weights import read_state_dict
from debias.parts import Parts
from debias.places import cache_folder
from debias.run_weights import run_of, start_from
from debias.strategies.strategy import Strategy
from debias.training.accumulation import accumulate
from debias.training.fit import seed_all
from debias.training.memory import keep_freed_memory
from debias.training.module import DebiasModule
from debias.training.prediction import choose_precision
from debias.types import Groups


def build(config: Config, partition: Partition | None = None, *, trains: bool = True) -> Parts:
    """Build and check all objects of a run, without training.

    No file is written, except the images of a data set that debias draws itself.

    Args:
        config: the settings of the run.
        partition: inferred groups in memory, used in place of ``groups.file``.
        trains: whether the objects are for training. If not, the folders of pictures and the files
            of weights that a strategy or an augmentation uses are not read, and the run may have
            too few epochs.

    Raises:
        ValueError: the config or the data has a mistake; the message names it, its value and the
            remedy.
    """
    check_numbers(config)
    chosen = components.choose(config)
    accelerator = resolve_accelerator(config.accelerator, config.devices)
    examples: Examples = chosen.data({"cache_dir": config.cache_dir})
    if partition is None and config.groups.file:
        partition = read_partition(Path(config.groups.file), examples, config.groups.splits)
    seen = seen_by_run(examples, partition)
    _check_data(chosen, examples, seen.train)
    check_selection(config, seen.val)
    seed_all(config.seed)
    facts = facts_of(seen.train, config.seed, partition)
    preprocessing: Preprocessing = chosen.preprocessing({})
    image = torch.zeros(1, 3, preprocessing.evaluation.height, preprocessing.evaluation.width)
    model = _model(chosen, seen.train.groups, config.model, image)
    if accelerator == "cpu":
        keep_freed_memory()
    if config.accumulate > 1:  # before the strategy copies the model
        accumulate(model, config.accumulate)
    facts |= {"mean": model.mean, "std": model.std, "process_batch_size": config.batch_size}
    facts |= {"model": model, "image": image, **_readers(preprocessing.evaluation, trains=trains)}
    module = _module(chosen, model, facts, seen.val, config)
    data = _data(chosen, module.strategy, seen.batches, preprocessing, facts, config)
    check_passes(config, module, accelerator)
    if trains:
        check_turns(config, module, data)
        check_batches(config, module, len(data.order), image)
    warn_of_prior(config, module, data.order, facts)
    auto = config.precision == "auto"
    precision = choose_precision(model, accelerator) if auto else config.precision
    return Parts(examples, data, module, accelerator, precision, partition)


def _check_data(chosen: Chosen, examples: Examples, seen: Examples) -> None:
    """Raise an error if the data lack labels or masks that a component needs.

    Both are checked: the data set as it was read, and ``seen``, its form with inferred groups.
    """
    for part in (chosen.strategy, chosen.sampler, *chosen.augment):
        # without this check, true labels would silently be read in place of inferred ones
        if seen is examples and components.INFERRED in components.needs(part.make):
            raise InputError(
                f"{part.place}.name={part.name} needs inferred groups, and the training split has "
                "none: set groups.file to a CSV of `debias infer-groups`, or use a recipe that "
                "infers groups"
            )
    check_examples(examples, require=chosen.requires if seen is examples else ())
    if seen is not examples:
        # a strategy that reads inferred groups needs one for every training image
        inferred = components.INFERRED in components.needs(chosen.strategy.make)
        check_requirements(seen, (*chosen.requires, *(("bias",) if inferred else ())))


def _model(chosen: Chosen, groups: Groups, section: Section, image: Tensor) -> Classifier:
    if groups.multi_label and section.get("one_logit"):
        raise InputError(
            "model.one_logit=true is for images of two classes, and these have several labels: "
            "leave it out"
        )
    make, run = chosen.model, run_of(section)
    if run is not None:
        make = make._replace(options=make.options | {"weights": None, "pretrained": False})
    model: Classifier = make({"outputs": chosen.strategy.make.model_outputs(groups)})
    if run is not None:
        start_from(run, model, section)
    model.use_channels_last(image)
    return model


def _readers(geometry: Geometry, *, trains: bool) -> Settings:
    """What reads a folder of pictures, and a file of weights.

    Without training, one black picture and no tensors take their place: a checkpoint has the state.
    """
    if trains:
        pictures = partial(read_folder, geometry=geometry)
        return {"read_folder": pictures, "read_weights": lambda path: read_state_dict(Path(path))}
    black = torch.zeros(1, 3, geometry.height, geometry.width, dtype=torch.uint8)
    return {"read_folder": lambda folder: black, "read_weights": lambda path: {}}


def facts_of(examples: Examples, seed: int, partition: Partition | None = None) -> Settings:
    """Facts of the training split and of the run, which components name as positional arguments.

    Strategies and augmentations may name six more facts: the "model", an "image" batch of one
    image, with which the shapes inside the model are found, the "mean" and "std" of the
    normalisation, "read_folder", which reads a folder of pictures in the size of the images, and
    "read_weights", which reads the named tensors of a file.
    Strategies may also name "process_batch_size", the number of images in a batch of one process.

    Args:
        examples: the data set with the bias values that training sees.
        seed: seed of the run.
        partition: inferred values that replace the bias labels of some splits, or ``None``.
    """
    train = examples.rows("train")
    groups = examples.groups
    row = groups.row(examples.target[train])
    facts = {
        "groups": groups,
        "samples": len(examples),
        "frequencies": examples.frequencies("train"),
        "class_frequencies": torch.bincount(row.flatten(), minlength=groups.rows),
        "row": row,
        "bias": examples.bias[train],
        "group": groups.encode(examples.target[train], examples.bias[train]),
        "occurring": examples.occurring,
        "seed": seed,
    }
    if partition is None or "train" not in partition.splits:
        return facts
    return facts | {
        "occurring": torch.ones(groups.count, dtype=torch.bool),  # an inferred value may be rare
        "partition": partition.values[train],
        "chosen": partition.chosen[train],
        "importance": partition.importance[train],
        "partition_by_row": partition.values,
        "chosen_by_row": partition.chosen,
    }


def _module(
    chosen: Chosen, model: Classifier, facts: Settings, validation: Examples, config: Config
) -> DebiasModule:
    strategy: Strategy = chosen.strategy(facts)
    optimizer = partial(_player_optimizer, chosen, rate_factor(config))
    scheduler = partial(_player_scheduler, chosen.scheduler, config.epochs)
    players = strategy.players(model)
    for player in chosen.players:
        if player not in players:
            raise InputError(f"the strategy has no player {player!r}; {near(player, players)}")
    for player, parameters in players.items():
        scheduler(optimizer(player, parameters))  # finds mistakes in their options before training
    augment = _augment(chosen, facts)
    warn_of_old_bias(config, components.needs(chosen.strategy.make), outdated=augment.outdates_bias)
    frequencies = validation.frequencies("train")
    return DebiasModule(
        model,
        strategy,
        validation.groups,
        frequencies if bool(frequencies.any()) else None,
        training_groups=facts["groups"],
        optimizer=optimizer,
        scheduler=scheduler,
        augment=augment,
        clip=config.clip,
    )


def _augment(chosen: Chosen, facts: Settings) -> Augmentation:
    made: list[Augmentation] = [each(facts) for each in chosen.augment]
    # one alone keeps the names of its state, and so the digests of stages
    return made[0] if len(made) == 1 else InOrder(*made)


def _data(
    chosen: Chosen,
    strategy: Strategy,
    examples: Examples,
    preprocessing: Preprocessing,
    facts: Settings,
    config: Config,
) -> ImageData:
    return ImageData(
        examples,
        preprocessing,
        chosen.sampler(facts | {"batch_size": config.batch_size * config.processes}),
        mean=facts["mean"],
        std=facts["std"],
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        smallest_batch=strategy.smallest_batch,
        seed=config.seed,
        workers=config.workers,
        cache_dir=cache_folder(config),
        cache_gb=config.cache_gb,
        channels_last=not facts["model"].contiguous,
        backgrounds=any(each.make.reads_backgrounds for each in chosen.augment),
    )


def _player_optimizer(
    chosen: Chosen, factor: float, player: str, parameters: list[torch.nn.Parameter]
) -> Any:
    try:
        optimizer = chosen.players.get(player, chosen.optimizer)({"parameters": parameters})
    except InputError:
        raise
    except ValueError as error:  # torch checks the ranges of the options
        raise InputError(
            f"optimizer of player {player}: {error}; correct this option of the optimizer"
        ) from error
    if factor != 1:
        for group in optimizer.param_groups:
            group["lr"] *= factor
    return optimizer


def _player_scheduler(scheduler: Component, epochs: int, optimizer: torch.optim.Optimizer) -> Any:
    return scheduler({"optimizer": optimizer, "epochs": epochs})
