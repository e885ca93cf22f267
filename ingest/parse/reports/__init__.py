"""Delivery reports: those of RFC 3464, and those that are written for people alone."""
