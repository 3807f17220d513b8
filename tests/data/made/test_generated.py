"""Generated sets from small files: counts and pixels by hand, folders, one method on each."""

import json

import numpy as np
import pytest
import torch

from debias import components
from debias import config as configs
from debias.commands.train import train
from debias.data.examples import SPLITS
from debias.data.made.coloured_mnist import VERSIONS, coloured_mnist
from debias.data.made.coloured_mnist_cnc import coloured_mnist_cnc
from debias.data.made.coloured_mnist_lff import coloured_mnist_lff
from debias.data.made.colours import COLOURS, TINTS
from debias.data.made.corrupted_cifar10 import TYPES, corrupted_cifar10
from debias.data.made.corruptions import corrupted
from debias.data.made.fb_biased_mnist import OWN_INKS, fb_biased_mnist
from debias.data.made.mnist_cifar import mnist_cifar
from debias.data.made.mnist_squares import mnist_squares
from debias.data.made.multi_color_mnist import multi_color_mnist
from debias.data.made.spuco_mnist import spuco_mnist
from debias.data.sets.cifar10 import cifar10
from debias.data.sets.mnist import mnist
from tests.data.made.small_files import photos, write_cifar, write_digits

#: Every generated set at options for 60 digits or 100 photos.
SETS = {
    "mnist": {"val": 20},
    "cifar10": {"val": 20},
    "coloured_mnist": {"val": 20, "bias": ["colour", "environment"]},
    "coloured_mnist_lff": {"val": 20, "skew": 0.5},
    "multi_color_mnist": {"val": 20, "skews": [0.5, 0.5], "bias": "left"},
    "fb_biased_mnist": {"val": 20, "rho": [0.5, 0.5], "bias": "foreground"},
    "spuco_mnist": {"val": 20, "strength": 0.5},
    "coloured_mnist_cnc": {"val": 20, "share": 0.5},
    "mnist_squares": {"val": 20, "conflict": 0.2},
    "mnist_cifar": {"val": 0.4, "share": 0.5},
    "corrupted_cifar10": {"val": 20, "skew": 0.5},
}
PHOTOS = ("cifar10", "mnist_cifar", "corrupted_cifar10")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    digits, photos = write_digits(folder / "mnist"), write_cifar(folder / "cifar")
    return {name: str(photos if name in PHOTOS else digits) for name in SETS} | {"top": str(digits)}


def section(name, roots):
    beside = {"top": roots["top"]} if name == "mnist_cifar" else {}
    return {"name": name, "root": roots[name], **beside, **SETS[name]}


def pixels(examples):
    return np.stack([examples.store.read(row) for row in range(len(examples))])


@pytest.mark.filterwarnings("ignore:.*no (training|validation) image in")
@pytest.mark.parametrize("name", SETS)
def test_one_method_trains_on_each(name, roots, tmp_path):
    """The environments of IRM are one of two bias columns. LfF needs no labels of the bias."""
    environments = {"name": "irm", "environments": "environment", "warmup": 0}
    layers = ["max_pool 4", "flatten", "linear 8", "relu"]
    config = configs.from_plain(
        {
            "data": section(name, roots),
            "preprocessing": {"name": "resize", "size": 28},
            "model": {"name": "layers", "size": 28, "layers": layers},
            "strategy": environments if name == "coloured_mnist" else {"name": "lff"},
            "epochs": 1,
            "batch_size": 20,
            "precision": "32-true",
            "progress": False,
            "loggers": [],
            "out": str(tmp_path / "runs"),
            "cache_dir": str(tmp_path / "cache"),
        }
    )
    run = train(config)
    lines = (run / "predictions" / "test.csv").read_text().splitlines()
    examples = components.construct("data", config.data, {})
    assert len(lines) - 1 == len(examples.rows("test"))


def frequencies(examples, split, position=None):
    counts = examples.frequencies(split)
    if position is not None:
        counts = examples.groups.marginal(counts, position)
    return counts.reshape(examples.groups.rows, -1)


def test_plain_sets_keep_pixels_and_order(roots):
    """Of 6 images per class, 2 are held out. Order and pixels stay."""
    examples = mnist(root=roots["mnist"], val=20)
    assert frequencies(examples, "train").sum() == 0
    counts = [examples.class_counts(split).tolist() for split in SPLITS]
    assert counts == [[4] * 10, [2] * 10, [4] * 10]
    read = pixels(examples)
    assert examples.target[:60].tolist() == list(range(10)) * 6
    assert all(read[row, row % 10, 1].tolist() == [1 + row] * 3 for row in range(60))
    test = cifar10(root=roots["cifar10"], val=20)
    flat, labels = photos(40)
    assert (pixels(test)[100:].transpose(0, 3, 1, 2).reshape(40, -1) == flat).all()
    assert test.target[100:].tolist() == labels.tolist()


def test_lff_by_hand(roots):
    """Six images per digit with a skew of 0.5: milestones are round(6 * cumsum of 1/18 and 1/2).

    Digit 0: 3 of its own, then round(6 * (0.5 + k / 18)) = 3, 4, 4, 4, 5, 5, 5, 6, 6.
    """
    examples = coloured_mnist_lff(root=roots["mnist"], val=0, skew=0.5)
    ends = [3, 3, 4, 4, 4, 5, 5, 5, 6, 6]
    assert frequencies(examples, "train")[0].tolist() == np.diff([0, *ends]).tolist()
    # four images of the test: round(4 * 0.1 k) = 0, 1, 1, 2, 2, 2, 3, 3, 4, 4
    assert frequencies(examples, "test")[7].tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert torch.equal(examples.frequencies("val"), examples.frequencies("test"))


def test_lff_leaves_out_images_of_every_digit(roots):
    """Of six images of each digit, two are in no split; the others keep their colours."""
    whole = coloured_mnist_lff(root=roots["mnist"], val=0, skew=0.5)
    examples = coloured_mnist_lff(root=roots["mnist"], val=0, skew=0.5, leave_out=20)
    assert examples.class_counts("train").tolist() == [4] * 10
    kept, before = pixels(examples), pixels(whole)
    assert {image.tobytes() for image in kept} < {image.tobytes() for image in before}
    with pytest.raises(ValueError, match=r"leave_out=60 leaves none of the 60 training images"):
        coloured_mnist_lff(root=roots["mnist"], leave_out=60)


def test_lff_pixels(roots):
    """White pixels have the colour itself: its mean, up to six standard deviations of 0.005."""
    examples = coloured_mnist_lff(root=roots["mnist"], val=20, skew=0.5)
    read = pixels(examples)
    means = np.array([mean for _, mean in TINTS])[examples.bias]
    white = read[np.arange(len(read)), examples.target, 0] / 255
    assert np.abs(white - means).max() < 0.035
    assert not read[np.arange(len(read)), (examples.target + 1) % 28].any()
    grey = 1 + np.arange(60)[:, None]
    tinted = read[np.arange(60), examples.target[:60], 5]
    assert np.abs(tinted - grey * white[:60]).max() < 1.5


@pytest.mark.parametrize("version", ["irm", "domainbed", "subpop"])
def test_coloured_without_chance_by_hand(roots, version):
    """Without noise and flips the class is the digit's and the colour the class's; in the test the
    flip of 1 gives every image the other colour.
    """
    options = {"root": roots["mnist"], "version": version, "noise": 0.0, "flips": [0.0, 0.0, 1.0]}
    examples = coloured_mnist(**options, val=0)
    assert frequencies(examples, "train")[0, 1] == frequencies(examples, "train")[1, 0] == 0
    assert frequencies(examples, "test")[0, 0] == frequencies(examples, "test")[1, 1] == 0
    sizes = {"irm": (50, 10, 10), "domainbed": (67, 33, 33), "subpop": (30, 10, 20)}[version]
    assert [len(examples.rows(split)) for split in SPLITS] == list(sizes)
    read = pixels(examples)
    digit = read.max(axis=(2, 3)).argmax(axis=1) * (2 if version == "irm" else 1)
    if version != "irm":  # every second row leaves only the even digits
        low = torch.from_numpy(digit < 5)
        assert torch.equal(examples.target == (version != "subpop"), low)
        assert read.shape[1:] == (28, 28, 3)
        channel = read.max(axis=(1, 2)).argmax(axis=1)
        assert channel.tolist() == examples.bias.tolist()
    else:
        assert read.shape[1:] == (14, 14, 3)


@pytest.mark.parametrize(
    ("version", "flips"),
    [("irm", (0.2, 0.1, 0.9)), ("domainbed", (0.1, 0.2, 0.9)), ("subpop", (0.2, 0.2, 0.2))],
)
def test_flips_of_the_authors(version, flips):
    """The defaults of their code, such as ``--cmnist_spur_prob`` of SubpopBench."""
    assert VERSIONS[version].flips == flips


def test_coloured_environments_and_noise(roots):
    """With noise 1 all classes are wrong. Environments halve the training rows."""
    examples = coloured_mnist(root=roots["mnist"], noise=1.0, bias="environment", val=0)
    assert frequencies(examples, "train").sum(dim=0).tolist() == [25, 25, 0]
    assert frequencies(examples, "test").sum(dim=0).tolist() == [0, 0, 10]
    lines = (examples.root / "labels.csv").read_text().splitlines()
    cells = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert all(int(row["clean"]) == (int(row["digit"]) < 5) != int(row["target"]) for row in cells)
    assert [int(row["digit"]) for row in cells[50:60]] == list(range(10))
    # the colour follows the noisy class
    shown = coloured_mnist(root=roots["mnist"], noise=1.0, flips=[0.0, 0.0, 0.0], val=0)
    assert torch.equal(shown.bias, shown.target)


def test_grey_has_no_colour(roots):
    read = pixels(coloured_mnist(root=roots["mnist"], grey=True, val=20))
    assert (read[..., :1] == read).all()


def test_multi_color_by_hand(roots):
    """The pairs' shares are products: digit 0 has both own colours in round(6 / 4) = 2 of 6."""
    examples = multi_color_mnist(root=roots["mnist"], val=0, skews=[0.5, 0.5])
    assert examples.groups.bias_names[12] == "left yellow & right mauve"
    assert frequencies(examples, "train")[0, 0] == 2
    read = pixels(examples)
    left, right = examples.groups.decode(examples.bias).T.numpy()
    means = np.array([mean for _, mean in TINTS])
    below = read[:, 20]
    assert np.abs(below[:, 3] / 255 - means[left]).max() < 0.035
    assert np.abs(below[:, 20] / 255 - (1 - means[right])).max() < 0.035
    # a white pixel stays white; a grey one is added to the ground
    rows = np.arange(len(read))
    assert (read[rows, examples.target, 0] == 255).all()
    sums = np.minimum(read[:60][rows[:60], 20, 5].astype(int) + (1 + rows[:60])[:, None], 255)
    assert np.abs(sums - read[:60][rows[:60], examples.target[:60], 5]).max() <= 1


def test_fb_by_hand(roots):
    """int(6 * .5) = 3 images of each digit have the own ground, and 3 the own colour of digit."""
    examples = fb_biased_mnist(root=roots["mnist"], val=0, rho=[0.5, 0.9])
    assert frequencies(examples, "train", 0).diagonal().tolist() == [3] * 10
    assert frequencies(examples, "train", 1).diagonal().tolist() == [5] * 10
    assert frequencies(examples, "test", 0).diagonal().tolist() == [0] * 10
    assert len(examples.groups.aligned) == 10
    read = pixels(examples)
    ground, ink = examples.groups.decode(examples.bias).T.numpy()
    rows = np.arange(len(read))
    assert (read[:, 20, 5] == np.array([rgb for _, rgb in COLOURS])[ground]).all()
    assert (read[rows, examples.target, 5] == np.array([rgb for _, rgb in OWN_INKS])[ink]).all()
    assert OWN_INKS[9][1] == (255, 50, 50)


@pytest.mark.parametrize(
    ("difficulty", "coloured"),
    [
        ("magnitude_large", 756),
        ("magnitude_medium", 12),
        ("variance_low", 42),
        ("variance_high", 48),
    ],
)
def test_spuco_by_hand(roots, difficulty, coloured):
    """A digit 0 or 1 covers one row: 28 of 784 pixels, 4 of 4 x 4, or 7 of 7 x 7."""
    examples = spuco_mnist(root=roots["mnist"], val=20, strength=0.5, difficulty=difficulty)
    assert examples.groups.target_names == ("0-1", "2-3", "4-5", "6-7", "8-9")
    train, val, test = (frequencies(examples, split) for split in SPLITS)
    assert train.diagonal().tolist() == [4] * 5
    assert [set(counts.flatten().tolist()) for counts in (val, test)] == [{0, 1}, {1, 2}]
    first = int(((examples.target == 0) & (examples.bias == 3)).nonzero()[0])
    painted = (examples.store.read(first) == (0, 116, 255)).all(axis=2).sum()
    assert abs(painted - coloured) <= 3 * (difficulty == "variance_high")


def test_spuco_pixels_are_drawn_per_image(roots):
    """49 of 14 x 14 pixels, without those of the digit: other ones for each image."""
    examples = spuco_mnist(root=roots["mnist"], val=20, strength=1.0, difficulty="variance_medium")
    read = pixels(examples)
    places = {(image != 0).any(axis=2)[10:14, :14].tobytes() for image in read}
    assert len(places) > 40
    assert not read[:, 10:, 14:].any()


def test_cnc_by_hand(roots):
    """At a share of 1 training has only own colours. Held-out images have others, too.

    Pixels below 120 stay grey: all of a digit but its white one.
    """
    examples = coloured_mnist_cnc(root=roots["mnist"], val=20, share=1.0)
    train, val, test = (frequencies(examples, split) for split in SPLITS)
    assert train.diagonal().tolist() == train.sum(dim=1).tolist() == [8] * 5
    assert val.diagonal().sum() < 10
    assert test.diagonal().sum() < 20
    none = coloured_mnist_cnc(root=roots["mnist"], val=20, share=0.0)
    assert frequencies(none, "train").diagonal().tolist() == [0] * 5
    read = pixels(examples)[:60]
    wheel = np.array([(255, 0, 0), (208, 255, 0), (0, 255, 92), (0, 116, 255), (184, 0, 255)])
    rows = np.arange(60)
    assert (read[rows, rows % 10, 0] == wheel[examples.bias[:60]]).all()
    assert (read[rows, rows % 10, 1] == 1 + rows[:, None]).all()


@pytest.mark.parametrize(("test", "marked"), [("original", 0), ("biased", 20)])
def test_squares_by_hand(roots, test, marked):
    """Of 30 low digits the first int(30 * .8) = 24 have the square: all but the 4s. Of the high
    digits it is the first int(30 * .2) = 6: all 5s.
    """
    examples = mnist_squares(root=roots["mnist"], val=0, conflict=0.2, test=test)
    digit = np.arange(60) % 10
    assert (examples.bias[:60].numpy() == ((digit < 4) | (digit == 5))).all()
    assert (examples.target[:60].numpy() == (digit >= 5)).all()
    assert int(examples.bias[examples.rows("test")].sum()) == marked
    read = pixels(examples)
    red = (read[:, :4, :4] == (255, 0, 0)).all(axis=(1, 2, 3))
    assert red.tolist() == examples.bias.bool().tolist()
    assert not (read[:, 4:, 4:, 0] != read[:, 4:, 4:, 1]).any()


def test_squares_of_both_tests(roots):
    """20 images without a square, of which 10 are high digits, and these 10 with one."""
    one, both = (
        mnist_squares(root=roots["mnist"], val=0, test=test) for test in ("original", "both")
    )
    old, new = one.rows("test"), both.rows("test")
    assert frequencies(both, "test").tolist() == [[len(old) // 2, 0], [len(old) // 2] * 2]
    assert (pixels(both)[new[: len(old)]] == pixels(one)[old]).all()
    marked = pixels(both)[new[len(old) :]]
    assert (marked[:, :4, :4] == (255, 0, 0)).all()
    assert (marked[:, 4:] == pixels(one)[old[one.target[old] == 1]][:, 4:]).all()


def test_mnist_cifar_by_hand(roots):
    """6 zeros and 6 ones above 50 photos of each half: 6 pairs per class, all aligned.

    With the digits shuffled, each is above 2 of the 4 test photos of a class.
    """
    options = {"root": roots["mnist_cifar"], "top": roots["top"], "val": 0.2}
    pairs = mnist_cifar(**options)
    with pytest.raises(ValueError, match=r"no train-images-idx3-ubyte .*debias data get mnist"):
        mnist_cifar(root=roots["mnist_cifar"], val=0.2)
    counts = [frequencies(pairs, split).tolist() for split in SPLITS]
    assert counts == [[[5, 0], [0, 5]], [[1, 0], [0, 1]], [[4, 0], [0, 4]]]
    read = pixels(pairs)
    assert read.shape[1:] == (64, 32, 3)
    digit = read[:, 2:30, 2:30].max(axis=(2, 3)).argmax(axis=1)
    assert digit.tolist() == pairs.target.tolist()
    for test in ("shuffled_top", "shuffled_bottom"):
        shuffled = mnist_cifar(**options, test=test)
        assert frequencies(shuffled, "test").tolist() == [[2, 2], [2, 2]]
        digit = pixels(shuffled)[12:, 2:30, 2:30].max(axis=(2, 3)).argmax(axis=1)
        by_digit = shuffled.bias if test == "shuffled_top" else shuffled.target
        assert digit.tolist() == by_digit[12:].tolist()


def test_corrupted_by_hand(roots):
    """Type 1 leaves the photos of "original" as they are, and only those."""
    examples = corrupted_cifar10(root=roots["cifar10"], type=1, skew=0.5, val=0)
    # ten trucks: round(10 * k / 18) = 1, 1, 2, 2, 3, 3, 4, 4, 5 for k = 1 to 9, then all
    assert frequencies(examples, "train")[9].tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1, 5]
    plain = cifar10(root=roots["cifar10"], val=20)
    same = (pixels(examples)[:100] == pixels(plain)[:100]).all(axis=(1, 2, 3))
    assert same.tolist() == (examples.bias[:100] == 9).tolist()


def test_corrupted_photos_are_left_out_of_every_class(roots):
    """Of ten photos of each class, four are in no split; the others keep their corruptions."""
    whole = corrupted_cifar10(root=roots["cifar10"], val=0, skew=0.5)
    examples = corrupted_cifar10(root=roots["cifar10"], val=0, skew=0.5, leave_out=40)
    assert examples.class_counts("train").tolist() == [6] * 10
    assert {image.tobytes() for image in pixels(examples)} < {i.tobytes() for i in pixels(whole)}


def test_corruptions_are_one_level_stronger_than_their_severity(roots):
    """Contrast draws nothing: at severity 2 it is that of level 3."""
    examples = corrupted_cifar10(root=roots["cifar10"], skew=0.5, severity=2, val=0)
    rows = (examples.bias[:100] == TYPES[0].index("contrast")).nonzero().flatten().tolist()
    plain = pixels(cifar10(root=roots["cifar10"], val=20))
    draw = np.random.default_rng(0)
    for row in rows:
        assert (examples.store.read(row) == corrupted("contrast", plain[row], 3, draw)).all()
    assert len(rows) >= 10


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_made_once(name, roots, capsys):
    first = components.construct("data", section(name, roots), {})
    capsys.readouterr()
    again = components.construct("data", section(name, roots), {})
    assert capsys.readouterr().err == ""
    assert first.digest() == again.digest()
    made = json.loads((first.root / "made.json").read_text())
    assert (made["set"], made["recipe"]["seed"]) == (name, 0)
    other = components.construct("data", section(name, roots) | {"seed": 1}, {})
    assert other.root != first.root


def test_a_folder_of_another_recipe_is_refused(roots):
    examples = mnist(root=roots["mnist"], val=30)
    record = examples.root / "made.json"
    record.write_text(record.read_text().replace('"drawing": 1', '"drawing": 0'))
    with pytest.raises(ValueError, match="is of another recipe or version of debias: remove"):
        mnist(root=roots["mnist"], val=30)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("mnist", {"val": 60}, "val=60 leaves none of the 60 training images"),
        ("mnist", {"val": -1}, "val must be at least 0; got -1"),
        ("coloured_mnist", {"version": "lff"}, "version must be one of irm, domainbed, subpop"),
        ("coloured_mnist", {"flips": [0.1, 0.2]}, "flips must be three numbers, the test last"),
        ("coloured_mnist", {"flips": [0.1, 0.2, 2.0]}, r"test must lie in \[0, 1\] for flips"),
        ("coloured_mnist", {"bias": "color"}, "has no column 'color'; did you mean 'colour'"),
        ("coloured_mnist_lff", {"severity": 6}, "severity must be one of 1, 2, 3, 4, 5"),
        ("multi_color_mnist", {"skews": [0.1]}, "skews must be two numbers, left and right"),
        ("fb_biased_mnist", {"rho": [0.9, 1.2]}, r"foreground must lie in \[0, 1\] for rho"),
        ("spuco_mnist", {"classes": [[0], [0, 1]]}, "classes must be lists of different digits"),
        ("spuco_mnist", {"difficulty": "easy"}, "difficulty must be one of magnitude_large"),
        ("mnist_cifar", {"top_classes": [[0]]}, "must be equally many lists, .* got top_classes="),
        ("mnist_cifar", {"test": "shuffled"}, "test must be one of pairs, shuffled_top"),
        ("coloured_mnist_cnc", {"share": 2.0}, r"share must lie in \[0, 1\]"),
        ("mnist_squares", {"test": "all"}, "test must be one of original, biased"),
        ("spuco_mnist", {"val": 60}, "val=60 leaves none of the 60 training images"),
        (
            "corrupted_cifar10",
            {"val": 70, "leave_out": 30},
            r"val=70 \+ leave_out=30 leaves none of the 100 training images: set a lower val or",
        ),
        ("corrupted_cifar10", {"severity": 5}, "severity must be one of 1, 2, 3, 4"),
    ],
)
def test_mistakes_make_nothing(name, wrong, message, roots):
    place = components.construct("data", section(name, roots), {}).root.parent
    before = sorted(place.iterdir())
    with pytest.raises(ValueError, match=message):
        components.construct("data", section(name, roots) | wrong, {})
    assert sorted(place.iterdir()) == before
