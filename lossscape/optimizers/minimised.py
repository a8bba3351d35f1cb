"""Methods of scipy.optimize.minimize, an iteration a step.

scipy cannot be stepped, so it runs in a thread of its own, which asks for values and derivatives and waits while
nothing is to be done; everything is evaluated in the thread that calls `step`. What scipy remembers is in no
`state_dict`: a method that is continued begins anew at its iterate, which `notes` count.
"""

import queue
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lossscape.errors import BadInput
from lossscape.families import NonNegative, Rate
from lossscape.optimizers.full_batch import STUCK, TOLERANCE, FullBatch, Function, Point, Visited, check_size

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
FOREVER = 10**9
"""Iterations that scipy is given: training says how many there are."""


class _Question(NamedTuple):
    """What scipy's thread asks of the one that evaluates."""

    kind: str
    """gradient, product, matrix; or it tells: iteration, end, error."""
    theta: Any
    vector: Any = None


class _Left(Exception):
    """Nobody asks for more iterations."""


class _Session:
    """scipy.optimize.minimize in a thread, from one start to where it ends."""

    def __init__(self, method: str, start: Numbers, options: dict[str, Any], second: str | None) -> None:
        """second: `product` or `matrix`, what the method asks for beside gradients."""
        self.questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(method, start, options, second), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave, before the interpreter ends: a thread that it ends in the middle of scipy would abort the program."""
        self.answers.put(_Left)
        if self._thread is not threading.current_thread():  # where the garbage collector happens to run
            self._thread.join()

    def _ask(self, kind: str, theta: Numbers, vector: Numbers | None = None) -> Any:
        self.questions.put(_Question(kind, theta.copy(), None if vector is None else vector.copy()))
        answer = self.answers.get()
        if answer is _Left:
            raise _Left
        return answer

    def _run(self, method: str, start: Numbers, options: dict[str, Any], second: str | None) -> None:
        from scipy.optimize import minimize  # half a second, which other methods need not wait

        asks: dict[str, Callable[..., Any]] = {
            "product": lambda x, p: self._ask("product", x, p),
            "matrix": lambda x: self._ask("matrix", x),
        }
        more = {} if second is None else {"hessp" if second == "product" else "hess": asks[second]}
        try:
            with np.errstate(all="ignore"):
                found = minimize(
                    lambda x: self._ask("gradient", x), start, method=method, jac=True, options=options,
                    callback=lambda x: self._ask("iteration", x), **more,
                )  # fmt: skip
            self.questions.put(_Question("end", found.x, f"{STUCK} (scipy: {found.message})"))
        except _Left:
            return
        except Exception as error:  # raised again where it is seen
            self.questions.put(_Question("error", error))


class Minimised(FullBatch):
    """A method of scipy.optimize.minimize."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        method: str,
        options: dict[str, Any],
        *,
        second: Literal["product", "matrix"] | None = None,
        weight_decay: float,
        tolerance: float,
    ) -> None:
        """method, options: scipy's; second: what it asks for beside gradients."""
        super().__init__(parameters, weight_decay=weight_decay, tolerance=tolerance)
        self._method, self._options, self._second = method, {"maxiter": FOREVER} | options, second
        self._session: _Session | None = None

    @property
    def notes(self) -> dict[str, int]:
        """How often scipy has begun anew at an iterate, without its memory of the steps before."""
        return {"restarted": self.memory.get("restarted", 0)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from an iterate; scipy begins anew there."""
        super().load_state_dict(state_dict)
        self._session = None

    def advance(self, function: Function, here: Point) -> Point:
        """One iteration of scipy."""
        if self._session is None:
            self._session = self._begun(here)
        else:
            self._session.answers.put(None)  # to what it told last
        try:
            return self._answered(self._session, function, here)
        except BaseException:  # an interrupt among them: scipy waits for an answer that does not come
            self._session.close()
            self._session = None
            raise

    def _begun(self, here: Point) -> _Session:
        self.memory["restarted"] = self.memory.get("restarted", -1) + 1
        session = _Session(self._method, here.theta.cpu().numpy(), self._options, self._second)
        weakref.finalize(self, session.close)
        return session

    def _answered(self, session: _Session, function: Function, here: Point) -> Point:
        """Answer scipy's questions until an iteration is done; the point that it ends at."""
        visited = Visited(function, here)
        while True:
            kind, given, vector = session.questions.get()
            if kind == "error":
                raise RuntimeError(f"scipy's {self._method}: {type(given).__name__}: {given}") from given
            theta = torch.from_numpy(given).to(here.theta)
            if kind == "iteration":
                return visited.at(theta)
            if kind == "end":
                there = min(here, visited.at(theta), key=lambda point: point.value)
                self._look(there)  # scipy's success may be a step of length 0
                self.ended = self.ended or vector
                return there
            session.answers.put(self._answer(visited, function, kind, theta, vector))

    @staticmethod
    def _answer(visited: Visited, function: Function, kind: str, theta: Tensor, vector: Numbers | None) -> Any:
        if kind == "gradient":
            at = visited.at(theta)
            return at.value, at.gradient.cpu().numpy().copy()
        found = (
            function.matrix(theta) if vector is None else function.product(theta, torch.from_numpy(vector).to(theta))
        )
        return found.cpu().numpy()


def bfgs(
    parameters: Iterable[nn.Parameter], *, weight_decay: NonNegative = 0.0, tolerance: NonNegative = TOLERANCE
) -> FullBatch:
    """θ ← θ − t B g, B the inverse Hessian that all steps suggest (Nocedal and Wright, algorithm 6.1): scipy's BFGS."""
    options = {"gtol": 0.0, "xrtol": 0.0}
    method = Minimised(parameters, "BFGS", options, weight_decay=weight_decay, tolerance=tolerance)
    check_size(method, "bfgs")
    return method


def conjugate_gradient(
    parameters: Iterable[nn.Parameter], *, weight_decay: NonNegative = 0.0, tolerance: NonNegative = TOLERANCE
) -> FullBatch:
    """d ← −g + β d, θ ← θ + t d, nonlinear, of Polak and Ribière (Nocedal and Wright, §5.2): scipy's CG."""
    return Minimised(parameters, "CG", {"gtol": 0.0}, weight_decay=weight_decay, tolerance=tolerance)


def newton_cg(
    parameters: Iterable[nn.Parameter], *, weight_decay: NonNegative = 0.0, tolerance: NonNegative = TOLERANCE
) -> FullBatch:
    """θ ← θ − t d, H d = g solved by conjugate gradients up to a direction of negative curvature: scipy's Newton-CG.

    Nocedal and Wright, algorithm 7.1.
    """
    options = {"xtol": 0.0}
    return Minimised(parameters, "Newton-CG", options, second="product", weight_decay=weight_decay, tolerance=tolerance)


def trust_region(
    parameters: Iterable[nn.Parameter],
    *,
    subproblem: Literal["steihaug", "exact"] = "steihaug",
    radius: Rate = 1.0,
    max_radius: Rate = 1000.0,
    weight_decay: NonNegative = 0.0,
    tolerance: NonNegative = TOLERANCE,
) -> FullBatch:
    """θ ← θ + d, d the least of the quadratic model within a radius that the model's success changes.

    Nocedal and Wright, algorithm 4.1; subproblem: algorithm 7.2 by products (scipy's trust-ncg), or exactly by the
    whole matrix (scipy's trust-exact). A step that is refused stays and shrinks the radius.
    """
    if radius >= max_radius:
        raise BadInput(f"optimizer trust_region: radius {radius:g} is to be less than max_radius {max_radius:g}")
    options = {"gtol": 0.0, "initial_trust_radius": radius, "max_trust_radius": max_radius}
    if subproblem == "steihaug":
        return Minimised(
            parameters, "trust-ncg", options, second="product", weight_decay=weight_decay, tolerance=tolerance
        )  # fmt: skip
    method = Minimised(
        parameters, "trust-exact", options, second="matrix", weight_decay=weight_decay, tolerance=tolerance
    )  # fmt: skip
    check_size(method, "trust_region with subproblem exact")
    return method
