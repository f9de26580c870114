/* standin.exe: any program that Wine does not have, played by the lab.
 *
 * Which program it is says its file: the lab appends `VSSPC-LAB-TOOL:name` and reads it there. Connects to 127.0.0.1 as
 * %VSSPC_LAB_TOOLS% says ("PORT KEY"), speaks the tool protocol of vsspc/lab/toolsocket.py (one JSON line out; JSON lines
 * with base64 back), and ends with the exit code that it is told. When it is killed, the connection drops with it.
 * Own exit codes: 253 nobody to connect to, 254 the connection broke.
 */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *append(char *at, const char *text)
{
    while (*text) *at++ = *text++;
    return at;
}

/* a JSON string: what is beyond ASCII goes as UTF-16 escapes, which is what JSON means by them */
static char *append_json(char *at, const char *name, const WCHAR *text)
{
    at = append(at, name);
    for (; *text; text++) {
        if (*text < 32 || *text > 126 || *text == '"' || *text == '\\') at += sprintf(at, "\\u%04x", *text);
        else *at++ = (char)*text;
    }
    *at++ = '"';
    return at;
}

static SOCKET connect_lab(char *lab_key)
{
    char text[200] = { 0 };
    int port = 0;
    WSADATA wsa;
    struct sockaddr_in addr = { 0 };

    if (!GetEnvironmentVariableA("VSSPC_LAB_TOOLS", text, sizeof text)) return INVALID_SOCKET;
    if (sscanf(text, "%d %64s", &port, lab_key) != 2) return INVALID_SOCKET;
    WSAStartup(0x202, &wsa);
    SOCKET s = WSASocketA(AF_INET, SOCK_STREAM, 0, NULL, 0, 0);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr.sin_port = htons(port);
    return connect(s, (void *)&addr, sizeof addr) ? INVALID_SOCKET : s;
}

static int request(SOCKET s, const char *lab_key)
{
    static WCHAR module[1024], cwd[1024];
    const WCHAR *line = GetCommandLineW();
    char *text = malloc(6 * (2048 + wcslen(line)) + 400), *at = text;

    GetModuleFileNameW(NULL, module, 1024);
    GetCurrentDirectoryW(1024, cwd);
    at = append(append(at, "{\"key\": \""), lab_key);
    at = append_json(at, "\", \"image\": \"", module);
    at = append_json(at, ", \"cwd\": \"", cwd);
    at = append_json(at, ", \"command_line\": \"", line);
    at = append(at, ", \"parent\": 0}\n");
    int n = at - text, done = 0;
    while (done < n) {
        int k = send(s, text + done, n - done, 0);
        if (k <= 0) return -1;
        done += k;
    }
    free(text);
    return 0;
}

static int sextet(int c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void print_base64(HANDLE out, char *text)
{
    char *to = text;
    unsigned bits = 0, n = 0;
    DWORD done;

    for (char *from = text; sextet(*from) >= 0; from++) {
        bits = bits << 6 | sextet(*from);
        n += 6;
        if (n >= 8) *to++ = (char)(bits >> (n -= 8));
    }
    WriteFile(out, text, to - text, &done, NULL);
}

/* one line of the lab, as Python's json.dumps writes it */
static void obey(char *line)
{
    static const char out[] = "{\"stdout\": \"", err[] = "{\"stderr\": \"", end[] = "{\"exit\": ";

    if (!strncmp(line, out, sizeof out - 1)) print_base64(GetStdHandle(STD_OUTPUT_HANDLE), line + sizeof out - 1);
    if (!strncmp(line, err, sizeof err - 1)) print_base64(GetStdHandle(STD_ERROR_HANDLE), line + sizeof err - 1);
    if (!strncmp(line, end, sizeof end - 1)) ExitProcess(strtoul(line + sizeof end - 1, NULL, 10));
}

int main(void)
{
    char lab_key[65];
    size_t room = 1 << 16, n = 0;
    char *buffer = malloc(room);
    SOCKET s = connect_lab(lab_key);

    if (s == INVALID_SOCKET || request(s, lab_key)) return 253;
    for (;;) {
        if (n == room - 1) buffer = realloc(buffer, room *= 2);
        int k = recv(s, buffer + n, room - 1 - n, 0);
        if (k <= 0) return 254;
        n += k;
        for (char *end; (end = memchr(buffer, '\n', n)) != NULL;) {
            *end = 0;
            obey(buffer);
            n -= end + 1 - buffer;
            memmove(buffer, end + 1, n);
        }
    }
}
