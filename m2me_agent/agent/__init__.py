"""The agent carries messages between the TRE and the network; it is trusted with nothing."""
