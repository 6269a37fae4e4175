"""Values that are held by key, and no more of them than was said."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key, up to a total weight; safe to use from several threads."""

    def __init__(self, *, weight_max: int) -> None:
        """Hold at most `weight_max` together; a value that weighs more than a quarter of it is not held."""
        self._weight_max = weight_max
        self._weight = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """The value of a key, which counts as used now."""
        with self._lock:
            held = self._values.get(key)
            if held is None:
                return None
            self._values.move_to_end(key)
            return held[0]

    def values(self) -> list[Value]:
        """What is held now; nothing of it counts as used."""
        with self._lock:
            return [value for value, _ in self._values.values()]

    def put(self, key: Key, value: Value, *, weight: int = 1) -> None:
        """Hold a value in place of what was held under this key."""
        with self._lock:
            self._forget(key)
            if 4 * weight > self._weight_max:
                return
            self._values[key] = (value, weight)
            self._weight += weight
            while self._weight > self._weight_max:
                _, (_, gone) = self._values.popitem(last=False)
                self._weight -= gone

    def drop(self, key: Key) -> None:
        """Forget a key."""
        with self._lock:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        held = self._values.pop(key, None)
        self._weight -= 0 if held is None else held[1]
