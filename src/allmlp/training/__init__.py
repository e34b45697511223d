"""One loop for any `nn.Module`, and the parts it is put together from."""

from allmlp.training.checkpoint import load_checkpoint as load_checkpoint
from allmlp.training.checkpoint import save_checkpoint as save_checkpoint
from allmlp.training.coord_check import CoordCheck as CoordCheck
from allmlp.training.coord_check import coord_check as coord_check
from allmlp.training.distillation import Distillation as Distillation
from allmlp.training.evaluation import evaluate as evaluate
from allmlp.training.fit import fit as fit
from allmlp.training.fit_kan import KANFit as KANFit
from allmlp.training.fit_kan import KANStage as KANStage
from allmlp.training.fit_kan import fit_kan as fit_kan
from allmlp.training.flow_record import FlowRecord as FlowRecord
from allmlp.training.flow_report import FlowReport as FlowReport
from allmlp.training.flow_report import Verdict as Verdict
from allmlp.training.gradflow import GradFlow as GradFlow
from allmlp.training.history import History as History
from allmlp.training.kan_penalty import KAN_PENALTIES as KAN_PENALTIES
from allmlp.training.kan_penalty import KANPenalty as KANPenalty
from allmlp.training.layer_decay import layer_decay_groups as layer_decay_groups
from allmlp.training.layer_decay import layer_depths as layer_depths
from allmlp.training.levenberg_marquardt import levenberg_marquardt as levenberg_marquardt
from allmlp.training.lion import Lion as Lion
from allmlp.training.loop import Loop as Loop
from allmlp.training.loop import NotFiniteError as NotFiniteError
from allmlp.training.loop import StepReport as StepReport
from allmlp.training.loop import Watcher as Watcher
from allmlp.training.machine import describe_machine as describe_machine
from allmlp.training.members import MemberClassification as MemberClassification
from allmlp.training.members import MemberRegression as MemberRegression
from allmlp.training.members import mean_answer as mean_answer
from allmlp.training.members import probabilities as probabilities
from allmlp.training.moments import carry_moments as carry_moments
from allmlp.training.muon import MuonAdamW as MuonAdamW
from allmlp.training.muon import hidden_matrices as hidden_matrices
from allmlp.training.mup import MupRule as MupRule
from allmlp.training.mup import mup_groups as mup_groups
from allmlp.training.mup import mup_rules as mup_rules
from allmlp.training.optimizers import OPTIMIZERS as OPTIMIZERS
from allmlp.training.optimizers import build_optimizer as build_optimizer
from allmlp.training.optimizers import find_optimizer as find_optimizer
from allmlp.training.parallel import distribute as distribute
from allmlp.training.parallel import model_state as model_state
from allmlp.training.parameters import decay_groups as decay_groups
from allmlp.training.penalty import Penalty as Penalty
from allmlp.training.plateau import Plateau as Plateau
from allmlp.training.precision import autocast as autocast
from allmlp.training.precision import choose_autocast_dtype as choose_autocast_dtype
from allmlp.training.precision import choose_device as choose_device
from allmlp.training.ranks import ALONE as ALONE
from allmlp.training.ranks import Ranks as Ranks
from allmlp.training.ranks import join_ranks as join_ranks
from allmlp.training.schedule import SCHEDULES as SCHEDULES
from allmlp.training.schedule import build_schedule as build_schedule
from allmlp.training.schedule import warmup_cosine as warmup_cosine
from allmlp.training.schedule_free import is_schedule_free as is_schedule_free
from allmlp.training.selection import Selection as Selection
from allmlp.training.sigmoid import SigmoidClassification as SigmoidClassification
from allmlp.training.signals import Stopped as Stopped
from allmlp.training.signals import listen_for_stop as listen_for_stop
from allmlp.training.task import Classification as Classification
from allmlp.training.task import Goal as Goal
from allmlp.training.task import Regression as Regression
from allmlp.training.task import Task as Task
from allmlp.training.trace import Trace as Trace

__all__ = [
    "ALONE",
    "KAN_PENALTIES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Classification",
    "CoordCheck",
    "Distillation",
    "FlowRecord",
    "FlowReport",
    "Goal",
    "GradFlow",
    "History",
    "KANFit",
    "KANPenalty",
    "KANStage",
    "Lion",
    "Loop",
    "MemberClassification",
    "MemberRegression",
    "MuonAdamW",
    "MupRule",
    "NotFiniteError",
    "Penalty",
    "Plateau",
    "Ranks",
    "Regression",
    "Selection",
    "SigmoidClassification",
    "StepReport",
    "Stopped",
    "Task",
    "Trace",
    "Verdict",
    "Watcher",
    "autocast",
    "build_optimizer",
    "build_schedule",
    "carry_moments",
    "choose_autocast_dtype",
    "choose_device",
    "coord_check",
    "decay_groups",
    "describe_machine",
    "distribute",
    "evaluate",
    "find_optimizer",
    "fit",
    "fit_kan",
    "hidden_matrices",
    "is_schedule_free",
    "join_ranks",
    "layer_decay_groups",
    "layer_depths",
    "levenberg_marquardt",
    "listen_for_stop",
    "load_checkpoint",
    "mean_answer",
    "model_state",
    "mup_groups",
    "mup_rules",
    "probabilities",
    "save_checkpoint",
    "warmup_cosine",
]
