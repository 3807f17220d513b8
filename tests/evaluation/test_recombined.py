"""What is measured on recombined pictures, with models whose answer is known."""

import pytest
import torch

from debias import config as configs
from debias.augment.recombination import Recombination
from debias.build import build
from debias.evaluation import recombined
from debias.parts import Parts
from tests.commands.conftest import overrides


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Parts:
    """Drawn birds with 400 training images, 5 % of them off their background, and a balanced test
    split of 400.
    """
    folder = tmp_path_factory.mktemp("recombined")
    more = ("data.train=400", "data.test=400")
    return build(configs.load("drawn_birds", overrides(folder, *more)))


def test_importance_is_the_ratio_of_frequencies(parts):
    """190, 10, 10, 190 training images; 100 each in the test split; unknown groups not drawn."""
    assert parts.examples.frequencies("train").tolist() == [190, 10, 10, 190]
    assert parts.examples.frequencies("test").tolist() == [100, 100, 100, 100]
    assert recombined.group_importance(parts, "test").tolist() == [1.9, 0.1, 0.1, 1.9, 0.0]


def test_a_model_of_the_background_alone(parts, monkeypatch):
    """It answers with the background's class: right in 95 % on backgrounds of the own class, in 50
    % on any.

    Of some 400 pictures each, so the two stray by about 1.1 and 2.5 points; the bound is four times
    that.
    """
    monkeypatch.setattr(Parts, "decisions", lambda parts, batch: batch.bias)
    found = recombined.background_scalars(parts, progress=False)
    assert found["accuracy_same_class_backgrounds"] == pytest.approx(0.95, abs=0.045)
    assert found["accuracy_all_backgrounds"] == pytest.approx(0.5, abs=0.1)
    ratio = found["accuracy_all_backgrounds"] / found["accuracy_same_class_backgrounds"]
    assert found["background_robustness"] == pytest.approx(ratio, rel=1e-12)
    assert recombined.background_scalars(parts, progress=False) == found


def test_the_size_of_evaluation_batches_changes_no_figure(parts):
    """Backgrounds are exchanged among the same pictures, given to the network a few at a time."""
    expected = recombined.accuracies(parts, "test", recombined.BACKGROUND, progress=False)
    seen = []
    handle = parts.module.model.register_forward_pre_hook(
        lambda _, images: seen.append(len(images[0]))
    )
    assert parts.data.eval_batch_size == parts.data.batch_size == 16
    parts.data.eval_batch_size = 100
    assert recombined.accuracies(parts, "test", recombined.BACKGROUND, progress=False) == expected
    assert seen == 2 * [100, 100, 56] + 2 * [100, 44]
    parts.data.eval_batch_size = 16
    handle.remove()


def test_pictures_of_all_processes_are_counted(parts, monkeypatch):
    """Another process has 600 more: right on any background, wrong on those of the own class."""
    here = recombined.accuracies(parts, "test", recombined.BACKGROUND, progress=False)
    usable = []

    def add(counts):
        usable.append(int(counts[0]))
        return counts + torch.tensor([600, 600, 0])

    monkeypatch.setattr(recombined.processes, "summed", add)
    found = recombined.accuracies(parts, "test", recombined.BACKGROUND, progress=False)
    (total,) = usable
    assert found["all"] == pytest.approx((here["all"] * total + 600) / (total + 600), rel=1e-12)
    assert found["same"] == pytest.approx(here["same"] * total / (total + 600), rel=1e-12)


def test_a_model_of_the_place(parts, monkeypatch):
    """Right where the foreground's middle lies in the upper half, left of two thirds, else wrong.

    Cells 0, 1 are right for all; 3 and 4 for about half each; the others for none: the least corner
    and the least side have accuracy 0, so that the bias is 1.
    """

    def upper_left(parts, batch):
        weight = batch.mask[:, 0] / batch.mask.sum(dim=(1, 2, 3), keepdim=True)[:, 0]
        row = (weight.sum(dim=2) * torch.arange(weight.shape[1])).sum(dim=1) / weight.shape[1]
        column = (weight.sum(dim=1) * torch.arange(weight.shape[2])).sum(dim=1) / weight.shape[2]
        return torch.where((row < 1 / 2) & (column < 2 / 3), batch.target, 1 - batch.target)

    monkeypatch.setattr(Parts, "decisions", upper_left)
    cells = recombined.accuracies(parts, "test", recombined.PLACEMENT, progress=False)
    assert [cells[f"cell{cell}"] for cell in (0, 1, 2, 5, 6, 7, 8)] == [1, 1, 0, 0, 0, 0, 0]
    assert 0.2 < cells["cell3"] < 0.8
    assert recombined.placement_scalars(parts, progress=False)["centre_bias"] == pytest.approx(1.0)


def test_the_size_factor_is_on_the_area(parts, monkeypatch):
    """Half the area, but for the soft edge, which takes more from a small foreground."""
    areas: list[float] = []

    def note(parts, batch):
        areas.append(batch.mask.mean().item())
        return batch.target

    monkeypatch.setattr(Parts, "decisions", note)
    variants = {"half": {"background": "own", "size_factor": 0.5}, "whole": {"background": "own"}}
    assert recombined.accuracies(parts, "test", variants, progress=False) == {
        "half": 1.0,
        "whole": 1.0,
    }
    assert 0.4 < sum(areas[::2]) / sum(areas[1::2]) < 0.52


def test_donors_are_drawn_in_proportion(parts):
    """Donors of importance 1.9 and 0.1: the second in 5 % of 2,000 draws, sd 0.5 points."""
    batch = next(iter(recombined.batches(parts, "test", progress=False)))
    importance = recombined.group_importance(parts, "test")
    recombination = Recombination(background="same")
    torch.manual_seed(0)
    drawn = [recombined.drawn_donors(batch, parts, importance, recombination) for _ in range(10)]
    assert all(torch.equal(batch.target[donor], batch.target) for donor in drawn)
    conflicting = (
        torch.stack([batch.bias[donor] != batch.target for donor in drawn]).double().mean().item()
    )
    counts = torch.bincount(2 * batch.target + batch.bias, minlength=4).double()
    shares = [
        10 * counts[1] / (10 * counts[1] + 190 * counts[0]),
        10 * counts[2] / (10 * counts[2] + 190 * counts[3]),
    ]
    # the batch's own counts stray from 1 : 1
    expected = sum(
        share * (batch.target == target).double().mean() for target, share in enumerate(shares)
    )
    assert conflicting == pytest.approx(float(expected), abs=0.02)
