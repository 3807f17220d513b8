"""``debias data make``: the folder, the counts, and what it refuses."""

import pytest

from debias.__main__ import main
from tests.data.made.small_files import write_digits


def test_it_prints_the_folder_and_the_counts(tmp_path, capsys):
    """Of six images of each digit at a skew of 0.5, three conflict; in the test, digit 0 has none
    of its own and the nine others have 0 or 1 by rounding.
    """
    write_digits(tmp_path)
    options = [f"root={tmp_path}", "val=0", "data.skew=0.5"]
    assert main(["data", "make", "coloured_mnist_lff", *options]) == 0
    place = tmp_path / "coloured_mnist_lff-skew0.5-severity4-val0-seed0"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"coloured_mnist_lff is in {place}"
    assert lines[1] == "train: 60 images, 30 bias-conflicting"
    assert lines[3].startswith("test: 40 images, ")
    assert {path.name for path in place.iterdir()} == {"images.npy", "labels.csv", "made.json"}
    assert main(["data", "make", "fashion_mnist", f"root={tmp_path}", "val=20"]) == 2
    assert "fashion_mnist is not generated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coloured_mnist_lff"], "no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in"),
        (["coloured_mnist_lff", "skw=1"], "unknown option data.skw; did you mean 'skew'"),
        (["waterbirds", "root=."], "waterbirds is not generated; "),
        (["coloured"], "no data set 'coloured'; did you mean"),
    ],
)
def test_mistakes_make_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "make", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
