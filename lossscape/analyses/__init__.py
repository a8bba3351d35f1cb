"""Analyses: one folder each, and one line here."""

from lossscape.analyses.analysis import Analysis

ANALYSES = {
    each.name: each
    for each in (
        Analysis("interpolate", "interpolate"),
        Analysis("landscape", "landscape"),
        Analysis("film", "film"),
        Analysis("minimum", "minimum"),
        Analysis("pair", "pairs"),
        Analysis("solutions", "solutions"),
    )
}
"""By the name of the command; the report shows results in this order."""

__all__ = ["ANALYSES", "Analysis"]
