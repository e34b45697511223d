"""Names: variants, their sizes and costs, published weights and results; foreign files to ours."""

from allmlp.zoo.create import create_model as create_model
from allmlp.zoo.features import FeatureBackbone as FeatureBackbone
from allmlp.zoo.info import ModelInfo as ModelInfo
from allmlp.zoo.info import model_info as model_info
from allmlp.zoo.model_files import load_model as load_model
from allmlp.zoo.model_files import save_model as save_model
from allmlp.zoo.registry import list_models as list_models

__all__ = [
    "FeatureBackbone",
    "ModelInfo",
    "create_model",
    "list_models",
    "load_model",
    "model_info",
    "save_model",
]
