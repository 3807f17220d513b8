"""Sets handed to a metric in ways that must not matter: in other batches, orders, processes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

#: How the samples may lie on two processes; see ``Handed.shardings``.
SHARDINGS = ("alternating", "one_group_first", "one_idle", "sorted_halves")


def scalars_of(metric: Metric) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


class Handed:
    """Base of the cases: a metric, the samples of one evaluation set, and their known scalars.

    Attributes:
        name: of the case.
        make: a new metric.
        feed: hands a metric the samples of some rows.
        expected: scalars that are known, each to ``tolerance``.
        rounding: by how much the way of handing over may change a scalar: nothing, where the state
            is integers.
    """

    name: str
    make: Callable[[], Metric]
    feed: Callable[[Metric, Tensor], None]
    expected: Mapping[str, float]
    tolerance: float
    rounding: float = 0.0

    def parts(self) -> Tensor:
        """``(N,)`` the group of each sample, or what is like one; -1 where it has none."""
        raise NotImplementedError

    def fed(self, batches: Iterable[Tensor]) -> Metric:
        """A new metric that was handed these rows."""
        metric = self.make()
        for rows in batches:
            self.feed(metric, rows)
        return metric

    def scalars(self, batches: Iterable[Tensor]) -> dict[str, float]:
        return scalars_of(self.fed(batches))

    def whole(self) -> dict[str, float]:
        """The scalars after one update with everything."""
        return self.scalars([torch.arange(len(self.parts()))])

    def shuffled(self, seed: int) -> Tensor:
        """``(N,)`` an order that has nothing to do with the groups."""
        return torch.randperm(len(self.parts()), generator=torch.Generator().manual_seed(seed))

    def by_group(self) -> Tensor:
        """``(N,)`` an order in which every group is in one piece."""
        return self.parts().argsort(stable=True)

    def shardings(self) -> dict[str, list[list[Tensor]]]:
        """Name -> for each of two processes, the batches of rows that it sees."""
        parts = self.parts()
        every, first = torch.arange(len(parts)), parts == parts[parts >= 0].amin()
        return {
            "alternating": [list(every[0::2].split(7)), list(every[1::2].split(5))],
            "one_group_first": [[every[first]], list(every[~first].split(4))],
            "one_idle": [list(self.shuffled(1).split(9)), []],
            "sorted_halves": [list(part.split(6)) for part in self.by_group().chunk(2)],
        }

    def on_rank(self, name: str, rank: int) -> dict[str, dict[str, float]]:
        """What one of two processes finds, by a name of the case and the sharding."""
        return {
            f"{name}/{sharding}": self.scalars(ranks[rank])
            for sharding, ranks in self.shardings().items()
        }

    def assert_known(self, found: Mapping[str, float]) -> None:
        for key, expected in self.expected.items():
            assert found[key] == pytest.approx(expected, abs=self.tolerance, rel=0, nan_ok=True), (
                key
            )

    def assert_no_order_matters(self, size: int) -> None:
        """In batches of a size, in an order without groups and in one group after the other."""
        whole = self.whole()
        for order in (self.shuffled(size), self.by_group()):
            self._assert_same(self.scalars(order.split(size)), whole)

    def assert_two_ranks_agree(self, ranks: Sequence[Mapping[str, float]]) -> None:
        """Each of the processes found what is known, and the same as one process.

        Also where rank 0 saw one group, or rank 1 nothing at all.
        """
        whole = self.whole()
        for found in ranks:
            self.assert_known(found)
            self._assert_same(found, whole)

    def _assert_same(self, found: Mapping[str, float], whole: Mapping[str, float]) -> None:
        if self.rounding:
            assert found == pytest.approx(whole, abs=self.rounding, rel=0, nan_ok=True), self.name
        else:
            # not even the last bit may differ; in JSON, NaN equals itself
            assert json.dumps(found) == json.dumps(whole), self.name
