"""``debias infer-groups``: each method's groups, their score, and that a run trains on them."""

import csv
import json
import shutil
from collections import Counter

import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands import infer_groups
from debias.commands.train import train
from debias.data.orders import seeded_generator
from debias.group_inference.environments import environment_weights
from debias.metrics.discovery.errors import class_discovery
from debias.reports.predictions import read
from tests.commands.conftest import overrides

SPLITS = infer_groups.SPLITS


def inferred_of(path):
    return {
        line["path"]: int(line["inferred"])
        for line in csv.DictReader(path.read_text().splitlines())
    }


def test_errors_of_both_splits_are_written_and_scored(finished, tmp_path, capsys):
    out = tmp_path / "groups.csv"
    assert main(["infer-groups", str(finished), "method=jtt", f"out={out}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    expected = {}
    for split in ("train", "val"):
        found = read(finished / "predictions" / f"{split}.csv")
        wrong = found.logits.argmax(dim=1) != found.target
        expected |= dict(zip(found.paths, wrong.long().tolist(), strict=True))
        scores = class_discovery(wrong, found.target, found.target != found.bias)
        for name, precision, recall in zip(
            ("landbird", "waterbird"), scores.precision, scores.recall, strict=True
        ):
            assert (
                f"    minority of {name}: precision {precision:.3f}, recall {recall:.3f}" in printed
            )
        assert (
            f"{split}: {(~wrong).sum()} images of value 0, {wrong.sum()} images of value 1"
            in printed
        )
    assert inferred_of(out) == expected
    assert printed[-1] == str(out)


def test_a_run_trains_on_them(finished, tmp_path):
    """Clusters, of which every class has at least two."""
    out = tmp_path / "groups.csv"
    assert main(["infer-groups", str(finished), "method=spare", "largest=2", f"out={out}"]) == 0
    config = configs.read(
        finished / "config.yaml",
        [f"groups.file={out}", "groups.splits=[train,val]", "strategy.step_size=0.5"],
    )
    parts = build(config)
    values = inferred_of(out)
    seen = parts.data.examples.bias[parts.examples.rows("train")]
    assert seen.tolist() == [
        values[parts.examples.images[row]] for row in parts.examples.rows("train").tolist()
    ]
    assert torch.equal(seen.unique(), torch.tensor([0, 1]))


def test_environments_are_cut_at_one_half(finished, tmp_path):
    """After one step the weights are still all but those that were drawn, on both sides of every
    other cut too.
    """
    out = tmp_path / "groups.csv"
    assert main(["infer-groups", str(finished), "method=eiil", "steps=1", f"out={out}"]) == 0
    parts = [read(finished / "predictions" / f"{split}.csv") for split in ("train", "val")]
    logits = torch.cat([part.logits for part in parts])
    target = torch.cat([part.target for part in parts])
    weights = environment_weights(logits, target, seeded_generator(0), steps=1, learning_rate=1e-3)
    assert ((weights > 0.4) & (weights < 0.5)).any()
    assert ((weights > 0.5) & (weights < 0.6)).any()
    paths = [path for part in parts for path in part.paths]
    assert inferred_of(out) == dict(zip(paths, (weights > 0.5).long().tolist(), strict=True))


def test_options_reach_the_method(finished, tmp_path):
    found = []
    for steps in (1, 400):
        out = tmp_path / f"{steps}.csv"
        arguments = ["method=eiil", f"steps={steps}", "learning_rate=0.1", f"out={out}"]
        assert main(["infer-groups", str(finished), *arguments]) == 0
        found.append(inferred_of(out))
    assert found[0] != found[1]


@pytest.mark.slow
def test_what_a_run_inferred_itself_is_written_and_scored(tmp_path, capsys):
    """XRM's mistakes of its twins, which need own networks; not the errors of its last model."""
    options = ["recipe.name=xrm", "recipe.twins.epochs=1", "epochs=1"]
    run = train(configs.load("drawn_birds", overrides(tmp_path, *options)))
    out = tmp_path / "again.csv"
    assert main(["infer-groups", str(run), "method=own", f"out={out}"]) == 0
    assert out.read_text() == (run / "groups.csv").read_text()
    printed = capsys.readouterr().out
    lines = list(csv.DictReader(out.read_text().splitlines()))
    for split in ("train", "val"):
        cells = Counter(
            (line["target"], line["inferred"], line["bias"])
            for line in lines
            if line["split"] == split
        )
        largest = [max(cells[y, v, b] for b in ("land", "water")) for y in "01" for v in "01"]
        assert f"    agreement/purity: {sum(largest) / cells.total():.3f}" in printed
        assert (
            f"{split}: {sum(n for (_, v, _), n in cells.items() if v == '0')} images of value 0"
            in printed
        )
    assert "minority of" not in printed
    elsewhere = [f"out={tmp_path}/other.csv", "data.train=40", f"data.root={tmp_path}/b"]
    assert main(["infer-groups", str(run), "method=own", *elsewhere]) == 2
    assert "names images that" in capsys.readouterr().err
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method=jt"], "did you mean 'jtt'"),
        (["method=xrm"], "recipes xrm, ssa and cnc"),
        (["method=own"], "has no groups.csv of its own: set method to one of jtt, eiil, spare"),
        (["method=eiil", "steps=many"], "steps"),
        (["method=eiil", "step=1"], "unknown key 'step'"),
        (["method=jtt", "data.train=40"], "are not of the images of"),
    ],
)
def test_mistakes(finished, tmp_path, capsys, arguments, message):
    assert (
        main(
            [
                "infer-groups",
                str(finished),
                *arguments,
                f"out={tmp_path}/groups.csv",
                f"data.root={tmp_path}/b",
            ]
        )
        == 2
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "groups.csv").exists()


@pytest.mark.parametrize(
    ("split", "named"), [(None, "train and val"), ("val", "train"), ("train", "val")]
)
def test_groups_that_equal_the_classes_are_warned_of(finished, tmp_path, monkeypatch, split, named):
    """The value of each image is 1 - its class; in one case, one image of a split has the other."""
    lengths = [len(read(finished / "predictions" / f"{part}.csv").target) for part in SPLITS]

    def inferring(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        values = 1 - target
        if split is not None:
            place = 0 if split == "train" else lengths[0]
            values[place] = target[place]
        return values

    monkeypatch.setitem(infer_groups.METHODS, "jtt", inferring)
    with pytest.warns(UserWarning, match=f"the inferred groups of {named} equal the classes"):
        infer_groups.run(str(finished), [f"out={tmp_path}/groups.csv"])


@pytest.mark.parametrize("method", ["jtt", "own"])
def test_data_of_other_classes_are_refused(finished, tmp_path, capsys, method):
    """As with data.target=COLUMN of another column; here, the record has other names."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "groups.csv").touch()
    record = json.loads((run / "report.json").read_text())
    record["data"]["targets"] = ["small", "large"]
    (run / "report.json").write_text(json.dumps(record))
    assert main(["infer-groups", str(run), f"method={method}", f"out={tmp_path}/groups.csv"]) == 2
    assert f"{run} has the classes small, large, and " in capsys.readouterr().err
    assert not (tmp_path / "groups.csv").exists()


def test_an_unfinished_run_is_refused(tmp_path, capsys):
    assert main(["infer-groups", str(tmp_path)]) == 2
    assert f"{tmp_path} is not a run folder" in capsys.readouterr().err
