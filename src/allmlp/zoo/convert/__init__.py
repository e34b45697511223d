"""Weights of other code bases to ours, detected from the keys. One foreign format a file."""

from allmlp.zoo.convert.detect import CONVERTERS as CONVERTERS
from allmlp.zoo.convert.detect import convert_state as convert_state
from allmlp.zoo.convert.format import Converted as Converted
from allmlp.zoo.convert.kan_parts import conv_kan_layer as conv_kan_layer
from allmlp.zoo.convert.kan_parts import kat_rational as kat_rational

__all__ = ["CONVERTERS", "Converted", "conv_kan_layer", "convert_state", "kat_rational"]
