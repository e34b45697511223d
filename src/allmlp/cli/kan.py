"""`allmlp kan …`: laws from tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from allmlp.cli.table import scores_line, train_aloud
from allmlp.errors import AllmlpError

if TYPE_CHECKING:
    from allmlp.estimators.kan import KANClassifier, KANRegressor
    from allmlp.estimators.table_run import TableRun

__all__ = ["app"]

app = App(name="kan", help="KANs for science: fit a table, and read the law off the network.")


@app.command
def fit(
    data: Path,
    *,
    target: str,
    formula: Annotated[bool, Parameter(negative=())] = False,
    widths: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None,
    grid: int = 3,
    sparsity: float = 1e-3,
    epochs: int | None = None,
    task: Literal["auto", "classification", "regression"] = "auto",
    seed: int = 0,
    device: str = "cpu",
    run: str | None = None,
) -> None:
    """Fit a KAN to a table of numbers; say how well, what matters, and by which formula.

    70 % of the rows train, 10 % choose the epoch and judge formulas, 20 % test, always the same.
    The run can be asked again by `allmlp predict` and `allmlp eval`.

    Args:
        data: csv or parquet file with a header.
        target: column to predict; all others are read.
        formula: find formulas as well, which takes as long again: a list of them, from short to
            true, and the one that the held-out rows cannot tell from the best.
        widths: nodes of every layer, inputs and outputs included; by default n, 2 n + 1, outputs.
        grid: intervals of the splines.
        sparsity: strength of the penalty that thins the network before it is pruned; 0 keeps all.
        epochs: of each of the two parts of training, for LBFGS steps.
        task: auto takes texts, and numbers that are only two, for classes.
        seed: of weights.
        device: cpu, cuda …
        run: folder to create; by default runs/DATA-kan-N.
    """
    from allmlp.estimators.kan_run import kan_of, record_laws
    from allmlp.estimators.table_source import TableConfig

    parameters: dict[str, Any] = {
        "model": "kan",
        "widths": widths,
        "grid": grid,
        "sparsity": sparsity,
        "max_epochs": epochs,
        "random_state": seed,
        "device": device,
        "verbose": 1,
    }
    config = TableConfig(source=str(data), target=target, task=task, run=run, parameters=parameters)
    trained = train_aloud(config)
    model = kan_of(trained)
    _print_inputs(model)
    laws = None
    refused = None
    if formula:
        laws = record_laws(trained)
        refused = _print_laws(model, laws)
    _draw(trained, model, laws, formula and refused is None)
    print(f"run           {trained.directory.path}")
    print(f"predict with  allmlp predict {trained.directory.path} TABLE.csv")
    if refused is not None:
        raise refused


def _print_inputs(model: "KANRegressor | KANClassifier") -> None:
    from allmlp.interpret.kan import feature_scores

    network = model.model_
    print(f"network       {list(network.config.widths)} after pruning")
    scores = feature_scores(network, model.kept_rows()).tolist()
    rows = sorted(zip(scores, model.symbols_.items(), strict=True), key=lambda row: -row[0])
    print("what the output's variation comes from (KAN 2.0's attribution):")
    for score, (symbol, name) in rows:
        print(f"  {symbol} = {name}: {score:.3f}")


def _print_laws(
    model: "KANRegressor | KANClassifier", record: dict[str, Any]
) -> AllmlpError | None:
    """Every law, and the chosen one; the reason if none is good enough."""
    print("laws: complexity, explained share of held-out rows, formula")
    for law in record["laws"]:
        for text in law["short"]:
            print(f"  {law['complexity']:4} {law['explained']:9.5f}  {text}")
    try:
        chosen = model.law_
    except AllmlpError as e:
        return e
    law = next(some for some in record["laws"] if some["complexity"] == chosen.complexity)
    for name, text, latex in zip(record["outputs"], law["short"], law["latex"], strict=True):
        print(f"formula       {name} = {text}")
        print(f"LaTeX         {latex}")
    print(f"in full       {'; '.join(law['formula'])}")
    return None


def _draw(
    run: "TableRun",
    model: "KANRegressor | KANClassifier",
    laws: dict[str, Any] | None,
    formula: bool,
) -> None:
    from allmlp.files import replace_file
    from allmlp.report import kan_page, law_sections, write_page

    folder = run.directory.path
    try:
        shown = model.diagram(formula=formula)
        figure = model.plot(formula=formula)
    except AllmlpError as e:  # too many edges to see anything
        print(f"no picture: {e}")
        return
    with replace_file(folder / "kan.svg") as file:
        figure.savefig(file, format="svg")
    title = f"{run.config.target} of {Path(run.config.source).name}"
    lead = f"{scores_line(run.scores())}. The network reads columns scaled to [-1, 1]."
    sections = law_sections(laws) if laws else ()
    write_page(folder / "kan.html", kan_page(shown, title=title, lead=lead, sections=sections))
    print(f"pictures      {folder / 'kan.svg'}, {folder / 'kan.html'}")
