"""Which estimators a run on a table can have, and which one a name means."""

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from allmlp.data.table_levels import is_number
from allmlp.errors import AllmlpError, check_choice, shown, unknown_name
from allmlp.estimators.kan import KANClassifier, KANRegressor
from allmlp.estimators.recipes import RECIPES
from allmlp.estimators.tabular import TabularClassifier, TabularRegressor

__all__ = ["Classifier", "TableModel", "make_model", "model_classes", "model_name"]

TableModel = TabularClassifier | TabularRegressor | KANClassifier | KANRegressor
Classifier = TabularClassifier | KANClassifier
_KAN = "kan"


def model_classes() -> dict[str, type[TableModel]]:
    """Every class by its name, as saved files have it."""
    kinds = (TabularClassifier, TabularRegressor, KANClassifier, KANRegressor)
    return {kind.__name__: kind for kind in kinds}


def model_name(parameters: Mapping[str, Any]) -> str:
    """What people call the model of a run."""
    return str(parameters.get("model", TabularRegressor.model))


def make_model(classes: bool, parameters: Mapping[str, Any]) -> TableModel:
    """An estimator that is not yet fitted.

    Args:
        classes: whether it learns them, or values.
        parameters: of the estimator; `model` chooses it: `kan`, or one of the tabular models.

    Raises:
        AllmlpError: it has no such parameter or model, or one is no number.
    """
    given = dict(parameters)
    check_choice("model", model_name(given), {_KAN, *RECIPES})
    kind: type[TableModel] = TabularClassifier if classes else TabularRegressor
    if given.get("model") == _KAN:
        del given["model"]
        kind = KANClassifier if classes else KANRegressor
    known = kind().get_params()
    unknown = [name for name in given if name not in known]
    if unknown:
        raise AllmlpError(unknown_name(f"parameter of {kind.__name__}", unknown[0], known))
    hints = get_type_hints(kind.__init__)
    return kind(**{name: _in_kind(name, hints[name], value) for name, value in given.items()})


def _in_kind(name: str, hint: Any, value: Any) -> Any:
    """A number where one is asked for: YAML 1.1 reads 1e-3 as text, it wants 1.0e-3."""
    options = get_args(hint) or (hint,)
    if not isinstance(value, str) or float not in options or str in options:
        return value
    if not is_number(value):
        raise AllmlpError(f"{name} must be a number, got {shown(value)}")
    return float(value)
