"""The filter of the page: offered where there are attributes, applied to every list, told what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.browser import needs_chromium
from tests.serving.page.visitor import answered, expect, pick, start, timed, with_columns

pytestmark = needs_chromium

Serve = Callable[..., Any]
Visit = Callable[..., Any]


def filtered(page: Any) -> list[str | None]:
    """Answer as a service with rules does, and return the filters that it was asked with."""
    filters: list[str | None] = []

    def ruled(route: Any) -> None:
        body = json.loads(str(route.request.post_data))
        where = body.pop("where", None)
        filters.append(where)
        if where is not None and where.endswith("<"):
            route.fulfill(status=422, json={"detail": "where must have a value after '<' at character 7"})
            return
        answer = route.fetch(post_data=json.dumps(body))
        document = answer.json()
        if where is not None:
            row = document["results"][0]
            row["items"] = row["items"][::-1][:3]
            row["rules"] = {"allowed": 3, "capped": {}}
            for place, base_rank in enumerate((1, 7, None)):
                row["items"][place]["base_rank"] = base_rank
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", ruled)
    return filters


def test_there_is_no_filter_where_there_is_nothing_to_filter_by(serve: Serve, visit: Visit) -> None:
    page = visit(serve(items=None))
    expect(page.locator("#version")).to_contain_text("v1")
    expect(page.get_by_label("Filter")).to_be_hidden()


def test_a_filter_is_part_of_every_request_and_its_effect_is_told(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    filters = filtered(page)
    with_columns(page)
    field = page.get_by_label("Filter")
    expect(page.locator("#filter-columns")).to_have_text(
        "Columns: in_stock (true or false), price (number), category (text)"
    )
    pick(page, "The Number 3")
    timed(page)
    assert filters[:5] == [None] * 5
    filters.clear()
    field.fill("price < 30")
    field.press("Enter")
    expect(page.get_by_text("3 of 30 items pass the filter.")).to_be_visible()
    timed(page)
    assert set(filters) == {"price < 30"}
    rows = page.locator('.column[data-way="float"] li')
    expect(rows.locator(".effects")).to_have_text(["rank 7 without rules", "raised by rules"])
    expect(rows.first.locator(".effects")).to_have_count(0)
    filters.clear()
    page.get_by_role("button", name="No filter").click()
    expect(rows.locator("button")).to_have_count(10)
    expect(page.get_by_text("items pass the filter")).to_be_hidden()
    timed(page)
    assert set(filters) == {None}
    expect(field).to_be_focused()
    expect(page.get_by_role("button", name="No filter")).to_be_hidden()


def test_a_filter_that_cannot_be_read_is_told_next_to_it(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)
    filters = filtered(page)
    with_columns(page)
    pick(page, "The Number 3")
    answered(page)
    field = page.get_by_label("Filter")
    field.fill("price <")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-problem")).to_have_text("Where must have a value after '<' at character 7.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator(".column[aria-busy]")).to_have_count(0)
    field.fill("price < 30")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("3 of 30 items pass the filter.")).to_be_visible()
    expect(page.locator("#filter-problem")).to_be_empty()
    assert field.get_attribute("aria-invalid") is None
    assert filters[-1] == "price < 30"


def test_a_filter_before_any_pick_waits_for_one(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    filters = filtered(page)
    with_columns(page)
    start(page)
    page.get_by_label("Filter").fill("in_stock")
    page.get_by_label("Filter").press("Enter")
    pick(page, "The Number 3")
    answered(page)
    assert filters[:5] == ["in_stock"] * 5


def test_the_service_filters_and_refuses_as_the_page_shows(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)
    field = page.get_by_label("Filter")
    expect(page.locator("#filter-columns")).to_contain_text("year (number)")
    expect(field).to_have_attribute("placeholder", "year < 100")
    pick(page, "The Number 3")
    answered(page)
    field.fill("year < 2000")
    field.press("Enter")
    expect(page.get_by_text("10 of 30 items pass the filter.")).to_be_visible()  # 1990 to 1999
    answered(page)
    years = page.locator('.column[data-way="hamming"] .more').all_inner_texts()
    assert years
    assert all(year < "2000" for year in years)
    field.fill("colour = 'red'")
    field.press("Enter")
    expect(page.locator("#filter-problem")).to_contain_text("colour")
    expect(field).to_have_attribute("aria-invalid", "true")
