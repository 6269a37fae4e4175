"""A list is read to its end, or not at all."""

from typing import Any, cast

import pytest

from clients.pages import PAGES_MAX, every_page
from edge.http_client import HttpClient, UnreachableError


class Pages:
    """A service that answers by path."""

    base_url = "https://pva.example"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get_json(self, path: str) -> Any:
        """The answer for a cursor, "first" without one."""
        self.asked.append(path)
        _, _, after = path.partition("?after=")
        return self.answers[after or "first"]


def read(service: Any) -> Any:
    return every_page(cast("HttpClient", service), "/v1/things", "things")


def test_all_pages_are_one_answer() -> None:
    service = Pages(
        first={"things": [1, 2], "next": "a"}, a={"things": [3], "next": "b"}, b={"things": [], "more": 1}
    )
    assert read(service)["things"] == [1, 2, 3]
    assert service.asked == ["/v1/things", "/v1/things?after=a", "/v1/things?after=b"]


def test_a_service_that_knows_no_pages_has_one() -> None:
    assert read(Pages(first={"things": [1, 2]})) == {"things": [1, 2]}


@pytest.mark.negative
@pytest.mark.parametrize("answer", [[], None, {"others": []}, {"things": {}}])
def test_an_answer_of_another_shape_is_left_to_its_decoder(answer: Any) -> None:
    assert read(Pages(first=answer)) == answer
    assert read(Pages(first={"things": [1], "next": "a"}, a=answer)) == answer


@pytest.mark.negative
@pytest.mark.parametrize("after", [7, "", ["a"], "a"])
def test_a_page_that_does_not_lead_on_ends_the_reading(after: Any) -> None:
    with pytest.raises(UnreachableError, match="do not come to an end"):
        read(Pages(first={"things": [1], "next": "a"}, a={"things": [2], "next": after}))


@pytest.mark.negative
def test_pages_without_an_end_are_not_read_for_ever() -> None:
    class Endless(Pages):
        def get_json(self, path: str) -> Any:
            self.asked.append(path)
            return {"things": [1], "next": str(len(self.asked))}

    service = Endless()
    with pytest.raises(UnreachableError):
        read(service)
    assert len(service.asked) == PAGES_MAX + 1
