"""Requests that meet at the same records: a use case that lost is run again, whole, before anybody hears of it.

The one rule: `repeated` stands on what is one transaction, or on what writes nothing outside of its last one. Only
PostgreSQL lets two meet; every issuance takes a number of the change feed there, so under load they do meet.
"""

from edge.serialization import lost_behind, repeated_while

repeated = repeated_while(lost_behind)
"""Runs a use case again while the store says that another transaction won (ConcurrentChangeError)."""
