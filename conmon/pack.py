"""Copies of functions that lie side by side in memory, with all of ours that they use.

A fork that calls a function writes to the function, its code, its constants, the modules and classes that it names:
reference counts, all over the heap, a page for each. Where ``heap`` has filled the holes, new objects lie one after
the other, and a copy of everything that is called takes some few pages instead. Measured: a quarter of a monitor's
own memory.

Knows functions of this package without closures; what is not ours (built-in functions and types) stays where it is. A
copy sees module variables as they were when it was made.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FunctionType, ModuleType

_FUNCTION, _MODULE = type(lambda: None), type(sys)
_PACKAGE = __name__.partition(".")[0] + "."
#: What pymalloc holds at most, bytes; it has other pages for each size.
_LARGE = 512
#: Integers below this are the interpreter's own and cannot be moved.
_SMALL = 257


def copies(*functions: Callable[..., object]) -> tuple[Callable[..., object], ...]:
    """Functions that do what *functions* do, all in one place."""
    packer = _Packer()
    made = tuple(packer.value(function) for function in functions)
    packer.settle()
    return made  # type: ignore[return-value]


class _Packer:
    """Makes copies that use each other."""

    def __init__(self) -> None:
        self._copies: dict[int, object] = {}
        self._modules: dict[str, ModuleType] = {}
        self._functions: list[FunctionType] = []

    def settle(self) -> None:
        """Give the functions their own code, when all that it takes is there: codes shall lie side by side, too."""
        changes = [(function, self._changes(function.__code__)) for function in self._functions]
        for function, (instructions, constants) in changes:
            function.__code__ = function.__code__.replace(co_code=instructions, co_consts=constants)

    def value(self, value: object) -> object:
        """A copy of *value*, or itself where it cannot be moved."""
        kind = type(value)
        if kind in (_FUNCTION, type) and str(value.__module__).startswith(_PACKAGE):
            if id(value) not in self._copies:
                (self._function if kind is _FUNCTION else self._class)(value)  # type: ignore[arg-type]
            return self._copies[id(value)]
        if kind is _MODULE and value is not sys:
            return self._module(value.__name__)  # type: ignore[attr-defined]
        if kind is int:
            return value if -_SMALL < value < _SMALL else int(str(value))  # type: ignore[operator]
        if kind is bytes:
            return bytes(bytearray(value))  # type: ignore[call-overload]
        if kind is tuple:
            return tuple(self.value(item) for item in value)  # type: ignore[attr-defined]
        if kind is dict:
            return {key: self.value(item) for key, item in value.items()}  # type: ignore[attr-defined]
        return value

    def _function(self, original: FunctionType) -> None:
        code = original.__code__
        module = self._module(original.__module__)
        copy = _FUNCTION(code, vars(module), original.__name__, original.__defaults__)  # type: ignore[misc]
        self._copies[id(original)] = copy
        self._functions.append(copy)
        self._fill(module, code.co_names)

    def _class(self, original: type) -> None:
        slots = original.__dict__.get("__slots__", ())
        left_out = {"__dict__", "__weakref__", *slots}
        names = {name: self.value(value) for name, value in vars(original).items() if name not in left_out}
        self._copies[id(original)] = type(original.__name__, original.__bases__, names)

    def _module(self, name: str) -> ModuleType:
        if name not in self._modules:
            self._modules[name] = _MODULE(name)
            vars(self._modules[name])["__builtins__"] = __builtins__
        return self._modules[name]

    def _fill(self, module: ModuleType, names: tuple[str, ...]) -> None:
        """Give *module* those of *names* that its original has, and modules among these theirs."""
        original = vars(sys.modules[module.__name__])
        for name in names:
            value = original.get(name)
            if name in original and name not in vars(module):
                vars(module)[name] = None  # its own value may ask for it
                vars(module)[name] = self.value(value)
            if type(value) is _MODULE and value is not sys:
                self._fill(self._module(value.__name__), names)

    def _changes(self, code: CodeType) -> tuple[bytes, tuple[object, ...]]:
        """Instructions and constants of a copy. A short one has its instructions again behind its end, where nothing
        ever comes, so that it is too large for pymalloc."""
        instructions = code.co_code
        missing = max(0, _LARGE + 1 - code.__sizeof__())
        times = 1 + (missing + len(instructions) - 1) // len(instructions)
        return instructions * times, tuple(self.value(constant) for constant in code.co_consts)
