"""Coefficients of 2^f = 1 + f q(f), made by notebooks/exp2_coefficients.py: how good they are.

q(f) = c1 + c2 f + c3 f^2 + ...; the tuples begin with c1. With u = 2^-p, p = 24 for float32 and 53
for float64, |(1 + f q(f)) 2^-f - 1| <= E 8^f, where

    float32     E = 0.042 u     |f| <= 1/2 + 2^-8      0.015 u at -1/2, 0.119 u at 1/2
    float64     E = 0.034 u     |f| <= 1/2 + 2^-20     0.012 u at -1/2, 0.097 u at 1/2

For 2^(d a), a nearly a_hi + a_lo, a pair of the format (log2 e gives e^d), and `magic` the sum of
3 2^(p-2) and any integer of at most 2^(p-3):

    n = fma(d, a_hi, magic) - magic                an integer
    g = fma(d, a_hi, -n)
    f = fma(d, a_lo, g)
    w = fma(f, q, 1)                               q by Horner's rule, each step an fma

w 2^n is right within

                     w < 1        w >= 1
    |f| <  1/2       1.474 u      1.399 u
    |f| >= 1/2       1.649 u      1.572 u

relative, for |d a| <= 2^14 + 2^8 in float32 and 2^20 in float64, if the pair is right within
2^(1-2p) relative (nearest numbers are within 2^-2p) and w 2^n is not subnormal.

Proof. Rounding is monotonic, so |d a_hi - n| <= 1/2 and |g| <= 1/2; |d a_lo| is below 0.001 in
float32 and 2^-31 in float64, and so is |f| - 1/2. All below is relative, in u; terms of second
order are less than 10^-6 u.

  a            ln 2 |d a| 2^(1-2p) < 0.0014.
  f            Half an ulp of g is at most 1/4, of f as well if |f| < 1/2, and 1/2 beyond: times
               ln 2, 0.34658 and 0.51987. For |f| <= 1/4 that of f is 1/8: 0.26.
  q            The step that makes c_k + f (...) is off by half an ulp of its value v_k, which f^k
               carries into w. With v_1 in (1/2, 1), v_2 in (1/8, 1/4) for f < 0 and in (1/8, 1/2)
               for f > 0, v_3 in (1/32, 1/16), v_4 in (1/128, 1/64) and v_5 in (2^-10, 2^-9):
               |f|/2 + f^2/8 + |f|^3/32 + f^4/128 + |f|^5/1024 + ..., with f^2/4 if f > 0.
  w            1/2 if w < 1, else 1.
  2^f          E 8^f.

The lines q and w count 2^-f. They make up 1.41422 (0.5 + 0.28568) < 1.11113 at f = -1/2, and
0.70711 (1 + 0.31693) < 0.93122 at f = 1/2. Sums:

  f = -1/2     0.0014 + 0.34658 + 1.11113 + 0.01485 < 1.474; beyond, 0.17329 + 0.0017 more: < 1.649
  -1/4 ... 0   0.0014 + 0.26 + 0.7533 + 0.042 < 1.06
  0 ... 1/4    0.0014 + 0.26 + 1 + 0.0707 < 1.34
  f = 1/4      0.0014 + 0.34658 + 0.9597 + 0.0707 < 1.379
  f = 1/2      0.0014 + 0.34658 + 0.93122 + 0.1188 < 1.399; beyond, 0.17329 + 0.0003 more: < 1.572

From -1/4 to -1/2 the sum increases; from 1/4 to 1/2 it is convex, so largest at an end. Where
f, g or products underflow, the errors are below 2^-100 and count for nothing.

Tried out for e^d in float32, every d from -104 to 89 with |d| >= 2^-30: 1.398 u, of which 1.366 u
for d < 0.
"""

# |(1 + f q(f)) 2^-f - 1| <= 0.042 u 8^f
EXP2_FLOAT32 = (
    float.fromhex("0x1.62e4300000000p-1"),
    float.fromhex("0x1.ebfbd00000000p-3"),
    float.fromhex("0x1.c6afa40000000p-5"),
    float.fromhex("0x1.3b38a40000000p-7"),
    float.fromhex("0x1.5ef2640000000p-10"),
    float.fromhex("0x1.394d7e0000000p-13"),
)

# |(1 + f q(f)) 2^-f - 1| <= 0.034 u 8^f
EXP2_FLOAT64 = (
    float.fromhex("0x1.62e42fefa39f0p-1"),
    float.fromhex("0x1.ebfbdff82c597p-3"),
    float.fromhex("0x1.c6b08d7049c5fp-5"),
    float.fromhex("0x1.3b2ab6fba225ep-7"),
    float.fromhex("0x1.5d87fe7978373p-10"),
    float.fromhex("0x1.430913086ee96p-13"),
    float.fromhex("0x1.ffcbf86deaa22p-17"),
    float.fromhex("0x1.62bfd71d1747bp-20"),
    float.fromhex("0x1.b52d4129a251bp-24"),
    float.fromhex("0x1.e60197d44c739p-28"),
    float.fromhex("0x1.dd66b46e927a3p-32"),
)
