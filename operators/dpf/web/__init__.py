"""The DPF's two listeners as applications."""
