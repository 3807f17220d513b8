"""The file beside an export computes, with NumPy and PIL, the pixels that OpenCV computes here."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from debias.components import PREPROCESSING, construct
from debias.data.dataset import normalise
from debias.data.pictures.geometry import Resize
from debias.trained import preprocess
from debias.trained.notes import steps_of
from debias.types import Batch
from tests.data.small_pictures import noise

#: Heights and widths: to shrink, to enlarge, both, by whole numbers, and not at all.
SIZES = [(61, 83), (9, 14), (80, 11), (72, 72), (37, 36), (36, 36), (1, 50), (218, 178), (108, 144)]


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize(
    "name",
    [name for name in PREPROCESSING if "augmented" not in name],
)
def test_every_recipe_has_the_same_pixels(name, size):
    geometry = construct("preprocessing", {"name": name, "size": size}, {}).evaluation
    for number, (height, width) in enumerate(SIZES):
        pixels = noise(number, height, width)
        expected = geometry.image(pixels)
        settings = {"steps": steps_of(geometry), "mean": [0, 0, 0], "std": [1, 1, 1]}
        given = preprocess.preprocess(Image.fromarray(pixels), settings)
        levels = np.rint(255 * given.transpose(1, 2, 0)).astype(np.uint8)
        np.testing.assert_array_equal(levels, expected, err_msg=f"{height} x {width}")


def test_area_averages_are_those_of_opencv_at_any_scale():
    """Ties included: 8/7 and 6/5 give many halves, which are rounded in the order of OpenCV."""
    for number, (old, new) in enumerate(
        [(64, 56), (60, 50), (97, 31), (50, 49), (64, 32), (64, 16)]
    ):
        pixels = noise(number, old, old + old // 2)
        side = new + new // 2
        given = preprocess.resize(pixels, {"height": new, "width": side})
        np.testing.assert_array_equal(given, Resize(new, side)(pixels))


def test_the_numbers_are_normalised_like_those_of_a_loader(tmp_path):
    pixels = noise(1, 8, 8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    settings = {"steps": [{"step": "resize", "height": 8, "width": 8}], "mean": mean, "std": std}
    given = preprocess.preprocess(tmp_path / "picture.png", settings)
    none = torch.zeros(1, dtype=torch.int64)
    batch = Batch(torch.from_numpy(pixels).permute(2, 0, 1)[None], none, none, none)
    expected = normalise(batch, torch.tensor(mean), torch.tensor(std)).image[0]
    torch.testing.assert_close(torch.from_numpy(given), expected, rtol=0, atol=1e-6)


def test_a_rotated_picture_is_turned_upright(tmp_path):
    image = Image.fromarray(noise(2, 6, 9))
    exif = image.getexif()
    exif[274] = 6  # turn by 90 degrees, clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    settings = {"steps": [], "mean": [0, 0, 0], "std": [1, 1, 1]}
    given = preprocess.preprocess(tmp_path / "turned.png", settings)
    np.testing.assert_allclose(
        given.transpose(1, 2, 0) * 255, np.rot90(noise(2, 6, 9), -1), atol=1e-4
    )


def test_a_pipeline_of_albumentations_is_written_down_and_applied():
    transforms = [
        {"SmallestMaxSize": {"max_size": 20}},
        {"CenterCrop": {"height": 16, "width": 16}},
    ]
    section = {"name": "albumentations", "evaluation": transforms}
    geometry = construct("preprocessing", section, {}).evaluation
    steps = json.loads(json.dumps(steps_of(geometry)))
    settings = {"steps": steps, "mean": [0, 0, 0], "std": [1, 1, 1]}
    given = preprocess.preprocess(Image.fromarray(noise(3, 30, 40)), settings)
    expected = geometry.image(noise(3, 30, 40))
    np.testing.assert_array_equal(np.rint(255 * given.transpose(1, 2, 0)), expected)


def test_the_file_needs_numpy_and_pil_alone():
    """The import of albumentations is in the one function that needs it."""
    tree = ast.parse(Path(preprocess.__file__).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") != "pipeline"]
    names = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    own = {name.split(".")[0] for name in names} - {"numpy", "PIL"}
    assert own == {"json", "sys", "collections", "pathlib", "typing"}
