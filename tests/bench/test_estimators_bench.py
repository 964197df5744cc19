"""The benchmark's own arithmetic: its noise, its memory of finished cells, its ratios."""

import json

import numpy as np
import pytest

from tests.bench.estimators import archive as archive_module
from tests.bench.estimators.__main__ import main
from tests.bench.estimators.archive import Archive, source_digest
from tests.bench.estimators.problem import FAR, evaluator, game_of, growth, kernel_masses, unit_noise
from tests.bench.estimators.ratios import Cells, geometric, joinings
from tests.bench.estimators.run import Digests, Job, missing, run
from tests.bench.estimators.settings import Method, Setting, join_settings, methods, settings
from tests.bench.estimators.shapiq_link import Shapiq
from tests.bench.estimators.tables import BEGIN, END, report, write
from tests.games import all_coalitions

DIGESTS = Digests("a", "j", "s")
KERNELSHAP = Method("kernelshap", "kernelshap", "kernelshap")


def rows_of(n_players: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, n_players)) < 0.5


@pytest.mark.parametrize("heavy", [False, True])
def test_noise_belongs_to_the_coalition_and_has_the_stated_deviation(heavy):
    rows = rows_of(40, 20_000)
    noise = unit_noise(rows, 1, heavy)
    order = np.random.default_rng(1).permutation(len(rows))
    assert np.array_equal(unit_noise(rows[order], 1, heavy), noise[order])
    assert not np.array_equal(unit_noise(rows, 2, heavy), noise)
    assert abs(noise.mean()) < 0.03
    assert abs(np.quantile(noise, 0.75) - (0.7649 / np.sqrt(3) if heavy else 0.6745)) < 0.02
    assert abs(noise.std() - 1) < (0.2 if heavy else 0.02)  # the fourth moment of t3 is infinite


def test_noise_that_grows_for_small_coalitions_is_as_large_on_the_whole():
    scale = growth(np.arange(1, 20), 20)
    assert abs((kernel_masses(20) * scale**2).sum() - 1) < 1e-12
    assert 3 < growth(np.array([0]), 20)[0] / growth(np.array([20]), 20)[0] < 3.5


def test_far_off_moves_the_empty_coalition_alone():
    rows = all_coalitions(6)
    asked = ("saturating", 6, 0, 0.1, "iid")
    near, far = (evaluator(*asked, empty, "kernel")(rows) for empty in ("curve", "far"))
    deviation = game_of("saturating", 6, 0, "kernel")[1]
    assert near[0] - far[0] == pytest.approx(FAR * deviation)
    assert np.array_equal(near[1:], far[1:])


def test_noise_is_a_share_of_the_deviation_between_the_coalitions_named():
    rows = all_coalitions(12)[1:-1]
    quiet, noisy = (evaluator("saturating", 12, 0, noise, "iid", "curve", "uniform")(rows) for noise in (0.0, 0.3))
    assert (noisy - quiet).std() == pytest.approx(0.3 * quiet.std(), rel=0.05)
    assert game_of("saturating", 12, 0, "kernel")[1] > 1.3 * quiet.std()


def test_most_informative_settings_come_first_and_none_comes_twice():
    from tests.bench.estimators.settings import rank

    found = sorted(settings(), key=rank)
    assert len(set(found)) == len(found)
    assert {s.n_players for s in found[:500]} == {20}
    assert {s.noise_kind for s in found[:500]} == {"iid"}
    assert {s.factor for s in found[:500]} == {5, 10}
    assert all(s.game != "pooled entropy" for s in found if s.n_players > 20)
    assert {s.game for s in found if s.n_players == 12} == {"random table"}
    assert len({setting.game for setting in join_settings()}) >= 5


def test_every_registered_estimator_is_measured_and_unknown_names_are_refused():
    names = [method.name for method in methods()]
    assert {"kernelshap", "kernelshap_sizes", "kernelshap_sizes, iid rows", "default"} <= set(names)
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="unknown method gpp"):
        methods(only=["gpp"])


def test_resuming_repeats_no_finished_cell_and_survives_a_torn_last_line(tmp_path):
    path = tmp_path / "cells.jsonl"
    chosen = list(settings([12], [5], [0.1], ["iid"], repeats=1))
    first = list(missing(Archive(path), chosen, [KERNELSHAP], DIGESTS))
    assert [len(job.names) for job in first] == [1, 1]  # far off and on the curve
    assert run(first[:1], Archive(path), DIGESTS, say=lambda _: None) == []
    with path.open("a") as file:
        file.write('{"cell": {"torn')
    again = Archive(path)
    assert list(missing(again, chosen, [KERNELSHAP], DIGESTS)) == first[1:]
    assert run(first[1:], again, DIGESTS, say=lambda _: None) == []
    assert list(missing(Archive(path), chosen, [KERNELSHAP], DIGESTS)) == []
    assert len(list(missing(Archive(path), chosen, [KERNELSHAP], Digests("b", "j", "s")))) == 2  # changed sources
    assert all(np.isfinite(record["result"]["error"]) for record in Archive(path).records(["a"]))


def test_a_crash_is_told_keeps_no_record_and_stops_no_other_cell(tmp_path):
    path = tmp_path / "cells.jsonl"
    good, bad = (Setting(12, game, 0.1, "iid", "curve", 5, 0, "uniform") for game in ("random table", "roulette"))
    crashes = run([Job(bad, (KERNELSHAP,)), Job(good, (KERNELSHAP,))], Archive(path), DIGESTS, say=lambda _: None)
    assert len(crashes) == 1 and "unknown kind of game 'roulette'" in crashes[0]
    assert [record["cell"]["game"] for record in Archive(path).records(["a"])] == ["random table"]


def test_digest_follows_what_the_code_does_and_not_its_comments(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "ROOT", tmp_path)
    file = tmp_path / "code.py"
    digests = []
    for text in ('"""A."""\nx = 1\n', '"""B."""\n\nx = 1  # one\n', '"""B."""\nx = 2\n'):
        file.write_text(text)
        digests.append(source_digest([file]))
    assert digests[0] == digests[1] != digests[2]


def record(game: str, method: str, repeat: int, error: float | None, empty: str = "curve", **more) -> dict:
    cell = {
        "experiment": "accuracy", "n_players": 20, "game": game, "noise": 0.1, "noise_kind": "iid", "empty": empty,
        "factor": 5, "repeat": repeat, "method": method, "spread": "uniform",
    }  # fmt: skip
    result = {"unidentified": "too few"} if error is None else {"error": error, **more}
    return {"cell": cell, "digest": "a", "at": "2026-01-01", "result": result}


HAND_MADE = [
    # Gains of `default` over kernelshap: (2 + 6) / 2 over (0.1 + 0.1) / 2 = 40, and 9 over 0.9 = 10; mean 20.
    record("saturating", "kernelshap", 0, 2.0), record("saturating", "kernelshap", 1, 6.0),
    record("nearest", "kernelshap", 0, 9.0), record("additive", "kernelshap", 0, 0.6),
    record("saturating", "default", 0, 0.1, "far", **{"coverage_90%": 0.8}),
    record("saturating", "default", 1, 0.1, "far", **{"coverage_90%": 1.0}),
    record("nearest", "default", 0, 0.9, "far"), record("additive", "default", 0, 0.2, "far"),
    # kernelshap_sizes gave credits in one repetition of the first game only: that one alone is compared.
    record("saturating", "kernelshap_sizes", 0, 0.4, "far"), record("saturating", "kernelshap_sizes", 1, None, "far"),
]  # fmt: skip


def test_gains_are_ratios_of_mean_errors_and_geometric_means_over_games():
    cells = Cells.of(HAND_MADE)
    where = (20, 0.1, "iid", "curve", 5)
    assert where in cells.conditions()
    assert cells.gain(where, "saturating", "default", "kernelshap") == pytest.approx(40)
    gains = cells.gains([where], "default", "kernelshap", lambda game: game != "additive")
    assert sorted(gains) == pytest.approx([10, 40])
    assert geometric(gains) == pytest.approx(20)
    assert cells.gain(where, "additive", "default", "kernelshap") == pytest.approx(3)
    assert cells.gain(where, "saturating", "default", "kernelshap_sizes") == pytest.approx(4)
    assert cells.failures([where], "kernelshap_sizes") == 1
    assert cells.average([where], "default", "coverage_90%") == pytest.approx(0.9)
    assert geometric([]) is None


def test_two_exact_answers_have_no_ratio():
    cells = Cells.of([record("additive", "kernelshap", 0, 1e-28), record("additive", "default", 0, 1e-30, "far")])
    assert cells.gain((20, 0.1, "iid", "curve", 5), "additive", "default", "kernelshap") is None


def test_joiners_need_as_many_evaluations_as_bring_the_median_to_a_fresh_start():
    cell = {"experiment": "join", "n_players": 20, "game": "signed", "noise": 0.1, "spread": "uniform"}
    errors = [[0.9, 0.3, 0.1], [0.8, 0.2, 0.1], [0.1, 0.1, 0.1]]
    records = [
        {
            "cell": {**cell, "repeat": repeat, "method": "gp, a_optimal"},
            "result": {"fresh": 0.2, "paper": 5.0, "fresh_evaluations": 200, "new": [4, 20, 40], "errors": found},
        }
        for repeat, found in enumerate(errors)
    ]
    (join,) = joinings(records)
    assert join.needed == 20 and join.share == pytest.approx(0.1) and join.repetitions == 3
    for found in records:
        found["result"]["fresh"] = 0.01
    assert joinings(records)[0].share is None


def test_table_from_a_hand_made_archive_names_its_figures_and_its_command(tmp_path, capsys):
    text = report(HAND_MADE, "make it")
    assert "| default, n = 20 | 20 | – | – | 4 | 4 | 3 | 90 |" in text
    assert "`make it`" in text and "2026-01-01" in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, text)
    assert page.read_text() == f"before\n{BEGIN}\n{text}{END}\nafter\n"
    write(page, "new\n")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_without_shapiq_the_command_goes_on_and_says_so(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="there is no"):
        Shapiq(str(tmp_path / "python"))
    found = tmp_path / "cells.jsonl"
    found.write_text(json.dumps(HAND_MADE[0]) + "\n")
    arguments = ["--report", "--archive", str(found), "--shapiq-python", str(tmp_path / "python")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "shapiq is not compared with: there is no" in said
    assert "cells of other sources: a (1)" in said
