from allmlp import bench as bench
from allmlp import data as data
from allmlp import deploy as deploy
from allmlp import estimators as estimators
from allmlp import interpret as interpret
from allmlp import layers as layers
from allmlp import models as models
from allmlp import ops as ops
from allmlp import report as report
from allmlp import runs as runs
from allmlp import scaling as scaling
from allmlp import theory as theory
from allmlp import training as training
from allmlp import zoo as zoo
from allmlp.errors import AllmlpError as AllmlpError
from allmlp.models import KAN as KAN
from allmlp.models import MLP as MLP
from allmlp.models import BilinearMLP as BilinearMLP
from allmlp.runs.run import load_run as load_run
from allmlp.runs.train import train as train
from allmlp.training import fit as fit
from allmlp.zoo import create_model as create_model
from allmlp.zoo import list_models as list_models
from allmlp.zoo import model_info as model_info

__version__: str
__all__: list[str]
