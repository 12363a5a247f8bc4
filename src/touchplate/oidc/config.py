"""Fulcio's `config.yaml`, read as it is: `oidc-issuers`, `meta-issuers`, `ci-issuer-metadata`.

The names of its JSON form are those of the YAML without dashes, in any case, as Go reads them. What
upstream's start would refuse is refused here, with file, line and reason. docs/reference/formats/
issuers.md lists the members; `issuers.problem_of` holds the rules about one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509

from touchplate.errors import SettingsError
from touchplate.oidc.document import Node, parse_document
from touchplate.oidc.issuers import GOOGLE, Issuer, problem_of
from touchplate.oidc.json_path import JsonPath, parse_json_path
from touchplate.oidc.providers import EXTENSION_TEMPLATES, Provider
from touchplate.oidc.templates import Template, parse_template

TOP: Final = ("oidc-issuers", "meta-issuers", "ci-issuer-metadata", "define")
# Members of an issuer that are read; those after them only inform people.
MEMBERS: Final = (
    *("issuer-url", "client-id", "type", "ci-provider", "issuer-claim", "subject-domain"),
    *("spiffe-trust-domain", "challenge-claim", "ca-cert", "skip-email-verification"),
)
INFORMATION: Final = ("description", "contact", "environment")
METADATA: Final = (
    *("default-template-values", "extension-templates", "subject-alternative-name-template"),
)


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """What a file says: rows in its order, and what in it does nothing."""

    issuers: tuple[Issuer, ...]
    warnings: tuple[str, ...] = ()


def parse_config(content: bytes, where: str) -> IssuerConfig:
    """Read a file; `where` names it in errors (SETTINGS_INVALID: file, line, reason)."""
    root, is_json = parse_document(content, where)
    reader = _Reader(is_json=is_json)
    top = reader.known(root, TOP)
    providers = {
        name: reader.provider(node) for name, node in reader.entries(top.get("ci-issuer-metadata"))
    }
    rows = [
        *(reader.issuer(name, node, providers) for name, node in reader.entries(top.get(TOP[0]))),
        *(reader.pattern(name, node, providers) for name, node in reader.entries(top.get(TOP[1]))),
    ]
    return IssuerConfig(tuple(rows), tuple(reader.warnings))


class _Reader:
    """Reads the parts of one file, noting what does nothing."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self.warnings: list[str] = []

    def known(self, node: Node, names: tuple[str, ...]) -> dict[str, Node]:
        """Give the members by their YAML names; others are passed over, as Go does."""
        by_json = {name.replace("-", ""): name for name in names}
        found: dict[str, Node] = {}
        for written, value in node.members().items():
            name = by_json.get(written.lower()) if self._is_json else written
            if name is None or name not in names:
                self.warnings.append(value.at(f"{written[:100]!r} is not known and does nothing"))
            elif name in found:
                raise value.refuse(f"{written!r} is there twice")
            else:
                found[name] = value
        return found

    def entries(self, node: Node | None) -> tuple[tuple[str, Node], ...]:
        """Give the entries of a mapping whose names are free."""
        return () if node is None else tuple(node.members().items())

    def provider(self, node: Node) -> Provider:
        """Read one entry of `ci-issuer-metadata`."""
        members = self.known(node, METADATA)
        defaults = self.entries(members.get(METADATA[0]))
        templates = members.get(METADATA[1])
        texts = {} if templates is None else self.known(templates, tuple(EXTENSION_TEMPLATES))
        name = members.get(METADATA[2])
        if name is None or not name.text().strip():
            raise (name or node).refuse(f"{METADATA[2]} should not be empty")
        return Provider(
            _template(name),
            tuple(
                (EXTENSION_TEMPLATES[each], _template(text))
                for each, text in texts.items()
                if text.text().strip()
            ),
            tuple((key, value.text()) for key, value in defaults),
        )

    def issuer(self, key: str, node: Node, providers: Mapping[str, Provider]) -> Issuer:
        """Read one entry of `oidc-issuers`."""
        row = self._row(node, providers)
        if not row.url:
            raise node.refuse("issuer-url is missing")
        if key != row.url and (row.url, key) != GOOGLE:
            text = f"{key[:200]!r} is not its issuer-url: no token will ever be from this issuer"
            self.warnings.append(node.at(text))
        return _checked(replace(row, key=key), node)

    def pattern(self, pattern: str, node: Node, providers: Mapping[str, Provider]) -> Issuer:
        """Read one entry of `meta-issuers`; its URL will be that of each token's issuer."""
        row = self._row(node, providers)
        return _checked(replace(row, url=pattern, is_pattern=True), node)

    def _row(self, node: Node, providers: Mapping[str, Provider]) -> Issuer:
        members = self.known(node, (*MEMBERS, *INFORMATION))

        def text(name: str) -> str:
            return members[name].text() if name in members else ""

        provider = None
        if name := text("ci-provider"):
            provider = providers.get(name)
            if provider is None:
                raise members["ci-provider"].refuse(f"ci-issuer-metadata has no {name[:100]!r}")
        certificates = text("ca-cert")
        if certificates:
            _check_certificates(certificates, members["ca-cert"])
        flag = members.get("skip-email-verification")
        return Issuer(
            url=text("issuer-url"),
            type=text("type"),
            audience=text("client-id"),
            subject_domain=text("subject-domain"),
            skip_email_verification=flag is not None and flag.boolean(),
            issuer_claim=_path(members.get("issuer-claim")),
            spiffe_trust_domain=text("spiffe-trust-domain"),
            provider=provider,
            shown_challenge_claim=text("challenge-claim"),
            ca_certificates=certificates,
        )


def _checked(row: Issuer, node: Node) -> Issuer:
    problem = problem_of(row)
    if problem is not None:
        raise node.refuse(f"{row.url[:200]}: {problem}")
    return row


def _template(node: Node) -> Template:
    try:
        return parse_template(node.text())
    except ValueError as error:
        raise node.refuse(str(error)) from error


def _path(node: Node | None) -> JsonPath | None:
    if node is None or not node.text():
        return None
    try:
        return parse_json_path(node.text())
    except ValueError as error:
        raise node.refuse(str(error)) from error


def _check_certificates(pem: str, node: Node) -> None:
    problem = "ca-cert holds no certificate in PEM"
    try:
        if not x509.load_pem_x509_certificates(pem.encode()):
            raise node.refuse(problem)
    except ValueError as error:
        raise SettingsError("SETTINGS_INVALID", node.at(problem)) from error
