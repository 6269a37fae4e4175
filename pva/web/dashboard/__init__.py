"""The dashboard: what the PVA knows, as pages for people with a browser and a client certificate (docs/adr/0043-dashboard.md)."""
