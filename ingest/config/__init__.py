"""Settings: their definition, the types of their values, and the IMAP accounts among them."""
