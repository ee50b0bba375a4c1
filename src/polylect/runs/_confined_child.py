"""The child of ``runs.confined``: confines itself, then runs the program. Standard library only."""

import ctypes
import json
import os
import platform
import resource
import struct
import sys

# System calls that computing needs, by number. All others fail with EPERM.
ALLOWED = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7,
        "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
        "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19,
        "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28,
        "dup": 32, "nanosleep": 35, "getitimer": 36, "setitimer": 38, "getpid": 39, "exit": 60,
        "uname": 63, "fcntl": 72, "getcwd": 79, "readlink": 89, "gettimeofday": 96,
        "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102,
        "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131,
        "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
        "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
        "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "set_robust_list": 273,
        "getrandom": 318, "statx": 332, "rseq": 334, "faccessat2": 439,
    },
    "aarch64": {
        "getcwd": 17, "dup": 23, "fcntl": 25, "ioctl": 29, "faccessat": 48, "close": 57,
        "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66,
        "pread64": 67, "pselect6": 72, "ppoll": 73, "readlinkat": 78, "newfstatat": 79,
        "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99,
        "nanosleep": 101, "getitimer": 102, "setitimer": 103, "clock_gettime": 113,
        "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "times": 153, "uname": 160, "getrlimit": 163, "getrusage": 165, "gettimeofday": 169,
        "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176,
        "getegid": 177, "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215, "mremap": 216,
        "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278, "statx": 291, "rseq": 293,
        "faccessat2": 439,
    },
}  # fmt: skip
# Files may be opened for reading only: number of the call, and index of its flags argument.
OPENS = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _JUMP_EQUAL, _JUMP_AND, _JUMP_FROM, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # refuse: EPERM
_WRITES = 0o3 | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
_X32 = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


def program_of(machine: str) -> tuple[bytes, int]:
    """The filter as classic BPF instructions, and their number."""
    code = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_JUMP_EQUAL, 1, 0, ARCHITECTURE[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_FROM, 0, 1, _X32),  # the second numbering of x86-64
        (_RETURN, 0, 0, _REFUSE),
    ]
    for number, argument in OPENS[machine]:
        code += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_JUMP_AND, 0, 1, _WRITES),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number in sorted(ALLOWED[machine].values()):
        code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code), len(code)


def confine(job: dict[str, int]) -> None:
    """Give up everything but computing; raises OSError if that is impossible."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_AS, (job["memory"], job["memory"]))
    code, num = program_of(platform.machine())
    buffer = ctypes.create_string_buffer(code)
    described = struct.pack("HxxxxxxP", num, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero),
        (_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.c_char_p(described), zero, zero),
    ):
        if library.prctl(*call):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    """Read the job, confine the process, run the program, send the outcome."""
    pipe = int(sys.argv[1])
    job = json.loads(sys.stdin.buffer.read())
    try:
        confine(job)
    except (OSError, ValueError) as error:
        os.write(pipe, f"not confined: {error}\n".encode())
        os._exit(1)
    os.write(pipe, b"confined\n")
    space = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(job["program"], "program", "exec"), space)
        outcome = job["token"]
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}"
    os.write(pipe, outcome.encode("utf-8", "replace") + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()
