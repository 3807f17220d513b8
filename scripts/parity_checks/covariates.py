"""Compares CatHarm's terms with the authors' loop over pairs, as a training of several steps."""

from argparse import Namespace
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from debias.strategies.equivariant import Equivariant
from debias.types import Attribute, Groups
from parity_checks.cases import draws
from parity_checks.games import Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

CATHARM = "SPChytas/CatHarm"
AGES = Attribute("age", ("young", "middle", "old", "oldest"))
SITES = Attribute("site", ("a", "b", "c"))


def equivariant(clones: Clones) -> Iterator[Row]:
    loop = clones.lines(CATHARM, "train_tabular.py", 234, 300)
    compared = (
        "network, head and all matrices after 12 steps of both terms and the cross-entropy of a "
        "head; one and two covariates of 4 and 3 values"
    )
    gaps = [_trained(loop, seed) for seed in range(4)]
    yield loop.row("equivariant", compared, gaps, bar=1e-10)


def _trained(loop: Piece, seed: int) -> float:
    """The difference after all steps."""
    torch.manual_seed(seed)
    groups = Groups.product(("x", "y", "z"), (AGES, SITES)[: 1 + seed % 2])
    model, weight = Normalised(), (1.0, 0.3)[seed // 2]
    ours = Equivariant(groups, model, morphism_weight=weight, deviation=0.4)
    generator, given = draws(seed), batches(seed)
    biases = torch.randint(groups.biases, (len(given), 16), generator=generator)
    given = [each._replace(bias=bias) for each, bias in zip(given, biases, strict=True)]
    network: Any = deepcopy(model)
    up, down = (
        [each.detach().clone().requires_grad_() for each in v] for v in (ours.up, ours.down)
    )
    args = Namespace(equivariant_variables=up, latent_dim=5, morph_loss_factor=weight)
    state: dict[str, Any] = {"args": args, "latent_dim": 5, "device": "cpu"}
    state |= {"up_matrices": up, "down_matrices": down, "loss_mse": nn.MSELoss()}
    state |= {"optimizer": descent([*network.parameters(), *up, *down])}
    state |= {f"total_{name}loss": 0.0 for name in ("", "recon_", "morph_", "inv_")}
    for batch in given:
        latent = network.body(batch.image)
        task = nn.functional.cross_entropy(network.head(latent), batch.target)
        read = {"X": batch.image, "latent": latent, "mdata": groups.decode(batch.bias)}
        loop.run(state | read | {"recon_loss": task})
    play(model, ours, given)
    theirs = nn.ParameterList([torch.stack(up), torch.stack(down)])
    return states_apart([network, theirs], [model, nn.ParameterList([ours.up, ours.down])])
