"""Names: variants, their sizes and costs, and the results that were published for them."""

from allmlp.zoo.registry import ModelInfo as ModelInfo
from allmlp.zoo.registry import build_model as build_model
from allmlp.zoo.registry import create_model as create_model
from allmlp.zoo.registry import family_of as family_of
from allmlp.zoo.registry import list_models as list_models
from allmlp.zoo.registry import model_info as model_info

__all__ = ["ModelInfo", "build_model", "create_model", "family_of", "list_models", "model_info"]
