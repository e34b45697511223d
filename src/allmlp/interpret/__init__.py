"""What a trained network computes, and on what it looks. Models are read and never changed."""

from allmlp.interpret import bilinear as bilinear
from allmlp.interpret import kan as kan
from allmlp.interpret.affine import AffineMap as AffineMap
from allmlp.interpret.affine import affine_map as affine_map
from allmlp.interpret.attribution import Attribution as Attribution
from allmlp.interpret.attribution import integrated_gradients as integrated_gradients
from allmlp.interpret.attribution import occlusion as occlusion
from allmlp.interpret.flow_pictures import draw_flow as draw_flow
from allmlp.interpret.flow_pictures import draw_flow_history as draw_flow_history
from allmlp.interpret.pictures import draw_images as draw_images
from allmlp.interpret.reach import Reach as Reach
from allmlp.interpret.reach import mixing_reach as mixing_reach
from allmlp.interpret.receptive_field import area_share as area_share
from allmlp.interpret.receptive_field import effective_receptive_field as effective_receptive_field
from allmlp.interpret.token_maps import TokenMaps as TokenMaps
from allmlp.interpret.token_maps import token_maps as token_maps
from allmlp.interpret.views import View as View
from allmlp.interpret.views import views as views

__all__ = [
    "AffineMap",
    "Attribution",
    "Reach",
    "TokenMaps",
    "View",
    "affine_map",
    "area_share",
    "bilinear",
    "draw_flow",
    "draw_flow_history",
    "draw_images",
    "effective_receptive_field",
    "integrated_gradients",
    "kan",
    "mixing_reach",
    "occlusion",
    "token_maps",
    "views",
]
