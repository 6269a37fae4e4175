"""The download and provisioning function: the last gate before a MID leaves."""
