"""Authentication to IMAP servers: passwords, OAuth tokens, and the SASL exchange that uses them."""
