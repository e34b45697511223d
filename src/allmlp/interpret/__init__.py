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
from allmlp.interpret.overview import Answer as Answer
from allmlp.interpret.overview import Overview as Overview
from allmlp.interpret.overview import overview as overview
from allmlp.interpret.pictures import draw_images as draw_images
from allmlp.interpret.pixel_weights import pixel_weights as pixel_weights
from allmlp.interpret.reach import Reach as Reach
from allmlp.interpret.reach import mixing_reach as mixing_reach
from allmlp.interpret.receptive_field import area_share as area_share
from allmlp.interpret.receptive_field import effective_receptive_field as effective_receptive_field
from allmlp.interpret.token_maps import TokenMaps as TokenMaps
from allmlp.interpret.token_maps import token_maps as token_maps

__all__ = [
    "AffineMap",
    "Answer",
    "Attribution",
    "Overview",
    "Reach",
    "TokenMaps",
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
    "overview",
    "pixel_weights",
    "token_maps",
]
