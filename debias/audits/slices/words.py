"""Words for a slice: of its captions or tags, or of the numbers that differ from its class."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: A word has at least three letters, so that articles and the like are none.
PATTERN = re.compile(r"[^\W\d_][\w'-]{2,}")


class SliceWord(NamedTuple):
    """A word, and how much more often the images of a slice have it.

    Attributes:
        word: in lower case.
        score: log-odds ratio ÷ its standard error; about normal if slice and others are alike.
        inside: number of images of the slice that have the word.
        outside: number of the other images that have it.
    """

    word: str
    score: float
    inside: int
    outside: int


def slice_words(captions: Sequence[str], inside: NDArray[np.bool_]) -> list[SliceWord]:
    r"""Words of captions or tags that images of a slice have more often than the others.

    .. math:: \delta_w = \log\frac{y_w + \alpha_w}{n + \alpha_0 - y_w - \alpha_w}
              - \log\frac{y'_w + \alpha_w}{n' + \alpha_0 - y'_w - \alpha_w}, \qquad
              z_w = \delta_w \Big/ \sqrt{\frac{1}{y_w + \alpha_w} + \frac{1}{y'_w + \alpha_w}}

    :math:`y_w` is the number of images of the slice with the word, n the sum over all words, and y'
    and n' are those of the other images. The prior :math:`\alpha` has the shares of the words in
    all images, and as many words as the smaller side.

    Source: Monroe, Colaresi and Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation
    for Identifying the Content of Political Conflict", Political Analysis 2008. In place of
    keywords and CLIP scores as in Kim et al., "Discovering and Mitigating Visual Biases through
    Keyword Explanation" (B2T), CVPR 2024, which need a captioner.

    Args:
        captions: N texts. A word counts once per image.
        inside: ``(N,)`` bool, the images of the slice. Give the images of one class, so that the
            words do not just name the class.

    Returns:
        All words of the captions, highest score first; empty if a side has no word.

    Example:
        >>> words = slice_words(["a red car", "red bus", "blue car"], np.array([True, True, False]))
        >>> words[0].word
        'red'
    """
    each = [set(PATTERN.findall(caption.lower())) for caption in captions]
    sides = [Counter[str](), Counter[str]()]
    for words, within in zip(each, inside.tolist(), strict=True):
        sides[0 if within else 1].update(words)
    vocabulary = sorted(sides[0] | sides[1])
    counts = np.array([[side[word] for word in vocabulary] for side in sides], dtype=np.float64)
    total = counts.sum(axis=1)
    if not total.all():
        return []
    scores = _log_odds(counts, total)
    scored = zip(vocabulary, scores.tolist(), *counts.astype(int).tolist(), strict=True)
    return sorted((SliceWord(*one) for one in scored), key=lambda one: (-one.score, one.word))


def _log_odds(counts: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    prior = counts.sum(axis=0) / total.sum() * total.min()
    has = counts + prior
    lacks = (total + prior.sum())[:, None] - has
    # with a single word, every count is of that word
    odds = np.log(has / np.maximum(lacks, np.finfo(np.float64).eps))
    return np.asarray((odds[0] - odds[1]) / np.sqrt((1 / has).sum(axis=0)))


class PropertyGap(NamedTuple):
    """A number that differs between a slice and the other images of its class.

    Attributes:
        name: the property.
        inside: its mean in the slice.
        outside: its mean in the others.
        effect: difference ÷ standard deviation in all of them together.
    """

    name: str
    inside: float
    outside: float
    effect: float


def property_gaps(
    columns: Mapping[str, NDArray[np.float64]], inside: NDArray[np.bool_]
) -> list[PropertyGap]:
    """Compare the properties of a slice with those of the others, largest difference first.

    Args:
        columns: ``(N,)`` values by name; NaN where unknown.
        inside: ``(N,)`` bool, the images of the slice.

    Returns:
        One entry per property that is not constant and known on both sides.
    """
    gaps = []
    for name, column in columns.items():
        known = np.isfinite(column)
        spread = column[known].std() if known.any() else 0.0
        if spread <= 1e-12 or not (known & inside).any() or not (known & ~inside).any():
            continue
        means = [float(column[known & side].mean()) for side in (inside, ~inside)]
        gaps.append(PropertyGap(name, means[0], means[1], float((means[0] - means[1]) / spread)))
    return sorted(gaps, key=lambda gap: (-abs(gap.effect), gap.name))
