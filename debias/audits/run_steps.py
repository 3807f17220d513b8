"""The steps that ask a trained model, in order."""

from debias.audits.encoders.stimuli_step import STIMULUS_STEP
from debias.audits.encoders.traces_step import TRACE_STEP
from debias.audits.encoders.variance_step import VARIANCE_STEP
from debias.audits.leaning.ablation_step import ABLATION_STEP
from debias.audits.leaning.features_step import RANKING_STEP
from debias.audits.leaning.following_step import FOLLOWING_STEP
from debias.audits.leaning.order_step import ORDER_STEP
from debias.audits.leaning.parts_step import PART_STEP
from debias.audits.leaning.resaving_step import RESAVING_STEP
from debias.audits.maps.information_step import CURVE_STEP
from debias.audits.maps.maps_step import MAP_STEP
from debias.audits.maps.swaps_step import SWAP_STEP
from debias.audits.steps import Step

RUN_STEPS: tuple[Step, ...] = (
    FOLLOWING_STEP,
    ABLATION_STEP,
    PART_STEP,
    RESAVING_STEP,
    RANKING_STEP,
    VARIANCE_STEP,
    ORDER_STEP,
    MAP_STEP,
    SWAP_STEP,
    CURVE_STEP,
    STIMULUS_STEP,
    TRACE_STEP,
)
