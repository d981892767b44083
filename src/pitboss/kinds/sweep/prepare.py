"""What a sweep asks of its document beside what every run of one does."""

from __future__ import annotations

from pitboss.backtesting.grid import read_grid
from pitboss.kinds.documents.prepare import Sources, prepare_document
from pitboss.kinds.sweep.params import SweepParams
from pitboss.runs.kinds import Prepared
from pitboss.strategy.document import Document


def prepare(params: SweepParams, sources: Sources) -> Prepared:
    """Check a sweep and fix its sources. Raises InvalidInput with every mistake."""

    def variants(document: Document) -> dict[str, float]:
        return {"variants": len(read_grid(document, params.grid, params.parameters))}

    return prepare_document(params, sources, variants)
