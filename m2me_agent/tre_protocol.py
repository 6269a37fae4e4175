"""The TRE socket: what the agent may ask of the TRE, and how it is framed."""
