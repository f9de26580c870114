"""Pure text: what we say to Windows (scripts, rsyncd.conf) and how we read its answers."""
