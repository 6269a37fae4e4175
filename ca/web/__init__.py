"""The CA's listeners (D12): public, device, operator, EST; separate applications with disjoint routes.

The one rule: a view reads the request, calls one use case and words the answer; it decides nothing.
"""

from ca.web.device import device_app
from ca.web.est import est_app
from ca.web.operator import OperatorDesk, operator_app
from ca.web.public import public_app

__all__ = ["OperatorDesk", "device_app", "est_app", "operator_app", "public_app"]
