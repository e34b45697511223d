"""Networks as scikit-learn estimators."""

from allmlp.estimators.export import export_estimator as export_estimator
from allmlp.estimators.image import ImageClassifier as ImageClassifier
from allmlp.estimators.kan import KANClassifier as KANClassifier
from allmlp.estimators.kan import KANRegressor as KANRegressor
from allmlp.estimators.kan_law import TableLaw as TableLaw
from allmlp.estimators.tabular import TabularClassifier as TabularClassifier
from allmlp.estimators.tabular import TabularRegressor as TabularRegressor

__all__ = [
    "ImageClassifier",
    "KANClassifier",
    "KANRegressor",
    "TableLaw",
    "TabularClassifier",
    "TabularRegressor",
    "export_estimator",
]
