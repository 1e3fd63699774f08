"""Vectors of 64 bytes as values in compiled code: 16 float32 or 8 float64, and what acts on them.

LLVM splits a vector into as many registers as the target needs: one with AVX-512, two with AVX2
or four with NEON. The operations here are those that every target has, so that each lane gets the
same bits on all of them (fused multiply-add included: a target without that instruction calls the
C library, slowly, and one that does not convert binary16 does it in integers). Only `store_stream`
differs, in where the bytes go, never in which.

Memory is named by pointers (`pointer(array)`) and an index of elements. Arrays would cost a
reference count at each call. A pointer does not keep its array alive: `keep_alive(array)`
after the last use does.

Numbers of 16 bits travel as integers, because Numba has no arrays of theirs: int16 holds binary16,
uint16 bfloat16. They become float32 on loading and are rounded once, to nearest even, on storing.

    pointer(array), offset(p, i)              address of element 0; of element i of p
    keep_alive(array)                         nothing, but the array lives until here
    lanes(p)                                  elements of p in a vector
    elements_to_alignment(p)                  to the next address that `store_stream` takes
    load_scalar(p, i), store_scalar(p, i, x)  one float32 or float64
    load(p, i)                                a vector
    load_masked(p, i, count, rest)            a vector; `rest` from lane `count` on
    store(p, i, v)                            a vector
    store_masked(p, i, v, count)              what is behind lane `count` is not touched
    store_lane0(p, i, v)                      lane 0 alone
    store_stream(p, i, v), fence()            past the caches; to an aligned address
    prefetch(p, i)                            may lie anywhere
    broadcast(like, x)                        x in all lanes
    fma(a, b, c), a + b, a - b, a * b         rounded once
    vmax(a, b)                                a where a > b, else b; so a NaN in b stays
    vmin(a, b)                                the other one: b where a > b, else a
    scaled(v, k)                              v 2^(low bits of k), all numbers normal
    scale_down(v)                             v 2^-DOWN_EXPONENT, also where that is subnormal
    scale_down_normal(v)                      the same, where that is normal
    below(a, b), not_below(a, b)              masks: a < b; not
    where_nan(a, b)                           mask: a or b is NaN
    mask_or(m, n)                             lanes of one of two masks
    any_lane(m), count_lanes(m)               whether a mask has a lane; how many
    select(mask, a, b)                        a in the lanes of the mask, else b
    insert_lane(v, lane, x)                   v, with x in this lane
    low_half(v), high_half(v)                 eight of 16 float32, as float64
    rotate_8(v), rotate_4(v), ...             lanes moved down, round the end
    extract_lane0(v)                          lane 0, as a number
"""

import functools
import operator
import platform
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

BYTES = 64
"""Size of a vector: a line of the cache."""

Builder = Any
Code = Callable[..., Any]


class Vector(types.Type):
    """`lanes` numbers of one element type."""

    def __init__(self, element: types.Type, lanes: int) -> None:
        self.element = element
        self.lanes = lanes
        super().__init__(f"Vector({element}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is a first-class value of LLVM."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = dmm.lookup(fe_type.element).get_value_type()  # of booleans one bit
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


FLOAT32 = Vector(types.float32, BYTES // 4)
FLOAT64 = Vector(types.float64, BYTES // 8)
VECTOR = {
    types.float32: FLOAT32,
    types.float64: FLOAT64,
    types.int16: FLOAT32,
    types.uint16: FLOAT32,
}
"""The vectors in which elements of each type are computed with."""

DOWN_EXPONENT = {FLOAT32: 120, FLOAT64: 300}
"""`scale_down` divides by 2 to this power."""

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
STORED = {types.float32: FLOAT, types.float64: DOUBLE, types.int16: HALF, types.uint16: I16}


def _wide(element: Any, lanes: int) -> ir.VectorType:
    return ir.VectorType(element, lanes)


def _splat(builder: Builder, scalar: Any, lanes: int) -> Any:
    one = builder.insert_element(
        ir.Constant(_wide(scalar.type, lanes), ir.Undefined), scalar, I32(0)
    )
    zeros = ir.Constant(_wide(I32, lanes), [0] * lanes)
    return builder.shuffle_vector(one, one, zeros)


def _call(builder: Builder, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments)


def _suffix(kind: ir.VectorType) -> str:
    names = {FLOAT: "f32", DOUBLE: "f64", HALF: "f16", I16: "i16", I32: "i32", I64: "i64"}
    return f"v{kind.count}{names[kind.element]}"


# --- memory ---


@intrinsic
def pointer(typing_context: Any, array: types.Array) -> Any:
    """The address of the first element; None of None, for arrays that may be left out."""
    if isinstance(array, types.NoneType):
        return _nothing(array)

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), code


def _nothing(*arguments: Any) -> Any:
    """The signature and the code of what gives None."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.none(*arguments), code


@intrinsic
def keep_alive(typing_context: Any, array: types.Array) -> Any:
    """Nothing, but the array lives until here."""
    return _nothing(array)


@intrinsic
def offset(typing_context: Any, p: types.CPointer, i: types.Integer) -> Any:
    """The pointer i elements further; None if p is None."""
    if isinstance(p, types.NoneType):
        return _nothing(p, types.intp)

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return p(p, types.intp), code


@intrinsic
def load_scalar(typing_context: Any, p: types.CPointer, i: types.Integer) -> Any:
    """Element i of p, a float32 or float64, as a number."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return p.dtype(p, types.intp), code


@intrinsic
def store_scalar(typing_context: Any, p: types.CPointer, i: types.Integer, x: types.Float) -> Any:
    """Write the number x to element i of p, a float32 or float64."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.none(p, types.intp, p.dtype), code


@intrinsic
def lanes(typing_context: Any, p: types.CPointer) -> Any:
    """How many elements of p a vector holds."""
    count = VECTOR[p.dtype].lanes

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return ir.Constant(I64, count)

    return types.intp(p), code


@intrinsic
def elements_to_alignment(typing_context: Any, p: types.CPointer) -> Any:
    """Elements to the next one whose address is a multiple of a stored vector's size."""
    size = p.dtype.bitwidth // 8
    whole = size * VECTOR[p.dtype].lanes

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        below = builder.neg(builder.ptrtoint(arguments[0], I64))
        missing = builder.and_(below, ir.Constant(I64, whole - 1))
        return builder.udiv(missing, ir.Constant(I64, size))

    return types.intp(p), code


def _address(builder: Builder, p: Any, i: Any, element: Any, count: int) -> tuple[Any, int]:
    """Pointer to so many elements as they are stored, and their alignment."""
    at = builder.gep(p, [i])
    size = 8 if element == DOUBLE else 4 if element == FLOAT else 2
    return builder.bitcast(at, _wide(element, count).as_pointer()), size


@functools.cache
def _converts_half() -> bool:
    """Whether the processor converts binary16; LLVM would call functions that are not there.

    Of a processor that is named to Numba this is not known.
    """
    if numba.config.CPU_NAME not in (None, "host"):
        return False
    is_x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
    return not is_x86 or bool(llvm.get_host_cpu_features().get("f16c", False))


class _Bits:
    """Integer arithmetic on the bits of a vector of 32-bit numbers."""

    def __init__(self, builder: Builder, lanes: int) -> None:
        self.builder = builder
        self.kind = _wide(I32, lanes)
        self.lanes = lanes

    def number(self, x: int) -> Any:
        return _splat(self.builder, I32(x), self.lanes)

    def of(self, value: Any) -> Any:
        return self.builder.bitcast(value, self.kind)

    def as_float(self, bits: Any) -> Any:
        return self.builder.bitcast(bits, _wide(FLOAT, self.lanes))


def _widened(builder: Builder, stored: Any, element: types.Type) -> Any:
    """What was loaded, as numbers to compute with."""
    if element == types.int16:
        if _converts_half():
            return builder.fpext(stored, _wide(FLOAT, stored.type.count))
        return _widened_half(builder, builder.bitcast(stored, _wide(I16, stored.type.count)))
    if element == types.uint16:
        b = _Bits(builder, stored.type.count)
        return b.as_float(builder.shl(builder.zext(stored, b.kind), b.number(16)))
    return stored


def _widened_half(builder: Builder, stored: Any) -> Any:
    """binary16 to float32: the fields moved, and the exponent's bias by a multiplication."""
    b = _Bits(builder, stored.type.count)
    bits = builder.zext(stored, b.kind)
    sign = builder.shl(builder.and_(bits, b.number(0x8000)), b.number(16))
    moved = builder.shl(builder.and_(bits, b.number(0x7FFF)), b.number(13))
    bias = _splat(builder, ir.Constant(FLOAT, 2.0**112), b.lanes)
    finite = b.of(builder.fmul(b.as_float(moved), bias))
    is_finite = builder.icmp_unsigned("<", moved, b.number(0x7C00 << 13))
    special = builder.or_(moved, b.number(0x7F800000))
    return b.as_float(builder.or_(builder.select(is_finite, finite, special), sign))


def _narrowed(builder: Builder, value: Any, element: types.Type) -> Any:
    """Numbers in the format they are stored in, rounded to nearest even."""
    count = value.type.count
    if element == types.int16:
        if _converts_half():
            return builder.fptrunc(value, _wide(HALF, count))
        return builder.bitcast(_narrowed_to_half(builder, value), _wide(HALF, count))
    if element == types.uint16:
        # Adding just less than half a unit, or half where the last bit kept is odd, carries into
        # that bit as rounding does. A NaN may carry into infinity: its quiet bit is set instead.
        b = _Bits(builder, count)
        bits = b.of(value)
        odd = builder.and_(builder.lshr(bits, b.number(16)), b.number(1))
        rounded = builder.add(builder.add(bits, odd), b.number(0x7FFF))
        quiet = builder.or_(bits, b.number(0x400000))
        is_nan = builder.fcmp_unordered("uno", value, value)
        kept = builder.lshr(builder.select(is_nan, quiet, rounded), b.number(16))
        return builder.trunc(kept, _wide(I16, count))
    return value


def _narrowed_to_half(builder: Builder, value: Any) -> Any:
    """float32 to binary16: as to bfloat16 where normal; by adding 1/2, whose unit is that of the
    subnormal numbers, where smaller; infinity from 65520 on.
    """
    b = _Bits(builder, value.type.count)
    bits = builder.and_(b.of(value), b.number(0x7FFFFFFF))
    odd = builder.and_(builder.lshr(bits, b.number(13)), b.number(1))
    rebiased = builder.sub(builder.add(bits, b.number(0xFFF)), b.number(112 << 23))
    normal = builder.lshr(builder.add(rebiased, odd), b.number(13))
    half = _splat(builder, ir.Constant(FLOAT, 0.5), b.lanes)
    small = builder.sub(b.of(builder.fadd(b.as_float(bits), half)), b.of(half))
    is_small = builder.icmp_unsigned("<", bits, b.number(113 << 23))
    is_large = builder.icmp_unsigned(">=", bits, b.number(143 << 23))
    is_nan = builder.icmp_unsigned(">", bits, b.number(0x7F800000))
    special = builder.select(is_nan, b.number(0x7E00), b.number(0x7C00))
    magnitude = builder.select(is_large, special, builder.select(is_small, small, normal))
    sign = builder.and_(builder.lshr(b.of(value), b.number(16)), b.number(0x8000))
    return builder.trunc(builder.or_(magnitude, sign), _wide(I16, b.lanes))


@intrinsic
def load(typing_context: Any, p: types.CPointer, i: types.Integer) -> Any:
    """A vector of elements i, i + 1, ... of p, which must all exist."""
    vector, stored = VECTOR[p.dtype], STORED[p.dtype]

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        at, align = _address(builder, arguments[0], arguments[1], stored, vector.lanes)
        return _widened(builder, builder.load(at, align=align), p.dtype)

    return vector(p, types.intp), code


def _first_lanes(builder: Builder, count: Any, lanes: int) -> Any:
    numbers = ir.Constant(_wide(I32, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(count, I32), lanes))


@intrinsic
def load_masked(
    typing_context: Any,
    p: types.CPointer,
    i: types.Integer,
    count: types.Integer,
    rest: types.Float,
) -> Any:
    """Elements i ... i + count - 1 of p, and `rest` in the lanes behind them."""
    vector, stored = VECTOR[p.dtype], STORED[p.dtype]

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        pointer_, i_, count_, rest_ = arguments
        at, align = _address(builder, pointer_, i_, stored, vector.lanes)
        mask = _first_lanes(builder, count_, vector.lanes)
        kind = _wide(stored if stored != HALF else I16, vector.lanes)
        at = builder.bitcast(at, kind.as_pointer())
        read = _call(
            builder,
            f"llvm.masked.load.{_suffix(kind)}.p0",
            kind,
            [at, I32(align), mask, ir.Constant(kind, None)],
        )
        if stored == HALF:
            read = builder.bitcast(read, _wide(HALF, vector.lanes))
        value = _widened(builder, read, p.dtype)
        return builder.select(mask, value, _splat(builder, rest_, vector.lanes))

    return vector(p, types.intp, types.intp, vector.element), code


def _stores(streams: bool) -> Code:
    def typed(typing_context: Any, p: types.CPointer, i: types.Integer, v: Vector) -> Any:
        stored = STORED[p.dtype]

        def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            pointer_, i_, value = arguments
            at, align = _address(builder, pointer_, i_, stored, v.lanes)
            narrow = _narrowed(builder, value, p.dtype)
            whole = align * v.lanes  # bytes
            instruction = builder.store(narrow, at, align=whole if streams else align)
            if streams:
                one = builder.module.add_metadata([I32(1)])
                instruction.set_metadata("nontemporal", one)
            return context.get_dummy_value()

        return types.none(p, types.intp, v), code

    return typed


store = intrinsic(_stores(streams=False))
store_stream = intrinsic(_stores(streams=True))


@intrinsic
def store_masked(
    typing_context: Any, p: types.CPointer, i: types.Integer, v: Vector, count: types.Integer
) -> Any:
    """Write the first `count` lanes to elements i ... of p."""
    stored = STORED[p.dtype]

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        pointer_, i_, value, count_ = arguments
        at, align = _address(builder, pointer_, i_, stored, v.lanes)
        narrow = _narrowed(builder, value, p.dtype)
        if stored == HALF:
            narrow = builder.bitcast(narrow, _wide(I16, v.lanes))
            at = builder.bitcast(at, narrow.type.as_pointer())
        _call(
            builder,
            f"llvm.masked.store.{_suffix(narrow.type)}.p0",
            ir.VoidType(),
            [narrow, at, I32(align), _first_lanes(builder, count_, v.lanes)],
        )
        return context.get_dummy_value()

    return types.none(p, types.intp, v, types.intp), code


@intrinsic
def prefetch(typing_context: Any, p: types.CPointer, i: types.Integer) -> Any:
    """Ask for the cache line of element i, which need not exist."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        at = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), ir.IntType(8).as_pointer())
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [at, I32(0), I32(2), I32(1)])
        return context.get_dummy_value()

    return types.none(p, types.intp), code


@intrinsic
def fence(typing_context: Any) -> Any:
    """Make streamed stores visible to other threads before what follows."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), code


# --- arithmetic ---


@intrinsic
def broadcast(typing_context: Any, like: Any, x: types.Float) -> Any:
    """x in every lane of a vector of the kind of `like`, a vector or a pointer."""
    vector = VECTOR[like.dtype] if isinstance(like, types.CPointer) else like

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[1], vector.lanes)

    return vector(like, vector.element), code


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once; of vectors or of three floats of one type."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = _suffix(kind) if isinstance(kind, ir.VectorType) else f"f{a.bitwidth}"
        return _call(builder, f"llvm.fma.{name}", kind, list(arguments))

    return a(a, a, a), code


def _operator(function: Any, instruction: str) -> None:
    """Let `function`, of `operator`, act on two vectors lane by lane."""

    class Typing(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(function)(Typing)

    @lower_builtin(function, Vector, Vector)
    def code(context: Any, builder: Builder, signature_: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")


def _choice(first_where_greater: bool) -> Code:
    def typed(typing_context: Any, a: Vector, b: Vector) -> Any:
        def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            greater = builder.fcmp_ordered(">", *arguments)
            return builder.select(greater, *(arguments if first_where_greater else arguments[::-1]))

        return a(a, b), code

    return typed


vmax = intrinsic(_choice(first_where_greater=True))
vmin = intrinsic(_choice(first_where_greater=False))


@intrinsic
def scaled(typing_context: Any, v: Vector, k: Vector) -> Any:
    """v times 2 to the power in the low bits of k's lanes, for normal v and normal results.

    An addition to the exponent field; of a NaN it makes something else.
    """
    integer, shift = (I32, 23) if v == FLOAT32 else (I64, 52)

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kind = _wide(integer, v.lanes)
        value, bits = (builder.bitcast(argument, kind) for argument in arguments)
        shifted = builder.shl(bits, _splat(builder, ir.Constant(integer, shift), v.lanes))
        return builder.bitcast(builder.add(value, shifted), arguments[0].type)

    return v(v, v), code


@intrinsic
def mask_or(typing_context: Any, a: Vector, b: Vector) -> Any:
    """The lanes that are in one of two masks."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.or_(*arguments)

    return a(a, b), code


@intrinsic
def any_lane(typing_context: Any, mask: Vector) -> Any:
    """Whether a mask is set in any lane."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        whole = builder.bitcast(arguments[0], ir.IntType(mask.lanes))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))

    return types.boolean(mask), code


@intrinsic
def low_half(typing_context: Any, v: Vector) -> Any:
    """The first eight lanes of float32 as float64."""
    return FLOAT64(v), _half(range(8))


@intrinsic
def high_half(typing_context: Any, v: Vector) -> Any:
    """The last eight lanes of float32 as float64."""
    return FLOAT64(v), _half(range(8, 16))


def _half(which: range) -> Code:
    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        (v,) = arguments
        half = builder.shuffle_vector(v, v, ir.Constant(_wide(I32, 8), list(which)))
        return builder.fpext(half, _wide(DOUBLE, 8))

    return code


def _rotation(by: int) -> Code:
    def typed(typing_context: Any, v: Vector) -> Any:
        def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            order = [(lane + by) % v.lanes for lane in range(v.lanes)]
            where = ir.Constant(_wide(I32, v.lanes), order)
            return builder.shuffle_vector(*arguments, *arguments, where)

        return v(v), code

    return typed


rotate_8, rotate_4, rotate_2, rotate_1 = (intrinsic(_rotation(by)) for by in (8, 4, 2, 1))


@intrinsic
def extract_lane0(typing_context: Any, v: Vector) -> Any:
    """Lane 0 of a vector, as a number."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], I32(0))

    return v.element(v), code


@intrinsic
def scale_down_normal(typing_context: Any, v: Vector) -> Any:
    """v 2^-DOWN_EXPONENT where that is normal: a subtraction from the exponent field."""
    integer, shift = (I32, 23) if v == FLOAT32 else (I64, 52)

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        exponent = ir.Constant(integer, DOWN_EXPONENT[v] << shift)
        bits = builder.bitcast(arguments[0], _wide(integer, v.lanes))
        lower = builder.sub(bits, _splat(builder, exponent, v.lanes))
        return builder.bitcast(lower, arguments[0].type)

    return v(v), code


@intrinsic
def scale_down(typing_context: Any, v: Vector) -> Any:
    """v 2^-DOWN_EXPONENT for v >= 0 that is not NaN, rounded once, subnormal results included.

    Normal results come from the exponent field alone. The others are multiples k of the smallest
    subnormal, and their bits are the integer k: adding v 2^(...) to 2^23 (2^52 for float64) rounds
    it to an integer in the low bits. No instruction here has a subnormal result or operand, for
    which some processors take 150 cycles.
    """
    integer, shift, smallest_normal = (I32, 23, -126) if v == FLOAT32 else (I64, 52, -1022)
    by = DOWN_EXPONENT[v]

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        kind, bits = value.type, _wide(integer, v.lanes)

        def power(exponent: int) -> Any:
            return _splat(builder, ir.Constant(kind.element, 2.0**exponent), v.lanes)

        def as_bits(x: Any) -> Any:
            return builder.bitcast(x, bits)

        exponent = _splat(builder, ir.Constant(integer, by << shift), v.lanes)
        normal = builder.sub(as_bits(value), exponent)
        units = [value, power(shift - smallest_normal - by), power(shift)]
        rounded = _call(builder, f"llvm.fma.{_suffix(kind)}", kind, units)
        subnormal = builder.sub(as_bits(rounded), as_bits(power(shift)))
        is_small = builder.fcmp_ordered("<", value, power(smallest_normal + by))
        return builder.bitcast(builder.select(is_small, subnormal, normal), kind)

    return v(v), code


def _comparison(compare: str, operation: str) -> Code:
    def typed(typing_context: Any, a: Vector, b: Vector) -> Any:
        mask = Vector(types.boolean, a.lanes)

        def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            return getattr(builder, compare)(operation, *arguments)

        return mask(a, a), code

    return typed


below = intrinsic(_comparison("fcmp_ordered", "<"))
where_nan = intrinsic(_comparison("fcmp_unordered", "uno"))
not_below = intrinsic(_comparison("fcmp_unordered", ">="))


@intrinsic
def select(typing_context: Any, mask: Vector, a: Vector, b: Vector) -> Any:
    """a in the lanes of the mask, b in the others."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return a(mask, a, a), code


@intrinsic
def count_lanes(typing_context: Any, mask: Vector) -> Any:
    """The number of lanes in which a mask is set."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        whole = builder.bitcast(arguments[0], ir.IntType(mask.lanes))
        return builder.ctpop(builder.zext(whole, I64))

    return types.intp(mask), code


@intrinsic
def insert_lane(typing_context: Any, v: Vector, lane: types.Integer, x: types.Float) -> Any:
    """The vector v with the number x in place of this lane."""

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        value, lane_, x_ = arguments
        return builder.insert_element(value, x_, builder.trunc(lane_, I32))

    return v(v, types.intp, v.element), code


@intrinsic
def store_lane0(typing_context: Any, p: types.CPointer, i: types.Integer, v: Vector) -> Any:
    """Write lane 0 to element i.

    `store_masked` of one lane would do, but LLVM 22 for x86 makes of a narrowed vector and a mask
    known to be of one lane a store of 32 bits.
    """

    def code(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        pointer_, i_, value = arguments
        narrow = builder.extract_element(_narrowed(builder, value, p.dtype), I32(0))
        at = builder.bitcast(builder.gep(pointer_, [i_]), narrow.type.as_pointer())
        builder.store(narrow, at)
        return context.get_dummy_value()

    return types.none(p, types.intp, v), code
