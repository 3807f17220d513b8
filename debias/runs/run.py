"""A run and its stages, and the base class of all recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from debias import components, processes
from debias import config as configs
from debias.build import build
from debias.checks import check_batch_size, check_joined_statistics
from debias.config import Config
from debias.data.checks import check_inferred
from debias.data.examples import Examples
from debias.data.partition import Partition, inferred_partition, write_inferred
from debias.errors import InputError
from debias.evaluation.predictions import predict_split
from debias.files import write_atomically
from debias.json_files import read_json
from debias.merging import Section, Settings, named
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.progress import say
from debias.reports.predictions import Predictions, read, write
from debias.runs.checks import check_continued, check_inferring, check_settings
from debias.runs.epochs import Sent, after_epoch, forget_state
from debias.runs.sharing import shared
from debias.runs.single import single
from debias.runs.work import Sizes, Work
from debias.training.fit import NOTHING, Additions
from debias.training.recorder import Recorder, Watch

#: Sections of the config of an early stage: plain ERM in one stage, whatever the last stage is.
PLAIN: Settings = {
    "recipe": {"name": "single"},
    "groups": {"file": None},
    "strategy": {"name": "erm"},
    "sampler": {"name": "shuffled"},
    "augment": {"name": "none"},
}


class Trained(NamedTuple):
    """The result of a recipe.

    Attributes:
        parts: the objects of the last stage.
        config: the config from which they were built.
        recorder: the recorder of that stage's epochs.
        predictions: predictions of every split by the selected epoch, or ``None`` if they still
            have to be computed.
        choice: the report's entry about a choice on held-out images, or ``None``.
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
        """The data set, with its own bias labels."""
        return self.parts.examples

    def predictions(
        self, split: str, *, model: nn.Module | None = None, name: str = "", progress: bool = True
    ) -> Predictions:
        """Predictions of a split in evaluation mode, saved in the stage's folder.

        If an earlier process has saved them, they are only read. All processes have those that the
        first one reads.

        Args:
            split: name of the split.
            model: another network of the stage that predicts in place of its model.
            name: name of the file; default: the name of the split.
            progress: show a progress bar.
        """
        path = self.folder / "predictions" / f"{name or split}.csv"
        if processes.from_first(not path.is_file()):
            predicted = predict_split(self.parts, split, model=model, progress=progress)
            if processes.rank() == 0:
                write(path, predicted, self.examples.groups)
        return processes.by_first(partial(read, path))

    def everywhere(self, rows: Tensor, values: Tensor) -> Tensor:
        """``(len(examples),)`` int64: the values at these rows, and -1 elsewhere."""
        full = torch.full_like(self.examples.split, -1)
        full[rows] = values.long()
        return full


class Run:
    """One run in one folder, of one or several stages. A finished stage is not trained again.

    Args:
        config: config of the run.
        folder: folder of the run.
        watch: called with the history after each epoch of the last stage.
        additions: the user's own callbacks, for the last stage, and options of the Trainer.
        sent: called after each epoch of every stage, before ``watch``: its files are written.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        *,
        watch: Watch | None = None,
        additions: Additions = NOTHING,
        sent: Sent | None = None,
    ) -> None:
        self.config, self.folder, self.watch, self.additions = config, folder, watch, additions
        self.sent = sent
        self.built: dict[str, Parts] = {}

    def stage_config(self, changes: Section | None = None) -> Config:
        """Config of an early stage: the run's config with plain ERM, and these changes."""
        plain = configs.changed(replace(self.config, players={}), PLAIN)
        return configs.changed(plain, changes or {})

    def last_config(self, changes: Section | None = None) -> Config:
        """Config of the last stage: the run's config, with the recipe's changes."""
        return configs.changed(self.config, {"recipe": {"name": "single"}, **(changes or {})})

    def refuse_own(self, *kinds: str, remedy: str = "leave it out") -> None:
        """Refuse components in the config that the recipe would replace without using them.

        Args:
            kinds: the sections that the recipe replaces.
            remedy: end of the message: what to do.

        Raises:
            ValueError: one of these sections differs from the default.
        """
        for kind in kinds:
            section = getattr(self.config, kind)
            if section != PLAIN[kind]:
                raise InputError(
                    f"recipe.name={self.config.recipe['name']} sets {kind}.name itself; got "
                    f"{named(kind, section)}: {remedy}"
                )

    def build(self, config: Config) -> Parts:
        """Build the objects of a stage, or take those that :meth:`check` has built, once."""
        return self.built.pop(configs.identity(config), None) or build(config)

    def check(self, recipe: Recipe) -> Parts:
        """Build the objects of every stage that is known before training; return the first's.

        Raises:
            ValueError: a config or the data has a mistake, a setting has no effect, or the recipe
                does not allow multi-label targets.
        """
        check_settings(self.config)
        stages = recipe.stages(self)
        if recipe.continues:
            check_continued(*stages[-2:])
        if len(stages) > 1:  # the last stage may need groups that are inferred only later
            strategy = components.choose(self.config).strategy.make
            check_batch_size(self.config, strategy.smallest_batch)
        inferring = len(stages) > 1 and bool(recipe.infers)
        for config in stages[:-1] if inferring else stages:
            self.built[configs.identity(config)] = build(config)
        first = self.built[configs.identity(stages[0])]
        check_joined_statistics(self.config, first.accelerator)
        if not recipe.takes_labels:
            first.examples.groups.check_single_label("this recipe")
        recipe.check(first, stages[0])
        if inferring:
            check_inferring(self.last_config(), first.examples, recipe.infers)
        return first

    def train_stage(self, name: str, config: Config) -> Stage:
        """Train a stage in ``stages/NAME``: start it, resume it, or load it if it is finished."""
        folder = self.folder / "stages" / name
        record = folder / "stage.json"
        parts = self.build(config)
        if processes.from_first(not record.is_file()):
            processes.by_first(partial(configs.save, config, folder / "stage.yaml"))
            say(f"stage {name}: {config.epochs} epochs")
            recorder = self._fit(
                parts, config, folder, additions=self.additions._replace(callbacks=())
            )
            processes.by_first(partial(_finish_stage, record, config, recorder))
        load_weights(parts.module, folder / "checkpoints" / "last.ckpt")
        return Stage(parts, folder)

    def train_last(
        self,
        changes: Section | None = None,
        *,
        partition: Partition | None = None,
        start: Stage | None = None,
    ) -> Trained:
        """Train the last stage, whose model is evaluated, in the run's own folder.

        Args:
            changes: changes of the run's config.
            partition: the result of :meth:`infer`, which replaces bias labels.
            start: the stage whose trained model is the initial model, and whose strategy
                ``Strategy.begin`` gets; ``None`` uses the initial weights of the config.
        """
        record = {"groups": partition.section} if partition else {}
        config = self.last_config({**(changes or {}), **record})
        parts = build(config, partition) if partition else self.build(config)
        if start is not None:
            parts.module.model.load_state_dict(start.parts.module.model.state_dict())
            parts.module.strategy.begin(parts.module.model, start.parts.module.strategy)
        if config != self.config:
            processes.by_first(partial(configs.save, config, self.folder / configs.LAST_STAGE))
            say(f"last stage: {config.epochs} epochs")
        alone = bool(changes) or partition is not None or start is not None
        recorder = self._fit(
            parts, config, self.folder, watch=self.watch, additions=self.additions, alone=alone
        )
        return Trained(parts, config, recorder)

    def _fit(
        self,
        parts: Parts,
        config: Config,
        folder: Path,
        *,
        additions: Additions,
        watch: Watch | None = None,
        alone: bool = False,
    ) -> Recorder:
        """Train a stage, or take it from the store. A stage ``alone`` has no other run's start."""
        watch = after_epoch(self.sent, watch)
        train = partial(single, parts, config, folder, watch=watch, additions=additions)
        return shared(train, parts, config, folder, apart=alone or bool(additions.described()))

    def infer(
        self, inferred: Tensor, examples: Examples, importance: Tensor | None = None
    ) -> Partition:
        """Make a partition from inferred values, and write it to ``groups.csv``.

        All processes have the values of the first one.

        Args:
            inferred: ``(len(examples),)`` int64; -1 for images without an inferred value.
            examples: the data set.
            importance: ``(len(examples),)`` float64 for the sampler ``weighted``, see
                :class:`debias.data.partition.Partition`; ``None`` if there is none.

        Raises:
            ValueError: a component of the last stage needs every group, and a class has no image of
                some value.
        """
        path = self.folder / "groups.csv"
        inferred, importance = processes.from_first((inferred, importance))
        processes.by_first(partial(write_inferred, path, examples, inferred, importance))
        if "groups" in components.requirements(self.config):
            check_inferred(examples, inferred)
        return inferred_partition(inferred, examples, path, importance)

    def seconds(self) -> dict[str, float]:
        """Training seconds of every stage before the last, by name."""
        stages = sorted((self.folder / "stages").glob("*/stage.json"))
        types, remedy = {"seconds": (int, float)}, "delete it to train the stage again"
        return {
            path.parent.name: read_json(path, dict, entries=types, remedy=remedy)["seconds"]
            for path in stages
        }


def _finish_stage(record: Path, config: Config, recorder: Recorder) -> None:
    """Note that a stage is finished, and remove the files that only resuming needs."""
    seconds = sum(entry["seconds"] for entry in recorder.history)
    write_atomically(record, json.dumps({"epochs": config.epochs, "seconds": seconds}) + "\n")
    forget_state(record.parent)
    recorder.forget_previous()


class Recipe:
    """Base class of recipes, the order of a method's stages.

    Keyword-only arguments of a recipe are the options of its section.

    Each process of a run calls :meth:`train`, and all must train the same stages on the same rows.
    Predictions of a :class:`Stage` and values of :meth:`Run.infer` are those of the first process.
    Send other results of a computation by :func:`debias.processes.from_first`, and write files in
    :func:`debias.processes.by_first`.

    Attributes:
        infers: splits whose groups the recipe infers, so that later stages do not need their bias
            labels. The last of :meth:`stages` is then not built before training: in its place, the
            run's own config is checked with other groups.
        continues: whether the last stage trains the model of the stage before it further.
        reads: splits whose true group labels the recipe itself reads.
        relabels: whether the classes take the place of the bias labels in early stages, which then
            read no group labels besides ``reads``.
        takes_groups: whether the run may set ``groups.file``, which replaces bias labels.
        takes_labels: whether an image may have several labels in place of one class.
        several_labels: whether an image must have several labels.
    """

    infers: ClassVar[tuple[str, ...]] = ()
    continues: ClassVar[bool] = False
    relabels: ClassVar[bool] = False
    takes_groups: ClassVar[bool] = False
    takes_labels: ClassVar[bool] = False
    several_labels: ClassVar[bool] = False
    reads: tuple[str, ...] = ()

    def stages(self, run: Run) -> list[Config]:
        """Configs of the stages that are checked before training; the first describes the run."""
        raise NotImplementedError

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of training on data of these sizes, for a cost estimate; default: all stages."""
        return [Work(config, sizes) for config in self.stages(run)]

    def shareable(self, run: Run) -> list[Config]:
        """Configs of the stages that another run may train too; default: the only or early ones."""
        stages = self.stages(run)
        return stages[:-1] or stages

    def labels_before(self) -> tuple[str, ...]:
        """Splits whose true group labels a run has read from which this one starts."""
        return ()

    def check(self, parts: Parts, config: Config) -> None:
        """Raise a ``ValueError`` if the recipe cannot work with the first stage.

        Args:
            parts: the objects of the first stage of :meth:`stages`.
            config: its config.
        """

    def train(self, run: Run) -> Trained:
        """Train the stages in order, except those that have finished."""
        raise NotImplementedError
