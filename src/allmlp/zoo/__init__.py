"""Names: variants, their sizes and costs, published weights and results; foreign files to ours."""

from allmlp.zoo.create import create_model as create_model
from allmlp.zoo.info import ModelInfo as ModelInfo
from allmlp.zoo.info import model_info as model_info
from allmlp.zoo.registry import list_models as list_models

__all__ = ["ModelInfo", "create_model", "list_models", "model_info"]
