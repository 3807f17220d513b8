"""Contextual: the pairs that it finds reach the strategy, which begins at the first model."""

import torch

from debias import config as configs
from debias.commands.train import train
from debias.csv_files import read_csv

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
