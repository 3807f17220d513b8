"""A memory of samples, and losses over joined batches, in each of two processes."""

import torch
from torch import Tensor, nn

from debias.losses.flac import flac_loss
from debias.losses.sample_memory import RelativeDifficulty
from debias.losses.soft_groups import discovered_weights, discovery_loss, soft_groups

SAMPLES, CLASSES = 12, 3
#: Of each batch of eight, rank 0 holds five samples and rank 1 three.
SHARDS = (slice(0, 5), slice(5, 8))
FOURTHS = (slice(0, 1), slice(1, 4), slice(4, 6), slice(6, 8))


def steps(count: int, size: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Losses of two networks, rows and classes of each batch; rows occur again, in both ranks."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        index = torch.randint(SAMPLES, (size,), generator=generator)
        losses = torch.rand(2, size, generator=generator)
        found.append((losses[0], losses[1], index, index % CLASSES))
    return found


def weights(part: slice) -> dict[str, Tensor]:
    """Weights of every batch, and the memory after the last."""
    difficulty = RelativeDifficulty(SAMPLES, CLASSES)
    given = [difficulty(*(column[part] for column in batch)) for batch in steps(6, 8)]
    return {"weights": torch.stack(given), **difficulty.state_dict()}


def gradients(part: slice) -> dict[str, Tensor]:
    """Losses over a joined batch, and their gradients to a weight that every process has."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(8, 4, generator=generator, dtype=torch.float64)[part]
    bias = torch.randn(8, 2, generator=generator, dtype=torch.float64)[part]
    target, probability = torch.tensor([0, 1, 1, 0, 2, 0, 1, 2])[part], bias[:, 0].sigmoid()
    layer = nn.Linear(4, 3, dtype=torch.float64)
    nn.init.constant_(layer.bias, 0.1)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12, dtype=torch.float64).view(3, 4) / 10 - 0.5)
    features = layer(rows)
    groups = soft_groups(probability, features[:, 0].sigmoid(), target, CLASSES)
    found = {"weighted": discovered_weights(groups, features[:, 0].sigmoid(), target)}
    for name, loss in (
        ("flac", flac_loss(features, bias, target)),
        ("discovery", discovery_loss(groups, balance=0.5)),
    ):
        (gradient,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
        found |= {name: loss.detach(), f"{name}/gradient": gradient}
    return found


def on_four(rank: int) -> dict[str, Tensor]:
    return weights(FOURTHS[rank])


def on_rank(rank: int) -> dict[str, Tensor]:
    return weights(SHARDS[rank]) | gradients(SHARDS[rank])
