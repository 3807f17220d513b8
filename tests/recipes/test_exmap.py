"""ExMap: which maps it clusters, which groups its head balances, and what it records."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from debias import components
from debias import config as configs
from debias.data.orders import seeded_generator
from debias.heads.linear import Rows
from debias.heads.sparse import sparse_head
from debias.recipes import exmap
from debias.recipes.exmap import ExMap
from debias.runs.choice import described
from tests.recipes.drawn_backbone import DrawnBackbone


def fitted(
    monkeypatch: pytest.MonkeyPatch, folder: Path, found: Tensor, **options: Any
) -> tuple[Any, DrawnBackbone, dict[str, Any], ExMap]:
    """The head of the recipe where the clusters of validation images are these, and its calls."""
    backbone, calls = DrawnBackbone(seed=3), {}
    backbone.stage.parts.module.cpu = lambda: None  # type: ignore[method-assign]

    def maps(parts: Any, rows: Tensor, **given: Any) -> Tensor:
        calls["maps"] = given | {"rows": rows}
        return torch.zeros(len(rows), 2, 2)

    def clustered(maps: Tensor, target: Tensor, **given: Any) -> Tensor:
        calls["clusters"] = given | {"target": target}
        return found

    monkeypatch.setattr(exmap, "attention_maps", maps)
    monkeypatch.setattr(exmap, "heatmap_clusters", clustered)
    recipe = ExMap(**options)
    recipe.record = folder / "groups.csv"
    return recipe.fit(backbone, 3), backbone, calls, recipe


def clusters_of(backbone: DrawnBackbone) -> Tensor:
    """The bias of each validation image, but another cluster for the first five of class 0."""
    examples = backbone.stage.examples
    rows = examples.rows("val")
    found = examples.bias[rows].clone()
    found[(examples.target[rows] == 0).nonzero().flatten()[:5]] = 2
    return found


def test_the_head_balances_classes_and_clusters_but_not_small_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three clusters: group 3 y + cluster. Five images of one join the largest of their class."""
    clusters = clusters_of(DrawnBackbone(seed=3))
    options: dict[str, Any] = {"clusters": 3, "within": "all", "layer": "layer2", "subsamples": 2}
    head, backbone, calls, recipe = fitted(monkeypatch, tmp_path, clusters, **options)
    examples = backbone.stage.examples
    rows = examples.rows("val")
    target, features = examples.target[rows], backbone.features("val")
    assert int((clusters == 2).sum()) == 5
    largest = int(torch.bincount(clusters[target == 0]).argmax())
    group = torch.where(clusters == 2, largest, 3 * target + clusters)
    expected = sparse_head(
        Rows(features, target, group), seeded_generator(3), classes=2, subsamples=2
    )
    assert torch.equal(head.weight, expected.head.weights[0])
    assert torch.equal(calls["maps"]["rows"], rows)
    predicted = backbone.model.head(features).argmax(dim=1)
    assert torch.equal(calls["maps"]["classes"], predicted)
    assert not torch.equal(predicted, target)
    assert (calls["maps"]["layer"], calls["clusters"]["within"]) == ("layer2", "all")
    assert (calls["clusters"]["seed"], calls["clusters"]["clusters"]) == (3, 3)
    assert torch.equal(calls["clusters"]["target"], target)
    with pytest.warns(
        UserWarning, match="chosen by the worst group of half of val, where inferred"
    ):
        entry = described(recipe.choice, examples.groups)  # type: ignore[arg-type]
    assert entry["by"] == "worst_group"
    lines = list(csv.DictReader((tmp_path / "groups.csv").read_text().splitlines()))
    assert [int(line["inferred"]) for line in lines] == clusters.tolist()
    assert {line["split"] for line in lines} == {"val"}


def test_no_label_of_the_bias_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert components.reads("recipe", "exmap") == ()
    clusters = clusters_of(DrawnBackbone(seed=3))
    head, *_ = fitted(monkeypatch, tmp_path, clusters, subsamples=1)

    class Unlabelled(DrawnBackbone):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.with_bias("val", torch.full((90,), -1))

    monkeypatch.setattr("tests.recipes.test_exmap.DrawnBackbone", Unlabelled)
    again, *_ = fitted(monkeypatch, tmp_path, clusters, subsamples=1)
    assert torch.equal(head.weight, again.weight)


def test_too_few_images_of_a_class_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exmap, "check_maps", lambda parts, layer: None)
    backbone = DrawnBackbone(seed=3)
    given = backbone.stage.parts, backbone.config
    ExMap(clusters=60, within="all").check(*given)
    with pytest.raises(ValueError, match=r"61 to 5,000 images together; got \d+ images of class 0"):
        ExMap(clusters=60).check(*given)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.clusters=1", "recipe.clusters must be at least 2; got 1"),
        ("recipe.within=group", "recipe.within must be one of class, all; got 'group'"),
        ("recipe.cam=lrp", "recipe.cam must be one of grad_cam, xgrad_cam; got 'lrp'"),
        ("recipe.subsamples=0", "recipe.subsamples must be at least 1; got 0"),
    ],
)
def test_what_it_refuses(override: str, message: str) -> None:
    config = configs.load("drawn_birds/exmap", [override])
    with pytest.raises(ValueError, match=message):
        components.construct("recipe", config.recipe, {})
