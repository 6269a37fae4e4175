"""One file a service: the typed HTTP client that every caller of it uses."""
