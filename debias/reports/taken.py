"""A stage that a run did not train again, in its report."""

from dataclasses import dataclass

from debias.progress import duration


@dataclass(frozen=True)
class TakenStage:
    """A stage that a run took from the store.

    Attributes:
        stage: name of the stage; empty for the only or last one.
        run: name of the run, and of its stage, that trained it.
        seconds: how long this training took.
    """

    stage: str
    run: str
    seconds: float

    def __str__(self) -> str:
        """Name the stage, and its source."""
        what = f"stage {self.stage}" if self.stage else "the training"
        return f"{what} is that of {self.run}, which took {duration(self.seconds)}"
