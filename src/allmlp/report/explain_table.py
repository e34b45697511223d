"""What a model of a table reads, as a page: the sections of its report that say so."""

from allmlp.errors import AllmlpError, unknown_name
from allmlp.report.page import Facts, Page, Section, Value, format_share, format_value
from allmlp.report.table_page import dependence_sections, importance_blocks
from allmlp.report.table_record import Classes, TableRecord

__all__ = ["explain_table"]


def explain_table(run: TableRecord, cls: str | None = None) -> Page:
    """What shuffling a column costs, and how the prediction follows the columns that matter most.

    Args:
        run: a run on a table.
        cls: the class whose probability is followed; None takes those that move most.

    Raises:
        AllmlpError: an unknown class, a class asked of a model of values, or a run that was never
            scored.
    """
    scored, target = run.scored, run.config.target
    if scored is None:
        raise AllmlpError(f"{run.directory.path} was not scored to its end; train again")
    shown = None
    if cls is not None:
        if not isinstance(scored.answers, Classes):
            raise AllmlpError(f"{target} is a number and has no classes; leave out --class")
        if cls not in scored.answers.names:
            raise AllmlpError(unknown_name("class", cls, scored.answers.names))
        shown = [scored.answers.names.index(cls)]
    facts: list[tuple[str, Value]] = [("predicts", target), ("model", run.model)]
    if isinstance(scored.answers, Classes):
        facts.append(("accuracy", format_share(scored.scores["accuracy"])))
    else:
        facts.append(("R²", format_value(scored.scores["r2"])))
    sections = (
        Section("Importance", importance_blocks(scored)),
        *dependence_sections(run, scored, shown),
    )
    name = run.directory.path.resolve().name
    lead = (
        f"Which columns of {run.config.source} the predictions of {target} rest on, measured on "
        "rows that were not learned from."
    )
    return Page(f"What {name} reads", sections, lead, Facts(tuple(facts)))
