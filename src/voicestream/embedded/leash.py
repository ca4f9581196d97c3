"""Runs a command that the kernel kills when the process that started it is gone.

Started by path as ``python -I -S leash.py PARENT_PID COMMAND…``, so it imports next to nothing and takes its place by
``exec``: the process id stays that of the command. Linux has the call for it (``prctl``); elsewhere the command
merely runs, and is stopped by its parent in the ordinary way only.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
