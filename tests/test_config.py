"""Configs: layers, overrides, errors that name the near miss, identity."""

import dataclasses

import pytest

from debias import config as configs
from debias import shipped_configs
from debias.config import Config


def write(path, text):
    path.write_text(text)
    return str(path)


def test_layers_from_defaults_to_overrides(tmp_path):
    write(tmp_path / "base.yaml", "epochs: 7\noptimizer: {lr: 0.5, weight_decay: 0.25}\n")
    top = write(tmp_path / "top.yaml", "extends: base.yaml\noptimizer: {lr: 0.125}\nseed: 3\n")
    loaded = configs.load(top, ["seed=4", "data.root=/x", "clip=1"])
    assert loaded.optimizer == {"name": "sgd", "lr": 0.125, "weight_decay": 0.25}
    assert (loaded.epochs, loaded.seed, loaded.clip) == (7, 4, 1.0)
    assert loaded.data == {"name": "waterbirds", "root": "/x"}
    assert loaded.batch_size == Config().batch_size


def test_a_new_name_drops_the_old_component_s_options(tmp_path):
    top = write(
        tmp_path / "top.yaml", "optimizer: {name: sgd, momentum: 0.5}\nmodel: {pretrained: false}\n"
    )
    loaded = configs.load(top, ["optimizer.name=adam", "model.name=resnet18"])
    assert loaded.optimizer == {"name": "adam"}
    assert loaded.model == {"name": "resnet18", "pretrained": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {name: table, csv: a.csv}", {"name": "resize"}),
        (
            "data: {name: folder, root: a}\npreprocessing: {size: 64}",
            {"name": "resize", "size": 64},
        ),
        (
            "data: {name: table, csv: a.csv}\npreprocessing: {name: waterbirds}",
            {"name": "waterbirds"},
        ),
        ("extends: waterbirds\ndata: {name: table, csv: a.csv}", {"name": "waterbirds"}),
        ("epochs: 1", {"name": "waterbirds"}),
    ],
)
def test_images_of_one_s_own_are_kept_whole_unless_a_config_names_a_recipe(
    tmp_path, text, expected
):
    """A run that was begun holds its recipe by name, and keeps it."""
    loaded = configs.load(write(tmp_path / "mine.yaml", text))
    assert loaded.preprocessing == expected
    begun = configs.plain(loaded) | {"preprocessing": {"name": "waterbirds"}}
    assert configs.from_plain(begun).preprocessing == {"name": "waterbirds"}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["preprocessing.name=waterbirds"], {"name": "waterbirds", "size": 96}),
        (["preprocessing.name=resize"], {"name": "resize"}),
        (
            ["preprocessing.name=resize", "data.name=folder"],
            {"name": "resize", "size": 96},
        ),
    ],
)
def test_the_name_that_the_data_set_implies_keeps_the_options(tmp_path, overrides, expected):
    """The data set implies "waterbirds", and a folder of images "resize"."""
    path = write(tmp_path / "mine.yaml", "data: {name: waterbirds}\npreprocessing: {size: 96}\n")
    assert configs.load(path, overrides).preprocessing == expected


def test_extends_a_shipped_config(tmp_path):
    loaded = configs.load(
        write(tmp_path / "mine.yaml", "extends: waterbirds/group_dro_strong\nseed: 9\n")
    )
    assert loaded.strategy == {"name": "group_dro"}
    assert loaded.optimizer == {"name": "sgd", "lr": 1e-5, "weight_decay": 1.0}
    assert loaded.seed == 9


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("sede: 1", [], "unknown key 'sede'; did you mean 'seed'"),
        ("seed: one", [], "seed must be an integer; got 'one'"),
        ("strategy: erm", [], "write strategy.name=erm"),
        ("seed: 1", ["seed=[1"], "override seed=[1 cannot be read"),
        (
            "seed: 1",
            ["data.root=/a #b"],
            """is read as data.root=/a: write that, or quote a text, as in 'data.root="/a #b"'""",
        ),
        ("seed: 1", ["data.pattern={a}/x"], """with braces as 'data.pattern="{a}/x"'"""),
        ("seed: 1", ["data.root=???"], "data.root has no value"),
        ("seed: 1", ["data=null"], "write data.name=NAME"),
        ("seed: 1", ["data={1: x}"], "data.1: Key 1 .int. is incompatible with"),
        ("seed: 1", ["clip=[1]"], "clip must be a number or null; got [1]"),
        ("seed: 1", ["name=two", "epochs=${name}"], "epochs must be an integer; got"),
        ("seed: 1", ["data.root=${sed}/x"], "data.root: Interpolation key 'sed' not found"),
        ("extends: waterbrids", [], "did you mean 'waterbirds'"),
    ],
)
def test_mistakes_are_named(tmp_path, text, overrides, message):
    path = write(tmp_path / "config.yaml", text)
    with pytest.raises(ValueError, match="(?s)" + message.replace("[", r"\[")):
        configs.load(path, overrides)


def test_values_are_converted_and_lists_and_dictionaries_are_nobody_else_s(tmp_path):
    """True, 1 and "1" are one text and three values; changes in one config stay there."""
    base = configs.base(
        write(tmp_path / "c.yaml", "clip: 1\nrecipe: {name: dfr, first: {epochs: 2}, list: [1]}\n")
    )
    one = base.config(["workers='1'", "data.root=${seed}/x", "seed=7"])
    other = base.config(["out=1", "recipe.list=???"])
    assert repr((one.workers, one.clip, one.data["root"], other.out)) == "(1, 1.0, '7/x', '1')"
    one.recipe["first"]["epochs"] = 9
    other.recipe["list"].append(2)
    assert base.config().recipe == {"name": "dfr", "first": {"epochs": 2}, "list": [1]}
    with pytest.raises(ValueError, match="workers must be an integer or null; got True"):
        base.config(["workers=true"])
    assert base.config(["workers=1"]).workers == 1


def test_what_is_saved_is_what_is_read(tmp_path):
    loaded = configs.load("celeba/erm_multi_label", ["data.root=/c", "seed=5", "clip=0.5"])
    configs.save(loaded, tmp_path / "config.yaml")
    assert configs.read(tmp_path / "config.yaml") == loaded
    assert configs.from_plain(configs.plain(loaded)) == loaded
    assert loaded.name == "celeba/erm_multi_label"


def test_identity_is_of_what_is_computed():
    base = configs.load("waterbirds")
    elsewhere = dataclasses.replace(
        base, out="/elsewhere", workers=3, cache=False, name="mine", progress=False
    )
    assert configs.identity(elsewhere) == configs.identity(base)
    for change in (
        {"seed": 1},
        {"epochs": 1},
        {"strategy": {"name": "group_dro"}},
        {"precision": "32-true"},
    ):
        assert configs.identity(dataclasses.replace(base, **change)) != configs.identity(base)


def test_auto_selection_is_the_worst_group_or_nothing_that_another_run_could_be():
    """So runs of before ``auto`` keep their names."""
    auto = configs.load("waterbirds")
    assert auto.select == "auto"
    assert configs.identity(dataclasses.replace(auto, select="worst_group")) == configs.identity(
        auto
    )
    assert configs.identity(dataclasses.replace(auto, select="worst_class")) != configs.identity(
        auto
    )


def test_a_run_has_the_name_it_had_when_the_size_of_evaluation_batches_was_counted_in():
    """The name is the one that the earlier release gave to these settings, with default 256."""
    told = ["data.root=/x", "optimizer.lr=1e-4", "strategy.name=group_dro"]
    told += ["sampler.name=group_balanced"]
    name = "waterbirds-group_dro-group_balanced-seed0-2933ab9c"
    for more in ([], ["eval_batch_size=7"], ["anonymous=true"], ["compile=false", "ema=null"]):
        assert configs.run_name(configs.load("waterbirds", [*told, *more])) == name
    for more in ("accumulate=2", "ema=0.9", "compile=true"):
        assert configs.run_name(configs.load("waterbirds", [*told, more])) != name


def test_run_names_say_what_and_which_seed():
    loaded = configs.load("waterbirds", ["sampler.name=group_subsample", "seed=2"])
    assert (
        configs.run_name(loaded)
        == f"waterbirds-erm-group_subsample-seed2-{configs.identity(loaded)}"
    )


def test_shipped_configs_hold_only_differences():
    """No key of a shipped config repeats what the config it extends, or the schema, says."""
    for path in sorted(shipped_configs.folder().rglob("*.yaml")):
        *below, layer = configs._layers(path)
        base = configs.plain(configs._assemble(*below))
        for key, value in layer.items():
            before, now = (base[key], value) if key in configs.SECTIONS else (base, {key: value})
            if key in configs.SECTIONS and value.get("name", before["name"]) != before["name"]:
                continue  # another component has none of the old one's options
            # a data set's own file says its components' names even where they are the defaults
            assert not {name for name in now if now[name] == before.get(name)} - {"name"}, (
                f"{path}: {key}"
            )


def test_a_config_that_is_read_once_makes_every_run_as_if_it_were_read_for_it(tmp_path):
    """The default preprocessing of one run does not stay for the next, of another data set."""
    path = tmp_path / "own.yaml"
    path.write_text("epochs: 2\n")
    base = configs.base(str(path))
    for name, preprocessing in (("waterbirds", "waterbirds"), ("folder", "resize")) * 2:
        found = base.config([f"data.name={name}"])
        assert found == configs.load(str(path), [f"data.name={name}"])
        assert found.preprocessing["name"] == preprocessing
