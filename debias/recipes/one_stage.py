"""The recipe that most methods need."""

from debias.config import Config
from debias.runs.run import Recipe, Run, Trained


class OneStage(Recipe):
    """Train one model once, by one strategy."""

    takes_groups = True

    def stages(self, run: Run) -> list[Config]:
        """The run's own config."""
        return [run.config]

    def train(self, run: Run) -> Trained:
        """Train it."""
        return run.train_last()
