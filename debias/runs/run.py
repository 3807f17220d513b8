"""A run and its stages: what every recipe is written in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from debias import components
from debias import config as configs
from debias.build import build
from debias.checks import check_numbers
from debias.config import Config
from debias.data.checks import check_inferred
from debias.data.examples import Examples
from debias.data.partition import Partition, inferred_partition, write_inferred
from debias.errors import InputError
from debias.evaluation.measures import chosen_families
from debias.evaluation.predictions import load_weights, predict_split
from debias.files import write_atomically
from debias.json_files import read_json
from debias.merging import Section, Settings
from debias.parts import Parts
from debias.reports.predictions import Predictions, read, write
from debias.runs.single import single
from debias.runs.work import Sizes, Work
from debias.training.recorder import Recorder, Watch

#: What a stage's config is by default: one stage, as plain as can be, whatever the last one is.
PLAIN: Settings = {
    "recipe": {"name": "single"},
    "groups": {"file": None},
    "strategy": {"name": "erm"},
    "sampler": {"name": "shuffled"},
    "augment": {"name": "none"},
}


class Trained(NamedTuple):
    """What a recipe hands back.

    Attributes:
        parts: the objects of its last stage.
        config: that they were built from.
        recorder: of that stage's epochs.
        predictions: of every split by the selected epoch, where they are known already.
        choice: what the recipe chose on held-out images, as a report holds it.
    """

    parts: Parts
    config: Config
    recorder: Recorder
    predictions: dict[str, Predictions] | None = None
    choice: Settings | None = None


class Stage(NamedTuple):
    """A finished stage: its objects, with the weights of its last epoch, and its folder."""

    parts: Parts
    folder: Path

    @property
    def examples(self) -> Examples:
        """The data set as it is."""
        return self.parts.examples

    def predictions(
        self, split: str, *, model: nn.Module | None = None, name: str = "", progress: bool = True
    ) -> Predictions:
        """Predictions of a split, in evaluation mode: from the stage's own file, where an earlier
        process left it.

        Args:
            split: which.
            model: a network of the stage that is to predict in place of its model.
            name: of the file, where it is not that of the split.
            progress: show a progress bar.
        """
        path = self.folder / "predictions" / f"{name or split}.csv"
        if not path.is_file():
            write(
                path,
                predict_split(self.parts, split, model=model, progress=progress),
                self.examples.groups,
            )
        return read(path)

    def everywhere(self, rows: Tensor, values: Tensor) -> Tensor:
        """``(len(examples),)`` int64: values at some rows, -1 elsewhere."""
        found = torch.full_like(self.examples.split, -1)
        found[rows] = values.long()
        return found


class Run:
    """One run of several stages in one folder; a stage that has finished is not trained again.

    Args:
        config: of the run.
        folder: of the run.
        watch: looks at the history after each epoch of the last stage.
    """

    def __init__(self, config: Config, folder: Path, *, watch: Watch | None = None) -> None:
        self.config, self.folder, self.watch = config, folder, watch
        self.built: dict[str, Parts] = {}

    def stage_config(self, changes: Section | None = None) -> Config:
        """Config of an early stage: the run's as plain ERM, with the changes of its option."""
        return configs.changed(
            configs.changed(replace(self.config, players={}), PLAIN), changes or {}
        )

    def last_config(self, changes: Section | None = None) -> Config:
        """Config of the last stage: the run's, with what the recipe changes (the sampler, say)."""
        return configs.changed(self.config, {"recipe": {"name": "single"}, **(changes or {})})

    def refuse_own(self, *kinds: str, remedy: str = "leave it out") -> None:
        """Refuse components of the run that its recipe replaces, and which nobody would read.

        Args:
            kinds: the sections in question.
            remedy: what to do about it.

        Raises:
            ValueError: one of them is not the plain one.
        """
        for kind in kinds:
            section = getattr(self.config, kind)
            if section != PLAIN[kind]:
                raise InputError(
                    f"recipe.name={self.config.recipe['name']} has a {kind} of its own; got "
                    f"{kind}.name={section['name']}: {remedy}"
                )

    def build(self, config: Config) -> Parts:
        """The objects of a stage; those that :meth:`check` built are used up first."""
        return self.built.pop(configs.identity(config), None) or build(config)

    def check(self, recipe: Recipe) -> Parts:
        """Build the objects of every stage that is known before training; return the first's.

        Raises:
            ValueError: whatever is wrong with a config or the data, several devices for several
                stages, or a file of groups or several labels an image, for which the recipe has no
                use.
        """
        check_numbers(self.config)
        chosen_families(self.config.measures)
        if self.config.groups.file and not recipe.takes_groups:
            raise InputError(
                f"recipe.name={self.config.recipe['name']} reads labels or infers groups by "
                f"itself, and would leave groups.file={self.config.groups.file} unread: leave it "
                "out"
            )
        stages = recipe.stages(self)
        if self.config.devices > 1 and stages[0] is not self.config:
            raise InputError(
                f"a run of several stages trains on one device; got devices={self.config.devices}"
            )
        if len(stages) > 1:  # the last one's components may read what is yet to be inferred
            components.choose(self.config)
        for config in stages:
            self.built[configs.identity(config)] = build(config)
        first = self.built[configs.identity(stages[0])]
        if not recipe.takes_groups and first.examples.groups.multi_label:
            raise InputError(
                "this recipe needs one class per image: name a single target, not several labels"
            )
        recipe.check(first)
        return first

    def train_stage(self, name: str, config: Config) -> Stage:
        """Train a stage to its last epoch in ``stages/NAME``, or go on, or take what is there."""
        folder = self.folder / "stages" / name
        done = folder / "stage.json"
        parts = self.build(config)
        if not done.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            configs.save(config, folder / "stage.yaml")
            recorder = single(parts, config, folder)
            seconds = sum(entry["seconds"] for entry in recorder.history)
            write_atomically(done, json.dumps({"epochs": config.epochs, "seconds": seconds}) + "\n")
            recorder.forget_previous()
        load_weights(parts.module, folder / "checkpoints" / "last.ckpt")
        return Stage(parts, folder)

    def train_last(
        self,
        changes: Section | None = None,
        *,
        partition: Partition | None = None,
        start: Stage | None = None,
    ) -> Trained:
        """Train the stage whose model the run is judged by, in the run's own folder.

        Args:
            changes: to the run's config.
            partition: of :meth:`infer`, which the stage reads in place of bias labels.
            start: the stage whose model it starts from; ``None`` starts as the config says.
        """
        record = {"groups": partition.section} if partition else {}
        config = self.last_config({**(changes or {}), **record})
        parts = build(config, partition) if partition else self.build(config)
        if start is not None:
            parts.module.model.load_state_dict(start.parts.module.model.state_dict())
        if config != self.config:
            configs.save(config, self.folder / configs.LAST_STAGE)
        return Trained(parts, config, single(parts, config, self.folder, watch=self.watch))

    def infer(self, inferred: Tensor, examples: Examples) -> Partition:
        """The partition by inferred values, which ``groups.csv`` records.

        Args:
            inferred: ``(len(examples),)`` int64, -1 where none was inferred.
            examples: the data set.

        Raises:
            ValueError: a component of the last stage needs every group, and a class has no image of
                some value.
        """
        path = self.folder / "groups.csv"
        write_inferred(path, examples, inferred)
        if "groups" in components.requirements(self.config):
            check_inferred(examples, inferred)
        return inferred_partition(inferred, examples, path)

    def seconds(self) -> dict[str, float]:
        """Training seconds of every stage before the last, by name."""
        stages = sorted((self.folder / "stages").glob("*/stage.json"))
        types, remedy = {"seconds": (int, float)}, "delete it, and the stage is trained again"
        return {
            path.parent.name: read_json(path, dict, entries=types, remedy=remedy)["seconds"]
            for path in stages
        }


class Recipe:
    """The order of a method's stages; keyword-only arguments are the options of its section.

    Attributes:
        infers: splits whose groups the recipe finds by itself, so that no strategy after it needs
            their labels.
        reads: splits whose true group labels the recipe itself reads.
        takes_groups: its stages read the labels of the run, or the file in their place, and no
            others.
    """

    infers: ClassVar[tuple[str, ...]] = ()
    takes_groups: ClassVar[bool] = False
    reads: tuple[str, ...] = ()

    def stages(self, run: Run) -> list[Config]:
        """Configs that are known and checked before training; the first describes the run."""
        raise NotImplementedError

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """What it trains on data of these sizes, for an estimate; :meth:`stages` by default."""
        return [Work(config, sizes) for config in self.stages(run)]

    def labels(self) -> tuple[str, ...]:
        """Splits whose true group labels it reads, or has read by what it starts from."""
        return self.reads

    def check(self, parts: Parts) -> None:
        """Refuse, by a ``ValueError``, what the first stage's objects do not allow."""

    def train(self, run: Run) -> Trained:
        """Train every stage that has not finished, in order."""
        raise NotImplementedError
