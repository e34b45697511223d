"""Weights of other code bases to ours, detected from the keys. One foreign format a file."""

from allmlp.zoo.convert.detect import CONVERTERS as CONVERTERS
from allmlp.zoo.convert.detect import convert_state as convert_state
from allmlp.zoo.convert.format import Converted as Converted

__all__ = ["CONVERTERS", "Converted", "convert_state"]
