from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from hashgnn.cli._output import Output
from hashgnn.errors import DataWarning


def test_json_keeps_numbers_whole_and_infinity_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "a": np.float64(1 / 3),
        "b": np.array([1, 2]),
        "c": float("-inf"),
        "d": [np.int64(3), None, True],
    }
    Output(as_json=True, quiet=False).document(value)
    assert json.loads(capsys.readouterr().out) == {"a": 1 / 3, "b": [1, 2], "c": None, "d": [3, None, True]}


def test_tables_round_numbers_and_print_markup_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False, quiet=False).table(("name", "x"), [("[red]Heat[/red]", 1 / 3), ("b", 12_345)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["[red]Heat[/red]", "0.3333"]
    assert lines[3].split() == ["b", "12,345"]


def test_a_long_cell_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False, quiet=False).table(("name",), [("x" * 300,)])
    assert "x" * 300 in capsys.readouterr().out


def test_every_line_has_the_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False, quiet=False, prefix="[made up] ")
    out.note("two\nlines")
    out.line("a result")
    out.table(("name",), [("x",)], title="A title")
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    assert len(lines) == 7
    assert all(line.startswith("[made up]") for line in lines)
    assert out.progress is False  # lines of the library have no prefix
    assert out.with_prefix("").progress is None


def test_quiet_keeps_results_and_drops_notes(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False, quiet=True)
    out.note("a note")
    out.line("a result")
    assert tuple(capsys.readouterr()) == ("a result\n", "")
    assert out.progress is False


def test_warnings_of_the_library_become_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False, quiet=False).warnings_as_notes():
        warnings.warn("3 rows were merged", DataWarning, stacklevel=1)
    assert tuple(capsys.readouterr()) == ("", "3 rows were merged\n")
