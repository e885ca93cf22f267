"""Containers in which a mail holds a body or files: TNEF, S/MIME, OpenPGP in a text, RTF."""
