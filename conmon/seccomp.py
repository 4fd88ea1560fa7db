"""The system calls that are left to a process which only sleeps: a seccomp filter (seccomp(2)), as the kernel reads it.

Imported where it is needed only: a pod init. Whoever may trace that could otherwise use it for calls which the filter
of his own container forbids.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from conmon import linux

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000

# AUDIT_ARCH_ of linux/audit.h, then the numbers of write, close, close_range, pause (-1 for none), ppoll,
# rt_sigreturn, restart_syscall, exit and exit_group.
_CALLS = {
    "x86_64": (0xC000003E, (1, 3, 436, 34, 271, 15, 219, 60, 231)),
    "aarch64": (0xC00000B7, (64, 57, 436, -1, 73, 139, 128, 93, 94)),
    "riscv64": (0xC00000F3, (64, 57, 436, -1, 73, 139, 128, 93, 94)),
    "s390x": (0x80000016, (4, 6, 436, 29, 302, 174, 7, 1, 248)),
    "ppc64le": (0xC0000015, (4, 6, 436, 29, 281, 172, 0, 1, 234)),
}
# BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K of linux/bpf_common.h.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
# Offsets in struct seccomp_data.
_NR, _ARCH = 0, 4


def program(machine: str) -> bytes:
    """The filter: those calls and no others, which fail with EPERM. Raises KeyError for a machine type not known."""
    arch, numbers = _CALLS[machine]
    allowed = [number for number in numbers if number >= 0]
    lines = [(_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 0, len(allowed) + 1, arch), (_LOAD, 0, 0, _NR)]
    # From each to the line behind the last return.
    lines += [(_JUMP_EQUAL, len(allowed) - at, 0, number) for at, number in enumerate(allowed)]
    lines += [(_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM), (_RETURN, 0, 0, SECCOMP_RET_ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def only_sleep() -> None:
    """Let this process do no more than write, close, sleep and end. It must have no_new_privs.

    A kernel without seccomp is left alone. Raises OSError.
    """
    code = ctypes.create_string_buffer(lines := program(os.uname().machine), len(lines))
    # struct sock_fprog: the number of lines, and where they are.
    header = struct.pack("@HP", len(lines) // 8, ctypes.addressof(code))
    filter_program = ctypes.create_string_buffer(header, len(header))
    try:
        linux.prctl_pointer(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_program))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
