"""System calls that the wall around an agent refuses, as rules of a seccomp filter.

Landlock guards the contents of files. It knows neither of file modes, owners and times, nor of sockets but TCP's, nor
of calls that change the system itself: those are here. Beside them stands `seccomp.REACHING_INTO_PROCESSES`, which
holds for every agent, also for one without a wall.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from aios.wall.seccomp import Condition, SeccompRule

CLONE_THREAD, CLONE_NAMESPACES = 0x00010000, 0x7E020080
"""Flags of clone(2); the second is every CLONE_NEW*."""
AF_UNIX = 1
CONNECTED_KINDS, SOCKET_KIND = (1, 5), 0xF
"""SOCK_STREAM and SOCK_SEQPACKET, and the part of a socket's type that says this."""
PRCTL_UNDOING = (1, 4, 35, 36, 0x59616D61)
"""PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_MM, PR_SET_CHILD_SUBREAPER, PR_SET_PTRACER: bounds of ours, undone."""
TERMINAL_AND_OWNERS = (0x5412, 0x541C, 0x541D, 0x8901, 0x8902)
"""ioctl: TIOCSTI, TIOCLINUX and TIOCCONS type into terminals; FIOSETOWN and SIOCSPGRP have signals sent to others."""
FCNTL_OWNERS = (8, 10, 15)
"""fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX."""
PERSONALITY_QUERY = 0xFFFFFFFF

NETWORK = (
    SeccompRule("socket", (41, 198), error=errno.EACCES),
    SeccompRule(
        "socketpair",
        (53, 199),
        condition=Condition(0, (AF_UNIX,)),
        also=Condition(1, CONNECTED_KINDS, mask=SOCKET_KIND),
        error=errno.EACCES,
    ),
    SeccompRule("connect", (42, 203), error=errno.EACCES),
    SeccompRule("bind", (49, 200), error=errno.EACCES),
    SeccompRule("listen", (50, 201), error=errno.EACCES),
    SeccompRule("accept", (43, 202), error=errno.EACCES),
    SeccompRule("accept4", (288, 242), error=errno.EACCES),
)
"""A pair of connected sockets is the inside of an event loop, and reaches nobody. One of datagrams could send, without
connect(2), to any socket that has a path, and a descriptor along with it."""

METADATA = (
    SeccompRule("chmod", (90, None), error=0),
    SeccompRule("fchmod", (91, 52), error=0),
    SeccompRule("fchmodat", (268, 53), error=0),
    SeccompRule("fchmodat2", (452, 452), error=0),
    SeccompRule("utime", (132, None), error=0),
    SeccompRule("utimes", (235, None), error=0),
    SeccompRule("futimesat", (261, None), error=0),
    SeccompRule("utimensat", (280, 88), error=0),
    SeccompRule("chown", (92, None)),
    SeccompRule("fchown", (93, 55)),
    SeccompRule("lchown", (94, None)),
    SeccompRule("fchownat", (260, 54)),
    SeccompRule("setxattr", (188, 5)),
    SeccompRule("lsetxattr", (189, 6)),
    SeccompRule("fsetxattr", (190, 7)),
    SeccompRule("removexattr", (197, 14)),
    SeccompRule("lremovexattr", (198, 15)),
    SeccompRule("fremovexattr", (199, 16)),
    SeccompRule("setxattrat", (463, 463)),
    SeccompRule("removexattrat", (466, 466)),
    SeccompRule("file_setattr", (469, 469)),
    SeccompRule("inotify_init", (253, None)),
    SeccompRule("inotify_init1", (294, 26)),
    SeccompRule("fanotify_init", (300, 262)),
    SeccompRule("name_to_handle_at", (303, 264)),
    SeccompRule("open_by_handle_at", (304, 265)),
    SeccompRule("quotactl", (179, 60)),
    SeccompRule("quotactl_fd", (443, 443)),
    SeccompRule("statmount", (457, 457)),
    SeccompRule("listmount", (458, 458)),
)
"""Copying a file or unpacking an archive sets modes and times, and neither matters in a directory that only its agent
reads: that says that it was done, so that honest programs go on. Files that an agent can only read stay as they are."""

OTHERS = (
    SeccompRule("clone3", (435, 435), error=errno.ENOSYS),  # its flags lie in memory; libraries then call clone
    SeccompRule("pidfd_open", (434, 434)),
    SeccompRule("pidfd_send_signal", (424, 424)),
    SeccompRule("rt_sigqueueinfo", (129, 138)),
    SeccompRule("rt_tgsigqueueinfo", (297, 240)),
    SeccompRule("ioprio_set", (251, 30)),
    SeccompRule("setpriority", (141, 140)),
    SeccompRule("sched_setparam", (142, 118), unless_zero=0),
    SeccompRule("sched_setscheduler", (144, 119), unless_zero=0),
    SeccompRule("sched_setattr", (314, 274), unless_zero=0),
    SeccompRule("sched_setaffinity", (203, 122), unless_zero=0),
    SeccompRule("fcntl", (72, 25), condition=Condition(1, FCNTL_OWNERS, allows=False)),
    SeccompRule("ioctl", (16, 29), condition=Condition(1, TERMINAL_AND_OWNERS, allows=False)),
    SeccompRule("shmget", (29, 194)),
    SeccompRule("shmat", (30, 196)),
    SeccompRule("shmctl", (31, 195)),
    SeccompRule("semget", (64, 190)),
    SeccompRule("semop", (65, 193)),
    SeccompRule("semctl", (66, 191)),
    SeccompRule("semtimedop", (220, 192)),
    SeccompRule("msgget", (68, 186)),
    SeccompRule("msgsnd", (69, 189)),
    SeccompRule("msgrcv", (70, 188)),
    SeccompRule("msgctl", (71, 187)),
    SeccompRule("mq_open", (240, 180)),
    SeccompRule("mq_unlink", (241, 181)),
    SeccompRule("memfd_create", (319, 279), error=errno.ENOSYS),
    SeccompRule("memfd_secret", (447, 447), error=errno.ENOSYS),
    SeccompRule("keyctl", (250, 219)),
    SeccompRule("add_key", (248, 217)),
    SeccompRule("request_key", (249, 218)),
)
"""What reaches other processes, or memory that is shared or that no limit of a process bounds."""

SYSTEM = (
    SeccompRule("unshare", (272, 97)),
    SeccompRule("setns", (308, 268)),
    SeccompRule("mount", (165, 40)),
    SeccompRule("umount2", (166, 39)),
    SeccompRule("pivot_root", (155, 41)),
    SeccompRule("chroot", (161, 51)),
    SeccompRule("open_tree", (428, 428)),
    SeccompRule("open_tree_attr", (467, 467)),
    SeccompRule("move_mount", (429, 429)),
    SeccompRule("fsopen", (430, 430)),
    SeccompRule("fsconfig", (431, 431)),
    SeccompRule("fsmount", (432, 432)),
    SeccompRule("fspick", (433, 433)),
    SeccompRule("mount_setattr", (442, 442)),
    SeccompRule("swapon", (167, 224)),
    SeccompRule("swapoff", (168, 225)),
    SeccompRule("acct", (163, 89)),
    SeccompRule("reboot", (169, 142)),
    SeccompRule("kexec_load", (246, 104)),
    SeccompRule("kexec_file_load", (320, 294)),
    SeccompRule("init_module", (175, 105)),
    SeccompRule("finit_module", (313, 273)),
    SeccompRule("delete_module", (176, 106)),
    SeccompRule("settimeofday", (164, 170)),
    SeccompRule("adjtimex", (159, 171)),
    SeccompRule("clock_adjtime", (305, 266)),
    SeccompRule("clock_settime", (227, 112)),
    SeccompRule("sethostname", (170, 161)),
    SeccompRule("setdomainname", (171, 162)),
    SeccompRule("syslog", (103, 116)),
    SeccompRule("vhangup", (153, 58)),
    SeccompRule("ioperm", (173, None)),
    SeccompRule("iopl", (172, None)),
    SeccompRule("modify_ldt", (154, None)),
    SeccompRule("uselib", (134, None)),
    SeccompRule("nfsservctl", (180, 42)),
    SeccompRule("lookup_dcookie", (212, 18)),
    SeccompRule("personality", (135, 92), condition=Condition(0, (PERSONALITY_QUERY,))),
    SeccompRule("io_uring_setup", (425, 425)),
    SeccompRule("io_uring_enter", (426, 426)),
    SeccompRule("io_uring_register", (427, 427)),
)
"""Interfaces that change the machine, or that are large and that no agent needs."""

USERS = (
    SeccompRule("setuid", (105, 146)),
    SeccompRule("setgid", (106, 144)),
    SeccompRule("setreuid", (113, 145)),
    SeccompRule("setregid", (114, 143)),
    SeccompRule("setresuid", (117, 147)),
    SeccompRule("setresgid", (119, 149)),
    SeccompRule("setgroups", (116, 159)),
    SeccompRule("setfsuid", (122, 151)),
    SeccompRule("setfsgid", (123, 152)),
)
STARTING = (
    SeccompRule("execve", (59, 221)),
    SeccompRule("execveat", (322, 281)),
    SeccompRule("fork", (57, None)),
    SeccompRule("vfork", (58, None)),
    SeccompRule("clone", (56, 220), condition=Condition(0, (CLONE_THREAD,), mask=CLONE_THREAD | CLONE_NAMESPACES)),
    SeccompRule("prctl", (157, 167), condition=Condition(0, PRCTL_UNDOING, allows=False)),
)
"""Programs and processes; a thread may be started."""


TRUNCATE = SeccompRule("truncate", (76, 45), error=errno.EACCES)
"""By a path; that of an open file, and opening one to write it anew, take that it may be written."""


def rules(pid: int, *, exec: bool, truncate: bool = True) -> Iterator[SeccompRule]:
    """What a process of this pid is refused; `exec` lets it start programs, and signal them.

    `truncate` lets it cut files by their paths, where Landlock knows which.
    """
    yield from (*NETWORK, *METADATA, *OTHERS, *SYSTEM)
    if not truncate:
        yield TRUNCATE
    if exec:
        yield SeccompRule("clone", (56, 220), condition=Condition(0, (0,), mask=CLONE_NAMESPACES))
        return
    yield from (*USERS, *STARTING)
    yield SeccompRule("kill", (62, 129), condition=Condition(0, (pid,)))
    yield SeccompRule("tgkill", (234, 131), condition=Condition(0, (pid,)))
    yield SeccompRule("tkill", (200, 130))
