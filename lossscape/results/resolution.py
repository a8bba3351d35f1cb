"""How far the losses at some points tell a measure: what rounding hides, and what every second point alone says."""

import math
from collections.abc import Mapping

ROUNDING = {"fp64": 1e-14, "fp32": 2.0**-23, "tf32": 2.0**-10, "bf16": 2.0**-7}
"""By precision: how far a loss may be off from its neighbours', relative to the greatest; a second difference of three
losses is then off by four times as much."""
CHANGE = 0.1
"""Share of itself by which a measure of every second point may differ from that of all, which is then resolved."""

UNRESOLVED = "unresolved"
"""The name under which tables and files list the measures that are not resolved."""
ROUGH = "*"
ROUGH_NOTE = f"{ROUGH}: not resolved; every second point alone changes it by more than a tenth of itself."


def unresolved(
    measures: Mapping[str, float], halved: Mapping[str, float], floors: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """The measures that their points do not tell: every second point alone changes them by more than CHANGE.

    Errors of differences and of areas fall at least in proportion to the step, so what is changed by so much is as far
    from its limit. halved: of every second point, without those that cannot be taken of them; floors: by name what a
    measure counts for where it is less. A measure that is not defined is not among them.
    """
    return tuple(
        name
        for name, value in measures.items()
        if math.isfinite(value)
        and not abs(halved.get(name, math.nan) - value) <= CHANGE * max(abs(value), (floors or {}).get(name, 0.0))
    )
