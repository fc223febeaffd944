#!/usr/bin/env python3
"""Prints engine/seccomp/syscall_table.inc.

The numbers are those of the kernel's headers on this machine (Debian 12's
linux-libc-dev: Linux 6.1), and of the list below for what is newer.
"""

import re

_HEADERS = "/usr/include/x86_64-linux-gnu/asm/unistd_%s.h"
_KINDS = ("64", "32", "x32")

# Linux 6.2 to 6.18, from arch/x86/entry/syscalls: the same number everywhere.
_NEWER = {
    "cachestat": 451, "fchmodat2": 452, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458,
    "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463,
    "getxattrat": 464, "listxattrat": 465, "removexattrat": 466,
    "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469,
}
# Of 64 bits only, but for map_shadow_stack, whose number i386 has too.
_NEWER_ONLY = {
    "uretprobe": {"64": 335}, "uprobe": {"64": 336},
    "map_shadow_stack": {"64": 453, "32": 453},
}

# What i386 also, or only, reaches through one call: the first argument says
# what (include/uapi/linux/net.h and ipc.h).
_SOCKETCALL = {
    "socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5,
    "getsockname": 6, "getpeername": 7, "socketpair": 8, "send": 9, "recv": 10,
    "sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14,
    "getsockopt": 15, "sendmsg": 16, "recvmsg": 17, "accept4": 18,
    "recvmmsg": 19, "sendmmsg": 20,
}
_IPC = {
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11,
    "msgrcv": 12, "msgget": 13, "msgctl": 14, "shmat": 21, "shmdt": 22,
    "shmget": 23, "shmctl": 24,
}


def _numbers(kind):
    """Names to numbers, as the header has them."""
    define = re.compile(
        r"#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ (\d+)\)|(\d+))")
    with open(_HEADERS % kind, encoding="utf-8") as f:
        return {m[1]: int(m[2] or m[3]) for m in define.finditer(f.read())}


def main():
    numbers = {kind: _numbers(kind) for kind in _KINDS}
    for name, number in _NEWER.items():
        for kind in _KINDS:
            numbers[kind][name] = number
    for name, of_kind in _NEWER_ONLY.items():
        for kind, number in of_kind.items():
            numbers[kind][name] = number
    names = set(_SOCKETCALL) | set(_IPC)
    names.update(*(numbers[kind] for kind in _KINDS))
    print("// Printed by tools/lib/syscall_table.py: change that.")
    print("// Name; numbers on x86_64, i386, x32 (-1: none); on i386 also as")
    print("// this request of socketcall(2) or ipc(2) (0: neither).")
    for name in sorted(names):
        print('{"%s", {%d, %d, %d}, %d, %d},' % (
            name, *(numbers[kind].get(name, -1) for kind in _KINDS),
            _SOCKETCALL.get(name, 0), _IPC.get(name, 0)))


if __name__ == "__main__":
    main()
