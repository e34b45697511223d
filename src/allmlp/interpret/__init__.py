"""What a trained network computes, and on what it looks. Models are read and never changed."""

from allmlp.interpret import bilinear as bilinear
from allmlp.interpret.flow_pictures import draw_flow as draw_flow
from allmlp.interpret.flow_pictures import draw_flow_history as draw_flow_history

__all__ = ["bilinear", "draw_flow", "draw_flow_history"]
