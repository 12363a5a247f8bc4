"""What commands that speak to other machines share."""

from argparse import ArgumentParser, Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from touchplate.transport.http import HttpTransport, Retrying


def add_http(parser: ArgumentParser) -> None:
    """Add the way to speak without TLS to other machines, which is refused otherwise."""
    parser.add_argument(
        "--allow-http", action="store_true", help="allow http:// to other machines than this one"
    )


def open_transport(arguments: Namespace) -> "HttpTransport":
    """Give the transport that the arguments allow; each request is made once."""
    from touchplate.transport.http import HttpTransport, TransportSettings

    return HttpTransport(TransportSettings(allow_http=arguments.allow_http))


def open_retrying(arguments: Namespace) -> "Retrying":
    """Give the transport that the arguments allow; requests that only read are tried again."""
    from touchplate.transport.http import Retrying

    return Retrying(open_transport(arguments))
