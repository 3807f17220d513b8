"""An attacker that tells how far it is, because fits on many images take minutes."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Generator, Tensor

from debias.metrics.leakage.attackers import LOGISTIC, Attacker, BiasRows
from debias.progress import LongWork


@contextmanager
def counted_attacks(title: str) -> Iterator[Attacker]:
    """The default attacker, whose fits are counted in lines if they take long."""
    with LongWork(title, 0, "attackers", bar=False) as work:

        def attack(
            train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
        ) -> Tensor:
            """Learn from some rows and predict others, as the default attacker does."""
            predicted = LOGISTIC(train, validation, features, generator)
            work.add()
            return predicted

        yield attack
