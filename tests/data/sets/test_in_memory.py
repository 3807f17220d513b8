"""Torch data sets become examples whose pixels, cache, run and page are those of files."""

import io
import json
import pickle
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from debias import components
from debias import config as configs
from debias.commands import check
from debias.commands.train import train
from debias.data.checks import check_examples
from debias.data.examples import Examples
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.preprocessing import resize
from debias.data.sets.in_memory import in_memory, pixels_of
from debias.errors import InputError
from tests.data.small_pictures import noise, write_png


class Pets(Dataset):
    """Noise images of different sizes, each with its class and its bias."""

    def __init__(self, first: int, count: int) -> None:
        self.numbers = range(first, first + count)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: int) -> tuple[Image.Image, str, int]:
        number = self.numbers[position]  # an IndexError ends a loop over the data set
        pixels = noise(number, 12 + number % 3)
        return Image.fromarray(pixels), ("cat", "dog")[number % 2], number // 2 % 2


class Random(Pets):
    """Another image at every reading."""

    def __getitem__(self, position: int) -> tuple[Image.Image, str, int]:
        self.numbers = range(self.numbers.start + 3, self.numbers.stop + 3)
        return super().__getitem__(position)


class Stream(IterableDataset):
    """A data set without positions."""

    def __iter__(self) -> Iterator[object]:
        return iter(Pets(0, 4))


def pets() -> Examples:
    """The data set of a user's own module."""
    return in_memory(train=Pets(0, 8), val=Pets(8, 4), test=Pets(12, 4), aligned=[[0, 0]])


def test_labels_and_names():
    examples = pets()
    assert examples.images[7:10] == ("train/7", "val/0", "val/1")
    assert examples.target.tolist() == [0, 1] * 8
    assert examples.bias.tolist() == [0, 0, 1, 1] * 4
    assert examples.split.tolist() == [0] * 8 + [1] * 4 + [2] * 4
    assert examples.groups.target_names == ("cat", "dog")
    assert examples.groups.aligned == ((0, 0),)
    assert examples.provides == ("bias",)
    check_examples(examples, require=("bias", "groups"))


def test_unknown_bias_and_numbers_of_tensors():
    images = torch.zeros(3, 3, 4, 4, dtype=torch.uint8)
    numbers = TensorDataset(images, torch.tensor([1, 0, 2]), torch.tensor([-1, 1, 0]))
    nothing = [(np.zeros((2, 2), np.uint8), np.int64(2), None)]
    examples = in_memory(train=numbers, val=nothing, test=nothing)
    assert examples.target.tolist() == [1, 0, 2, 2, 2]
    assert examples.bias.tolist() == [-1, 1, 0, -1, -1]
    assert examples.groups.target_names == ("0", "1", "2")


def test_pixels_of_every_kind():
    """The same image in every form, and one that EXIF turns by 90 degrees."""
    expected = noise(3)
    tensor = torch.from_numpy(expected).permute(2, 0, 1)
    for image in (expected, tensor, Image.fromarray(expected)):
        np.testing.assert_array_equal(pixels_of(image, ""), expected)
    grey, greys = expected[..., 0], np.repeat(expected[..., :1], 3, axis=2)
    for image in (grey, torch.from_numpy(grey), tensor[:1], grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(pixels_of(image, ""), greys)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(expected).save(file, "png", exif=exif)
    np.testing.assert_array_equal(pixels_of(Image.open(file), ""), np.rot90(expected, -1))


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_of_16_bits_the_upper_8_are_used(mode):
    grey = noise(3)[..., 0]
    numbers = (grey.astype(np.uint16) << 8 | 7).astype(">u2" if mode == "I;16B" else "<u2")
    image = Image.frombytes(mode, grey.shape[::-1], numbers.tobytes())
    np.testing.assert_array_equal(pixels_of(image, ""), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("mode", "kind"), [("I", "int32"), ("F", "float32")])
def test_pil_images_without_a_range_are_refused(mode, kind):
    with pytest.raises(InputError, match=rf"must be uint8, .*; got {kind} of shape \(3, 2\)"):
        pixels_of(Image.new(mode, (2, 3)), "here")


def test_cache_is_that_of_files_and_built_once(tmp_path, monkeypatch):
    for number in range(8):
        write_png(tmp_path / f"train/{number}.png", noise(number, 12 + number % 3))
    geometry, rows, places = resize(size=8).train, torch.arange(8), torch.tensor([7, 0, 3])
    paths = tuple(f"train/{number}.png" for number in range(8))
    empty = torch.zeros(8, dtype=torch.int64)
    files = Examples(tmp_path, paths, empty, empty, empty, pets().groups, tmp_path)
    expected = ImageFiles.of(files, rows, geometry).fetch(places).images
    held = ImageFiles.of(pets(), rows, geometry)
    assert torch.equal(held.fetch(places).images, expected)
    assert torch.equal(pickle.loads(pickle.dumps(held)).fetch(places).images, expected)
    assert torch.equal(open_cache(held, tmp_path / "cache").fetch(places).images, expected)
    monkeypatch.setattr(ImageFiles, "read", None)
    again = ImageFiles.of(pets(), rows, geometry)
    assert torch.equal(open_cache(again, tmp_path / "cache").fetch(places).images, expected)


def test_other_pixels_are_another_cache():
    rows, geometry = torch.arange(3), resize(size=8).train
    blank, val = np.zeros((4, 4, 3), np.uint8), Pets(0, 4)
    keys = set()
    for image in (blank, blank.copy(), blank + 1, np.zeros((2, 8, 3), np.uint8)):
        examples = in_memory(train=[*Pets(0, 2), (image, "cat", 0)], val=val, test=val)
        keys.add(ImageFiles.of(examples, rows, geometry).images_key())
    assert len(keys) == 3


def test_a_function_of_the_script_itself(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "pets", pets, raising=False)
    made = components.construct("data", {"name": "__main__:pets"}, {})
    assert made.digest() == pets().digest()


@pytest.mark.slow
def test_a_run_in_memory(tmp_path, capsys):
    """A config names the user's function; check, training, cache and page work as with files."""
    settings = [
        f"data.name={__name__}:pets",
        *("preprocessing.name=resize", "preprocessing.size=16"),
        *(
            "model.name=test_resnet",
            "model.pretrained=false",
            "batch_size=4",
            "epochs=1",
            "precision=32-true",
            "accelerator=cpu",
            "progress=false",
        ),
        f"out={tmp_path}",
    ]
    check.run("drawn_birds", settings)
    assert "data in memory: 16 images, masks: no" in capsys.readouterr().out
    run = train(configs.load("drawn_birds", settings))
    report = json.loads((run / "report.json").read_text())
    assert 0 <= report["metrics"]["test"]["scalars"]["average"] <= 1
    assert report["data"]["counts"]["test"] == [1, 1, 1, 1]
    assert "test/0" in (run / "predictions/test.csv").read_text()
    assert len(list((tmp_path / "cache").glob("*-images.npy"))) == 3
    assert "data:image" in (run / "report.html").read_text()


def refusal(**splits: object) -> str:
    given = {"train": Pets(0, 4), "val": Pets(4, 4), "test": Pets(8, 4)} | splits
    with pytest.raises(InputError) as error:
        in_memory(**given)
    return str(error.value)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            [(noise(1), "cat")],
            "data in memory, sample val/0 must be (image, target, bias); got tup",
        ),
        ([noise(1)], "sample val/0 must be (image, target, bias); got ndarray: give -1 as"),
        ([("a.png", "cat", 0)], "must be a PIL image, a uint8 tensor or a uint8 array; got str"),
        ([(noise(1) / 255, "cat", 0)], "got float64 of shape (12, 10, 3): leave out ToTensor and"),
        (
            [(noise(1)[..., [0, 1, 2, 0]], "cat", 0)],
            "with 3 channels or 1; got uint8 of shape (12, 10, 4): convert it to RGB",
        ),
        ([(noise(1), "", 0)], "data in memory, sample val/0: target is '', which means a missing"),
        ([(noise(1), "cat", 0.5)], "sample val/0: bias is '0.5', but must be an integer"),
        (iter(()), "a data set must have len() and give a sample by its position; got tuple_iter"),
        (Stream(), "got Stream: read its samples into a list"),
    ],
)
def test_mistakes(samples: Sequence[object], message: str):
    assert message in refusal(val=samples)


@pytest.mark.parametrize(
    ("biases", "message"),
    [(["target"], "biases must not name target"), (["a", "a"], "must name different columns")],
)
def test_names_of_biases_that_cannot_be_told_apart(biases: list[str], message: str):
    with pytest.raises(InputError, match=message):
        in_memory(train=Pets(0, 4), val=Pets(4, 4), test=Pets(8, 4), biases=biases)


def test_random_pixels_are_refused():
    examples = in_memory(train=Random(0, 4), val=Pets(4, 4), test=Pets(8, 4))
    np.testing.assert_array_equal(examples.store.read(4), noise(4, 13))
    with pytest.raises(InputError, match=r"train/1: its pixels have changed since .* remove rand"):
        examples.store.read(1)
