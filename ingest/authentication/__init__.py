"""Whether the domain in From has been shown to have sent a mail: DKIM, SPF and DMARC. Everything here is pure.

``ingest/authenticate.py`` asks the DNS and puts the parts together; the DKIM part runs in a parser process.
"""
