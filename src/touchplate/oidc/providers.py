"""Providers of continuous integration: what their tokens say of a build, as templates.

`Provider` is one row of `ci-issuer-metadata`. `LEGACY` are the types that upstream had before there
were templates: fixed claims, and paths that are joined, which collapses `//` and `..`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from touchplate.errors import RefusedError
from touchplate.oidc.go_url import join_url, rewrite_url
from touchplate.oidc.templates import Template, claims_as_text, parse_template

# Name of a template in the file: number of the extension. .1, .8 and .24 are never a template's.
EXTENSION_TEMPLATES: Final[Mapping[str, int]] = {
    "github-workflow-trigger": 2,
    "github-workflow-sha": 3,
    "github-workflow-name": 4,
    "github-workflow-repository": 5,
    "github-workflow-ref": 6,
    "build-signer-uri": 9,
    "build-signer-digest": 10,
    "runner-environment": 11,
    "source-repository-uri": 12,
    "source-repository-digest": 13,
    "source-repository-ref": 14,
    "source-repository-identifier": 15,
    "source-repository-owner-uri": 16,
    "source-repository-owner-identifier": 17,
    "build-config-uri": 18,
    "build-config-digest": 19,
    "build-trigger": 20,
    "run-invocation-uri": 21,
    "source-repository-visibility-at-signing": 22,
    "deployment-environment": 23,
}

Extensions = tuple[tuple[int, str], ...]


class CertificateOf(Protocol):
    """Makes the SAN (a URI) and the extensions of claims (TOKEN_REFUSED)."""

    def describe(self, claims: Mapping[str, Any]) -> tuple[str, Extensions]:
        """Give the SAN, and the extensions by number; those with an empty value are left out."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What the certificate of a build says, from templates over claims and defaults."""

    name: Template
    extensions: tuple[tuple[int, Template], ...] = ()
    # Claims win, also empty ones.
    defaults: tuple[tuple[str, str], ...] = ()

    def describe(self, claims: Mapping[str, Any]) -> tuple[str, Extensions]:
        """Give the SAN, written as Go writes URLs, and the extensions, which are not rewritten."""
        data = dict(self.defaults) | claims_as_text(claims)
        name = rewrite_url(self.name.evaluate(data))
        return name, _filled((number, each.evaluate(data)) for number, each in self.extensions)


@dataclass(frozen=True, slots=True)
class _Joined:
    """A URL below the claim or constant `base`."""

    path: Template
    base: str

    def evaluate(self, data: Mapping[str, str]) -> str:
        return join_url(
            self.base if ":" in self.base else data[self.base], self.path.evaluate(data)
        )


@dataclass(frozen=True, slots=True)
class LegacyProvider:
    """A type with fixed claims: each of `required` is a text that is not empty."""

    required: tuple[str, ...]
    name: "Template | _Joined"
    extensions: "tuple[tuple[int, Template | _Joined], ...]" = ()
    # Texts too, where they are there; taken when a claim is not there or empty.
    optional: tuple[tuple[str, str], ...] = ()
    # Claims that are integers, and not zero.
    integers: tuple[str, ...] = ()
    # Values that one claim may have.
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def describe(self, claims: Mapping[str, Any]) -> tuple[str, Extensions]:
        """Give the SAN and the extensions (TOKEN_REFUSED)."""
        data = {name: _text(claims, name) or default for name, default in self.optional}
        for name in self.required:
            data[name] = _text(claims, name)
            if not data[name]:
                raise _refused(f"it has no claim {name}")
        for name in self.integers:
            value = claims.get(name)
            if isinstance(value, bool) or not isinstance(value, int) or value == 0:
                raise _refused(f"the claim {name} is no number above zero")
        for name, allowed in self.values:
            if data[name] not in allowed:
                raise _refused(f"the claim {name} is none of {', '.join(allowed)}")
        name_found = rewrite_url(self.name.evaluate(data))
        return name_found, _filled(
            (number, each.evaluate(data)) for number, each in self.extensions
        )


def _filled(extensions: Any) -> Extensions:  # noqa: ANN401  pairs
    return tuple((number, value) for number, value in extensions if value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused(f"the claim {name} is no text")
    return value


def _refused(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: {reason}")


def _legacy(rows: Mapping[int, str], base: str = "") -> Any:  # noqa: ANN401  see below
    """Read rows; one that begins with a slash is a path below `base`."""
    return tuple((number, _legacy_one(text, base)) for number, text in rows.items())


def _legacy_one(text: str, base: str) -> Template | _Joined:
    if text.startswith("/"):
        return _Joined(parse_template(text), base)
    return parse_template(text)


_GITHUB: Final = "https://github.com"
_GITLAB: Final = "https://gitlab.com"
_BUILDKITE: Final = "https://buildkite.com"

# Deprecated types of upstream's files; a new provider is a row of `ci-issuer-metadata`.
LEGACY: Final[Mapping[str, LegacyProvider]] = {
    "github-workflow": LegacyProvider(
        required=(
            *("job_workflow_ref", "sha", "event_name", "repository", "workflow", "ref"),
            *("job_workflow_sha", "runner_environment", "repository_id", "repository_owner"),
            *("repository_owner_id", "repository_visibility", "workflow_ref", "workflow_sha"),
            *("run_id", "run_attempt"),
        ),
        name=_legacy_one("/{{ .job_workflow_ref }}", _GITHUB),
        extensions=_legacy(
            {
                2: "event_name",
                3: "sha",
                4: "workflow",
                5: "repository",
                6: "ref",
                9: "/{{ .job_workflow_ref }}",
                10: "job_workflow_sha",
                11: "runner_environment",
                12: "/{{ .repository }}",
                13: "sha",
                14: "ref",
                15: "repository_id",
                16: "/{{ .repository_owner }}",
                17: "repository_owner_id",
                18: "/{{ .workflow_ref }}",
                19: "workflow_sha",
                20: "event_name",
                21: "/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
                22: "repository_visibility",
            },
            _GITHUB,
        ),
    ),
    "gitlab-pipeline": LegacyProvider(
        required=(
            *("project_path", "pipeline_source", "pipeline_id", "ci_config_ref_uri", "job_id"),
            *("ref", "ref_type", "namespace_path", "namespace_id", "project_id", "sha"),
            "runner_environment",
        ),
        optional=(("ci_config_sha", ""), ("project_visibility", "")),
        integers=("runner_id",),
        values=(("ref_type", ("branch", "tag")),),
        name=parse_template("https://{{ .ci_config_ref_uri }}"),
        extensions=_legacy(
            {
                9: "https://{{ .ci_config_ref_uri }}",
                10: "ci_config_sha",
                11: "runner_environment",
                12: "/{{ .project_path }}",
                13: "sha",
                14: 'refs/{{if eq .ref_type "branch"}}heads/{{else}}tags/{{end}}{{ .ref }}',
                15: "project_id",
                16: "/{{ .namespace_path }}",
                17: "namespace_id",
                18: "https://{{ .ci_config_ref_uri }}",
                19: "ci_config_sha",
                20: "pipeline_source",
                21: "/{{ .project_path }}/-/jobs/{{ .job_id }}",
                22: "project_visibility",
            },
            _GITLAB,
        ),
    ),
    "buildkite-job": LegacyProvider(
        required=("organization_slug", "pipeline_slug"),
        name=_legacy_one("/{{ .organization_slug }}/{{ .pipeline_slug }}", _BUILDKITE),
    ),
    "codefresh-workflow": LegacyProvider(
        required=("account_id", "pipeline_id", "workflow_id"),
        optional=(
            *(("account_name", ""), ("pipeline_name", ""), ("runner_environment", "")),
            *(("scm_repo_url", ""), ("scm_ref", ""), ("platform_url", "https://g.codefresh.io")),
        ),
        name=_legacy_one(
            "/{{ .account_name }}/{{ .pipeline_name }}:{{ .account_id }}/{{ .pipeline_id }}",
            "platform_url",
        ),
        extensions=_legacy(
            {
                9: "/build/{{ .workflow_id }}",
                11: "runner_environment",
                12: "scm_repo_url",
                14: "scm_ref",
                18: "/api/pipelines/{{ .pipeline_id }}",
                21: "/build/{{ .workflow_id }}",
            },
            "platform_url",
        ),
    ),
}
