"""Compares heads per domain, and rates per group, with the authors' code."""

import abc
import inspect
import pprint
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.fairness_gaps import (
    demographic_parity_gap,
    equal_opportunity_gap,
    equalized_odds_gap,
)
from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.types import Batch, Groups
from parity_checks.cases import Given, apart, bare, both, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

WANG = "princetonvisualai/DomainBiasMitigation"
TEN = Groups(tuple("abcdefghij"), ("colour", "grey"))
RATES = ("PositiveRate", "TruePositiveRate", "FalsePositiveRate")


def domain_independent(clones: Clones) -> Iterator[Row]:
    path, name = "models/cifar_domain_independent.py", "CifarDomainIndependent"
    code = clones.take(WANG, path, name, space={"CifarModel": object})
    official, ours = bare(code[name], {}), DomainIndependent(TEN)

    def case(seed: int) -> float:
        logits, y, b = _two_domains(seed)
        loss = lambda z: ours.loss(Given(_by_class(z)), Batch(z, y, b, y)).total  # noqa: E731
        gap = both(lambda z: official._criterion(z, b * 10 + y), loss, logits)
        return max(
            gap, apart(official.compute_accuracy_sum_out(logits, y), _accuracy(logits, y, ours))
        )

    yield code.row(
        "domain_independent", "value, gradient, accuracy", map(case, range(20)), bar=1e-12
    )


def domain_discriminative(clones: Clones) -> Iterator[Row]:
    path, name = "models/cifar_domain_discriminative.py", "CifarDomainDiscriminative"
    code = clones.take(WANG, path, name, space={"CifarModel": object})
    counts = torch.tensor([[5, 95], [95, 5]]).repeat(5, 1)
    official = bare(code[name], {"prior_shift_weight": (1 / counts).T.flatten().numpy()})
    frequencies = counts.flatten()
    ways = {
        "sum_prob_wo_prior_shift": DomainDiscriminative(TEN, frequencies),
        "sum_prob_w_prior_shift": DomainDiscriminative(TEN, frequencies, divide_by_prior=True),
        "max_prob_w_prior_shift": DomainDiscriminative(
            TEN, frequencies, inference="max", divide_by_prior=True
        ),
    }

    def case(seed: int) -> float:
        logits, y, _ = _two_domains(seed)
        theirs = [getattr(official, f"compute_accuracy_{way}")(logits, y) for way in ways]
        return apart(theirs, [_accuracy(logits, y, ours) for ours in ways.values()])

    compared = "accuracy: sum, sum with prior, maximum with prior"
    yield code.row("domain_discriminative", compared, map(case, range(20)), bar=1e-12)


def _two_domains(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of ten classes in each of two domains; classes; and domains."""
    generator = draws(seed)
    target, bias = (
        torch.randint(size, (64,), generator=generator) for size in (10, 2 if seed % 4 else 1)
    )
    return 2 * torch.randn(64, 20, generator=generator), target, bias


def _by_class(logits: Tensor) -> Tensor:
    """Reorder logits from theirs, sorted by domain, to ours, sorted by class."""
    return torch.stack([logits[:, :10], logits[:, 10:]], 2).flatten(1)


def _accuracy(logits: Tensor, target: Tensor, strategy: Any) -> float:
    predicted = strategy.classify(Given(_by_class(logits)), logits).logits.argmax(1)
    return float((predicted == target).double().mean()) * 100


def fair_regularised(clones: Clones) -> Iterator[Row]:
    code = _fairret(clones)

    def case(seed: int) -> float:
        generator, biases = draws(seed), 2 + seed % 2
        p = torch.rand(64, 1, generator=generator)
        present = torch.randint(2, (64, 1), generator=generator)
        b = torch.randint(biases, (64,), generator=generator)
        has, labels = F.one_hot(b, biases).double(), present.double()

        def gap(name: str, *given: Tensor) -> Any:
            return lambda q: (lambda rate: rate.max() - rate.min())(code[name]()(q, has, *given))

        positive, true, false = gap(RATES[0]), gap(RATES[1], labels), gap(RATES[2], labels)
        return max(
            both(positive, lambda q: demographic_parity_gap(q, b, biases=biases)[0], p),
            both(true, lambda q: equal_opportunity_gap(q, present, b, biases=biases)[0], p),
            both(
                lambda q: (true(q) + false(q)) / 2,
                lambda q: equalized_odds_gap(q, present, b, biases=biases)[0],
                p,
            ),
        )

    compared = (
        "largest less least of their rates (positive, true positive, mean with false positive): "
        "value, gradient"
    )
    yield code.row("fair_regularised", compared, map(case, range(20)), bar=1e-12)


def _fairret(clones: Clones) -> Piece:
    """The authors' definitions of the rates, with everything that they use."""
    space: dict[str, Any] = {"abc": abc, "re": re, "inspect": inspect, "pprint": pprint}
    for path, names in (
        ("fairret/utils.py", ("safe_div",)),
        ("fairret/statistic/base.py", ("Statistic",)),
        ("fairret/statistic/linear_fractional.py", ("LinearFractionalStatistic", *RATES)),
    ):
        code = clones.take("aida-ugent/fairret", path, *names, space=space)
        space = dict(code.space)
    return code
