/* bridge.exe: the named pipes and the processes of a Wine prefix, over TCP on 127.0.0.1.
 *
 *   hello     32 bytes: the key of %VSSPC_LAB_KEY%; another one ends the connection
 *   request   u32 length | u8 op | payload        (length counts op and payload; all little-endian)
 *   reply     u32 status | u32 length | payload
 *
 * Pipe ops return the raw NTSTATUS, the others a Win32 error code. One connection holds at most one pipe handle or one
 * process; dropping the connection closes the handle and ends the process. The port goes to the standard output.
 * Strings are UTF-16LE. %VSSPC_LAB_TOOLS% is put into the registry, where services get their variables from: the
 * stand-ins (standin.c) find the lab by it.
 */
#include <winsock2.h>
#include <windows.h>
#include <winternl.h>
#include <tlhelp32.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE                32
#define MAX_FRAME               0x100000
#define POLL_MICROSECONDS       3000
#define WATCH_MILLISECONDS      20
#define NON_DIRECTORY_FILE      0x40        /* FILE_NON_DIRECTORY_FILE */
#define SYNCHRONOUS             0x20        /* FILE_SYNCHRONOUS_IO_NONALERT */
#define ST_BUFFER_OVERFLOW      ((NTSTATUS)0x80000005)
#define ST_PIPE_BROKEN          0xC000014B

enum {
    OP_OPEN = 1,        /* u32 access | pipe name             -> -                                      */
    OP_READ = 2,        /* -                                  -> one message, or a piece of it          */
    OP_WRITE = 3,       /* data                               -> -                                      */
    OP_RUN = 10,        /* working folder NUL command line    -> u32 PID; then, when it ends, u32 code  */
    OP_KILL = 11,       /* u32 PID                            -> -                                      */
    OP_WATCH = 12,      /* -                                  -> processes and pipes, again at each change */
    OP_SERVICES = 13,   /* -                                  -> names, a line each                      */
};

/* missing in mingw's winternl.h */
NTSTATUS NTAPI NtReadFile(HANDLE, HANDLE, PIO_APC_ROUTINE, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG,
                          PLARGE_INTEGER, PULONG);
NTSTATUS NTAPI NtWriteFile(HANDLE, HANDLE, PIO_APC_ROUTINE, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG,
                           PLARGE_INTEGER, PULONG);

static char key[KEY_SIZE + 1];

static int recv_all(SOCKET s, void *buf, int n)
{
    char *p = buf;
    while (n > 0) {
        int k = recv(s, p, n, 0);
        if (k <= 0) return -1;
        p += k;
        n -= k;
    }
    return 0;
}

static int send_all(SOCKET s, const void *buf, int n)
{
    const char *p = buf;
    while (n > 0) {
        int k = send(s, p, n, 0);
        if (k <= 0) return -1;
        p += k;
        n -= k;
    }
    return 0;
}

static int reply(SOCKET s, DWORD status, const void *data, DWORD n)
{
    DWORD head[2] = { status, n };
    if (send_all(s, head, 8)) return -1;
    return n ? send_all(s, data, n) : 0;
}

/* wait a little; non-zero when the other end has hung up (it sends nothing while it waits for a reply) */
static int hung_up(SOCKET s, long microseconds)
{
    struct timeval wait = { 0, microseconds };
    fd_set set;
    char c;

    FD_ZERO(&set);
    FD_SET(s, &set);
    return select(0, &set, NULL, NULL, &wait) > 0 && recv(s, &c, 1, MSG_PEEK) <= 0;
}

/* n bytes of UTF-16 as a NUL-terminated copy */
static WCHAR *wide_copy(const char *p, DWORD n)
{
    WCHAR *w = calloc(n / 2 + 1, 2);
    memcpy(w, p, n & ~1u);
    return w;
}

static NTSTATUS open_pipe(HANDLE *h, const char *p, DWORD n)
{
    DWORD access;
    WCHAR path[300], *name = wide_copy(p + 4, n - 4);
    UNICODE_STRING text;
    OBJECT_ATTRIBUTES oa;
    IO_STATUS_BLOCK io;

    memcpy(&access, p, 4);
    _snwprintf(path, 299, L"\\??\\pipe\\%s", name);
    path[299] = 0;
    free(name);
    text.Buffer = path;
    text.Length = wcslen(path) * 2;
    text.MaximumLength = text.Length + 2;
    InitializeObjectAttributes(&oa, &text, OBJ_CASE_INSENSITIVE, NULL, NULL);
    NTSTATUS st = NtCreateFile(h, access | SYNCHRONIZE | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES, &oa, &io, NULL,
                               FILE_ATTRIBUTE_NORMAL, 0, FILE_OPEN, SYNCHRONOUS | NON_DIRECTORY_FILE, NULL, 0);
    if (!st) {
        DWORD mode = PIPE_READMODE_MESSAGE;
        SetNamedPipeHandleState(*h, &mode, NULL, NULL);    /* a byte mode pipe stays one */
    }
    return st;
}

/* read without blocking, so that a client that hangs up meanwhile is noticed and the handle closed */
static int read_pipe(SOCKET s, HANDLE h)
{
    static const DWORD size = 65536;
    IO_STATUS_BLOCK io = { 0 };
    DWORD available = 0;

    while (PeekNamedPipe(h, NULL, 0, NULL, &available, NULL) && !available)
        if (hung_up(s, POLL_MICROSECONDS)) return -1;
    if (!available) return reply(s, ST_PIPE_BROKEN, NULL, 0);
    char *buf = malloc(size);
    NTSTATUS st = NtReadFile(h, NULL, NULL, NULL, &io, buf, size, NULL, NULL);
    int r = reply(s, st, buf, st == 0 || st == ST_BUFFER_OVERFLOW ? (DWORD)io.Information : 0);
    free(buf);
    return r;
}

static int run(SOCKET s, const char *p, DWORD n)
{
    STARTUPINFOW start = { .cb = sizeof start };
    PROCESS_INFORMATION made;
    WCHAR *folder = wide_copy(p, n), *line = folder + wcslen(folder) + 1;
    BOOL ok = CreateProcessW(NULL, line, NULL, NULL, FALSE, 0, NULL, folder, &start, &made);
    DWORD err = ok ? 0 : GetLastError(), code;

    free(folder);
    if (!ok) return reply(s, err, NULL, 0);
    CloseHandle(made.hThread);
    int gone = reply(s, 0, &made.dwProcessId, 4);
    while (!gone && WaitForSingleObject(made.hProcess, 0) == WAIT_TIMEOUT) gone = hung_up(s, POLL_MICROSECONDS);
    if (gone) TerminateProcess(made.hProcess, 1);
    GetExitCodeProcess(made.hProcess, &code);
    CloseHandle(made.hProcess);
    return gone || reply(s, 0, &code, 4);
}

static DWORD kill_process(const char *p)
{
    DWORD pid;
    memcpy(&pid, p, 4);
    HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, pid);
    if (!process) return GetLastError();
    DWORD err = TerminateProcess(process, 1) ? 0 : GetLastError();
    CloseHandle(process);
    return err;
}

/* Every process, a line each: PID, its parent's, 1 if there is a pipe named after its program, the program.
 * Wine cannot list its pipes; PAExec's is named after its program. */
static DWORD survey(WCHAR *text, DWORD room)
{
    DWORD n = 0;
    WCHAR pipe[300];
    PROCESSENTRY32W process = { .dwSize = sizeof process };
    HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);

    for (BOOL more = Process32FirstW(list, &process); more && n + 400 < room; more = Process32NextW(list, &process)) {
        _snwprintf(pipe, 299, L"\\\\.\\pipe\\%s", process.szExeFile);
        BOOL has_pipe = WaitNamedPipeW(pipe, 1) || GetLastError() == ERROR_SEM_TIMEOUT;
        n += _snwprintf(text + n, room - n, L"%u %u %d %s\n", (unsigned)process.th32ProcessID,
                        (unsigned)process.th32ParentProcessID, has_pipe, process.szExeFile);
    }
    CloseHandle(list);
    return n * 2;
}

static int watch(SOCKET s)
{
    enum { ROOM = 60000 };
    WCHAR *before = calloc(ROOM, 2), *now = calloc(ROOM, 2);
    DWORD size = 0, n;

    do {
        n = survey(now, ROOM);
        if (n == size && !memcmp(before, now, n)) continue;
        if (reply(s, 0, now, n)) break;
        memcpy(before, now, size = n);
    } while (!hung_up(s, WATCH_MILLISECONDS * 1000));
    free(before);
    free(now);
    return -1;
}

static int list_services(SOCKET s)
{
    DWORD needed = 0, count = 0, resume = 0, n = 0;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ENUMERATE_SERVICE);
    ENUM_SERVICE_STATUSW *all = malloc(MAX_FRAME);
    WCHAR *text = calloc(MAX_FRAME, 1);
    BOOL ok = manager && EnumServicesStatusW(manager, SERVICE_WIN32, SERVICE_STATE_ALL, all, MAX_FRAME, &needed, &count,
                                             &resume);
    DWORD err = ok ? 0 : GetLastError();

    for (DWORD i = 0; ok && i < count && n + 400 < MAX_FRAME / 2; i++)
        n += _snwprintf(text + n, MAX_FRAME / 2 - n, L"%s\n", all[i].lpServiceName);
    if (manager) CloseServiceHandle(manager);
    int r = reply(s, err, text, n * 2);
    free(all);
    free(text);
    return r;
}

/* one request; non-zero when the connection is to end */
static int answer(SOCKET s, HANDLE *h, int op, const char *p, DWORD n)
{
    IO_STATUS_BLOCK io = { 0 };

    if (op == OP_OPEN && n > 4) return reply(s, open_pipe(h, p, n), NULL, 0);
    if (op == OP_READ) return read_pipe(s, *h);
    if (op == OP_WRITE) return reply(s, NtWriteFile(*h, NULL, NULL, NULL, &io, (void *)p, n, NULL, NULL), NULL, 0);
    if (op == OP_RUN) return run(s, p, n);
    if (op == OP_KILL && n == 4) return reply(s, kill_process(p), NULL, 0);
    if (op == OP_WATCH) return watch(s);
    if (op == OP_SERVICES) return list_services(s);
    return -1;
}

static DWORD WINAPI serve(void *arg)
{
    SOCKET s = (SOCKET)arg;
    HANDLE h = INVALID_HANDLE_VALUE;
    char hello[KEY_SIZE];
    int one = 1, end;

    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (char *)&one, sizeof one);
    end = recv_all(s, hello, KEY_SIZE) || memcmp(hello, key, KEY_SIZE);
    while (!end) {
        DWORD len;
        unsigned char op;
        if (recv_all(s, &len, 4) || len < 1 || len > MAX_FRAME || recv_all(s, &op, 1)) break;
        len--;
        char *p = calloc(len + 4, 1);
        end = (len && recv_all(s, p, len)) || answer(s, &h, op, p, len);
        free(p);
    }
    if (h != INVALID_HANDLE_VALUE) CloseHandle(h);
    closesocket(s);
    return 0;
}

static void publish_tools(void)
{
    char tools[200];
    HKEY environment;
    DWORD n = GetEnvironmentVariableA("VSSPC_LAB_TOOLS", tools, sizeof tools);

    if (n && !RegOpenKeyExA(HKEY_LOCAL_MACHINE, "System\\CurrentControlSet\\Control\\Session Manager\\Environment", 0,
                            KEY_SET_VALUE, &environment)) {
        RegSetValueExA(environment, "VSSPC_LAB_TOOLS", 0, REG_SZ, (BYTE *)tools, n + 1);
        RegCloseKey(environment);
    }
}

int main(void)
{
    WSADATA wsa;
    struct sockaddr_in addr = { 0 };
    int size = sizeof addr;

    if (GetEnvironmentVariableA("VSSPC_LAB_KEY", key, sizeof key) != KEY_SIZE) return 2;
    publish_tools();
    WSAStartup(0x202, &wsa);
    SOCKET l = WSASocketA(AF_INET, SOCK_STREAM, 0, NULL, 0, 0);    /* not OVERLAPPED: plain blocking calls */
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(l, (void *)&addr, sizeof addr) || listen(l, 64)) return 3;
    getsockname(l, (void *)&addr, &size);
    printf("%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    for (;;) {
        SOCKET s = accept(l, NULL, NULL);
        if (s != INVALID_SOCKET) CloseHandle(CreateThread(NULL, 0, serve, (void *)s, 0, NULL));
    }
}
