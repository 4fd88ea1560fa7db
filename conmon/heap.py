"""Keeps what a fork writes to few pages, since every page that it writes is its own memory and no longer shared.

Facts used: CPython 3.11's pymalloc serves objects up to 512 bytes by size, in steps of 16, from pools of 16 KiB whose
first 48 bytes are a header. A fork's new objects would go into the holes that imports and the rehearsal left all over
the heap, and dirty a page (with the pool's header two) for each. With another allocator ``plug`` costs some memory
and gains nothing.
"""

from __future__ import annotations

import gc

_STEP, _LARGEST, _POOL, _POOL_HEADER = 16, 512, 16 * 1024, 48
#: Sizes of the blocks that fill the holes of the C library's heap; above this it maps memory (mallopt(3)).
_BLOCK_SIZES = (*range(528, 2048, 16), *range(2048, 16384, 512), *range(16384, 114688, 8192))
#: Size of a bytes object without its content; smaller objects are integers.
_BYTES = 33
#: More than a pool of the smallest objects holds, many times over: a bound for other allocators.
_MOST = 20_000


def freeze() -> list[object]:
    """Make the heap ready for forks: collect, keep the collector off what is there, fill the holes.

    The result is to be kept for as long as there are forks.
    """
    gc.collect()
    gc.freeze()
    # A collection writes to every object that it looks at. What follows has no cycles but in exceptional cases.
    gc.disable()
    return plug()


def plug() -> list[object]:
    """Objects that fill every hole: for each size, until one lies at the start of a fresh pool; larger ones until
    they lie behind all others."""
    plugs = _plug_large()
    for size in range(2 * _STEP, _LARGEST + 1, _STEP):
        for number in range(_MOST):
            block: object = bytes(size - _BYTES) if size > _BYTES else (1 << 29) + number
            plugs.append(block)
            if id(block) % _POOL == _POOL_HEADER:
                break
    return plugs


def _plug_large() -> list[object]:
    """As ``plug``, for the C library's heap: for each size, until a block lies behind all that was there before."""
    behind: list[object] = [bytes(_BLOCK_SIZES[-1]) for _ in range(3)]
    border = max(map(id, behind))
    plugs: list[object] = []
    for size in reversed(_BLOCK_SIZES):
        while id(block := bytes(size - _BYTES)) < border:
            plugs.append(block)
        behind.append(block)
    return plugs
