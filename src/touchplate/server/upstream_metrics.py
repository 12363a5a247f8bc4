"""Counters under the names that the upstream services have, for dashboards that know those.

They are made of our own counts when somebody reads them, so they cost a request nothing. Only what
is counted here in the same sense has such a name: docs/reference/metrics.md says which do not.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

NEW_CERTIFICATES: Final = "fulcio_new_certs"
DAYS_LEFT: Final = "timestamp_authority_certificate_valid_days_remaining"
GRPC_HANDLED: Final = "grpc_server_handled_total"

_HTTP: Final = re.compile(
    r'touchplate_http_requests_total\{method="([A-Z]+)",route="([^"]+)",status="([0-9]{3})"\}'
)
_V1: Final = ("/api/v1/log", "/api/v1/index/")
_V2: Final = ("/api/v2/log/", "/api/v2/checkpoint", "/api/v2/tile/", "/checkpoint", "/tile/")
_SIGNING: Final = ("/api/v1/signingCert", "/api/v2/signingCert")
# As upstream's description names the parameter, where it is another name than ours.
_PATHS: Final = {"/api/v1/log/entries/{uuid}": "/api/v1/log/entries/{entryUUID}"}


def name_grpc(service: str, method: str, code: str) -> str:
    """Give the name under which a gRPC call that ended is counted; `code` as Go writes it."""
    return (
        f'{GRPC_HANDLED}{{grpc_type="unary",grpc_service="{service}",grpc_method="{method}",'
        f'grpc_code="{code}"}}'
    )


def upstream_counters(own: Mapping[str, int]) -> dict[str, int]:
    """Give the counters that follow from our own, by name and labels."""
    found: Counter[str] = Counter({NEW_CERTIFICATES: 0})
    for name, count in own.items():
        request = _HTTP.fullmatch(name)
        if request is not None:
            _count_request(found, request[1], request[2], request[3], count)
        elif name.startswith(GRPC_HANDLED) and 'CreateSigningCertificate",grpc_code="OK"' in name:
            found[NEW_CERTIFICATES] += count
    return dict(found)


def _count_request(found: Counter[str], method: str, route: str, status: str, count: int) -> None:
    if route.startswith(_V1):
        path = _PATHS.get(route, route.rstrip("/"))
        found[f'rekor_qps_by_api{{path="{path}",method="{method}",code="{status}"}}'] += count
    elif route.startswith(_V2):
        labels = f'code="{status}",method="{method.lower()}"'
        found[f"rekor_v2_http_requests_total{{{labels}}}"] += count
    elif route.startswith("/api/v1/timestamp"):
        labels = f'code="{status}",path="{route}",method="{method}"'
        found[f"timestamp_authority_http_requests_total{{{labels}}}"] += count
    elif route in _SIGNING and method == "POST" and status in ("200", "201"):
        found[NEW_CERTIFICATES] += count


def upstream_gauges(expiries: Mapping[str, datetime], now: datetime) -> dict[str, float]:
    """Give the gauges that follow from when certificates end."""
    at = expiries.get("tsa")
    return {} if at is None else {DAYS_LEFT: (at - now).total_seconds() / 86_400}
