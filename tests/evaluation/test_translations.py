"""Pictures and counts of translated images, with a translator whose pixels are the class."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias.evaluation import translations
from debias.pixels import PixelSpace
from debias.types import Outputs

SPACE = PixelSpace((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
TARGET = torch.tensor([0, 1, 3, 0, 3, 3, 1])
VALIDATION = torch.arange(2, 7)
CLASSES = 4


def grey(value: torch.Tensor) -> torch.Tensor:
    """Normalised grey images of 2 x 2 pixels."""
    return SPACE.normalised(value.view(-1, 1, 1, 1).expand(-1, 3, 2, 2))


def parts_of(takes: Any) -> Any:
    """Parts whose image of row r is the grey r / 10; class c is drawn as the grey (1 + c) / 5.

    Args:
        takes: function from ``(N,)`` classes of translated images to those of the critic.
    """

    def critic(image: torch.Tensor) -> Outputs:
        shown = (SPACE.pixels(image)[:, 0, 0, 0] * 5 - 1).round().long()
        return Outputs(torch.nn.functional.one_hot(takes(shown), CLASSES).float(), image)

    def translator(image: torch.Tensor, new_class: torch.Tensor) -> torch.Tensor:
        return image * 0 + (1 + new_class.view(-1, 1, 1, 1)) / 5 * 2 - 1

    def batches(loader: Any, title: str, *, progress: bool) -> Any:
        return (SimpleNamespace(image=grey(one / 10), target=TARGET[one]) for one in loader)

    strategy = SimpleNamespace(classes=CLASSES, space=SPACE, translator=translator)
    ready = SimpleNamespace(strategy=strategy)
    rows = {"val": VALIDATION}
    examples = SimpleNamespace(rows=rows.__getitem__, target=TARGET)
    return SimpleNamespace(
        ready=lambda: ready, examples=examples, module=critic, batches=batches,
        loader=lambda rows: rows.split(2),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("takes", "share"),
    [
        (lambda shown: shown, 1.0),  # validation has the classes 3, 0, 3, 3, 1
        (lambda shown: (shown - 1) % CLASSES, 0.0),
        (lambda shown: shown * 0, 0.6),
        (lambda shown: shown * 0 + 1, 0.2),
        (lambda shown: shown * 0 + 3, 0.0),
    ],
)
def test_the_share_is_that_of_the_images_taken_for_the_next_class(takes, share):
    assert translations.share_taken(parts_of(takes)) == pytest.approx(share)


@pytest.mark.parametrize("most", [10, 2])
def test_the_grid_has_the_first_image_of_each_class_and_its_translations(most, monkeypatch):
    """Rows 3, 6 and 2 are the first validation images of the classes 0, 1 and 3."""
    monkeypatch.setattr(translations, "MOST", most)
    grid = torch.from_numpy(translations.picture_grid(parts_of(lambda shown: shown)))
    columns = [51 * (1 + each) for each in range(CLASSES)][:most]
    expected = [[round(25.5 * row), *columns] for row in (3, 6, 2)][:most]
    assert grid.shape == (2 * len(expected), 2 * (1 + len(columns)), 3)
    shown = grid.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).transpose(1, 2).flatten(2).long()
    assert shown.amax(2).sub(torch.tensor(expected)).abs().max() <= 1
    assert torch.equal(shown.amax(2), shown.amin(2))
