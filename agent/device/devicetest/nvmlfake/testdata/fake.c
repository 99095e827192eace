// A stand-in for libnvidia-ml.so.1 that does what a script says. The script is
// the file named by FAKE_NVML; it is read anew at every call, so that a test
// changes the hardware while it is in use:
//
//   key=value            of the library: init, driver, count
//   [gpu]                begins a device, in index order; keys below
//   ret.FUNCTION=CODE    that call of this device (or of the library) fails
//   hang=FUNCTION        that call never returns; hang=* any call
//
// What a program sets is kept beside the script in FILE.limit.UUID, as the
// kernel driver keeps it when a program ends; remove it to reload the driver.
// Events are lines "UUID XID COUNT" in FILE.events, taken once.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
#define EXPORT __attribute__((visibility("default")))
enum { OK = 0, UNINIT = 1, INVALID = 2, UNSUPPORTED = 3, NOTFOUND = 6, SMALL = 7, TIMEOUT = 10 };

struct pci { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; };
struct memory { u64 total, free, used; };
struct utilization { u32 gpu, memory; };
struct process { u32 pid; u64 used; u32 gi, ci; };
struct event { void *device; u64 type, data; u32 gi, ci; };

#define DEVICES 32
#define SCRIPT 65536
static struct handle { char pci[32]; int mig; } handles[DEVICES * 8];
static int handle_count, initialised;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char script[SCRIPT];

static const char *path(void) {
    const char *p = getenv("FAKE_NVML");
    return p ? p : "/nonexistent";
}

static void load(void) {
    script[0] = '\n';
    script[1] = 0;
    FILE *f = fopen(path(), "r");
    if (!f) return;
    size_t n = fread(script + 1, 1, SCRIPT - 2, f);
    script[n + 1] = 0;
    fclose(f);
}

// section finds the text of the nth device, or the library's for n < 0.
static const char *section(int n, const char **end) {
    const char *at = script;
    for (int i = 0; i <= n; i++) {
        at = strstr(at, "\n[gpu]");
        if (!at) return NULL;
        at += 6;
    }
    *end = strstr(at, "\n[gpu]");
    if (!*end) *end = script + strlen(script);
    return at;
}

static int value(int n, const char *key, char *out, size_t size) {
    const char *end, *at = section(n, &end);
    size_t len = strlen(key);
    for (; at && at < end; at = strchr(at + 1, '\n')) {
        if (*at == '\n' && !strncmp(at + 1, key, len) && at[1 + len] == '=') {
            const char *v = at + 2 + len, *stop = strchr(v, '\n');
            size_t m = stop ? (size_t)(stop - v) : strlen(v);
            if (m >= size) m = size - 1;
            memcpy(out, v, m);
            out[m] = 0;
            return 1;
        }
    }
    return 0;
}

static int number(int n, const char *key, u64 *out) {
    char text[64];
    if (!value(n, key, text, sizeof text)) return UNSUPPORTED;
    *out = strtoull(text, NULL, 0);
    return OK;
}

// scripted tells what the script wants of a call: to hang, to fail, or neither.
static int scripted(int n, const char *function) {
    char key[128], text[128];
    if (value(n, "hang", text, sizeof text) && (!strcmp(text, function) || !strcmp(text, "*"))) {
        pthread_mutex_unlock(&lock);
        for (;;) pause();
    }
    snprintf(key, sizeof key, "ret.%s", function);
    if (value(n, key, text, sizeof text) || value(n, "ret.*", text, sizeof text)) return atoi(text);
    return OK;
}

static int index_of(struct handle *h) {
    char text[32];
    for (int i = 0; i < DEVICES && value(i, "pci", text, sizeof text); i++)
        if (!strcmp(text, h->pci)) return i;
    return -1;
}

static int devices(void) {
    const char *end;
    int n = 0;
    while (n < DEVICES && section(n, &end)) n++;
    return n;
}

// BEGIN enters a call on a device; i is its index in the script now.
#define BEGIN(device)                                          \
    pthread_mutex_lock(&lock);                                 \
    load();                                                    \
    int i = initialised && (device) ? index_of(device) : -1;   \
    int ret = !initialised ? UNINIT : i < 0 ? 15 : scripted(i, __func__)
#define END(r) do { int r_ = (r); pthread_mutex_unlock(&lock); return r_; } while (0)
#define GET(type, function, key)                               \
    EXPORT int function(struct handle *d, type *out) {         \
        BEGIN(d);                                              \
        u64 v = 0;                                             \
        if (!ret) ret = number(i, key, &v);                    \
        if (!ret) *out = (type)v;                              \
        END(ret);                                              \
    }
#define TEXT(function, key)                                    \
    EXPORT int function(struct handle *d, char *out, u32 n) {  \
        BEGIN(d);                                              \
        if (!ret && !value(i, key, out, n)) ret = UNSUPPORTED; \
        END(ret);                                              \
    }

EXPORT int nvmlInit_v2(void) {
    pthread_mutex_lock(&lock);
    load();
    int ret = scripted(-1, __func__);
    if (!ret) initialised = 1;
    END(ret);
}
EXPORT int nvmlInitWithFlags(u32 flags) { (void)flags; return nvmlInit_v2(); }
EXPORT int nvmlShutdown(void) {
    initialised = 0;
    return OK;
}
EXPORT const char *nvmlErrorString(int code) { (void)code; return "scripted"; }
EXPORT int nvmlSystemGetDriverVersion(char *out, u32 n) {
    pthread_mutex_lock(&lock);
    load();
    END(value(-1, "driver", out, n) ? OK : UNSUPPORTED);
}
EXPORT int nvmlDeviceGetCount_v2(u32 *n) {
    pthread_mutex_lock(&lock);
    load();
    int ret = initialised ? scripted(-1, __func__) : UNINIT;
    *n = devices();
    END(ret);
}

static struct handle *handle_of(const char *pci, int mig) {
    for (int i = 0; i < handle_count; i++)
        if (!strcmp(handles[i].pci, pci) && handles[i].mig == mig) return &handles[i];
    struct handle *h = &handles[handle_count++];
    snprintf(h->pci, sizeof h->pci, "%s", pci);
    h->mig = mig;
    return h;
}
EXPORT int nvmlDeviceGetHandleByIndex_v2(u32 index, struct handle **out) {
    char pci[32];
    pthread_mutex_lock(&lock);
    load();
    if (!initialised) END(UNINIT);
    if ((int)index >= devices() || !value(index, "pci", pci, sizeof pci)) END(INVALID);
    int ret = scripted(index, __func__);
    *out = handle_of(pci, 0);
    END(ret);
}
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, struct handle **out) {
    pthread_mutex_lock(&lock);
    load();
    if (!initialised) END(UNINIT);
    struct handle *h = handle_of(pci, 0);
    int i = index_of(h), ret = i < 0 ? NOTFOUND : scripted(i, __func__);
    *out = h;
    END(ret);
}
EXPORT int nvmlDeviceGetPciInfo_v3(struct handle *d, struct pci *out) {
    BEGIN(d);
    memset(out, 0, sizeof *out);
    if (!ret) snprintf(out->bus_id, sizeof out->bus_id, "%s", d->pci);
    END(ret);
}
EXPORT int nvmlDeviceGetUUID(struct handle *d, char *out, u32 n) {
    BEGIN(d);
    char text[96];
    if (!ret && !value(i, "uuid", text, sizeof text)) ret = UNSUPPORTED;
    if (!ret && d->mig) snprintf(out, n, "MIG-%s-%d", text, d->mig - 1);
    else if (!ret) snprintf(out, n, "%s", text);
    END(ret);
}
TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetSerial, "serial")
GET(u32, nvmlDeviceGetMinorNumber, "minor")
GET(u32, nvmlDeviceGetPersistenceMode, "persistence")
GET(u32, nvmlDeviceGetComputeMode, "compute_mode")
GET(u32, nvmlDeviceGetMaxMigDeviceCount, "mig_instances")
GET(u32, nvmlDeviceGetPowerUsage, "power")
GET(u32, nvmlDeviceGetFanSpeed, "fan")
GET(u64, nvmlDeviceGetTotalEnergyConsumption, "energy")
GET(u64, nvmlDeviceGetCurrentClocksEventReasons, "throttle")
GET(u32, nvmlDeviceGetPowerManagementDefaultLimit, "limit_default")

EXPORT int nvmlDeviceGetMemoryInfo(struct handle *d, struct memory *out) {
    BEGIN(d);
    u64 total = 0, used = 0;
    if (!ret) ret = number(i, "memory", &total);
    if (!ret) number(i, "memory_used", &used);
    if (!ret) *out = (struct memory){total, total - used, used};
    END(ret);
}
EXPORT int nvmlDeviceGetCudaComputeCapability(struct handle *d, int *major, int *minor) {
    BEGIN(d);
    if (!ret) *major = 9, *minor = 0;
    END(ret);
}
EXPORT int nvmlDeviceGetPowerManagementLimitConstraints(struct handle *d, u32 *low, u32 *high) {
    BEGIN(d);
    u64 a = 0, b = 0;
    if (!ret) ret = number(i, "limit_min", &a);
    if (!ret) ret = number(i, "limit_max", &b);
    if (!ret) *low = a, *high = b;
    END(ret);
}
static void limit_file(int i, char *out, size_t n) {
    char uuid[96] = "";
    value(i, "uuid", uuid, sizeof uuid);
    snprintf(out, n, "%s.limit.%s", path(), uuid);
}
static int limit(int i, u32 *out) {
    char name[4096];
    u64 v = 0;
    int ret = number(i, "limit_default", &v);
    limit_file(i, name, sizeof name);
    FILE *f = fopen(name, "r");
    if (f) {
        if (fscanf(f, "%llu", &v) != 1) ret = 999;
        fclose(f);
    }
    *out = v;
    return ret;
}
EXPORT int nvmlDeviceGetPowerManagementLimit(struct handle *d, u32 *out) {
    BEGIN(d);
    END(ret ? ret : limit(i, out));
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(struct handle *d, u32 *out) {
    BEGIN(d);
    END(ret ? ret : limit(i, out));
}
EXPORT int nvmlDeviceSetPowerManagementLimit(struct handle *d, u32 mw) {
    BEGIN(d);
    u64 low = 0, high = 0, stuck = 0;
    if (!ret) ret = number(i, "limit_min", &low);
    if (!ret) ret = number(i, "limit_max", &high);
    if (!ret && (mw < low || mw > high)) ret = INVALID;
    if (!ret) {
        char name[4096];
        if (number(i, "limit_stuck", &stuck) == OK) mw = stuck; // takes the order and does as it likes
        limit_file(i, name, sizeof name);
        FILE *f = fopen(name, "w");
        if (!f) END(999);
        fprintf(f, "%u\n", mw);
        fclose(f);
    }
    END(ret);
}
EXPORT int nvmlDeviceGetTemperature(struct handle *d, u32 sensor, u32 *out) {
    BEGIN(d);
    u64 v = 0;
    (void)sensor;
    if (!ret) ret = number(i, "temperature", &v);
    if (!ret) *out = v;
    END(ret);
}
EXPORT int nvmlDeviceGetUtilizationRates(struct handle *d, struct utilization *out) {
    BEGIN(d);
    u64 v = 0;
    if (!ret) ret = number(i, "utilization", &v);
    if (!ret) *out = (struct utilization){v, v};
    END(ret);
}
// Locked clocks live as long as this process; no test needs more.
static u32 locked[DEVICES][2];
EXPORT int nvmlDeviceGetClockInfo(struct handle *d, u32 kind, u32 *out) {
    BEGIN(d);
    u64 v = 0;
    if (!ret) ret = number(i, kind == 2 ? "clock_memory" : "clock", &v);
    if (!ret && locked[i][kind == 2] && locked[i][kind == 2] < v) v = locked[i][kind == 2];
    if (!ret) *out = v;
    END(ret);
}
static int lock_clock(struct handle *d, int kind, u32 mhz, const char *function) {
    pthread_mutex_lock(&lock);
    load();
    int i = initialised ? index_of(d) : -1, ret = i < 0 ? 15 : scripted(i, function);
    if (!ret) locked[i][kind] = mhz;
    END(ret);
}
EXPORT int nvmlDeviceSetGpuLockedClocks(struct handle *d, u32 low, u32 high) { (void)low; return lock_clock(d, 0, high, __func__); }
EXPORT int nvmlDeviceResetGpuLockedClocks(struct handle *d) { return lock_clock(d, 0, 0, __func__); }
EXPORT int nvmlDeviceSetMemoryLockedClocks(struct handle *d, u32 low, u32 high) { (void)low; return lock_clock(d, 1, high, __func__); }
EXPORT int nvmlDeviceResetMemoryLockedClocks(struct handle *d) { return lock_clock(d, 1, 0, __func__); }

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(struct handle *d, u32 *n, struct process *out) {
    BEGIN(d);
    char text[256] = "";
    u32 found = 0;
    if (!ret && value(i, "pids", text, sizeof text))
        for (char *at = text, *end; ; at = end + 1) {
            u32 pid = strtoul(at, &end, 10);
            if (end == at) break;
            if (found < *n && out) out[found] = (struct process){pid, 0, ~0u, ~0u};
            found++;
            if (*end != ',') break;
        }
    if (!ret && found > *n) ret = SMALL;
    *n = found;
    END(ret);
}
EXPORT int nvmlDeviceGetMigMode(struct handle *d, u32 *current, u32 *pending) {
    BEGIN(d);
    u64 v = 0;
    if (!ret) ret = number(i, "mig", &v);
    if (!ret) *current = *pending = v;
    END(ret);
}
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(struct handle *d, u32 index, struct handle **out) {
    BEGIN(d);
    u64 n = 0;
    if (!ret) ret = number(i, "mig_instances", &n);
    if (!ret && index >= n) ret = NOTFOUND;
    if (!ret) *out = handle_of(d->pci, index + 1);
    END(ret);
}
EXPORT int nvmlDeviceGetNvLinkState(struct handle *d, u32 link, u32 *out) {
    BEGIN(d);
    u64 n = 0;
    if (!ret) ret = number(i, "links", &n);
    if (!ret && link >= n) ret = INVALID;
    if (!ret) *out = 1;
    END(ret);
}
EXPORT int nvmlDeviceGetNvLinkRemotePciInfo_v2(struct handle *d, u32 link, struct pci *out) {
    BEGIN(d);
    (void)link;
    memset(out, 0, sizeof *out);
    if (!ret && !value(i, "peer", out->bus_id, sizeof out->bus_id)) ret = UNSUPPORTED;
    END(ret);
}
EXPORT int nvmlDeviceGetTotalEccErrors(struct handle *d, u32 kind, u32 span, u64 *out) {
    BEGIN(d);
    if (!ret) ret = number(i, kind ? span ? "ecc_ever" : "ecc" : "ecc_corrected", out);
    END(ret);
}
EXPORT int nvmlDeviceGetRemappedRows(struct handle *d, u32 *corrected, u32 *uncorrected, u32 *pending, u32 *failed) {
    BEGIN(d);
    u64 v[4] = {0};
    if (!ret) ret = number(i, "rows", &v[1]);
    number(i, "rows_pending", &v[2]);
    number(i, "rows_failed", &v[3]);
    *corrected = v[0], *uncorrected = v[1], *pending = v[2], *failed = v[3];
    END(ret);
}

#define EVENTS 4096
static struct { char uuid[96]; u64 xid; } queue[EVENTS];
static int queued, taken;
EXPORT int nvmlEventSetCreate(void **set) { *set = queue; return OK; }
EXPORT int nvmlEventSetFree(void *set) { (void)set; return OK; }
EXPORT int nvmlDeviceGetSupportedEventTypes(struct handle *d, u64 *types) {
    BEGIN(d);
    if (!ret) *types = 0x8 | 0x2;
    END(ret);
}
EXPORT int nvmlDeviceRegisterEvents(struct handle *d, u64 types, void *set) {
    BEGIN(d);
    (void)types, (void)set;
    END(ret);
}
EXPORT int nvmlEventSetWait_v2(void *set, struct event *out, u32 ms) {
    (void)set, (void)ms;
    pthread_mutex_lock(&lock);
    load();
    if (taken == queued) {
        char name[4096], uuid[96];
        u64 xid, count;
        taken = queued = 0;
        snprintf(name, sizeof name, "%s.events", path());
        FILE *f = fopen(name, "r");
        if (f) {
            unlink(name);
            while (fscanf(f, "%95s %llu %llu", uuid, &xid, &count) == 3)
                for (; count && queued < EVENTS; count--, queued++) {
                    strcpy(queue[queued].uuid, uuid);
                    queue[queued].xid = xid;
                }
            fclose(f);
        }
    }
    if (taken == queued) END(TIMEOUT);
    char text[96], pci[32];
    memset(out, 0, sizeof *out);
    for (int i = 0; i < devices(); i++)
        if (value(i, "uuid", text, sizeof text) && !strcmp(text, queue[taken].uuid) && value(i, "pci", pci, sizeof pci)) out->device = handle_of(pci, 0);
    out->type = 0x8;
    out->data = queue[taken++].xid;
    out->gi = out->ci = ~0u;
    END(OK);
}
