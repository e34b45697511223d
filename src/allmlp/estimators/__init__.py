"""Networks as scikit-learn estimators."""

from allmlp.estimators.tabular import TabularClassifier as TabularClassifier
from allmlp.estimators.tabular import TabularRegressor as TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]
