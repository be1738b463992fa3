"""The gateway: one address for a play, from the first captured call to its last."""
