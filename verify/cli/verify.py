"""The command ``softproof verify``: select subjects, plan the run, execute it, print and write."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from ..suites import FORMER_NAMES, present_name
from .command_line import demand_folders, fail, make_console, write_reports
from .verify_options import (
    HELP,
    QUICK,
    ArraysOption,
    BudgetOption,
    CaseOption,
    ContractOption,
    DefinitionsArgument,
    DefinitionsOption,
    DeviceOption,
    DtypeOption,
    HtmlOption,
    Inputs,
    JsonOption,
    JunitOption,
    LabelOption,
    LogitsOption,
    RowOption,
    SeedOption,
    Selection,
    StandardOption,
    StoreOption,
    StrictOption,
    SubjectOption,
    SubjectsOption,
    SuiteOption,
)

verify_app = typer.Typer()


@verify_app.command(help=HELP)
def verify(
    definitions: DefinitionsArgument = None,
    subject: SubjectOption = None,
    subjects: SubjectsOption = None,
    suite: SuiteOption = None,
    dtype: DtypeOption = None,
    contract: ContractOption = None,
    standard: StandardOption = None,
    budget: BudgetOption = QUICK,
    seed: SeedOption = 0,
    logits: LogitsOption = None,
    row: RowOption = None,
    label: LabelOption = None,
    case: CaseOption = None,
    own_definitions: DefinitionsOption = None,
    arrays: ArraysOption = None,
    device: DeviceOption = None,
    store: StoreOption = None,
    strict: StrictOption = False,
    json: JsonOption = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
) -> None:
    """Do what HELP says."""
    # Imported here: verifying loads the kernels and the oracles, which `--help` does not need.
    from ..reports.plain import as_dict
    from .verification import choose, configure, execute, held_to, print_findings, select

    chosen = choose(definitions or (), own_definitions)
    inputs = Inputs(budget.value, seed, logits, row, label, case)
    if row is not None and logits is not None:
        fail("--row and --logits exclude each other; give one of them")
    if label is not None and row is None:
        fail("--label is the label of --row, which is not given")
    if case is not None and (row is not None or logits is not None):
        fail("--case excludes --row and --logits; give one of them")
    demand_folders(json, junit, html)
    selection = Selection(
        definitions=chosen,
        patterns=subject or (),
        conformance_file=subjects,
        suites=_present_names(s.value for s in suite or ()),
        dtypes=[d.value for d in dtype or ()],
        settings=contract or [],
        arrays=arrays.value if arrays else None,
        device=device,
    )
    if standard is not None:
        selection = held_to(standard.value, selection, named=bool(definitions or own_definitions))
    selected = select(selection)
    run = configure(selection, inputs, selected)
    execute(run, store)
    print_findings(run, selected, make_console())
    write_reports(as_dict(run.report), json=json, junit=junit, html=html)
    raise typer.Exit(0 if run.report.passed and not (strict and run.report.warned) else 1)


def _present_names(suites: Iterable[str]) -> list[str]:
    """The names of today of the suites that are asked for, each once."""
    asked = dict.fromkeys(suites)
    for former in FORMER_NAMES.keys() & asked:
        typer.echo(f"The suite {former} is called {present_name(former)} now.", err=True)
    return list(dict.fromkeys(map(present_name, asked)))
