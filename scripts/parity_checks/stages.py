"""Compares what recipes infer between their training stages with the authors' code."""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum
from types import SimpleNamespace
from typing import Any

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from torch import Tensor, optim

from debias.data.balance import cluster_balanced
from debias.group_inference.attended import attended
from debias.group_inference.clusters import class_clusters
from debias.group_inference.decomposition import most_attended
from debias.group_inference.environments import environment_weights
from debias.losses.supervised_contrastive import (
    across_biases,
    cosine_similarities,
    supervised_contrastive_losses,
)
from parity_checks.cases import Replaced, apart, both, draws, labelled
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

SPUCO = "BigML-CS-UCLA/SpuCo"
PARTED = "convert_labels_to_partition"
STEPS = (10, 60, 300)


def eiil(clones: Clones) -> Iterator[Row]:
    code, port = _eiil(clones)

    def authors(seed: int) -> float:
        logits, y, ours = _environments(seed, classes=2)
        one = {"images": logits[:, 1:] - logits[:, :1], "labels": y.double()[:, None]}
        one |= {"rows": torch.arange(len(y))}
        options = {"n_steps": STEPS[seed], "lr": 0.01, "join": False}
        first, _ = code["split_data_opt"](one, lambda x: x, **options)
        return apart(torch.zeros(len(y)).index_fill(0, first["rows"], 1.0), ours)

    def ported(seed: int) -> float:
        logits, y, ours = _environments(seed, classes=3)
        rows = port["EIIL"](logits, y.tolist(), STEPS[seed], 0.01).infer_groups()[0, 1]
        return apart(torch.zeros(len(y)).index_fill(0, torch.tensor(rows), 1.0), ours)

    steps = ", ".join(map(str, STEPS))
    compared = f"environments of 600 samples after {steps} steps from the same start"
    found, again = map(authors, range(3)), map(ported, range(3))
    yield code.row("eiil", f"{compared}; one logit there, two here", found, bar=0.0)
    yield port.row("eiil", f"{compared}; 3 classes", again, bar=0.0)


def _eiil(clones: Clones) -> tuple[Piece, Piece]:
    """The inference of the authors and of SpuCo; both start at the same values as ours."""
    bar = SimpleNamespace(set_description=lambda _: None)
    space = {
        "torch": Replaced(torch, {"randn": lambda count: torch.randn(count, generator=draws(9))}),
        "optim": optim,
        "random": random,
        "BaseGroupInference": object,
        "seed_randomness": lambda **_: None,
        "tqdm": lambda rows=None, **_: nullcontext(bar) if rows is None else rows,
    }
    path, names = "opt_env/utils/opt_utils.py", ("nll", "split_data_opt")
    port = clones.take(SPUCO, "src/spuco/group_inference/eiil.py", "EIIL", space=space)
    return clones.take("ecreager/eiil", path, *names, space=space), port


def _environments(seed: int, *, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    logits, target = labelled(seed + 1, samples=600, classes=classes)
    found = environment_weights(logits, target, draws(9), steps=STEPS[seed], learning_rate=0.01)
    return logits, target, (found > 0.5).double()


def cnc(clones: Clones) -> Iterator[Row]:
    code = clones.take(
        "HazyResearch/correct-n-contrast", "contrastive_network.py", "SupervisedContrastiveLoss"
    )

    def case(seed: int) -> float:
        positives, negatives, temperature = ((5, 4, 0.1), (6, 6, 0.1), (17, 17, 0.05))[seed]
        args = SimpleNamespace(
            temperature=temperature, num_positive=positives, num_negative=negatives, arch="x",
            hard_negative_factor=0, device="cpu",
        )  # fmt: skip
        y = torch.tensor([0] * (1 + positives) + [1] * negatives)
        b = torch.tensor([0] + [1] * positives + [0] * negatives)
        positive, negative = across_biases(y, b), (y[:, None] != y) & (b[:, None] == b)
        theirs = code["SupervisedContrastiveLoss"](args)

        def anchor(f: Tensor) -> Tensor:
            compared = torch.where(positive | negative, cosine_similarities(f), -torch.inf)
            return supervised_contrastive_losses(compared, positive, temperature=temperature)[0]

        features = torch.randn(len(y), 8, generator=draws(seed))
        return both(lambda f: theirs(lambda x: x, f), anchor, features)

    yield code.row(
        "correct_n_contrast", "loss of one anchor: value, gradient", map(case, range(3)), bar=1e-12
    )


def spare(clones: Clones) -> Iterator[Row]:
    seeds: list[int] = []
    parted, code = _spuco(clones, seeds)
    weigh = clones.lines(SPUCO, "src/spuco/robust_train/spare_train.py", 60, 75)

    def case(seed: int) -> tuple[float, float]:
        seeds.append(seed)
        generator, y = draws(seed), torch.arange(200) % 2
        kind = torch.randint(3, (200,), generator=generator)
        noise = (0.1, 1.0, 2.5)[seed] * torch.randn(200, 2, generator=generator)
        outputs = torch.stack([4 * y + (3 - 1.8 * y) * kind, -2 * kind], 1) + noise
        theirs = code["SpareInference"](outputs, class_labels=y.tolist(), max_clusters=5)
        parts, ours = theirs.infer_groups(), class_clusters(outputs, y, seed=seed)
        powers_apart = apart(theirs.sampling_powers, ours.powers())
        gap = max(apart(_by_size(parts, y), ours.inferred), powers_apart)
        rows = [row for part in parts.values() for row in part]
        trainer = SimpleNamespace(group_partition=parts, base_indices=rows)
        given = {"self": trainer, "trainset": SimpleNamespace(labels=y.tolist())}
        given |= {"sampling_powers": ours.powers(), PARTED: parted[PARTED]}
        weigh.run(given)
        weights = torch.tensor(trainer.sampling_weights)
        drawn = torch.zeros(200).index_copy(0, torch.tensor(rows), weights)
        order: Any = cluster_balanced(y, ours.inferred, powers=ours.powers())
        return gap, apart(drawn / drawn.sum(), order.weights / order.weights.sum())

    clusters, weights = zip(*(case(seed) for seed in range(3)), strict=True)
    yield code.row("spare", "clusters, largest first, and powers", clusters, bar=0.0)
    yield weigh.row("spare", "sampling weights", weights, bar=1e-12)


def _spuco(clones: Clones, seeds: list[int]) -> tuple[Piece, Piece]:
    """SpuCo's function that splits rows by label, and its inference of SPARE.

    k-means starts from the last of ``seeds``.
    """
    folder = "src/spuco/group_inference/"
    parted = clones.take(SPUCO, "src/spuco/utils/misc.py", PARTED)
    above = {"ABC": object, "abstractmethod": lambda method: method}
    base = clones.take(SPUCO, f"{folder}base_group_inference.py", "BaseGroupInference", space=above)
    space = {
        "BaseGroupInference": base["BaseGroupInference"],
        "Enum": Enum,
        "KMeans": KMeans,
        PARTED: parted[PARTED],
        "get_seed": lambda: seeds[-1],
        "random": random,
        "seed_randomness": lambda **_: None,
        "silhouette_score": silhouette_score,
        "tqdm": lambda rows, **_: rows,
    }
    cluster = clones.take(SPUCO, f"{folder}cluster.py", "ClusterAlg", "Cluster", space=space)
    return parted, clones.take(
        SPUCO, f"{folder}spare_inference.py", "SpareInference", space=dict(cluster.space)
    )


def _by_size(parts: dict[tuple[int, int], list[int]], target: Tensor) -> Tensor:
    """Cluster of each sample within its class; the largest cluster has the number 0."""
    named = torch.zeros_like(target)
    for one in {key[0] for key in parts}:
        clusters = sorted(
            (part for key, part in parts.items() if key[0] == one), key=len, reverse=True
        )
        for number, part in enumerate(clusters):
            named[torch.tensor(part)] = number
    return named


def masks(clones: Clones) -> Iterator[Row]:
    rule = clones.take(
        "aliasgharkhani/Masktune", "src/utils/masking.py", "mask_heatmap_using_threshold"
    )
    code = clones.take(
        "fhn98/DaC", "adaptive_mask.py", "get_quantile_masks", "mask_heatmap_using_threshold"
    )
    quantiles = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]

    def tuned(seed: int) -> float:
        maps = (torch.randn(6, 20, 20, generator=draws(seed)) + (0, 0.8, 3)[seed]).clamp(min=0)
        hidden = rule["mask_heatmap_using_threshold"](maps.numpy())[..., 0] == 0
        return apart(hidden, attended(maps))

    def kept(seed: int) -> float:
        maps = 0.01 + torch.rand(6, 32, 32, generator=draws(seed))
        theirs = code["get_quantile_masks"](maps.numpy(), quantiles)
        return max(
            _share_apart(m[:, 0], most_attended(maps, q))
            for q, m in zip(quantiles, theirs, strict=True)
        )

    yield rule.row("masktune", "hidden places of 18 maps", map(tuned, range(3)), bar=0.0)
    compared = "share of places kept by one of the two; positive maps of 1,024 places, 6 quantiles"
    because = "one place: their bound is interpolated"
    yield code.row("dac", compared, map(kept, range(3)), bar=1 / 1024, because=because)


def _share_apart(theirs: Any, ours: Tensor) -> float:
    return float((torch.as_tensor(theirs) != ours).double().mean())
