"""Bilinear networks taken apart exactly, from their weights alone.

`eigenfeatures` is where to begin. Everything is computed in float64 on detached weights; no model
is changed, and the dense interaction tensor is formed by `interaction_tensor` alone.
"""

from allmlp.interpret.bilinear.compare import gram as gram
from allmlp.interpret.bilinear.compare import similarity as similarity
from allmlp.interpret.bilinear.eigenfeatures import EigenFeatures as EigenFeatures
from allmlp.interpret.bilinear.eigenfeatures import eigenfeatures as eigenfeatures
from allmlp.interpret.bilinear.explain import Explanation as Explanation
from allmlp.interpret.bilinear.explain import Pair as Pair
from allmlp.interpret.bilinear.explain import explain as explain
from allmlp.interpret.bilinear.hosvd import HOSVD as HOSVD
from allmlp.interpret.bilinear.hosvd import hosvd as hosvd
from allmlp.interpret.bilinear.interaction import interaction_matrix as interaction_matrix
from allmlp.interpret.bilinear.interaction import interaction_tensor as interaction_tensor
from allmlp.interpret.bilinear.masks import adversarial_masks as adversarial_masks
from allmlp.interpret.bilinear.measures import effective_inputs as effective_inputs
from allmlp.interpret.bilinear.measures import effective_rank as effective_rank
from allmlp.interpret.bilinear.measures import roughness as roughness
from allmlp.interpret.bilinear.nested import Level as Level
from allmlp.interpret.bilinear.nested import NestedFeatures as NestedFeatures
from allmlp.interpret.bilinear.nested import nested as nested
from allmlp.interpret.bilinear.quadratic import Quadratic as Quadratic
from allmlp.interpret.bilinear.truncate import truncate as truncate

__all__ = [
    "HOSVD",
    "EigenFeatures",
    "Explanation",
    "Level",
    "NestedFeatures",
    "Pair",
    "Quadratic",
    "adversarial_masks",
    "effective_inputs",
    "effective_rank",
    "eigenfeatures",
    "explain",
    "gram",
    "hosvd",
    "interaction_matrix",
    "interaction_tensor",
    "nested",
    "roughness",
    "similarity",
    "truncate",
]
