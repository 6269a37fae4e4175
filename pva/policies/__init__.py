"""Policies of operators and suppliers on top of the baseline: their language, what they judge, and who may write them."""
