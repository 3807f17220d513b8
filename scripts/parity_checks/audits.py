"""Compares measures of audits: the noise of relative foreground sensitivity."""

from collections.abc import Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.audits.leaning.paired import class_average
from debias.audits.leaning.parts_of_pictures import noisy
from debias.audits.leaning.reliance import relative_foreground_sensitivity
from parity_checks.cases import apart
from parity_checks.official import Clones
from parity_checks.rows import Row

REPOSITORY = "mmoayeri/HardImageNet"
NAME = "relative foreground sensitivity"
IMAGES, SIDE, TRIALS = 60, 16, 3
#: Standard deviation of the noise of a pixel, or norm of that of a picture.
STRENGTHS = ((0.25, None), (0.75, None), (None, 3.0), (None, 12.0))


class Noise(NamedTuple):
    """Noise that both sides add; one of the two strengths is ``None``."""

    seed: int
    sigma: float | None
    length: float | None

    def generator(self, trial: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, trial])


def foreground_noise(clones: Clones) -> Iterator[Row]:
    code = clones.take(REPOSITORY, "rfs.py", "compute_rfs")
    pairs = list(product(np.linspace(0, 1, 21).tolist(), repeat=2))
    gaps = [
        apart(code["compute_rfs"](*pair), relative_foreground_sensitivity(*pair)) for pair in pairs
    ]
    yield code.row(NAME, "score of 441 pairs of accuracies", gaps, bar=1e-12)
    compared = (
        "class-averaged accuracies of 60 pictures under the same noise on foreground and "
        "background; 3 draws, 2 deviations and 2 norms"
    )
    noises = [Noise(seed, *strength) for seed, strength in enumerate(STRENGTHS)]
    gaps = [_gap(clones, noise) for noise in noises]
    because = "one decision: our pixels are whole numbers"
    yield code.row(NAME, compared, gaps, bar=1e-2, because=because)


def _gap(clones: Clones, noise: Noise) -> float:
    pictures, masks, target = _made(noise.seed)
    ours = []
    for where in (masks, ~masks):
        changed = [
            noisy(
                pictures,
                where,
                noise.generator(trial),
                sigma=noise.sigma or 0,
                length=noise.length,
            )
            for trial in range(TRIALS)
        ]
        decided = [_scores(each.astype(np.float64)).argmax(axis=1) for each in changed]
        ours.append(float(np.mean([class_average(one == target, target) for one in decided])))
    return apart(_official(clones, pictures, masks, target, noise), ours)


def _official(
    clones: Clones,
    pictures: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    target: NDArray[np.int64],
    noise: Noise,
) -> list[float]:
    """Accuracies under noise on the foreground and on the background."""
    image = torch.from_numpy(pictures).double().permute(0, 3, 1, 2) / 255
    batch = image, torch.from_numpy(masks).double()[:, None], torch.from_numpy(target)
    trials = iter(range(TRIALS))

    def drawn(like: Tensor, device: object) -> Tensor:
        normal = noise.generator(next(trials)).standard_normal(pictures.shape, np.float32)
        return torch.from_numpy(normal).double().permute(0, 3, 1, 2)

    loader = SimpleNamespace(DataLoader=lambda *given, **options: [batch])
    space = {
        "torch": SimpleNamespace(
            utils=SimpleNamespace(data=loader), randn_like=drawn, clamp=torch.clamp
        ),
        "transforms": SimpleNamespace(Normalize=lambda mean, std: None),
        "HardImageNet": lambda ft: None,
        "tqdm": iter,
    }
    names = ("l2_normalize", "compute_rfs", "noisy_fg_bg_accs")
    code = clones.take(REPOSITORY, "rfs.py", *names, space=space)
    found = code["noisy_fg_bg_accs"](
        lambda x: torch.from_numpy(_scores(x.permute(0, 2, 3, 1).numpy())),
        noise_sigma=noise.sigma or noise.length,
        apply_norm=False,
        l2=noise.length is not None,
        trials=TRIALS,
    )
    return [float(number) for number in found[1:3]]


def _made(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """Pictures whose class is the brightest of three columns, partly in the foreground."""
    generator = np.random.default_rng(seed)
    target = np.arange(IMAGES) % 3
    pictures = generator.integers(60, 180, (IMAGES, SIDE, SIDE, 3))
    for one in range(3):
        pictures[target == one, :, 5 * one : 5 * one + 5] += 12
    masks = np.zeros((IMAGES, SIDE, SIDE), bool)
    masks[:, 4:12, :9] = True
    return pictures.astype(np.uint8), masks, target


def _scores(pictures: NDArray[np.float64]) -> NDArray[Any]:
    """Brightness of each column, of ``(N, H, W, 3)`` pictures."""
    columns = [pictures[:, :, 5 * one : 5 * one + 5].mean(axis=(1, 2, 3)) for one in range(3)]
    return np.stack(columns, axis=1)
