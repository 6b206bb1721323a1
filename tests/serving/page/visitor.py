"""What a visitor of the page does, and waits for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser import PATIENCE

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
expect.set_options(timeout=PATIENCE)

WAYS = ["hamming", "biased", "asymmetric", "hierarchical", "float"]


def search(page: Any, query: str) -> Any:
    """Type a query and return the options found."""
    page.get_by_role("combobox", name="Search items").fill(query)
    return finds(page)


def finds(page: Any) -> Any:
    return page.get_by_role("listbox", name="Items found").get_by_role("option")


def pick(page: Any, title: str) -> None:
    search(page, title)
    finds(page).filter(has_text=title).first.click()
    expect(page.get_by_role("button", name=f"Remove {title}", exact=True)).to_be_visible()


def ids_of(page: Any, way: str) -> list[str]:
    """Return the ids in a list, as JSON text, once the answers are shown."""
    column = page.locator(f'.column[data-way="{way}"]')
    expect(column).not_to_have_attribute("aria-busy", "true")
    expect(column.locator("li button").first).to_be_visible()
    return [str(button.get_attribute("data-id")) for button in column.locator("li button").all()]


def answered(page: Any) -> None:
    """Wait until lists and codes of the last change are shown."""
    expect(page.get_by_role("status")).to_contain_text("recommendations by 5 search ways")


def timed(page: Any) -> None:
    """Wait until the median times of the last change are shown."""
    expect(page.get_by_text("median of 5")).to_have_count(len(WAYS))


def start(page: Any) -> None:
    """Wait until the page shows everything that it shows before a pick."""
    expect(starters(page)).to_have_count(8)
    expect(page.locator("#cards table")).to_be_visible()


def starters(page: Any) -> Any:
    return page.get_by_role("toolbar", name="Popular").get_by_role("button")


def with_columns(page: Any) -> None:
    """Load the page as that of a service that has a table of attributes."""

    def described(route: Any) -> None:
        answer = route.fetch()
        columns = {"in_stock": "bool", "price": "float", "category": "text"}
        route.fulfill(response=answer, json={**answer.json(), "attribute_columns": columns})

    page.route("**/v1/model", described)
    page.reload()
