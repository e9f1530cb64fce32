"""System calls that the wall around an agent refuses, as rules of a seccomp filter.

Landlock guards the contents of files. It knows neither of file modes, owners and times, nor of sockets but TCP's, nor
of calls that change the system itself: those are here. Beside them stands `seccomp.REACHING_INTO_PROCESSES`, which
holds for every agent, also for one without a wall.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from aios.hosts.seccomp import Condition, Rule

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
    Rule("socket", (41, 198), error=errno.EACCES),
    Rule(
        "socketpair",
        (53, 199),
        condition=Condition(0, (AF_UNIX,)),
        also=Condition(1, CONNECTED_KINDS, mask=SOCKET_KIND),
        error=errno.EACCES,
    ),
    Rule("connect", (42, 203), error=errno.EACCES),
    Rule("bind", (49, 200), error=errno.EACCES),
    Rule("listen", (50, 201), error=errno.EACCES),
    Rule("accept", (43, 202), error=errno.EACCES),
    Rule("accept4", (288, 242), error=errno.EACCES),
)
"""A pair of connected sockets is the inside of an event loop, and reaches nobody. One of datagrams could send, without
connect(2), to any socket that has a path, and a descriptor along with it."""

METADATA = (
    Rule("chmod", (90, None), error=0),
    Rule("fchmod", (91, 52), error=0),
    Rule("fchmodat", (268, 53), error=0),
    Rule("fchmodat2", (452, 452), error=0),
    Rule("utime", (132, None), error=0),
    Rule("utimes", (235, None), error=0),
    Rule("futimesat", (261, None), error=0),
    Rule("utimensat", (280, 88), error=0),
    Rule("chown", (92, None)),
    Rule("fchown", (93, 55)),
    Rule("lchown", (94, None)),
    Rule("fchownat", (260, 54)),
    Rule("setxattr", (188, 5)),
    Rule("lsetxattr", (189, 6)),
    Rule("fsetxattr", (190, 7)),
    Rule("removexattr", (197, 14)),
    Rule("lremovexattr", (198, 15)),
    Rule("fremovexattr", (199, 16)),
    Rule("setxattrat", (463, 463)),
    Rule("removexattrat", (466, 466)),
    Rule("file_setattr", (469, 469)),
    Rule("inotify_init", (253, None)),
    Rule("inotify_init1", (294, 26)),
    Rule("fanotify_init", (300, 262)),
    Rule("name_to_handle_at", (303, 264)),
    Rule("open_by_handle_at", (304, 265)),
    Rule("quotactl", (179, 60)),
    Rule("quotactl_fd", (443, 443)),
    Rule("statmount", (457, 457)),
    Rule("listmount", (458, 458)),
)
"""Copying a file or unpacking an archive sets modes and times, and neither matters in a directory that only its agent
reads: that says that it was done, so that honest programs go on. Files that an agent can only read stay as they are."""

OTHERS = (
    Rule("clone3", (435, 435), error=errno.ENOSYS),  # its flags lie in memory; libraries then call clone
    Rule("pidfd_open", (434, 434)),
    Rule("pidfd_send_signal", (424, 424)),
    Rule("rt_sigqueueinfo", (129, 138)),
    Rule("rt_tgsigqueueinfo", (297, 240)),
    Rule("ioprio_set", (251, 30)),
    Rule("setpriority", (141, 140)),
    Rule("sched_setparam", (142, 118), unless_zero=0),
    Rule("sched_setscheduler", (144, 119), unless_zero=0),
    Rule("sched_setattr", (314, 274), unless_zero=0),
    Rule("sched_setaffinity", (203, 122), unless_zero=0),
    Rule("fcntl", (72, 25), condition=Condition(1, FCNTL_OWNERS, allows=False)),
    Rule("ioctl", (16, 29), condition=Condition(1, TERMINAL_AND_OWNERS, allows=False)),
    Rule("shmget", (29, 194)),
    Rule("shmat", (30, 196)),
    Rule("shmctl", (31, 195)),
    Rule("semget", (64, 190)),
    Rule("semop", (65, 193)),
    Rule("semctl", (66, 191)),
    Rule("semtimedop", (220, 192)),
    Rule("msgget", (68, 186)),
    Rule("msgsnd", (69, 189)),
    Rule("msgrcv", (70, 188)),
    Rule("msgctl", (71, 187)),
    Rule("mq_open", (240, 180)),
    Rule("mq_unlink", (241, 181)),
    Rule("memfd_create", (319, 279), error=errno.ENOSYS),
    Rule("memfd_secret", (447, 447), error=errno.ENOSYS),
    Rule("keyctl", (250, 219)),
    Rule("add_key", (248, 217)),
    Rule("request_key", (249, 218)),
)
"""What reaches other processes, or memory that is shared or that no limit of a process bounds."""

SYSTEM = (
    Rule("unshare", (272, 97)),
    Rule("setns", (308, 268)),
    Rule("mount", (165, 40)),
    Rule("umount2", (166, 39)),
    Rule("pivot_root", (155, 41)),
    Rule("chroot", (161, 51)),
    Rule("open_tree", (428, 428)),
    Rule("open_tree_attr", (467, 467)),
    Rule("move_mount", (429, 429)),
    Rule("fsopen", (430, 430)),
    Rule("fsconfig", (431, 431)),
    Rule("fsmount", (432, 432)),
    Rule("fspick", (433, 433)),
    Rule("mount_setattr", (442, 442)),
    Rule("swapon", (167, 224)),
    Rule("swapoff", (168, 225)),
    Rule("acct", (163, 89)),
    Rule("reboot", (169, 142)),
    Rule("kexec_load", (246, 104)),
    Rule("kexec_file_load", (320, 294)),
    Rule("init_module", (175, 105)),
    Rule("finit_module", (313, 273)),
    Rule("delete_module", (176, 106)),
    Rule("settimeofday", (164, 170)),
    Rule("adjtimex", (159, 171)),
    Rule("clock_adjtime", (305, 266)),
    Rule("clock_settime", (227, 112)),
    Rule("sethostname", (170, 161)),
    Rule("setdomainname", (171, 162)),
    Rule("syslog", (103, 116)),
    Rule("vhangup", (153, 58)),
    Rule("ioperm", (173, None)),
    Rule("iopl", (172, None)),
    Rule("modify_ldt", (154, None)),
    Rule("uselib", (134, None)),
    Rule("nfsservctl", (180, 42)),
    Rule("lookup_dcookie", (212, 18)),
    Rule("personality", (135, 92), condition=Condition(0, (PERSONALITY_QUERY,))),
    Rule("io_uring_setup", (425, 425)),
    Rule("io_uring_enter", (426, 426)),
    Rule("io_uring_register", (427, 427)),
)
"""Interfaces that change the machine, or that are large and that no agent needs."""

USERS = (
    Rule("setuid", (105, 146)),
    Rule("setgid", (106, 144)),
    Rule("setreuid", (113, 145)),
    Rule("setregid", (114, 143)),
    Rule("setresuid", (117, 147)),
    Rule("setresgid", (119, 149)),
    Rule("setgroups", (116, 159)),
    Rule("setfsuid", (122, 151)),
    Rule("setfsgid", (123, 152)),
)
STARTING = (
    Rule("execve", (59, 221)),
    Rule("execveat", (322, 281)),
    Rule("fork", (57, None)),
    Rule("vfork", (58, None)),
    Rule("clone", (56, 220), condition=Condition(0, (CLONE_THREAD,), mask=CLONE_THREAD | CLONE_NAMESPACES)),
    Rule("prctl", (157, 167), condition=Condition(0, PRCTL_UNDOING, allows=False)),
)
"""Programs and processes; a thread may be started."""


TRUNCATE = Rule("truncate", (76, 45), error=errno.EACCES)
"""By a path; that of an open file, and opening one to write it anew, take that it may be written."""


def rules(pid: int, *, exec: bool, truncate: bool = True) -> Iterator[Rule]:
    """What a process of this pid is refused; `exec` lets it start programs, and signal them.

    `truncate` lets it cut files by their paths, where Landlock knows which.
    """
    yield from (*NETWORK, *METADATA, *OTHERS, *SYSTEM)
    if not truncate:
        yield TRUNCATE
    if exec:
        yield Rule("clone", (56, 220), condition=Condition(0, (0,), mask=CLONE_NAMESPACES))
        return
    yield from (*USERS, *STARTING)
    yield Rule("kill", (62, 129), condition=Condition(0, (pid,)))
    yield Rule("tgkill", (234, 131), condition=Condition(0, (pid,)))
    yield Rule("tkill", (200, 130))
