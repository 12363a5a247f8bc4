"""Appending to the log: chain -> entry -> receipt -> SCT."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import sha256

from touchplate.ctlog.chain import AcceptedRoots, SubmittedChain
from touchplate.ctlog.leaf_index import Find, find_in_tiles
from touchplate.ctlog.settings import CtlogSettings
from touchplate.errors import SettingsError
from touchplate.formats import ct
from touchplate.formats.certificate import PRECERT_POISON, Certificate
from touchplate.formats.sct import ECDSA, SHA256, SignedCertificateTimestamp
from touchplate.keys.signer import Signer
from touchplate.merkle.tree import RootHash
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.batch import Outcome
from touchplate.tilelog.entry import Leaf, Receipt, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings


def tile_log_settings(
    signer: Signer, origin: str, now_ms: Callable[[], int], name: str = "ct"
) -> TileLogSettings:
    """Give the settings of the tile log under a CT log; its checkpoints are static-ct's.

    `origin` is host and path, without scheme and without a slash at the end.
    """
    if signer.public_key.kind != "ecdsa-p256":
        raise SettingsError("SETTINGS_INVALID", "a CT log's key is ECDSA P-256")
    log_id = signer.public_key.key_id

    def sign(size: int, root: RootHash, time_ms: int, _extensions: tuple[str, ...]) -> str:
        # The signature is over the RFC 6962 tree head, which no extension line is part of.
        signed = signer.sign(ct.encode_tree_head_input(size, time_ms, root))
        head = ct.TreeHead(size, time_ms, root, ct.encode_digitally_signed(signed))
        return ct.encode_checkpoint(origin, log_id, head)

    return TileLogSettings(
        name=name,
        entries_tile="data",
        split=ct.split_data_tile,
        hashed=ct.leaf_of_record,
        sign=sign,
        now_ms=now_ms,
    )


class CertificateLog:
    """The log: takes chains, answers with promises. Any thread may call it.

    `objects` holds the issuers' certificates, under `ct/issuer/…`; one that an entry names is
    there before the entry is.
    """

    def __init__(
        self,
        log: TileLog,
        signer: Signer,
        *,
        origin: str,
        roots: Sequence[bytes],
        objects: ObjectStore,
        name: str = "ct",
        settings: CtlogSettings | None = None,
        find: Find | None = None,
    ) -> None:
        """Take the log made with `tile_log_settings`, its key, and the accepted roots (DER).

        `find` is of an index of leaf hashes; without it the tiles are searched.
        """
        self.log = log
        self.origin = origin
        self.log_id = signer.public_key.key_id
        self.settings = settings or CtlogSettings()
        self.roots = AcceptedRoots(roots, self.settings)
        self._find = find
        self.signer = signer
        self._objects = objects
        self._name = name
        self._stored_issuers: set[bytes] = set()

    def accept(self, roots: Sequence[bytes]) -> None:
        """Take what leads to these roots (DER) from now on, and to no others."""
        self.roots = AcceptedRoots(roots, self.settings)

    def submit(
        self, chain: Sequence[bytes], *, precertificate: bool
    ) -> Future[SignedCertificateTimestamp]:
        """Check and append a chain (DER, leaf first). The future has the log's promise.

        Raises MalformedError, RefusedError CHAIN_REFUSED, UnavailableError LOG_BUSY.
        """
        return self._append(self.roots.check(chain, precertificate=precertificate))

    def submit_own(self, chain: tuple[bytes, ...]) -> Future[SignedCertificateTimestamp]:
        """Append a precertificate that the authority of this process has just signed.

        Its own signature is not verified again; all else is as in `submit`.
        """
        return self._append(self.roots.check(chain, precertificate=True, is_signed=True))

    def own_submission(self, chain: tuple[bytes, ...]) -> Submission:
        """Give the entry of such a precertificate to who appends it to `log` and promises itself.

        Raises as `submit_own` does.
        """
        return self._submission(self.roots.check(chain, precertificate=True, is_signed=True))

    def promise(self, record: bytes) -> SignedCertificateTimestamp:
        """Sign the promise for an entry that the log holds, with the entry's own time and index.

        A certificate that is submitted again gets the first promise's content again.
        """
        leaf, time_ms, extensions = ct.promised_of_record(record)
        signature = self.signer.sign(leaf)
        return SignedCertificateTimestamp(
            self.log_id, time_ms, extensions, SHA256, ECDSA, signature
        )

    def tree_head(self) -> ct.TreeHead:
        """Give the newest signed tree head."""
        return ct.parse_checkpoint(self.log.checkpoint().envelope, self.origin, self.log_id)

    def find_leaf(self, leaf_hash: bytes, size: int) -> int | None:
        """Give the lowest index below `size` with this leaf hash, or None.

        Raises VerificationError TLOG_INVALID; UnavailableError LOG_BUSY while its index is made.
        """
        if self._find is not None:
            return self._find(leaf_hash, size)
        return find_in_tiles(self.log, leaf_hash, 0, size)

    def issuer(self, fingerprint: bytes) -> bytes | None:
        """Give the issuer's certificate (DER) with this SHA-256, or None."""
        return self._objects.get(self._issuer_key(fingerprint))

    def _append(self, chain: SubmittedChain) -> Future[SignedCertificateTimestamp]:
        future: Future[SignedCertificateTimestamp] = Future()
        self.log.submit(self._submission(chain), future, self._deliver)
        return future

    def _submission(self, chain: SubmittedChain) -> Submission:
        return _submission(chain, tuple([self._store_issuer(item) for item in chain.issuers]))

    def _deliver(
        self, tickets: Sequence[tuple[Future[SignedCertificateTimestamp], Outcome]]
    ) -> None:
        """Sign the promises of a batch; in the log's thread, after the commit."""
        for future, outcome in tickets:
            if not future.set_running_or_notify_cancel():
                continue
            if not isinstance(outcome, Receipt):
                future.set_exception(outcome)
                continue
            try:
                future.set_result(self.promise(outcome.record))
            except Exception as error:  # noqa: BLE001 - whoever waits must get it, whatever it is
                future.set_exception(error)

    def _store_issuer(self, issuer: Certificate) -> bytes:
        fingerprint = issuer.fingerprint
        if fingerprint not in self._stored_issuers:
            self._objects.put(self._issuer_key(fingerprint), issuer.der)
            self._stored_issuers.add(fingerprint)
        return fingerprint

    def _issuer_key(self, fingerprint: bytes) -> str:
        return f"{self._name}/issuer/{fingerprint.hex()}"


def _submission(chain: SubmittedChain, issuers: tuple[bytes, ...]) -> Submission:
    """Make the entry; its leaf holds its index, so it is built once that is known."""
    key_hash, covered = b"", chain.leaf.der
    precertificate: bytes | None = None
    if chain.is_precertificate:
        key_hash, covered = chain.issuer_key_hash, chain.leaf.tbs_without(PRECERT_POISON)
        precertificate = chain.leaf.der
    rest = ct.encode_after_entry(precertificate, issuers)

    def build(index: int, time_ms: int) -> Leaf:
        entry = ct.encode_entry(time_ms, key_hash, covered, ct.encode_leaf_index(index))
        return Leaf(ct.encode_leaf(entry), entry + rest)

    return Submission(sha256(chain.leaf.der).digest(), build)
