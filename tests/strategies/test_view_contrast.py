"""View contrast: its objective by its definition, its gradients, and the views that it needs."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.supervised_contrastive import view_contrastive_losses
from debias.strategies.view_contrast import ViewContrast
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


def strategy_of(**options) -> ViewContrast:
    torch.manual_seed(1)
    return ViewContrast(GROUPS, TinyClassifier(), **options)


def with_views(*, weight: torch.Tensor | None = None) -> Batch:
    """The batch, with copies in other colours."""
    generator = torch.Generator().manual_seed(1)
    given = BATCH._replace(weight=weight)
    colours = torch.randn(2, 8, 3, 1, 1, generator=generator)
    return given._replace(
        views=tuple(given._replace(image=given.image + colour) for colour in colours)
    )


@pytest.mark.parametrize("weight", [None, torch.linspace(0.5, 2, 8)])
def test_by_definition(weight):
    torch.manual_seed(0)
    model, batch = TinyClassifier(), with_views(weight=weight)
    strategy = strategy_of(contrast_weight=3.0, temperature=0.2, size=4)
    loss = strategy.loss(model, batch)
    outputs = [model(image) for image in (batch.image, *(view.image for view in batch.views))]
    losses = [F.cross_entropy(each.logits, batch.target, reduction="none") for each in outputs]
    task, first, second = (one.mul(1 if weight is None else weight).mean() for one in losses)
    first_linear, _, second_linear = strategy.projection
    embedded = [
        F.linear(
            F.linear(each.features, first_linear.weight, first_linear.bias).relu(),
            second_linear.weight,
            second_linear.bias,
        )
        for each in outputs[1:]
    ]
    contrast = view_contrastive_losses(*embedded, temperature=0.2).mean()
    torch.testing.assert_close(loss.total, task + (first + second) / 2 + 3 * contrast)
    expected = {
        "cross_entropy": task,
        "view_cross_entropy": (first + second) / 2,
        "contrast": contrast,
    }
    torch.testing.assert_close(loss.terms, {name: one.detach() for name, one in expected.items()})
    assert loss.weights == {"contrast": 3.0}
    assert not any(term.requires_grad for term in loss.terms.values())


def test_one_player_owns_the_model_and_the_projection():
    model, strategy = TinyClassifier(), strategy_of()
    (owned,) = strategy.players(model).values()
    assert {id(p) for p in owned} == {
        id(p) for each in (model, strategy) for p in each.parameters()
    }
    strategy.loss(model, with_views()).total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in owned)


def test_the_views_keep_targets_of_their_own():
    """A view whose target is another one has another loss; the image keeps its own."""
    model, batch, strategy = TinyClassifier(), with_views(), strategy_of()
    first, second = batch.views
    other = batch._replace(views=(first, second._replace(target=1 - second.target)))
    before, after = (strategy.loss(model, each).terms for each in (batch, other))
    assert before["cross_entropy"] == after["cross_entropy"]
    assert before["view_cross_entropy"] != after["view_cross_entropy"]


def test_training_tells_the_views_of_a_sample_from_others():
    """The contrast of the views falls far below that of a training without it."""
    contrasts = []
    for weight in (0.0, 3.0):
        torch.manual_seed(0)
        model, strategy = TinyClassifier(), strategy_of(contrast_weight=weight)
        optimizer = torch.optim.Adam(strategy.players(model)["model"], lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            loss = strategy.loss(model, with_views())
            loss.total.backward()
            optimizer.step()
        contrasts.append(loss.terms["contrast"].item())
    assert contrasts[1] < 0.8 * contrasts[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrast_weight": -1.0}, "contrast_weight must be at least 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"size": 0}, "size must be at least 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        strategy_of(**options)
    with pytest.raises(ValueError, match="ViewContrast needs 2 views of each batch; got 0"):
        strategy_of().loss(TinyClassifier(), BATCH)
