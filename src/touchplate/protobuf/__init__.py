"""The messages of Sigstore's gRPC APIs.

One `.proto` file for each published package, with its names and field numbers and our own
comments; `tools/protobuf.sh` makes the `_pb2` modules from them, and a test holds the two together.
Only the roles' `grpc` modules import them, and those are loaded only when the server is to speak
gRPC.

- `google_api`: an HTTP body, the answer of calls that give files
- `intoto`: a signed envelope (DSSE)
- `sigstore_fulcio_v2`, `sigstore_fulcio_v1beta`: both versions of the certificate authority
- `sigstore_common`: keys, hashes, log ids
- `sigstore_rekor_v1`: an entry with its proof
- `sigstore_rekor_v2`: the second API of the transparency log
"""
