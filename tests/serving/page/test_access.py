"""The page for everybody: axe-core finds nothing, on a desk and on a phone, in light and dark, in every state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.browser import SCHEMES, SIZES, needs_chromium, violations, widest
from tests.serving.page.visitor import (
    answered,
    expect,
    finds,
    pick,
    search,
    start,
    starters,
    timed,
    with_columns,
)

pytestmark = needs_chromium

Serve = Callable[..., Any]
Visit = Callable[..., Any]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_before_and_after_picks(serve: Serve, visit: Visit, size: str, scheme: str) -> None:
    page = visit(serve(), viewport=SIZES[size], color_scheme=scheme)
    with_columns(page)
    start(page)
    assert violations(page) == []
    search(page, "evening")
    expect(finds(page).first).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert violations(page) == []
    search(page, "no such title")
    expect(page.locator("#nothing")).to_be_visible()
    assert violations(page) == []

    def annotated(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        for item in document["results"][0]["items"][:3]:
            item["reasons"] = [{"id": "i3", "share": 0.4}]
            item["base_rank"] = 12
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", annotated)
    pick(page, "The Number 3")
    starters(page).first.click()
    timed(page)
    assert violations(page) == []
    page.locator('.column[data-way="biased"] li button').first.hover()
    page.locator('.column[data-way="hamming"] li button').first.focus()
    assert violations(page) == []
    assert not widest(page)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_where_something_is_wrong(
    serve: Serve, visit: Visit, size: str, scheme: str
) -> None:
    options = {"viewport": SIZES[size], "color_scheme": scheme, "refused": True}
    page = visit(serve(api_keys=("secret",)), **options)
    key = page.get_by_label("This service asks for an API key")
    expect(key).to_be_focused()
    assert violations(page) == []
    key.fill("wrong")
    key.press("Enter")
    expect(page.get_by_text("This key was refused.")).to_be_visible()
    assert violations(page) == []
    key.fill("secret")
    key.press("Enter")
    start(page)
    page.route("**/v1/recommend", lambda route: route.abort())
    pick(page, "The Number 3")
    expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    assert violations(page) == []
    assert not widest(page)


def test_axe_would_find_something(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    page.evaluate(
        "() => { document.documentElement.removeAttribute('lang');"
        " document.querySelector('.lead').style.color = 'rgb(200, 200, 200)'; }"
    )
    found = violations(page)
    assert {line.split(":")[0] for line in found} == {"color-contrast", "html-has-lang"}, found


@pytest.mark.parametrize("size", SIZES)
def test_the_order_of_the_focus_is_that_of_the_page(serve: Serve, visit: Visit, size: str) -> None:
    page = visit(serve(), viewport=SIZES[size])
    start(page)
    pick(page, "The Number 3")
    timed(page)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    tops: list[int] = []
    while True:
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => {
                const e = document.activeElement;
                if (e === document.body || e.closest("footer")) return null;
                const box = e.getBoundingClientRect(), style = getComputedStyle(e);
                const list = e.closest("[data-way]");
                const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                const inView = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
                const top = (list ?? e).getBoundingClientRect().top + scrollY;
                return {top, shown, inView, sticky: e.closest(".top, .ways") !== null, name: e.outerHTML.slice(0, 80)};
            }"""
        )
        if place is None:
            break
        assert place["shown"], place
        assert place["inView"], place
        if not place["sticky"]:  # these follow the reader
            tops.append(round(place["top"]))
    assert len(tops) > 10
    assert all(after >= before - 20 for before, after in pairwise(tops)), tops  # side by side is one row


def test_escape_closes_what_is_open_and_then_empties_the_field(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    field = page.get_by_role("combobox", name="Search items")
    field.focus()
    search(page, "evening")
    expect(finds(page).first).to_be_visible()
    page.keyboard.press("ArrowUp")  # from the field to the last one
    expect(finds(page).last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(finds(page).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(finds(page)).to_have_count(0)
    expect(field).to_have_value("evening")
    expect(field).not_to_have_attribute("aria-activedescendant", "found-0")
    page.keyboard.press("Escape")
    expect(field).to_have_value("")
    expect(page.locator("#picked")).to_be_hidden()


def test_who_asks_for_calm_sees_nothing_move(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), viewport=SIZES["phone"], reduced_motion="reduce")
    start(page)
    pick(page, "The Number 3")
    answered(page)
    moving = page.evaluate("() => document.getAnimations().length")
    assert moving == 0
    columns = page.locator("#columns")
    page.get_by_role("button", name="float", exact=True).click()
    left = columns.evaluate("columns => columns.scrollLeft")
    assert left == columns.evaluate("columns => columns.scrollWidth - columns.clientWidth")  # there at once


def test_every_list_and_button_has_a_name(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    pick(page, "The Number 3")
    answered(page)
    expect(page.get_by_role("list", name="By asymmetric search").get_by_role("listitem")).to_have_count(10)
    expect(page.get_by_role("region", name="Recommendations side by side")).to_be_visible()
    expect(page.get_by_role("region", name="hierarchical")).to_be_visible()
    expect(page.get_by_role("radio", name="compare with this")).to_have_count(5)
    unnamed = page.get_by_role("button").evaluate_all(
        "buttons => buttons.filter(button => !(button.getAttribute('aria-label') ?? button.textContent).trim()).length"
    )
    assert unnamed == 0
