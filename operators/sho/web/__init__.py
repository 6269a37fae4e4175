"""The SHO's two listeners as WSGI applications with disjoint routes (D12)."""
