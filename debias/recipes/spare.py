"""SPARE: clusters of an early model's predictions as groups, balanced by sampling."""

from dataclasses import dataclass

from debias import processes
from debias.config import Config
from debias.errors import check_at_least
from debias.group_inference.clusters import class_clusters
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained


@dataclass(kw_only=True)
class SPARE(Recipe):
    """Cluster the predictions of an early model per class, then sample the clusters evenly.

    1. ``early``: plain ERM for an epoch or two.
    2. :func:`debias.group_inference.clusters.class_clusters` clusters its class probabilities of
       the training images, within each class. The clusters are the inferred groups.
    3. A new model is trained with the run's strategy and the sampler ``cluster_balanced``, which
       visits small clusters more often. Its power is 2 for a class whose clusters are poorly
       separated (silhouette below ``threshold``), and 1 otherwise.

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias", AISTATS 2024; reference code BigML-CS-UCLA/SpuCo. ``groups.csv`` has the
    number of the cluster within the class; 0 is the largest.

    Args:
        early: changes to the run's config for the first stage, such as ``{epochs: 1}``.
        largest: greatest number of clusters per class, at least 2. The silhouette chooses the
            number.
        threshold: silhouette below which the power is 2.

    Raises:
        ValueError: ``largest`` is less than 2.

    Differs from the reference: the silhouette chooses the number of clusters. The authors' scripts
    set it, to four in each class of Waterbirds. They cluster CelebA by the features of an untrained
    network, and not within classes.
    """

    infers = ("train",)

    early: Settings | None = None
    largest: int = 5
    threshold: float = 0.9

    def __post_init__(self) -> None:
        check_at_least(2, {"recipe.largest": self.largest}, of="SPARE")

    def stages(self, run: Run) -> list[Config]:
        """Configs of the early stage, and of the last stage as plain ERM (no groups exist yet).

        Raises:
            ValueError: the run has its own sampler.
        """
        run.refuse_own("sampler")
        return [run.stage_config(self.early), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train the early model, cluster its predictions, and train the last stage."""
        early = run.train_stage("early", run.stage_config(self.early))
        predictions = early.predictions("train")
        clusters = class_clusters(
            predictions.logits.softmax(dim=1),
            predictions.target,
            seed=run.config.seed,
            largest=self.largest,
        )
        inferred = early.everywhere(predictions.index, clusters.inferred)
        partition = run.infer(inferred, early.examples)
        powers = processes.from_first(clusters.powers(threshold=self.threshold))
        sampler = {"name": "cluster_balanced", "powers": powers}
        return run.train_last({"sampler": sampler}, partition=partition)
