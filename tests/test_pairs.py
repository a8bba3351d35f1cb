"""Paired landscapes: the same plane twice, Algorithm 2 as printed, measures over planes, figures."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from computing import landscape, pair
from matplotlib.figure import Figure
from torch import nn

from lossscape import yamlfile
from lossscape.analyses.pair.figure import build_measures, build_pairs
from lossscape.analyses.pair.measures import measure_surface
from lossscape.analyses.pair.result import Pairs
from lossscape.analyses.pair.result import read as read_pairs
from lossscape.errors import BadInput
from lossscape.figures.levels import choose_diverging
from lossscape.figures.pairs import shared_scales
from lossscape.results import read_surface
from lossscape.runs import Run, point
from lossscape.vectors import norm
from tests.report_runs import BOWL, STEEP, Function, table, write_pairs
from tests.seeing import INF, NAN, assert_inside, png_size, words_of


def figures_of(pairs: Pairs) -> dict[str, Figure]:
    """The figures of a study by the names of their files."""
    return {name: figure for name, _, figure in build_pairs(pairs)}


def test_both_surfaces_have_one_plane_and_the_soft_one_is_zero_at_the_centre(own_run: Run) -> None:
    folder = pair([point(str(own_run.path))], grid=(5, 3), repeats=2)
    pairs = read_pairs(folder)
    assert folder.parent == own_run.path / "pairs"
    assert pairs.nets == ["digits@epoch-0003"]
    for seed in range(2):
        found = pairs.pair(pairs.nets[0], seed)
        made = [each.settings["directions"] for each in (found.original, found.relabelled)]
        assert made[0] == made[1]
        assert made[0]["seed"] == seed
        one, other = (
            torch.load(each.folder / "directions.pt", weights_only=True) for each in (found.original, found.relabelled)
        )
        assert all(torch.equal(one["x"][name], other["x"][name]) for name in one["x"])
        soft, labels = found.relabelled.values("train_loss"), found.original.values("train_loss")
        assert soft[1, 2] == pytest.approx(0, abs=1e-9)
        assert (soft >= soft[1, 2]).all()
        np.testing.assert_array_equal(found.difference, soft - labels)


@pytest.mark.parametrize("samples", [None, 60])
def test_surfaces_that_share_forward_passes_are_those_that_do_not(own_run: Run, samples: int | None) -> None:
    centre = point(str(own_run.path))
    both = read_pairs(pair([centre], grid=(5, 5), samples=samples)).pair("digits@epoch-0003")
    shared = both.relabelled.table
    alone = landscape(
        centre, grid=(5, 5), x_range=(-1.0, 1.0), y_range=(-1.0, 1.0), samples=samples, targets="soft", overwrite=True
    )
    assert alone.resolve() == both.relabelled.folder.resolve()
    pd.testing.assert_frame_equal(read_surface(alone).table, shared, check_exact=True)


def test_hard_targets_have_accuracy_1_at_the_centre(own_run: Run) -> None:
    pairs = read_pairs(pair([point(str(own_run.path))], targets="hard", grid=(3, 3)))
    assert pairs.pair(pairs.nets[0]).relabelled.values("train_accuracy")[1, 1] == 1


def test_measures_and_their_spread(own_run: Run) -> None:
    folder = pair([point(str(own_run.path))], grid=(5, 5), repeats=3, levels=["+0.1", "x2"])
    pairs = read_pairs(folder)
    assert len(pairs.table) == 6
    for _, row in pairs.table.iterrows():
        surface = read_surface(folder / row["surface"])
        assert surface.settings["targets"] == row["targets"]
        losses = surface.values("train_loss")
        found = measure_surface(surface.x, surface.y, losses, ["+0.1", "x2"], precision="fp32")
        expected = found.row()
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
        assert row["unresolved"].split() == list(found.unresolved)
    slopes = pairs.table[pairs.table["targets"] == "soft"]["mean_slope"]
    mean = pairs.means[("digits@epoch-0003", "soft", "mean_slope")]
    rough = [row["unresolved"].split() for _, row in pairs.table.iterrows() if row["targets"] == "soft"]
    assert mean[:3] == pytest.approx((slopes.mean(), slopes.std(ddof=1), 3))
    for name in ("mean_slope", "max_slope", "share_+0.1"):
        assert pairs.means[("digits@epoch-0003", "soft", name)].resolved == 3 - sum(name in names for names in rough)
    assert any("share_+0.1" in names for names in rough)
    assert pairs.means[("digits@epoch-0003", "soft", "diameter_x2")].planes == 0  # twice a loss of 0


def test_a_second_call_computes_nothing_again(own_run: Run) -> None:
    centre = point(str(own_run.path))
    folder = pair([centre], grid=(3, 3))
    surfaces = sorted(own_run.path.glob("landscape/*/surface.csv"))
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in surfaces]
    tables = [(folder / name).read_bytes() for name in ("measures.csv", "summary.csv", "settings.yaml")]
    assert pair([centre], grid=(3, 3)) == folder
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in surfaces] == before
    assert [(folder / name).read_bytes() for name in ("measures.csv", "summary.csv", "settings.yaml")] == tables
    assert pair([centre], grid=(3, 3), repeats=2) != folder
    assert len(list(own_run.path.glob("landscape/*"))) == 4  # two of them are those of before


def test_algorithm_2_as_printed(own_run: Run) -> None:
    """S[i][j] = L(θ + i·δ̃ + j·η̃) for i, j = 0 … K−1 with δ̃ = δ/‖δ‖₂, biases moved too."""
    folder = landscape(
        point(str(own_run.path)), grid=(4, 4), x_range=(0.0, 3.0), y_range=(0.0, 3.0), normalize="unit", ignore=[]
    )
    surface = read_surface(folder)
    directions = torch.load(folder / "directions.pt", weights_only=True)
    assert surface.x.tolist() == surface.y.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert [norm(directions[axis]) for axis in ("x", "y")] == pytest.approx([1, 1])
    assert all(value.abs().max() > 0 for value in directions["x"].values())
    inputs, targets = own_run.tensors("train")
    for i in range(4):
        for j in range(4):
            model = own_run.model("last").double()
            with torch.no_grad():
                for name, value in model.named_parameters():
                    value.add_(i * directions["x"][name].double() + j * directions["y"][name].double())
                loss = nn.functional.cross_entropy(model(inputs.double()), targets)
            assert surface.values("train_loss")[j, i] == pytest.approx(float(loss), rel=1e-5)


def test_the_printed_and_the_centred_form_agree_where_they_meet(own_run: Run) -> None:
    centre = point(str(own_run.path))
    for kind in ("labels", "soft"):
        printed, centred = (
            read_surface(landscape(centre, grid=(n, n), x_range=(low, 3.0), y_range=(low, 3.0), normalize="unit",
                                   ignore=[], targets=kind)).values("train_loss")
            for n, low in ((4, 0.0), (7, -3.0))
        )  # fmt: skip
        np.testing.assert_allclose(printed, centred[3:, 3:], rtol=1e-6, atol=1e-9)


def test_the_command_draws_and_exports(own_run: Run, cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = cli("pair", own_run.path, "--printed", 4, "--export", "vts,npz", "--repeats", 2, "-q")
    assert code == 0, err
    written = [Path(found) for found in re.findall(r"\S+\.(?:png|csv|vts|npz)", out)]
    assert [file.name for file in written] == ["measures.csv", "summary.csv", "measures.png", "pair.png",
                                               "pair-1.vts", "pair-1.npz"]  # fmt: skip
    settings = yamlfile.read(written[0].parent / "settings.yaml").data
    assert (settings["grid"], settings["x_range"]) == ([4, 4], [0.0, 3.0])
    assert settings["directions"] == {"kind": "random", "normalize": "unit", "ignore": []}
    assert png_size(written[3])[0] > 1500
    with np.load(written[-1]) as found:
        np.testing.assert_array_equal(found["soft_loss"] - found["labels_loss"], found["difference"])
    assert cli("pair", own_run.path, "--printed", 4, "--grid", 5)[0] == 2
    assert "miss the centre" in cli("pair", own_run.path, "--grid", 4)[2]
    assert "level '-1'" in cli("pair", own_run.path, "--levels", "-1")[2]


def test_two_nets_lie_beside_their_runs(own_run: Run) -> None:
    other = own_run.path.parent / "other"
    shutil.copytree(own_run.path, other)
    folder = pair([point(str(own_run.path)), point(f"{other}@1")], grid=(3, 3))
    assert folder.parent == own_run.path.parent / "pairs"
    assert read_pairs(folder).nets == ["digits@epoch-0003", "other@epoch-0001"]
    with pytest.raises(BadInput, match="given twice"):
        pair([point(str(other)), point(f"{other}@last")], grid=(3, 3))


def test_all_panels_share_their_scales_and_the_centre_does_not_stretch_them(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a": BOWL, "b": STEEP})
    shown = [pairs.pair(net) for net in pairs.nets]
    scales = shared_scales(shown)
    assert scales.losses.log
    assert scales.losses.low == pytest.approx(0.9 / 16)  # the least but for the centres, which are 0
    assert scales.losses.high == pytest.approx(80.2)
    figure = figures_of(pairs)["contours.png"]
    assert_inside(figure)
    contours = [axes for axes in figure.axes if any(line.get_label() == "centre" for line in axes.lines)]
    levels = [[tuple(each.levels) for each in axes.collections] for axes in contours]
    assert len(contours) == 6
    for row in (levels[0:2] + levels[3:5], [levels[2], levels[5]]):
        assert len({each for panel in row for each in panel}) == 1
    shown_words = words_of(figure)
    for words in ("a@epoch-0003: loss at the centre 0.2 against labels, 0 against soft targets", "mnist",
                  "60,000 train samples", "each filter of a direction has the norm of the filter", "Precision: fp32",
                  "2 losses at centres, below 0.0563, are drawn at that value", "9 × 9 points"):  # fmt: skip
        assert words in shown_words


def test_nothing_sticks_out(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a_net_with_a_rather_long_name_indeed": BOWL, "b": STEEP})
    assert_inside(figures_of(pairs)["surfaces.png"])
    assert_inside([*figures_of(pairs).values()][-1])
    assert_inside(build_measures(pairs))


@pytest.mark.parametrize(
    "losses",
    [
        (lambda x, y: 1.0, lambda x, y: 1.0),
        (lambda x, y: NAN, lambda x, y: INF),
        (lambda x, y: INF if x > 0.5 else 1 + x * x, lambda x, y: NAN if y > 0.5 else x * x),
        (lambda x, y: np.exp(30 * (x * x + y * y)), lambda x, y: np.exp(29 * (x * x + y * y)) - 1),
    ],
    ids=["no difference", "nothing", "gaps", "huge"],
)
def test_losses_of_every_kind(tmp_path: Path, losses: tuple[Function, Function]) -> None:
    pairs = write_pairs(tmp_path, {"a": losses})
    assert_inside([*figures_of(pairs).values()][-1])
    assert_inside(build_measures(pairs))


def test_gaps_are_counted(tmp_path: Path) -> None:
    gaps = (lambda x, y: INF if x > 0.9 else 1 + x * x, lambda x, y: 1 + x * x)
    pairs = write_pairs(tmp_path, {"a": gaps})
    assert np.isnan(pairs.pair(pairs.nets[0]).difference).sum() == 9
    assert "9 of 162 losses are infinite" in words_of(figures_of(pairs)["pair.png"])
    assert "points without a finite loss" in words_of(build_measures(pairs))


def test_the_scale_of_differences_is_centred() -> None:
    linear = choose_diverging([np.array([[-0.2, 0.1], [0.05, NAN]])])
    assert not linear.log
    assert linear.levels == [-level for level in reversed(linear.levels)]
    assert linear.levels[-1] >= 0.2
    assert linear.norm(linear.heights([0.0]))[0] == 0.5
    wide = choose_diverging([np.array([1e-3, -1e-3, 2e-3, 50.0])])
    assert wide.log
    assert wide.levels[-1] == 100
    assert [wide.text(height) for height in wide.ticks[-2:]] == ["+10", "+100"]
    assert wide.norm(wide.heights([0.0]))[0] == 0.5
    assert 0 in wide.heights(wide.levels)
    assert 0 in wide.marks(4)
    nothing = choose_diverging([np.array([0.0, 1e-12, NAN])])
    assert nothing.levels == [-1, 1]  # one band, whose colour is that of 0
    assert "no difference" in nothing.notes[0]


def test_the_table_marks_what_is_bounded_rough_or_undefined(tmp_path: Path) -> None:
    flat = (lambda x, y: 0.01 * x * x, lambda x, y: 90 * (x * x + y * y))
    words = words_of(build_measures(write_pairs(tmp_path, {"a": flat})))
    assert "≥ 2.26" in words  # the whole square
    assert re.search(r"0\.\d+ \*", words)
    assert "one random plane proves nothing" in words


def test_a_torn_study_is_refused(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, {"a": BOWL})
    (pairs.folder.parent.parent / "a" / "landscape" / "soft" / "surface.csv").write_text(table(["x", "y"], []))
    with pytest.raises(BadInput):
        pairs.pair(pairs.nets[0])
    (pairs.folder / "summary.csv").unlink()
    with pytest.raises(BadInput, match="run the command again"):
        read_pairs(pairs.folder)
