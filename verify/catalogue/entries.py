"""The entries of the catalogue: each definition, statement and system, with the papers it is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...derivations import REGISTRY, Definition
from ...derivations.definition import AS_PUBLISHED
from ...derivations.page import settled
from ..claims import CLAIMS, settle
from ..subjects.built_in import BUILT_IN
from .papers import DEFINITION, STATEMENT, SYSTEM, Paper, papers

EXACT = "exact"
RECONSTRUCTED = "reconstructed"
PARTLY = "partly"
LEFT_OUT = "left out"
NOT_YET = "nothing that decides it has been written yet"


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue.

    Attributes
    ----------
    ids
        The numbers of the papers that it is of; none where it is of no paper of the list.
    name
        The name of the definition, claim or system.
    kind
        DEFINITION, STATEMENT or SYSTEM.
    family, paper, source
        The family, the titles of the papers, and where the formula or statement stands.
    status
        EXACT; RECONSTRUCTED from the nearest published formula; PARTLY where something of the paper
        is missing; LEFT_OUT where nothing of it is here.
    reason
        What is uncertain or missing, and why.
    definitions, claims
        The names of what runs here.
    """

    ids: tuple[int, ...]
    name: str
    kind: str
    family: str
    paper: str
    source: str
    status: str
    reason: str
    definitions: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def entries() -> list[Entry]:
    """All entries, by kind and then in the order of the registry, of the claims and of the papers.

    Returns
    -------
    list of Entry
        Each paper of the list occurs, if only to say why it is left out.

    >>> [entry.ids for entry in entries() if entry.name == "mish"]
    [(217,)]
    """
    by_number = {paper.number: paper for paper in papers()}
    found = [_of_definition(d, by_number) for d in REGISTRY.values() if not d.declared_in]
    known = {number for entry in found for number in entry.ids}
    for paper in by_number.values():
        if paper.kind == SYSTEM:
            found.append(_of_paper(paper, SYSTEM))
        elif paper.kind == STATEMENT:
            found += [_of_claim(name, paper) for name in _claims_of(paper)]
    known |= {number for entry in found for number in entry.ids}
    return found + [_of_paper(p, p.kind) for p in by_number.values() if p.number not in known]


def _of_definition(definition: Definition, by_number: dict[int, Paper]) -> Entry:
    own = [by_number[number] for number in definition.papers]
    missing = [paper.left_out for paper in own if paper.kind == DEFINITION and paper.left_out]
    reason = definition.reconstructed or "; ".join(missing)
    status = RECONSTRUCTED if definition.reconstructed else PARTLY if reason else EXACT
    titles = "; ".join(paper.title for paper in own)
    return Entry(
        definition.papers,
        definition.name,
        DEFINITION,
        definition.family,
        titles,
        definition.source,
        status,
        reason,
        definitions=(definition.name,),
    )


def _claims_of(paper: Paper) -> tuple[str, ...]:
    return tuple(
        name
        for name, claim in CLAIMS.items()
        if paper.number in claim.papers or claim.paper == paper.cited
    )


def _of_claim(name: str, paper: Paper) -> Entry:
    claim = CLAIMS[name]
    status = PARTLY if paper.left_out else EXACT
    return Entry(
        (paper.number,),
        name,
        STATEMENT,
        paper.family,
        paper.title,
        claim.place,
        status,
        paper.left_out,
        claims=(name,),
    )


def _of_paper(paper: Paper, kind: str) -> Entry:
    """A system, or a paper that nothing stands here of."""
    definitions = tuple(d.name for d in REGISTRY.values() if paper.number in d.papers)
    claims = _claims_of(paper)
    status = (PARTLY if paper.left_out else EXACT) if definitions or claims else LEFT_OUT
    return Entry(
        (paper.number,),
        paper.system or paper.title,
        kind,
        paper.family,
        paper.title,
        "",
        status,
        paper.left_out or (NOT_YET if status == LEFT_OUT else ""),
        definitions,
        claims,
    )


def as_dict(entry: Entry) -> dict[str, Any]:
    """All of an entry, with how its facts are settled and what came of its claims.

    Parameters
    ----------
    entry
        An entry.

    Returns
    -------
    dict
        What ``softproof catalogue --json`` writes of it.
    """
    definitions = [REGISTRY[name] for name in entry.definitions]
    verdicts = {name: settle(CLAIMS[name]).outcome for name in entry.claims}
    own = entry.kind == DEFINITION
    return {
        "ids": list(entry.ids),
        "name": entry.name,
        "kind": entry.kind,
        "family": entry.family,
        "paper": entry.paper,
        "source": entry.source,
        "status": entry.status,
        "reason": entry.reason,
        "verdict": verdicts.get(entry.name, ""),
        "facts": [
            {"text": text, "settled": outcome}
            for d in definitions
            if own
            for text, outcome in settled(d)
        ],
        "forms": [AS_PUBLISHED, *definitions[0].forms] if own and definitions else [],
        "subjects": [s.id for s in BUILT_IN if own and s.definition in entry.definitions],
        "definitions": list(entry.definitions),
        "claims": verdicts,
    }
