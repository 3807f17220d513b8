"""Amplification over columns of indicators as metrics, under any order or sharding."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.amplification.counts import CoOccurrence, CoOccurrences, count_indicators
from debias.metrics.amplification.report import amplification_scalars, set_scalars
from debias.metrics.amplification.sets import set_co_occurrence
from debias.metrics.exact_metric import ExactMetric


class IndicatorAmplification(ExactMetric):
    """Amplification over any number of tasks and attributes, each a column of 0 and 1.

    Args:
        tasks: number T of task columns.
        attributes: number A of attribute columns; one per value for exclusive values (``one_hot``).
            A single column looks at the samples that have the attribute only, which is another
            number.
        train: counts of the training labels (``co_occurrence``); without them the labels of the
            evaluation set serve.
        attribute_predictions: whether ``update`` is also given predicted attributes.

    Raises:
        ValueError: ``train`` has other numbers of tasks or attributes.
    """

    higher_is_better = False

    both: Tensor
    task: Tensor
    attribute: Tensor
    samples: Tensor
    outside: Tensor

    def __init__(
        self,
        tasks: int,
        attributes: int,
        *,
        train: CoOccurrence | None = None,
        attribute_predictions: bool = False,
    ) -> None:
        super().__init__()
        if train is not None and train.both.shape != (tasks, attributes):
            raise InputError(
                f"train counts {tuple(train.both.shape)} tasks and attributes, but these are "
                f"{(tasks, attributes)}"
            )
        self.tasks, self.attributes = tasks, attributes
        self.train_counts = (
            None if train is None else CoOccurrence(*(count.cpu() for count in train))
        )
        self.attribute_predictions = attribute_predictions
        # true and predicted task with the true attribute, then with the predicted one: the fields
        # of CoOccurrences
        pairs = 4 if attribute_predictions else 2
        shapes = {
            "both": (tasks, attributes),
            "task": (tasks,),
            "attribute": (attributes,),
            "samples": (),
        }
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(pairs, *shape, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("outside", torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self,
        prediction: Tensor,
        target: Tensor,
        attribute: Tensor,
        predicted_attribute: Tensor | None = None,
    ) -> None:
        """Add one batch; does not wait for the device.

        Args:
            prediction, target: ``(N, T)`` integer 0/1.
            attribute: ``(N, A)`` integer 0/1; a row with a -1, for unknown, counts nowhere.
            predicted_attribute: ``(N, A)`` integer 0/1, if the metric was made for it.

        Raises:
            ValueError: a shape or dtype is wrong, or ``predicted_attribute`` is missing or not
                expected. Another value than these is reported by ``compute``, on all processes.
        """
        if (predicted_attribute is not None) != self.attribute_predictions:
            raise InputError(
                "predicted_attribute is "
                f"{'missing' if self.attribute_predictions else 'not expected'}: this metric was "
                f"made with attribute_predictions={self.attribute_predictions}"
            )
        tasks, attributes = [target, prediction], [attribute]
        if predicted_attribute is not None:
            attributes.append(
                torch.where((attribute == -1).any(dim=1, keepdim=True), -1, predicted_attribute)
            )
        self._check(tasks, attributes)
        parts = [self._count(task, column) for column in attributes for task in tasks]
        self.both, self.task, self.attribute, self.samples = (
            held + torch.stack(added)
            for held, added in zip(self._states(), zip(*parts, strict=True), strict=True)
        )
        self.outside = self.outside + sum(((value < 0) | (value > 1)).sum() for value in tasks)
        self.outside = self.outside + sum(
            ((value < -1) | (value > 1)).sum() for value in attributes
        )

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``amplification_scalars`` defines them.

        Raises:
            ValueError: a value was out of range.
        """
        return amplification_scalars(self._counts(), self.train_counts)

    def _count(self, task: Tensor, attribute: Tensor) -> CoOccurrence:
        return count_indicators(task, attribute)

    def _states(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.both, self.task, self.attribute, self.samples

    def _counts(self) -> CoOccurrences:
        if self.outside:
            raise InputError(
                f"{int(self.outside)} values are not 0 or 1 (or, for a true attribute, -1): see "
                "one_hot for a column of classes"
            )
        parts = zip(*(state.cpu() for state in self._states()), strict=True)
        return CoOccurrences(*(CoOccurrence(*part) for part in parts))

    def _check(self, tasks: list[Tensor], attributes: list[Tensor]) -> None:
        widths = {
            "target and prediction": (tasks, self.tasks),
            "attributes": (attributes, self.attributes),
        }
        for name, (matrices, width) in widths.items():
            for matrix in matrices:
                if matrix.shape != (len(tasks[0]), width) or matrix.is_floating_point():
                    raise InputError(
                        f"{name} must be (N, {width}) integers; got {matrix.dtype} of shape "
                        f"{tuple(matrix.shape)}"
                    )


class MultiAttributeAmplification(IndicatorAmplification):
    """Amplification over sets of labels that occur together, instead of single labels.

    Args:
        sets: ``(M, T)`` 0/1 label sets, ``label_sets`` of the training labels.
        attributes: number A of attribute columns, the groups.
        train: counts of the training labels (``set_co_occurrence``); without them those of the
            evaluation set serve.
        attribute_predictions: whether ``update`` is also given predicted attributes.
        more_than: sets are left out unless more than so many evaluation images have them.

    Raises:
        ValueError: ``train`` has other numbers of sets or attributes.
    """

    sets: Tensor

    def __init__(
        self,
        sets: Tensor,
        attributes: int,
        *,
        train: CoOccurrence | None = None,
        attribute_predictions: bool = False,
        more_than: int = 0,
    ) -> None:
        super().__init__(
            len(sets), attributes, train=train, attribute_predictions=attribute_predictions
        )
        self.register_buffer("sets", sets, persistent=False)
        self.tasks = sets.shape[1]
        self.more_than = more_than

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``set_scalars`` defines them.

        Raises:
            ValueError: a value was out of range.
        """
        return set_scalars(self._counts(), self.train_counts, more_than=self.more_than)

    def _count(self, task: Tensor, attribute: Tensor) -> CoOccurrence:
        return set_co_occurrence(task, attribute, self.sets)
