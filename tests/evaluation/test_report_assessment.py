from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from table_model import TableModel, matrix
from test_report import Page, content, written

from hashgnn.evaluation import SegmentRow, compare, evaluate
from hashgnn.evaluation.report import Example, Recommended
from hashgnn.evaluation.report._labels import overlap, place_labels
from hashgnn.evaluation.report._svg import drawing

NAMES = ["recall@2", "novelty@2"]


def measured(scores, way):
    train, test = matrix([[0], [0, 4], [1]], 5), matrix([[1, 4], [2], [2]], 5)
    table = np.array(scores, np.float32)
    return evaluate(TableModel({way: table}), train, test, metrics=NAMES, rng=0)


def assessed(**changes):
    ours = measured([[9, 8, 1, 1, 1], [9, 1, 8, 1, 1], [9, 1, 8, 1, 1]], "hamming")
    theirs = measured([[5, 4, 3, 2, 1]] * 3, "float")
    values = {
        "hamming": ours.per_user["hamming"]["recall@2"],
        "popularity": theirs.per_user["float"]["recall@2"],
    }
    rows = [
        SegmentRow("history", "user", value, 2, search, "recall@2", 0.25, 0.125, 0.5)
        for value in ("new", "warm")
        for search in ("hamming", "popularity")
    ]
    parts = {
        "evaluation": ours,
        "baselines": {"popularity": theirs},
        "comparisons": compare(values, "popularity"),
        "accuracy": ["recall@2"],
        "segments": rows,
        "verdict": "Codes keep all of it.",
        "advice": ["Train with more bits."],
        "examples": [Example("ann", ["Cat"], [Recommended("Dog", True)], [f"Kept {n}" for n in range(15)])],
    }
    return content(**{**parts, **changes})


def test_the_page_holds_the_verdict_baselines_and_what_to_do(tmp_path):
    given = assessed()
    page = Page(written(tmp_path, given))
    assert page.open == []
    assert page.text_in("h2") == [
        "Search ways and baselines",
        "Better than the baselines?",
        "Pictures",
        "Beyond accuracy",
        "By segment",
        "Recommendations",
        "Code health",
        "How this was made",
    ]
    texts = [text for _, text in page.texts]
    popularity = given.baselines["popularity"]
    for text in (
        "Codes keep all of it.",
        "Train with more bits.",
        f"{popularity.metrics['float']['recall@2']:.4f}",
        f"{popularity.metrics['float']['novelty@2']:.3g}",
        f"{given.comparisons[0].difference:+.4f}",
        "recall@2 by history of users",
        "0.125–0.500",
        "Kept 11",
        "and 3 more",
    ):
        assert text in texts
    assert "Kept 12" not in texts


def test_every_cell_of_a_card_says_what_it_is(tmp_path):
    page = Page(written(tmp_path, assessed()))
    labels = [attributes["data-label"] for name, attributes in page.elements if "data-label" in attributes]
    assert labels[:3] == ["recall@2", "bytes per item", "ms per query"]
    assert "against popularity" in labels
    assert {"hamming", "popularity"} <= set(labels)


def test_a_difference_that_may_be_chance_is_not_called_better(tmp_path):
    text = written(tmp_path, assessed())
    assert "may be chance, p\N{NO-BREAK SPACE}=" in text  # three users say little
    values = {"hamming": [0.9, 0.8, 0.85, 0.9] * 9, "popularity": [0.1, 0.2, 0.1, 0.15] * 9}
    text = written(tmp_path, assessed(comparisons=compare(values, "popularity")))
    assert "better, p\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}0.001" in text


def test_points_and_bars_say_their_numbers_under_the_pointer(tmp_path):
    text = written(tmp_path, assessed())
    tips = re.findall(r'<g class="tip"><title>([^<]*)</title>', text)
    for start in ("hamming: recall@2 0.8333, 8 bytes", "popularity: recall@2", "epoch 3: recall@20 0.3"):
        assert any(tip.startswith(start) for tip in tips), start
    assert sum("bits are +1 in" in tip for tip in tips) == 20
    assert any(re.match(r"\d+ bits: [\d.]+ % of their items", tip) for tip in tips)
    assert 'id="tip-' not in text


@pytest.mark.parametrize("seed", range(8))
def test_labels_are_on_no_label_and_no_point(seed):
    rng = np.random.default_rng(seed)
    n = 9
    x, y = 2.0 ** rng.integers(3, 12, n), rng.choice([0.1, 0.101, 0.15, 0.2], n) + rng.normal(0, 0.002, n)
    names = [f"method-{n}" for n in range(n)]
    with drawing("labels", "labels") as sheet:
        axes = sheet.figure.add_subplot()
        axes.plot(x, y, "o")
        axes.set_xscale("log", base=2)
        axes.set_xlim(x.min() / 2, x.max() * 2)
        axes.margins(y=0.15)
        place_labels(axes, names, x, y)
        sheet.figure.draw_without_rendering()
        found = [text.get_window_extent() for text in axes.texts]
        points = axes.transData.transform(np.stack([x, y], axis=1))
    boxes = [(one.x0, one.y0, one.x1, one.y1) for one in found]
    # An annotation with a line reports the line too; its text alone is what must be free.
    texts = [box for box, text in zip(boxes, axes.texts, strict=True) if text.arrow_patch is None]
    assert len(boxes) == n
    assert all(overlap(one, other) == 0 for one, other in combinations(texts, 2))
    for box in texts:
        inside = (
            (points[:, 0] > box[0])
            & (points[:, 0] < box[2])
            & (points[:, 1] > box[1])
            & (points[:, 1] < box[3])
        )
        assert not inside.any()
