"""Trained models into forms that run: the same function with fewer parts, or as a file."""

from allmlp.deploy.export import export as export
from allmlp.deploy.image_run import export_run as export_run
from allmlp.deploy.reparameterize import reparameterize as reparameterize
from allmlp.deploy.repmlp import inject_locality as inject_locality
from allmlp.deploy.write import Exported as Exported

__all__ = ["Exported", "export", "export_run", "inject_locality", "reparameterize"]
