package VSSPC;

# The glue between vsspc and BackupPC: gives this run's one-time rsync password and port to the transfer.
#
# BackupPC evaluates a user command that begins with `&` inside BackupPC_dump. `$Conf{DumpPreShareCmd}` calls
# load() there, before each share; the transfer that follows reads the same $bpc->{Conf}. `vsspc pre` has
# written the session file <state_dir>/<client>/session, `vsspc post` removes it.
#
# BackupPC looks at nothing but $? afterwards: a `die` would leave it at 0 and the transfer would run. So $?
# means failure from the first line on, and success only after the last check. Should the administrator have
# UserCmdCheckStatus = 0, then the emptied password still stops the transfer (BackupPC refuses an empty one).

use strict;
use warnings;

use Fcntl qw(O_RDONLY O_NOFOLLOW O_NONBLOCK);

our $VERSION = '1';

use constant FAILED    => 256;     # the wait status of `exit 1`
use constant MAX_BYTES => 4096;    # a session file has about 200

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

# Load the session of the client that BackupPC dumps now ($vars is the hash that BackupPC hands to user commands).
# Returns one line for XferLOG, never with the password in it; sets $? to 0 on success, to 256 otherwise.
sub load
{
    my ($bpc, $vars, $state_dir) = @_;

    $? = FAILED;
    my $client = ref($vars) eq 'HASH' && defined($vars->{client}) ? $vars->{client} : '';
    my $session = eval {
        $bpc->{Conf}{RsyncdPasswd} = '';
        die("this is not a client name that vsspc can serve\n") if ($client !~ $SHAPE{host});
        parse(slurp("$state_dir/$client/session"), $client);
    };
    if (!defined($session)) {
        my $reason = defined($@) && length($@) ? $@ : 'no reason given';
        $reason =~ s/\s+/ /g;
        $reason =~ s/ \z//;
        $client =~ s/[^\x21-\x7e]/?/g;
        $? = FAILED;    # whatever happened inside the eval
        return "vsspc: $client: no session for this dump, nothing will be transferred: $reason\n";
    }
    $bpc->{Conf}{RsyncdUserName}   = $session->{user};
    $bpc->{Conf}{RsyncdClientPort} = $session->{port};
    $bpc->{Conf}{RsyncdPasswd}     = $session->{password};
    my $line = "vsspc: $client: run $session->{run} is served on port $session->{port}\n";
    $? = 0;
    return $line;
}

# The content of a session file that only we could have written. The checks are made on the opened file, so that
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
        die("the session file has an unknown line\n")      if (!exists($SHAPE{$key}));
        die("the session file has $key= twice\n")          if (exists($field{$key}));
        die("the session file's $key= is not valid\n")     if ($value !~ $SHAPE{$key});
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

1;
