"""Makes the corpus of hostile input again, with fresh keys: python -m tests.vectors.hostile.remake.

What each file must lead to is written here by hand, and goes to `index.json` beside the files.
Commit what it writes only if you mean to change the corpus.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator

from tests.vectors.hostile.documents import (
    bundles,
    entries_v1,
    entries_v2,
    signing_configs,
    tokens,
    trusted_roots,
)
from tests.vectors.hostile.encodings import (
    certificates,
    chains,
    csrs,
    timestamp_requests,
    timestamp_responses,
)
from tests.vectors.hostile.rows import FOLDER, Row
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.testing import World


def notes(_: World) -> Iterator[Row]:
    """Give signed notes, as checkpoints are, that do not parse."""
    root = b64encode(bytes(32)).decode()
    line = f"— log.example {b64encode(bytes(68)).decode()}\n"
    text = f"log.example\n1\n{root}\n"
    good = f"{text}\n{line}"
    note, checkpoint = "NOTE_MALFORMED", "CHECKPOINT_MALFORMED"
    yield "good.txt", good.encode(), "", 0
    for name, data, code in (
        ("empty", "", note),
        ("no_signature", text + "\n", note),
        ("no_empty_line", text + line, note),
        ("no_last_newline", good[:-1], note),
        ("carriage_return", good.replace("\n", "\r\n"), note),
        ("control_character", good.replace("log", "l\x01g", 1), note),
        ("hyphen_for_dash", good.replace("—", "-"), note),
        ("name_with_plus", good.replace("— log", "— l+g"), note),
        ("signature_no_base64", good.replace(line, "— log.example ****\n"), note),
        ("signature_short", good.replace(line, "— log.example AAAA\n"), note),
        ("size_negative", good.replace("\n1\n", "\n-1\n"), checkpoint),
        ("size_leading_zero", good.replace("\n1\n", "\n01\n"), checkpoint),
        ("size_2_64", good.replace("\n1\n", f"\n{2**64}\n"), checkpoint),
        ("size_other_digit", good.replace("\n1\n", "\n\u0661\n"), checkpoint),
        ("root_short", good.replace(root, "AAAA"), checkpoint),
        ("origin_empty", good.replace("log.example\n1", "\n1"), checkpoint),
        ("two_lines", f"log.example\n1\n\n{line}", checkpoint),
    ):
        yield f"{name}.txt", data.encode(), code, 0


FORMATS: dict[str, Callable[[World], Iterator[Row]]] = {
    "bundle": bundles,
    "trusted_root": trusted_roots,
    "signing_config": signing_configs,
    "token": tokens,
    "csr": csrs,
    "certificate": certificates,
    "timestamp_request": timestamp_requests,
    "timestamp_response": timestamp_responses,
    "note": notes,
    "entry_v2": entries_v2,
    "entry_v1": entries_v1,
    "chain": chains,
}


def main() -> None:
    """Write every file, and one index for each format."""
    with World() as world:
        for name, rows in FORMATS.items():
            folder = FOLDER / name
            folder.mkdir(exist_ok=True)
            index: dict[str, dict[str, object]] = {}
            for file, data, code, status in rows(world):
                (folder / file).write_bytes(data)
                index[file] = {"code": code, "status": status} if status else {"code": code}
            (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        (FOLDER / "bundle" / "trusted_root").write_bytes(encode_trusted_root(world.trusted_root))


if __name__ == "__main__":
    main()
