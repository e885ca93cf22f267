"""Charsets: which one a text is written in, and how its bytes become characters."""
