"""Ensembles of prototypes against a plain loop from the paper's formulas."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.linear import Rows, worst_group_accuracies
from debias.heads.orders import balanced_subsample
from debias.heads.prototypes import (
    FittedPrototypes,
    PrototypeDescent,
    epoch_batches,
    fit_prototypes,
)
from tests.fakes import seeded
from tests.heads.spurious_rows import SIZE, spurious_rows

ROWS = spurious_rows(90, aligned=0.8, seed=0)
ROWS = ROWS._replace(features=ROWS.features.double())
HELD_OUT = spurious_rows(60, aligned=0.5, seed=1)
HELD_OUT = HELD_OUT._replace(features=HELD_OUT.features.double())
SETTINGS = {"classes": 2, "members": 2, "epochs": 3, "batch_size": 8}


def fitted(rows: Rows = ROWS, seed: int = 0, **options: Any) -> FittedPrototypes:
    return fit_prototypes(rows, seeded(seed), **{**SETTINGS, **options})


def by_hand(descent: dict[str, Tensor], generator: torch.Generator, ensemble: int) -> list[Any]:
    """Two members by autograd: standardised features, distances by subtraction, torch's SGD."""
    rate, scale, norm_penalty, diversity = (
        float(descent[name][ensemble])
        for name in ("learning_rate", "entropic_scale", "norm_penalty", "diversity")
    )
    z, members = ROWS.features, []
    z = (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)
    for t in (1, 2):
        drawn = balanced_subsample(ROWS.group, generator)
        start = 0.01 * torch.randn(2, 2, SIZE, generator=generator, dtype=torch.float64)[ensemble]
        p, s = start.requires_grad_(), torch.ones((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([p, s], lr=rate, momentum=0.9)
        for _ in range(3):
            for batch in epoch_batches(len(drawn), 8, generator):
                one = drawn[batch]
                gaps = F.normalize(z[one])[:, None] - F.normalize(p)
                logits = -s.abs() * gaps.norm(dim=2)
                loss = F.cross_entropy(scale * logits, ROWS.target[one])
                loss = loss + norm_penalty * p.square().sum(1).mean()
                products = sum((p * other).sum(1) for other, _ in members) / (t * (SIZE - 1))
                loss = loss + diversity * torch.as_tensor(products).mean().abs()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        members.append((p.detach(), s.detach()))
    return members


def test_members_follow_the_papers_objective_in_turn() -> None:
    """Two ensembles at once, with settings of their own, each as a loop of its own."""
    settings = {
        "learning_rate": torch.tensor([0.01, 0.02], dtype=torch.float64),
        "entropic_scale": torch.tensor([7.0, 20.0], dtype=torch.float64),
        "norm_penalty": torch.tensor([3.0, 0.0]),
        "diversity": torch.tensor([0.0, 300.0]),
    }
    found = fitted(descent=PrototypeDescent(**settings))
    for ensemble in (0, 1):
        members = by_hand(settings, seeded(), ensemble)
        for t, (prototypes, scale) in enumerate(members):
            torch.testing.assert_close(
                found.prototypes[ensemble, t], prototypes, atol=1e-12, rtol=0
            )
            torch.testing.assert_close(found.scales[ensemble, t], scale, atol=1e-12, rtol=0)
    assert found.epochs.tolist() == [[3, 3], [3, 3]]
    assert bool(found.scores.isnan().all())
    assert torch.equal(found.head(1).prototypes, found.prototypes[1])


def test_each_member_keeps_the_latest_of_its_best_epochs() -> None:
    """Without held-out rows, a shorter run ends with the prototypes after that epoch."""
    found = fitted(members=1, epochs=12, held_out=HELD_OUT)
    after = [fitted(members=1, epochs=last) for last in range(1, 13)]
    predictions = torch.cat([one.head(0)(HELD_OUT.features).argmax(1)[None] for one in after])
    scores = worst_group_accuracies(predictions, HELD_OUT.target, HELD_OUT.group)
    best = int((scores == scores.max()).nonzero().max())
    assert 0 < best < 11
    assert found.epochs.tolist() == [[best + 1]]
    assert found.scores[0, 0] == scores[best]
    assert torch.equal(found.prototypes, after[best].prototypes)
    assert torch.equal(found.scales, after[best].scales)


def test_rows_without_a_label_are_never_drawn() -> None:
    unlabelled = ROWS._replace(group=torch.where(torch.arange(90) < 60, ROWS.group, -1))
    features = ROWS.features.clone()
    features[60:] = 1e6 * torch.arange(30 * SIZE, dtype=torch.float64).view(30, SIZE).sin()
    one, other = (
        fitted(unlabelled._replace(features=each), epochs=1) for each in (ROWS.features, features)
    )
    assert torch.equal(one.prototypes, other.prototypes)


def test_an_epoch_drops_the_incomplete_batch() -> None:
    def sizes(rows: int) -> Tensor:
        return epoch_batches(rows, 8, seeded())

    assert sizes(21).shape == (2, 8)
    assert sizes(5).shape == (1, 5)
    assert len(sizes(21).unique()) == 16


@pytest.mark.parametrize(
    ("setting", "value"),
    [("learning_rate", 0.0), ("momentum", 1.0), ("entropic_scale", 0.0), ("diversity", -1.0)],
)
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        PrototypeDescent(**{setting: value})
