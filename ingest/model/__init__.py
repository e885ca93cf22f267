"""The records that one step of the worker hands to the next: envelopes, messages, outcomes."""
