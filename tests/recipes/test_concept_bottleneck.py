"""KnoBo as a recipe: rows and options of its fits, the table it writes, and a whole run."""

import csv
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from debias import config as configs
from debias.__main__ import main
from debias.commands.train import train
from debias.data.concepts import read_concepts
from debias.data.orders import seeded_generator
from debias.evaluation.predictions import predict_split
from debias.heads.concepts import fit_bottleneck, ground_concepts
from debias.models.last_layers import ConceptHead
from debias.recipes.concept_bottleneck import ConceptBottleneck
from debias.reports.predictions import read
from debias.runs.run import Run
from tests.commands.conftest import overrides
from tests.recipes.drawn_backbone import DrawnBackbone

SEED = 4
NAMES = ["bill", "place", "rare"]
OPTIONS = {"least_held_out": 2, "epochs": 3, "batch_size": 16, "learning_rate": 0.02}


@pytest.fixture
def backbone() -> DrawnBackbone:
    return DrawnBackbone(seed=SEED)


@pytest.fixture
def tables(backbone, tmp_path) -> dict[str, str]:
    """Concepts: the sign of the feature of the class, the bias itself, and one of 12 images."""
    examples = backbone.stage.examples
    shown = [backbone.everywhere[:, 0] > 0, examples.bias == 1, torch.arange(240) < 12]
    lines = torch.stack(shown, dim=1).long().tolist()
    rows = [[path, *line] for path, line in zip(examples.images, lines, strict=True)]
    written(tmp_path / "concepts.csv", [["path", *NAMES], *rows])
    signs = [["class", *NAMES], ["waterbird", 1, 0, 1], ["landbird", -1, 0, 1]]
    written(tmp_path / "signs.csv", signs)
    return {"concepts": f"{tmp_path}/concepts.csv", "prior": f"{tmp_path}/signs.csv"}


def written(path: Path, rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("split", ["train", "val"])
def test_rows_and_options_of_both_fits(backbone, tables, split):
    """The split grounds the concepts, training fits the head, and validation selects its epoch."""
    recipe = ConceptBottleneck(
        **tables, split=split, strength=0.4, inverse_penalty=3.0, **OPTIONS
    )  # fmt: skip
    found = recipe.fit(backbone, SEED)
    examples, generator = backbone.stage.examples, seeded_generator(SEED)
    rows = {name: examples.rows(name) for name in ("train", "val")}
    labels = read_concepts(Path(tables["concepts"]), examples).labels
    grounding = ground_concepts(
        backbone.everywhere[rows[split]], labels[rows[split]], generator, least_held_out=2,
        inverse_penalty=3.0,
    )  # fmt: skip
    assert grounding.used.tolist() == [0, 1]
    train_rows, judged = (
        one._replace(features=grounding.probabilities(one.features))
        for one in (
            backbone.at(rows["train"], groups=False), backbone.at(rows["val"], groups=True)
        )
    )  # fmt: skip
    prior = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    fitted = fit_bottleneck(
        train_rows, generator, classes=2, prior=prior, held_out=judged, strength=0.4, epochs=3,
        learning_rate=0.02, batch_size=16,
    )  # fmt: skip
    features = backbone.features("test")
    torch.testing.assert_close(found(features), fitted.head(grounding.probabilities(features)))
    assert torch.equal(found.weights, fitted.head.weight)


def test_without_a_prior_and_with_one(backbone, tables):
    heads = [
        ConceptBottleneck(concepts=tables["concepts"], prior=prior, strength=20.0, **OPTIONS)
        .fit(backbone, SEED)
        .weights
        for prior in (None, tables["prior"])
    ]
    assert not torch.equal(*heads)


def test_what_it_reports(backbone, tables):
    """The second concept is the bias itself. The third is too rare for a classifier."""
    recipe = ConceptBottleneck(**tables, **OPTIONS)
    head = recipe.fit(backbone, SEED)
    columns, examples = recipe.columns, backbone.stage.examples
    rows = examples.rows("train")
    assert columns["concept"] == tuple(NAMES)
    assert columns["with"][2] == str(int((rows < 12).sum()))
    counts = zip(columns["with"], columns["without"], strict=True)
    assert [int(have) + int(lack) for have, lack in counts] == [120] * 3
    assert columns["bias"][1] == "1"
    assert columns["class"][1] == f"{correlation(examples.target[rows], examples.bias[rows]):.4g}"
    assert columns["nearest"][:2] == ["place", "bill"]
    assert columns["nearest_association"][0] == columns["nearest_association"][1] != ""
    predicted = head_probabilities(head, backbone.features("train"))[:, 1] > 0.5
    expected = f"{correlation(predicted, examples.bias[rows]):.4g}"
    assert columns["predicted_bias"][1] == expected
    assert float(expected) > 0.8
    for row, name in enumerate(("landbird", "waterbird")):
        weights = [f"{one:.4g}" for one in head.weights[row].tolist()]
        assert columns[f"weight/{name}"] == [*weights, ""]
    empty = {name for name, column in columns.items() if column[2] == ""}
    assert empty == {"accuracy", "predicted_class", "predicted_bias", "weight/landbird",
                     "weight/waterbird"}  # fmt: skip


def head_probabilities(head: ConceptHead, features: torch.Tensor) -> torch.Tensor:
    return F.linear(F.normalize(features, dim=1), head.concepts, head.offsets).sigmoid()


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    """Of two binary columns, Cramér's V is the absolute correlation."""
    return torch.corrcoef(torch.stack([one, other]).double())[0, 1].abs().item()


def test_refuses(backbone, tables):
    """Of 120 images of training and 12 of the rare concept, no concept has 500."""
    with pytest.raises(ValueError, match=r"recipe.split must be one of train, val; got 'test'"):
        ConceptBottleneck(concepts="c.csv", split="test")
    for name in ("strength", "least_held_out", "epochs", "batch_size", "learning_rate"):
        with pytest.raises(ValueError, match=rf"recipe\.{name} must be .*; got -1"):
            ConceptBottleneck(concepts="c.csv", **{name: -1})
    given = (backbone.stage.parts, backbone.config)
    ConceptBottleneck(**tables, least_held_out=2).check(*given)
    with pytest.raises(ValueError, match=r"has 500 images of train with it and 500 without"):
        ConceptBottleneck(**tables, least_held_out=50).check(*given)
    with pytest.raises(ValueError, match="has no column 'class'"):
        ConceptBottleneck(concepts=tables["concepts"], prior=tables["concepts"]).check(*given)


@pytest.mark.slow
def test_a_run_reports_its_concepts_and_predicts_as_its_saved_head(tmp_path, capsys):
    """The concept is the place: the head can use nothing else, and the run says so."""
    options = ["recipe.name=concept_bottleneck", f"recipe.concepts={tmp_path}/concepts.csv"]
    options += ["recipe.least_held_out=3", "recipe.epochs=5", "epochs=1", "data.val=160"]
    config = configs.load("drawn_birds", overrides(tmp_path, *options))
    with pytest.raises(ValueError, match=r"no file .*concepts\.csv"):
        train(config)
    lines = (tmp_path / "birds" / "metadata.csv").read_text().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    rows = [[line[1], line[4]] for line in cells]
    written(tmp_path / "concepts.csv", [["path", "on_water"], *rows])
    run = train(config)
    said = capsys.readouterr().err
    assert "\nconcepts that go with the bias more than with the class: on_water; see" in said
    with (run / "concepts.csv").open() as file:
        [record] = csv.DictReader(file)
    assert record["concept"] == "on_water"
    assert record["bias"] == "1"
    saved = read(run / "predictions" / "test.csv")
    parts = Run(config, run).build(configs.read(configs.evaluated(run)))
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state)
    anew = predict_split(parts, "test", progress=False)
    torch.testing.assert_close(anew.logits, saved.logits, atol=1e-5, rtol=1e-5)
    assert main(["evaluate", str(run), "progress=false", "measures=none"]) == 0
