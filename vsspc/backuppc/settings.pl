# Prints what BackupPC itself reads from its files, as JSON, for vsspc/backuppc/settings.py.
# Arguments: the folder of its installation; then hosts, or `*` for all that it knows.
# Everything but the JSON goes nowhere: its files are programs, and may print.

use strict;
use warnings;
use Cwd qw(realpath);
use File::Glob qw(bsd_glob);
use JSON::PP ();

open(my $answer, '>&', \*STDOUT) or exit(1);
open(STDOUT, '>', '/dev/null')   or exit(1);
open(STDERR, '>', '/dev/null')   or exit(1);

# What a dump or a restore by rsyncd depends on.
my $WANTED = qr/\A(?:Rsync|Xfer|Client|Dump|Restore|UserCmd|BackupFiles|BackupZeroFiles)/;

my ($installation, @hosts) = @ARGV;
my %told = (problem => undef, unsafe => undef, known => [], hosts => {});
$told{problem} = read_all();
$told{problem} =~ s/\s+/ /g if (defined($told{problem}));
print($answer JSON::PP->new->ascii->allow_nonref->allow_unknown->allow_blessed->encode(\%told));
close($answer) or exit(1);
exit(0);

# Fill %told. Returns what keeps us from it, undef when nothing does.
sub read_all
{
    my $lib = "$installation/lib";
    return "there is no BackupPC in $installation" if (!-f "$lib/BackupPC/Lib.pm");
    my $unsafe = unsafe(bsd_glob("$lib/BackupPC/*.pm"), bsd_glob("$lib/BackupPC/*/*.pm"));
    return $unsafe if (defined($unsafe));

    # config.pl may set PATH for the hooks; else they have MyPath (BackupPC 4.4.0, lib/BackupPC/Lib.pm, ChildInit).
    my $unset = $ENV{PATH} = "/nonexistent:$ENV{PATH}";
    unshift(@INC, $lib);
    eval { require BackupPC::Lib; 1 } or return "BackupPC cannot be loaded: $@";
    guard();
    my ($bpc, $problem) = main_settings();
    return $problem if (!$bpc);

    my $main = $bpc->{Conf};
    $told{version} = $bpc->Version();
    $told{user}    = $main->{BackupPCUser};
    $told{path}    = $ENV{PATH} ne $unset ? $ENV{PATH} : $main->{MyPath};
    $told{top_dir} = $bpc->TopDir();
    $told{config}  = $bpc->{storage}->ConfigPath();
    my $uid = getpwnam($told{user});
    # HostInfoRead makes a lock file: as anybody else's it would be in BackupPC's way.
    return if (!defined($uid) || $uid != $>);
    $told{known} = [sort(keys(%{$bpc->HostInfoRead()}))];
    tell_host($bpc, $_) foreach (map { $_ eq '*' ? @{$told{known}} : $_ } @hosts);
    return;
}

# BackupPC's library object, or undef and why it cannot be had: BackupPC::Lib->new only prints that.
sub main_settings
{
    no warnings 'redefine';
    my $problem;
    my $read = \&BackupPC::Lib::ConfigRead;
    local *BackupPC::Lib::ConfigRead = sub { $problem = $read->(@_) };
    my $bpc = eval { BackupPC::Lib->new('', $installation, '', 1) };    # 1: whoever this is
    return ($bpc, $bpc ? undef : $problem // ($@ || 'BackupPC does not say why it cannot read its settings'));
}

sub tell_host
{
    my ($bpc, $host) = @_;
    my $main = $bpc->{Conf};
    my $file = $bpc->{storage}->ConfigPath($host);
    my ($problem, $conf) = $bpc->{storage}->ConfigDataRead($host, {%$main});
    $told{hosts}{$host} = {
        file    => $file,
        there   => -f $file ? JSON::PP::true : JSON::PP::false,
        problem => $problem,
        # BackupPC takes an undefined value for trouble when $! happens to be set (lib/BackupPC/Storage/Text.pm).
        defined => !-f $file || defined($problem) || defined(value_of($file, $main)) ? JSON::PP::true : JSON::PP::false,
        conf    => {map { $_ => $conf->{$_} } grep { $_ =~ $WANTED } keys(%$conf)},
    };
    return;
}

# What `do FILE` returns where BackupPC says it.
sub value_of
{
    my ($file, $main) = @_;
    package BackupPC::Storage::Text;
    our %Conf;
    local %Conf = %$main;
    return scalar(do $file);
}

# Have BackupPC's reader of settings refuse a file that is unsafe() before it evaluates it.
sub guard
{
    no warnings 'redefine';
    my $read = \&BackupPC::Storage::Text::ConfigDataRead;
    *BackupPC::Storage::Text::ConfigDataRead = sub {
        my ($storage, $host, $previous) = @_;
        # Debian's BackupPC reads its localconfig.pl first.
        my @files = ('/etc/backuppc/localconfig.pl', "$storage->{ConfDir}/localconfig.pl", $storage->ConfigPath($host));
        my $unsafe = unsafe(grep({ -e $_ } @files));
        return defined($unsafe) ? ($unsafe, $previous || {}) : $read->(@_);
    };
    return;
}

# Why root must not evaluate these files: somebody else can write one, or a folder on the way to it. undef otherwise.
sub unsafe
{
    return if ($> != 0);
    foreach my $file (@_) {
        my $path = realpath($file);
        while (defined($path) && length($path)) {
            my ($mode, $owner) = (stat($path))[2, 4];
            my $sticky = -d _ && ($mode & 01000);
            return $told{unsafe} = "$path can be written by others than root: root must not run it"
              if ($owner != 0 || ($mode & 022 && !$sticky));
            $path =~ s{/[^/]*\z}{};
        }
    }
    return;
}
