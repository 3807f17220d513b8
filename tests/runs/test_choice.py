"""What last-layer recipes chose: setting by setting, in words, with a warning of few images."""

import json

import pytest
import torch
from torch.nn import functional as F

from debias import config as configs
from debias.__main__ import main
from debias.heads.linear import Rows, worst_group_accuracies
from debias.heads.sparse import STRENGTHS
from debias.json_files import typed
from debias.recipes.afr import AFR
from debias.recipes.class_balanced_last_layer import ClassBalancedLastLayer
from debias.recipes.crt import CRT
from debias.recipes.dfr import DFR
from debias.recipes.self import SELF
from debias.reports.record import Choice
from debias.reports.wording import choice_line
from debias.runs.choice import HeadChoice, described
from tests.commands.conftest import overrides
from tests.fakes import GROUPS
from tests.recipes.drawn_backbone import DrawnBackbone

SEED = 11


def worst(head, rows: Rows) -> float:
    """Of a layer, on rows."""
    return worst_group_accuracies(
        head(rows.features).argmax(dim=1)[None], rows.target, rows.group
    ).item()


def chosen(recipe, backbone: DrawnBackbone):
    head = recipe.fit(backbone, SEED)
    return head, described(recipe.choice, GROUPS)


def smallest(group: torch.Tensor) -> dict[str, object]:
    counts = torch.bincount(group, minlength=4)
    return {"name": GROUPS.names[int(counts.argmin())], "count": int(counts.min())}


def test_dfr_on_validation_tells_every_c_and_the_half_that_chose():
    """Halves have the same groups but for an odd one's last: the second has floor(n / 2)."""
    backbone = DrawnBackbone()
    _, found = chosen(DFR(subsamples=2), backbone)
    assert [entry["C"] for entry in found["grid"]] == list(STRENGTHS)
    assert found["chosen"] == max(found["grid"], key=lambda entry: entry["score"])
    assert (found["by"], found["on"]) == ("worst_group", "half of val")
    whole = smallest(backbone.rows("val").group)
    assert found["smallest"] == whole | {"count": whole["count"] // 2}


@pytest.mark.parametrize("select", ["worst_group", "worst_class"])
def test_dfr_on_training_is_judged_by_validation_s_groups_or_classes(select):
    backbone = DrawnBackbone(select=select)
    _, found = chosen(DFR(split="train", subsamples=2), backbone)
    assert (found["by"], found["on"]) == (select, "val")
    if select == "worst_group":
        assert found["smallest"] == smallest(backbone.rows("val").group)
    else:
        counts = torch.bincount(backbone.rows("val").target).tolist()
        assert found["smallest"] == {
            "name": GROUPS.target_names[counts.index(min(counts))],
            "count": min(counts),
        }


def test_afr_s_choice_is_the_score_of_its_head():
    backbone = DrawnBackbone()
    head, found = chosen(
        AFR(gammas=[1.0, 6.0], penalties=[0.3, 0.0, 0.1], steps=100, share=0.5), backbone
    )
    pairs = [(entry["gamma"], entry["penalty"]) for entry in found["grid"]]
    assert pairs == [(1.0, 0.3), (1.0, 0.0), (1.0, 0.1), (6.0, 0.3), (6.0, 0.0), (6.0, 0.1)]
    assert found["chosen"] in found["grid"]
    assert (
        found["chosen"]["score"]
        == max(entry["score"] for entry in found["grid"])
        == worst(head, backbone.rows("val"))
    )
    assert 1 <= found["chosen"]["step"] <= 100


def test_crt_tells_its_step():
    backbone = DrawnBackbone()
    head, found = chosen(CRT(steps=250, learning_rate=3e-4), backbone)
    assert found["grid"] == [found["chosen"]]
    assert found["chosen"]["score"] == worst(head, backbone.rows("val"))
    assert found["chosen"]["step"] % 2 == 0  # a hundred looks at most


def test_self_tells_counts_and_rates():
    _, found = chosen(
        SELF(counts=[5, 20, 500], learning_rates=[1e-3, 0.1], batch_size=4), DrawnBackbone()
    )
    settings = [(entry["count"], entry["learning_rate"]) for entry in found["grid"]]
    assert settings == [(5, 1e-3), (5, 0.1), (20, 1e-3), (20, 0.1)]
    assert found["chosen"]["score"] == max(entry["score"] for entry in found["grid"])
    assert found["on"] == "half of val"


@pytest.mark.parametrize(
    "recipe", [SELF(counts=[5], learning_rates=[1e-3]), ClassBalancedLastLayer(epochs=1)]
)
def test_what_chooses_nothing_tells_nothing(recipe):
    recipe.fit(DrawnBackbone(), SEED)
    assert recipe.choice is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("count", "told"), [(29, True), (30, False)])
def test_a_choice_on_few_images_is_mostly_chance(count, told):
    group = F.one_hot(torch.tensor([0, 1, 3]), 4).sum(dim=0) * 100
    group[2] = count
    rows = torch.cat([torch.arange(4).repeat_interleave(group), torch.full((5,), -1)])
    choice = HeadChoice([{"C": 1.0}, {"C": 0.1}], torch.tensor([0.5, 0.75]), 1, "val", rows, True)
    if not told:
        assert described(choice, GROUPS)["smallest"] == {"name": "waterbird-land", "count": 30}
        return
    with pytest.warns(
        UserWarning,
        match=(
            "last layer's C is .* worst group of val, where waterbird-land has 29 images: .*mostly "
            "chance"
        ),
    ):
        described(choice, GROUPS)


@pytest.mark.slow
def test_it_is_in_the_report_on_the_page_and_printed(tmp_path, capsys):
    options = overrides(
        tmp_path, "recipe.name=dfr", "recipe.subsamples=2", "data.val=160", "recipe.base.epochs=1"
    )
    assert main(["train", "drawn_birds", *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    run = tmp_path / "runs" / configs.run_name(configs.load("drawn_birds", options))
    report = json.loads((run / "report.json").read_text())
    assert len(report["choice"]["grid"]) == len(STRENGTHS)
    assert report["choice"]["chosen"] in report["choice"]["grid"]
    line = choice_line(typed(Choice, report["choice"]))
    assert line.startswith(f"C={report['choice']['chosen']['C']:g} of 7 settings, with ")
    assert f"chosen: {line}" in printed
    assert printed[-1].endswith("report.html")
    assert line in (run / "report.html").read_text()
