"""The discovery and registration function: finds the operator of a device and takes it there."""
