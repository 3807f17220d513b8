"""All steps of an audit, in order. Each comes after the steps that it needs."""

from debias.audits.cues.groups import PROPOSALS
from debias.audits.cues.ladder_page import LADDER
from debias.audits.files.headers import HEADERS
from debias.audits.files.measuring import PIXELS
from debias.audits.files.properties import PROPERTIES
from debias.audits.leaning.features_step import RANKING_STEP
from debias.audits.leaning.parts_step import PART_STEP
from debias.audits.maps.information_step import CURVE_STEP
from debias.audits.maps.maps_step import MAP_STEP
from debias.audits.maps.swaps_step import SWAP_STEP
from debias.audits.rows.diversity_step import DIVERSITY_STEP
from debias.audits.rows.duplicates_step import DUPLICATES_STEP
from debias.audits.rows.labels_step import LABELS_STEP
from debias.audits.rows.splits_step import SPLITS_STEP
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
    DIVERSITY_STEP,
    PART_STEP,
    RANKING_STEP,
    MAP_STEP,
    SWAP_STEP,
    CURVE_STEP,
    STRATEGIES_STEP,
)
