"""A report as a browser shows it, at the width of a desk and of a phone, in light and dark."""

from __future__ import annotations

import numpy as np
import pytest
from tests.browser import PATIENCE, SCHEMES, SIZES, launched, needs_chromium, violations, widest

import hashgnn as hg
from hashgnn.benchmarking.assessment import assess, report_content
from hashgnn.data import Interactions
from hashgnn.evaluation.report import write_report
from hashgnn.testing.states import random_state

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    model = hg.HashGNN.from_state(random_state())
    state = model.state_
    free = np.argwhere(state.seen.toarray() == 0)
    rows = free[np.sort(np.random.default_rng(0).choice(len(free), 200, replace=False))]
    test = Interactions(state.users.ids, state.items.ids, rows[:, 0], rows[:, 1])
    found = assess(
        model,
        test,
        baselines=["popularity", "itemknn", "ease"],
        n_bootstrap=50,
        metrics=["recall@5", "ndcg@5"],
        progress=False,
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, report_content(model, test, found, title="A model"))
    return path


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(params=SIZES)
def page(request, browser, report):
    page = browser.new_page(viewport=SIZES[request.param])
    page.set_default_timeout(PATIENCE)
    page.goto(report.as_uri())
    yield page
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    assert violations(page) == []
    assert not widest(page)


def test_everything_that_scrolls_can_be_reached_by_the_keyboard(page):
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    reached = 0
    while True:
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => document.activeElement === document.body ? null : getComputedStyle(document.activeElement).outlineStyle"
        )
        if outline is None:
            break
        assert outline == "solid"
        reached += 1
    scrolling = page.evaluate(
        "() => [...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflowX === 'auto' && e.tabIndex < 0).length"
    )
    assert scrolling == 0
    assert reached >= page.locator("details").count()


def test_bytes_and_milliseconds_are_in_sight(page):
    for label in ("bytes per item", "ms per query"):
        cells = page.locator(f'td[data-label="{label}"]')
        assert cells.count() == 8  # five search ways and three baselines
        for number in range(cells.count()):
            box = cells.nth(number).bounding_box()
            assert box["width"] > 0
            assert 0 <= box["x"] < box["x"] + box["width"] <= page.viewport_size["width"]


def test_names_in_a_picture_are_on_no_other_name(page):
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll("svg")].map(svg => {
            const boxes = [...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect());
            return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)).length;
        })"""
    )
    assert len(overlaps) >= 3
    assert sum(overlaps) == 0


def test_the_pointer_finds_the_points_and_bars(page):
    found = page.evaluate(
        """() => [...document.querySelectorAll("svg")].map(svg => [...svg.querySelectorAll(".tip")].filter(tip => {
            const box = tip.getBoundingClientRect();
            if (!box.height) return false;  // a bar of no bits
            tip.scrollIntoView({block: "center"});
            const now = tip.getBoundingClientRect();
            const hit = document.elementFromPoint(now.x + now.width / 2, now.y + now.height / 2);
            return hit && hit.closest(".tip") && hit.closest(".tip").querySelector("title").textContent;
        }).length)"""
    )
    assert all(count > 0 for count in found)
