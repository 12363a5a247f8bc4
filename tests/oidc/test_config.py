"""Fulcio's config.yaml: what of it is read, and each reason to refuse it."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import SettingsError
from touchplate.oidc import Authenticator
from touchplate.oidc.config import IssuerConfig, parse_config
from touchplate.oidc.document import MAX_FILE, MAX_NODES
from touchplate.oidc.issuers import compile_pattern

PUBLIC = Path(__file__).parents[2] / "docs/reference/formats/public-issuers.yaml"


def read(text: str) -> IssuerConfig:
    """Read a file."""
    return parse_config(text.encode(), "config.yaml")


def issuer(**members: object) -> str:
    """Give a file with one issuer."""
    url = "https://idp.example.com"
    row: dict[str, object] = {"issuer-url": url, "client-id": "sigstore", "type": "email"}
    row |= {name.replace("_", "-"): value for name, value in members.items()}
    row = {name: value for name, value in row.items() if value is not None}
    return yaml.safe_dump({"oidc-issuers": {row.get("issuer-url", url): row}})


def meta(pattern: str = "https://oidc.*.example.com/id/*", **members: object) -> str:
    """Give a file with one pattern."""
    row = {"client-id": "sigstore", "type": "kubernetes", **members}
    return yaml.safe_dump(
        {"meta-issuers": {pattern: {k.replace("_", "-"): v for k, v in row.items()}}}
    )


def metadata(san: str | None = "{{ .url }}/x", **templates: str) -> str:
    """Give a file with one provider."""
    row: dict[str, object] = {
        "extension-templates": {k.replace("_", "-"): v for k, v in templates.items()}
    }
    if san is not None:
        row["subject-alternative-name-template"] = san
    return yaml.safe_dump({"ci-issuer-metadata": {"ci": row}})


def test_public_table() -> None:
    """The issuers of the public instance are read, with nothing in the file unknown."""
    config = parse_config(PUBLIC.read_bytes(), "public")
    table = Authenticator(config.issuers)

    assert config.warnings == ()
    assert len(table.issuers) == 25
    assert [row.is_pattern for row in table.issuers] == [False] * 16 + [True] * 9
    assert next(row for row in table.issuers if row.url == "https://ops.gitlab.net").provider


def test_json() -> None:
    """The same in JSON, by the names that Go reads in any case, says the same."""
    row = {"IssuerURL": "https://a.example.com", "ClientID": "sigstore", "Type": "ci-provider"}
    file = {
        "OIDCIssuers": {"https://a.example.com": {**row, "CIProvider": "ci"}},
        "metaissuers": {"https://*.b.example.com": {"clientid": "x", "TYPE": "kubernetes"}},
        "CIIssuerMetadata": {
            "ci": {
                "DefaultTemplateValues": {"url": "https://ci.example.com"},
                "ExtensionTemplates": {"BuildSignerURI": "{{.url}}", "BuildTrigger": "on"},
                "SubjectAlternativeNameTemplate": "{{.url}}/{{.x}}",
            }
        },
    }
    config = read(json.dumps(file, indent=1))

    fixed, pattern = config.issuers
    assert fixed.provider is not None
    san, extensions = fixed.provider.describe({"x": "1", "on": "push"})
    assert (san, extensions) == (
        "https://ci.example.com/1",
        ((9, "https://ci.example.com"), (20, "push")),
    )
    assert (pattern.audience, pattern.is_pattern) == ("x", True)
    assert config.warnings == ()


def test_members() -> None:
    """Each member has its meaning; those for people, and unknown ones, have none."""
    config = read(
        issuer(
            issuer_claim="$.federated_claims.connector_id",
            skip_email_verification=True,
            challenge_claim="preferred",
            contact="me",
            description="d",
            environment="e",
            colour="blue",
        )
    )
    (row,) = config.issuers

    assert row.issuer_claim is not None
    assert row.issuer_claim.steps == ("federated_claims", "connector_id")
    assert row.skip_email_verification
    assert row.challenge_claim == "preferred"
    assert config.warnings == ("config.yaml, line 5: 'colour' is not known and does nothing",)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (issuer(type="uri", issuer_claim="$.a", subject_domain="https://x.example.com"), 2, "only"),
        (issuer(type="kubernetes", issuer_claim="$.a"), 2, "only email issuers"),
        (issuer(issuer_claim="federated"), 4, "begin with $"),
        (issuer(issuer_claim="$.a[*]"), 4, "not supported"),
        (issuer(type="spiffe"), 2, "trust domain '' is invalid"),
        (issuer(type="spiffe", spiffe_trust_domain="Not A/Domain"), 2, "is invalid"),
        (meta(type="spiffe", spiffe_trust_domain="a.b"), 2, "SPIFFE meta issuers not supported"),
        (issuer(type="uri"), 2, "needs a subject-domain with scheme"),
        (issuer(type="uri", subject_domain="ci.example.com"), 2, "with scheme"),
        (issuer(type="uri", subject_domain="http://ci.example.com"), 2, "another scheme"),
        (issuer(type="uri", subject_domain="https://ci.example.org"), 2, "another domain"),
        (issuer(type="username"), 2, "without scheme"),
        (issuer(type="username", subject_domain="https://example.com"), 2, "without scheme"),
        (issuer(type="username", subject_domain="example.org"), 2, "another domain"),
        (issuer(type="username", subject_domain="com"), 2, "another domain"),
        (issuer(type="pigeon"), 2, "issuer missing challenge claim"),
        (issuer(type=None), 2, "issuer missing challenge claim"),
        (meta(type="pigeon"), 2, "issuer missing challenge claim"),
        (issuer(ca_cert="not PEM"), 3, "ca-cert"),
        (issuer(client_id=None), 2, "audience"),
        (issuer(issuer_url=None), 2, "issuer-url is missing"),
        (issuer(issuer_url="http://idp.example.com"), 2, "readable on the way"),
        (issuer(issuer_url="idp.example.com"), 2, "http(s) URL"),
        (issuer(issuer_url="https://user@idp.example.com"), 2, "user name"),
        (issuer(type="ci-provider", ci_provider="nobody"), 3, "has no 'nobody'"),
        (issuer(type="ci-provider"), 2, "needs a ci-provider"),
        (issuer(skip_email_verification="perhaps"), 5, "neither true nor false"),
        (metadata(san="{{ range . }}{{ end }}"), 4, "not supported"),
        (metadata(build_trigger="{{ .a | upper }}"), 4, "not supported"),
        (metadata(build_trigger='{{if eq .a "b"}}c'), 4, "without its end"),
        (metadata(san=None), 2, "should not be empty"),
        (metadata(san="  "), 4, "should not be empty"),
        ("oidc-issuers: [a]", 1, "no mapping"),
        ("oidc-issuers:\n  a: b", 2, "no mapping"),
        ("a: b\na: c", 2, "there twice"),
        ("a: &a\n  b: *a", 1, "deeper than 16"),
        ("a: [" + "[" * 20, 1, "deeper than 16"),
        ("a: !!python/object/apply:os.system [ls]", 1, "tag"),
        ("a: b\n--- \nc: d", 2, "second document"),
        ("a: 'b", 1, "no YAML"),
        ("a: \x01", 1, "no YAML"),
        ("\t- a: {", 1, "no YAML"),
        ('{"oidcissuers": {"https://a.example.com": {\n"Type": 5}}}', 2, "no text"),
    ],
)
def test_refused(text: str, line: int, reason: str) -> None:
    """What contradicts itself is refused with the file, the line and the reason."""
    with pytest.raises(SettingsError) as caught:
        read(text)

    assert caught.value.code == "SETTINGS_INVALID"
    assert str(caught.value).startswith(f"config.yaml, line {line}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        issuer(type="uri", subject_domain="https://ci.example.com"),
        issuer(type="uri", subject_domain="https://idp.example.com"),
        issuer(type="username", subject_domain="example.com"),
        issuer(type="spiffe", spiffe_trust_domain="example.com"),
        issuer(issuer_url="http://127.0.0.1:8080"),
        issuer(type="chainguard-identity"),
        *(
            issuer(type=name)
            for name in ("github-workflow", "gitlab-pipeline", "buildkite-job", "kubernetes")
        ),
        meta(),
        "",
        "define: [a]",
    ],
)
def test_accepted(text: str) -> None:
    """What upstream starts with, we start with."""
    Authenticator(read(text).issuers)


def test_key_beside_url() -> None:
    """A row that no token can match is said to be one; Google's without a scheme is not."""
    text = issuer().replace("  https://idp.example.com:", "  https://idp.example.com/:")
    assert "no token will ever be" in read(text).warnings[0]
    google = issuer(issuer_url="https://accounts.google.com").replace(
        "  https://accounts.google.com:", "  accounts.google.com:"
    )
    assert read(google).warnings == ()
    assert read(google).issuers[0].key == "accounts.google.com"


def test_too_large() -> None:
    """A file is bounded in size."""
    with pytest.raises(SettingsError, match="longer than"):
        read("#" * (MAX_FILE + 1))


@pytest.mark.slow
def test_too_many_values() -> None:
    """A file is bounded in values, written or by alias."""
    with pytest.raises(SettingsError, match=f"more than {MAX_NODES}"):
        read("a: [" + "1," * (2 * MAX_NODES) + "1]")
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SettingsError, match="with all aliases"):
        read("define:\n" + "\n".join("  " + line for line in lines))


def test_merge() -> None:
    """`<<` merges, and what stands beside it wins."""
    text = issuer().replace("  https://idp.example.com:", "  https://idp.example.com: &row")
    text += "  https://two.example.com:\n    <<: *row\n    issuer-url: https://two.example.com\n"
    assert [row.url for row in read(text).issuers] == [
        "https://idp.example.com",
        "https://two.example.com",
    ]


@pytest.mark.parametrize(
    ("pattern", "url", "is_match"),
    [
        (
            "https://oidc.eks.*.amazonaws.com/id/*",
            "https://oidc.eks.us-west-2.amazonaws.com/id/B0",
            1,
        ),
        ("https://*.example.com", "https://a.example.com", 1),
        ("https://*.example.com", "https://a_b-C9.example.com", 1),
        ("https://*.example.com", "https://a.b.example.com", 0),
        ("https://*.example.com", "https://.example.com", 0),
        ("https://*.example.com", "https://a/.example.com", 0),
        ("https://*.example.com", "https://a.example.com\n", 0),
        ("https://*.example.com", "https://a.example.com/", 0),
        ("https://*.example.com", "https://axexample.com", 0),
        ("https://*.example.com", "https://a.example.com.evil.org", 0),
        ("https://*.example.com", "https://evil.org/https://a.example.com", 0),
        ("https://*.example.com", "https://ä.example.com", 0),
        ("https://a.example.com/*/", "https://a.example.com/x", 0),
        ("https://a.example.com/*/", "https://a.example.com/x/", 1),
    ],
)
def test_cve_2026_22772_pattern(pattern: str, url: str, is_match: int) -> None:
    """A pattern matches a whole URL, and a star neither a dot nor a slash."""
    assert bool(compile_pattern(pattern).fullmatch(url)) == bool(is_match)


yaml_text = st.one_of(
    st.binary(max_size=300),
    st.text(alphabet="ab:-[]{}&*<>!|'\"#\n ,?%@\t01", max_size=120).map(str.encode),
)


@given(yaml_text)
def test_any_octets(content: bytes) -> None:
    """Any file is read, or refused with its name."""
    try:
        parse_config(content, "config.yaml")
    except SettingsError as error:
        assert str(error).startswith("config.yaml")  # noqa: PT017  either is right


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["oidc-issuers", "meta-issuers", "ci-issuer-metadata", "type", "OIDCIssuers"]
                )
                | st.text(max_size=5),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_shape(value: object) -> None:
    """Members of any shape, in YAML and in JSON, are read or refused."""
    for text in (yaml.safe_dump(value), json.dumps(value)):
        try:
            read(text)
        except SettingsError as error:
            assert str(error).startswith("config.yaml")  # noqa: PT017  either is right
