"""Group metrics for any LightningModule: a callback that counts what its steps return."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DistributedSampler

from debias.errors import InputError
from debias.metrics import GroupCounts, group_scalars
from debias.types import Groups


class GroupMetrics(Callback):
    """Logs the accuracy of every group of a LightningModule that knows nothing of ``debias``.

    In each validation and test it counts the predictions. At the end it logs the numbers as
    ``val/worst_group``, ``val/average``, ``val/accuracy/<group>`` and so on, and as ``test/...``.
    ``ModelCheckpoint`` and ``EarlyStopping`` can monitor them. With several loaders, names end in
    ``/dataloader_idx_0`` and so on, as Lightning's own do. With several processes, the numbers are
    those of all samples, each counted once: what a ``DistributedSampler`` repeats, to give all
    processes equally many samples, is left out.

    Args:
        groups: names and numbering of the groups.
        names: where the predictions (logits or classes), the targets and the bias values are, in
            this order, as :meth:`debias.metrics.exact_metrics.GroupCounts.update` takes them. A
            name is a key or a field of what the step returns, or else of the batch. A number is a
            position in the batch. If the step returns a tensor, it is the predictions.
        read: the numbers that are logged, as in :class:`debias.metrics.exact_metrics.GroupCounts`.
        train_frequencies: ``(groups.count,)`` training samples of each group, as
            ``groups.frequencies(target, bias)`` counts them. ``adjusted_average`` needs them.
        prefix: stands before every name. Two callbacks, for two bias attributes, need different
            ones: ``age/`` gives ``val/age/worst_group``.

    Raises:
        ValueError: ``train_frequencies`` does not fit the groups. In validation: a name is not
            found, or a tensor does not fit the groups.

    Example:
        >>> groups = Groups(("landbird", "waterbird"), ("land", "water"))
        >>> callback = GroupMetrics(groups, ("logits", 1, 2))  # of batches (image, target, bias)
        >>> trainer = Trainer(callbacks=[callback], logger=False, enable_checkpointing=False)
    """

    def __init__(
        self,
        groups: Groups,
        names: tuple[str | int, str | int, str | int] = ("preds", "target", "groups"),
        *,
        read: Callable[..., dict[str, Tensor]] = group_scalars,
        train_frequencies: Tensor | None = None,
        prefix: str = "",
    ) -> None:
        self.names, self.prefix = names, prefix
        self.make = partial(GroupCounts, groups, read, train_frequencies=train_frequencies)
        self.counts = [self.make()]
        self.left: list[int | None] = [None]

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._begin(trainer.val_dataloaders, pl_module.device)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._begin(trainer.test_dataloaders, pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the predictions of a batch."""
        self._add(outputs, batch, dataloader_idx)

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log every number under ``val/``."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log every number under ``test/``."""
        self._log("test", pl_module)

    def _begin(self, loaders: Any, device: torch.device) -> None:
        each = CombinedLoader(loaders, "sequential").flattened
        self.counts = [self.make().to(device) for _ in each]
        self.left = [_own_samples(getattr(loader, "sampler", None)) for loader in each]

    def _add(self, outputs: Any, batch: Any, loader: int) -> None:
        counts, left = self.counts[loader], self.left[loader]
        if isinstance(outputs, Tensor) and outputs.ndim:
            outputs = {self.names[0]: outputs}
        found = [_found(name, outputs, batch).to(counts.device) for name in self.names]
        counts.update(*(tensor[:left] for tensor in found))
        if left is not None:
            self.left[loader] = max(0, left - len(found[1]))

    def _log(self, stage: str, module: LightningModule) -> None:
        for loader, counts in enumerate(self.counts):
            end = f"/dataloader_idx_{loader}" if len(self.counts) > 1 else ""
            numbers = {
                f"{stage}/{self.prefix}{key}{end}": number.to(module.device, torch.float32)
                for key, number in counts.compute().items()
            }
            # every process has the same number already; without sync_dist Lightning warns
            module.log_dict(numbers, sync_dist=True, add_dataloader_idx=False)


def _own_samples(sampler: Any) -> int | None:
    """How many samples of this process a sampler does not repeat; ``None`` if it repeats none.

    A ``DistributedSampler`` of N samples gives process r of R the positions r, r + R, r + 2R, ...
    From position N on they are repetitions.
    """
    if not isinstance(sampler, DistributedSampler):
        return None
    samples: Any = sampler.dataset
    return len(range(sampler.rank, len(samples), sampler.num_replicas))


def _found(name: str | int, outputs: Any, batch: Any) -> Tensor:
    places: Sequence[Any] = (batch,) if isinstance(name, int) else (outputs, batch)
    for place in places:
        if isinstance(place, Mapping):
            value = place.get(name)
        elif isinstance(name, int):
            value = place[name] if name < len(place) else None
        else:
            value = getattr(place, name, None)
        if isinstance(value, Tensor):
            return value
    raise InputError(
        f"GroupMetrics finds no tensor {name!r} in what the step returns "
        f"({type(outputs).__name__}) or in the batch ({type(batch).__name__}): return a dictionary "
        "with preds, target and groups from the step, or say by names= where they are"
    )
