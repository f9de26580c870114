#
# BackupPC 4.x settings for HOST, a Windows host that vsspc serves. This is /etc/BackupPC/pc/HOST.pl, in
# Debian /etc/backuppc/HOST.pl, as `vsspc backuppc HOST` prints it from /etc/vsspc/vsspc.toml.
# Print it again after a change of the host's volumes, rsync_port, restore or max_ttl there, or of state_dir.
# `vsspc check HOST` says whether BackupPC has what it needs.
#
# The shape of this file matters to BackupPC's web editor, which rewrites it on every save: one statement a line or
# block, no comment behind a statement, user commands as plain strings (it destroys the list form), and a true value
# at the end (BackupPC refuses a file that ends in an undefined one).
#

#
# One rsync module for each volume that the host's `volumes` names in vsspc.toml: C for C:, D for D:.
#
$Conf{XferMethod} = 'rsyncd';
$Conf{RsyncShareName} = ['C'];

#
# Port, user and password come with each run: DumpPreShareCmd below loads them. Until then there is no password, and
# BackupPC refuses to transfer: so nothing else that listens on the host can be read by mistake. Do not put one here.
#
$Conf{RsyncdUserName} = 'backuppc';
$Conf{RsyncdPasswd} = '';

#
# The hooks. Without UserCmdCheckStatus = 1 BackupPC ignores a hook that fails.
# Those that begin with & are Perl that BackupPC evaluates. They count as failed until VSSPC.pm says $? = 0, so a
# missing or broken VSSPC.pm ends the dump too. /var/lib/vsspc is state_dir of vsspc.toml.
# pre makes the shadow copy and serves it, load gives this run's port and password to the transfer, count notes how
# many files a share has, post takes everything down. restore does what pre and load do, for a restore.
#
$Conf{UserCmdCheckStatus} = 1;
$Conf{DumpPreUserCmd} = '&{sub { $? = 256; require "/opt/vsspc/shims/VSSPC.pm"; VSSPC::pre($bpc, $args[0], "/opt/vsspc/shims/vsspc-pre") }}';
$Conf{DumpPreShareCmd} = '&{sub { $? = 256; require "/opt/vsspc/shims/VSSPC.pm"; VSSPC::load($bpc, $args[0], "/var/lib/vsspc") }}';
$Conf{DumpPostShareCmd} = '&{sub { require "/opt/vsspc/shims/VSSPC.pm"; VSSPC::count($bpc, $args[0], "/var/lib/vsspc") }}';
$Conf{DumpPostUserCmd} = '/opt/vsspc/shims/vsspc-post --client $client --host $hostIP --xfer-ok $xferOK';
$Conf{RestorePreUserCmd} = '&{sub { $? = 256; require "/opt/vsspc/shims/VSSPC.pm"; VSSPC::restore($bpc, $args[0], "/opt/vsspc/shims/vsspc-restore-pre", "/var/lib/vsspc") }}';
$Conf{RestorePostUserCmd} = '/opt/vsspc/shims/vsspc-restore-post --client $client --host $hostIP --xfer-ok $xferOK';

#
# A full dump that found no file at all is a failure, not an empty backup.
#
$Conf{BackupZeroFilesIsFatal} = 1;

#
# Nothing beyond BackupPC's own RsyncArgs. Above all no --ignore-errors, with which a shadow copy that vanishes in
# mid-transfer would delete files from the backup.
#
$Conf{RsyncArgsExtra} = [];

#
# The rsync on the host speaks UTF-8, and so does BackupPC: nothing is to be converted.
#
$Conf{ClientCharset} = '';

#
# Direct restores are off for this host (`restore`). An undefined RsyncRestoreArgs hides them, and RestorePreUserCmd
# refuses one that is asked for all the same; files are restored as a zip or tar archive from BackupPC's pages.
#
$Conf{RsyncRestoreArgs} = undef;

#
# What is not worth keeping from a Windows volume. Patterns begin at the volume's root; rsync minds upper and lower
# case, so names that Windows spells in two ways are listed twice. 'C' is the system volume, '*' any other one.
# First: files that Windows makes anew at each start, and its own stores of shadow copies and deleted files.
# Then: caches, temporary files and reports. Last: what vsspc itself has on the host while a dump runs.
#
$Conf{BackupFilesExclude} = {
  'C' => [
    '/pagefile.sys',
    '/System Volume Information/',
    '/$Recycle.Bin/',
    '/$RECYCLE.BIN/',
    '/RECYCLER/',
    '/Config.Msi/',
    '/hiberfil.sys',
    '/swapfile.sys',
    '/DumpStack.log*',
    '/$WinREAgent/',
    '/$Windows.~BT/',
    '/$WINDOWS.~BT/',
    '/$Windows.~WS/',
    '/$SysReset/',
    '/MSOCache/',
    '/Recovery/',
    '/Windows/Temp/*',
    '/Windows/Prefetch/',
    '/Windows/CSC/',
    '/Windows/SoftwareDistribution/Download/*',
    '/Windows/MEMORY.DMP',
    '/Windows/Minidump/',
    '/Windows/LiveKernelReports/',
    '/Windows/Logs/CBS/',
    '/ProgramData/Microsoft/Search/',
    '/ProgramData/Microsoft/Windows/WER/',
    '/ProgramData/Microsoft/Network/Downloader/',
    '/ProgramData/Microsoft/Windows Defender/Scans/',
    '/ProgramData/Package Cache/',
    '/Users/*/AppData/Local/Temp/*',
    '/Users/*/AppData/Local/Microsoft/Windows/INetCache/',
    '/Users/*/AppData/Local/Microsoft/Windows/Explorer/thumbcache_*.db',
    '/Users/*/AppData/Local/Microsoft/Windows/WER/',
    '/Users/*/AppData/Local/Microsoft/WindowsApps/',
    '/Users/*/AppData/Local/CrashDumps/',
    '/Users/*/AppData/**/Cache/',
    '/Users/*/AppData/**/Code Cache/',
    '/Users/*/AppData/**/GPUCache/',
    '/Windows/vsspc*',
    '/vsspc-*/'
  ],
  '*' => [
    '/pagefile.sys',
    '/System Volume Information/',
    '/$Recycle.Bin/',
    '/$RECYCLE.BIN/',
    '/RECYCLER/',
    '/Config.Msi/',
    '/vsspc-*/'
  ]
};

1;
