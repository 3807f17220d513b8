"""Losses on features, heads and environments, beside the authors' code."""

from __future__ import annotations

import abc
import inspect
import pprint
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor
from torch.nn import functional as F

from debias.losses import (
    HSIC,
    across_biases,
    cosine_similarities,
    demographic_parity_gap,
    disentangling_loss,
    entangling_loss,
    equal_opportunity_gap,
    equalized_odds_gap,
    flac_loss,
    median_distance,
    soft_positives,
    supervised_contrastive_losses,
)
from debias.strategies import DomainDiscriminative, DomainIndependent
from debias.types import Batch, Groups
from parity_checks.cases import Given, apart, bare, both, draws
from parity_checks.official import Clones
from parity_checks.rows import Row

HONG, WANG = "grayhong/bias-contrastive-learning", "princetonvisualai/DomainBiasMitigation"
TEN = Groups(tuple("abcdefghij"), ("colour", "grey"))


def _cells(
    seed: int, *, samples: int, classes: int = 3, biases: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Features, two of them equal in some cases, classes, and biases, of which some have one."""
    generator = draws(seed)
    features = torch.randn(samples, 8, generator=generator)
    features[1] = features[1 if seed % 3 else 0]
    target = torch.randint(classes, (samples,), generator=generator)
    return (
        features,
        target,
        torch.randint(biases if seed % 5 else 1, (samples,), generator=generator),
    )


def end(clones: Clones) -> Iterator[Row]:
    names = ("abs_orthogonal_blind", "abs_parallel", "abs_regu")
    code = clones.take("EIDOSLAB/entangling-disentangling-bias", "src/EnD.py", *names)

    def terms(features: Tensor, y: Tensor, b: Tensor) -> Any:
        return code["abs_regu"](
            SimpleNamespace(output=F.normalize(features, dim=1)), y, b, sum=False
        )

    def apart_term(seed: int) -> float:
        features, y, b = _cells(seed, samples=2 + seed)
        if not bool((b[:, None] == b).tril(-1).any()):
            return 0.0
        ours = lambda f: disentangling_loss(cosine_similarities(f), b, biases=3)  # noqa: E731
        return both(lambda f: terms(f, y, b)[0] + 0 * f.sum(), ours, features)

    def together_term(seed: int) -> float:
        features, y, b = _cells(seed, samples=8 + seed)
        lower = ((y[:, None] == y) & (b[:, None] < b)).tril(-1).sum()
        upper = ((y[:, None] == y) & (b[:, None] > b)).tril(-1).sum()

        def pooled(f: Tensor) -> Any:
            forth, back = terms(f, y, b)[1], terms(f.flip(0), y.flip(0), b.flip(0))[1]
            return (lower * forth + upper * back) / (lower + upper).clamp(min=1) + 0 * f.sum()

        return both(pooled, lambda f: entangling_loss(cosine_similarities(f), y, b), features)

    yield code.row(
        "end", "disentangling term: value, gradient", map(apart_term, range(30)), bar=1e-12
    )
    compared = (
        "entangling term, theirs over the batch and over it in reverse, as it drops half of the "
        "pairs"
    )
    yield code.row("end", compared, map(together_term, range(30)), bar=1e-12)


def bias_contrastive(clones: Clones) -> Iterator[Row]:
    code = clones.take(HONG, "debias/losses/bias_contrastive_uni.py", "DebiasSupConLossUni")
    path, names = (
        "debias/losses/bias_contrastive.py",
        ("DebiasSupConLoss", "UnsupBiasContrastiveLoss"),
    )
    soft = clones.take(HONG, path, *names, space={"cosine_similarity": cosine_similarity})

    def case(seed: int) -> float:
        features, y, b = _cells(seed, samples=24 + seed)
        positive = across_biases(y, b)
        return both(
            lambda f: code["DebiasSupConLossUni"]()(F.normalize(f, dim=1), y, b),
            lambda f: supervised_contrastive_losses(cosine_similarities(f), positive).mean(),
            features,
        )

    def softened(seed: int) -> float:
        features, y, _ = _cells(seed, samples=16)
        y[:3], y[3:6] = torch.arange(3), torch.arange(3)  # no class is alone
        seen = torch.rand(16, 5, generator=draws(seed))
        positive = soft_positives(y.repeat(2), seen.repeat(2, 1))

        def theirs(f: Tensor, g: Tensor) -> Any:
            views = torch.stack([F.normalize(f, dim=1), F.normalize(g, dim=1)], 1)
            return soft["UnsupBiasContrastiveLoss"]()(f[:, :3], y, views, y, seen)[1]

        def ours(f: Tensor, g: Tensor) -> Tensor:
            similarities = cosine_similarities(torch.cat([f, g]))
            return supervised_contrastive_losses(similarities, positive).mean()

        return both(theirs, ours, features, features.flip(1))

    because = "1e-9 in their logarithm"
    yield code.row(
        "bias_contrastive", "value, gradient", map(case, range(20)), bar=1e-5, because=because
    )
    compared = "value, gradient; two views, no class alone"
    yield soft.row(
        "soft_contrastive", compared, map(softened, range(20)), bar=1e-5, because=because
    )


def flac(clones: Clones) -> Iterator[Row]:
    code = clones.take("gsarridis/FLAC", "flac.py", "pairwise_distances", "flac_loss")

    def case(seed: int) -> float:
        features, y, b = _cells(seed, samples=2 + seed)
        exponent, generator = (0.5, 1.0, 2.0)[seed % 3], draws(seed + 100)
        seen = (
            F.one_hot(b, 3).double()
            if seed % 7 == 0
            else torch.randn(len(y), 5, generator=generator)
        )
        features, seen = F.normalize(features, dim=1), F.normalize(seen, dim=1)
        return both(
            lambda f: code["flac_loss"](seen, f, y, exponent) + 0 * f.sum(),
            lambda f: flac_loss(f, seen, y, exponent=exponent),
            features,
        )

    yield code.row(
        "flac",
        "value, gradient; N 2 to 41, unit vectors, no pair in some",
        map(case, range(40)),
        bar=1e-9,
    )


def hsic(clones: Clones) -> Iterator[Row]:
    code = clones.take("clovaai/rebias", "criterions/hsic.py", "HSIC", "RbfHSIC")
    sigma = clones.take("clovaai/rebias", "criterions/sigma_utils.py", "_l2_dist")

    def case(seed: int) -> float:
        x, estimator = _cells(seed, samples=4 + seed)[0], ("unbiased", "biased")[seed % 2]
        y = x[:, :3] + torch.randn(len(x), 3, generator=draws(seed))
        theirs, ours = code["RbfHSIC"](1.3, 0.7, algorithm=estimator), HSIC(estimator=estimator)
        return both(theirs, lambda a, b: ours(a, b, sigma_x=1.3, sigma_y=0.7), x, y)

    def median(seed: int) -> float:
        x = torch.randn(4 + seed, 5, generator=draws(seed))
        return apart(np.sqrt(np.median(sigma["_l2_dist"](x))), median_distance(x))

    yield code.row(
        "rebias",
        "HSIC, both estimators, RBF kernel: value, gradient",
        map(case, range(30)),
        bar=1e-12,
    )
    yield sigma.row("rebias", "median distance of a batch", map(median, range(8)), bar=1e-12)


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
    """Logits for ten classes in either of two domains, classes, and domains."""
    generator = draws(seed)
    target, bias = (
        torch.randint(size, (64,), generator=generator) for size in (10, 2 if seed % 4 else 1)
    )
    return 2 * torch.randn(64, 20, generator=generator), target, bias


def _by_class(logits: Tensor) -> Tensor:
    """Ours come class by class, theirs domain by domain."""
    return torch.stack([logits[:, :10], logits[:, 10:]], 2).flatten(1)


def _accuracy(logits: Tensor, target: Tensor, strategy: Any) -> float:
    said = strategy.classify(Given(_by_class(logits)), logits).logits.argmax(1)
    return float((said == target).double().mean()) * 100


def fair_regularised(clones: Clones) -> Iterator[Row]:
    rates = ("PositiveRate", "TruePositiveRate", "FalsePositiveRate")
    space: dict[str, Any] = {"abc": abc, "re": re, "inspect": inspect, "pprint": pprint}
    for path, names in (
        ("fairret/utils.py", ("safe_div",)),
        ("fairret/statistic/base.py", ("Statistic",)),
        ("fairret/statistic/linear_fractional.py", ("LinearFractionalStatistic", *rates)),
    ):
        code = clones.take("aida-ugent/fairret", path, *names, space=space)
        space = dict(code.space)

    def case(seed: int) -> float:
        generator, biases = draws(seed), 2 + seed % 2
        p, present = (
            torch.rand(64, 1, generator=generator),
            torch.randint(2, (64, 1), generator=generator),
        )
        b = torch.randint(biases, (64,), generator=generator)
        has, labels = F.one_hot(b, biases).double(), present.double()

        def gap(name: str, *given: Tensor) -> Any:
            return lambda q: (lambda rate: rate.max() - rate.min())(code[name]()(q, has, *given))

        positive, true, false = gap(rates[0]), gap(rates[1], labels), gap(rates[2], labels)
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
