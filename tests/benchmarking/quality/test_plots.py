"""Which plots a comparison gives, and what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hand import put

from hashgnn.benchmarking.quality._plots import draw_plots
from hashgnn.benchmarking.quality._shares import shares
from hashgnn.benchmarking.quality.summary import summarise_quality, write_summary
from hashgnn.errors import StorageError

pytest.importorskip("matplotlib")

VALUES = [0.5, 0.4, 0.9, 0.2]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_one_method_at_one_width_has_bytes_and_time_to_show(tmp_path: Path) -> None:
    results = [put(tmp_path, "ours", 0, {"hamming": VALUES, "hierarchical": VALUES})]
    drawn = draw_plots(results, "recall@20", tmp_path / "plots")
    assert names(drawn) == ["bytes.hand.png", "time.hand.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_widths_methods_and_histories_add_their_plots(tmp_path: Path) -> None:
    history = [
        {"epoch": 1.0, "recall@20": 0.1, "relaxed recall@20": 0.2},
        {"epoch": 2.0, "recall@20": 0.2, "relaxed recall@20": 0.4},
    ]
    results = [
        put(tmp_path, method, seed, {"hamming": VALUES, "hierarchical": VALUES}, n_bits, history)
        for method in ("ours", "theirs")
        for n_bits in (32, 64)
        for seed in (0, 1)
    ]
    results.append(put(tmp_path, "floats", 0, {"float": VALUES}, None))
    drawn = draw_plots(results, "recall@20", tmp_path / "plots")
    assert names(drawn) == [f"{name}.hand.png" for name in ("bits", "bytes", "time", "ablations", "gap")]


def test_the_gap_is_drawn_from_what_training_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    save = __import__("matplotlib.figure").figure.Figure.savefig

    def keep(self: Any, *args: Any, **named: Any) -> None:
        figures.append(self)
        save(self, *args, **named)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", keep)
    history = [{"epoch": 1.0, "recall@20": 0.1, "relaxed recall@20": 0.3}, {"epoch": 2.0, "loss": 1.0}]
    draw_plots([put(tmp_path, "ours", 0, {"hamming": VALUES}, 32, history)], "recall@20", tmp_path)
    lines = {line.get_label(): line.get_xydata().tolist() for line in figures[-1].axes[0].lines}
    assert lines == {"ours, 32: signed": [[1.0, 0.1]], "ours, 32: relaxed": [[1.0, 0.3]]}


def test_a_plot_that_cannot_be_finished_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [put(tmp_path, "ours", 0, {"hamming": VALUES})]
    (path,) = (one for one in draw_plots(results, "recall@20", tmp_path) if one.name == "bytes.hand.png")
    before = path.read_bytes()

    def half(self: Any, file: Path, **named: Any) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.raises(StorageError, match=r"bytes\.hand\.png"):
        draw_plots(results, "recall@20", tmp_path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_summary_without_plots_draws_none_and_writes_its_tables(tmp_path: Path) -> None:
    results = [
        put(tmp_path / "cells", "ours", 0, {"hamming": [0.5, 0.4, 0.9, 0.3]}),
        put(tmp_path / "cells", "theirs", 0, {"hamming": [0.4, 0.2, 0.6, 0.3]}),
    ]
    summary = summarise_quality(results, ["recall@20"], "ours")
    write_summary(summary, results, tmp_path, plots=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cells",
        "summary.json",
        "table.csv",
        "table.md",
        "tests.md",
    ]
    assert (tmp_path / "tests.md").read_text().splitlines()[-1] == (
        "| hand | 32 | hamming | ours | theirs | +0.1500 | 0.1 | 0.1 | level |"
    )
    assert (tmp_path / "table.md").read_text().splitlines()[2] == (
        "| hand | ours | 32 | hamming | 0.5250 | 0.5250 | 4 | 1 | 1 |"
    )


def test_shares_are_of_the_floats_of_the_same_cell(tmp_path: Path) -> None:
    ours = put(tmp_path, "ours", 0, {"hamming": [0.4] * 4, "asymmetric": [0.5] * 4, "float": [0.5] * 4})
    theirs = put(
        tmp_path, "theirs", 0, {"asymmetric": [0.2] * 4, "float": [0.8] * 4}, coder="rabitq", size=20.0
    )
    plain = put(tmp_path, "floats", 0, {"float": VALUES}, None)
    found = [
        (one.group, one.bytes_per_item, round(one.share, 6))
        for one in shares([ours, theirs, plain], "recall@20")
    ]
    assert found == [("ours, float query", 4.0, 1.0), ("ours, code query", 4.0, 0.8), ("rabitq", 20.0, 0.25)]
    assert "shares.png" in names(draw_plots([ours, theirs, plain], "recall@20", tmp_path / "plots"))
    assert "shares.png" not in names(draw_plots([ours, plain], "recall@20", tmp_path / "others"))
