"""Go's templates, Go's URLs, and paths into claims."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import RefusedError
from touchplate.oidc.go_url import join_url, rewrite_url
from touchplate.oidc.json_path import parse_json_path
from touchplate.oidc.templates import (
    MAX_ACTIONS,
    MAX_RESULT,
    MAX_TEMPLATE,
    claims_as_text,
    parse_template,
)

DATA = {"a": "1", "b": "two", "empty": "", "x/y": "slash", "ref_type": "branch", "ref": "main"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a", "1"),
        ("x/y", "slash"),
        ("empty", ""),
        ("{{ .a }}", "1"),
        ("{{.a}}", "1"),
        ("{{\t.a\n}}", "1"),
        ("x{{ .a }}y{{ .b }}z", "x1ytwoz"),
        ("{{ .empty }}", ""),
        ('{{ index . "x/y" }}', "slash"),
        ('{{(index . "x/y")}}', "slash"),
        ('{{ ( index . "x/y" ) }}', "slash"),
        ('{{ index . "missing" }}', ""),
        ('{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}', "heads/main"),
        ('{{if eq .a "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}', "tags/main"),
        ('{{if eq .a "2"}}x{{end}}', ""),
        ('{{if eq (index . "x/y") "slash"}}yes{{ else }}""{{end}}', "yes"),
        ('{{if eq (index . "none") "true"}}yes{{ else }}""{{end}}', '""'),
        ('{{if eq .a "1"}}{{if eq .b "two"}}both{{end}}{{end}}', "both"),
        ('{{if eq .b "a \\"q\\" \\\\"}}x{{else}}y{{end}}', "y"),
        ("a  {{- .a -}}  b", "a1b"),
        ("a \n {{- .a }} b", "a1 b"),
        ("a \n {{- .a -}} \t b", "a1b"),
        ("a  {{ .a -}}  b", "a  1b"),
        ("}} {{ .a }} }", "}} 1 }"),
        ("{{ .a }}{{ .a }}", "11"),
    ],
)
def test_evaluation(template: str, expected: str) -> None:
    """A template gives what Go's text/template gives."""
    assert parse_template(template).evaluate(DATA) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{{ .a",
        "{{ . }}",
        "{{ .a.b }}",
        "{{ .1a }}",
        "{{ a }}",
        "{{}}",
        "{{-.a}}",
        "{{ .a-}}",
        "{{ $x }}",
        "{{ .a | printf }}",
        "{{ printf .a }}",
        "{{ range .a }}{{ end }}",
        "{{ with .a }}{{ end }}",
        '{{ template "x" }}',
        "{{/* comment */}}",
        "{{ index . `a` }}",
        '{{ index . "a" "b" }}',
        '{{ index . "\\n" }}',
        "{{ if .a }}x{{ end }}",
        '{{ if eq "a" .a }}x{{ end }}',
        '{{ if ne .a "b" }}x{{ end }}',
        '{{ if eq .a "b" }}x',
        '{{ if eq .a "b" }}x{{ else }}',
        '{{ if eq .a "b" }}x{{ else }}y{{ else }}z{{ end }}',
        '{{ if eq .a "b" }}x{{ else if eq .a "c" }}y{{ end }}',
        "{{ end }}",
        "{{ else }}",
        "{{ .a }}" * (MAX_ACTIONS + 1),
        "x" * (MAX_TEMPLATE + 1),
        '{{if eq .a "1"}}' * 10 + "{{end}}" * 10,
    ],
)
def test_unsupported(template: str) -> None:
    """What is not evaluated as Go does it is refused when the file is read."""
    with pytest.raises(ValueError, match=r"."):
        parse_template(template)


@pytest.mark.parametrize("template", ["missing", "{{ .missing }}", '{{if eq .missing "a"}}{{end}}'])
def test_missing_claim(template: str) -> None:
    """A claim that is neither there nor a default refuses the token."""
    with pytest.raises(RefusedError, match="missing"):
        parse_template(template).evaluate(DATA)


def test_value_is_no_template() -> None:
    """A claim that looks like a template is text; nothing is evaluated twice."""
    assert parse_template("{{ .a }}").evaluate({"a": "{{ .b }}", "b": "2"}) == "{{ .b }}"


def test_long_result() -> None:
    """What comes out is bounded."""
    with pytest.raises(RefusedError):
        parse_template("{{ .a }}{{ .a }}").evaluate({"a": "x" * MAX_RESULT})


@given(st.text(alphabet='{}.-ab "()ifeqndlsx\\\n/', max_size=60))
def test_any_template(text: str) -> None:
    """Any text is a template or refused; one that is read gives a text or misses a claim."""
    try:
        template = parse_template(text)
    except ValueError:
        return
    try:
        assert isinstance(template.evaluate(DATA), str)
    except RefusedError as error:
        assert error.code == "TOKEN_REFUSED"  # noqa: PT017  either is right


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ('"text"', "text"),
        ('""', ""),
        ("1001", "1001"),
        ("1e3", "1000"),
        ("1000.0", "1000"),
        ("-5", "-5"),
        ("0.25", "0.25"),
        ("1e-7", "0.0000001"),
        ("1e21", "1000000000000000000000"),
        ("12345678901234567890", "12345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ("null", "<nil>"),
        ("[]", "[]"),
        ('["a", "b"]', "[a b]"),
        ("[1, 2.5, null, true]", "[1 2.5 <nil> true]"),
        ('{"b": 1, "a": ["x"]}', "map[a:[x] b:1]"),
        ("{}", "map[]"),
        ("[1e21]", "[1e+21]"),
        ("[1e20]", "[100000000000000000000]"),
    ],
)
def test_claims_as_text(claim: str, expected: str) -> None:
    """Claims are written as Go writes them; a number never has an exponent."""
    assert claims_as_text({"x": json.loads(claim)}) == {"x": expected}


def test_number_out_of_range() -> None:
    """A number that Go cannot read refuses the token."""
    with pytest.raises(RefusedError):
        claims_as_text(json.loads('{"x": 1e999}'))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b/.github/workflows/c.yml@refs/heads/main", None),
        ("https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main", None),
        ("HTTPS://GitHub.com/A", "https://GitHub.com/A"),
        ("https://a.example.com/x y", "https://a.example.com/x%20y"),
        ("https://a.example.com/ü", "https://a.example.com/%C3%BC"),
        ('https://a.example.com/"<>`', "https://a.example.com/%22%3C%3E%60"),
        ("https://a.example.com/%2f%2F", None),
        ("https://a.example.com/%41 ", "https://a.example.com/A%20"),
        ("https://a.example.com/@:/+,;=&$!'()*~", None),
        ("https://a.example.com/[x]", None),
        ("https://a.example.com/{x}|^\\", "https://a.example.com/%7Bx%7D%7C%5E%5C"),
        ("https://a.example.com/a?b=c d#e", None),
        ("https://a.example.com/x#job id", "https://a.example.com/x#job%20id"),
        ("https://a.example.com/builds/7#0190-a", None),
        ("https://a.example.com/?", None),
        ("https://a.example.com/#", "https://a.example.com/"),
        ("https://a.example.com:8443/x", None),
        ("https://a.example.com:/x", None),
        ("https://[::1]:80/x", None),
        ("https://ü.example.com/", "https://%C3%BC.example.com/"),
        ("https://a.example.com", None),
        ("urn:example:a b", None),
    ],
)
def test_rewrite(url: str, expected: str | None) -> None:
    """A URL is written as Go's Parse and String do; None: unchanged."""
    assert rewrite_url(url) == (expected or url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a/b",
        "//a.example.com",
        ":x",
        "1http://x",
        "https://a b/x",
        "https://a%41.example.com/",
        "https://a.example.com/%zz",
        "https://a.example.com/%4",
        "https://a.example.com/#%",
        "https://a.example.com/\n",
        "https://a.example.com/\x7f",
        "https://a.example.com:x/",
        "https://github.com@evil.example/",
        "https:///x",
        "https://",
        "https://a[b/",
        "https://a\\b/",
        "https://a.example.com/" + "x" * 2048,
    ],
)
def test_rewrite_refused(url: str) -> None:
    """What Go does not read, or is no absolute URL, is refused."""
    with pytest.raises(RefusedError):
        rewrite_url(url)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b@refs/heads/x", "https://h.example/a/b@refs/heads/x"),
        ("/a//b", "https://h.example/a/b"),
        ("a/../../b", "https://h.example/b"),
        ("a/./b/", "https://h.example/a/b/"),
        ("a#b?c d", "https://h.example/a%23b%3Fc%20d"),
        ("", "https://h.example"),
        ("/", "https://h.example/"),
    ],
)
def test_join(path: str, expected: str) -> None:
    """A path that is joined loses `//` and `..`, and cannot begin a query or fragment."""
    assert join_url("https://h.example", path) == expected


def test_join_below_a_path() -> None:
    """The base's own path stays."""
    assert join_url("https://h.example/a/", "b") == "https://h.example/a/b"


@given(st.text(max_size=60))
def test_any_url(text: str) -> None:
    """What is written is ASCII but for a query or an opaque part, and written the same again."""
    try:
        found = rewrite_url("https://h.example/" + text)
    except RefusedError:
        return
    assert rewrite_url(found) == found
    assert found.startswith("https://h.example/")
    assert found.partition("?")[0].isascii()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.a.b", "c"),
        ("$['a']['b']", "c"),
        ('$["a"].b', "c"),
        ("$.list[1]", "y"),
        ("$.list[1][0]", None),
        ("$.a", None),
        ("$.none", None),
        ("$.list[7]", None),
        ("$.list.a", None),
        ("$.empty", None),
        ("$.number", None),
    ],
)
def test_json_path(path: str, expected: str | None) -> None:
    """A path leads to a text that is not empty, or the token is refused."""
    claims: Any = {"a": {"b": "c"}, "list": ["x", "y"], "empty": "", "number": 5}
    if expected is None:
        with pytest.raises(RefusedError):
            parse_json_path(path).find(claims)
    else:
        assert parse_json_path(path).find(claims) == expected


@pytest.mark.parametrize(
    "path", ["", "$", "a", "$..a", "$.*", "$[*]", "$.a[?(@.b)]", "$.a[0:1]", "$" + ".a" * 17]
)
def test_json_path_refused(path: str) -> None:
    """A path that may lead to several values is refused when the file is read."""
    with pytest.raises(ValueError, match=r"."):
        parse_json_path(path)
