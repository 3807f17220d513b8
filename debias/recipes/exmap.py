"""ExMap: DFR on groups that are clusters of attribution maps, without any bias label."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from debias import processes
from debias.config import Config
from debias.data.orders import seeded_generator
from debias.data.partition import write_inferred
from debias.errors import check_at_least, check_one_of
from debias.evaluation.attention import attention_maps, check_maps
from debias.group_inference.heatmap_clusters import (
    WITHIN,
    check_counts,
    clustered_groups,
    heatmap_clusters,
)
from debias.heads.linear import Rows
from debias.heads.sparse import STRENGTHS, sparse_head
from debias.models.attribution import CAMS
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice
from debias.runs.run import Run, Trained

#: Fewest validation images of a group; smaller groups join the largest one of their class.
FEWEST = 6


@dataclass(kw_only=True)
class ExMap(LastLayer):
    """Cluster validation images by where the model looks, then refit the last layer as DFR.

    1. The backbone gives a Grad-CAM map of the predicted class for each validation image.
    2. :func:`debias.group_inference.heatmap_clusters.heatmap_clusters` clusters the maps. A group
       is a class and a cluster. ``groups.csv`` has the cluster of each validation image.
    3. :func:`debias.heads.sparse.sparse_head` fits a head on subsamples with these groups balanced,
       and chooses C by the worst of them. No true bias label is read.

    Needs the extra ``attribution``.

    Source: Chakraborty et al., "ExMap: Leveraging Explainability Heatmaps for Unsupervised Group
    Robustness to Spurious Correlations", CVPR 2024; reference code rwchakra/exmap.

    Args:
        clusters: number of clusters; ``None`` uses the largest gap between eigenvalues.
        within: "class" clusters the images of each class, "all" all images together.
        layer: dotted name of the layer for Grad-CAM. Default: the last layer with spatial
            positions.
        cam: "grad_cam" or "xgrad_cam", see :func:`debias.models.attribution.grad_cam`.
        subsamples: number of fits that are averaged.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``clusters`` is below 2, ``within`` or ``cam`` is unknown, or ``subsamples`` is
            below 1.

    Differs from the reference: maps are those of Grad-CAM, which have fewer positions, and not of
    layer-wise relevance propagation in three channels at 112 pixels. Groups of fewer than 6 images
    join the largest one of their class; there they are used whole. Groups of "all" cannot have the
    same number, as they can there. See also the two functions.
    """

    halved = "class"

    clusters: int | None = None
    within: str = "class"
    layer: str | None = None
    cam: str = "grad_cam"
    subsamples: int = 20
    record: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_at_least(2, {"recipe.clusters": 2 if self.clusters is None else self.clusters})
        check_at_least(1, {"recipe.subsamples": self.subsamples})
        check_one_of(WITHIN, {"recipe.within": self.within})
        check_one_of(CAMS, {"recipe.cam": self.cam})

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error also for several labels, a model without spatial maps, or numbers of
        validation images that cannot be clustered.
        """
        super().check(parts, config)
        check_maps(parts, layer=self.layer)
        target = parts.examples.target[parts.examples.rows("val")]
        check_counts(target, clusters=self.clusters, within=self.within)

    def train(self, run: Run) -> Trained:
        """Train or load the backbone, cluster its maps, and fit a head."""
        self.record = run.folder / "groups.csv"
        return super().train(run)

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return one head, which includes the scaling of the features."""
        rows = frozen.rows("val")
        group = self._groups(frozen, rows.target, seed)
        fitted = sparse_head(
            Rows(rows.features, rows.target, group),
            seeded_generator(seed),
            classes=frozen.stage.examples.groups.rows,
            subsamples=self.subsamples,
        )
        grid, best = [{"C": strength} for strength in STRENGTHS], int(fitted.scores.argmax())
        self.choice = HeadChoice(
            grid, fitted.scores, best, "half of val", fitted.judged, False, inferred=True
        )
        return fitted.head.linear(0)

    def _groups(self, frozen: Frozen, target: Tensor, seed: int) -> Tensor:
        """``(N,)`` int64 group of each validation image."""
        maps = self._maps(frozen)
        found = heatmap_clusters(
            maps, target, seed=seed, clusters=self.clusters, within=self.within
        )
        found, examples = processes.from_first(found), frozen.stage.examples
        if self.record is not None:
            everywhere = frozen.stage.everywhere(examples.rows("val"), found)
            processes.by_first(partial(write_inferred, self.record, examples, everywhere))
        return clustered_groups(found, target, least=FEWEST)

    def _maps(self, frozen: Frozen) -> Tensor:
        """``(N, h, w)`` maps of the validation images, for the classes that the model predicts."""
        with torch.no_grad():
            predicted = frozen.model.head(frozen.features("val")).argmax(dim=1)
        parts, progress = frozen.stage.parts, frozen.config.progress
        maps = attention_maps(
            parts, frozen.stage.examples.rows("val"), classes=predicted, layer=self.layer,
            cam=self.cam, progress=progress,
        )  # fmt: skip
        parts.module.cpu()
        return maps
