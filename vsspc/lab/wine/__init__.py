"""The lab's second tier: the real paexec.exe, as a service of Wine's service manager, behind the same stock Samba.

What is real here: PAExec, the service manager's interface and states, cmd.exe's reading of our scripts as far as Wine's
own cmd.exe is right, processes and pipes. What is not: LocalSystem (Wine has none), access lists, timing, VSS.
"""
