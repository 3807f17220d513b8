"""Two bias attributes from table to report; groups that are in no split are left out."""

import json
import math
import warnings
from dataclasses import replace

import pytest
import torch

from debias import config as configs
from debias.augment.recombination import Recombination
from debias.commands import evaluate
from debias.commands.images import image_lines
from debias.commands.train import train
from debias.csv_files import read_csv
from debias.data.balance import bias_balanced, group_balanced
from debias.data.checks import check_examples
from debias.data.sets.table import table
from debias.data.subsamples import group_subsample
from debias.errors import InputError
from debias.json_files import plain
from debias.losses.group_dro import GroupDROLoss
from debias.metrics.discovery.information import information_report
from debias.reports.comparison import compare
from debias.reports.foreign import read_foreign
from debias.reports.predictions import read
from debias.reports.record import read_report
from debias.reports.terminal import accuracy_lines
from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.strategies.objectives import occurring_biases
from debias.types import Attribute, Batch, Groups, Outputs
from tests.data.two_biases import CONFIG, write_cars

PLACES = (Attribute("bg", ("city", "field")), Attribute("obj", ("cow", "lamp")))
GROUPS = Groups.product(("country", "urban"), PLACES)
#: Nothing stands on a field beside a lamp, and no urban car beside a cow.
FREQUENCIES = torch.tensor([2, 1, 9, 0, 0, 8, 0, 0])


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cars")
    write_cars(folder)
    (folder / "own.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(cars):
    """A run of Group DRO on balanced groups of two attributes, trained without a warning."""
    options = ["strategy.name=group_dro", "strategy.adjustment=1", "sampler.name=group_balanced"]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(cars)
        warnings.simplefilter("error")
        chosen = configs.load("own.yaml", [*options, "measures=quick", "out=runs"])
        return cars / train(chosen)


def test_group_dro_on_balanced_groups_of_two_attributes(finished):
    """Six groups of twelve have images. None of the others is worst or has a weight."""
    report = json.loads((finished / "report.json").read_text())
    test = report["metrics"]["test"]
    accuracies = {row["name"]: row["accuracy"] for row in test["groups"] if row["count"]}
    assert set(accuracies) == {
        *("country-city & cow", "country-field & cow", "urban-city & lamp", "urban-field & sign")
    }
    assert test["scalars"]["worst_group"] == min(accuracies.values())
    assert report["selection"]["rule"] == "worst_group"
    weights = [value for key, value in report["history"][0]["train"].items() if "weight" in key]
    assert [weight > 0 for weight in weights] == [
        bool(count) for count in report["data"]["counts"]["train"]
    ]


def test_the_report_has_each_attribute_alone(finished):
    """Of six test images two are a country car on a field beside a cow, and so on."""
    report = read_report(finished)
    assert [one.name for one in report.test.attributes] == ["bg", "obj"]
    assert [cell.count for cell in report.test.attributes[0].groups] == [1, 2, 1, 2]
    assert [cell.count for cell in report.test.attributes[1].groups] == [3, 0, 0, 0, 1, 2]
    assert report.groups.alone(1).aligned == ((0, 0), (1, 1), (1, 2))
    assert {"fairness", "fairness/bg", "fairness/obj", "shortcuts/obj"} <= set(report.measures)
    rows = read(finished / "predictions" / "test.csv")
    facts = rows.prediction(report.groups), rows.target
    for position, name in enumerate(("bg", "obj")):
        value, alone = report.groups.decode(rows.bias)[:, position], report.groups.alone(position)
        expected = information_report(*facts, value, alone)
        assert report.measures[f"information/{name}"] == plain(expected)
    assert {"gap/bg", "gap/obj", "gap/bg+obj"} <= set(report.measures["shortcuts"])
    assert "worst_group/obj" in report.history[0].val
    text = "\n".join(accuracy_lines("test", report.test))
    assert "  8 of 12 groups have no image\n" in text
    assert "no image\n  country" not in text
    assert "  by bg alone:\n  country-city " in text
    page = (finished / "report.html").read_text()
    assert "Fairness: bg alone" in page
    assert '<h3 id="attribute-2">obj</h3>' in page
    assert "wrong: bg, obj" in page


def test_a_comparison_has_columns_of_one_attribute(finished):
    names = ("accuracy:worst_group/bg", "fairness/obj:accuracy_difference")
    comparison = compare([finished], measures=names)
    assert {"worst_group/bg", "accuracy_difference (obj)"} <= set(comparison.header())
    expected = read_report(finished).test.attributes[0].worst
    assert comparison.methods[0].measure(names[0]).mean == expected.accuracy


def test_predictions_name_the_combination_and_each_value(finished):
    rows = read_csv(finished / "predictions" / "test.csv", exact=True)
    places = rows.cells["bias"].index("3"), rows.cells["bias"].index("5")
    for place, names in zip(places, (("field", "cow"), ("field", "sign")), strict=True):
        assert rows.cells["combination"][place] == " & ".join(names)
        assert (rows.cells["bias_bg"][place], rows.cells["bias_obj"][place]) == names
    found = read_foreign(finished / "predictions" / "test.csv", bias=["bias_bg", "bias_obj"])
    assert found.groups.biases == 6
    assert [attribute.name for attribute in found.groups.attributes] == ["bias_bg", "bias_obj"]


def test_the_saved_run_is_evaluated_again(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished.parents[1])
    evaluate.run(str(finished), ["measures=information", "progress=false"])
    printed = capsys.readouterr().out
    assert "predicted again" not in printed
    assert "information/bg" in printed


def test_the_run_is_evaluated_on_other_data_with_two_biases(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished.parents[1])
    options = ["data=own.yaml", "split=test", "measures=information", "progress=false"]
    evaluate.run(str(finished), options)
    printed = capsys.readouterr().out
    assert "information/obj" in printed
    assert "by obj alone:" in printed


def test_a_group_of_another_split_is_still_needed(cars):
    examples = table(file=str(cars / "cars.csv"), bias=["bg", "obj"])
    assert "6 of 12 groups have no image in any split" in image_lines(examples)
    check_examples(examples, require=("bias", "groups"))
    moved = examples.split.clone()
    moved[examples.groups.encode(examples.target, examples.bias) == 11] = 2
    with pytest.raises(InputError, match=r"no training image in urban-field & sign\. This"):
        check_examples(replace(examples, split=moved), require=("groups",))


def test_samplers_draw_the_groups_that_occur():
    group = torch.arange(8).repeat_interleave(FREQUENCIES)
    occurring = FREQUENCIES > 0
    weights = group_balanced(group, GROUPS, occurring).weights
    mass = torch.zeros(8).index_add(0, group, weights.float())
    torch.testing.assert_close(mass, occurring.float())
    assert len(group_subsample(group, GROUPS, 0, occurring)) == 4  # one of each group
    bias = group % GROUPS.biases
    weights = bias_balanced(bias, GROUPS, occurring).weights
    mass = torch.zeros(4).index_add(0, bias, weights.float())
    torch.testing.assert_close(mass, torch.tensor([1.0, 1.0, 1.0, 0.0]))
    also = occurring | (torch.arange(8) == 3)
    with pytest.raises(InputError, match="group country-field & lamp has no training sample"):
        group_balanced(group, GROUPS, also)


def test_group_dro_starts_uniform_over_the_groups_with_samples():
    robust = GroupDROLoss(8, step_size=1.0, adjustment=1.0, counts=FREQUENCIES)
    torch.testing.assert_close(robust.weights, (FREQUENCIES > 0) / 4)
    loss = robust(torch.tensor([0.5, 2.0]), torch.tensor([0, 5]))
    assert math.isfinite(loss.item())
    assert robust.weights[FREQUENCIES == 0].tolist() == [0, 0, 0, 0]
    assert robust.weights.sum().item() == pytest.approx(1)


def test_heads_of_absent_bias_values_are_not_averaged():
    """The head of "field & lamp", with its untrained logits of 100, changes nothing."""
    assert occurring_biases(GROUPS, FREQUENCIES) == [0, 1, 2]
    assert occurring_biases(GROUPS, torch.ones(8)) == slice(None)
    heads = torch.tensor([[[1.0, 2.0, 6.0, 100.0], [0.0, 0.0, 3.0, -100.0]]])
    outputs = Outputs(heads.flatten(1), heads.flatten(1))
    for inference, expected in (("logits", [3.0, 1.0]), ("probabilities", None)):
        strategy = DomainIndependent(GROUPS, FREQUENCIES, inference=inference)
        found = strategy.classify(lambda _: outputs, torch.zeros(1)).logits[0]
        mean = heads[..., :3].softmax(dim=1).mean(dim=2).log()[0]
        torch.testing.assert_close(found, mean if expected is None else torch.tensor(expected))


def test_a_prior_of_zero_gives_a_group_no_score():
    """Equal logits, each divided by its share: 1/2 + 1/1 + 1/9 against 1/8."""
    strategy = DomainDiscriminative(GROUPS, FREQUENCIES, divide_by_prior=True)
    outputs = Outputs(torch.zeros(1, 8), torch.zeros(1, 1))
    scores = strategy.classify(lambda _: outputs, torch.zeros(1)).logits[0].exp()
    assert (scores[0] / scores[1]).item() == pytest.approx((1 / 2 + 1 + 1 / 9) * 8)


@pytest.mark.parametrize(
    ("follows", "expected"),
    [("bg", [2, 1, 1, -1]), (["bg", "obj"], [3, 0, 1, 1]), ("foreground", [0, 3, 1, -1])],
)
def test_recombination_moves_the_attributes_of_the_background(follows, expected, monkeypatch):
    """Combinations 0, 3 and unknown get the backgrounds of 3, 0 and 1. The sample of 1 is kept."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(4, 1, 8, 8)
    mask[:, :, 2:5, 2:5] = 1
    image = torch.rand(4, 3, 8, 8, generator=generator)
    bias = torch.tensor([0, 3, 1, -1])
    batch = Batch(image, torch.zeros(4).long(), bias, torch.arange(4), mask, None, image)
    augment = Recombination(GROUPS, bias_follows=follows)
    draws = augment.draw(batch)._replace(donor=torch.tensor([1, 0, 2, 2]))
    draws = draws._replace(keep=torch.tensor([False, False, True, False]))
    monkeypatch.setattr(augment, "draw", lambda *_: draws)
    assert augment(batch).bias.tolist() == expected


def test_recombination_must_know_which_attributes_belong_to_the_background():
    message = r"bias_follows must be foreground, or name .*\[bg\]; got bias_follows=background"
    with pytest.raises(InputError, match=message):
        Recombination(GROUPS)
