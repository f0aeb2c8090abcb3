"""history_words - what a record's bytes say, by the words of the contract (INTERFACES) alone: no code is shared with paybuf.

parse_request judges in the contract's order. crc32c is the anchor's checksum.
"""
import json
import re

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
CURRENCY = re.compile(r"[A-Z]{3}\Z")
BLANK = re.compile(r"[ \t\n\r]*")
AMOUNT_MAX = 2**53 - 1
VALUE_MAX, METADATA_MAX, DEPTH_MAX, TRACEPARENT_MAX = 8192, 2048, 32, 128


class Malformed(Exception):
    pass


def no_constant(name):
    raise Malformed(name)


def unique_members(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("duplicate member")
    return result


DECODER = json.JSONDecoder(object_pairs_hook=unique_members, parse_constant=no_constant)


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max([depth_of(v) for v in value.values()] or [0])
    if isinstance(value, list):
        return 1 + max([depth_of(v) for v in value] or [0])
    return 0


def text_ok(value):
    """No NUL and no lone surrogate anywhere."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(text_ok(k) and text_ok(v) for k, v in value.items())
    if isinstance(value, list):
        return all(text_ok(v) for v in value)
    return True


def load_object(value):
    """The object in these bytes; raises. The slow looks are taken only where the bytes leave room for a fault."""
    if value is None:
        raise Malformed("no value")
    document = DECODER.decode(value.decode("utf-8"))
    if not isinstance(document, dict):
        raise Malformed("not an object")
    if b"\\u" in value and not text_ok(document):
        raise Malformed("a NUL or half a character")
    if value.count(b"{") + value.count(b"[") > DEPTH_MAX and depth_of(document) > DEPTH_MAX:
        raise Malformed("too deep")
    return document


def bytes_as_sent(text, wanted):
    """How many bytes a member of a (well formed) top-level object takes in the text."""
    at = BLANK.match(text, text.index("{") + 1).end()
    while text[at] != "}":
        name, at = json.JSONDecoder().raw_decode(text, at)
        begin = BLANK.match(text, BLANK.match(text, at).end() + 1).end()        # behind the colon
        _, at = json.JSONDecoder().raw_decode(text, begin)
        if name == wanted:
            return len(text[begin:at].encode())
        at = BLANK.match(text, at).end()
        if text[at] == ",":
            at = BLANK.match(text, at + 1).end()
    return 0


def integer(value, low, high):
    return type(value) is int and low <= value <= high


def matches(pattern, value):
    return isinstance(value, str) and pattern.match(value) is not None


def bad_field(document, value):
    """The first member at fault, None when all are good."""
    metadata = document.get("metadata")
    if not matches(ID, document.get("order_id")):
        return "order_id"
    if "attempt" in document and not integer(document["attempt"], 1, 99):
        return "attempt"
    if not matches(ID, document.get("account_id")):
        return "account_id"
    if not integer(document.get("amount_minor"), 1, AMOUNT_MAX):
        return "amount_minor"
    if not matches(CURRENCY, document.get("currency")):
        return "currency"
    if metadata is not None and not isinstance(metadata, dict):
        return "metadata"
    if metadata is not None and len(value) > METADATA_MAX and bytes_as_sent(value.decode(), "metadata") > METADATA_MAX:
        return "metadata"
    return None


def tenant_of(headers):
    """A record's tenant; None when the header is malformed or there twice."""
    tenants = [value for name, value in headers if name == "tenant"]
    if not tenants:
        return "default"
    tenant = (tenants[0] or b"").decode("latin-1")
    return tenant if len(tenants) == 1 and ID.match(tenant) else None


def parse_request(record):
    """(request, None, None) or (None, reason, field)."""
    value = record.value
    if value is not None and len(value) > VALUE_MAX:
        return None, "too_large", None
    try:
        document = load_object(value)
    except (Malformed, ValueError, RecursionError):
        return None, "malformed_json", None
    field = bad_field(document, value)
    if field is not None:
        return None, "bad_field", field
    tenant = tenant_of(record.headers)
    if tenant is None:
        return None, "bad_tenant", None
    if record.key != document["order_id"].encode():
        return None, "key_mismatch", None
    return {"tenant": tenant, "order_id": document["order_id"], "attempt": document.get("attempt", 1), "account_id": document["account_id"],
            "amount_minor": document["amount_minor"], "currency": document["currency"], "metadata": document.get("metadata")}, None, None


def reply_key(record):
    """The key of the reply to a record: the record's own where it is well formed."""
    try:
        return record.key if record.key is not None and ID.match(record.key.decode("ascii")) else None
    except UnicodeDecodeError:
        return None


def passed_on(record):
    """The traceparent that the reply carries: the record's, unless it can't be one."""
    value = next((v for n, v in reversed(record.headers) if n == "traceparent"), None)
    usable = value and len(value) <= TRACEPARENT_MAX and all(byte >= 0x20 and byte != 0x7f for byte in value)
    return value if usable else None


def crc32c(*parts):
    crc = 0xFFFFFFFF
    for part in parts:
        for byte in part:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def anchor_crc(record):
    """Of lengths, presence, key and value, so that bytes can't move from one to the other unseen."""
    key, value = record.key or b"", record.value or b""
    lengths = len(key).to_bytes(4, "little") + len(value).to_bytes(4, "little") + bytes([record.key is not None, record.value is not None])
    return crc32c(lengths, key, value)
