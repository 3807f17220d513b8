"""Compares the training of projection heads, and what is kept of them, with the authors' model."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.classifier import Classifier
from debias.models.projection import Projection
from debias.strategies.erm import ERM
from parity_checks.cases import apart, bare
from parity_checks.games import Normalised, batches, descent, play, states_apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY = "jiayini1119/projection-head-experiments"
#: The last commit whose plain head is an MLP. Then its lines are commented out, for the weights.
WITH_MLP = "6ccbfa2bf80bb47694240c4f9d8fb26239de6be9"
SPACE = {"seed_randomness": lambda **_: None, "random": random}
FEATURES = "and features that the refit of the last layer reads"


class Labelled(list[tuple[Tensor, ...]]):
    """Batches with groups, in place of their loader and their wrapper of a data set."""


def mlp(clones: Clones) -> Iterator[Row]:
    before = clones.at(REPOSITORY, WITH_MLP)
    code = before.take(REPOSITORY, "models/spuco_model.py", "SpuCoModel", space=SPACE)
    compared = f"features, an MLP and last layer after 12 steps of ERM, {FEATURES}"

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        model = _ours(Projection(projection="mlp"))
        theirs = code["SpuCoModel"](deepcopy(model.backbone), 5, 3, hidden_dim=5)
        theirs.projection_head.load_state_dict(model.head.projection.state_dict())
        gap = _played(before, theirs, model, seed)
        return max(gap, states_apart([theirs.projection_head], [model.head.projection]))

    yield code.row("projection", compared, map(case, range(4)), bar=1e-10)


def reweight(clones: Clones) -> Iterator[Row]:
    names = ("ReweightProjectionHead", "SpuCoModel")
    code = clones.take(REPOSITORY, "models/spuco_model.py", *names, space=SPACE)
    compared = f"features and last layer after 12 steps of ERM, {FEATURES}; kappa of 1 to 9"

    def case(seed: int) -> float:
        torch.manual_seed(seed)
        kappa = (1.0, 1.05, 2.0, 9.0)[seed]
        model = _ours(Projection(projection="reweight", kappa=kappa))
        theirs = code["SpuCoModel"](deepcopy(model.backbone), 5, 3, kappa=kappa, hidden_dim=5)
        return _played(clones, theirs, model, seed)

    yield code.row("projection", compared, map(case, range(4)), bar=1e-10)


def _ours(projection: Projection) -> Any:
    """A classifier of ten inputs and five features after batch normalisation, with a projection."""
    network = Normalised()
    return projection.on(Classifier(nn.Sequential(network.body, network.head), head="1"))


def _played(clones: Clones, theirs: Any, model: Any, seed: int) -> float:
    """Train both, and compare networks, last layers, and features in evaluation mode."""
    theirs.classifier, given = deepcopy(model.head.linear), batches(seed)
    optimizer = descent([p for p in theirs.parameters() if p.requires_grad])
    for batch in given:
        optimizer.zero_grad()
        F.cross_entropy(theirs(batch.image), batch.target).backward()
        optimizer.step()
    play(model, ERM(), given)
    gap = states_apart([theirs.backbone, theirs.classifier], [model.backbone, model.head.linear])
    read = Labelled((batch.image, batch.target, batch.bias) for batch in given)
    features, *_ = _refit(clones, theirs).encode_dataset(read)
    model.eval()
    return max(gap, apart(features, torch.cat([model(image).features for image, *_ in read])))


def _refit(clones: Clones, model: Any) -> Any:
    """Their DFR of the features before the projection, which is its default."""
    space = {"DFR": object, "GroupLabeledDatasetWrapper": Labelled, "SpuCoModel": None}
    space["DataLoader"] = lambda dataset, **_: dataset
    code: Piece = clones.take(REPOSITORY, "dfr.py", "DFR_PH", space=SPACE | space)
    return bare(code["DFR_PH"], {"model": model, "device": "cpu", "use_ph": False})
