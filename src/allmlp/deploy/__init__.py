"""Trained models into forms that run: the same function with fewer parts."""

from allmlp.deploy.reparameterize import reparameterize as reparameterize
from allmlp.deploy.repmlp import inject_locality as inject_locality

__all__ = ["inject_locality", "reparameterize"]
