package VSSPC;

# The glue between vsspc and BackupPC 4.x. BackupPC evaluates a user command that begins with `&` inside BackupPC_dump
# (or BackupPC_restore); each hook of examples/config.pl calls one of these there:
#
#     pre      DumpPreUserCmd      runs the shim vsspc-pre, which a Stop on BackupPC's page ends at once
#     load     DumpPreShareCmd     gives this run's one-time rsync password and port to the transfer that follows
#     count    DumpPostShareCmd    notes how many files the share had
#     restore  RestorePreUserCmd   runs the shim vsspc-restore-pre, then what load does
#
# BackupPC looks at nothing but $? afterwards: a `die` would leave it at 0 and the transfer would run. So $? means
# failure from the first line on, and success only after the last check. Should the administrator have
# UserCmdCheckStatus = 0, then a dump's emptied password still stops the transfer (BackupPC refuses an empty one), and
# a restore's emptied RsyncBackupPCPath.

use strict;
use warnings;

use Errno qw(EINTR);
use Fcntl qw(O_CREAT O_EXCL O_NOFOLLOW O_NONBLOCK O_RDONLY O_RDWR O_WRONLY);
use POSIX ();

our $VERSION = '2';

use constant FAILED    => 256;      # the wait status of `exit 1`
use constant MAX_BYTES => 4096;     # a session file has about 200
use constant MAX_LINE  => 65536;    # a longer line of output is passed on in pieces

# What a session file must hold, each line once, and what each value must look like.
my %SHAPE = (
    version  => qr/\A1\z/,
    host     => qr/\A[A-Za-z0-9_][A-Za-z0-9._-]{0,252}\z/,
    run      => qr/\A[0-9a-f]{12}\z/,
    port     => qr/\A[1-9][0-9]{0,4}\z/,
    user     => qr/\A[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\z/,
    password => qr/\A[A-Za-z0-9._~+\/=-]{12,128}\z/,
    expires  => qr/\A[1-9][0-9]{0,14}\z/,
);

# What it may hold beside that.
my %OPTIONAL = (purpose => qr/\A(?:dump|restore|command)\z/);    # absent: dump

# The signals that BackupPC_dump and BackupPC_restore catch (they name STOP too, which nobody can catch).
my @SIGNALS = qw(INT TERM ALRM PIPE TSTP TTIN);

# What one hook has to tell the next one: all hooks of a dump are evaluated in the same process.
my %theirs;         # BackupPC's own signal handlers, by signal
my $stopped;        # the first signal that came, undef while there is none
my $undo;           # called at the first signal, while a shim works
my $hold_back;      # true while the first signal must not reach BackupPC yet
my $transferer;     # the program that transfers a restore, once it may run
my $loaded_run;     # the run that an earlier share of this dump was loaded from

# Make the shadow copy and serve it. $vars is the hash that BackupPC hands to user commands; @more are arguments for the
# shim beside its own (`--set KEY=VALUE`). The shim's output goes to XferLOG; $? is its wait status.
#
# BackupPC itself ignores a Stop in the middle of DumpPreUserCmd until the whole transfer is over (BackupPC_dump,
# catch_signal: there is no $xfer to abort). Here the shim gets a TERM, undoes its run and fails; then BackupPC ends the
# dump as it does at a second signal: "aborted by user".
sub pre
{
    my ($bpc, $vars, $shim, @more) = @_;

    $? = FAILED;
    my $client = printable($vars->{client});
    my ($status, $line) = (FAILED, undef);
    my $done = eval {
        # First watch, then look: so no signal falls between the two.
        watch();
        # catch_signal leaves its reason in hostError, which nothing else can have set so early: a Stop in the minutes in
        # which BackupPC_dump copied the last backup.
        ($stopped) = ($vars->{stat}{hostError} || '') =~ /signal=([A-Z]+)/ if (!defined($stopped));
        $line = "vsspc: $client: the dump was stopped by signal $stopped: nothing is begun\n" if (defined($stopped));
        my @arguments = ('--client', $vars->{client}, '--host', $vars->{hostIP}, '--type', $vars->{type}, @more);
        ($status, $line) = run_shim($vars, 1, $shim, @arguments) if (!defined($stopped));
        1;
    };
    my $trouble = $done ? undef : one_line($@);
    # A Stop that came too late for the shim: load() ends the dump, and BackupPC runs DumpPostUserCmd, which it does not
    # when DumpPreUserCmd fails.
    if (defined($stopped) && $status != 0) {
        leave($vars, $line);
        $line = undef;
    }
    if (defined($trouble)) {
        ($status, $line) = (FAILED, "vsspc: $client: DumpPreUserCmd cannot run $shim: $trouble\n");
    }
    $line = ended($client, $shim, $status) if (!defined($line));
    $? = $status;
    return $line;
}

# Load the session of the client that BackupPC dumps now. Returns one line for XferLOG, never with the password in it;
# sets $? to 0 on success, to 256 otherwise.
sub load
{
    my ($bpc, $vars, $state_dir) = @_;

    $? = FAILED;
    my $client = printable($vars->{client});
    my $line = eval {
        $bpc->{Conf}{RsyncdPasswd} = '';
        watch();
        die("the dump was stopped by signal $stopped\n") if (defined($stopped));
        my $folder = state_folder($state_dir, $vars->{client});
        unlink("$folder/counts") if (!defined($loaded_run));    # of an earlier dump
        my $session = session($folder, $vars->{client}, 'dump');
        die("another run took the place of run $loaded_run\n")
            if (defined($loaded_run) && $session->{run} ne $loaded_run);
        $loaded_run = $session->{run};
        use_session($bpc, $session);
    };
    my $status = defined($line) ? 0 : FAILED;
    $line = refusal($client, 'dump', $@) if ($status);
    if (defined($stopped)) {    # perhaps only now
        leave($vars, $status ? $line : refusal($client, 'dump', "the dump was stopped by signal $stopped"));
        $status = FAILED;
    }
    $? = $status;
    return $line;
}

# Note how many files the share had that was just transferred, for the next run's comparison. Never fails a dump.
sub count
{
    my ($bpc, $vars, $state_dir) = @_;

    my ($client, $share) = (printable($vars->{client}), printable($vars->{share}));
    my $line = eval {
        my $xfer = $vars->{xfer};
        die("it was not transferred\n") if (!defined($xfer) || !$xfer->{xferOK});
        my ($files, $bytes) = @{$xfer->{stats}}{qw(nFilesTotal sizeTotal)};
        for my $number ($files, $bytes) {
            die("BackupPC does not know it\n") if (!defined($number) || $number !~ /\A[0-9]{1,18}\z/);
        }
        die("the share's name has unusual characters\n") if ($vars->{share} !~ /\A[\x21-\x7e]{1,255}\z/);
        note(state_folder($state_dir, $vars->{client}), $vars->{share}, "$files $bytes");
        "vsspc: $client: $share has $files files, $bytes bytes\n";
    };
    $line = "vsspc: $client: the number of files of $share is not noted: " . one_line($@) . "\n" if (!defined($line));
    $? = 0;
    return $line;
}

# Serve a writable module for a restore and load its session: a restore has no command before its share. @more: as in pre.
#
# BackupPC_restore runs no RestorePostUserCmd unless this succeeds, and it leaves at the first signal. So what the shim
# made is taken down from here when anything goes wrong after it, and a signal waits until the shim has undone its run.
# BackupPC's alarm for an idle transfer (ClientTimeout) stands still meanwhile: vsspc has deadlines of its own.
sub restore
{
    my ($bpc, $vars, $shim, $state_dir, @more) = @_;

    $? = FAILED;
    my $client = printable($vars->{client});
    my $rsync  = $bpc->{Conf}{RsyncBackupPCPath};
    my $alarm  = alarm(0);
    my ($status, $line) = (FAILED, undef);
    my @host = ('--client', $vars->{client}, '--host', $vars->{hostIP});
    $hold_back = 1;
    my $done = eval {
        $bpc->{Conf}{RsyncBackupPCPath} = $bpc->{Conf}{RsyncdPasswd} = '';
        watch();
        ($status, $line) = run_shim($vars, 1, $shim, @host, '--share', $vars->{share}, @more);
        1;
    };
    my $trouble = $done ? undef : one_line($@);
    if ($status == 0) {
        log_lines($vars, $line);
        $line = eval {
            die("the restore was stopped by signal $stopped\n") if (defined($stopped));
            use_session($bpc, session(state_folder($state_dir, $vars->{client}), $vars->{client}, 'restore'));
        };
        if (!defined($line)) {
            ($status, $line) = (FAILED, refusal($client, 'restore', $@));
            log_lines($vars, $line);
            (my $post = $shim) =~ s/-pre\z/-post/;
            my $undone = eval {
                my ($ended, $last) = run_shim($vars, 0, $post, @host, '--xfer-ok', '0');
                $line = defined($last) ? $last : ended($client, $post, $ended);
            };
            $line = "vsspc: $client: the run waits for the next one: $post cannot be run: " . one_line($@) . "\n"
                if (!defined($undone));
        }
    }
    $hold_back = 0;
    alarm($alarm);
    if (defined($stopped)) {
        $status = FAILED if ($status == 0);    # it came after the last check
        leave($vars, $line);
    }
    $line = "vsspc: $client: RestorePreUserCmd cannot run $shim: $trouble\n" if (defined($trouble));
    $line = ended($client, $shim, $status) if (!defined($line));
    $bpc->{Conf}{RsyncBackupPCPath} = $transferer = $rsync if ($status == 0);
    $? = $status;
    return $line;
}

#
# Signals
#

# Have caught() called for each signal that BackupPC handles, from now on until the process ends: a Stop may also come
# between two hooks, and BackupPC forgets it before each share ($stat{hostError} = undef).
sub watch
{
    for my $name (@SIGNALS) {
        my $handler = $SIG{$name};
        next if (!defined($handler) || $handler =~ /\A(?:DEFAULT|IGNORE|)\z/);
        if (!ref($handler)) {
            no strict 'refs';
            $handler = \&{$handler =~ /::/ ? $handler : "main::$handler"};
        }
        next if ($handler == \&caught);
        $theirs{$name} = $handler;
        $SIG{$name}    = \&caught;    # not by `local`: it has the signal unhandled for a moment
    }
}

# A signal came: note the first, and give it to BackupPC's own handler, which leaves at the second.
sub caught
{
    my ($name) = @_;

    # Not by `local`: BackupPC's handler may exit, and would exit with the old $? then.
    my ($errno, $status) = ($! + 0, $?);
    my $first = !defined($stopped);
    if ($first) {
        $stopped = $name;
        $undo->()                 if (defined($undo));
        end_transfer($transferer) if (defined($transferer));
    }
    $theirs{$name}->($name) if (!($first && $hold_back));
    ($!, $?) = ($errno, $status);
}

# End a child of ours that runs this program: BackupPC_restore, unlike BackupPC_dump, does not (it never learns the pid of
# its rsync_bpc), and runs RestorePostUserCmd while that still writes. So rsync on the host ends in order, and removes the
# file that it was just writing; otherwise it would be ended in the middle of it, and leave it there.
sub end_transfer
{
    my ($program) = @_;

    my @wanted = stat($program);
    open(my $list, '<', "/proc/$$/task/$$/children") or return;
    for my $pid (split(' ', readline($list) || '')) {
        my @runs = stat("/proc/$pid/exe");
        kill('INT', $pid) if (@runs && @wanted && $runs[0] == $wanted[0] && $runs[1] == $wanted[1]);
    }
    close($list);
}

# End the dump or restore as BackupPC itself does at a second signal, and so with its own words on its page. Should
# another version of BackupPC return from that, then the caller fails the hook, which ends it too.
sub leave
{
    my ($vars, @lines) = @_;

    log_lines($vars, @lines);
    my $handler = $theirs{$stopped};
    eval { $handler->($stopped); 1 } or log_lines($vars, 'vsspc: ' . one_line($@) . "\n") if (defined($handler));
}

#
# Shims
#

# Run a program with these arguments, without a shell, and pass its output to XferLOG line by line as it comes. Returns
# its wait status, and the last line of its output for the caller to return (undef when there was none). A signal
# ends it by TERM when it is $stoppable. Dies when it cannot be started.
#
# The program has /dev/null as its input, one pipe as both outputs, and no other descriptor: BackupPC's log and lock files
# would be kept open by whatever the program starts.
sub run_shim
{
    my ($vars, $stoppable, $program, @arguments) = @_;

    for my $argument (@arguments) {
        die("an argument is missing\n")            if (!defined($argument));
        die("an argument has a character of 0\n")  if ($argument =~ /\0/);
        utf8::encode($argument)                    if (utf8::is_utf8($argument));
    }
    local $SIG{CHLD} = 'DEFAULT';    # were it ignored, the kernel would keep the wait status to itself
    pipe(my $reader, my $writer) or die("pipe: $!\n");
    binmode($reader);
    my ($all, $before) = (POSIX::SigSet->new(), POSIX::SigSet->new());
    $all->fillset();
    # No signal between the fork and the noting of the pid, nor in the child before it has none of our handlers.
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $before);
    my $pid = fork();
    become($writer, $before, $program, @arguments) if (defined($pid) && $pid == 0);
    my $errno = $!;
    my $last;
    $undo = sub {
        log_lines($vars, $last, "vsspc: stopped by signal $stopped: $program is told to undo what it did\n");
        $last = undef;
        kill('TERM', $pid);
        kill('CONT', $pid);    # a stopped process (TSTP to the whole group) would not hear it
    } if ($stoppable && defined($pid));
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $before);
    close($writer);
    die("fork: $errno\n") if (!defined($pid));
    my $status = gather($vars, $reader, $pid, \$last);
    return ($status, $last);
}

# The child's side of run_shim: never returns, and runs nothing of BackupPC's.
sub become
{
    my ($writer, $mask, $program, @arguments) = @_;

    eval {
        for my $name (@SIGNALS) {
            $SIG{$name} = 'DEFAULT' if (($SIG{$name} || 'IGNORE') ne 'IGNORE');
        }
        POSIX::dup2(POSIX::open('/dev/null', O_RDWR), 0);
        POSIX::dup2(fileno($writer), $_) for (1, 2);
        my @open = (3 .. 1023);
        if (opendir(my $folder, '/proc/self/fd')) {
            @open = grep { /\A[0-9]+\z/ && $_ > 2 } readdir($folder);
        }
        POSIX::close($_) for (@open);
        POSIX::sigprocmask(POSIX::SIG_SETMASK(), $mask);
        no warnings 'exec';
        exec({$program} $program, @arguments);
        my $text = "vsspc: $program cannot be run: $!\n";
        POSIX::write(2, $text, length($text));
    };
    POSIX::_exit(127);
}

# Read a child's output until it has ended, and how; returns its wait status. The newest line is kept in $$last, all
# before it are in XferLOG.
sub gather
{
    my ($vars, $reader, $pid, $last) = @_;
    my ($status, $open, $buffer) = (undef, 1, '');

    while (!defined($status) || $open) {
        # A signal ends select() and sysread(); should it come just before one of them, it is heard a second later.
        vec(my $mask = '', fileno($reader), 1) = 1;
        my $ready = $open ? select($mask, undef, undef, 1) : select(undef, undef, undef, 0.05);
        if ($open && $ready > 0) {
            my $count = sysread($reader, $buffer, 65536, length($buffer));
            next if (!defined($count) && $! == EINTR);
            $open = 0 if (!$count);
            while ($buffer =~ s/\A([^\n]*\n)// || (length($buffer) > MAX_LINE && $buffer =~ s/\A(.+)\z//s)) {
                my $line = terminated($1);
                log_lines($vars, $$last);
                $$last = $line;
            }
            next if ($open);
        }
        # Whatever else holds the pipe once the program has ended is not waited for.
        last if (defined($status) && $ready == 0);
        if (!defined($status)) {
            my $ended = waitpid($pid, POSIX::WNOHANG());
            $status = $? if ($ended == $pid);
            $status = FAILED if ($ended < 0 && $! != EINTR);
            $undo = undef if (defined($status));    # the pid is anybody's now
        }
    }
    if (length($buffer)) {
        log_lines($vars, $$last);
        $$last = terminated($buffer);
    }
    return $status;
}

sub terminated
{
    my ($text) = @_;

    return $text =~ /\n\z/ ? $text : "$text\n";
}

# How a program ended, for one that said nothing.
sub ended
{
    my ($client, $program, $status) = @_;
    my $how = $status & 127 ? 'was ended by signal ' . ($status & 127) : 'ended with exit code ' . ($status >> 8);

    return "vsspc: $client: $program $how\n";
}

# Write lines to XferLOG (in a restore: RestoreLOG). A log that cannot be written changes nothing.
sub log_lines
{
    my ($vars, @lines) = @_;

    for my $line (@lines) {
        eval { $vars->{XferLOG}->write(\$line) } if (defined($line));
    }
}

#
# The state folder
#

# The folder of a client below vsspc's state_dir.
sub state_folder
{
    my ($state_dir, $client) = @_;

    die("this is not a client name that vsspc can serve\n") if (!defined($client) || $client !~ $SHAPE{host});
    return "$state_dir/$client";
}

# The session of a client, made for this purpose.
sub session
{
    my ($folder, $client, $purpose) = @_;
    my $session = parse(slurp("$folder/session"), $client);
    my $made_for = $session->{purpose} || 'dump';

    die("the session is one of a $made_for\n") if ($made_for ne $purpose);
    return $session;
}

# Have the next transfer use a session; returns the line that says so.
sub use_session
{
    my ($bpc, $session) = @_;

    $bpc->{Conf}{RsyncdUserName}   = $session->{user};
    $bpc->{Conf}{RsyncdClientPort} = $session->{port};
    $bpc->{Conf}{RsyncdPasswd}     = $session->{password};
    return "vsspc: $session->{host}: run $session->{run} is served on port $session->{port}\n";
}

sub refusal
{
    my ($client, $purpose, $trouble) = @_;

    return "vsspc: $client: no session for this $purpose, nothing will be transferred: " . one_line($trouble) . "\n";
}

# The content of a file that only we could have written. The checks are made on the opened file, so that
# nobody can exchange it in between; O_NONBLOCK lets a FIFO answer at once.
sub slurp
{
    my ($path) = @_;

    sysopen(my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) or die("$path: $!\n");
    my ($mode, $owner, $size) = (stat($file))[2, 4, 7];
    die("$path: $!\n")                                   if (!defined($mode));
    die("$path: not a regular file\n")                   if (!-f _);
    die("$path: owned by uid $owner, not by uid $>\n")   if ($owner != $>);
    die("$path: others may use it; mode 0600 wanted\n")  if ($mode & 077);
    die("$path: $size bytes are not a session file\n")   if ($size == 0 || $size > MAX_BYTES);
    my $text = '';
    my $read = sysread($file, $text, MAX_BYTES + 1);
    die("$path: $!\n")                                   if (!defined($read));
    die("$path: cut short\n")                            if ($read != $size);
    close($file);
    return $text;
}

# The fields of a session file's text: all of them, each once, well-formed, for this client, and still valid.
# A message names the field, never its value: a damaged file may have the password anywhere.
sub parse
{
    my ($text, $client) = @_;
    my %field;

    die("the session file's last line is cut off\n") if ($text !~ /\n\z/);
    for my $line (split(/\n/, $text)) {
        my ($key, $value) = $line =~ /\A([a-z]+)=(.*)\z/s or die("the session file has a line that is not KEY=VALUE\n");
        my $shape = $SHAPE{$key} || $OPTIONAL{$key} or die("the session file has an unknown line\n");
        die("the session file has $key= twice\n")       if (exists($field{$key}));
        die("the session file's $key= is not valid\n")  if ($value !~ $shape);
        $field{$key} = $value;
    }
    for my $key (sort(keys(%SHAPE))) {
        die("the session file lacks $key=\n") if (!exists($field{$key}));
    }
    die("the session file is of another host\n")       if ($field{host} ne $client);
    die("the session file's port= is not valid\n")     if ($field{port} > 65535);
    die("the session expired; did an earlier dump never end?\n") if ($field{expires} <= time());
    return \%field;
}

# Write a share's line into the file `counts` (SHARE FILES BYTES), in place of the one it has there.
sub note
{
    my ($folder, $share, $numbers) = @_;
    my ($path, $new) = ("$folder/counts", "$folder/.counts.new");

    my $text = -e $path ? eval { slurp($path) } : undef;    # one that is damaged is begun anew
    my @lines = grep { !/\A\Q$share\E / } split(/^/m, defined($text) ? $text : '');
    unlink($new);
    sysopen(my $file, $new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600) or die("$new: $!\n");
    binmode($file);
    my $written = print($file @lines, "$share $numbers\n");
    (close($file) && $written && rename($new, $path)) or die("$path: $!\n");
}

#
# Words
#

# A name as it may stand in a log line.
sub printable
{
    my ($text) = @_;

    $text = '' if (!defined($text));
    $text =~ s/[^\x21-\x7e]/?/g;
    return $text;
}

# An error's text on one line.
sub one_line
{
    my ($text) = @_;

    $text = 'no reason given' if (!defined($text) || !length($text));
    $text =~ s/\s+/ /g;
    $text =~ s/ \z//;
    return $text;
}

1;
