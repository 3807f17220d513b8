"""Consistency: its objective by its definition, its limits, and the views that it needs."""

import pytest
import torch
from torch.nn import functional as F

from debias.augment.augmentation import Unchanged
from debias.augment.mixing import Mixup
from debias.augment.random_convolution import RandomConvolution
from debias.losses.view_consistency import feature_distances, prediction_divergences
from debias.strategies.consistency import Consistency
from debias.strategies.erm import ERM
from debias.training.module import check_targets
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


def with_views(count: int) -> Batch:
    """The batch, with copies in other colours."""
    generator = torch.Generator().manual_seed(1)
    views = [
        BATCH._replace(image=BATCH.image + torch.randn(8, 3, 1, 1, generator=generator))
        for _ in range(count)
    ]
    return BATCH._replace(views=tuple(views))


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize(
    ("agree", "distances"),
    [("predictions", prediction_divergences), ("features", feature_distances)],
)
def test_by_definition(agree, distances, clean):
    model, batch = TinyClassifier(), with_views(2)
    images = [*([batch.image] if clean else []), *(view.image for view in batch.views)]
    outputs = [model(image) for image in images]
    seen = [each.logits if agree == "predictions" else each.features for each in outputs]
    distance = distances(torch.stack(seen)).mean()
    strategy = Consistency(GROUPS, strength=3.0, views=2, clean=clean, agree=agree)
    loss = strategy.loss(model, batch)
    task = F.cross_entropy(outputs[0].logits, batch.target)
    torch.testing.assert_close(loss.total, task + 3 * distance)
    torch.testing.assert_close(loss.terms["inconsistency"], distance.detach())
    assert loss.weights == {"inconsistency": 3.0}


def test_without_strength_it_is_erm_of_the_first_view():
    """Also in its sample weights, which are those of the batch."""
    model, weight = TinyClassifier(), torch.linspace(0.5, 2, 8)
    batch = with_views(2)._replace(weight=weight)
    loss = Consistency(GROUPS, strength=0.0, views=2, clean=True).loss(model, batch)
    torch.testing.assert_close(loss.total, ERM().loss(model, batch).total)


def test_equal_views_agree():
    batch = BATCH._replace(views=(BATCH, BATCH))
    strategy = Consistency(GROUPS, views=2)
    assert strategy.loss(TinyClassifier(), batch).terms["inconsistency"].item() < 1e-7


def test_training_makes_the_prediction_ignore_what_views_change():
    """Over 80 steps, the divergence of new views falls below a tenth of that of ERM."""
    divergences = []
    for strength in (0.0, 10.0):
        torch.manual_seed(0)
        model, strategy = TinyClassifier(), Consistency(GROUPS, strength=strength)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(80):
            torch.manual_seed(step)
            colour = [BATCH._replace(image=BATCH.image + torch.randn(8, 3, 1, 1)) for _ in "123"]
            optimizer.zero_grad()
            strategy.loss(model, BATCH._replace(views=tuple(colour))).total.backward()
            optimizer.step()
        loss = strategy.loss(model, with_views(3))
        divergences.append(loss.terms["inconsistency"].item())
    assert divergences[1] < 0.1 * divergences[0]


def test_refuses_batches_without_its_views():
    with pytest.raises(ValueError, match="Consistency needs 3 views of each batch; got 2"):
        Consistency(GROUPS).loss(TinyClassifier(), with_views(2))
    with pytest.raises(ValueError, match=r"needs 2 views .* got 0. Put augmented copies"):
        Consistency(GROUPS, views=2).loss(TinyClassifier(), BATCH)


class Inside(RandomConvolution):
    """An augmentation that says that it changes layers of the model."""

    changes_layers = True


def test_refuses_augmentations_that_change_no_image_or_the_class():
    for augment in (Unchanged(), Inside()):
        name = type(augment).__name__
        with pytest.raises(ValueError, match=f"Consistency reads .* and {name} changes no image"):
            check_targets(Consistency(GROUPS), augment)
    with pytest.raises(ValueError, match=r"one class per sample, and Mixup .*=random_convolution"):
        check_targets(Consistency(GROUPS), Mixup(GROUPS))
    check_targets(Consistency(GROUPS), RandomConvolution())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength must be at least 0 for Consistency; got -1"),
        ({"views": 1}, "views must be at least 2 for Consistency; got 1"),
        ({"views": 0, "clean": True}, "views must be at least 1 for Consistency; got 0"),
        ({"agree": "logits"}, "agree"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Consistency(GROUPS, **options)
