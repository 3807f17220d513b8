"""Traces of processing in the features of an encoder: JPEG, sharpening, resizing, interpolation."""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from debias.audits.leaning.parts_of_pictures import Pictures

Features = NDArray[np.float32]
Labels = NDArray[np.int64]
#: One processing of one picture; the number in [0, 1) is drawn for the picture.
Processing = Callable[[Image.Image, float], Image.Image]


def _jpeg(image: Image.Image, draw: float, *, quality: int, subsampling: str) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(content)


def _final(image: Image.Image) -> Image.Image:
    return _jpeg(image, 0, quality=95, subsampling="4:4:4")


def _sharpened(image: Image.Image, draw: float, *, factor: float) -> Image.Image:
    return _final(ImageEnhance.Sharpness(image).enhance(factor))


def _resized(image: Image.Image, draw: float, *, scale: float) -> Image.Image:
    size = int(image.width * scale), int(image.height * scale)
    return _final(image.resize(size, Image.Resampling.BILINEAR))


def _interpolated(image: Image.Image, draw: float, *, way: Image.Resampling) -> Image.Image:
    scale = 0.8 + 0.4 * draw
    return _final(image.resize((int(image.width * scale), int(image.height * scale)), way))


#: Processings by family; one value of a family is applied to a picture. All but the family of JPEG
#: end in a JPEG of quality 95 without subsampling. Source: Ramos et al., "Processing and
#: acquisition traces in visual encoders: What does CLIP know about your camera?", ICCV 2025;
#: reference code ryan-caesar-ramos/visual-encoder-traces.
FAMILIES: Mapping[str, Mapping[str, Processing]] = {
    "jpeg": {
        f"{quality} {subsampling}": partial(_jpeg, quality=quality, subsampling=subsampling)
        for quality in (75, 85, 95)
        for subsampling in ("4:2:0", "4:4:4")
    },
    "sharpening": {f"{factor}x": partial(_sharpened, factor=factor) for factor in (1, 2, 4)},
    "resize": {f"{scale:g}x": partial(_resized, scale=scale) for scale in (1, 0.5, 2)},
    "interpolation": {
        way.name.lower(): partial(_interpolated, way=way)
        for way in (
            Image.Resampling.BILINEAR,
            Image.Resampling.BICUBIC,
            Image.Resampling.LANCZOS,
            Image.Resampling.BOX,
        )
    },
}


def processed(
    pictures: Pictures, processing: Processing, generator: np.random.Generator
) -> list[Pictures]:
    """Apply one processing to ``(N, H, W, 3)`` pictures; sizes may change.

    Differs from the reference: every picture has its own draw. The reference draws scales from one
    generator with the same seed in every worker process.
    """
    draws = generator.random(len(pictures))
    images = map(Image.fromarray, pictures)
    return [
        np.asarray(processing(image, draw).convert("RGB"))
        for image, draw in zip(images, draws, strict=True)
    ]


def trace_accuracy(train: Features, test: Features, generator: np.random.Generator) -> float:
    """How well a linear probe tells which processing a picture had; chance is 1 / P.

    Each training picture has one processing, drawn at random; each test picture occurs in all.

    Args:
        train: ``(P, N, D)`` features of N pictures under P processings.
        test: ``(P, M, D)`` features of other pictures.
        generator: source of the draw.

    Returns:
        Accuracy of a logistic regression on features of length 1; its C is chosen on a fifth of the
        training pictures.
    """
    from sklearn.linear_model import LogisticRegression

    kinds, count, size = train.shape
    drawn = generator.permutation(np.arange(count) % kinds)
    rows = _unit(train[drawn, np.arange(count)])
    chosen = generator.permutation(count) < count // 5
    scores = {}
    for strength in (0.1, 1.0, 10.0, 100.0):
        probe = LogisticRegression(C=strength, max_iter=500).fit(rows[~chosen], drawn[~chosen])
        scores[strength] = probe.score(rows[chosen], drawn[chosen])
    probe = LogisticRegression(C=max(scores, key=lambda each: scores[each]), max_iter=500)
    answers = np.repeat(np.arange(len(test)), test.shape[1])
    tested = _unit(test.reshape(-1, size))
    return float(probe.fit(rows, drawn).score(tested, answers))


class Influence(NamedTuple):
    """Accuracy of nearest neighbours of the same class, by who shares the test picture's trace.

    Attributes:
        baseline: all pictures have the same processing.
        all_diff: all training pictures have another one.
        pos_same: only training pictures of the right class have the same one.
        neg_same: only training pictures of other classes have the same one.
        effect: ``pos_same - neg_same``; 0 for an encoder that ignores traces.
    """

    baseline: float
    all_diff: float
    pos_same: float
    neg_same: float
    effect: float


def processing_influence(
    train: Features,
    test: Features,
    train_label: Labels,
    test_label: Labels,
    *,
    k: int = 10,
) -> Influence:
    """Whether the processing of a picture overrides its meaning among its nearest neighbours.

    Source: as ``FAMILIES``, "processing semantic influence".

    Args:
        train: ``(P, N, D)`` features of N pictures under P processings, at least 2.
        test: ``(P, M, D)`` features of other pictures.
        train_label, test_label: ``(N,)`` and ``(M,)`` classes.
        k: number of neighbours, by cosine; ties of the vote go to the lower class.
    """
    train, test = _unit(train), _unit(test)
    kinds = len(train)
    names = ("baseline", "all_diff", "pos_same", "neg_same")
    shares: dict[str, list[float]] = {name: [] for name in names}
    for own in range(kinds):
        asked = partial(_neighbours, test[own], test_label, train_label, k)
        for other in range(kinds):
            if other == own:
                shares["baseline"].append(asked(train[own], train[own]))
                continue
            shares["all_diff"].append(asked(train[other], train[other]))
            shares["pos_same"].append(asked(train[own], train[other]))
            shares["neg_same"].append(asked(train[other], train[own]))
    means = {name: float(np.mean(values)) for name, values in shares.items()}
    return Influence(**means, effect=means["pos_same"] - means["neg_same"])


def _neighbours(
    test: Features,
    test_label: Labels,
    train_label: Labels,
    k: int,
    positives: Features,
    negatives: Features,
) -> float:
    """Accuracy of the vote of k neighbours; features of the right class are ``positives``."""
    same = test_label[:, None] == train_label
    likeness = np.where(same, test @ positives.T, test @ negatives.T)
    nearest = (-likeness).argsort(axis=1, kind="stable")[:, :k]
    classes = int(max(train_label.max(), test_label.max())) + 1
    votes = np.stack([np.bincount(row, minlength=classes) for row in train_label[nearest]])
    return float((votes.argmax(axis=1) == test_label).mean())


def _unit(features: Features) -> Features:
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    result: Features = features / np.maximum(lengths, 1e-12)
    return result
