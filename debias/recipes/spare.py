"""SPARE: clusters of what a model says early in training, evened out by sampling."""

from dataclasses import dataclass

from debias.config import Config
from debias.errors import check_at_least
from debias.group_inference.clusters import class_clusters
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained


@dataclass(kw_only=True)
class SPARE(Recipe):
    """Cluster the predictions of an early model per class, then sample the clusters evenly.

    1. ``early``: plain ERM for an epoch or two.
    2. :func:`debias.group_inference.clusters.class_clusters` of its probabilities for the training
       images are the groups.
    3. A new model is trained by the run's strategy on draws in which small clusters are likelier:
       the sampler ``cluster_balanced``, with power 2 for classes whose clusters lie close
       (silhouette below ``threshold``), else 1.

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias", AISTATS 2024; reference code BigML-CS-UCLA/SpuCo. ``groups.csv`` has the
    cluster within the class, 0 being the largest.

    Args:
        early: what the first stage changes of the run's config, such as ``{epochs: 1}``.
        largest: greatest number of clusters of a class, at least 2; the silhouette chooses.
        threshold: of the silhouette.

    Raises:
        ValueError: ``largest`` is less than 2.

    Differs from the reference: its scripts name the number of clusters, four in each class of
    Waterbirds, and cluster CelebA by the features of an untrained network, not within classes.
    """

    infers = ("train",)

    early: Settings | None = None
    largest: int = 5
    threshold: float = 0.9

    def __post_init__(self) -> None:
        check_at_least(2, {"recipe.largest": self.largest}, of="SPARE")

    def stages(self, run: Run) -> list[Config]:
        """The early model, and the last stage but for what reads the clusters.

        Raises:
            ValueError: the run has a sampler of its own.
        """
        run.refuse_own("sampler")
        return [run.stage_config(self.early), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train for a little while, cluster, train again."""
        early = run.train_stage("early", run.stage_config(self.early))
        found = early.predictions("train")
        clusters = class_clusters(
            found.logits.softmax(dim=1), found.target, seed=run.config.seed, largest=self.largest
        )
        partition = run.infer(early.everywhere(found.index, clusters.inferred), early.examples)
        powers = clusters.powers(threshold=self.threshold)
        sampler = {"name": "cluster_balanced", "powers": powers}
        return run.train_last({"sampler": sampler}, partition=partition)
