"""The only place with effects: SMB and PAExec, files of the server, the clock, the rsync client."""
