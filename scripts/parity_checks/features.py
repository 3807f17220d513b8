"""Compares losses on features with the authors' code."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor
from torch.nn import functional as F

from debias.losses.entanglement import disentangling_loss, entangling_loss
from debias.losses.flac import flac_loss
from debias.losses.hsic import HSIC, median_distance
from debias.losses.supervised_contrastive import (
    across_biases,
    cosine_similarities,
    soft_positives,
    supervised_contrastive_losses,
)
from parity_checks.cases import apart, both, draws
from parity_checks.official import Clones
from parity_checks.rows import Row

HONG = "grayhong/bias-contrastive-learning"
LOGARITHM = "1e-9 in their logarithm"


def _cells(
    seed: int, *, samples: int, classes: int = 3, biases: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Features, classes and biases; some cases have two equal features, or only one bias."""
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
        hook = SimpleNamespace(output=F.normalize(features, dim=1))
        return code["abs_regu"](hook, y, b, sum=False)

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

    compared = "disentangling term: value, gradient"
    yield code.row("end", compared, map(apart_term, range(30)), bar=1e-12)
    compared = "entangling term, theirs over the batch and over it in reverse, as it drops half of "
    yield code.row("end", f"{compared}the pairs", map(together_term, range(30)), bar=1e-12)


def bias_contrastive(clones: Clones) -> Iterator[Row]:
    code = clones.take(HONG, "debias/losses/bias_contrastive_uni.py", "DebiasSupConLossUni")

    def case(seed: int) -> float:
        features, y, b = _cells(seed, samples=24 + seed)
        positive = across_biases(y, b)
        return both(
            lambda f: code["DebiasSupConLossUni"]()(F.normalize(f, dim=1), y, b),
            lambda f: supervised_contrastive_losses(cosine_similarities(f), positive).mean(),
            features,
        )

    gaps = map(case, range(20))
    yield code.row("bias_contrastive", "value, gradient", gaps, bar=1e-5, because=LOGARITHM)
    yield _soft_contrastive(clones)


def _soft_contrastive(clones: Clones) -> Row:
    path = "debias/losses/bias_contrastive.py"
    names = ("DebiasSupConLoss", "UnsupBiasContrastiveLoss")
    soft = clones.take(HONG, path, *names, space={"cosine_similarity": cosine_similarity})

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

    compared, gaps = "value, gradient; two views, no class alone", map(softened, range(20))
    return soft.row("soft_contrastive", compared, gaps, bar=1e-5, because=LOGARITHM)


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
