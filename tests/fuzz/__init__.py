"""Every parser that reads what a stranger sent, and mutations of what is good: `python -m tests.fuzz`."""
