"""Compares drawn fractals with the authors' code, from the same random numbers."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.made.procedural.affine_systems import (
    CHAINS,
    WARM_UP,
    Numbers,
    draw_singular_values,
    draw_system,
    fractal_points,
)
from debias.data.made.procedural.fractal_pictures import POINTS, fractal_picture, several_fractals
from debias.data.made.procedural.spectrum_noise import EXPONENTS, draw_exponents, noise_picture
from parity_checks.cases import Replaced, apart
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

REPOSITORY, SYSTEMS = "catalys1/fractal-pretraining", "fractal_learning/fractals/ifs.py"
GENERATORS = "fractal_learning/training/datamodule/datasets/generator.py"
SIZE = 32
#: A window of side 1. Theirs has one cell fewer on a side than ours, so they get one more.
UNIT = np.array([0.0, 0.0, 1.0, 1.0])


class Streams:
    """A generator with a stream for each kind of draw, so that their order may differ."""

    def __init__(self, seed: int) -> None:
        self._seed, self._streams = seed, dict[str, np.random.Generator]()

    def _of(self, *kind: Any) -> np.random.Generator:
        name = repr(kind)
        return self._streams.setdefault(
            name, np.random.default_rng([self._seed, crc32(name.encode())])
        )

    def uniform(self, low: Any, high: float, size: Any = None) -> Any:
        if isinstance(low, tuple):
            return np.array([self.uniform(each, high) for each in low])
        ends = round(float(low), 9), round(float(high), 9)  # equal but for rounding
        return low + (high - low) * self._of("uniform", ends).random(size)

    def random(self, size: Any = None) -> Any:
        return self._of("random", isinstance(size, tuple)).random(size)

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        ends = (0, low) if high is None else (low, high)
        return self._of("integers", ends, size is None).integers(*ends, size)

    def choice(self, values: Any, size: Any) -> Any:
        return np.where(self.random(size) < 0.5, values[1], values[0])

    def normal(self, mean: float, deviation: float) -> float:
        return self._of("normal").normal(mean, deviation)

    def standard_normal(self, size: Any) -> Numbers:
        return self._of("normal").standard_normal(size)


class Theirs(Streams):
    """The same streams for code that takes the upper half of a draw for a yes, and x before y."""

    def __init__(self, seed: int, shown: int = 0) -> None:
        super().__init__(seed)
        self._next, self._shown = iter([0, *range(shown)]), shown  # a ground, and each fractal

    def random(self, size: Any = None) -> Any:
        return 1 - super().random(size)

    def rand(self) -> Any:
        return super().random()

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        if self._shown and size is None:
            return next(self._next)
        drawn = super().integers(low, high, size)
        return drawn if size is None else drawn[::-1]

    def choice(self, values: Any, p: Any) -> int:
        return self._shown

    def randint(self, low: int, high: int, size: Any, dtype: Any) -> Any:
        """Our stamp, which has its middle. They add it where we look it up, so it is reversed."""
        stamp = super()._of("integers", (low, high), False).integers(low, high, (3, 3))
        stamp[1, 1] = 1
        return stamp[::-1, ::-1].ravel().astype(dtype)


def systems(clones: Clones) -> Iterator[Row]:
    code = clones.take(REPOSITORY, SYSTEMS, "sample_svs", "sample_system")
    compared = "singular values of 2 to 7 maps, any sigma factor; maps and shifts of whole systems"

    def case(seed: int) -> float:
        first, second = (np.random.default_rng(seed) for _ in range(2))
        count = 2 + seed % 6
        sigma_factor = 3 * count * (seed + 0.5) / 300
        theirs = code["sample_svs"](count, sigma_factor, first)
        gap = apart(theirs, draw_singular_values(count, sigma_factor, second))
        same = cast(Any, Streams(seed))
        return max(gap, apart(code["sample_system"]((2, 5), rng=Theirs(seed)), draw_system(same)))

    yield code.row("fractals", compared, map(case, range(300)), bar=1e-12)


def iteration(clones: Clones) -> Iterator[Row]:
    random = SimpleNamespace()
    code = _compiled(clones, random, "iterate")

    def case(seed: int) -> float:
        rng = np.random.default_rng(seed)
        system = draw_system(rng)
        draws = rng.random((WARM_UP + 30, CHAINS))
        given = cast(Any, SimpleNamespace(random=lambda _: draws))
        points = fractal_points(system, 30 * CHAINS, given).reshape(30, CHAINS, 2)
        gaps = []
        for chain in range(0, CHAINS, 50):
            random.rand = iter(draws[:, chain]).__next__
            theirs = code["iterate"](system, len(draws))[WARM_UP:]
            gaps.append(apart(theirs, points[:, chain]))
        return max(gaps)

    compared = "points of 10 chains after 20 moves, from the same draws of maps; the start"
    yield code.row("fractals", compared, map(case, range(40)), bar=1e-12)


def pictures(clones: Clones) -> Iterator[Row]:
    theirs = Generators(clones)
    shared = "stamps, colours, reflections, blur; the same ground"
    compared = f"40 pictures of one fractal: its changed map, window, {shared}"
    yield theirs.code.row("fractals", compared, map(theirs.one, range(40)), bar=0)
    compared = f"40 pictures of 1 to 5 fractals: sides, places, order, {shared}"
    yield theirs.code.row("fractals", compared, map(theirs.several, range(40)), bar=0)


class Generators:
    """Their generators of pictures, with our draws, points and grounds."""

    def __init__(self, clones: Clones) -> None:
        self._random, self._module, self._ground = (SimpleNamespace() for _ in range(3))
        kept = ("render", "minmax", "colorize", "composite")
        needed = ("_extent", "_render_graded_patch", "_hsv_colorize")
        code = _compiled(clones, self._random, *needed, *kept)
        vars(self._module).update({name: code[name] for name in kept})
        self._render = code["render"]
        space = {"ifs": self._module, "diamondsquare": self._ground, "resize": cv2.resize}
        space |= {"GaussianBlur": cv2.GaussianBlur, "INTER_LINEAR": cv2.INTER_LINEAR}
        classes = ("_GeneratorBase", "IFSGenerator", "MultiGenerator")
        self.code = clones.take(REPOSITORY, GENERATORS, *classes, space=space)

    def one(self, seed: int) -> float:
        """Difference of a picture of one fractal."""
        system, same = draw_system(np.random.default_rng(seed)), cast(Any, Streams(seed))
        theirs = self._made("IFSGenerator", Theirs(seed), lambda: SIZE)
        return apart(theirs(system), fractal_picture(system, SIZE, same))

    def several(self, seed: int) -> float:
        """Difference of a picture of one fractal to five."""
        count = 1 + seed % 5
        systems = [draw_system(np.random.default_rng([seed, each])) for each in range(count)]
        sides, same = Streams(seed), cast(Any, Streams(seed))
        theirs = self._made(
            "MultiGenerator", Theirs(seed, count), lambda: int(sides.uniform(0.15, 0.6) * SIZE)
        )
        for system in systems:
            theirs.add_sample(system)
        picture, _ = theirs(None, new_sample=False)
        return apart(picture, several_fractals(systems, SIZE, same))

    def _made(self, name: str, rng: Theirs, side: Callable[[], int]) -> Any:
        """A generator. ``side`` returns the side of the next fractal in pixels."""
        generator, sides = self.code[name](size=SIZE), list[int]()
        draws = cast(Any, SimpleNamespace(random=super(Theirs, rng).random))

        def iterate(system: Numbers, _: int) -> Numbers:
            sides.append(side())
            return fractal_points(system, POINTS * sides[-1] ** 2, draws)

        def render(coords: Numbers, _: int, *, region: Numbers, **options: Any) -> Numbers:
            place = _inside(coords, region)
            grid = self._render(place, sides[-1] + 1, region=UNIT, **options)[:-1, :-1]
            return cast(Numbers, grid / max(grid.max(), 1e-9))

        generator.rng = rng
        vars(self._module).update(iterate=iterate, render=render)
        vars(self._random).update(rand=rng.rand, randint=rng.randint, uniform=rng.uniform)
        self._ground.colorized_ds = partial(_ground, rng)
        return generator


def _inside(coords: Numbers, region: Numbers) -> Numbers:
    """The points within a window, in units of its sides."""
    low, high = region[:2], region[2:]
    place = (coords - (low + high) / 2) / (high - low) + 0.5
    return cast(Numbers, place[((place >= 0) & (place < 1)).all(axis=1)])


def _ground(rng: Any, size: int) -> NDArray[np.uint8]:
    return noise_picture(draw_exponents(EXPONENTS, rng), size, rng)


def _compiled(clones: Clones, random: SimpleNamespace, *names: str) -> Piece:
    """Their functions without a compiler, with our draws; their bytes stay bytes."""
    space = {
        "numba": SimpleNamespace(njit=lambda **_: lambda function: function),
        "np": Replaced(np, {"random": random, "bool": np.uint8}),
        "cvtColor": cv2.cvtColor,
        "COLOR_HSV2RGB": cv2.COLOR_HSV2RGB_FULL,
    }
    return clones.take(REPOSITORY, SYSTEMS, *names, space=space)
