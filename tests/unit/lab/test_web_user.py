"""A person at an operator's page: what the page has is read, and what it has not is told."""

from typing import Any

import pytest

from lab.web_user import PageError, order_on_the_page

FORM = """<input type="hidden" id="idempotency_key" value="0123456789abcdef">
<input type="radio" id="product-1" name="product" value="in-car"><label for="product-1">in-car</label>"""
TAKEN = (
    """<strong id="order-code">12345678</strong><dd id="order-id">o-1</dd><dd id="order-secret">s-1</dd>"""
)


class Page:
    """An operator's listener with these pages."""

    def __init__(self, *, form: str = FORM, taken: str = TAKEN) -> None:
        self.form, self.taken, self.sent = form, taken, b""

    def get(self, path: str, **_: Any) -> Any:
        assert path == "/register"
        return Body(self.form)

    def post(self, path: str, body: bytes, **_: Any) -> Any:
        assert path == "/register"
        self.sent = body
        return Body(self.taken)


class Body:
    """An answer with this text."""

    def __init__(self, text: str) -> None:
        self.body = text.encode()


def ordered(page: Any, product: str = "in-car") -> Any:
    return order_on_the_page(page, subscriber="a buyer", device_code="CODE", product=product)


@pytest.mark.requirement("R10")
def test_the_form_goes_back_with_its_key_and_the_answer_is_read() -> None:
    page = Page()
    placed = ordered(page)
    assert page.sent == (
        b"subscriber=a+buyer&device_code=CODE&product=in-car&idempotency_key=0123456789abcdef"
    )
    assert (placed.order_code, placed.order_id, placed.secret) == ("12345678", "o-1", "s-1")


@pytest.mark.negative
def test_what_the_page_has_not_is_told() -> None:
    with pytest.raises(PageError, match="offers in-car, not yacht"):
        ordered(Page(), "yacht")
    with pytest.raises(PageError, match="order-id"):
        ordered(Page(taken="<p>sorry</p>"))
    with pytest.raises(PageError, match="idempotency_key"):
        ordered(Page(form=FORM.partition("\n")[2]))
