"""For the fuzzer: what boxes send are bytes, whatever they are called."""

import schemathesis

BYTES = "application/octet-stream"

for media_type in ("application/partial-upload", "application/vnd.sandyq.question"):
    schemathesis.serializer.alias(media_type, BYTES)
