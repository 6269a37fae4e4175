"""A supplier's update on its way to the devices: roll-outs, approvals of the next state, renewed credentials."""
