"""Contextual: the pairs that it finds reach the strategy, which begins at the first model."""

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.csv_files import read_csv
from debias.errors import InputError
from debias.recipes.contextual import Contextual
from debias.runs.run import Run

SMALL = (
    "data.train=64", "data.val=32", "data.test=16", "epochs=1", "recipe.standard.epochs=1",
    "batch_size=32", "progress=false", "measures=none", "precision=32-true",
)  # fmt: skip


def test_pairs_and_start(tmp_path):
    places = [f"data.root={tmp_path}", f"out={tmp_path}/runs", f"cache_dir={tmp_path}/cache"]
    run = train(configs.load("drawn_shapes/context_cam", [*SMALL, *places]))
    found = read_csv(run / "pairs.csv")
    pairs = list(zip(found.column("label"), found.column("context"), strict=True))
    assert len({label for label, _ in pairs}) == len(pairs) > 0
    biases = [float(cell) for cell in found.column("contextual_bias")]
    assert biases == sorted(biases, reverse=True)
    last = configs.load(str(run / configs.LAST_STAGE))
    assert [tuple(pair) for pair in last.strategy["pairs"]] == pairs
    first, final = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (
            run / "stages" / "standard" / "checkpoints" / "last.ckpt",
            run / "checkpoints" / "epoch=000.ckpt",
        )
    )
    for name in (name for name in first if name.startswith("model.")):
        copied = final[f"strategy.initial.{name.removeprefix('model.')}"]
        assert torch.equal(first[name], copied), name
    assert not torch.equal(first["model.head.weight"], final["model.head.weight"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strategy.name=erm", "strategy.name=erm has no option pairs: take feature_split"),
        ("strategy.pairs=[[circle, cross]]", r"got strategy.pairs=\[\['circle', 'cross'\]\]: leave"),
    ],
)
def test_refuses_before_the_first_stage(override, message, tmp_path):
    run = Run(configs.load("drawn_shapes/context_cam", [override]), tmp_path)
    with pytest.raises(InputError, match=message):
        Contextual().stages(run)
    assert len(Contextual(find=False).stages(run)) == 2


def test_the_last_stage_is_checked_but_for_its_strategy(tmp_path):
    overrides = ["sampler.name=group_balanced", "augment.name=mixup"]
    run = Run(configs.load("drawn_shapes/context_cam", overrides), tmp_path)
    first, last = Contextual().stages(run)
    assert first.sampler["name"] == "shuffled"
    assert (last.sampler, last.augment) == (run.config.sampler, run.config.augment)
    assert last.strategy == {"name": "erm"}
