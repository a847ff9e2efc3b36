"""Padding of what is sealed, so that the length of an envelope does not speak.

A hub sees how long an envelope is. Unpadded, an attestation is five times as long
as "not found", and GREEN is a byte shorter than YELLOW. So the plaintext of a batch
is brought to a multiple of a bucket, a fixed number of bytes a question, answer,
import or answer to one: field 15, ``padding``, of ``hutong.v1.QuestionBatch``,
``AnswerBatch``, ``ImportBatch`` and ``ImportAnswerBatch``, appended to the serialised
message. What remains visible is how many travellers an envelope is about, and that an
answer is much longer than usual (a person with several reports).
"""

from __future__ import annotations

from typing import Final

QUESTION_BUCKET_BYTES: Final = 128
"""A question by document takes about 50 bytes, by QR text mostly below 120."""
ANSWER_BUCKET_BYTES: Final = 1280
"""An attestation of one report takes 950 to 1 200 bytes, an outcome a few dozen."""
IMPORT_BUCKET_BYTES: Final = 2048
"""An import holds an attestation, a document, a name and three answers."""
IMPORT_ANSWER_BUCKET_BYTES: Final = 2560
"""A local code may bear a QR text of up to 2 048 characters; a refusal is a byte."""

_TAG: Final = 15 << 3 | 2  # field 15, length-delimited
_FRAME_BYTES: Final = 3  # the tag, and a length of always two bytes
_MAX_CHUNK_BYTES: Final = 0x3FFF  # what a length of two bytes can say


def pad(message: bytes, bucket_bytes: int, *, max_bytes: int) -> bytes:
    """Append zeros to a serialised batch up to a multiple of its bucket.

    Args:
        message: a serialised batch without padding.
        bucket_bytes: bucket of one question, answer or import times their number.
        max_bytes: never pad beyond this; a message that comes close is padded to it.

    Returns:
        A message that parses to the same batch.
    """
    target = min(-(-(len(message) + _FRAME_BYTES) // bucket_bytes) * bucket_bytes, max_bytes)
    parts = [message]
    left = target - len(message)
    while left >= _FRAME_BYTES:
        # A rest too short for a frame of its own would break the promise; leave room.
        zeros = min(left - _FRAME_BYTES, _MAX_CHUNK_BYTES)
        if 0 < left - _FRAME_BYTES - zeros < _FRAME_BYTES:
            zeros -= _FRAME_BYTES
        # Two bytes of length whatever it is: a shorter form would leave gaps.
        parts.append(bytes((_TAG, zeros & 0x7F | 0x80, zeros >> 7)) + bytes(zeros))
        left -= _FRAME_BYTES + zeros
    return b"".join(parts)
