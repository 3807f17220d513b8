"""Compares ViG-Bias' masks, and the mixtures of FACTS and Domino, with the authors' code."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn import base, cluster, decomposition, mixture, preprocessing
from sklearn.mixture import _gaussian_mixture as gaussian
from sklearn.utils.validation import check_is_fitted

from debias.augment.hide_mask import HideMask
from debias.group_inference.attended import above_quantile
from debias.group_inference.slices import PredictedImages, domino_slices, facts_slices
from debias.types import Batch
from parity_checks.cases import Replaced, apart, bare, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

VIG = "badrmarani/vig-bias-eccv"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Images of a class on which a mixture is fitted, and others; 128 directions need about 1,024.
FITTED, JUDGED, SIZE = 1040, 200, 140
#: Definitions of their file of mixtures.
NAMES = (
    *("row_norms", "_compute_log_det_cholesky", "_estimate_log_gaussian_prob"),
    *("_estimate_parameters", "DominoMixture", "CoSiMixture", "MixtureSlicer", "CoSiSlicer"),
)


def masked(clones: Clones) -> Iterator[Row]:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def case(code: Piece, fill: str, seed: int, quantile: float) -> float:
        pixels, maps = _pictures(seed)
        normalised = (pixels - mean) / std
        given = normalised if fill == "mean" else pixels
        shown = iter(maps[:, None].numpy())
        made = {"cam": lambda **_: next(shown), "targets": [], "device": "cpu"}
        made |= {"mask_threshold": quantile, "preprocess_fnc": lambda image: image}
        theirs = torch.stack([*map(bare(code["ViG"], made), given)])
        hidden = ~above_quantile(maps, quantile)
        batch = Batch(normalised, *(torch.arange(6),) * 3, hidden[:, None].double())
        ours = HideMask(MEAN, STD, fill=fill).double()(batch).image
        return apart(theirs, ours if fill == "mean" else ours * std + mean)

    cases = [(seed, quantile) for seed in range(3) for quantile in (0.0, 0.5, 0.7, 0.9, 1.0)]
    for folder, fill in (("facts", "mean"), ("b2t", "black")):
        code = clones.take(VIG, f"{folder}/vig.py", "ViG", space={"nn": torch.nn})
        compared = f"masked images, {fill}; maps with zeros or constant, 5 quantiles"
        gaps = [case(code, fill, *each) for each in cases]
        yield code.row("vig_bias", compared, gaps, bar=1e-12)


def _pictures(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Six images, and their maps: of few values, mostly zero, and constant in one image."""
    generator = draws(seed)
    maps = (torch.randn(6, 20, 20, generator=generator) + 0.8 * seed - 0.8).clamp(min=0)
    maps[0], maps[1] = 0.3, (4 * maps[1]).round()
    return torch.rand(6, 3, 20, 20, generator=generator), maps


def slices(clones: Clones) -> Iterator[Row]:
    code = _mixtures(clones)
    # line 127 repeats a keyword, so that the file is not Python
    fit = clones.lines(VIG, "facts/slice.py", 132, 157, without=127)

    def facts(seed: int) -> float:
        fitted, judged = _classes(seed)
        space = {"oracle": False, "dp_val": _table(fitted), "classes": 2}
        space |= {"weight2": 25, "reg_covar2": 1e-3}
        found = fit.run(space | {"CoSiSlicer": partial(_noisy, code["CoSiSlicer"])})
        ours = facts_slices(fitted, judged, generator=np.random.default_rng(0))
        return _gap(found["cosi"], judged, ours.memberships)

    def domino(seed: int) -> float:
        fitted, judged = _classes(seed)
        options = {"y_log_likelihood_weight": 10, "y_hat_log_likelihood_weight": 10}
        theirs = _noisy(code["MixtureSlicer"], **options, num_classes=2)
        theirs.fit(_table(fitted), "clip(img)", "target", "probs")
        weights = {"target_weight": 10.0, "prediction_weight": 10.0}
        generator = np.random.default_rng(0)
        ours = domino_slices(fitted, judged, generator=generator, **weights)
        return _gap(theirs, judged, ours.memberships)

    compared = "memberships of 200 images, fitted on 1,040 of a class; noise in the start"
    yield fit.row("vig_bias", f"{compared}: 10 of 36 components", map(facts, range(3)), bar=1e-6)
    compared = f"{compared}: Domino's mixture, 5 of 25 components"
    yield code.row("vig_bias", compared, map(domino, range(3)), bar=1e-6)


def _mixtures(clones: Clones) -> Piece:
    """Their mixtures, on the names that scikit-learn and NumPy had then."""
    above = {"ABC": ABC, "abstractmethod": abstractmethod, "BaseEstimator": base.BaseEstimator}
    space: dict[str, Any] = above | {"Config": SimpleNamespace}
    folder = "facts/CoSi/_slice"
    slicer = clones.take(VIG, f"{folder}/abstract.py", "Slicer", space=space)["Slicer"]
    covariances = [name for name in vars(gaussian) if name.startswith("_estimate_gaussian")]
    space = {name: getattr(gaussian, name) for name in covariances}
    space |= {"_compute_precision_cholesky": gaussian._compute_precision_cholesky}
    space |= {"GaussianMixture": mixture.GaussianMixture, "PCA": decomposition.PCA}
    space |= {"Slicer": slicer, "wraps": wraps, "logsumexp": logsumexp, "cluster": cluster}
    space |= {"label_binarize": preprocessing.label_binarize, "check_is_fitted": check_is_fitted}
    space |= {"np": Replaced(np, {"infty": np.inf}), "_check_X": lambda X, *_, **__: X}
    space |= {"tqdm": lambda rows, **_: rows, "random": SimpleNamespace(seed=lambda _: None)}
    space |= {"unpack_args": lambda data, *names: [data[name] for name in names]}
    space |= {"convert_to_numpy": lambda *values: values}
    space |= {"check_random_state": lambda _: SimpleNamespace(rand=_noise)}
    code = clones.take(VIG, f"{folder}/mixture.py", *NAMES, space=space)
    for name in ("_check_n_features", "_check_initial_parameters", "_print_verbose_msg_init_end"):
        setattr(code["DominoMixture"], name, lambda *_, **__: None)
    return code


def _noise(*shape: int) -> Any:
    """The random numbers of both starts."""
    return np.random.default_rng(0).random(shape)


def _noisy(slicer: Any, **options: Any) -> Any:
    """Their slicer with noise in its start; without, components of a cell stay equal."""
    return slicer(**(options | {"confusion_noise": 1e-3, "pbar": False}))


def _classes(seed: int) -> tuple[PredictedImages, PredictedImages]:
    """Images of one class in two kinds of pictures; the model errs on most of the second kind."""
    rng = np.random.default_rng(seed)
    kind = rng.random(FITTED + JUDGED) < 0.3
    features = rng.normal(size=(len(kind), SIZE)) * np.linspace(2, 0.5, SIZE)
    features[kind, :3] += 4
    logit = 2 * rng.normal(size=len(kind)) + np.where(kind, -2, 2)
    right = 1 / (1 + np.exp(-logit))
    target = seed % 2
    shares = np.stack([right, 1 - right][:: 1 - 2 * target], axis=1)
    images = PredictedImages(features, np.full(len(kind), target), shares)
    return images.take(np.arange(FITTED)), images.take(np.arange(FITTED, len(kind)))


def _table(images: PredictedImages) -> dict[str, Any]:
    """Images as the columns that their script reads."""
    return {"clip(img)": images.features, "target": images.target, "probs": images.probabilities}


def _gap(theirs: Any, judged: PredictedImages, ours: Any) -> float:
    table = _table(judged)
    return apart(theirs.predict_proba(table, "clip(img)", "target", "probs"), ours)
