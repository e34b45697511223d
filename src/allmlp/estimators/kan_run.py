"""The laws of a KAN that was trained on a table, kept in its run.

eval/laws.json  every law: complexity, explained share, functions, formula in full, short and LaTeX
"""

from typing import Any

from allmlp.errors import AllmlpError
from allmlp.estimators.kan import KANClassifier, KANRegressor
from allmlp.estimators.kan_law import TableLaw
from allmlp.estimators.table_run import TableRun

__all__ = ["kan_of", "record_laws"]


def kan_of(run: TableRun) -> KANRegressor | KANClassifier:
    """The KAN of a run.

    Raises:
        AllmlpError: it has another model.
    """
    if not isinstance(run.model, KANRegressor | KANClassifier):
        raise AllmlpError(
            f"{run.directory.path} holds {type(run.model).__name__}; train a KAN, by `allmlp kan "
            "fit` or `allmlp train TABLE --target COLUMN --model kan`"
        )
    return run.model


def record_laws(run: TableRun) -> dict[str, Any]:
    """Find the laws of a run and write `eval/laws.json`.

    Returns:
        What is in it: `symbols`, each with the name of its column; `outputs`, what the expressions
        of a law are; and `laws`, the simplest first.

    Raises:
        AllmlpError: the run has no KAN, or the network no formula.
    """
    model = kan_of(run)
    target = run.config.target
    outputs = [target]
    if isinstance(model, KANClassifier):
        outputs = [f"score of {target} = {name}" for name in model.classes_]
    record = {
        "symbols": model.symbols_,
        "outputs": outputs,
        "laws": [_record(law) for law in model.laws()],
    }
    run.directory.write_json(run.directory.eval / "laws.json", record)
    return record


def _record(law: TableLaw) -> dict[str, Any]:
    import sympy

    return {
        "complexity": law.complexity,
        "explained": law.explained,
        "functions": list(law.functions),
        "formula": [str(e) for e in law.formula.expressions],
        "short": [str(e) for e in law.short],
        "latex": [sympy.latex(e) for e in law.short],
    }
