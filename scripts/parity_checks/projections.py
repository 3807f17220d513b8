"""Compares the training of a projection head that weights features with the authors' model."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch.nn import functional as F

from debias.models.projection import ProjectedHead, Reweight
from debias.strategies.erm import ERM
from parity_checks.cases import apart
from parity_checks.games import Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones
from parity_checks.rows import Row


def reweight(clones: Clones) -> Iterator[Row]:
    repository = "jiayini1119/projection-head-experiments"
    names = ("ReweightProjectionHead", "SpuCoModel")
    space = {"seed_randomness": lambda **_: None, "random": random}
    code = clones.take(repository, "models/spuco_model.py", *names, space=space)

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model: Any = Normalised()
        kappa, given = (1.0, 1.05, 2.0, 9.0)[seed], batches(seed)
        theirs = code["SpuCoModel"](deepcopy(model.body), 5, 3, kappa=kappa, hidden_dim=5)
        theirs.classifier = deepcopy(model.head)
        optimizer = descent([p for p in theirs.parameters() if p.requires_grad])
        model.head = ProjectedHead(Reweight(5, kappa), model.head)
        for batch in given:
            optimizer.zero_grad()
            F.cross_entropy(theirs(batch.image), batch.target).backward()
            optimizer.step()
        play(model, ERM(), given)
        gap = states_apart([theirs.backbone, theirs.classifier], [model.body, model.head.linear])
        image = given[0].image
        return max(gap, apart(theirs.get_representation(image), model(image).features))

    compared = "features and last layer after 12 steps of ERM; kappa of 1 to 9"
    yield code.row("projection", compared, map(case, range(4)), bar=1e-10)
