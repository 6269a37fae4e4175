"""All roles on one machine: the demo story, the hostile stories."""
