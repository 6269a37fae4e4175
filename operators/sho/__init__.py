"""The selected home operator: orders, subscriptions, and the word that releases them."""
