"""All steps of an audit, in order. Each comes after the steps that it needs."""

from debias.audits.cues.groups import PROPOSALS
from debias.audits.cues.ladder_page import LADDER
from debias.audits.files.headers import HEADERS
from debias.audits.files.measuring import PIXELS
from debias.audits.files.properties import PROPERTIES
from debias.audits.rows.columns_step import COLUMNS_STEP
from debias.audits.rows.diversity_step import DIVERSITY_STEP
from debias.audits.rows.duplicates_step import DUPLICATES_STEP
from debias.audits.rows.labels_step import LABELS_STEP
from debias.audits.rows.splits_step import SPLITS_STEP
from debias.audits.run_steps import RUN_STEPS
from debias.audits.slices.slices_step import SLICES_STEP
from debias.audits.slices.strategies_step import STRATEGIES_STEP
from debias.audits.steps import Step

STEPS: tuple[Step, ...] = (
    HEADERS,
    DUPLICATES_STEP,
    PIXELS,
    PROPERTIES,
    *LADDER,
    PROPOSALS,
    SPLITS_STEP,
    SLICES_STEP,
    LABELS_STEP,
    COLUMNS_STEP,
    DIVERSITY_STEP,
    *RUN_STEPS,
    STRATEGIES_STEP,
)
