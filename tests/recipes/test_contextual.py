"""Contextual: the pairs that it finds reach the strategy, which begins at the first model."""

from types import SimpleNamespace

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.csv_files import read_csv
from debias.errors import InputError
from debias.recipes.contextual import Contextual
from debias.reports.record import read_report
from debias.runs.run import Run
from debias.types import ContextPair, Groups

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
    assert read_report(run).groups.contexts == (ContextPair(0, 1),)
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


def test_training_says_what_is_common_and_validation_what_is_biased(tmp_path):
    """b and c are beside a in 3 and 1 of 4 training images; a needs c more on validation."""
    groups = Groups(("no a", "a", "no b", "b", "no c", "c"), ("x",), multi_label=True)
    training = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 1]])
    held_out = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 0, 0]])
    logits = torch.tensor([[1.0, 0, 0], [3.0, 0, 0], [-1.0, 0, 0]])
    examples = SimpleNamespace(
        groups=groups,
        target=torch.cat((held_out, training)),
        rows=lambda split: {"train": torch.arange(3, 7)}[split],
    )
    predicted = {"val": SimpleNamespace(target=held_out, logits=logits)}
    stage = SimpleNamespace(examples=examples, predictions=predicted.__getitem__)
    pairs = {
        share: Contextual(share=share)._pairs(stage, tmp_path / "pairs.csv")
        for share in (0.75, 0.25)
    }
    # b and c always lack each other
    assert pairs == {0.75: [["a", "b"]], 0.25: [["a", "c"]]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strategy.name=erm", "strategy.name=erm has no option pairs: take feature_split"),
        ("strategy.pairs=[[circle, cross]]", r"got strategy.pairs=\[\['circle', 'cross'\]\]: "),
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
