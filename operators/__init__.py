"""The network's roles, one folder each: they meet only over their APIs."""
