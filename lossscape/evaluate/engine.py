"""Evaluate objectives at points of a subspace."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from lossscape.evaluate.plans import evaluator
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Metrics, Objective
from lossscape.vectors import Params

Statistics = Callable[[Params, Params, Callable[[int], None] | None], Params]


def evaluate(
    objectives: Mapping[str, Objective],
    subspace: Subspace,
    points: Iterable[Coordinates],
    statistics: Statistics | None = None,
    done: Callable[[int], None] | None = None,
) -> Iterator[tuple[Coordinates, dict[str, Metrics]]]:
    """Yield the metrics of every objective at every point, in the order of `points`.

    objectives: by the name of their split; statistics: gives the buffers at a point in place of the subspace's;
    done: called with the number of samples that have just been evaluated. Inf and NaN are results.
    """
    evaluators = {split: evaluator(objective, subspace) for split, objective in objectives.items()}
    for coordinates in points:
        parameters, buffers = subspace.at(coordinates)
        if statistics is not None:
            buffers = statistics(parameters, buffers, done)
        yield (
            coordinates,
            {split: metrics(coordinates, parameters, buffers, done) for split, metrics in evaluators.items()},
        )
