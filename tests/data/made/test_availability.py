"""Predictivity and availability: the sampler, the embeddings, the images, and Bayes' reliance."""

from statistics import NormalDist

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from debias.components import construct
from debias.data.made.availability import embedded, latents, probes
from debias.errors import InputError
from debias.metrics.shortcuts.reliance import bayes_reliance, reliance

RHO = (0.85, 0.9)


def made(root, **options):
    return construct("data", {"name": "availability", "root": str(root), **options}, {})


def answered(weights, points):
    """The reliance of a linear decision on the latents."""
    said = torch.from_numpy((points.features @ np.array(weights) > 0).astype(int))
    shortcut = torch.from_numpy((points.features[:, 0] > 0).astype(int))
    return reliance(said, shortcut, torch.from_numpy(points.target)).item()


def test_reliance_of_the_best_observer():
    """The figures of two predictivities, and a count over a fine grid of probes."""
    assert bayes_reliance(*RHO) == pytest.approx(0.4044, abs=5e-5)
    assert 1 - bayes_reliance(*RHO) == pytest.approx(0.5956, abs=5e-5)
    assert bayes_reliance(0.8, 0.8) == 0.5
    ends = (np.arange(400) + 0.5) / 400 * 6 - 3
    shortcut, core = (each.flatten() for each in np.meshgrid(ends, ends))
    for pair in (RHO, (0.95, 0.7)):
        means = [NormalDist().inv_cdf(share) for share in pair]
        said = torch.from_numpy(means[0] * shortcut + means[1] * core > 0).long()
        signs = [torch.from_numpy(each > 0).long() for each in (shortcut, core)]
        assert reliance(said, *signs).item() == pytest.approx(bayes_reliance(*pair), abs=2e-3)


def test_predictivities_of_the_sampler():
    """The sign of a feature is the class with its probability; deviations of 20,000 draws."""
    drawn = latents(RHO, 20_000, np.random.default_rng(0))
    right = ((drawn.features > 0) == drawn.target[:, None]).mean(axis=0)
    assert right == pytest.approx(RHO, abs=4 * 0.0025)
    for label in (0, 1):
        spread = np.cov(drawn.features[drawn.target == label].T)
        assert spread == pytest.approx(np.eye(2), abs=0.05)


def test_models_of_known_reliance():
    """One that reads the shortcut alone, and a linear model of equal amplifications: bias about 0.

    With a core of a tenth of the amplification, a model with much weight decay is biased.
    """
    points = probes(20_000, np.random.default_rng(1))
    best = bayes_reliance(*RHO)
    assert answered((1, 0), points) - best == pytest.approx(0.5956, abs=5e-5)
    train = latents(RHO, 20_000, np.random.default_rng(2))
    biases = []
    for amplification, strength in (((1.0, 1.0), 1.0), ((1.0, 0.1), 1e-4)):
        options = {"dimensions": 20, "seed": 0}
        x, probed = (
            embedded(each.features, amplification, (0, 0), **options) for each in (train, points)
        )
        model = LogisticRegression(C=strength).fit(x, train.target)
        said = torch.from_numpy(model.predict(probed))
        shortcut = torch.from_numpy((points.features[:, 0] > 0).astype(int))
        found = reliance(said, shortcut, torch.from_numpy(points.target)).item()
        biases.append(found - best)
    assert abs(biases[0]) < 0.03
    assert biases[1] > 0.3


def test_an_embedding_is_orthogonal_and_nesting_keeps_the_size():
    """Without nesting, the Gram matrix is that of the amplified features. With it, the mean square
    stays, and different features have different vectors.
    """
    features = np.random.default_rng(3).standard_normal((2000, 2))
    amplified = features * np.array([1.0, 0.5])
    x = embedded(features, (1.0, 0.5), (0, 0), dimensions=50, seed=0)
    assert x @ x[:9].T == pytest.approx(amplified @ amplified[:9].T)
    nested = embedded(features, (1.0, 1e-9), (3, 0), dimensions=50, seed=0)
    assert (nested**2).sum(axis=1).mean() == pytest.approx((features[:, 0] ** 2).mean(), rel=0.25)
    order = features[:, 0].argsort()
    assert np.linalg.norm(np.diff(nested[order], axis=0), axis=1).min() > 0


def test_the_images_of_each_form(tmp_path):
    """A vector keeps 256 levels. The areas of square and disc are as their amplifications, and the
    contrast is.
    """
    sizes = {"train": 40, "val": 4, "test": 60}
    examples = made(tmp_path, **sizes)
    assert examples.store.read(0).shape == (10, 10, 3)
    assert examples.target[:40].bincount().tolist() == [20, 20]
    assert examples.groups.aligned == ((0, 0), (1, 1))
    areas, contrasts = made_shapes(tmp_path, "footprint", sizes)
    assert areas[1] == pytest.approx(0.5 * areas[0], rel=0.15)
    assert contrasts[1] == pytest.approx(contrasts[0], rel=0.3)
    areas, contrasts = made_shapes(tmp_path, "contrast", sizes)
    assert areas[1] == pytest.approx(areas[0], rel=0.1)
    assert contrasts[1] == pytest.approx(0.5 * contrasts[0], rel=0.3)


def made_shapes(root, form, sizes):
    """Pixels of the square and the disc that ever change, and their mean contrast over probes."""
    examples = made(root, form=form, amplification=[1.0, 0.5], **sizes)
    rows = examples.rows("test").tolist()
    pixels = np.stack([examples.store.read(row)[..., 0] for row in rows]).astype(float) - 128
    halves = pixels[..., :16], pixels[..., 16:]
    areas = [(abs(half).max(axis=0) > 0).sum() for half in halves]
    contrasts = [abs(half).max(axis=(1, 2)).mean() for half in halves]
    # the sign of the square is the bias, and that of the disc the target
    for half, values in zip(halves, (examples.bias, examples.target), strict=True):
        level = half.sum(axis=(1, 2))
        assert np.array_equal(level[level != 0] > 0, values[rows].numpy()[level != 0] == 1)
    return areas, contrasts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "sound"}, "form must be .*vectors"),
        ({"predictivity": [0.5, 0.9]}, r"predictivity of the shortcut must lie in \(0.5, 1\)"),
        ({"amplification": [1.0, 0.0]}, r"amplification of the core must lie in \(0, 1\]"),
        ({"nesting": [1]}, r"nesting must be two numbers, shortcut and core; got \[1\]"),
        ({"form": "contrast", "nesting": [1, 0]}, r"nesting must be \[0, 0\] with form=contrast"),
        ({"test": 1}, "test must be at least 2; got 1"),
    ],
)
def test_mistakes_draw_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        made(tmp_path, **options)
    assert not list(tmp_path.iterdir())
