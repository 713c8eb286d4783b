"""A slow reference of edwards25519, written from RFC 8032 5.1 alone: points, order, verification.

Points are in extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, x * y = T/Z.
"""

import hashlib
from typing import Final

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int, int, int]
IDENTITY: Final[Point] = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    """The sum of two points (RFC 8032 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """The point added to itself, `scalar` times, by doubling and adding."""
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def encode(point: Point) -> bytes:
    """The 32 bytes of a point (RFC 8032 5.1.2)."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(encoded: bytes) -> Point | None:
    """The point of 32 bytes (RFC 8032 5.1.3), or None where there is none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if x * x % P != x_squared:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != x_squared or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def base() -> Point:
    """The generator: y = 4/5, x even (RFC 8032 5.1)."""
    point = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


def small_order_encodings() -> frozenset[bytes]:
    """The encodings of the points whose order divides 8: [order] of points on the curve."""
    found: set[bytes] = set()
    for y in range(2, 200):
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            found.add(encode(multiply(ORDER, point)))
    return frozenset(found)


def holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether [S]B = R + [k]A without cofactor, for canonical encodings."""
    key_point, r_point = decode(public_key), decode(signature[:32])
    if key_point is None or r_point is None:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    left = multiply(int.from_bytes(signature[32:], "little"), base())
    return encode(left) == encode(add(r_point, multiply(k, key_point)))
