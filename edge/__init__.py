"""Where a process touches the world: settings, clock, logs, HTTP, database, ledger."""
