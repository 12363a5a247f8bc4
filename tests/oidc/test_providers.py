"""Every provider and type of identity: the exact name and extensions of its claims."""

from pathlib import Path
from typing import Any

import pytest

from touchplate.errors import RefusedError
from touchplate.oidc.config import parse_config
from touchplate.oidc.identity import IDENTITY_TYPES, Identity, SubjectName, TypeSettings
from touchplate.oidc.json_path import parse_json_path
from touchplate.oidc.providers import EXTENSION_TEMPLATES
from touchplate.oidc.tokens import Claims

PUBLIC = Path(__file__).parents[2] / "docs/reference/formats/public-issuers.yaml"
ISSUERS = {row.url: row for row in parse_config(PUBLIC.read_bytes(), "public").issuers}

GITHUB = {
    "sub": "repo:acme/widget:ref:refs/heads/main",
    "repository": "acme/widget",
    "repository_owner": "acme",
    "repository_id": "1001",
    "repository_owner_id": "77",
    "ref": "refs/heads/main",
    "sha": "aa11",
    "workflow": "release",
    "workflow_ref": "acme/widget/.github/workflows/release.yml@refs/heads/main",
    "workflow_sha": "aa12",
    "job_workflow_ref": "acme/shared/.github/workflows/build.yml@refs/tags/v2",
    "job_workflow_sha": "bb22",
    "event_name": "push",
    "runner_environment": "github-hosted",
    "repository_visibility": "public",
    "run_id": "55",
    "run_attempt": "1",
}
GITHUB_SAN = "https://github.com/acme/shared/.github/workflows/build.yml@refs/tags/v2"
GITHUB_EXTENSIONS = {
    2: "push",
    3: "aa11",
    4: "release",
    5: "acme/widget",
    6: "refs/heads/main",
    9: GITHUB_SAN,
    10: "bb22",
    11: "github-hosted",
    12: "https://github.com/acme/widget",
    13: "aa11",
    14: "refs/heads/main",
    15: "1001",
    16: "https://github.com/acme",
    17: "77",
    18: "https://github.com/acme/widget/.github/workflows/release.yml@refs/heads/main",
    19: "aa12",
    20: "push",
    21: "https://github.com/acme/widget/actions/runs/55/attempts/1",
    22: "public",
}
GITLAB = {
    "sub": "project_path:acme/widget:ref_type:branch:ref:main",
    "project_path": "acme/widget",
    "project_id": "8",
    "namespace_path": "acme",
    "namespace_id": "7",
    "pipeline_source": "push",
    "pipeline_id": "99",
    "ci_config_ref_uri": "gitlab.com/acme/widget//.gitlab-ci.yml@refs/heads/main",
    "ci_config_sha": "cc33",
    "job_id": "302",
    "ref": "main",
    "ref_type": "branch",
    "sha": "aa11",
    "runner_environment": "gitlab-hosted",
    "project_visibility": "private",
    "environment": "production",
}
GITLAB_SAN = "https://gitlab.com/acme/widget//.gitlab-ci.yml@refs/heads/main"
GITLAB_EXTENSIONS = {
    9: GITLAB_SAN,
    10: "cc33",
    11: "gitlab-hosted",
    12: "https://gitlab.com/acme/widget",
    13: "aa11",
    14: "refs/heads/main",
    15: "8",
    16: "https://gitlab.com/acme",
    17: "7",
    18: GITLAB_SAN,
    19: "cc33",
    20: "push",
    21: "https://gitlab.com/acme/widget/-/jobs/302",
    22: "private",
    23: "production",
}
BUILDKITE = {
    "sub": "organization:acme:pipeline:ship",
    "organization_slug": "acme",
    "pipeline_slug": "ship",
    "build_number": 17,
    "job_id": "0190-abc",
    "build_commit": "aa11",
    "build_source": "webhook",
    "runner_environment": "self-hosted",
}
CODEFRESH = {
    "sub": "account:628a:pipeline:65e5",
    "account_id": "628a",
    "account_name": "acme",
    "pipeline_id": "65e5",
    "pipeline_name": "widget/ship",
    "workflow_id": "64f4",
    "scm_repo_url": "https://github.com/acme/widget",
    "scm_ref": "main",
    "runner_environment": "hybrid",
}
CODEFRESH_SAN = "https://g.codefresh.io/acme/widget/ship:628a/65e5"
CODEFRESH_EXTENSIONS = {
    9: "https://g.codefresh.io/build/64f4",
    11: "hybrid",
    12: "https://github.com/acme/widget",
    14: "main",
    18: "https://g.codefresh.io/api/pipelines/65e5",
    21: "https://g.codefresh.io/build/64f4",
}
CIRCLECI = {
    "sub": "org/1/project/2/user/3",
    **{
        f"oidc.circleci.com/{name}": value
        for name, value in {
            "pipeline-id": "P1",
            "project-id": "P2",
            "pipeline-definition-id": "P3",
            "workflow-id": "W1",
            "job-id": "J1",
            "vcs-ref": "refs/heads/main",
            "vcs-origin": "github.com/acme/widget",
            "ssh-rerun": False,
        }.items()
    },
}
CIRCLECI_SAN = "https://circleci.com/api/v2/projects/P2/pipeline-definitions/P3"
BUDDY = {
    "sub": "x",
    "workspace_domain": "acme",
    "project_name": "widget",
    "pipeline_id": 12,
    "execution_id": "e5",
    "runner_environment": "buddy",
    "revision": "aa11",
    "ref": "refs/heads/main",
    "triggered_on": "PUSH",
}
BUDDY_SAN = "https://app.buddy.works/acme/widget/pipelines/pipeline/12"

PROVIDERS: dict[str, tuple[str, dict[str, Any], str, dict[int, str]]] = {
    "github": (
        "https://token.actions.githubusercontent.com",
        GITHUB,
        GITHUB_SAN,
        GITHUB_EXTENSIONS,
    ),
    "github with an environment": (
        "https://token.actions.githubusercontent.com",
        {**GITHUB, "environment": "prod"},
        GITHUB_SAN,
        {**GITHUB_EXTENSIONS, 23: "prod"},
    ),
    "github, numbers": (
        "https://token.actions.githubusercontent.com",
        {**GITHUB, "repository_id": 1001, "run_id": 5.5e1},
        GITHUB_SAN,
        GITHUB_EXTENSIONS,
    ),
    "github enterprise": (
        "https://token.actions.githubusercontent.com/*",
        {**GITHUB, "repository_visibility": "internal"},
        GITHUB_SAN,
        {**GITHUB_EXTENSIONS, 22: "internal"},
    ),
    "gitlab": ("https://gitlab.com", GITLAB, GITLAB_SAN, GITLAB_EXTENSIONS),
    "gitlab, tag": (
        "https://gitlab.com",
        {**GITLAB, "ref_type": "tag", "ref": "v1"},
        GITLAB_SAN,
        {**GITLAB_EXTENSIONS, 14: "refs/tags/v1"},
    ),
    "gitlab, configuration elsewhere": (
        "https://gitlab.com",
        {**GITLAB, "ci_config_sha": None},
        GITLAB_SAN,
        {**GITLAB_EXTENSIONS, 10: "<nil>", 19: "<nil>"},
    ),
    "buildkite": (
        "https://agent.buildkite.com",
        BUILDKITE,
        "https://buildkite.com/acme/ship",
        {
            11: "self-hosted",
            13: "aa11",
            20: "webhook",
            21: "https://buildkite.com/acme/ship/builds/17#0190-abc",
        },
    ),
    "codefresh": ("https://oidc.codefresh.io", CODEFRESH, CODEFRESH_SAN, CODEFRESH_EXTENSIONS),
    "codefresh, without a repository": (
        "https://oidc.codefresh.io",
        {k: v for k, v in CODEFRESH.items() if not k.startswith(("scm", "runner"))},
        CODEFRESH_SAN,
        {n: v for n, v in CODEFRESH_EXTENSIONS.items() if n not in (11, 12, 14)},
    ),
    "circleci": (
        "https://oidc.circleci.com",
        CIRCLECI,
        CIRCLECI_SAN,
        {
            9: CIRCLECI_SAN,
            11: '""',
            12: "github.com/acme/widget",
            14: "refs/heads/main",
            18: "https://circleci.com/api/v2/pipeline/P1/config",
            21: "https://app.circleci.com//workflow/W1/job/J1",
        },
    ),
    "circleci, by ssh, without a repository": (
        "https://oidc.circleci.com/org/*",
        {
            **{k: v for k, v in CIRCLECI.items() if "vcs" not in k},
            "oidc.circleci.com/ssh-rerun": True,
        },
        CIRCLECI_SAN,
        {
            9: CIRCLECI_SAN,
            11: "ssh-rerun",
            18: "https://circleci.com/api/v2/pipeline/P1/config",
            21: "https://app.circleci.com//workflow/W1/job/J1",
        },
    ),
    "buddy": (
        "https://oidc.buddyusercontent.com",
        BUDDY,
        BUDDY_SAN,
        {
            9: BUDDY_SAN,
            11: "buddy",
            12: "https://app.buddy.works/acme/widget",
            13: "aa11",
            14: "refs/heads/main",
            16: "https://app.buddy.works/acme",
            20: "PUSH",
            21: f"{BUDDY_SAN}/execution/e5",
        },
    ),
}


def identify(kind: str, settings: TypeSettings, values: dict[str, Any], issuer: str) -> Identity:
    """Give the identity of claims."""
    return IDENTITY_TYPES[kind].identify(Claims(issuer, values["sub"], values), settings)


@pytest.mark.parametrize("name", PROVIDERS)
def test_provider(name: str) -> None:
    """A build's certificate has exactly this name and these extensions, as upstream's."""
    url, values, san, extensions = PROVIDERS[name]
    identity = identify("ci-provider", ISSUERS[url].type_settings, values, url)

    assert identity.san == SubjectName("uri", san)
    assert dict(identity.extensions) == extensions
    assert identity.issuer == url
    assert identity.subject == identity.challenge == values["sub"]


def test_every_provider_has_a_case() -> None:
    """No provider of the public table is left out."""
    providers = {row.provider for row in ISSUERS.values() if row.provider}
    assert {ISSUERS[url].provider for url, *_ in PROVIDERS.values()} == providers


@pytest.mark.parametrize("claim", sorted(set(GITHUB) - {"sub"}))
def test_claim_missing(claim: str) -> None:
    """A claim that a template needs and has no default refuses the token, in both forms."""
    values = {name: value for name, value in GITHUB.items() if name != claim}
    row = ISSUERS["https://token.actions.githubusercontent.com"]
    for kind in ("ci-provider", "github-workflow"):
        with pytest.raises(RefusedError, match=claim):
            identify(kind, row.type_settings, values, row.url)


LEGACY: dict[str, tuple[str, dict[str, Any], str, dict[int, str]]] = {
    "github": ("github-workflow", GITHUB, GITHUB_SAN, GITHUB_EXTENSIONS),
    "github, environment is not written": (
        "github-workflow",
        {**GITHUB, "environment": "prod"},
        GITHUB_SAN,
        GITHUB_EXTENSIONS,
    ),
    "github, a path that climbs": (
        "github-workflow",
        {**GITHUB, "job_workflow_ref": "acme//x/../shared/build.yml@refs/tags/a#b"},
        "https://github.com/acme/shared/build.yml@refs/tags/a%23b",
        {**GITHUB_EXTENSIONS, 9: "https://github.com/acme/shared/build.yml@refs/tags/a%23b"},
    ),
    "gitlab": (
        "gitlab-pipeline",
        {**GITLAB, "runner_id": 5},
        GITLAB_SAN,
        {n: v for n, v in GITLAB_EXTENSIONS.items() if n != 23},
    ),
    "buildkite": ("buildkite-job", BUILDKITE, "https://buildkite.com/acme/ship", {}),
    "codefresh": ("codefresh-workflow", CODEFRESH, CODEFRESH_SAN, CODEFRESH_EXTENSIONS),
    "codefresh, own platform": (
        "codefresh-workflow",
        {**CODEFRESH, "platform_url": "https://cf.example.com"},
        CODEFRESH_SAN.replace("g.codefresh.io", "cf.example.com"),
        {n: v.replace("g.codefresh.io", "cf.example.com") for n, v in CODEFRESH_EXTENSIONS.items()},
    ),
}


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_type(name: str) -> None:
    """The types from before templates give what they gave."""
    kind, values, san, extensions = LEGACY[name]
    identity = identify(kind, TypeSettings(), values, "https://i.example")

    assert identity.san == SubjectName("uri", san)
    assert dict(identity.extensions) == extensions
    assert identity.challenge == values["sub"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("github-workflow", {**GITHUB, "run_id": 55}),
        ("github-workflow", {**GITHUB, "sha": ""}),
        ("gitlab-pipeline", {**GITLAB, "runner_id": 0}),
        ("gitlab-pipeline", {**GITLAB, "runner_id": "5"}),
        ("gitlab-pipeline", {**GITLAB, "runner_id": True}),
        ("gitlab-pipeline", GITLAB),
        ("gitlab-pipeline", {**GITLAB, "runner_id": 5, "ref_type": "merge"}),
        ("buildkite-job", {**BUILDKITE, "pipeline_slug": ""}),
        ("codefresh-workflow", {**CODEFRESH, "workflow_id": None}),
        ("codefresh-workflow", {**CODEFRESH, "platform_url": "no url"}),
    ],
)
def test_legacy_refused(kind: str, values: dict[str, Any]) -> None:
    """The types from before templates ask for texts, and for all of them."""
    with pytest.raises(RefusedError):
        identify(kind, TypeSettings(), values, "https://i.example")


MAIL = {"sub": "u1", "email": "dev@example.com", "email_verified": True}
ACCOUNT = {
    "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "builder", "uid": "x"}}
}
DEX = TypeSettings(issuer_claim=parse_json_path("$.federated_claims.connector_id"))

TYPES: dict[str, tuple[str, TypeSettings, dict[str, Any], str, str, str]] = {
    "email": ("email", TypeSettings(), MAIL, "dev@example.com", "dev@example.com", "I"),
    "email, federated": (
        "email",
        DEX,
        {**MAIL, "federated_claims": {"connector_id": "https://github.com/login/oauth"}},
        "dev@example.com",
        "dev@example.com",
        "https://github.com/login/oauth",
    ),
    "username": (
        "username",
        TypeSettings("example.com"),
        {"sub": "alice"},
        "alice!example.com",
        "alice",
        "I",
    ),
    "uri": (
        "uri",
        TypeSettings("https://ci.example.com"),
        {"sub": "https://ci.example.com:8443/a/b"},
        "https://ci.example.com:8443/a/b",
        "https://ci.example.com:8443/a/b",
        "I",
    ),
    "spiffe": (
        "spiffe",
        TypeSettings(spiffe_trust_domain="example.com"),
        {"sub": "spiffe://example.com/a/B_1"},
        "spiffe://example.com/a/B_1",
        "spiffe://example.com/a/B_1",
        "I",
    ),
    "kubernetes": (
        "kubernetes",
        TypeSettings(),
        {"sub": "system:serviceaccount:prod:builder", **ACCOUNT},
        "https://kubernetes.io/namespaces/prod/serviceaccounts/builder",
        "system:serviceaccount:prod:builder",
        "I",
    ),
    "chainguard": ("chainguard-identity", TypeSettings(), {"sub": "a/b"}, "I/a/b", "a/b", "I"),
    "chainguard, person": (
        "chainguard-identity",
        TypeSettings(),
        {**MAIL, "sub": "a"},
        "I/a",
        "dev@example.com",
        "I",
    ),
}


@pytest.mark.parametrize("name", TYPES)
def test_type(name: str) -> None:
    """Name, challenge and issuer are those of the type."""
    kind, settings, values, san, challenge, issuer = TYPES[name]
    own = "https://idp.example.com"
    identity = identify(kind, settings, values, own)

    assert identity.san.value == san.replace("I/", own + "/")
    assert identity.challenge == challenge
    assert identity.issuer == (own if issuer == "I" else issuer)
    assert identity.subject == values["sub"]
    assert identity.extensions == ()


@pytest.mark.parametrize(
    ("kind", "settings", "values"),
    [
        ("email", DEX, MAIL),
        ("email", DEX, {**MAIL, "federated_claims": {"connector_id": ""}}),
        ("email", TypeSettings(), {**MAIL, "email_verified": None}),
        ("email", TypeSettings(skip_email_verification=True), {**MAIL, "email_verified": 1}),
        ("email", TypeSettings(skip_email_verification=True), {**MAIL, "email_verified": "TRUE"}),
        ("username", TypeSettings("example.com"), {"sub": "a!b"}),
        ("username", TypeSettings("example.com"), {"sub": "a@example.com"}),
        ("username", TypeSettings("example.com"), {"sub": "a\n"}),
        ("spiffe", TypeSettings(spiffe_trust_domain="example.com"), {"sub": "spiffe://other/a"}),
        *(
            ("spiffe", TypeSettings(spiffe_trust_domain="example.com"), {"sub": sub})
            for sub in (
                "spiffe://example.com.evil/a",
                "spiffe://example.com/",
                "spiffe://example.com/a//b",
                "spiffe://example.com/a/../b",
                "spiffe://example.com/a%20b",
                "spiffe://example.com/a?b",
                "spiffe://example.com:1/a",
                "SPIFFE://example.com/a",
                "https://example.com/a",
                "spiffe://example.com/" + "a" * 2048,
            )
        ),
        ("spiffe", TypeSettings(), {"sub": "spiffe:///a"}),
        ("kubernetes", TypeSettings(), {"sub": "x"}),
        ("kubernetes", TypeSettings(), {"sub": "x", "kubernetes.io": []}),
        ("kubernetes", TypeSettings(), {"sub": "x", "kubernetes.io": {"namespace": "a"}}),
        *(
            (
                "kubernetes",
                TypeSettings(),
                {"sub": "x", "kubernetes.io": {"namespace": ns, "serviceaccount": {"name": sa}}},
            )
            for ns, sa in (("", "a"), ("a", ""), ("a/b", "c"), ("a", "../b"), ("A", "b"), (1, "b"))
        ),
        ("chainguard-identity", TypeSettings(), {**MAIL, "email_verified": False}),
        ("chainguard-identity", TypeSettings(), {**MAIL, "email": 5}),
    ],
)
def test_type_refused(kind: str, settings: TypeSettings, values: dict[str, Any]) -> None:
    """What a type does not allow is refused, and not made to fit."""
    with pytest.raises(RefusedError):
        identify(kind, settings, values, "https://idp.example.com")


def test_every_type_has_a_case() -> None:
    """No type of identity is left out."""
    tested = {kind for kind, *_ in (*TYPES.values(), *LEGACY.values())} | {"ci-provider"}
    assert set(IDENTITY_TYPES) == tested


def test_template_names() -> None:
    """Each extension from a template has one name; the issuer's and subject's have none."""
    assert sorted(EXTENSION_TEMPLATES.values()) == [*range(2, 7), *range(9, 24)]
