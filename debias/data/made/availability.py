"""Two features that predict the class differently well, and are differently easy to read."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import generator
from debias.data.made.folder import MadePart, made
from debias.data.sets.arrays import arrays
from debias.errors import InputError, check_at_least, check_between, check_one_of

Numbers = NDArray[np.float64]
FORMS = ("vectors", "footprint", "contrast")
SIGNS = ("minus", "plus")
SHORTCUTS = tuple(f"shortcut {sign}" for sign in SIGNS)
#: Side of an image of shapes; a vector of 100 numbers is an image of 10 x 10 pixels.
SIDE, VECTOR_SIDE = 32, 10
#: Half the side of a probe's square, and the number that has the darkest or brightest pixel.
PROBED, BRIGHTEST = 3.0, 8.0
#: Slope of a nesting layer for negative numbers.
SLOPE = 0.2


class FeatureOptions(NamedTuple):
    """The options of :func:`availability` that all splits share; see there."""

    form: str
    predictivity: tuple[float, ...]
    amplification: tuple[float, ...]
    nesting: tuple[int, ...]
    seed: int

    def check(self) -> None:
        """Refuse a wrong option.

        Raises:
            ValueError: an option is out of range.
        """
        check_one_of(FORMS, {"form": self.form})
        for name in ("predictivity", "amplification", "nesting"):
            if len(pair := getattr(self, name)) != 2:
                raise InputError(f"{name} must be two numbers, shortcut and core; got {list(pair)}")
        check_between("(0.5, 1)", _named("predictivity", self.predictivity))
        check_between("(0, 1]", _named("amplification", self.amplification))
        check_at_least(0, {**_named("nesting", self.nesting), "seed": self.seed})
        if self.form != "vectors" and any(self.nesting):
            raise InputError(
                f"nesting must be [0, 0] with form={self.form}; got nesting={list(self.nesting)}"
            )


class Latents(NamedTuple):
    """The class ``(N,)`` 0 or 1, and the features ``(N, 2)``: the shortcut, then the core."""

    target: NDArray[np.int64]
    features: Numbers


def availability(
    *,
    root: str = "data/availability",
    form: str = "vectors",
    predictivity: tuple[float, ...] = (0.85, 0.9),
    amplification: tuple[float, ...] = (1.0, 1.0),
    nesting: tuple[int, ...] = (0, 0),
    train: int = 3000,
    val: int = 500,
    test: int = 2000,
    seed: int = 0,
) -> Examples:
    r"""A shortcut and a core feature, each with its predictivity and its availability.

    .. math:: y \in \{-1, 1\}, \quad z_i = y \mu_i + \mathcal N(0, 1), \quad
              \mu_i = \Phi^{-1}(\rho_i), \quad
              x = W_s\, \alpha_s g_s(z_s) + W_c\, \alpha_c g_c(z_c)

    The sign of :math:`z_i` is the class with probability :math:`\rho_i`, its predictivity. A
    feature is more available if its amplification :math:`\alpha_i` is high and its nesting is low.
    The test has probes, uniform on :math:`[-3, 3]^2`. There the target is the sign of the core, and
    the bias that of the shortcut. The measure ``shortcut_fraction`` is then the reliance of a
    model. :func:`debias.metrics.shortcuts.reliance.bayes_reliance` is that of the best observer.

    Source: Hermann, Mobahi, Fel and Mozer, "On the Foundations of Shortcut Learning", 2023.

    Args:
        root: the folder below which the images are written.
        form: "vectors": x has 100 numbers, an image of 10 x 10 pixels (``preprocessing.size=10``).
            "footprint" and "contrast": an image of 32 x 32 pixels with a square, whose brightness
            is the shortcut, and a disc, whose brightness is the core; amplification is their area,
            or their contrast.
        predictivity: of the shortcut and the core, in (0.5, 1).
        amplification: of the shortcut and the core, in (0, 1].
        nesting: layers of a random invertible network around each feature, at least 0; only in
            vectors.
        train: number of training images, at least 2, half of them of each class.
        val: number of validation images, drawn like training, at least 2.
        test: number of probes, at least 2.
        seed: seed of all draws.

    Returns:
        All splits. Target and bias are "minus" and "plus".

    Raises:
        ValueError: an option is out of range.

    Differs from the reference: numbers become 256 levels. Its networks around a feature are not
    known in detail; here a layer is a random rotation, a shift and a leaky ReLU, and keeps the mean
    square.
    """
    options = FeatureOptions(form, tuple(predictivity), tuple(amplification), tuple(nesting), seed)
    options.check()
    check_at_least(2, {"train": train, "val": val, "test": test})
    sizes = dict(zip(SPLITS, (train, val, test), strict=True))
    recipe = options._asdict() | sizes

    def parts() -> list[MadePart]:
        """Draw all splits."""
        return [_part(options, split, count) for split, count in sizes.items()]

    return arrays(
        root=str(made(root, "availability", recipe, parts)),
        target_names=list(SIGNS),
        bias_names=list(SHORTCUTS),
        aligned=[[0, 0], [1, 1]],
    )


def latents(predictivity: tuple[float, ...], count: int, rng: np.random.Generator) -> Latents:
    """Draw classes and features of the equation in :func:`availability`."""
    target = np.arange(count) % 2
    means = np.array([NormalDist().inv_cdf(share) for share in predictivity])
    return Latents(target, (2 * target[:, None] - 1) * means + rng.standard_normal((count, 2)))


def probes(count: int, rng: np.random.Generator) -> Latents:
    """Features that are uniform on a square; the class is the sign of the core."""
    features = rng.uniform(-PROBED, PROBED, (count, 2))
    return Latents((features[:, 1] > 0).astype(np.int64), features)


def embedded(
    features: Numbers,
    amplification: tuple[float, ...],
    nesting: tuple[int, ...],
    *,
    dimensions: int,
    seed: int,
) -> Numbers:
    """``(N, dimensions)`` vectors x of the equation in :func:`availability`.

    The directions of the two features are orthogonal, and depend on the seed alone.
    """
    directions = _rotation(dimensions, generator(seed, len(SPLITS)))[:2]
    sides = [
        alpha * _nested(feature[:, None] * direction, layers, generator(seed, len(SPLITS), place))
        for place, (feature, direction, alpha, layers) in enumerate(
            zip(features.T, directions, amplification, nesting, strict=True)
        )
    ]
    return sides[0] + sides[1]


def _nested(points: Numbers, layers: int, rng: np.random.Generator) -> Numbers:
    """Points after some invertible layers, which nearly keep the mean square."""
    dimensions = points.shape[1]
    for _ in range(layers):
        moved = points @ _rotation(dimensions, rng) + rng.standard_normal(dimensions) / dimensions
        bent = np.where(moved > 0, moved, SLOPE * moved)
        points = bent * np.sqrt(2 / (1 + SLOPE**2))
    return points


def _rotation(dimensions: int, rng: np.random.Generator) -> Numbers:
    return np.linalg.qr(rng.standard_normal((dimensions, dimensions)))[0]


def _part(options: FeatureOptions, split: str, count: int) -> MadePart:
    rng = generator(options.seed, SPLITS.index(split))
    drawn = probes(count, rng) if split == "test" else latents(options.predictivity, count, rng)
    if options.form == "vectors":
        vectors = embedded(
            drawn.features,
            options.amplification,
            options.nesting,
            dimensions=VECTOR_SIDE**2,
            seed=options.seed,
        )
        images = _grey(vectors.reshape(-1, VECTOR_SIDE, VECTOR_SIDE) * VECTOR_SIDE / BRIGHTEST)
    else:
        footprint = options.form == "footprint"
        images = _shapes(drawn.features, options.amplification, footprint=footprint)
    target = np.array(SIGNS)[drawn.target]
    bias = np.array(SHORTCUTS)[(drawn.features[:, 0] > 0).astype(np.int64)]
    return MadePart(images, {"target": target, "bias": bias, "split": np.full(count, split)})


def _shapes(
    features: Numbers, amplification: tuple[float, ...], *, footprint: bool
) -> NDArray[np.uint8]:
    """A square on the left and a disc on the right, of the same area if amplifications are equal.

    Their area is at most 150 pixels.
    """
    areas = 150.0 * np.array(amplification if footprint else (1, 1))
    contrasts = np.array((1, 1) if footprint else amplification)
    down, across = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    square = np.maximum(abs(down), abs(across + SIDE / 4)) <= np.sqrt(areas[0]) / 2
    disc = np.hypot(down, across - SIDE / 4) <= np.sqrt(areas[1] / np.pi)
    levels = features * contrasts / (PROBED + 1.5)
    return _grey(levels[:, :1, None] * square + levels[:, 1:, None] * disc)


def _grey(levels: Numbers) -> NDArray[np.uint8]:
    """Levels in [-1, 1] as grey pixels; 0 is 128."""
    return np.clip(np.rint(128 + 127 * levels), 0, 255).astype(np.uint8)


def _named(name: str, pair: tuple[float, ...]) -> dict[str, float]:
    return {f"{name} of the shortcut": pair[0], f"{name} of the core": pair[1]}
