"""One loop for any `nn.Module`, and the parts it is put together from."""

from allmlp.training.checkpoint import load_checkpoint as load_checkpoint
from allmlp.training.checkpoint import save_checkpoint as save_checkpoint
from allmlp.training.fit import fit as fit
from allmlp.training.flow_record import FlowRecord as FlowRecord
from allmlp.training.flow_report import FlowReport as FlowReport
from allmlp.training.gradflow import GradFlow as GradFlow
from allmlp.training.history import History as History
from allmlp.training.loop import Loop as Loop
from allmlp.training.loop import NotFiniteError as NotFiniteError
from allmlp.training.loop import StepReport as StepReport
from allmlp.training.loop import Watcher as Watcher
from allmlp.training.loop import evaluate as evaluate
from allmlp.training.moments import carry_moments as carry_moments
from allmlp.training.parallel import distribute as distribute
from allmlp.training.parallel import model_state as model_state
from allmlp.training.parameters import decay_groups as decay_groups
from allmlp.training.precision import autocast_dtype as autocast_dtype
from allmlp.training.precision import choose_device as choose_device
from allmlp.training.ranks import ALONE as ALONE
from allmlp.training.ranks import Ranks as Ranks
from allmlp.training.ranks import join_ranks as join_ranks
from allmlp.training.schedule import warmup_cosine as warmup_cosine
from allmlp.training.selection import Selection as Selection
from allmlp.training.signals import Stopped as Stopped
from allmlp.training.signals import listen_for_stop as listen_for_stop
from allmlp.training.task import Classification as Classification
from allmlp.training.task import Regression as Regression
from allmlp.training.task import Task as Task
from allmlp.training.trace import Trace as Trace

__all__ = [
    "ALONE",
    "Classification",
    "FlowRecord",
    "FlowReport",
    "GradFlow",
    "History",
    "Loop",
    "NotFiniteError",
    "Ranks",
    "Regression",
    "Selection",
    "StepReport",
    "Stopped",
    "Task",
    "Trace",
    "Watcher",
    "autocast_dtype",
    "carry_moments",
    "choose_device",
    "decay_groups",
    "distribute",
    "evaluate",
    "fit",
    "join_ranks",
    "listen_for_stop",
    "load_checkpoint",
    "model_state",
    "save_checkpoint",
    "warmup_cosine",
]
