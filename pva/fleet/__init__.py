"""What people want to see of many devices: counts over time, lists, and the way of one validation. Nothing changes here."""
