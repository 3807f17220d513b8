"""How strong a finding is called, by every step alike."""

#: Least AUROC of a strong finding, and of some finding.
STRONG, SOME = 0.75, 0.6
#: Largest p-value of a finding, after Holm's correction over all cues of a step. It is small, so
#: that an audit of a clean data set finds nothing in 20 of 20 draws.
SIGNIFICANT = 0.001


def strength(auroc: float, p_value: float, *, level: float = SIGNIFICANT) -> str:
    """The word for a cue that tells the class with some AUROC.

    Args:
        auroc: AUROC on images that the probe did not learn from; 0.5 is chance.
        p_value: p-value of "it tells nothing", corrected for the number of cues.
        level: largest p-value of a finding.

    Returns:
        "strong", "some" or "none found".

    Example:
        >>> strength(0.9, 1e-6), strength(0.65, 1e-6), strength(0.9, 0.2)
        ('strong', 'some', 'none found')
    """
    if p_value > level or auroc < SOME:
        return "none found"
    return "strong" if auroc >= STRONG else "some"
