"""Recognises what the sender did not newly write: quotes, their headers, signatures, footers."""
