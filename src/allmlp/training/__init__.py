"""One loop for any `nn.Module`, and the parts it is put together from."""

from allmlp.training.checkpoint import load_checkpoint as load_checkpoint
from allmlp.training.checkpoint import save_checkpoint as save_checkpoint
from allmlp.training.loop import Loop as Loop
from allmlp.training.loop import StepReport as StepReport
from allmlp.training.loop import evaluate as evaluate
from allmlp.training.parameters import decay_groups as decay_groups
from allmlp.training.precision import autocast_dtype as autocast_dtype
from allmlp.training.precision import choose_device as choose_device
from allmlp.training.schedule import warmup_cosine as warmup_cosine
from allmlp.training.task import Classification as Classification
from allmlp.training.task import Task as Task

__all__ = [
    "Classification",
    "Loop",
    "StepReport",
    "Task",
    "autocast_dtype",
    "choose_device",
    "decay_groups",
    "evaluate",
    "load_checkpoint",
    "save_checkpoint",
    "warmup_cosine",
]
