"""A person at an operator's page: reads the form, fills it in, and keeps what the answer says.

Rule: what is sent is what the form asks for, with its own hidden key; what is kept is what a reader finds on the page.
"""

from html.parser import HTMLParser
from urllib.parse import urlencode

from clients.sho import PlacedOrder
from edge.http_client import HttpClient

FORM = "application/x-www-form-urlencoded"
HTML = "text/html"


class PageError(Exception):
    """The page has not what a person would look for."""


class _Page(HTMLParser):
    """Values of inputs and texts of elements, by their ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element with an id, or one of a product: its value, or the text that follows."""
        named = dict(attrs)
        self._inside = named.get("id") or ""
        if tag == "input" and self._inside:
            self.found[self._inside] = named.get("value") or ""
            self._inside = ""

    def handle_data(self, data: str) -> None:
        """Text of the element that has just begun."""
        if self._inside:
            self.found[self._inside] = data.strip()
            self._inside = ""

    def at(self, name: str) -> str:
        """What stands at an id. Raises PageError."""
        if name not in self.found:
            raise PageError(f"the page has nothing at {name!r}")
        return self.found[name]

    def products(self) -> list[str]:
        """What is offered."""
        return [value for name, value in self.found.items() if name.startswith("product-")]


def order_on_the_page(http: HttpClient, *, subscriber: str, device_code: str, product: str) -> PlacedOrder:
    """Order a product on the page /register. Raises PageError, HttpError, UnreachableError."""
    form = _Page(http.get("/register", accept=HTML).body.decode())
    if product not in form.products():
        raise PageError(f"the page offers {', '.join(form.products())}, not {product}")
    filled = {
        "subscriber": subscriber,
        "device_code": device_code,
        "product": product,
        "idempotency_key": form.at("idempotency_key"),
    }
    answer = http.post("/register", urlencode(filled).encode(), content_type=FORM, accept=HTML)
    page = _Page(answer.body.decode())
    return PlacedOrder(
        order_id=page.at("order-id"),
        order_code=page.at("order-code"),
        state="ordered",
        secret=page.at("order-secret"),
    )
