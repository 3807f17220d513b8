"""``debias data list``: one row per preset, and all facts of one."""

import pytest

from debias.__main__ import main
from debias.presets import names


def test_every_preset_has_a_row_with_its_number_of_images(capsys):
    assert main(["data", "list"]) == 0
    rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()[2:]
    assert [row.split()[0] for row in rows] == list(names())
    images = {row.split()[0]: row for row in rows}
    assert "landbird or waterbird" in images["waterbirds"]
    assert "11,788 [R]" in images["waterbirds"]
    # sums of classes, and of the groups of each split
    assert "2,595 [R]" in images["bar"]
    assert "10,000 [C]" in images["urbancars"]


def test_the_facts_of_one_end_with_its_configs(capsys):
    assert main(["data", "list", "biased_mnist"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("biased_mnist: MNIST's digits in white")
    assert "  train: 55,000 images [R]" in lines
    assert lines.count("  [R]: counted in the files themselves") == 1
    assert lines[-1].startswith("  configs (`debias list configs 'biased_mnist*'`): biased_mnist, ")


def test_a_set_for_classifiers_of_imagenet_names_its_command(capsys):
    assert main(["data", "list", "imagenet_a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "  `debias evaluate timm:NETWORK data=imagenet_a root=PATH` evaluates on it"


def test_list_datasets_prints_the_facts_of_a_preset_too(capsys):
    assert main(["list", "datasets", "pacs"]) == 0
    listed = capsys.readouterr().out
    assert main(["data", "list", "pacs"]) == 0
    assert capsys.readouterr().out == listed
    assert '    data.test_domains=["sketch"]' in listed.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["celebaa"], "no data set 'celebaa'; did you mean 'celeba'"),
        (["celeba", "root=x"], "`debias data list` has no options; got root=x"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["data", "list", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_reader_is_no_data_set(capsys):
    assert main(["data", "list", "table"]) == 2
    message = "debias: table reads data of your own: `debias list datasets table` lists its options"
    assert capsys.readouterr().err.strip() == message
