"""The recipe of methods with a single stage, which is the default."""

from debias.config import Config
from debias.runs.run import Recipe, Run, Trained


class OneStage(Recipe):
    """Train one model in one stage, with one strategy."""

    takes_groups = True
    takes_labels = True

    def stages(self, run: Run) -> list[Config]:
        """The run's own config."""
        return [run.config]

    def train(self, run: Run) -> Trained:
        """Train the model in the run's own folder."""
        return run.train_last()
