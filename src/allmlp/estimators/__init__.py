"""Networks as scikit-learn estimators."""

from allmlp.estimators.image import ImageClassifier as ImageClassifier
from allmlp.estimators.tabular import TabularClassifier as TabularClassifier
from allmlp.estimators.tabular import TabularRegressor as TabularRegressor

__all__ = ["ImageClassifier", "TabularClassifier", "TabularRegressor"]
