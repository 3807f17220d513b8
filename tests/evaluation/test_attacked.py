"""Accuracy under attack, for models whose worst change within the radius can be derived by hand."""

import pytest
import torch

from debias.errors import InputError
from debias.evaluation import attacked as attacks
from debias.evaluation.attacked import ATTACKS, STEP, STEPS, attacked, attacked_scalars
from debias.losses.adversarial_examples import Ball
from debias.metrics.families import FAMILIES
from debias.strategies.erm import ERM
from debias.types import Outputs
from tests.evaluation.test_looking import (
    RED_OR_BLUE,
    SIDE,
    ColourReader,
    Mirror,
    examples_of,
    parts_of,
)


def plain(red, blue):
    """A picture of one colour."""
    return torch.tensor([red, 128, blue], dtype=torch.uint8).expand(SIDE, SIDE, 3).numpy()


def by_margin(folder, margins, *, mirrored=False):
    """Pictures of the first class by these margins, in 255ths, in the groups of two bias values."""
    pictures = [plain(128, 128 + m) if mirrored else plain(128 + m, 128) for m in margins]
    return examples_of(folder, [0] * len(margins), [0, 1] * (len(margins) // 2), pictures)


#: An attack of radius r lowers red and raises blue by r. So a margin above 2 r is safe.
MARGINS = [3, 5, 15, 17, 15, 5]
#: By bias value: 3, 15 and 15; 5, 17 and 5.
EXPECTED = {
    "average/clean": 1,
    "worst_group/clean": 1,
    "average/linf_2": 5 / 6,
    "worst_group/linf_2": 2 / 3,
    "average/linf_8": 1 / 6,
    "worst_group/linf_8": 0,
}


@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_a_linear_model_keeps_what_has_twice_the_radius_as_margin(tmp_path, mean):
    """The optimum of a linear model: its margin falls by the radius times the L1 norm."""
    parts = parts_of(by_margin(tmp_path, MARGINS), RED_OR_BLUE, mean=mean)
    assert attacked_scalars(parts, progress=False) == pytest.approx(EXPECTED)


def test_the_attack_sees_what_the_method_does_in_evaluation(tmp_path):
    examples = by_margin(tmp_path, MARGINS, mirrored=True)
    parts = parts_of(examples, RED_OR_BLUE, strategy=Mirror())
    assert attacked_scalars(parts, progress=False) == pytest.approx(EXPECTED)


@pytest.mark.parametrize(("threshold", "kept"), [(252 / 255, 0), (1.01, 1)])
def test_pixels_stay_within_their_range(tmp_path, threshold, kept):
    """Red 250 can rise by 5 / 255 only: above 252 / 255, but not above 1.01."""
    model = ColourReader([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], (0.0, threshold))
    examples = examples_of(tmp_path, [1, 1], [0, 1], [plain(250, 0)] * 2)
    found = attacked_scalars(parts_of(examples, model), progress=False)
    assert (found["average/clean"], found["average/linf_8"]) == (1, kept)


def test_each_of_several_labels_loses_its_own_margin(tmp_path):
    """Labels read one colour each. Red has the margin 9 / 255, and blue 7 / 255, above 0.5."""
    model = ColourReader([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], (-0.5, -0.5))
    examples = examples_of(tmp_path, [[1, 1], [1, 1]], [0, 1], [plain(137, 135)] * 2)
    found = attacked_scalars(parts_of(examples, model), progress=False)
    assert found == {
        "average/clean": 1,
        "worst_group/clean": 1,
        "average/linf_2": 1,
        "worst_group/linf_2": 1,
        "average/linf_8": 0.5,
        "worst_group/linf_8": 0,
    }


class Valley(ColourReader):
    """The logit of the first class is least where the mean red is 8 / 255, as it is normalised."""

    def forward(self, image):
        red = super().forward(image).features[:, 0]
        logits = torch.stack([(red - 8 / 255) ** 2, torch.zeros_like(red)], dim=1)
        return Outputs(logits, logits)


def test_the_attack_stops_where_the_loss_is_greatest(tmp_path):
    """Red 131.5 becomes 8 / 255 with mean and deviation 0.5. The last step may overshoot by 2."""
    model = Valley([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    parts = parts_of(by_margin(tmp_path, [0, 0]), model, mean=0.5)
    parts.ready()
    changed = attacked(parts, parts.one(0), ATTACKS["linf_8"])
    assert changed[0, 0].mean().item() * 127.5 + 127.5 == pytest.approx(131.5, abs=2)


def test_the_texts_state_the_attacks():
    for name, ball in ATTACKS.items():
        meaning = FAMILIES["attacked"].numbers[f"average/{name}"].meaning
        radius, step = (f"{255 * each:g} / 255" for each in (ball.epsilon, STEP * ball.epsilon))
        assert meaning.endswith(
            f"up to {radius}: {STEPS} steps of PGD of {step} in the norm {ball.norm.capitalize()}."
        )


@pytest.mark.parametrize("ball", [*ATTACKS.values(), Ball("l2", 0.5)])
def test_the_start_depends_on_the_row_alone(tmp_path, monkeypatch, ball):
    monkeypatch.setattr(attacks, "STEPS", 0)
    parts = parts_of(by_margin(tmp_path, [9] * 4), RED_OR_BLUE)
    parts.ready()
    loader = parts.loader(torch.tensor([0, 2, 3]))
    (batch,) = parts.batches(loader, "", progress=False)
    changed = attacked(parts, batch, ball)
    alone = torch.cat([attacked(parts, parts.one(row), ball) for row in (0, 2, 3)])
    assert torch.equal(changed, alone)
    change = (changed - batch.image).flatten(1)
    size = change.abs().amax(dim=1) if ball.norm == "linf" else change.norm(dim=1)
    torch.testing.assert_close(size, torch.full((3,), ball.epsilon), rtol=0.02, atol=0)
    assert not torch.equal(change[0], change[1])
    assert not torch.equal(change[1], change[2])


def test_attacks_leave_the_model_as_it_is(tmp_path):
    model = ColourReader([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    model.backbone.insert(1, torch.nn.BatchNorm2d(3))
    parts = parts_of(by_margin(tmp_path, [5, 15]), model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attacked_scalars(parts, progress=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in model.parameters())


class Fixed(ERM):
    @torch.no_grad()
    def classify(self, model, image):
        return model(image)


class Detached(ERM):
    def prepare(self, image):
        return image.detach()


@pytest.mark.parametrize("strategy", [Fixed(), Detached()])
def test_refuses_outputs_without_a_gradient(tmp_path, strategy):
    parts = parts_of(by_margin(tmp_path, [5, 15]), RED_OR_BLUE, strategy=strategy)
    with pytest.raises(InputError, match="no gradient by the pixels"):
        attacked_scalars(parts, progress=False)
