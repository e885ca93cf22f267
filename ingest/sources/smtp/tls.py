"""The certificate for STARTTLS. It is read again when its files change, so a renewal needs no restart."""

import ssl
from pathlib import Path

from ingest import log

LOG = log.get("smtp")


class Certificate:
    """A certificate chain and its key in two PEM files."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read both files.

        Raises:
            OSError: a file cannot be read, or they do not belong together (``ssl.SSLError``).
        """
        self._chain = chain
        self._key = key
        self._stamp = self._modified()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return a context of the current files, or the last good one while they cannot be used."""
        try:
            stamp = self._modified()
            if stamp != self._stamp:
                self._context = self._load()
                self._stamp = stamp
                LOG.info("certificate read again", path=str(self._chain))
        except OSError as error:
            LOG.warning("certificate unusable, still using the old one", path=str(self._chain), error=str(error))
        return self._context

    def forget(self) -> None:
        """Read the files again at the next handshake, whether they look changed or not."""
        self._stamp = (0, 0)

    def _modified(self) -> tuple[int, int]:
        return self._chain.stat().st_mtime_ns, self._key.stat().st_mtime_ns

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain, self._key)
        return context
