"""The visited network: authenticates who attaches, and forwards to where its bearer may go."""
