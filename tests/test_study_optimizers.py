"""The study of optimizers: what it trains, what it judges, and all of it at its smallest scale."""

from pathlib import Path

import pytest

from lossscape.analyses.compare.result import read
from lossscape.optimizers import OPTIMIZERS
from lossscape.results import read_csv
from lossscape.studies.config import Opened, OptimizersStudy
from lossscape.studies.optimizers import reaches
from lossscape.studies.page import write_study_report
from lossscape.studies.run import run_study
from lossscape.studies.statements import FAILS, HOLDS, PARTLY

FILE = Path(__file__).parents[1] / "configs" / "studies" / "optimizers.yaml"


def study_of(scale: str) -> OptimizersStudy:
    study = Opened(FILE, scale).study
    assert isinstance(study, OptimizersStudy)
    return study


def test_every_first_order_method_has_five_rates_over_three_seeds() -> None:
    study = study_of("laptop")
    first_order = {name for name in OPTIMIZERS if study.methods.get(name) and study.methods[name].learning_rates}
    assert {"sgd", "momentum", "nesterov", "nesterov_lookahead", "adagrad", "adadelta", "rmsprop", "adam", "adamw"} == (
        first_order
    )
    assert all(len(study.methods[name].learning_rates) == 5 for name in first_order)
    assert len(study.seeds) == 3
    assert len(study.judged_seeds) == 5
    assert all(method.optimizer["name"] in OPTIMIZERS for method in study.methods.values())


ACCURACIES = {HOLDS: (0.951, 0.98), PARTLY: (0.949, 0.98), FAILS: (0.9, float("nan"))}


@pytest.mark.parametrize("verdict", ACCURACIES)
def test_a_net_is_judged_by_every_seed(verdict: str) -> None:
    rows = [{"test_accuracy": value} for value in ACCURACIES[verdict]]
    said = reaches("net", rows, study_of("laptop"))
    assert said.verdict == verdict
    counted = {HOLDS: "2 of 2 seeds", PARTLY: "1 of 2 seeds", FAILS: "0 of 2 seeds"}
    assert counted[verdict] in said.evidence


@pytest.mark.slow
def test_the_smallest_scale_from_nothing_to_the_page(tmp_path: Path) -> None:
    opened = Opened(FILE, "smoke")
    statements = run_study(opened, tmp_path)
    assert [each.claim.partition("(")[2] for each in statements] == ["sigmoid)", "relu)"]
    measures = read_csv(tmp_path / "study" / "measures.csv", ("run", "net", "method", "state"))
    methods = study_of("smoke").methods
    assert set(measures["method"]) == {"", *methods}
    assert len(measures) == 4 + sum(max(len(method.learning_rates), 1) for method in methods.values())
    (folder,) = (tmp_path / "compare").iterdir()
    table = read(folder).table
    assert set(table["method"]) >= {"sgd", "adam"}
    assert run_study(opened, tmp_path) == statements
    page = write_study_report(tmp_path).read_text()
    assert "Study of optimizers, scale smoke" in page
    assert "rates.png" in page
