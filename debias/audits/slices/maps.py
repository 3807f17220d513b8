"""Slices from explanation maps: what a model looked at, and clusters of where it looked."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import averaged
from debias.group_inference.clusters import class_clusters

#: Pixels where the map of a picture, scaled to [0, 1], is below it were not looked at.
THRESHOLD = 0.5
#: Cells of a side of a map in the comparison of maps.
CELLS = 7


def looked_at(pictures: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Keep what a model looked at, and fill the rest with the mean colour of the picture.

    Find slices on the features of these pictures: they are then about what the model used. If a map
    covers everything, the picture does not change, and the slices are those of the pictures.

    Source: Marani et al., "ViG-Bias: Visually Grounded Bias Discovery and Mitigation", ECCV 2024.
    The threshold is a choice of debias.

    Args:
        pictures: ``(N, H, W, 3)`` uint8.
        maps: ``(N, h, w)`` explanation maps of the predicted class. Each is resized to the picture
            and scaled to [0, 1]. A constant map covers everything.
    """
    kept = [_one(*pair) for pair in zip(pictures, maps, strict=True)]
    return np.stack(kept) if kept else pictures


def _one(picture: NDArray[np.uint8], map_: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    large = np.asarray(cv2.resize(map_, (width, height)))
    spread = np.ptp(large)
    inside = (
        (large - large.min()) / spread >= THRESHOLD if spread > 0 else np.ones_like(large, bool)
    )
    mean = picture.mean(axis=(0, 1)).round().astype(np.uint8)
    return np.asarray(np.where(inside[..., None], picture, mean), dtype=np.uint8)


class MapStrategies(NamedTuple):
    """Clusters of explanation maps within each class.

    Attributes:
        cluster: ``(N,)`` int64 cluster of each image within its class, 0 the largest.
        silhouette: ``(C,)`` float64, how well the clusters of a class are separated; NaN for one.
        mean_maps: ``(C, K, 7, 7)`` float64 mean map of each cluster, with sum 1; 0 without images.
    """

    cluster: NDArray[np.int64]
    silhouette: NDArray[np.float64]
    mean_maps: NDArray[np.float64]


def map_strategies(
    maps: NDArray[np.float32], target: NDArray[np.int64], *, seed: int
) -> MapStrategies:
    """Cluster where a model looks, within each class. A cluster on a corner is a watermark.

    Source: spectral relevance analysis (Lapuschkin et al., "Unmasking Clever Hans predictors and
    assessing what machines really learn", Nature Communications 2019), with the clusters of
    :func:`debias.group_inference.clusters.class_clusters`.

    Args:
        maps: ``(N, h, w)`` explanation maps, at least 0.
        target: ``(N,)`` int64 class.
        seed: seed of k-means.
    """
    flat = np.maximum(averaged(maps, CELLS).reshape(len(maps), -1), 0).astype(np.float64)
    flat /= np.maximum(flat.sum(axis=1, keepdims=True), 1e-12)
    found = class_clusters(torch.from_numpy(flat), torch.from_numpy(target), seed=seed)
    cluster: NDArray[np.int64] = found.inferred.numpy()
    shape = (int(target.max()) + 1, int(cluster.max()) + 1)
    place = np.ravel_multi_index((target, cluster), shape)
    total = np.zeros((shape[0] * shape[1], flat.shape[1]))
    np.add.at(total, place, flat)
    sizes = np.bincount(place, minlength=len(total))[:, None]
    mean = (total / np.maximum(sizes, 1)).reshape(*shape, CELLS, CELLS)
    return MapStrategies(cluster, found.silhouette.numpy(), mean)
