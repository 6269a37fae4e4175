"""The DRF's two listeners as applications."""
