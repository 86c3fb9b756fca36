/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of functions: a list of what is allowed, in the manner of Docker's default profile.
 *
 * The guest's kernel is the function's own, and the VMM is the wall to others; but PID 1, which
 * makes each clone unique, lives on this kernel too, and the calls that are left out are those
 * through which kernels are taken over. A list of what is refused would let every call of a later
 * kernel through. It is compiled once, when the template is built; at run time the kernel answers
 * for an allowed call from a bitmap.
 *
 * The default is ENOSYS, so that programs fall back to older calls, as glibc does from clone3
 * (whose flags a filter cannot see) to clone. What programs expect to be forbidden says EPERM.
 * Compared with Docker's: no ptrace, process_vm_*, pidfd_getfd and modify_ldt, and x86-64 only.
 */
#include "function_seccomp.h"

#define ALLOWED \
	"\"accept\", \"accept4\", \"access\", \"adjtimex\", \"alarm\", \"arch_prctl\", " \
	"\"bind\", \"brk\", \"capget\", \"capset\", \"chdir\", \"chmod\", \"chown\", " \
	"\"chroot\", \"clock_adjtime\", \"clock_getres\", \"clock_gettime\", " \
	"\"clock_nanosleep\", \"close\", \"close_range\", \"connect\", \"copy_file_range\", " \
	"\"creat\", \"dup\", \"dup2\", \"dup3\", \"epoll_create\", \"epoll_create1\", " \
	"\"epoll_ctl\", \"epoll_pwait\", \"epoll_pwait2\", \"epoll_wait\", \"eventfd\", " \
	"\"eventfd2\", \"execve\", \"execveat\", \"exit\", \"exit_group\", \"faccessat\", " \
	"\"faccessat2\", \"fadvise64\", \"fallocate\", \"fanotify_mark\", \"fchdir\", " \
	"\"fchmod\", \"fchmodat\", \"fchown\", \"fchownat\", \"fcntl\", \"fdatasync\", " \
	"\"fgetxattr\", \"flistxattr\", \"flock\", \"fork\", \"fremovexattr\", " \
	"\"fsetxattr\", \"fstat\", \"fstatfs\", \"fsync\", \"ftruncate\", \"futex\", " \
	"\"futex_waitv\", \"futimesat\", \"get_robust_list\", \"get_thread_area\", " \
	"\"getcpu\", \"getcwd\", \"getdents\", \"getdents64\", \"getegid\", \"geteuid\", " \
	"\"getgid\", \"getgroups\", \"getitimer\", \"getpeername\", \"getpgid\", " \
	"\"getpgrp\", \"getpid\", \"getppid\", \"getpriority\", \"getrandom\", " \
	"\"getresgid\", \"getresuid\", \"getrlimit\", \"getrusage\", \"getsid\", " \
	"\"getsockname\", \"getsockopt\", \"gettid\", \"gettimeofday\", \"getuid\", " \
	"\"getxattr\", \"inotify_add_watch\", \"inotify_init\", \"inotify_init1\", " \
	"\"inotify_rm_watch\", \"io_cancel\", \"io_destroy\", \"io_getevents\", " \
	"\"io_pgetevents\", \"io_setup\", \"io_submit\", \"ioctl\", \"ioprio_get\", " \
	"\"ioprio_set\", \"kill\", \"landlock_add_rule\", \"landlock_create_ruleset\", " \
	"\"landlock_restrict_self\", \"lchown\", \"lgetxattr\", \"link\", \"linkat\", " \
	"\"listen\", \"listxattr\", \"llistxattr\", \"lremovexattr\", \"lseek\", " \
	"\"lsetxattr\", \"lstat\", \"madvise\", \"membarrier\", \"memfd_create\", " \
	"\"memfd_secret\", \"mincore\", \"mkdir\", \"mkdirat\", \"mknod\", \"mknodat\", " \
	"\"mlock\", \"mlock2\", \"mlockall\", \"mmap\", \"mprotect\", \"mq_getsetattr\", " \
	"\"mq_notify\", \"mq_open\", \"mq_timedreceive\", \"mq_timedsend\", \"mq_unlink\", " \
	"\"mremap\", \"msgctl\", \"msgget\", \"msgrcv\", \"msgsnd\", \"msync\", \"munlock\", " \
	"\"munlockall\", \"munmap\", \"name_to_handle_at\", \"nanosleep\", \"newfstatat\", " \
	"\"open\", \"openat\", \"openat2\", \"pause\", \"pidfd_open\", " \
	"\"pidfd_send_signal\", \"pipe\", \"pipe2\", \"pkey_alloc\", \"pkey_free\", " \
	"\"pkey_mprotect\", \"poll\", \"ppoll\", \"prctl\", \"pread64\", \"preadv\", " \
	"\"preadv2\", \"prlimit64\", \"process_mrelease\", \"pselect6\", \"pwrite64\", " \
	"\"pwritev\", \"pwritev2\", \"read\", \"readahead\", \"readlink\", \"readlinkat\", " \
	"\"readv\", \"recvfrom\", \"recvmmsg\", \"recvmsg\", \"remap_file_pages\", " \
	"\"removexattr\", \"rename\", \"renameat\", \"renameat2\", \"restart_syscall\", " \
	"\"rmdir\", \"rseq\", \"rt_sigaction\", \"rt_sigpending\", \"rt_sigprocmask\", " \
	"\"rt_sigqueueinfo\", \"rt_sigreturn\", \"rt_sigsuspend\", \"rt_sigtimedwait\", " \
	"\"rt_tgsigqueueinfo\", \"sched_get_priority_max\", \"sched_get_priority_min\", " \
	"\"sched_getaffinity\", \"sched_getattr\", \"sched_getparam\", " \
	"\"sched_getscheduler\", \"sched_rr_get_interval\", \"sched_setaffinity\", " \
	"\"sched_setattr\", \"sched_setparam\", \"sched_setscheduler\", \"sched_yield\", " \
	"\"seccomp\", \"select\", \"semctl\", \"semget\", \"semop\", \"semtimedop\", " \
	"\"sendfile\", \"sendmmsg\", \"sendmsg\", \"sendto\", \"set_robust_list\", " \
	"\"set_thread_area\", \"set_tid_address\", \"setfsgid\", \"setfsuid\", \"setgid\", " \
	"\"setgroups\", \"setitimer\", \"setpgid\", \"setpriority\", \"setregid\", " \
	"\"setresgid\", \"setresuid\", \"setreuid\", \"setrlimit\", \"setsid\", " \
	"\"setsockopt\", \"setuid\", \"setxattr\", \"shmat\", \"shmctl\", \"shmdt\", " \
	"\"shmget\", \"shutdown\", \"sigaltstack\", \"signalfd\", \"signalfd4\", " \
	"\"socketpair\", \"splice\", \"stat\", \"statfs\", \"statx\", \"symlink\", " \
	"\"symlinkat\", \"sync\", \"sync_file_range\", \"syncfs\", \"sysinfo\", \"tee\", " \
	"\"tgkill\", \"time\", \"timer_create\", \"timer_delete\", \"timer_getoverrun\", " \
	"\"timer_gettime\", \"timer_settime\", \"timerfd_create\", \"timerfd_gettime\", " \
	"\"timerfd_settime\", \"times\", \"tkill\", \"truncate\", \"umask\", \"uname\", " \
	"\"unlink\", \"unlinkat\", \"utime\", \"utimensat\", \"utimes\", \"vfork\", " \
	"\"vmsplice\", \"wait4\", \"waitid\", \"write\", \"writev\""

#define FORBIDDEN \
	"\"acct\", \"add_key\", \"bpf\", \"clock_settime\", \"delete_module\", " \
	"\"fanotify_init\", \"finit_module\", \"fsconfig\", \"fsmount\", \"fsopen\", " \
	"\"fspick\", \"get_mempolicy\", \"init_module\", \"ioperm\", \"iopl\", \"kcmp\", " \
	"\"kexec_file_load\", \"kexec_load\", \"keyctl\", \"mbind\", \"migrate_pages\", " \
	"\"mount\", \"mount_setattr\", \"move_mount\", \"move_pages\", " \
	"\"open_by_handle_at\", \"open_tree\", \"perf_event_open\", \"pidfd_getfd\", " \
	"\"pivot_root\", \"process_madvise\", \"process_vm_readv\", \"process_vm_writev\", " \
	"\"ptrace\", \"quotactl\", \"quotactl_fd\", \"reboot\", \"request_key\", " \
	"\"set_mempolicy\", \"setdomainname\", \"sethostname\", \"setns\", \"settimeofday\", " \
	"\"swapoff\", \"swapon\", \"syslog\", \"umount2\", \"unshare\", \"userfaultfd\", " \
	"\"vhangup\""

#define EPERM_NUMBER "1"

/* New namespaces (CLONE_NEW*) would give a process capabilities over its own, and with them most of
 * the kernel. AF_VSOCK, 40, leads out of the guest. Personalities as Docker has them: that which
 * there is, and the three harmless ones. */
#define NO_NAMESPACES "2114060288"
#define PERSONALITY(value)                                                                    \
	", {\"names\": [\"personality\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": "        \
	"[{\"index\": 0, \"value\": " value ", \"op\": \"SCMP_CMP_EQ\"}]}"

const char function_seccomp[] =
	"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 38, "
	"\"architectures\": [\"SCMP_ARCH_X86_64\"], \"syscalls\": ["
	"{\"names\": [" ALLOWED "], \"action\": \"SCMP_ACT_ALLOW\"}, "
	"{\"names\": [" FORBIDDEN "], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": " EPERM_NUMBER
	"}, "
	"{\"names\": [\"clone\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, \"value\": "
	NO_NAMESPACES ", \"valueTwo\": 0, \"op\": \"SCMP_CMP_MASKED_EQ\"}]}, "
	"{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": "
	"[{\"index\": 0, \"value\": 40, \"op\": \"SCMP_CMP_NE\"}]}"
	PERSONALITY("0") PERSONALITY("8") PERSONALITY("131072") PERSONALITY("131080")
	PERSONALITY("4294967295") "]}";
