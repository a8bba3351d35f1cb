"""Analyses: one folder each, and one line here."""

from lossscape.analyses.analysis import Analysis

ANALYSES = {
    each.name: each
    for each in (
        Analysis("interpolate", "interpolate", "Interpolations"),
        Analysis("landscape", "landscape", "Landscapes"),
        Analysis("film", "film", "Films"),
        Analysis("minimum", "minimum", "Minima"),
        Analysis("pair", "pairs", "Paired landscapes"),
        Analysis("solutions", "solutions", "Kinds of solution"),
        Analysis("compare", "compare", "Runs compared"),
        Analysis("curvature", "curvature", "Curvature"),
        Analysis("saddles", "saddles", "Critical points"),
        Analysis("sharpness", "sharpness", "Sharpness"),
        Analysis("convexity", "convexity", "Convexity over planes"),
        Analysis("gradients", "gradients", "Gradient flow"),
        Analysis("race", "races", "Races of descent methods"),
        Analysis("initial_values", "initial_values", "Initial values"),
        Analysis("fit", "fit", "Fits"),
    )
}
"""By the name of the command; the report shows results in this order."""

__all__ = ["ANALYSES", "Analysis"]
