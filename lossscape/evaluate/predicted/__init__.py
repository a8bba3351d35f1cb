"""A whole grid to a stated error from a few of its points: the others are predicted, and where that fails, evaluated.

Multiresolution in the sense of Harten (J. Comput. Phys. 115, 1994): a lattice of about eleven values an axis is
evaluated; every finer one, down to the grid itself, is predicted from the one before it by a tensor cubic spline. What
a prediction misses at a point that is evaluated is its detail. Points are evaluated where the details around lead to
expect more than the tolerance, beside those whose detail is over it, and where some of what surrounds them is not
finite. A seeded draw of points that stay predicted, of which no decision has seen anything, says at the end how good it
is.
"""

from lossscape.evaluate.predicted.lattices import lattices
from lossscape.evaluate.predicted.picture import ERROR, FAILING, HeldOut, Picture

__all__ = ["ERROR", "FAILING", "HeldOut", "Picture", "lattices"]
