"""The groups of a run from its report. Imports torch, which reading a report does not need."""

from debias.reports.record import Data
from debias.types import Attribute, ContextPair, Groups


def groups_of(data: Data) -> Groups:
    """The groups of the data set of a run, as it was evaluated."""
    attributes = tuple(
        Attribute(one.name, tuple(one.values), _pairs(one.aligned)) for one in data.attributes
    )
    contexts = tuple(ContextPair(*pair) for pair in _pairs(data.contexts))
    names, biases = tuple(data.targets), tuple(data.biases)
    return Groups(names, biases, _pairs(data.aligned), data.multi_label, attributes, contexts)


def _pairs(pairs: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((first, second) for first, second in pairs)
