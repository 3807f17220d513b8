"""Heads fitted together against plain loops of torch over one head at a time."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.heads.descent import Descent, contrasts, fit_heads
from debias.heads.linear import Heads, Rows, fresh_heads, worst_group_accuracies

HEADS, SAMPLES, SIZE = 4, 60, 7
GENERATOR = torch.Generator().manual_seed(0)
FEATURES = 2 * torch.randn(SAMPLES, SIZE, generator=GENERATOR, dtype=torch.float64) + 1
WEIGHTS = 3 * torch.rand(HEADS, SAMPLES, generator=GENERATOR, dtype=torch.float64)
ORDER = torch.randint(SAMPLES, (25, 8), generator=GENERATOR)
DESCENT = Descent(
    torch.tensor([0.3, 0.1, 0.05, 0.5]),
    momentum=torch.tensor([0.0, 0.9, 0.5, 0.0]),
    start_penalty=torch.tensor([0.2, 0.0, 0.01, 0.5]),
    clip=torch.tensor([0.1, math.inf, 1.0, 0.5]),
)


def targets(classes):
    return torch.randint(classes, (SAMPLES,), generator=torch.Generator().manual_seed(classes))


def start_heads(classes, count=HEADS, *, centred=False):
    heads = fresh_heads(
        count, classes=classes, size=SIZE, generator=torch.Generator().manual_seed(5)
    )
    weights, biases = heads.weights.double(), heads.biases.double()
    if centred:
        weights = weights - weights.mean(dim=1, keepdim=True)
        biases = biases - biases.mean(dim=1, keepdim=True)
    return Heads(weights, biases)


def at(setting, head):
    values = torch.as_tensor(setting, dtype=torch.float64).reshape(-1)
    return values[head % len(values)].item()


def loop(features, target, start, descent, batches, weights):
    """Each head alone: ``torch.optim.SGD`` by autograd, ``clip_grad_norm_`` before its step."""
    layers = []
    for head in range(len(weights)):
        layer = start.linear(head % len(start.weights)).to(features.dtype)
        first = [parameter.detach().clone() for parameter in layer.parameters()]
        optimizer = torch.optim.SGD(
            layer.parameters(),
            lr=at(descent.learning_rate, head),
            momentum=at(descent.momentum, head),
            weight_decay=0.0,
        )
        for rows in batches:
            losses = F.cross_entropy(layer(features[rows]), target[rows], reduction="none")
            pull = sum(
                (now - then).square().sum()
                for now, then in zip(layer.parameters(), first, strict=True)
            )
            size = sum(parameter.square().sum() for parameter in layer.parameters())
            optimizer.zero_grad()
            loss = (weights[head][rows] * losses).mean() + at(descent.start_penalty, head) * pull
            (loss + at(descent.weight_decay, head) / 2 * size).backward()
            nn.utils.clip_grad_norm_(layer.parameters(), at(descent.clip, head))
            optimizer.step()
        layers.append(layer)
    return Heads(
        torch.stack([layer.weight.detach() for layer in layers]),
        torch.stack([layer.bias.detach() for layer in layers]),
    )


def assert_same(found, expected, *, tolerance):
    torch.testing.assert_close(found.weights, expected.weights, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.biases, expected.biases, atol=tolerance, rtol=0)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_full_batch_equals_a_loop_in_float64(classes):
    """Every head with settings, weights and start of its own; some are clipped at every step."""
    target, start = targets(classes), start_heads(classes)
    expected = loop(FEATURES, target, start, DESCENT, [slice(None)] * 30, WEIGHTS)
    fitted = fit_heads(
        FEATURES, target, start, descent=DESCENT, batches=[None] * 30, sample_weights=WEIGHTS
    )
    assert_same(fitted.heads, expected, tolerance=1e-12)
    assert (expected.weights - start.weights).abs().amin(dim=(1, 2)).gt(0).all()
    assert fitted.steps.tolist() == [30] * HEADS
    assert fitted.scores.isnan().all()


@pytest.mark.parametrize("classes", [2, 3])
def test_minibatches_equal_a_loop_over_the_same_batches_in_float64(classes):
    """Weight decay in place of the pull; the starts are centred, see the test after the next."""
    target, start = targets(classes), start_heads(classes, centred=True)
    descent = Descent(
        DESCENT.learning_rate,
        momentum=0.9,
        weight_decay=torch.tensor([0.0, 0.1, 0.01, 1.0]),
        clip=2.0,
    )
    expected = loop(FEATURES, target, start, descent, ORDER, WEIGHTS)
    fitted = fit_heads(
        FEATURES, target, start, descent=descent, batches=ORDER, sample_weights=WEIGHTS
    )
    assert_same(fitted.heads, expected, tolerance=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_float32_equals_a_float32_loop_to_1e_5(classes):
    target = targets(classes)
    start = start_heads(classes)
    features = FEATURES.float()
    weights = WEIGHTS.float()
    start = Heads(*(tensor.float() for tensor in start))
    expected = loop(features, target, start, DESCENT, [slice(None)] * 100, weights)
    fitted = fit_heads(
        features, target, start, descent=DESCENT, batches=[None] * 100, sample_weights=weights
    )
    assert fitted.heads.weights.dtype == torch.float32
    assert_same(fitted.heads, expected, tolerance=1e-5)


def test_weight_decay_leaves_the_mean_over_the_classes():
    """What differs from the loop is the same for all classes; no difference of logits does."""
    target, start = targets(3), start_heads(3)
    descent = Descent(0.1, momentum=0.9, weight_decay=0.2)
    expected = loop(FEATURES, target, start, descent, ORDER, WEIGHTS)
    found = fit_heads(
        FEATURES, target, start, descent=descent, batches=ORDER, sample_weights=WEIGHTS
    ).heads
    torch.testing.assert_close(found.weights.mean(dim=1), start.weights.mean(dim=1))
    assert (expected.weights.mean(dim=1) - start.weights.mean(dim=1)).abs().amax() > 0.01
    centred = [
        Heads(*(value - value.mean(dim=1, keepdim=True) for value in heads))
        for heads in (found, expected)
    ]
    assert_same(centred[0], centred[1], tolerance=1e-12)


def test_one_step_by_hand():
    """From zeros p = 1/2, so dL/dw_1 = mean(w_i (1/2 - y_i) z_i): (2 * 1/2 * 3 - 1 * 1/2 * 4) / 2 =
    1/2, the bias (1 - 1/2) / 2 = 1/4. A learning rate of 2 moves class 1 by -1 and -1/2, and class
    0 by as much the other way."""
    start = Heads(torch.zeros(1, 2, 1), torch.zeros(1, 2))
    features, weights = torch.tensor([[3.0], [4.0]]), torch.tensor([2.0, 1.0])
    fitted = fit_heads(
        features,
        torch.tensor([0, 1]),
        start,
        descent=Descent(2.0),
        batches=[None],
        sample_weights=weights,
    )
    torch.testing.assert_close(fitted.heads.weights, torch.tensor([[[1.0], [-1.0]]]))
    torch.testing.assert_close(fitted.heads.biases, torch.tensor([[0.5, -0.5]]))


def test_it_comes_to_rest_where_the_gradient_of_the_penalised_loss_is_zero():
    target, start, penalty = targets(3), start_heads(3, 1), 0.3
    heads = fit_heads(
        FEATURES, target, start, descent=Descent(0.1, start_penalty=penalty), batches=[None] * 2000
    ).heads
    parameters = [value[0].clone().requires_grad_() for value in heads]
    loss = F.cross_entropy(FEATURES @ parameters[0].T + parameters[1], target)
    loss = loss + penalty * sum(
        (now - then[0]).square().sum() for now, then in zip(parameters, start, strict=True)
    )
    for gradient in torch.autograd.grad(loss, parameters):
        assert gradient.abs().amax() < 1e-12


def test_a_sample_of_weight_zero_does_not_exist():
    """Half of the rows at weight 2, the others at 0: the mean over that half alone."""
    target, start = targets(2), start_heads(2, 1)
    kept = torch.arange(SAMPLES) % 2 == 0
    features = torch.where(kept[:, None], FEATURES, 100 * FEATURES)
    options = {"descent": Descent(0.1), "batches": [None] * 20}
    found = fit_heads(features, target, start, **options, sample_weights=2.0 * kept)
    alone = fit_heads(FEATURES[kept], target[kept], start, **options)
    assert_same(found.heads, alone.heads, tolerance=1e-12)


def test_the_order_of_the_rows_does_not_matter():
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(3))
    target, start = targets(3), start_heads(3)
    found = fit_heads(
        FEATURES[order],
        target[order],
        start,
        descent=DESCENT,
        batches=[None] * 20,
        sample_weights=WEIGHTS[:, order],
    )
    expected = fit_heads(
        FEATURES, target, start, descent=DESCENT, batches=[None] * 20, sample_weights=WEIGHTS
    )
    assert_same(found.heads, expected.heads, tolerance=1e-12)


def test_inputs_stay_as_they_are():
    target, start = targets(2), start_heads(2)
    copies = [value.clone() for value in (FEATURES, target, WEIGHTS, *start)]
    fit_heads(FEATURES, target, start, descent=DESCENT, batches=ORDER, sample_weights=WEIGHTS)
    assert all(map(torch.equal, (FEATURES, target, WEIGHTS, *start), copies))


def test_autocast_is_off_inside():
    target, start = targets(2), start_heads(2, 1)
    options = {"descent": Descent(0.1), "batches": [None] * 5}
    expected = fit_heads(FEATURES.float(), target, start, **options).heads
    with torch.autocast("cpu", torch.bfloat16):
        found = fit_heads(FEATURES.float(), target, start, **options).heads
    assert torch.equal(found.weights, expected.weights)


def held_out_rows():
    generator = torch.Generator().manual_seed(11)
    features = 2 * torch.randn(40, SIZE, generator=generator, dtype=torch.float64) + 1
    return Rows(features, torch.randint(2, (40,), generator=generator), torch.arange(40) % 5 - 1)


@pytest.mark.parametrize("every", [1, 4])
def test_each_head_is_kept_from_its_best_step(every):
    """Against fits of every number of steps, each judged at its end: the earliest of the best that
    are looked at.
    """
    target, start, held_out = targets(2), start_heads(2), held_out_rows()

    def fitted(steps, judged=None):
        return fit_heads(
            FEATURES,
            target,
            start,
            descent=DESCENT,
            batches=[None] * steps,
            sample_weights=WEIGHTS,
            held_out=judged,
            every=every,
        )

    looked_at = sorted({*range(every, 31, every), 30})
    ends = {steps: fitted(steps).heads for steps in looked_at}
    scores = torch.stack(
        [
            worst_group_accuracies(
                heads.logits(held_out.features).argmax(dim=2), held_out.target, held_out.group
            )
            for heads in ends.values()
        ]
    )
    found = fitted(30, held_out)
    assert found.scores.tolist() == scores.amax(dim=0).tolist()
    for head in range(HEADS):
        step = looked_at[scores[:, head].tolist().index(scores[:, head].max())]
        assert found.steps[head] == step
        torch.testing.assert_close(found.heads.weights[head], ends[step].weights[head])
        torch.testing.assert_close(found.heads.biases[head], ends[step].biases[head])
    assert len(found.steps.unique()) > 1


def test_the_step_is_chosen_by_the_worst_group_and_not_the_average():
    """The rows fitted on raise the weight of class 1 from -0.3: by 0.1 * (1 - sigmoid(-0.6)) =
    0.065 at first, to above zero in the end. All rows held out are of class 1. While the weight is
    negative those at -1 are right: 4 of 10 of group 0 and the one of group 1, 5 of 11. Then those
    at +1: 6 of 10 of group 0 and none of group 1, 6 of 11. The average rises and the worst group
    falls from 0.4 to 0, so that the first step is kept."""
    start = Heads(torch.tensor([[[0.3], [-0.3]]]), torch.zeros(1, 2))
    held_out = Rows(
        torch.tensor([[1.0]] * 6 + [[-1.0]] * 5),
        torch.ones(11, dtype=torch.int64),
        torch.tensor([0] * 10 + [1]),
    )
    features, target = torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 0])
    fitted = fit_heads(
        features, target, start, descent=Descent(0.1), batches=[None] * 20, held_out=held_out
    )
    last = fit_heads(features, target, start, descent=Descent(0.1), batches=[None] * 20).heads
    assert fitted.steps.item() == 1
    assert fitted.scores.item() == pytest.approx(0.4)
    assert fitted.heads.weights[0, 1].item() == pytest.approx(
        -0.3 + 0.1 * (1 - 1 / (1 + math.exp(0.6)))
    )
    assert (
        last.logits(held_out.features).argmax(dim=2) == 1
    ).double().mean().item() == pytest.approx(6 / 11)


def test_the_last_step_is_scored_too():
    target, start, held_out = targets(2), start_heads(2, 1), held_out_rows()
    found = fit_heads(
        FEATURES,
        target,
        start,
        descent=Descent(0.1),
        batches=[None] * 3,
        held_out=held_out,
        every=10,
    )
    last = fit_heads(FEATURES, target, start, descent=Descent(0.1), batches=[None] * 3).heads
    predictions = last.logits(held_out.features).argmax(dim=2)
    assert found.steps.item() == 3
    assert (
        found.scores.tolist()
        == worst_group_accuracies(predictions, held_out.target, held_out.group).tolist()
    )
    assert torch.equal(found.heads.weights, last.weights)


def test_settings_of_one_number_serve_all_heads():
    target, start = targets(2), start_heads(2, 1)
    descent = Descent(torch.tensor([0.1, 0.2]), momentum=0.5)
    both = fit_heads(FEATURES, target, start, descent=descent, batches=[None] * 10).heads
    for head, rate in enumerate((0.1, 0.2)):
        one = fit_heads(
            FEATURES, target, start, descent=Descent(rate, momentum=0.5), batches=[None] * 10
        ).heads
        torch.testing.assert_close(both.weights[head], one.weights[0], atol=1e-7, rtol=0)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_contrasts_are_orthonormal_and_sum_to_zero(classes):
    basis = contrasts(classes)
    torch.testing.assert_close(basis.T @ basis, torch.eye(classes - 1, dtype=torch.float64))
    torch.testing.assert_close(basis.sum(dim=0), torch.zeros(classes - 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": torch.tensor([0.1, -0.1])}, "learning_rate must be positive"),
        ({"learning_rate": 0.1, "momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"learning_rate": 0.1, "weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"learning_rate": 0.1, "start_penalty": -1.0}, "start_penalty must be at least 0"),
        ({"learning_rate": 0.1, "clip": 0.0}, "clip must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Descent(**options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": FEATURES[:, 1:]}, r"\(N, D\), \(H, C, D\) and \(H, C\)"),
        ({"target": torch.zeros(SAMPLES, 2, dtype=torch.int64)}, "not several labels"),
        ({"target": torch.full((SAMPLES,), 2)}, r"\[0, 2\); got 2 to 2"),
        ({"sample_weights": -WEIGHTS}, "not negative"),
        ({"sample_weights": WEIGHTS[:, 1:]}, "N=60"),
        ({"sample_weights": WEIGHTS[:3]}, r"\[3, 4\] heads"),
        ({"batches": []}, "steps must be at least 1"),
        ({"every": 0}, "every must be at least 1"),
    ],
)
def test_inputs_that_do_not_agree_are_refused(changes, message):
    given = {
        "features": FEATURES, "target": targets(2), "start": start_heads(2), "descent": DESCENT,
        "batches": [None] * 2,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        fit_heads(**(given | changes))
