"""Reference manifests and those who send them: recognition of suppliers, what a manifest must be, dual control."""
