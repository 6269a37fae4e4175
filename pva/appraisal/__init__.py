"""Steps 3 to 6 of a validation: credential, quote, logs, and what they say about the state of the platform. Pure."""
