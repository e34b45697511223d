"""One architecture a file. Architectures do not import each other."""

from allmlp.models.kan import KAN as KAN

__all__ = ["KAN"]
