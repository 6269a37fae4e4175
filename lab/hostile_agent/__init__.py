"""The hostile agent: every message between TRE and network, in the hands of somebody who wants something else."""
