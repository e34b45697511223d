"""KANs as formulas: score, prune, name the functions on the edges, read the law and check it.

`scores`, `prune`, `auto_symbolic`, `symbolic_formula`, in this order. New models come out; none is
changed.
"""

from allmlp.interpret.kan.curves import EdgeCurves as EdgeCurves
from allmlp.interpret.kan.curves import active_edges as active_edges
from allmlp.interpret.kan.curves import edge_curves as edge_curves
from allmlp.interpret.kan.diagram import Diagram as Diagram
from allmlp.interpret.kan.diagram import DrawnEdge as DrawnEdge
from allmlp.interpret.kan.diagram import DrawnNode as DrawnNode
from allmlp.interpret.kan.diagram import diagram as diagram
from allmlp.interpret.kan.formula import Formula as Formula
from allmlp.interpret.kan.formula import symbolic_formula as symbolic_formula
from allmlp.interpret.kan.from_formula import from_formula as from_formula
from allmlp.interpret.kan.picture import draw_edge as draw_edge
from allmlp.interpret.kan.picture import draw_kan as draw_kan
from allmlp.interpret.kan.prune import Pruned as Pruned
from allmlp.interpret.kan.prune import prune as prune
from allmlp.interpret.kan.scores import Scores as Scores
from allmlp.interpret.kan.scores import feature_scores as feature_scores
from allmlp.interpret.kan.scores import scores as scores
from allmlp.interpret.kan.search import Law as Law
from allmlp.interpret.kan.search import SymbolicSearch as SymbolicSearch
from allmlp.interpret.kan.search import search_symbolic as search_symbolic
from allmlp.interpret.kan.structure import SYMMETRIES as SYMMETRIES
from allmlp.interpret.kan.structure import Symmetry as Symmetry
from allmlp.interpret.kan.structure import interactions as interactions
from allmlp.interpret.kan.structure import separable_groups as separable_groups
from allmlp.interpret.kan.structure import symmetries as symmetries
from allmlp.interpret.kan.symbolic import AutoSymbolic as AutoSymbolic
from allmlp.interpret.kan.symbolic import Candidate as Candidate
from allmlp.interpret.kan.symbolic import add_function as add_function
from allmlp.interpret.kan.symbolic import auto_symbolic as auto_symbolic
from allmlp.interpret.kan.symbolic import fix_symbolic as fix_symbolic
from allmlp.interpret.kan.symbolic import suggest_symbolic as suggest_symbolic
from allmlp.interpret.kan.symbolic import unfix as unfix
from allmlp.interpret.kan.tidy import tidy as tidy

__all__ = [
    "SYMMETRIES",
    "AutoSymbolic",
    "Candidate",
    "Diagram",
    "DrawnEdge",
    "DrawnNode",
    "EdgeCurves",
    "Formula",
    "Law",
    "Pruned",
    "Scores",
    "SymbolicSearch",
    "Symmetry",
    "active_edges",
    "add_function",
    "auto_symbolic",
    "diagram",
    "draw_edge",
    "draw_kan",
    "edge_curves",
    "feature_scores",
    "fix_symbolic",
    "from_formula",
    "interactions",
    "prune",
    "scores",
    "search_symbolic",
    "separable_groups",
    "suggest_symbolic",
    "symbolic_formula",
    "symmetries",
    "tidy",
    "unfix",
]
