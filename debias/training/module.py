"""The LightningModule that trains every strategy: its players take turns on each batch."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from debias.augment.augmentation import Augmentation, Unchanged
from debias.augment.in_order import InOrder
from debias.errors import InputError
from debias.metrics import GroupCounts
from debias.strategies.strategy import Strategy
from debias.training.prediction import Predicted
from debias.training.terms import EpochSums, IdleTerms, check_finite
from debias.types import Batch, Groups, Loss, Turn

#: With more groups or classes than this, the history of a run and its loggers have no number of a
#: single one: each number would cost milliseconds per epoch, and nobody could read the curves.
MOST_FOLLOWED = 1000

Number = TypeVar("Number")


class DebiasModule(pl.LightningModule):
    """Trains a model with a strategy, and counts its validation predictions per group.

    A strategy of one player with one turn per step uses Lightning's automatic optimisation, and
    everything that the Trainer offers for it. Otherwise each turn freezes the other players,
    computes its objective and steps its own optimiser. ``clip`` then applies per turn.

    Args:
        model: maps images to :class:`debias.types.Outputs`.
        strategy: the mitigation strategy; its parameters and buffers are saved with the model's.
        groups: the groups of the validation data.
        frequencies: ``(groups.count,)`` training samples of each group, for the adjusted average;
            ``None`` if the training data has no bias labels.
        optimizer: builds the optimiser of one player from its name and its parameters.
        scheduler: builds the learning-rate schedule of one optimiser, stepped once per epoch.
        augment: changes each training batch; ``None`` changes nothing.
        training_groups: the groups that the strategy sees, if they differ from ``groups``.
        clip: largest gradient norm of a player; ``None`` does not clip.
    """

    def __init__(
        self,
        model: nn.Module,
        strategy: Strategy,
        groups: Groups,
        frequencies: Tensor | None,
        *,
        optimizer: Callable[[str, list[Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler],
        augment: Augmentation | None = None,
        training_groups: Groups | None = None,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        self.model, self.strategy, self.groups = model, strategy, groups
        self.augment = augment or Unchanged()
        check_targets(strategy, self.augment)
        self.training_groups = training_groups or groups
        self.make_optimizer, self.make_scheduler, self.clip = optimizer, scheduler, clip
        self.players = {
            name: [p for p in owned if p.requires_grad]
            for name, owned in strategy.players(model).items()
        }
        self.automatic_optimization = len(self.players) == len(strategy.turns(0)) == 1
        self.counts = GroupCounts(groups, train_frequencies=frequencies)
        self.epoch_sums, self.idle_terms = EpochSums(), IdleTerms()
        self.moved: set[str] = set()
        self.validation: dict[str, float] = {}

    def forward(self, image: Tensor) -> Any:
        """Outputs of the strategy for images, as validation and prediction use them."""
        return self.strategy.classify(self.model, image)

    @property
    def leaves_unused(self) -> bool:
        """Whether a step may leave trainable parameters without gradient.

        Such parameters belong to another player, or to no player.
        """
        owned = {id(parameter) for parameters in self.players.values() for parameter in parameters}
        return len(self.players) > 1 or any(
            p.requires_grad and id(p) not in owned for p in self.parameters()
        )

    def model_has_moved(self, steps: int) -> bool:
        """Whether the first ``steps`` steps update a player that owns parameters of the model.

        Also true if no player owns any.
        """
        own = {id(parameter) for parameter in self.model.parameters()}
        owned = {name: {id(p) for p in each} for name, each in self.players.items()}
        owners = {name for name, ids in owned.items() if ids & own}
        return not owners or any(
            turn.player in owners for step in range(steps) for turn in self.strategy.turns(step)
        )

    def configure_optimizers(self) -> Any:
        """Build one optimiser and one schedule per player, in the order of ``players``."""
        optimizers = [
            self.make_optimizer(player, parameters) for player, parameters in self.players.items()
        ]
        return optimizers, [self.make_scheduler(optimizer) for optimizer in optimizers]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Take the strategy's turns of this step; return the loss if Lightning is to step.

        The strategy gets Lightning's count of batches as its step, which a checkpoint restores.
        Lightning's ``global_step`` counts optimiser steps instead.
        """
        batch = self._augmented(batch)
        turns = self.strategy.turns(self.trainer.fit_loop.epoch_loop.total_batch_idx)
        if self.automatic_optimization:
            (turn,) = turns
            loss = self._tracked(turn.objective(self.model, batch))
        else:
            each: Any = self.optimizers()
            optimizers = dict(zip(self.players, _listed(each), strict=True))
            for turn in turns:
                self._take(turn, batch, optimizers[turn.player])
        self.epoch_sums.end_step()
        return loss if self.automatic_optimization else None

    def _augmented(self, batch: Batch) -> Batch:
        """The augmented batch, or the unchanged batch with the views that the strategy reads."""
        progress = self.current_epoch / max(self.trainer.max_epochs or 1, 1)
        views: list[Batch] = [
            self.augment(batch, progress) for _ in range(max(self.strategy.views, 1))
        ]
        return batch._replace(views=tuple(views)) if self.strategy.views else views[0]

    def _take(self, turn: Turn, batch: Batch, optimizer: Any) -> None:
        self.moved.add(turn.player)
        # toggled before the forward pass, so that the others' activations are not kept
        with self.toggled_optimizer(optimizer):
            loss = self._tracked(turn.objective(self.model, batch))
            optimizer.zero_grad()
            # Lightning's autocast is still on: it would round gradients of float32 computations
            with torch.autocast(loss.device.type, enabled=False):
                self.manual_backward(loss)
            if self.clip is not None:
                self.clip_gradients(
                    optimizer, gradient_clip_val=self.clip, gradient_clip_algorithm="norm"
                )
            optimizer.step()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """In automatic optimisation, clip gradients to the Trainer's bound, else to ``clip``."""
        clip = self.clip if gradient_clip_val is None else gradient_clip_val
        if clip is not None:
            self.clip_gradients(optimizer, clip, gradient_clip_algorithm or "norm")

    def _tracked(self, loss: Loss) -> Tensor:
        self.idle_terms.note(loss)
        self.epoch_sums.add(loss)
        return loss.total

    def on_train_epoch_start(self) -> None:
        """Reset the sums of the loss and the set of players that moved."""
        self.epoch_sums, self.moved = EpochSums(), set()

    def training_means(self) -> dict[str, float]:
        """Means of the loss and of each term, over the turns of the epoch that have the term.

        A term with one value per group gives one mean per group, named ``term/group``, if there
        are at most ``MOST_FOLLOWED``. Every process must call this, and gets the means over all
        processes.
        """
        means = self.epoch_sums.means()
        scalars = {name: mean.item() for name, mean in means.items() if mean.ndim == 0}
        groups = self.training_groups.names
        for name, mean in means.items():
            if mean.ndim == 1 and len(mean) <= MOST_FOLLOWED:
                named = zip(groups, mean.tolist(), strict=True)
                scalars |= {f"{name}/{group}": value for group, value in named}
        return scalars

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means, warn of terms without effect, and step the schedules.

        Raises:
            InputError: a loss of the epoch, or a weight after it, is not finite.
        """
        check_finite(self, self.epoch_sums, epoch=self.current_epoch)
        means = self.training_means()
        self.log_dict({f"train/{name}": value for name, value in means.items()})
        if self.trainer.is_global_zero:
            self.idle_terms.check(means)
        if not self.automatic_optimization:
            schedulers: Any = self.lr_schedulers()
            for player, scheduler in zip(self.players, _listed(schedulers), strict=True):
                if player in self.moved:
                    scheduler.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> Any:
        """Count the predictions of a batch, and return them as :class:`Predicted`."""
        logits = self(batch.image).logits
        self.counts.update(self.groups.predict(logits), batch.target, batch.bias)
        return Predicted(batch.index, logits.float())

    def on_validation_epoch_end(self) -> None:
        """Log the metrics that :func:`followed` keeps under ``val/``, and reset the counts."""
        kept = followed(self.counts.compute())
        self.validation = {name: value.item() for name, value in kept.items()}
        self.log_dict(
            {f"val/{name}": torch.tensor(value).float() for name, value in self.validation.items()}
        )
        self.counts.reset()


def followed(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The numbers without those of single groups or classes, if there are more than
    ``MOST_FOLLOWED``.

    Args:
        numbers: accuracies by name, as :func:`debias.metrics.accuracy.scalars.group_scalars` gives
            them.
    """
    kinds = {name: name.partition("/")[0] for name in numbers}
    sizes = Counter(kinds.values())
    return {n: value for n, value in numbers.items() if sizes[kinds[n]] <= MOST_FOLLOWED}


def _listed(found: Any) -> list[Any]:
    """What Lightning returns as a list, but for a single item."""
    return found if isinstance(found, list) else [found]


def check_targets(strategy: Strategy, augment: Augmentation) -> None:
    """Refuse an augmentation that does not fit the strategy.

    Raises:
        ValueError: the strategy has ``hard_targets``, and the augmentation ``mixes_targets``; or
            the strategy reads views, and the augmentation does not change images; or the strategy
            has ``fixed_layers``, and the augmentation changes layers.
    """
    parts = augment.parts if isinstance(augment, InOrder) else [augment]
    unchanged = all(isinstance(part, Unchanged) for part in parts)
    if strategy.views and (unchanged or augment.changes_layers):
        raise InputError(
            f"{type(strategy).__name__} reads changed copies of the images, and "
            f"{_part_that(augment, 'changes_layers')} changes no image: set another augmentation, "
            "such as augment.name=random_convolution"
        )
    if strategy.fixed_layers and augment.changes_layers:
        raise InputError(
            f"{type(strategy).__name__} trains no layer inside the model, so "
            f"{_part_that(augment, 'changes_layers')} has no effect: leave this augmentation out"
        )
    if strategy.hard_targets and augment.mixes_targets:
        other = "random_convolution" if strategy.views else "none"
        raise InputError(
            f"{type(strategy).__name__} needs one class per sample, and "
            f"{_part_that(augment, 'mixes_targets')} mixes classes: use only one of them, as with "
            f"augment.name={other}"
        )


def _part_that(augment: Augmentation, attribute: str) -> str:
    """Name of the class with an attribute: that of a part, if several augmentations follow."""
    named = [part for part in augment.modules() if getattr(part, attribute, False)]
    return type([augment, *named][-1]).__name__
