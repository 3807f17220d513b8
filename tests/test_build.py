"""A config to the objects of a run: facts, requirements, and refusals before training."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from debias import components, shipped_configs
from debias import config as configs
from debias.build import build, facts_of
from debias.checks import check_selection
from debias.commands.train import train
from debias.data.fair_batches import FairBatches
from debias.data.orders import Permuted, Weighted
from debias.data.partition import inferred_partition, write_inferred
from debias.json_files import plain
from debias.metrics.selection import chosen_rule
from debias.recipes.dfr import DFR
from debias.recipes.jtt import JTT
from debias.recipes.one_stage import OneStage
from debias.recipes.ssa import SSA
from debias.reports.predictions import read
from debias.runs.description import describe, labels_read
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.training.prediction import choose_precision
from tests.commands.conftest import overrides
from tests.fakes import birds
from tests.reports.sample_runs import sample_report


def small(tmp_path: Path, name: str, *more: str) -> configs.Config:
    """A shipped config, or what replaces one of before, on a few drawn birds."""
    source, *names = (
        shipped_configs.former().get(f"drawn_birds/{name}", f"drawn_birds/{name}").split()
    )
    return configs.load(source, [*names, *overrides(tmp_path, *more)])


def test_facts_are_those_of_the_training_split(tmp_path):
    """80 training birds, 95 % aligned: 38 and 2 of each kind."""
    facts = facts_of(birds(tmp_path), seed=7)
    assert facts["frequencies"].tolist() == [38, 2, 2, 38]
    assert facts["class_frequencies"].tolist() == [40, 40]
    assert torch.bincount(facts["group"]).tolist() == [38, 2, 2, 38]
    assert torch.bincount(facts["bias"]).tolist() == [40, 40]
    assert (facts["samples"], facts["seed"]) == (len(birds(tmp_path)), 7)


def test_strategy_and_order_are_those_of_the_config(tmp_path):
    parts = build(small(tmp_path, "group_dro", "strategy.adjustment=2"))
    assert isinstance(parts.module.strategy, GroupDRO)
    expected = 2 / torch.tensor([38.0, 2.0, 2.0, 38.0]).sqrt()
    torch.testing.assert_close(parts.module.strategy.robust.margin, expected)
    assert isinstance(parts.data.order, Weighted)
    parts = build(small(tmp_path, "erm", "sampler.name=group_subsample", "sampler.repeats=3"))
    assert isinstance(parts.module.strategy, ERM)
    assert isinstance(parts.data.order, Permuted)
    assert len(parts.data.order) == 3 * 4 * 2
    assert parts.data.mean.tolist() == pytest.approx(parts.module.model.mean)


def test_the_seed_decides_the_initial_weights(tmp_path):
    first, again, other = (
        build(small(tmp_path, "erm", f"seed={seed}")).module.state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["model.head.weight"], other["model.head.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["strategy.name=echoes", "epochs=1"], "epochs must be above 1 with strategy.name=echoes"),
        (["sampler.name=progressive", "epochs=3"], "sampler.warmup must be below epochs"),
    ],
)
def test_a_finished_run_of_too_few_epochs_can_be_evaluated(tmp_path, changes, message):
    """Releases without this check have trained such runs."""
    config = small(tmp_path, "erm", *changes)
    with pytest.raises(ValueError, match=message):
        build(config)
    build(config, trains=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("erm", ()), ("rwy", ()), ("class_reweighting", ()), ("rwg", ("bias",)), ("subg", ("bias",)),
     ("group_dro", ("bias", "groups")), ("group_reweighting", ("bias", "groups")),
     ("badd", ("bias",))],
)  # fmt: skip
def test_requirements(tmp_path, name, expected):
    config = small(tmp_path, name)
    assert components.requirements(config) == components.choose(config).requires == expected


def without_bias(tmp_path: Path, *unlabelled: str) -> str:
    """The drawn birds as an own table, the bias of some splits left out."""
    examples = birds(tmp_path)
    rows = ["path,target,bias,split"]
    for row, image in enumerate(examples.images):
        split = ("train", "val", "test")[examples.split[row]]
        bias = "" if split in unlabelled else examples.bias[row].item()
        rows.append(f"{image},{examples.target[row]},{bias},{split}")
    (tmp_path / "birds" / "own.csv").write_text("\n".join(rows) + "\n")
    return f"{tmp_path}/birds/own.csv"


def own(tmp_path: Path, csv: str, *more: str) -> configs.Config:
    (tmp_path / "own.yaml").write_text("extends: drawn_birds\ndata: {name: table}\n")
    small = [
        "preprocessing.size=32",
        "model.name=test_resnet",
        f"data.csv={csv}",
        f"out={tmp_path}/runs",
    ]
    return configs.load(str(tmp_path / "own.yaml"), [*small, *more])


def test_a_group_rule_needs_bias_labels_in_validation(tmp_path):
    csv = without_bias(tmp_path, "val")
    with pytest.raises(
        ValueError, match=r"select=worst_group needs .*select=worst_class or select=average"
    ):
        build(own(tmp_path, csv, "select=worst_group"))
    assert build(own(tmp_path, csv, "select=worst_class")).examples.frequencies("val").tolist() == [
        0,
        0,
        0,
        0,
    ]


def test_labels_that_auto_selection_reads_follow_from_the_data(tmp_path):
    """Training may lack them; of validation, a run reads the labels that there are, and none where
    there are none.
    """
    for unlabelled, rule, seen in (("train", "worst_group", "val"), ("val", "worst_class", "none")):
        config = own(tmp_path, without_bias(tmp_path, unlabelled))
        parts = build(config)
        assert describe(parts, config, OneStage())["strategy"]["group_labels"] == seen
        assert chosen_rule(config.select, labelled=seen == "val") == rule


def test_a_group_method_needs_bias_labels_in_training(tmp_path):
    csv = without_bias(tmp_path, "train")
    with pytest.raises(ValueError, match="80 training images have no bias attribute"):
        build(own(tmp_path, csv, "sampler.name=group_balanced"))
    with pytest.raises(ValueError, match="80 training images have no bias attribute"):
        build(own(tmp_path, csv, "strategy.name=group_dro"))


def test_precision_is_low_only_where_it_is_fast():
    depthwise = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=4))
    residual = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3))
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert choose_precision(depthwise, "cpu") == "32-true"
    assert choose_precision(torch.nn.Linear(2, 2), "cpu") == "32-true"
    assert choose_precision(residual, "cpu") == ("bf16-mixed" if fast else "32-true")
    assert choose_precision(residual, "mps") == "32-true"


@pytest.mark.parametrize(("scale", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_learning_rates_of_all_players_scale_with_the_processes(tmp_path, scale, factor):
    """Those of two machines of two devices; the schedule starts from the scaled rate.

    The objects of a run on GPUs can be built on a CPU, as for its evaluation.
    """
    rates = ("optimizer.lr=0.1", "players={adversary: {lr: 0.01}}", f"scale_lr={scale}")
    given = ("strategy.name=uniform_confusion", *rates, "nodes=2", "devices=2")
    given = (*given, "sync_batchnorm=true")
    module = build(small(tmp_path, "erm", *given)).module
    optimizers, schedulers = module.configure_optimizers()
    own = {"adversary": 0.01}
    expected = [own.get(player, 0.1) * factor for player in module.players]
    assert len(expected) > 1
    assert [one.param_groups[0]["lr"] for one in optimizers] == pytest.approx(expected)
    assert [one.base_lrs[0] for one in schedulers] == pytest.approx(expected)


def test_a_sampler_gets_the_batch_of_all_processes_on_all_machines(tmp_path):
    sizes = ("batch_size=3", "nodes=2", "devices=2", "sync_batchnorm=true")
    order = build(small(tmp_path, "erm", "sampler.name=fair_batch", *sizes)).data.order
    assert isinstance(order, FairBatches)
    assert order.batch_size == 3 * 2 * 2


def test_players_have_options_of_their_own(tmp_path):
    """An entry of players goes over the optimizer section; another name leaves it behind."""
    options = [
        "strategy.name=feature_sieve",
        "strategy.width=8",
        "optimizer.name=sgd",
        "optimizer.lr=0.5",
    ]
    own = ["players.early={lr: 0.25, momentum: 0.0}", "players.auxiliary={name: adam}"]
    module = build(small(tmp_path, "erm", *options, *own)).module
    optimizers, _ = module.configure_optimizers()
    found = dict(zip(module.players, optimizers, strict=True))
    assert {player: type(optimizer).__name__ for player, optimizer in found.items()} == {
        "model": "SGD", "auxiliary": "Adam", "early": "SGD",
    }  # fmt: skip
    rates = {player: optimizer.defaults["lr"] for player, optimizer in found.items()}
    assert rates == {"model": 0.5, "auxiliary": 1e-3, "early": 0.25}
    assert found["early"].defaults["momentum"] == 0.0
    with pytest.raises(ValueError, match=r"no player 'aux'; did you mean 'auxiliary'"):
        build(small(tmp_path, "erm", *options, "players.aux={lr: 1}"))


def test_a_batch_too_small_for_hsic_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="rebias needs batches of at least 4 samples; got batch_size=3"
    ):
        build(small(tmp_path, "rebias", "batch_size=3"))
    assert build(small(tmp_path, "rebias")).data.smallest_batch == 4


@pytest.mark.parametrize(
    ("name", "options", "smallest"),
    [
        ("debian", ["strategy.own_halves=true"], 4),
        ("feature_adversary", ["strategy.hidden_layers=1"], 2),
        ("feature_adversary", ["strategy.hidden_layers=0"], 1),
        ("uniform_confusion", ["strategy.hidden_layers=1"], 2),
    ],
)
def test_options_of_a_strategy_need_larger_batches(tmp_path, name, options, smallest):
    """Batch normalisation needs two images, also in a network that reads half of the batch."""
    given = [f"strategy.name={name}", *options, "model.freeze_batch_norm=true"]
    parts = build(small(tmp_path, "erm", *given, f"batch_size={smallest}"))
    assert parts.data.smallest_batch == smallest
    if smallest > 1:
        message = f"{name} needs batches of at least {smallest} samples; got batch_size=1"
        with pytest.raises(ValueError, match=message):
            build(small(tmp_path, "erm", *given, "batch_size=1"))


def test_a_warm_up_longer_than_the_run_is_refused(tmp_path):
    """80 birds in batches of 16 are 5 steps an epoch, 15 in three: with 15 of them for the warm-up
    none is left.
    """
    with pytest.raises(
        ValueError, match="this run has 15 steps, and the strategy updates model in none of them"
    ):
        build(small(tmp_path, "learned_mixin", "strategy.warmup=15"))
    parts = build(small(tmp_path, "learned_mixin", "strategy.warmup=14"))
    assert [turn.player for turn in parts.module.strategy.turns(14)] == ["model"]


@pytest.mark.parametrize(
    ("name", "option", "others"),
    [
        ("irm", "warmup", ()),
        ("spectral_decoupling", "warmup", ()),
        ("disentangled", "swap_after", ()),
        ("badd", "refit_from", ("strategy.warmup=1",)),
    ],
)
def test_a_part_of_a_strategy_that_begins_after_the_run(tmp_path, name, option, others):
    """Of 15 steps, the last one is number 14."""
    named = [f"strategy.name={name}", *others]
    message = (
        f"15 steps, and a part of {name} begins at step strategy.{option}=15, so that it is never"
    )
    with pytest.warns(UserWarning, match=message):
        build(small(tmp_path, "erm", *named, f"strategy.{option}=15"))
    build(small(tmp_path, "erm", *named, f"strategy.{option}=14"))


def test_the_steps_of_a_run_leave_out_a_short_last_batch(tmp_path):
    """80 birds in batches of 79 are one step an epoch, because one bird is left out."""
    with pytest.raises(ValueError, match="this run has 3 steps"):
        build(small(tmp_path, "learned_mixin", "batch_size=79", "strategy.warmup=3"))
    parts = build(small(tmp_path, "learned_mixin", "batch_size=79", "strategy.warmup=2"))
    assert parts.data.steps(1) == len(parts.data.train_dataloader()) == 1


def test_every_player_must_move_in_the_run(tmp_path):
    with pytest.raises(ValueError, match="updates adversary in none of them: train for more"):
        build(small(tmp_path, "uniform_confusion", "strategy.every=15"))


def test_a_strategy_for_inferred_groups_is_not_given_the_true_ones(tmp_path):
    """DaC's last stage takes a bias of 0 for a low loss."""
    with pytest.raises(
        ValueError, match=r"strategy.name=decompose_compose needs inferred groups.*set groups.file"
    ):
        build(small(tmp_path, "erm", "strategy.name=decompose_compose"))


@pytest.mark.slow
def test_a_tree_without_bias_labels_trains_and_reports(tmp_path):
    """The layout split/target/image: no group is known, there are class metrics alone."""
    examples = birds(tmp_path)
    for row, image in enumerate(examples.images):
        split, target = ("train", "val", "test")[examples.split[row]], examples.target[row].item()
        place = tmp_path / "tree" / split / f"class{target}" / Path(image).name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(examples.root / image)
    (tmp_path / "own.yaml").write_text("extends: drawn_birds\ndata: {name: folder}\nepochs: 1\n")
    options = [
        "preprocessing.size=32",
        "model.name=test_resnet",
        f"data.root={tmp_path}/tree",
        "progress=false",
    ]
    run = train(configs.load(str(tmp_path / "own.yaml"), [*options, f"out={tmp_path}/runs"]))
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == "none"
    assert report["metrics"]["test"]["scalars"]["worst_group"] is None
    counts = torch.bincount(read(run / "predictions" / "test.csv").target).tolist()
    assert counts == [20, 20]
    assert report["selection"]["rule"] == "worst_class"


def test_a_group_that_validation_lacks_is_said(tmp_path):
    """The select rule would quietly go by the other groups."""
    examples = birds(tmp_path)
    group = examples.groups.encode(examples.target, examples.bias)
    kept = (examples.split != 1) | (group != 2)
    lacking = dataclasses.replace(
        examples,
        images=tuple(
            image for image, keep in zip(examples.images, kept.tolist(), strict=True) if keep
        ),
        target=examples.target[kept],
        bias=examples.bias[kept],
        split=examples.split[kept],
    )
    with pytest.warns(
        UserWarning, match="no validation image in waterbird-land: select=worst_group ignores"
    ):
        check_selection(small(tmp_path, "erm"), lacking)


def test_flac_reads_the_training_labels_that_there_are(tmp_path):
    assert labels_read(small(tmp_path, "flac"), OneStage()) == "train+val"
    assert labels_read(small(tmp_path, "lff"), OneStage()) == "val"


def test_labels_that_an_early_stage_or_a_backbone_reads_are_told(tmp_path):
    """By the stages' own config, or by the report of the finished run whose backbone is taken."""
    erm = small(tmp_path, "erm", "select=average")
    assert labels_read(erm, DFR()) == "val"
    assert labels_read(erm, DFR(base={"strategy": {"name": "group_dro"}})) == "train+val"
    assert labels_read(erm, SSA(predictor={"sampler": {"name": "group_balanced"}})) == "val"
    assert labels_read(erm, JTT()) == "none"
    assert labels_read(erm, JTT(identification={"sampler": {"name": "group_balanced"}})) == "train"
    (tmp_path / "run").mkdir()
    start = small(tmp_path, "erm", "select=average", f"model.weights={tmp_path}/run")
    for seen, split, expected in (
        ("train+val", "val", "train+val"),
        ("val", "train", "train+val"),
        ("none", "val", "val"),
    ):
        report = sample_report(config=configs.plain(erm)) | {
            "strategy": {"name": "erm", "group_labels": seen}
        }
        (tmp_path / "run" / "report.json").write_text(json.dumps(plain(report)))
        assert labels_read(erm, DFR(split=split, backbone=str(tmp_path / "run"))) == expected
        assert labels_read(start, OneStage()) == seen


@pytest.mark.parametrize(
    "sampler", ["sampler.name=upweighted sampler.copies=2", "sampler.name=cluster_balanced"]
)
@pytest.mark.parametrize("splits", ["none", "val", "train"])
def test_a_sampler_by_inferred_groups_is_not_given_the_true_ones(tmp_path, sampler, splits):
    """A file for the training split changes its draws: the first 10 rows, three times as often."""
    options = (
        [*sampler.split(), "sampler.powers=[1,1]"] if "cluster" in sampler else sampler.split()
    )
    csv, examples = without_bias(tmp_path), birds(tmp_path)
    if splits != "none":
        inferred = (torch.arange(len(examples)) < 10).long()
        write_inferred(tmp_path / "groups.csv", examples, inferred)
        options += [f"groups.file={tmp_path}/groups.csv", f"groups.splits=[{splits}]"]
    config = own(tmp_path, csv, *options)
    if splits != "train":
        with pytest.raises(
            ValueError, match=rf"{sampler.split()[0]} needs inferred groups.*set groups.file"
        ):
            build(config)
        return
    drawn = build(config).data.order.draw(torch.Generator().manual_seed(0))
    assert len(drawn) == (100 if "copies" in sampler else 80)
    assert labels_read(config, OneStage()) == "val"


def test_a_strategy_by_inferred_groups_needs_one_for_every_training_image(tmp_path):
    examples = birds(tmp_path)
    inferred = (torch.arange(len(examples)) < 10).long()
    inferred[examples.rows("train")[3]] = -1
    write_inferred(tmp_path / "groups.csv", examples, inferred)
    (tmp_path / "groups.csv").write_text(
        (tmp_path / "groups.csv").read_text() + f"{examples.images[3]},train,0,,\n"
    )
    options = ["strategy.name=decompose_compose", f"groups.file={tmp_path}/groups.csv"]
    with pytest.raises(ValueError, match="1 training images have no bias attribute"):
        build(own(tmp_path, without_bias(tmp_path), *options))


def test_a_partition_in_memory_stands_in_for_its_file(tmp_path):
    """The file is not read: there is none. The first 10 rows are drawn three times as often."""
    examples = birds(tmp_path)
    train = examples.rows("train")
    inferred = torch.full_like(examples.split, -1)
    inferred[train] = (torch.arange(len(train)) < 10).long()
    partition = inferred_partition(inferred, examples, tmp_path / "gone.csv")
    config = own(tmp_path, without_bias(tmp_path), "sampler={name: upweighted, copies: 2}")
    config = configs.changed(config, {"groups": partition.section})
    parts = build(config, partition)
    assert parts.module.training_groups.bias_names == ("0", "1")
    assert torch.equal(parts.examples.bias, examples.bias)
    drawn = parts.data.order.draw(torch.Generator().manual_seed(0)).bincount()
    assert drawn.tolist() == [3] * 10 + [1] * 70
    assert torch.equal(parts.data.examples.bias[train], inferred[train])
    with pytest.raises(ValueError, match=r"groups\.file=.*gone\.csv is not a file"):
        build(config)


def test_a_single_logit_is_not_for_several_labels(tmp_path):
    sizes = ["data.train=64", "data.val=32", "data.test=16", f"data.root={tmp_path}/shapes"]
    config = configs.load("drawn_shapes", [*sizes, "model.one_logit=true"])
    with pytest.raises(ValueError, match=r"one_logit=true is for .* two classes.* several labels"):
        build(config)
