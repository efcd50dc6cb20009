"""What may be wrong with one document, and the text in bytes that claim to be some."""


class FileFault(Exception):
    """One document cannot be used; the message is the reason, for a person."""


def decode(content: bytes) -> str:
    """The bytes as text; raises `FileFault` for what is none."""
    if b"\0" in content:
        raise FileFault("it is binary, not text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFault(f"it is not UTF-8 (byte {error.start})") from error
    if not text.strip():
        raise FileFault("it is empty")
    return text
