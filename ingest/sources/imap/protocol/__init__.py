"""The IMAP protocol: bytes on the wire, the grammar of answers, and a client of the commands that we need."""
