"""The PVA's store on SQLAlchemy, a file a subject: each satisfies the ports of the use cases of its name."""
