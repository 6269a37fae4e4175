"""The pva command: administers every service through its API and starts them."""
