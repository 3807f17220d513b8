"""Groups left out, wrong labels and degraded images in the training split of any data set."""

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from debias.data.examples import Examples, TrainingNoise
from debias.data.left_out import without_groups
from debias.data.pictures.degraded import degradation_steps
from debias.data.tables.draws import random_key
from debias.errors import InputError, check_at_least, check_between, near
from debias.types import Groups

#: Columns of the file that names the changed rows.
COLUMNS = ("path", "given", "trained", "image")


def with_noise(
    examples: Examples,
    *,
    without: list[str] | None = None,
    label_noise: float = 0.0,
    label_pairs: list[list[int | str]] | None = None,
    image_noise: dict[str, float] | None = None,
    image_share: float = 1.0,
    noise_seed: int = 0,
) -> Examples:
    """A data set with wrong labels and degraded images in the training split.

    Of the n training images of a class, ``round(share * n)`` are changed. Which ones they are, and
    how, depends on the seed and the names of the images alone. The other splits stay as they are.

    Source: no paper. A sweep over these options shows how fairness depends on the quality of data.

    Args:
        examples: the data set.
        without: names of groups whose training images are left out, such as ``[waterbird-land]``,
            before anything else is changed.
        label_noise: share of each class whose target becomes another class, in [0, 1]. All other
            classes are equally likely.
        label_pairs: pairs of classes [from, to], as names or numbers. Labels then change only so,
            and a class that no pair begins with keeps its labels.
        image_noise: strengths of degradations. They are always applied in this order: ``blur``
            (standard deviation in pixels), ``pixelate`` (side of a block in pixels), ``gaussian``
            (standard deviation in grey levels) and ``jpeg`` (quality). Pixels are those of the
            file.
        image_share: share of each class whose images are degraded, in [0, 1]; of all training
            images, if they have several labels.
        noise_seed: another seed changes other images.

    Raises:
        ValueError: ``without`` has a name that is no group, a share is outside [0, 1], the seed is
            negative, there is no pair, one does not have two different classes, a degradation is
            unknown or too strong, or wrong labels are wanted for several labels per image or for a
            single class.

    Warns:
        UserWarning: a share is so small that it changes no image.
    """
    examples = without_groups(examples, without or [])
    check_between("[0, 1]", {"data.label_noise": label_noise, "data.image_share": image_share})
    check_at_least(0, {"data.noise_seed": noise_seed})
    steps = degradation_steps(image_noise or {})
    targets = (
        _targets(examples.groups, label_pairs) if label_noise or label_pairs is not None else {}
    )
    given, changed = examples.target, examples.target.clone()
    for label, others in targets.items():
        for row in _drawn(examples, given == label, label_noise, noise_seed, "label"):
            number = int.from_bytes(random_key(noise_seed, f"class {examples.images[row]}"), "big")
            changed[row] = others[number % len(others)]
    degraded = _degraded(examples, image_share if steps else 0.0, noise_seed)
    wrong, poor = not torch.equal(given, changed), bool(degraded.any())
    _warn_of_nothing(examples, "label_noise", label_noise, wrong)
    _warn_of_nothing(examples, "image_share", image_share if steps else 0.0, poor)
    if not wrong and not poor:
        return examples  # the same data as without these options
    noise = TrainingNoise(given, degraded, steps, noise_seed)
    return replace(examples, target=changed, noise=noise)


def _degraded(examples: Examples, share: float, seed: int) -> Tensor:
    """``(N,)`` bool: a share of the training images of each class; of all with several labels."""
    given, degraded = examples.target, torch.zeros(len(examples), dtype=torch.bool)
    classes = given if given.ndim == 1 else torch.zeros(len(examples), dtype=torch.int64)
    for label in torch.unique(classes).tolist():
        degraded[_drawn(examples, classes == label, share, seed, "image")] = True
    return degraded


def _warn_of_nothing(examples: Examples, option: str, share: float, changed: bool) -> None:
    if share > 0 and not changed:
        warnings.warn(
            f"{examples.source}: data.{option}={share:g} changes no training image: classes have "
            "too few for this share",
            stacklevel=3,
        )


def noise_table(examples: Examples) -> str:
    """The changed rows as a CSV file: path, class before and after, and whether it is degraded.

    Raises:
        ValueError: the data set has no noise.
    """
    given, degraded, _, _ = _noise(examples)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    labels = [target.reshape(len(examples), -1).tolist() for target in (given, examples.target)]
    for row in (_changed(examples, given) | degraded).nonzero().flatten().tolist():
        before, after = (" ".join(map(str, target[row])) for target in labels)
        image = "degraded" if bool(degraded[row]) else "as it is"
        table.writerow([examples.images[row], before, after, image])
    return text.getvalue()


def noise_line(examples: Examples) -> str:
    """How many training images have a wrong label, and how many are degraded.

    Raises:
        ValueError: the data set has no noise.
    """
    given, degraded, steps, _ = _noise(examples)
    wrong = int(_changed(examples, given).sum())
    how = f": {', '.join(f'{name} {strength:g}' for name, strength in steps)}" if steps else ""
    return (
        f"noise in {len(examples.rows('train'))} training images: {wrong} wrong labels, "
        f"{int(degraded.sum())} degraded{how}"
    )


def _noise(examples: Examples) -> TrainingNoise:
    if examples.noise is None:
        raise InputError(f"{examples.source} has no noise: set data.label_noise or image_noise")
    return examples.noise


def _changed(examples: Examples, given: Tensor) -> Tensor:
    """``(N,)`` bool: whose label is wrong."""
    return (given != examples.target).reshape(len(examples), -1).any(dim=1)


def _targets(groups: Groups, pairs: Sequence[Sequence[int | str]] | None) -> dict[int, list[int]]:
    """The classes that each class may become."""
    groups.check_single_label("data.label_noise")
    if pairs is None:
        if groups.rows < 2:
            raise InputError("data.label_noise needs two classes; the data set has one")
        every = range(groups.rows)
        return {one: [other for other in every if other != one] for one in every}
    if not pairs:
        raise InputError("data.label_pairs must hold a pair [from, to], or be null; got []")
    found: dict[int, list[int]] = {}
    for pair in pairs:
        numbers = [_number(name, groups.target_names) for name in pair]
        if len(numbers) != 2 or numbers[0] == numbers[1]:
            raise InputError(
                "data.label_pairs must hold pairs [from, to] of two different classes; got "
                f"{list(pair)}"
            )
        found.setdefault(numbers[0], []).append(numbers[1])
    return found


def _number(name: int | str, names: Sequence[str]) -> int:
    if isinstance(name, int) and 0 <= name < len(names):
        return name
    if name not in names:
        raise InputError(
            f"data.label_pairs names {name!r}, which is no class; {near(str(name), names)}"
        )
    return names.index(str(name))


def _drawn(examples: Examples, within: Tensor, share: float, seed: int, what: str) -> list[int]:
    """The training rows ``within`` some others that are changed: round(share * n) of n."""
    train = torch.zeros_like(within)
    train[examples.rows("train")] = True
    rows: list[int] = (within & train).nonzero().flatten().tolist()
    rows.sort(key=lambda row: random_key(seed, f"{what} {examples.images[row]}"))
    return rows[: round(share * len(rows))]
