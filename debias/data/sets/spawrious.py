"""Spawrious: drawn dogs of four breeds, whose places differ between training and test."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from debias.csv_files import Columns
from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import RowRules
from debias.data.trees.reading import read_tree
from debias.data.trees.templates import read_template
from debias.errors import InputError, check_one_of

LOCATIONS = ("beach", "desert", "dirt", "jungle", "mountain", "snow")
#: The breeds in the order of the tables below. The classes are numbered alphabetically.
BREEDS = ("bulldog", "dachshund", "labrador", "corgi")
PLACE = f"{{folder:0|1}}/{{location:{'|'.join(LOCATIONS)}}}/{{breed:{'|'.join(BREEDS)}}}/*"
TEMPLATES = tuple(map(read_template, (f"spawrious224/{PLACE}", PLACE)))
#: Images of one breed at one location in one folder.
CELL = 3168
#: Shares of a breed's training images that are at its own location, in folders 0 and 1.
ALIGNED = (0.97, 0.87)


class Benchmark(NamedTuple):
    """The location of each breed in training and test, and that of the remaining training images.

    In a many-to-many benchmark, the breeds of each half exchange their locations, and ``filler`` is
    empty.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    filler: str = ""


def _benchmark(train: str, test: str, filler: str = "") -> Benchmark:
    return Benchmark(tuple(train.split()), tuple(test.split()), filler)


BENCHMARKS = {
    "o2o_easy": _benchmark("desert jungle dirt snow", "dirt snow desert jungle", "beach"),
    "o2o_medium": _benchmark("mountain beach dirt jungle", "jungle dirt beach snow", "desert"),
    "o2o_hard": _benchmark("jungle mountain snow desert", "mountain snow desert jungle", "beach"),
    "m2m_easy": _benchmark("desert mountain dirt jungle", "dirt jungle mountain desert"),
    "m2m_medium": _benchmark("beach snow mountain desert", "desert mountain beach snow"),
    "m2m_hard": _benchmark("dirt jungle snow beach", "snow beach dirt jungle"),
}


class Cell(NamedTuple):
    """One folder of images, and how many of them, by name, belong to a split."""

    split: str
    folder: str
    location: str
    breed: str
    most: int


def spawrious(
    *,
    root: str,
    benchmark: str = "o2o_easy",
    rules: RowRules = RowRules(holdout=0.2),  # noqa: B008 - it is frozen
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Spawrious: dogs of four breeds, drawn by a diffusion model, at six locations.

    In a one-to-one benchmark (o2o), 97 % of a breed's training images in folder 0, and 87 % of
    those in folder 1, are at the location of the breed. The rest is at a location that all breeds
    share. The test split has each breed at the location of another one. In a many-to-many benchmark
    (m2m), two breeds share two locations in training, and the other two locations in the test.

    Source: Lynch et al., "Spawrious: A Benchmark for Fine Control of Spurious Correlation Biases",
    2023; reference code aengusl/spawrious.

    Args:
        root: the folder ``spawrious224``, or the folder that contains it.
        benchmark: o2o_easy, o2o_medium, o2o_hard, m2m_easy, m2m_medium or m2m_hard.
        rules: how fields become labels and splits. Without ``shares``, the benchmark decides which
            images are for training and test, and ``holdout`` is the share for validation.
        max_pixels: the most pixels that an image may have.
        follow_links: whether links may lead out of ``root``.

    Returns:
        All splits. The target is the breed, the bias the location.

    Raises:
        ValueError: there is no such benchmark, or ``root`` lacks a folder of it.

    Differs from the reference: it takes the first images of an unsorted list of each folder, so
    that its images differ from disk to disk. Here they are the first by name.
    """
    check_one_of(BENCHMARKS, {"data.benchmark": benchmark})
    columns, _ = read_tree(Path(root), TEMPLATES, others=True)
    split = _splits(columns, benchmark)
    chosen = columns.take(list(split))
    rows = label_rows(
        chosen,
        chosen.cells["path"],
        rules,
        target="breed",
        bias="location",
        split=torch.tensor(list(split.values())),
        target_names=sorted(BREEDS),
        bias_names=LOCATIONS,
        aligned=_aligned(benchmark),
    )
    return rows.examples(Path(root), max_pixels=max_pixels, follow_links=follow_links)


def _splits(columns: Columns, benchmark: str) -> dict[int, int]:
    """The split of each row that the benchmark uses, by row."""
    members: dict[tuple[str, ...], list[int]] = {}
    names = ("folder", "location", "breed")
    for row, place in enumerate(zip(*(columns.cells[name] for name in names), strict=True)):
        members.setdefault(place, []).append(row)
    split: dict[int, int] = {}
    for cell in _cells(benchmark):
        place = (cell.folder, cell.location, cell.breed)
        if place not in members:
            raise InputError(
                f"{columns.source} has no images in {'/'.join(place)}, which {benchmark} needs: "
                "unpack the archive of this benchmark there"
            )
        split |= dict.fromkeys(members[place][: cell.most], SPLITS.index(cell.split))
    return dict(sorted(split.items()))


def _aligned(benchmark: str) -> list[tuple[str, str]]:
    """The pairs of breed and location that training favours."""
    filler = BENCHMARKS[benchmark].filler
    found = {(cell.breed, cell.location) for cell in _cells(benchmark) if cell.split == "train"}
    return sorted(pair for pair in found if pair[1] != filler)


def _cells(benchmark: str) -> Iterator[Cell]:
    train, test, filler = BENCHMARKS[benchmark]
    for place, breed in enumerate(BREEDS):
        if not filler:
            # the other breed of the same half
            for other in (place, place ^ 1):
                yield Cell("train", "0", train[other], breed, CELL)
                yield Cell("test", "0", test[other], breed, CELL)
            continue
        for folder, share in enumerate(ALIGNED):
            own = int(share * CELL)
            yield Cell("train", str(folder), train[place], breed, own)
            yield Cell("train", str(folder), filler, breed, CELL - own)
            yield Cell("test", str(folder), test[place], breed, CELL)
