"""The certificate that STARTTLS shows: read again when it was renewed, so that nobody must restart the worker."""

import ssl
from pathlib import Path

from ingest import log

LOG = log.get("smtp")


class Certificate:
    """A certificate chain and its key in two PEM files."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Raises ``OSError`` (``ssl.SSLError`` is one) where the files cannot be read or do not belong together."""
        self._chain = chain
        self._key = key
        self._stamp = self._modified()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """The context of the files as they are now; the last good one while they cannot be used."""
        try:
            stamp = self._modified()
            if stamp != self._stamp:
                self._context = self._load()
                self._stamp = stamp
                LOG.info("certificate read again", path=str(self._chain))
        except OSError as error:
            LOG.warning("certificate unusable, still using the old one", path=str(self._chain), error=str(error))
        return self._context

    def _modified(self) -> tuple[int, int]:
        return self._chain.stat().st_mtime_ns, self._key.stat().st_mtime_ns

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain, self._key)
        return context
