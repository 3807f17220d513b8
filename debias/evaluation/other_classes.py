"""The outputs of a classifier, read as the classes of another data set."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from debias.data.class_maps import WNIDS, ClassMap, readable
from debias.data.examples import Examples
from debias.errors import InputError, shown
from debias.metrics.shortcuts.cues import class_scores, map_classes
from debias.reports.predictions import Predictions
from debias.types import Groups

#: Name of the class of an image whose top class of ImageNet is no class of the data set.
NO_CLASS = "another class"


class ClassMatch(NamedTuple):
    """How the outputs of a classifier are read as the classes of a data set.

    Attributes:
        groups: the classes of the result, and the bias values of the data set.
        target: ``(targets,)`` int64 class of the result of each class of the data set.
        outputs: ``(1000,)`` int64 position of each class of ImageNet among the outputs, or ``None``
            if the outputs are the classes of the result.
        mapping: ``(1000,)`` int64 class of the result of each class of ImageNet; -1 is none.
        top: whether the class is that of the highest output. Otherwise it is the class with the
            highest mean probability.
    """

    groups: Groups
    target: Tensor
    outputs: Tensor | None = None
    mapping: Tensor | None = None
    top: bool = False

    @property
    def scored(self) -> bool:
        """Whether the result has a score of each class, and not only decisions."""
        return not self.top

    def predictions(self, examples: Examples, rows: Tensor, logits: Tensor) -> Predictions:
        """The predictions of rows of the data set, with their labels, in the result's classes."""
        target = examples.target[rows]
        return Predictions(
            rows,
            tuple(examples.images[row] for row in rows.tolist()),
            target if self.groups.multi_label else self.target[target],
            examples.bias[rows],
            self._scores(logits),
        )

    def _scores(self, logits: Tensor) -> Tensor:
        if self.outputs is None or self.mapping is None:
            return logits
        logits = logits[:, self.outputs]
        if not self.top:
            return class_scores(logits, self.mapping, classes=self.groups.rows).float()
        decided = map_classes(logits.argmax(dim=1), self.mapping)
        other = self.groups.rows - 1  # the class NO_CLASS, as a decision must be some class
        decided = torch.where(decided < 0, other, decided)
        return torch.full((len(logits), other + 1), -1.0).scatter_(1, decided[:, None], 1.0)


def match_classes(
    model: Groups, data: Groups, imagenet: ClassMap | None = None, *, top: bool = False
) -> ClassMatch:
    """Find how the outputs of a classifier are read as the classes of a data set.

    A classifier of ImageNet's thousand classes, named by their wnids, is read through ``imagenet``.
    Any other must have the classes of the data set among its own, by name.

    Args:
        model: the classes of the classifier.
        data: the classes and bias values of the data set.
        imagenet: the map of the data set, if it was made for classifiers of ImageNet.
        top: as in :class:`ClassMatch`.

    Raises:
        ValueError: a class of the data set is none of the classifier.
    """
    if imagenet is not None and sorted(model.target_names) == sorted(WNIDS):
        names, top = imagenet.classes, top and bool((imagenet.of_imagenet < 0).any())
        outputs = torch.tensor([model.target_names.index(wnid) for wnid in WNIDS])
        match = _match((*names, NO_CLASS) if top else names, data)
        return match._replace(outputs=outputs, mapping=imagenet.of_imagenet, top=top)
    if model.multi_label or data.multi_label:
        if (model.target_names, model.multi_label) != (data.target_names, data.multi_label):
            raise _refusal(data.target_names, model.target_names)
        return ClassMatch(data, torch.arange(data.rows))
    return _match(model.target_names, data)


def _match(names: tuple[str, ...], data: Groups) -> ClassMatch:
    """Number the classes of a data set as ``names``. Each of them must be one of these."""
    places = {name: place for place, name in enumerate(names)}
    if absent := [name for name in data.target_names if name not in places]:
        raise _refusal(absent, names)
    target = torch.tensor([places[name] for name in data.target_names])

    def numbered(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The pairs with the class numbers of the model."""
        return tuple((int(target[row]), value) for row, value in pairs)

    groups = replace(
        data,
        target_names=tuple(map(readable, names)),
        aligned=numbered(data.aligned),
        attributes=tuple(one._replace(aligned=numbered(one.aligned)) for one in data.attributes),
    )
    return ClassMatch(groups, target)


def _refusal(absent: tuple[str, ...] | list[str], names: tuple[str, ...]) -> InputError:
    return InputError(
        f"the model has no class {shown(list(absent))}; its classes are {shown(list(names))}: "
        "give a data set whose classes have the names of the model's"
    )
