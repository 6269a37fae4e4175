"""Continuous validation: who is looked at again and when, and what OCSP hears of it."""
