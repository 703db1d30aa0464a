"""How many files may be open: each connection is one."""

import resource


def allow(need: int) -> int:
    """Let so many be open if this process may; how many may be now."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= need:
        return need
    may = need if most == resource.RLIM_INFINITY else min(need, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, may), most))
    return max(now, may)
